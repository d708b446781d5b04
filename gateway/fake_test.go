package gateway

import (
	"context"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// fakeCluster is a small in-memory cluster of several name and object servers, for faults that real servers do not produce on demand. It keeps
// what the gateway's unit tests need of the contract; integration/s3 runs on the real servers.
type fakeCluster struct {
	mu      sync.Mutex
	names   []*fakeNames
	bytes   map[cluster.Link][]byte
	guards  map[cluster.Link]bool
	dropped int // guards dropped
	pages   int // answers to List
	listed  int // names and prefixes in them
	buckets map[string]cluster.Bucket
	sealed  map[cluster.BucketID]bool
	seq     uint64

	onRead   func(cluster.Link) error   // before a read
	onGuard  func() error               // before a guard
	onCreate func() error               // before CreateEntry
	refuse   map[cluster.ServiceID]bool // object servers that are away
	next     uint64                     // places objects in turn
}

// fakeNames is one name server of it.
type fakeNames struct {
	cluster.NameServer // what the tests do not use panics
	c                  *fakeCluster
	entries            map[cluster.BucketID]map[string]cluster.Entry
	parts              func() []cluster.Part // of any table
}

const fakeObjectServers = 2

func newFake(names int) *fakeCluster {
	c := &fakeCluster{bytes: map[cluster.Link][]byte{}, guards: map[cluster.Link]bool{}, buckets: map[string]cluster.Bucket{}, sealed: map[cluster.BucketID]bool{}, refuse: map[cluster.ServiceID]bool{}}
	for range names {
		c.names = append(c.names, &fakeNames{c: c, entries: map[cluster.BucketID]map[string]cluster.Entry{}})
	}
	return c
}

func (c *fakeCluster) NameServerFor(_ cluster.BucketID, key string) (cluster.NameServer, error) {
	h := fnv.New32a()
	_, _ = io.WriteString(h, key[:strings.LastIndexByte(key, '/')+1])
	return c.names[h.Sum32()%uint32(len(c.names))], nil
}

func (c *fakeCluster) NameServerOfBucket(string) (cluster.NameServer, error) { return c.names[0], nil }
func (c *fakeCluster) NameServerOfRecord(string) (cluster.NameServer, error) { return c.names[0], nil }

func (c *fakeCluster) NameServers() ([]cluster.NameServer, error) {
	var all []cluster.NameServer
	for _, n := range c.names {
		all = append(all, n)
	}
	return all, nil
}

func (c *fakeCluster) PlaceObject(cluster.BucketID, string, int32) (cluster.ServiceID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return cluster.NewServiceID(cluster.TypeObject, c.next%fakeObjectServers), nil
}

func (c *fakeCluster) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	if c.refuse[id] {
		return nil, fault.New(fault.Unavailable, "%s is away", id)
	}
	return &fakeBytes{c: c, id: id}, nil
}

func (n *fakeNames) CreateBucket(_ context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if old, ok := n.c.buckets[b.Name]; ok {
		return old, fault.Exists
	}
	b.Epoch = 1
	n.c.buckets[b.Name] = b
	return b, nil
}

func (n *fakeNames) GetBucket(_ context.Context, name string) (cluster.Bucket, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	b, ok := n.c.buckets[name]
	if !ok {
		return b, fault.NoBucket
	}
	return b, nil
}

func (n *fakeNames) GetBucketSince(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) (cluster.Bucket, bool, error) {
	b, err := n.GetBucket(ctx, name)
	if err != nil || b.ID == id && b.Epoch == epoch {
		return cluster.Bucket{}, err == nil, err
	}
	return b, false, nil
}

func (n *fakeNames) DeleteBucket(_ context.Context, name string, _ cluster.BucketID, _ cluster.Epoch) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	delete(n.c.buckets, name)
	return nil
}

func (n *fakeNames) ListBuckets(_ context.Context, r cluster.ListBucketsRequest) (cluster.BucketPage, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	var p cluster.BucketPage
	if n != n.c.names[0] {
		return p, nil
	}
	for _, name := range slices.Sorted(maps.Keys(n.c.buckets)) {
		if b := n.c.buckets[name]; b.Owner == r.Owner && strings.HasPrefix(name, r.Prefix) && name > r.After {
			if len(p.Buckets) == r.Limit {
				p.More = true
				break
			}
			p.Buckets = append(p.Buckets, b)
		}
	}
	return p, nil
}

func (n *fakeNames) SealBucket(_ context.Context, id cluster.BucketID, _ cluster.Epoch, force bool) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if len(n.entries[id]) > 0 && !force {
		return fault.NotEmpty
	}
	n.c.sealed[id] = true
	return nil
}

func (n *fakeNames) UnsealBucket(_ context.Context, id cluster.BucketID, _ cluster.Epoch) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	delete(n.c.sealed, id)
	return nil
}

// ApplyRecords takes everything: what is kept in records is tested on real servers.
func (n *fakeNames) ApplyRecords(context.Context, []cluster.RecordChange) error { return nil }

func (n *fakeNames) GetUpload(_ context.Context, _ cluster.BucketID, key string, id cluster.UploadID) (cluster.Upload, error) {
	return cluster.Upload{ID: id, Key: key, Owner: 1}, nil
}

func (n *fakeNames) ListRecords(context.Context, string, string, int) ([]cluster.Record, bool, error) {
	return nil, false, nil
}

func (n *fakeNames) UpdateBucket(_ context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	old, ok := n.c.buckets[b.Name]
	switch {
	case !ok || old.ID != b.ID:
		return b, fault.NoBucket
	case old.Epoch != b.Epoch:
		return b, fault.Stale
	}
	b.Epoch++
	n.c.buckets[b.Name] = b
	return b, nil
}

func (n *fakeNames) Guard(_ context.Context, g cluster.Guard) error {
	if n.c.onGuard != nil {
		if err := n.c.onGuard(); err != nil {
			return err
		}
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.sealed[g.Bucket] {
		return fault.NoBucket
	}
	n.c.guards[g.Content] = true
	return nil
}

func (n *fakeNames) DropGuard(_ context.Context, links []cluster.Link) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for _, l := range links {
		if n.c.guards[l] {
			n.c.dropped++
			delete(n.c.guards, l)
			delete(n.c.bytes, l)
		}
	}
	return nil
}

func (n *fakeNames) CreateEntry(_ context.Context, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	if n.c.onCreate != nil {
		if err := n.c.onCreate(); err != nil {
			return cluster.Entry{}, err
		}
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	e := r.Entry
	old, exists := n.entries[r.Bucket][e.Key]
	switch {
	case n.c.sealed[r.Bucket]:
		return e, fault.NoBucket
	case r.Condition.IfNoneMatch == "*" && exists:
		return e, fault.Precondition
	case r.Condition.IfMatch != "" && !exists:
		return e, fault.NotFound
	case r.Condition.IfMatch != "" && r.Condition.IfMatch != old.ETag:
		return e, fault.Precondition
	case !e.Content.IsZero() && !n.c.guards[e.Content]:
		return e, fault.GuardGone
	}
	delete(n.c.guards, e.Content)
	delete(n.c.bytes, old.Content)
	if n.entries[r.Bucket] == nil {
		n.entries[r.Bucket] = map[string]cluster.Entry{}
	}
	n.c.seq++
	e.Version, e.Latest = cluster.VersionID{Generation: 1, Sequence: n.c.seq}, true
	n.entries[r.Bucket][e.Key] = e
	return e, nil
}

func (n *fakeNames) Lookup(_ context.Context, r cluster.LookupRequest) (cluster.Entry, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.sealed[r.Bucket] {
		return cluster.Entry{}, fault.NoBucket
	}
	e, ok := n.entries[r.Bucket][r.Key]
	if !ok {
		return e, fault.NotFound
	}
	return e, nil
}

func (n *fakeNames) Parts(context.Context, cluster.BucketID, string, cluster.ObjectID, int64, int) ([]cluster.Part, error) {
	return n.parts(), nil
}

func (n *fakeNames) DeleteEntry(_ context.Context, r cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.sealed[r.Bucket] {
		return cluster.Deleted{}, fault.NoBucket
	}
	e, ok := n.entries[r.Bucket][r.Key]
	delete(n.entries[r.Bucket], r.Key)
	delete(n.c.bytes, e.Content)
	return cluster.Deleted{Found: ok}, nil
}

// List follows the contract of cluster.NameServer by looking at every key.
func (n *fakeNames) List(_ context.Context, r cluster.ListRequest) (cluster.ListPage, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	var p cluster.ListPage
	if n.c.sealed[r.Bucket] {
		return p, fault.NoBucket
	}
	last := ""
	for _, key := range slices.Sorted(maps.Keys(n.entries[r.Bucket])) {
		if !strings.HasPrefix(key, r.Prefix) || key <= r.After {
			continue
		}
		name, prefix := key, false
		if i := strings.Index(key[len(r.Prefix):], r.Delimiter); r.Delimiter != "" && i >= 0 {
			name, prefix = key[:len(r.Prefix)+i+len(r.Delimiter)], true
		}
		if name == last || prefix && strings.HasPrefix(r.After, name) {
			continue
		}
		if len(p.Entries)+len(p.Prefixes) == r.Limit {
			p.More, p.Next = true, last
			break
		}
		if last = name; prefix {
			p.Prefixes = append(p.Prefixes, name)
		} else {
			p.Entries = append(p.Entries, n.entries[r.Bucket][key])
		}
	}
	n.c.pages++
	n.c.listed += len(p.Entries) + len(p.Prefixes)
	return p, nil
}

// fakeBytes is one object server of it.
type fakeBytes struct {
	cluster.ObjectServer
	c  *fakeCluster
	id cluster.ServiceID
}

func (f *fakeBytes) CreateObject(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	b := make([]byte, 0, min(size, 1<<20))
	buf := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return cluster.ObjectInfo{}, err
		}
		n, err := body.Read(buf)
		b = append(b, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return cluster.ObjectInfo{}, err
		}
	}
	if int64(len(b)) != size {
		return cluster.ObjectInfo{}, fault.Truncated
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.bytes[cluster.Link{Server: f.id, Object: id}] = b
	return cluster.ObjectInfo{Size: size}, nil
}

func (f *fakeBytes) ReadObject(_ context.Context, id cluster.ObjectID, offset, length int64, w io.Writer) error {
	l := cluster.Link{Server: f.id, Object: id}
	if f.c.onRead != nil {
		if err := f.c.onRead(l); err != nil {
			return err
		}
	}
	f.c.mu.Lock()
	b, ok := f.c.bytes[l]
	f.c.mu.Unlock()
	if !ok {
		return fault.NotFound
	}
	_, err := w.Write(b[offset : offset+length])
	return err
}

func (f *fakeBytes) DeleteObjects(_ context.Context, ids []cluster.ObjectID) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	for _, id := range ids {
		delete(f.c.bytes, cluster.Link{Server: f.id, Object: id})
	}
	return nil
}

// fakeAccounts knows the users of a test by access key.
type fakeAccounts map[string]s3.Credential

func (f fakeAccounts) Lookup(_ context.Context, key string) (s3.Credential, error) {
	if c, ok := f[key]; ok {
		return c, nil
	}
	return s3.Credential{}, s3.ErrInvalidAccessKeyID
}

func (f fakeAccounts) Email(_ context.Context, id cluster.UserID) (string, error) {
	for _, c := range f {
		if c.UserID == uint64(id) {
			return c.Email, nil
		}
	}
	return "", fault.New(fault.NotFound, "no user %s", id)
}

func (f fakeAccounts) FindEmailID(_ context.Context, email string) (cluster.UserID, error) {
	for _, c := range f {
		if c.Email == email && email != "" {
			return cluster.UserID(c.UserID), nil
		}
	}
	return 0, fault.New(fault.NotFound, "no user %s", email)
}
