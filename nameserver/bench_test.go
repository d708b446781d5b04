package nameserver

import (
	"fmt"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// fill puts names into the store below the server's interface, in large batches: for tests of many. Objects are empty.
func fill(t testing.TB, s *Server, bucket cluster.BucketID, n int, name func(i int) string) {
	t.Helper()
	for i := 0; i < n; {
		err := s.store.Update(ctxb, func(tx *store.Tx) error {
			for end := min(i+10000, n); i < end; i++ {
				e := cluster.Entry{Modified: when, ETag: "5d41402abc4b2a76b9719d911017c592", Headers: []cluster.Header{{Name: "content-type", Value: "binary/octet-stream"}}}
				b := newHead(&e)
				rawEntry(b[headPrefixBytes:]).stamp(s.nextVersion(), true)
				tx.Put(nameKey(tagHead, bucket, name(i), 0), b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func benchServer(b *testing.B) (*site, *Server) {
	st := newSite(memfs.New())
	st.opts.GarbageDelay = time.Hour
	st.opts.LogBytes, st.opts.SegmentBytes, st.opts.MemtableBytes = 256<<20, 16<<20, 128<<20
	s := st.mustOpen(b, false)
	fill(b, s, 1, 100_000, func(i int) string { return fmt.Sprintf("dir%02d/object-%06d", i/1000, i) })
	if err := s.Flush(ctxb); err != nil {
		b.Fatal(err)
	}
	return st, s
}

func BenchmarkGuardCreate(b *testing.B) {
	_, s := benchServer(b)
	e := fullEntry()
	e.Null, e.Version = false, cluster.VersionID{}
	e.Size = 4096
	b.ReportAllocs()
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			e := e
			e.Content = cluster.Link{Server: 1, Object: cluster.NewObjectID()}
			e.Key = "dir/" + e.Content.Object.String()
			if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: e.Key, Content: e.Content, Timeout: time.Hour}); err != nil {
				b.Error(err)
			}
			if _, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Entry: e}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	_, s := benchServer(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l := cluster.Link{Server: 1, Object: cluster.ObjectID{1, byte(i), byte(i >> 8), byte(i >> 16)}}
		if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "dir01/object-001000", Content: l, Timeout: time.Hour}); err != nil && fault.KindOf(err) != fault.Unavailable {
			b.Fatal(err)
		}
	}
}

func BenchmarkDelete(b *testing.B) {
	_, s := benchServer(b)
	b.ReportAllocs()
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r := cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: fmt.Sprintf("dir%02d/object-%06d", i/1000%100, i%100000)}}
			if _, err := s.DeleteEntry(ctxb, r); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	_, s := benchServer(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 7919) % 100_000 {
		if _, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: fmt.Sprintf("dir%02d/object-%06d", i/1000, i)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList100(b *testing.B) {
	_, s := benchServer(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 7919) % 99_000 {
		p, err := s.List(ctxb, cluster.ListRequest{Bucket: 1, After: fmt.Sprintf("dir%02d/object-%06d", i/1000, i), Limit: 100})
		if err != nil || len(p.Entries) != 100 {
			b.Fatal(len(p.Entries), err)
		}
	}
}

func BenchmarkEntryCodec(b *testing.B) {
	e := fullEntry()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			newHead(&e)
		}
	})
	enc := appendEntry(nil, &e)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeEntry(enc, "k", detailAll); err != nil {
				b.Fatal(err)
			}
		}
	})
}
