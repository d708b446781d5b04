package account

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// fakeNames is the part of a name server that this package uses, in memory.
type fakeNames struct {
	cluster.NameServer // nil: nothing else is called

	mu      sync.Mutex
	records map[string]cluster.Record
	buckets []cluster.Bucket
	reads   int           // GetRecord calls
	down    error         // what every call returns
	before  func()        // runs before the next ApplyRecords, once
	gate    chan struct{} // GetRecord waits for it, when set
}

func (f *fakeNames) GetRecord(ctx context.Context, name string) (cluster.Record, error) {
	f.mu.Lock()
	f.reads++
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return cluster.Record{}, fault.Wrap(fault.Unavailable, ctx.Err(), "get record")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return cluster.Record{}, f.down
	}
	r, ok := f.records[name]
	if !ok {
		return cluster.Record{}, fault.New(fault.NotFound, "no record %s", name)
	}
	r.Value = slices.Clone(r.Value)
	return r, nil
}

func (f *fakeNames) ListRecords(_ context.Context, prefix, after string, limit int) (page []cluster.Record, more bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, false, f.down
	}
	for _, name := range slices.Sorted(maps.Keys(f.records)) {
		if strings.HasPrefix(name, prefix) && name > after {
			if len(page) == max(limit, 3) { // small pages, so that paging is used
				return page, true, nil
			}
			page = append(page, f.records[name])
		}
	}
	return page, false, nil
}

func (f *fakeNames) ApplyRecords(_ context.Context, changes []cluster.RecordChange) error {
	f.mu.Lock()
	before := f.before
	f.before = nil
	f.mu.Unlock()
	if before != nil {
		before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return f.down
	}
	for _, c := range changes {
		if !strings.HasPrefix(c.Name, directory) || strings.Contains(c.Name[len(directory):], "/") {
			return fault.New(fault.Invalid, "record %s is not in %s", c.Name, directory)
		}
		if c.Expect != cluster.AnyEpoch && c.Expect != f.records[c.Name].Epoch {
			return fault.New(fault.Precondition, "record %s has another epoch", c.Name)
		}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(f.records, c.Name)
			continue
		}
		f.records[c.Name] = cluster.Record{Name: c.Name, Value: slices.Clone(c.Value), Epoch: f.records[c.Name].Epoch + 1}
	}
	return nil
}

func (f *fakeNames) ListBuckets(_ context.Context, r cluster.ListBucketsRequest) (page cluster.BucketPage, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.buckets {
		if b.Owner == r.Owner {
			page.Buckets = append(page.Buckets, b)
		}
	}
	return page, f.down
}

func (f *fakeNames) readCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

func (f *fakeNames) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fakeTopology is a volume of two name servers: users on the first, buckets on the second.
type fakeTopology struct {
	cluster.Topology
	users, other *fakeNames
}

func (t fakeTopology) NameServerOfRecord(string) (cluster.NameServer, error) { return t.users, nil }
func (t fakeTopology) NameServers() ([]cluster.NameServer, error) {
	return []cluster.NameServer{t.users, t.other}, nil
}

func newFake() fakeTopology {
	return fakeTopology{users: &fakeNames{records: map[string]cluster.Record{}}, other: &fakeNames{}}
}

func open(t testing.TB, f fakeTopology) *Accounts {
	t.Helper()
	a, err := New(Options{Topology: f, Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func create(t testing.TB, a *Accounts, email string) User {
	t.Helper()
	u, err := a.Create(t.Context(), CreateOptions{Email: email})
	if err != nil {
		t.Fatal(err)
	}
	return u
}
