package nameserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// delayed opens a server whose garbage waits an hour, so that nothing but the test's clock lets it be collected.
func delayed(t *testing.T) (*site, *Server) {
	st := newSite(memfs.New())
	st.opts.GarbageDelay = time.Hour
	return st, st.mustOpen(t, false)
}

func collectNow(t *testing.T, s *Server) {
	t.Helper()
	if err := s.CollectNow(ctxb); err != nil {
		t.Fatal(err)
	}
}

func TestGarbageWaits(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	old := put(t, st, s, 1, "k", cluster.Unversioned)
	put(t, st, s, 1, "k", cluster.Unversioned)
	st.clock.Advance(time.Hour - time.Millisecond)
	collectNow(t, s)
	if !st.links.Has(old.Content) {
		t.Fatal("collected before the delay")
	}
	st.clock.Advance(time.Millisecond)
	collectNow(t, s)
	if st.links.Has(old.Content) {
		t.Fatal("not collected after the delay")
	}
	if n := queueLength(t, s); n != 0 {
		t.Fatalf("%d entries are left in the queue", n)
	}
}

func queueLength(t *testing.T, s *Server) (n int) {
	t.Helper()
	err := s.view(func(snap *store.Snapshot) error {
		return scan(snap, []byte{tagGarbage}, func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestGarbageOfUnavailableServerStays(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	var gone []cluster.Link
	for i := range 4 {
		l := st.links.Make(uint64(1 + i%2))
		gone = append(gone, l)
		if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "k", Content: l, Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropGuard(ctxb, gone); err != nil {
		t.Fatal(err)
	}
	st.links.Fail(1, true)
	st.clock.Advance(time.Hour)
	for range 3 {
		if err := s.CollectNow(ctxb); !errors.Is(err, fault.Unavailable) {
			t.Fatalf("got %v, want %v", err, fault.Unavailable)
		}
	}
	if n := queueLength(t, s); n != 2 || !st.links.Has(gone[0]) || st.links.Has(gone[1]) {
		t.Fatalf("%d entries are left, want the 2 of the server that is down", n)
	}
	down := cluster.NewServiceID(cluster.TypeObject, 1)
	if !s.gc.resting(down, time.Now()) || s.gc.resting(down, time.Now().Add(2*maxBackoff)) {
		t.Error("a server that failed is to rest, but not for ever")
	}
	st.kill(s)
	s = st.mustOpen(t, false)
	st.links.Fail(1, false)
	collectNow(t, s)
	if n := queueLength(t, s); n != 0 || st.links.Len() != 0 {
		t.Fatalf("after a restart %d entries and %d objects are left", n, st.links.Len())
	}
}

// TestCollectorRevalidates queues links that are in use, as a mistake would: the collector keeps them, by whatever they are held.
func TestCollectorRevalidates(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	old := put(t, st, s, 1, "k", cluster.VersioningEnabled)
	cur := put(t, st, s, 1, "k", cluster.VersioningEnabled)
	id := cluster.NewUploadID()
	part := st.links.Make(1)
	if err := errors.Join(
		s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: "k", Initiated: when}),
		s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "k", Content: part, Timeout: time.Hour}),
		s.PutPart(ctxb, 1, "k", id, cluster.Part{Number: 1, Size: 1, Content: part, Modified: when})); err != nil {
		t.Fatal(err)
	}
	guarded := st.links.Make(1)
	if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "k", Content: guarded, Timeout: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	free := st.links.Make(1)
	err := s.store.Update(ctxb, func(tx *store.Tx) error {
		for _, g := range []garbage{
			{origin: originVersion, id: old.Content.Object, version: old.Version}, {origin: originVersion, id: cur.Content.Object, version: cur.Version},
			{origin: originGuard, id: old.Content.Object}, {origin: originPart, id: part.Object}, {origin: originVersion, id: guarded.Object},
			{origin: originGuard, id: free.Object},
		} {
			g.kind, g.bucket, g.key = garbageLink, 1, "k"
			s.enqueue(tx, cur.Content.Server, g)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	collectNow(t, s)
	for i, l := range []cluster.Link{old.Content, cur.Content, part, guarded} {
		if !st.links.Has(l) {
			t.Errorf("link %d is in use and was deleted", i)
		}
	}
	if st.links.Has(free) {
		t.Error("a link that nothing holds was kept")
	}
	if got := s.Stats().Spared; got != 5 {
		t.Errorf("%d links were spared, want 5", got)
	}
}

// TestLateGuardCannotRevive drops a guard and sends it again, as a network that repeats messages may: the create after it must fail.
func TestLateGuardCannotRevive(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	l := st.links.Make(1)
	g := cluster.Guard{Bucket: 1, Key: "k", Content: l, Timeout: time.Minute}
	if err := errors.Join(s.Guard(ctxb, g), s.DropGuard(ctxb, []cluster.Link{l})); err != nil {
		t.Fatal(err)
	}
	if err := s.Guard(ctxb, g); !errors.Is(err, fault.GuardGone) {
		t.Fatalf("got %v, want %v", err, fault.GuardGone)
	}
}

// TestGuardAgainBesideCreate sends a guard again, as a client does whose connection broke, after the create that ended it was committed and before its entry is taken out of the index. The guard
// that is left must have its entry: without it it would not expire before the next start.
func TestGuardAgainBesideCreate(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	l := st.links.Make(1)
	guard := func() {
		t.Helper()
		if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "k", Content: l, Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	guard()
	var used *guardItem
	if err := s.store.Update(ctxb, func(tx *store.Tx) (err error) { used, err = s.useGuard(tx, l, 1, "k"); return err }); err != nil {
		t.Fatal(err)
	}
	guard()
	s.guards.remove(used)
	if err := s.Check(ctxb); err != nil {
		t.Error(err)
	}
	st.clock.Advance(2 * time.Minute)
	collectNow(t, s)
	if n := s.Stats().Guards; n != 0 {
		t.Errorf("%d guards are left after they expired", n)
	}
}

// TestGuardsSurviveRestart expires guards that another generation took, and lets the others be used.
func TestGuardsSurviveRestart(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		st, s := delayed(t)
		var links []cluster.Link
		for i := range 100 {
			links = append(links, st.links.Make(1))
			g := cluster.Guard{Bucket: 1, Key: fmt.Sprint(i), Content: links[i], Timeout: time.Duration(1+i%10) * time.Hour}
			if err := s.Guard(ctxb, g); err != nil {
				t.Fatal(err)
			}
		}
		put(t, st, s, 1, "durable", 0) // and so are the guards before it
		if clean {
			if err := s.Close(ctxb); err != nil {
				t.Fatal(err)
			}
		} else {
			st.kill(s)
		}
		s = st.mustOpen(t, clean)
		if got := s.Stats().Guards; got != 100 {
			t.Fatalf("%d guards after a restart, want 100", got)
		}
		st.clock.Advance(5*time.Hour + time.Minute)
		collectNow(t, s)
		if got := s.Stats(); got.Guards != 50 {
			t.Fatalf("%d guards are left, want 50", got.Guards)
		}
		st.clock.Advance(time.Hour - 2*time.Minute)
		for i, l := range links {
			_, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Entry: cluster.Entry{Key: fmt.Sprint(i), Size: 1, Content: l, Modified: when}})
			if expired := i%10 < 5; expired != errors.Is(err, fault.GuardGone) || !expired && err != nil {
				t.Fatalf("guard %d: %v", i, err)
			}
		}
	}
}

// TestForcedSealGoesOnAfterRestart kills the server while it empties a bucket of many records.
func TestForcedSealGoesOnAfterRestart(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	for i := range 2 * expandBatch {
		put(t, st, s, 1, fmt.Sprintf("k%d", i%(expandBatch+100)), cluster.VersioningEnabled)
	}
	kept := put(t, st, s, 2, "kept", 0)
	if err := s.SealBucket(ctxb, 1, 1, true); err != nil {
		t.Fatal(err)
	}
	var at wipe
	for range 2 { // as far as the collector may have come
		err := s.store.Update(ctxb, func(tx *store.Tx) error { _, err := s.wipeBucket(tx, 1, &at); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(ctxb); err != nil {
		t.Fatal(err)
	}
	st.kill(s)
	s = st.mustOpen(t, false)
	if _, err := s.List(ctxb, cluster.ListRequest{Bucket: 1}); !errors.Is(err, fault.NoBucket) {
		t.Fatalf("got %v, want %v", err, fault.NoBucket)
	}
	collectNow(t, s)
	st.clock.Advance(2 * time.Hour)
	collectNow(t, s)
	if st.links.Len() != 1 || !st.links.Has(kept.Content) || queueLength(t, s) != 0 {
		t.Fatalf("%d objects and %d entries are left, want 1 and 0", st.links.Len(), queueLength(t, s))
	}
}

// TestBackgroundCollection lets the goroutines work by themselves.
func TestBackgroundCollection(t *testing.T) {
	t.Parallel()
	st := newSite(memfs.New())
	s := st.mustOpen(t, false)
	put(t, st, s, 1, "k", 0)
	if _, err := s.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctxb, time.Minute)
	defer cancel()
	for st.links.Len() > 0 {
		select {
		case <-ctx.Done():
			t.Fatal("the collector did nothing")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestConcurrent runs writers, readers, collection and checks at once; -race looks for the rest.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	st := newSite(memfs.New())
	st.opts.MemtableBytes = 64 << 10
	s := st.mustOpen(t, false)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 60 {
				key := fmt.Sprintf("k%d", (i+w)%5)
				l := st.links.Make(uint64(w % 3))
				l.Server++ // never server 0
				err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: key, Content: l, Timeout: time.Minute})
				if err == nil {
					_, err = s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Versioning: cluster.Versioning(i % 3), Entry: cluster.Entry{Key: key, Size: 1, Content: l, Modified: when}})
				}
				if err == nil && i%3 == 0 {
					_, err = s.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: key}, Versioning: cluster.Versioning(w % 3), Modified: when})
				}
				if err == nil && i%7 == 0 {
					_, err = s.ListVersions(ctxb, cluster.ListVersionsRequest{Bucket: 1})
				}
				if err == nil && i%20 == 0 {
					err = s.CollectNow(ctxb)
				}
				if err != nil {
					t.Errorf("writer %d, step %d: %v", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestLostOwnerAnswersNothing ends the ownership: no call returns anything that could be old.
func TestLostOwnerAnswersNothing(t *testing.T) {
	t.Parallel()
	st := newSite(memfs.New())
	s := st.mustOpen(t, false)
	put(t, st, s, 1, "k", 0)
	st.owner.lost.Store(true)
	_, lookup := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: "k"})
	_, list := s.List(ctxb, cluster.ListRequest{Bucket: 1})
	_, del := s.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k"}})
	for _, err := range []error{lookup, list, del} {
		if !errors.Is(err, fault.Stale) {
			t.Errorf("got %v, want %v", err, fault.Stale)
		}
	}
	if st.links.Len() != 1 {
		t.Error("the object was deleted by a server that is not the owner")
	}
	_ = s.Close(ctxb)
	if _, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: "k"}); err == nil {
		t.Error("a closed server answers")
	}
}
