package nameserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
)

// driver makes random requests for one bucket.
type driver struct {
	st     *site
	r      *rand.Rand
	bucket cluster.BucketID
	count  int
}

// step is a request: do makes it, apply does to the model what it does to names. v is the version that do returned, or any that is newer than all.
type step struct {
	name  string
	do    func(s *Server) (v cluster.VersionID, err error)
	apply func(m *clustertest.Names, v cluster.VersionID)
}

var (
	ctxb       = context.Background()
	newestEver = cluster.VersionID{Generation: 1<<64 - 1}
)

func (d *driver) next(m *clustertest.Names) step {
	d.count++
	key := fmt.Sprintf("dir%d/k\x00%d", d.r.IntN(2), d.r.IntN(4))
	versioning := cluster.Versioning(d.r.IntN(3))
	etag := fmt.Sprintf("etag-%d", d.count)
	switch n := d.r.IntN(12); {
	case n < 4:
		return d.put(key, etag, versioning)
	case n < 6:
		return d.deleteCurrent(key, versioning)
	case n == 6:
		return d.deleteVersion(m)
	case n == 7:
		return d.update(m, key)
	case n < 10:
		return d.multipart(key, etag, versioning, n == 9)
	case n == 10:
		return step{"drop", func(s *Server) (v cluster.VersionID, err error) {
			l, err := d.guard(s, key)
			if err == nil {
				err = s.DropGuard(ctxb, []cluster.Link{l})
			}
			return v, err
		}, func(*clustertest.Names, cluster.VersionID) {}}
	}
	return step{"collect", func(s *Server) (v cluster.VersionID, err error) {
		d.st.clock.Advance(time.Second)
		return v, s.CollectNow(ctxb)
	}, func(*clustertest.Names, cluster.VersionID) {}}
}

func (d *driver) guard(s *Server, key string) (cluster.Link, error) {
	l := d.st.links.Make(uint64(1 + d.r.IntN(2)))
	return l, s.Guard(ctxb, cluster.Guard{Bucket: d.bucket, Key: key, Content: l, Timeout: time.Hour})
}

func (d *driver) put(key, etag string, versioning cluster.Versioning) step {
	e := cluster.Entry{Key: key, Modified: when, ETag: etag, UserMeta: []cluster.Header{{Name: "n", Value: etag}}}
	null := versioning != cluster.VersioningEnabled
	if d.r.IntN(8) > 0 {
		e.Size = int64(1 + d.r.IntN(1000))
	}
	return step{"put", func(s *Server) (v cluster.VersionID, err error) {
		if e.Size > 0 {
			if e.Content, err = d.guard(s, key); err != nil {
				return v, err
			}
		}
		got, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: d.bucket, Versioning: versioning, Entry: e})
		return got.Version, err
	}, func(m *clustertest.Names, v cluster.VersionID) {
		e := e
		e.Version, e.Null = v, null
		m.Add(e)
	}}
}

func (d *driver) deleteCurrent(key string, versioning cluster.Versioning) step {
	r := cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: d.bucket, Key: key}, Versioning: versioning, Modified: when, Owner: 3}
	return d.delete(r)
}

func (d *driver) delete(r cluster.DeleteEntryRequest) step {
	return step{"delete", func(s *Server) (cluster.VersionID, error) {
		got, err := s.DeleteEntry(ctxb, r)
		return got.Version, err
	}, func(m *clustertest.Names, v cluster.VersionID) { m.Delete(r, v) }}
}

func (d *driver) deleteVersion(m *clustertest.Names) step {
	all := m.ListVersions(cluster.ListVersionsRequest{}).Entries
	r := cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: d.bucket, Key: "none", Null: true}, Modified: when}
	if len(all) > 0 {
		e := all[d.r.IntN(len(all))]
		r.Key, r.Version, r.Null = e.Key, e.Version, false
		if e.Null && d.r.IntN(2) == 0 {
			r.Version, r.Null = cluster.VersionID{}, true
		}
	}
	return d.delete(r)
}

func (d *driver) update(m *clustertest.Names, key string) step {
	cur, ok := m.Find(key, cluster.VersionID{}, false)
	r := cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: d.bucket, Key: key}, Set: []cluster.Attribute{{ID: cluster.AttrTags, Value: []byte(fmt.Sprint(d.count))}}}
	return step{"update", func(s *Server) (v cluster.VersionID, err error) {
		_, err = s.UpdateEntry(ctxb, r)
		if (!ok || cur.DeleteMarker) && errors.Is(err, fault.NotFound) {
			err = nil
		}
		return v, err
	}, func(m *clustertest.Names, _ cluster.VersionID) {
		if ok && !cur.DeleteMarker {
			cur.Attrs = r.Set
			m.Replace(cur)
		}
	}}
}

// multipart begins an upload, puts three parts, one of them twice, and completes it with two, or aborts it.
func (d *driver) multipart(key, etag string, versioning cluster.Versioning, abort bool) step {
	id := cluster.NewUploadID()
	parts := make([]cluster.Part, 4)
	for i := range parts {
		parts[i] = cluster.Part{Number: int32(1 + i%3), Size: cluster.MinPartBytes, ETag: "p", Modified: when}
	}
	do := func(s *Server) (v cluster.VersionID, err error) {
		if err := s.CreateUpload(ctxb, d.bucket, cluster.Upload{ID: id, Key: key, Initiated: when, Template: cluster.Entry{Modified: when, Owner: 8}}); err != nil {
			return v, err
		}
		for _, p := range parts {
			if p.Content, err = d.guard(s, key); err != nil {
				return v, err
			}
			if err := s.PutPart(ctxb, d.bucket, key, id, p); err != nil {
				return v, err
			}
		}
		if abort {
			return v, s.AbortUpload(ctxb, d.bucket, key, id)
		}
		r := cluster.CompleteUploadRequest{Bucket: d.bucket, Versioning: versioning, Key: key, ID: id, Modified: when, ETag: etag, Parts: []cluster.CompletePart{{Number: 1, ETag: "p"}, {Number: 3, ETag: "p"}}}
		e, err := s.CompleteUpload(ctxb, r)
		return e.Version, err
	}
	return step{"multipart", do, func(m *clustertest.Names, v cluster.VersionID) {
		if !abort {
			m.Add(cluster.Entry{Key: key, Version: v, Null: versioning != cluster.VersioningEnabled, Modified: when, Owner: 8, Size: 2 * cluster.MinPartBytes, ETag: etag, PartCount: 2, Table: cluster.ObjectID(id)})
		}
	}}
}

// dump writes everything about the bucket's names but version ids, which the order stands for, and links, of which linksOf speaks.
func dump(t testing.TB, entries []cluster.Entry) string {
	t.Helper()
	var b strings.Builder
	for _, e := range entries {
		e.Version, e.Content = cluster.VersionID{}, cluster.Link{}
		fmt.Fprintf(&b, "%+v\n", e)
	}
	return b.String()
}

// read returns all versions in the bucket, each from its own lookup.
func read(t testing.TB, s *Server, bucket cluster.BucketID) []cluster.Entry {
	t.Helper()
	page, err := s.ListVersions(ctxb, cluster.ListVersionsRequest{Bucket: bucket, Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range page.Entries {
		got, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: bucket, Key: e.Key, Version: e.Version})
		if err != nil {
			t.Fatal(err)
		}
		page.Entries[i] = got
	}
	return page.Entries
}

func modelEntries(m *clustertest.Names) []cluster.Entry {
	return m.ListVersions(cluster.ListVersionsRequest{Limit: 10000}).Entries
}

// linksOf returns the links of all versions, those in part tables too.
func linksOf(t testing.TB, s *Server, bucket cluster.BucketID, entries []cluster.Entry) (ls []cluster.Link) {
	t.Helper()
	for _, e := range entries {
		if !e.Content.IsZero() {
			ls = append(ls, e.Content)
		}
		if e.PartCount > 0 {
			parts, err := s.Parts(ctxb, bucket, e.Key, e.Table, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range parts {
				ls = append(ls, p.Content)
			}
		}
	}
	return ls
}

// TestModel makes random requests with kills and clean restarts in between, and compares everything with the model.
func TestModel(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	st := newSite(memfs.New())
	st.opts.MemtableBytes = 64 << 10 // checkpoints
	d := &driver{st: st, r: r, bucket: 77}
	model := &clustertest.Names{}
	s := st.mustOpen(t, false)
	for i := range 1500 {
		next := d.next(model)
		v, err := next.do(s)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i, next.name, err)
		}
		next.apply(model, v)
		switch n := r.IntN(150); {
		case n == 0:
			st.kill(s)
			s = st.mustOpen(t, false)
		case n == 1:
			if err := s.Close(ctxb); err != nil {
				t.Fatal(err)
			}
			s = st.mustOpen(t, true)
		case n == 2:
			if err := s.Flush(ctxb); err != nil {
				t.Fatal(err)
			}
		case n > 20:
			continue
		}
		got := read(t, s, d.bucket)
		if g, w := dump(t, got), dump(t, modelEntries(model)); g != w {
			t.Fatalf("after step %d, %s:\ngot\n%swant\n%s", i, next.name, g, w)
		}
		for j, e := range modelEntries(model) {
			if got[j].Version != e.Version {
				t.Fatalf("after step %d: version %s of %q, want %s", i, got[j].Version, e.Key, e.Version)
			}
		}
	}
	// In the end every object that no name holds is gone, and every other one is there.
	st.clock.Advance(2 * time.Hour)
	if err := s.CollectNow(ctxb); err != nil {
		t.Fatal(err)
	}
	held := linksOf(t, s, d.bucket, read(t, s, d.bucket))
	for _, l := range held {
		if !st.links.Has(l) {
			t.Errorf("object %s has a name and was deleted", l.Object)
		}
	}
	if got := st.links.Len(); got != len(held) {
		t.Errorf("%d objects are left, %d have names", got, len(held))
	}
	if s.Stats().Spared > 0 {
		t.Errorf("%d queued objects were in use", s.Stats().Spared)
	}
}
