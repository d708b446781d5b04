package nameserver

import (
	"fmt"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/invariant"
)

// Tests of what a request costs when there are very many names: they count the entries that walks pass (store.Stats.Steps), the pages of the tree that are read, and the bytes allocated. None
// depends on how fast the machine is. integration/bench measures the time.

// crowd is a server with many names, all in the tree of which the cache holds next to nothing.
type crowd struct {
	*Server
	t     *testing.T
	st    *site
	reads *fsbackend.Counters
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t}
	fs, counters := fsbackend.Count(memfs.New())
	c.st, c.reads = newSite(fs), counters
	c.st.opts.MemtableBytes, c.st.opts.LogBytes, c.st.opts.SegmentBytes, c.st.opts.CacheBytes = 32<<20, 64<<20, 16<<20, 256<<10
	c.Server = c.st.mustOpen(t, false)
	return c
}

func (c *crowd) names(bucket cluster.BucketID, n int, name func(i int) string) {
	c.t.Helper()
	fill(c.t, c.Server, bucket, n, name)
	c.flush()
}

func (c *crowd) flush() {
	c.t.Helper()
	if err := c.Flush(ctxb); err != nil {
		c.t.Fatal(err)
	}
}

// cost calls f and returns the entries passed and the preads.
func (c *crowd) cost(f func()) (steps, reads uint64) {
	c.t.Helper()
	s, r := c.Stats().Store.Steps, c.reads.Reads.Load()
	f()
	return c.Stats().Store.Steps - s, uint64(c.reads.Reads.Load() - r)
}

// limit fails the test when f passes more entries or reads more pages, and what the server may do meanwhile of its own accord: look for expired guards and garbage.
func (c *crowd) limit(what string, steps, reads uint64, f func()) {
	c.t.Helper()
	const own = 50
	steps, reads = steps+own, reads+own
	gotSteps, gotReads := c.cost(f)
	if gotSteps > steps || gotReads > reads && !invariant.Enabled {
		c.t.Errorf("%s passed %d entries and read %d pages, want at most %d and %d", what, gotSteps, gotReads, steps, reads)
	}
}

func (c *crowd) list(r cluster.ListRequest, entries, prefixes int) cluster.ListPage {
	c.t.Helper()
	p, err := c.List(ctxb, r)
	if err != nil || len(p.Entries) != entries || len(p.Prefixes) != prefixes {
		c.t.Fatalf("list %+v: %d entries, %d prefixes, %v; want %d and %d", r, len(p.Entries), len(p.Prefixes), err, entries, prefixes)
	}
	return p
}

func (c *crowd) listVersions(r cluster.ListVersionsRequest, entries, prefixes int) cluster.ListPage {
	c.t.Helper()
	p, err := c.ListVersions(ctxb, r)
	if err != nil || len(p.Entries) != entries || len(p.Prefixes) != prefixes {
		c.t.Fatalf("list versions %+v: %d entries, %d prefixes, %v; want %d and %d", r, len(p.Entries), len(p.Prefixes), err, entries, prefixes)
	}
	return p
}

// TestListCost: what a page costs depends on the page, not on the bucket.
func TestListCost(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	const n = 60_000
	c.names(1, n, func(i int) string { return fmt.Sprintf("logs/%07d", i) })
	c.names(2, n, func(i int) string { return fmt.Sprintf("p%07d/x", i) })
	put(t, c.st, c.Server, 1, "logs/0030000/late", 0) // in the memtable: a second layer to walk
	put(t, c.st, c.Server, 1, "z", 0)

	c.limit("a delimiter over all names", 12, 12, func() { c.list(cluster.ListRequest{Bucket: 1, Delimiter: "/"}, 1, 1) })
	c.limit("a delimiter from a name within", 12, 12, func() { c.list(cluster.ListRequest{Bucket: 1, Delimiter: "/", After: "logs/0020000"}, 1, 0) })
	c.limit("a delimiter over all versions", 16, 24, func() { c.listVersions(cluster.ListVersionsRequest{Bucket: 1, Delimiter: "/"}, 1, 1) })
	c.limit("a page anywhere", 1000+10, 60, func() { c.list(cluster.ListRequest{Bucket: 1, After: "logs/0040000", Limit: 1000}, 1000, 0) })
	// The worst shape: a common prefix per name. One seek each, and neighbours share their page.
	c.limit("1000 prefixes", 3*1000+10, 60, func() {
		c.list(cluster.ListRequest{Bucket: 2, Delimiter: "/", After: "p0030000/", Limit: 1000}, 0, 1000)
	})
	c.limit("1000 prefixes of versions", 4*1000+20, 80, func() {
		c.listVersions(cluster.ListVersionsRequest{Bucket: 2, Delimiter: "/", KeyMarker: "p0030000/", Limit: 1000}, 0, 1000)
	})

	// The whole bucket: each entry is passed once, each leaf read about once.
	pages := uint64(n/1000 + 1)
	_, all := c.cost(func() {
		got := 0
		for r := (cluster.ListRequest{Bucket: 2, Limit: 1000}); ; {
			p, err := c.List(ctxb, r)
			if err != nil {
				t.Fatal(err)
			}
			if got += len(p.Entries); !p.More {
				break
			}
			r.After = p.Next
		}
		if got != n {
			t.Fatalf("%d names are listed, want %d", got, n)
		}
	})
	if leaves := uint64(n * 160 / 4096); all > leaves+4*pages && !invariant.Enabled {
		t.Errorf("the whole bucket took %d reads, want about one for each of %d leaves and %d for the %d pages", all, leaves, 4*pages, pages)
	}
}

// TestListMemory: a page is all that a listing holds. Not parallel: it counts what the process allocates.
func TestListMemory(t *testing.T) {
	if invariant.Enabled {
		t.Skip("checks allocate")
	}
	c := newCrowd(t)
	name := func(i int) string { return fmt.Sprintf("p%07d/x", i) }
	c.names(1, 3_000, name)
	c.names(2, 60_000, name)
	for _, tc := range []struct {
		what string
		list func(bucket cluster.BucketID)
	}{
		{"a page", func(b cluster.BucketID) { c.list(cluster.ListRequest{Bucket: b, After: "p0001", Limit: 1000}, 1000, 0) }},
		{"a page of prefixes", func(b cluster.BucketID) {
			c.list(cluster.ListRequest{Bucket: b, Delimiter: "/", After: "p0001", Limit: 1000}, 0, 1000)
		}},
		{"a page of versions", func(b cluster.BucketID) {
			c.listVersions(cluster.ListVersionsRequest{Bucket: b, KeyMarker: "p0001", Limit: 1000}, 1000, 0)
		}},
	} {
		small := testing.AllocsPerRun(5, func() { tc.list(1) })
		large := testing.AllocsPerRun(5, func() { tc.list(2) })
		if large > small+100 || large > 5*1000 {
			t.Errorf("%s took %.0f allocations among 60,000 names and %.0f among 3,000", tc.what, large, small)
		}
	}
}

// TestVersionCost: very many versions of one name cost a request nothing.
func TestVersionCost(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	const n = 60_000
	versions := make([]cluster.VersionID, 0, n)
	for len(versions) < n { // as CreateEntry does, many to a batch
		err := c.store.Update(ctxb, func(tx *store.Tx) error {
			for range 5000 {
				nm, err := c.openName(tx, 1, "k")
				if err != nil {
					return err
				}
				v, err := nm.add(newHead(&cluster.Entry{Modified: when, ETag: "x"}), false)
				if err != nil {
					return err
				}
				versions = append(versions, v)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
	look := func(r cluster.LookupRequest) {
		t.Helper()
		r.Bucket, r.Key = 1, "k"
		if _, err := c.Lookup(ctxb, r); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(v cluster.VersionID) {
		t.Helper()
		d, err := c.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k", Version: v}, Versioning: cluster.VersioningEnabled})
		if err != nil || !d.Found {
			t.Fatalf("delete version %s: %+v, %v", v, d, err)
		}
	}
	c.limit("the current version", 0, 4, func() { look(cluster.LookupRequest{}) })
	c.limit("a version", 0, 6, func() { look(cluster.LookupRequest{Version: versions[n/3]}) })
	c.limit("a new version", 0, 8, func() { put(t, c.st, c.Server, 1, "k", cluster.VersioningEnabled) })
	c.limit("deletion of a version", 0, 6, func() { remove(versions[n/2]) })
	for _, at := range []int{0, 1, n / 2, n - 1000, n - 1} { // n/2 is gone: the marker of a version that is no more
		want := min(at, 1000)
		if at > n/2 && at-n/2 <= 1000 {
			want--
		}
		c.limit(fmt.Sprintf("a page of versions after number %d", at), 1000+20, 80, func() {
			c.listVersions(cluster.ListVersionsRequest{Bucket: 1, KeyMarker: "k", VersionMarker: versions[at], Limit: 1000}, want, 0)
		})
	}
	c.limit("the name", 8, 12, func() { c.list(cluster.ListRequest{Bucket: 1}, 1, 0) })

	// From the newest on, which leaves a row of deleted entries in the memtable before the one that becomes current.
	remove(c.currentVersion("k"))
	const row = 2000
	c.limit("deletion of the current version, again and again", 6*row, 4*row, func() {
		for i := range row {
			remove(versions[n-1-i])
		}
	})
	if got := c.currentVersion("k"); got != versions[n-1-row] {
		t.Errorf("the current version is %s, want %s", got, versions[n-1-row])
	}
}

func (c *crowd) currentVersion(key string) cluster.VersionID {
	c.t.Helper()
	e, err := c.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: key})
	if err != nil {
		c.t.Fatal(err)
	}
	return e.Version
}

// TestDeletedCost: deleted names are passed until the next checkpoint, and no longer; delete markers are versions, which listings of versions skip with their common prefix.
func TestDeletedCost(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	const n = 20_000
	name := func(i int) string { return fmt.Sprintf("x/%07d", i) }
	c.names(1, n, name)
	put(t, c.st, c.Server, 1, "z", 0)
	err := c.store.Update(ctxb, func(tx *store.Tx) error {
		for i := range n {
			tx.Delete(nameKey(tagHead, 1, name(i), 0))
			b := newHead(&cluster.Entry{Modified: when, DeleteMarker: true})
			rawEntry(b[headPrefixBytes:]).stamp(c.nextVersion(), false)
			tx.Put(nameKey(tagHead, 2, name(i), 0), b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list := func(bucket cluster.BucketID, entries int) func() {
		return func() { c.list(cluster.ListRequest{Bucket: bucket, Delimiter: "/"}, entries, 0) }
	}
	c.limit("a delimiter over deleted names", 2*n+20, n/10, list(1, 1)) // in the memtable and below it in the tree
	c.flush()
	c.limit("a delimiter over names deleted before the checkpoint", 12, 12, list(1, 1))
	c.limit("a delimiter over delete markers", n+20, n/10, list(2, 0))
	c.limit("a delimiter over versions that are delete markers", 16, 24, func() { c.listVersions(cluster.ListVersionsRequest{Bucket: 2, Delimiter: "/"}, 0, 1) })
}
