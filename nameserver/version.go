package nameserver

import (
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// name is a key with the head that a transaction read for it: the place where versions are added and removed.
type name struct {
	s      *Server
	tx     *store.Tx
	bucket cluster.BucketID
	key    string
	hkey   []byte // store key of the head
	exists bool
	head   head
}

func getHead(r reader, hkey []byte) (h head, ok bool, err error) {
	v, ok, err := r.Get(hkey)
	if err != nil || !ok {
		return h, false, err
	}
	h, err = decodeHead(v)
	return h, err == nil, err
}

func (s *Server) openName(tx *store.Tx, bucket cluster.BucketID, key string) (*name, error) {
	n := &name{s: s, tx: tx, bucket: bucket, key: key, hkey: nameKey(tagHead, bucket, key, 0)}
	var err error
	n.head, n.exists, err = getHead(tx, n.hkey)
	return n, err
}

// current returns the current version, or nil.
func (n *name) current() rawEntry {
	if !n.exists {
		return nil
	}
	return n.head.entry
}

// add makes encoded, as newHead returned it, the current version, and returns its id. A null version takes the place of the null version that there was, wherever it
// was; any other moves the current one to the noncurrent ones.
func (n *name) add(encoded []byte, null bool) (cluster.VersionID, error) {
	v := n.s.nextVersion()
	rawEntry(encoded[headPrefixBytes:]).stamp(v, null)
	var nullVersion cluster.VersionID // of the noncurrent null version afterwards
	switch {
	case !n.exists:
	case null && n.head.entry.null():
		if err := n.checkRemoval(n.head.entry, false); err != nil {
			return v, err
		}
		n.discard(n.head.entry)
	default:
		nullVersion = n.head.null
		old := n.head.entry
		n.tx.Put(versionKey(n.bucket, n.key, old.version()), old)
		if old.null() {
			nullVersion = old.version()
		}
		if null && !n.head.null.IsZero() {
			old, _, err := n.find(n.head.null, false)
			if err == nil && old != nil {
				err = n.checkRemoval(old, false)
			}
			if err != nil {
				return v, err
			}
			if _, err := n.removeNoncurrent(n.head.null); err != nil {
				return v, err
			}
			nullVersion = cluster.VersionID{}
		}
	}
	stampHead(encoded, nullVersion)
	n.tx.Put(n.hkey, encoded)
	return v, nil
}

// find returns the version asked for and whether it is the current one; nil when there is none.
func (n *name) find(v cluster.VersionID, null bool) (e rawEntry, latest bool, err error) {
	return findVersion(n.tx, n.bucket, n.key, n.head, n.exists, v, null)
}

func findVersion(r reader, bucket cluster.BucketID, key string, h head, exists bool, v cluster.VersionID, null bool) (e rawEntry, latest bool, err error) {
	switch {
	case !exists:
		return nil, false, nil
	case v.IsZero() && !null, null && h.entry.null(), !null && v == h.entry.version():
		return h.entry, true, nil
	case null:
		if v = h.null; v.IsZero() {
			return nil, false, nil
		}
	}
	b, ok, err := r.Get(versionKey(bucket, key, v))
	if err != nil || !ok {
		return nil, false, err
	}
	e, err = rawEntryOf(b)
	return e, false, err
}

// remove takes a version away that find returned; when it was the current one, the newest of the others becomes that.
func (n *name) remove(e rawEntry, latest bool) error {
	if !latest {
		if _, err := n.removeNoncurrent(e.version()); err != nil {
			return err
		}
		if e.version() == n.head.null {
			n.tx.Put(n.hkey, promotedHead(n.head.entry, cluster.VersionID{}))
		}
		return nil
	}
	n.discard(e)
	next, err := n.newestBelow(e.version())
	if err != nil {
		return err
	}
	if next == nil {
		n.tx.Delete(n.hkey)
		return nil
	}
	null := n.head.null
	if next.null() {
		null = cluster.VersionID{}
	}
	n.tx.Delete(versionKey(n.bucket, n.key, next.version()))
	n.tx.Put(n.hkey, promotedHead(next, null))
	return nil
}

// checkRemoval returns fault.Denied for a version that object lock protects.
func (n *name) checkRemoval(e rawEntry, bypass bool) error {
	if e.deleteMarker() {
		return nil
	}
	full, err := decodeEntry(e, "", detailAll)
	if err != nil {
		return err
	}
	return cluster.CheckRemoval(full.Attrs, fromMillis(n.s.now()), bypass)
}

// newestBelow returns the newest version that is older than v, or nil. It begins at v, not at the first version of the name: whoever deletes a name's versions from the newest on leaves a row of
// deleted entries behind, as long as a memtable, that would be walked over by every one of the deletions.
func (n *name) newestBelow(v cluster.VersionID) (rawEntry, error) {
	it := n.tx.Iter(append(versionKey(n.bucket, n.key, v), 0), successor(nameKey(tagVersion, n.bucket, n.key, 0)))
	defer it.Close()
	if !it.Next() {
		return nil, it.Err()
	}
	return rawEntryOf(append([]byte(nil), it.Value()...))
}

func (n *name) removeNoncurrent(v cluster.VersionID) (rawEntry, error) {
	k := versionKey(n.bucket, n.key, v)
	b, ok, err := n.tx.Get(k)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.Corrupt, "key %q refers to version %s, which is not there", n.key, v)
	}
	e, err := rawEntryOf(b)
	if err != nil {
		return nil, err
	}
	n.discard(e)
	n.tx.Delete(k)
	return e, nil
}

// discard queues what a version refers to.
func (n *name) discard(e rawEntry) {
	g := garbage{origin: originVersion, due: n.s.now() + n.s.delay(), bucket: n.bucket, key: n.key, version: e.version()}
	if e.hasParts() {
		g.kind, g.id = garbageTable, e.table()
		n.s.enqueue(n.tx, 0, g)
		return
	}
	if l := e.content(); !l.IsZero() {
		g.kind, g.id = garbageLink, l.Object
		n.s.enqueue(n.tx, l.Server, g)
	}
}
