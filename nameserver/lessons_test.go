package nameserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// What other systems lost data to, each as a test of its name. docs/failure-model.md lists them all.

// TestReadsLeaveGarbageAlone: a read that changes what is garbage frees what somebody else refers to. Every read there is leaves every table as it was, and the queue frees what it would have freed.
func TestReadsLeaveGarbageAlone(t *testing.T) {
	t.Parallel()
	st, s := delayed(t)
	garbage, current := put(t, st, s, 1, "k", cluster.Unversioned), put(t, st, s, 1, "k", cluster.Unversioned)
	first := put(t, st, s, 1, "versions", cluster.VersioningEnabled)
	second := put(t, st, s, 1, "versions", cluster.VersioningEnabled)
	guarded, stranger := st.links.Make(1), st.links.Make(1)
	id := cluster.NewUploadID()
	part := st.links.Make(1)
	if err := errors.Join(
		s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "guarded", Content: guarded, Timeout: 24 * time.Hour}),
		s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: "up", Initiated: when}),
		s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "up", Content: part, Timeout: time.Hour}),
		s.PutPart(ctxb, 1, "up", id, cluster.Part{Number: 1, Size: 1, Content: part, Modified: when}),
		s.ApplyRecords(ctxb, []cluster.RecordChange{{Name: "/u/1", Value: []byte("x")}})); err != nil {
		t.Fatal(err)
	}
	before := contents(t, s)
	server := current.Content.Server
	all := []cluster.ObjectID{garbage.Content.Object, current.Content.Object, first.Content.Object, second.Content.Object, guarded.Object, stranger.Object, part.Object}
	for round := range 3 { // some at once with others
		var wg sync.WaitGroup
		for name, read := range map[string]func() error{
			"lookup": func() error { _, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: "k"}); return err },
			"lookup nothing": func() error {
				_, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: "none"})
				return mustMiss(err)
			},
			"old version": func() error {
				_, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: "versions", Version: first.Version})
				return err
			},
			"list":          func() error { _, err := s.List(ctxb, cluster.ListRequest{Bucket: 1}); return err },
			"list versions": func() error { _, err := s.ListVersions(ctxb, cluster.ListVersionsRequest{Bucket: 1}); return err },
			"buckets":       func() error { _, err := s.ListBuckets(ctxb, cluster.ListBucketsRequest{}); return err },
			"upload":        func() error { _, err := s.GetUpload(ctxb, 1, "up", id); return err },
			"parts":         func() error { _, _, err := s.ListParts(ctxb, 1, "up", id, 0, 10); return err },
			"uploads":       func() error { _, err := s.ListUploads(ctxb, cluster.ListUploadsRequest{Bucket: 1}); return err },
			"record":        func() error { _, err := s.GetRecord(ctxb, "/u/1"); return err },
			"records":       func() error { _, _, err := s.ListRecords(ctxb, "/", "", 10); return err },
			"who has them":  func() error { _, err := s.FindLinks(ctxb, server, all); return err },
			"each link": func() error {
				return s.EachLink(ctxb, func(cluster.ServiceID, cluster.LinkHolder, int64) error { return nil })
			},
			"each guard": func() error { return s.EachGuarded(ctxb, func(cluster.Link) error { return nil }) },
			"backup":     func() error { _, err := s.Backup(ctxb, backupID, io.Discard); return err },
			"check":      func() error { return s.Check(ctxb) },
			"orphans": func() error {
				unknown, err := s.UnknownLinks(ctxb, server, all)
				if err == nil && !slices.Equal(unknown, []cluster.ObjectID{stranger.Object}) {
					err = fmt.Errorf("unknown are %v", unknown)
				}
				return err
			},
		} {
			wg.Go(func() {
				if err := read(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			if round == 0 {
				wg.Wait()
				if now := contents(t, s); !maps.Equal(now, before) {
					t.Fatalf("%s changed the tables", name)
				}
			}
		}
		wg.Wait()
	}
	if !maps.Equal(contents(t, s), before) {
		t.Fatal("reads at once changed the tables")
	}
	st.clock.Advance(time.Hour)
	collectNow(t, s)
	for l, there := range map[cluster.Link]bool{garbage.Content: false, current.Content: true, first.Content: true, second.Content: true, guarded: true, part: true} {
		if st.links.Has(l) != there {
			t.Errorf("object %v: there %v, want %v", l.Object, st.links.Has(l), there)
		}
	}
}

func mustMiss(err error) error {
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return fmt.Errorf("not %w", errors.Join(fault.NotFound, err))
}

// TestAbortRacesComplete: exactly one of them wins. An upload that was completed keeps all its parts; one that was aborted leaves neither a name nor bytes.
func TestAbortRacesComplete(t *testing.T) {
	t.Parallel()
	st := newSite(memfs.New())
	s := st.mustOpen(t, false)
	completed := 0
	for n := range 200 {
		key, id := fmt.Sprintf("k%d", n), cluster.NewUploadID()
		if err := s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: key, Initiated: when}); err != nil {
			t.Fatal(err)
		}
		var parts []cluster.Link
		r := cluster.CompleteUploadRequest{Bucket: 1, Key: key, ID: id, Modified: when, ETag: "e"}
		for i := range int32(3) {
			l := st.links.Make(1)
			parts = append(parts, l)
			if err := errors.Join(s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: key, Content: l, Timeout: time.Hour}),
				s.PutPart(ctxb, 1, key, id, cluster.Part{Number: i + 1, Size: cluster.MinPartBytes, ETag: "p", Content: l, Modified: when})); err != nil {
				t.Fatal(err)
			}
			r.Parts = append(r.Parts, cluster.CompletePart{Number: i + 1, ETag: "p"})
		}
		var completeErr, abortErr error
		var wg sync.WaitGroup
		start := make(chan struct{})
		complete := func() { <-start; _, completeErr = s.CompleteUpload(ctxb, r) }
		abort := func() {
			<-start
			for range n % 5 { // who comes first differs
				runtime.Gosched()
			}
			abortErr = s.AbortUpload(ctxb, 1, key, id)
		}
		if n%2 == 0 {
			wg.Go(complete)
			wg.Go(abort)
		} else {
			wg.Go(abort)
			wg.Go(complete)
		}
		close(start)
		wg.Wait()
		collectNow(t, s)
		_, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: key})
		won := completeErr == nil
		switch {
		case won && (err != nil || abortErr == nil), !won && (!errors.Is(completeErr, fault.NoUpload) || abortErr != nil || !errors.Is(err, fault.NotFound)):
			t.Fatalf("upload %d: complete says %v, abort %v, lookup %v", n, completeErr, abortErr, err)
		}
		if won {
			completed++
		}
		for i, l := range parts {
			if st.links.Has(l) != won {
				t.Fatalf("upload %d, completed %v: part %d is there: %v", n, won, i+1, st.links.Has(l))
			}
		}
	}
	t.Logf("%d of 200 were completed", completed)
}

// TestNoGhostInList: a listing shows exactly what look-ups find, after every change and wherever it is: in memory, in what a checkpoint is writing, in the tree, after a restart. Nor does a common
// prefix stay when the last name under it is gone.
func TestNoGhostInList(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	st := newSite(memfs.New())
	s := st.mustOpen(t, false)
	there := map[string]bool{}
	look := func(what string) {
		t.Helper()
		want := slices.Sorted(maps.Keys(there))
		page, err := s.List(ctxb, cluster.ListRequest{Bucket: 1})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range page.Entries {
			got = append(got, e.Key)
			if _, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: e.Key}); err != nil {
				t.Fatalf("%s: %q is listed: %v", what, e.Key, err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: listed %q, want %q", what, got, want)
		}
		prefixes := map[string]bool{}
		for _, k := range want {
			prefixes[k[:strings.Index(k, "/")+1]] = true
		}
		page, err = s.List(ctxb, cluster.ListRequest{Bucket: 1, Delimiter: "/"})
		if err != nil || !slices.Equal(page.Prefixes, slices.Sorted(maps.Keys(prefixes))) || len(page.Entries) > 0 {
			t.Fatalf("%s: prefixes %q and %d entries, want %q; %v", what, page.Prefixes, len(page.Entries), slices.Sorted(maps.Keys(prefixes)), err)
		}
	}
	for n := range 1500 {
		key := fmt.Sprintf("d%d/k%d", rng.IntN(5), rng.IntN(4))
		what := fmt.Sprintf("step %d", n)
		switch k := rng.IntN(100); {
		case k < 45:
			put(t, st, s, 1, key, cluster.Unversioned)
			there[key] = true
		case k < 94:
			if _, err := s.DeleteEntry(ctxb, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: key}}); err != nil {
				t.Fatal(err)
			}
			delete(there, key)
		case k < 98:
			go func(s *Server) { _ = s.Flush(context.Background()) }(s) // what comes next meets it under way
			continue
		case k < 99:
			if err := s.Flush(ctxb); err != nil {
				t.Fatal(err)
			}
		default:
			st.kill(s)
			s = st.mustOpen(t, false)
			what += ", restarted"
		}
		look(what)
	}
}

// TestWallClockJumpsOfNames: the time of day orders nothing. Whatever it does, the write that was acknowledged last counts, versions stay in their order, and what a name refers to is not
// collected; a guard may end early, and then its write is refused.
func TestWallClockJumpsOfNames(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	st, s := delayed(t)
	newest := map[string]cluster.Entry{}
	history := map[string][]cluster.VersionID{} // newest first
	refused := 0
	for n := range 600 {
		st.clock.Advance(time.Duration(rng.Int64N(int64(40*365*24*time.Hour))) - 20*365*24*time.Hour)
		key := fmt.Sprintf("k%d", rng.IntN(10))
		l := st.links.Make(1)
		if err := s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: key, Content: l, Timeout: time.Hour}); err != nil {
			t.Fatal(err)
		}
		jumped := rng.IntN(3) == 0
		if jumped {
			st.clock.Advance(time.Duration(rng.Int64N(int64(4*time.Hour))) - 2*time.Hour)
			collectNow(t, s)
		}
		e, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Versioning: cluster.VersioningEnabled,
			Entry: cluster.Entry{Key: key, Modified: st.clock.Now(), Size: 1, Content: l, ETag: fmt.Sprint(n)}})
		switch {
		case err == nil:
			newest[key] = e
			history[key] = append([]cluster.VersionID{e.Version}, history[key]...)
		case jumped && errors.Is(err, fault.GuardGone):
			refused++
		default:
			t.Fatalf("write %d: %v", n, err)
		}
		if n%50 == 25 {
			collectNow(t, s)
		}
		if n%200 == 199 {
			st.kill(s)
			s = st.mustOpen(t, false)
		}
	}
	for key, want := range newest {
		got, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: key})
		if err != nil || got.ETag != want.ETag || !st.links.Has(got.Content) {
			t.Errorf("%s: write %s, bytes there %v, want write %s; %v", key, got.ETag, st.links.Has(got.Content), want.ETag, err)
		}
		page, err := s.ListVersions(ctxb, cluster.ListVersionsRequest{Bucket: 1, Prefix: key})
		if err != nil {
			t.Fatal(err)
		}
		var order []cluster.VersionID
		for _, e := range page.Entries {
			if e.Key == key {
				order = append(order, e.Version)
				if !st.links.Has(e.Content) {
					t.Errorf("%s, version %v: its bytes were collected", key, e.Version)
				}
			}
		}
		if !slices.Equal(order, history[key]) {
			t.Errorf("%s: versions %v, want %v", key, order, history[key])
		}
	}
	t.Logf("%d of 600 writes were refused because their guard had ended", refused)
}
