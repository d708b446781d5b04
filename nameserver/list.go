package nameserver

import (
	"bytes"
	"context"
	"strings"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
)

// listing walks the names of a table in order, from after on, and rolls those up that share a prefix through the delimiter. A common prefix costs one seek, however
// many names are in it.
type listing struct {
	bucket            cluster.BucketID
	prefix, delimiter string
	limit             int

	count int // names and prefixes on the page
	bytes int // on the page, about
}

// commonPrefix returns the part of name through the first delimiter after the prefix, or "".
func (l *listing) commonPrefix(name string) string {
	if l.delimiter == "" || len(name) < len(l.prefix) {
		return ""
	}
	i := strings.Index(name[len(l.prefix):], l.delimiter)
	if i < 0 {
		return ""
	}
	return name[:len(l.prefix)+i+len(l.delimiter)]
}

// bounds returns the range [lo, hi) of store keys of the table whose names begin with the prefix and come after the marker: after all common prefixes that it lies
// in, otherwise after its own keys. The range is empty when lo >= hi.
func (l *listing) bounds(tag byte, after string) (lo, hi []byte) {
	lo = appendNamePrefix(make([]byte, 0, bucketPrefixBytes+len(l.prefix)+8), tag, l.bucket, l.prefix)
	hi = successor(lo)
	if after == "" {
		return lo, hi
	}
	start := l.past(tag, after)
	if strings.HasPrefix(after, l.prefix) {
		if cp := l.commonPrefix(after); cp != "" {
			start = l.pastPrefix(tag, cp)
		}
	}
	if bytes.Compare(start, lo) > 0 {
		lo = start
	}
	return lo, hi
}

// past returns the first store key after all of a name.
func (l *listing) past(tag byte, name string) []byte {
	return successor(appendName(nil, tag, l.bucket, name))
}

// pastPrefix returns the first store key after all names with a prefix.
func (l *listing) pastPrefix(tag byte, prefix string) []byte {
	return successor(appendNamePrefix(nil, tag, l.bucket, prefix))
}

// full reports whether the page takes no more.
func (l *listing) full() bool { return l.count >= l.limit || l.bytes > maxPageBytes }

// add accounts for a name or prefix with its details.
func (l *listing) add(n int) {
	l.count++
	l.bytes += n + 128
}

// room makes room for one more entry. Entries are large, so it grows fourfold and never beyond the limit: append would allocate and clear about twice as much.
func (l *listing) room(es []cluster.Entry) []cluster.Entry {
	if len(es) < cap(es) {
		return es
	}
	return append(make([]cluster.Entry, 0, min(l.limit, max(4*len(es), 128))), es...)
}

// seekNext moves it forward to the first entry at or after key, which is beyond the one shown.
func seekNext(it *store.Iter, key []byte) bool {
	it.Seek(key)
	return it.Next()
}

// checkEvery is how many entries a walk visits between looks at its context.
const checkEvery = 1024

// List implements [cluster.NameServer]. A page ends early, with More set, at 2 MiB of names and ACLs; a limit above 10000 counts as 10000.
func (s *Server) List(ctx context.Context, r cluster.ListRequest) (page cluster.ListPage, err error) {
	l, err := newListing(r.Bucket, r.Prefix, r.Delimiter, r.After, r.Limit)
	if err != nil {
		return page, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, r.Bucket); err != nil {
			return err
		}
		lo, hi := l.bounds(tagHead, r.After)
		if bytes.Compare(lo, hi) >= 0 {
			return nil
		}
		it := snap.Iter(lo, hi)
		defer it.Close()
		ok := it.Next()
		for n := 1; ok; n++ {
			if n%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			h, err := decodeHead(it.Value())
			if err != nil {
				return err
			}
			if h.entry.deleteMarker() {
				ok = it.Next()
				continue
			}
			if l.full() {
				page.More = true
				return nil
			}
			_, key, _, valid := splitName(it.Key())
			if !valid {
				return errShort
			}
			if cp := l.commonPrefix(key); cp != "" {
				page.Prefixes, page.Next = append(page.Prefixes, cp), cp
				l.add(len(cp))
				ok = seekNext(it, l.pastPrefix(tagHead, cp))
				continue
			}
			e, err := decodeEntry(h.entry, key, detailList)
			if err != nil {
				return err
			}
			e.Latest = true
			page.Entries, page.Next = append(l.room(page.Entries), e), key
			l.add(listedBytes(&e))
			ok = it.Next()
		}
		return it.Err()
	})
	return finish(page, err)
}

func newListing(bucket cluster.BucketID, prefix, delimiter, marker string, limit int) (*listing, error) {
	if err := checkBucketID(bucket); err != nil {
		return nil, err
	}
	if err := checkNames(prefix, delimiter, marker); err != nil {
		return nil, err
	}
	limit, err := checkLimit(limit)
	return &listing{bucket: bucket, prefix: prefix, delimiter: delimiter, limit: limit}, err
}

func listedBytes(e *cluster.Entry) int {
	n := len(e.Key) + len(e.ETag)
	for i := range e.Attrs {
		n += len(e.Attrs[i].Value)
	}
	return n
}

// finish clears the markers of a page that is the last one.
func finish(page cluster.ListPage, err error) (cluster.ListPage, error) {
	if err != nil {
		return cluster.ListPage{}, err
	}
	if !page.More {
		page.Next, page.NextVersion = "", cluster.VersionID{}
	}
	return page, nil
}
