package objserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// damage flips a byte of an object's block, or of its header, and returns where.
func damage(t testing.TB, st *orphanSite, id cluster.ObjectID, header bool) (file string, offset int64) {
	t.Helper()
	sn := st.s.store.Snapshot()
	defer sn.Close()
	o, ok, err := load(sn, id)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	list, err := o.all()
	if err != nil {
		t.Fatal(err)
	}
	a := list[len(list)-1].Addr
	file = a.Name(testDir)
	if offset = tiny(0).BlockOffset(a.Pool, a.Block); header {
		offset = tiny(0).HeaderOffset(a.Pool, a.Block)
	}
	f, err := st.fs.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	return file, offset
}

// TestScrubLocates damages a payload, a header and an object that has no name, and sees that each is reported with file, offset and name, from wherever the pass begins, and that nothing else is.
func TestScrubLocates(t *testing.T) {
	t.Parallel()
	st := newOrphanSite(t, 2)
	var ids []cluster.ObjectID
	for i := range 6 {
		ids = append(ids, st.upload(i, "key"+string(rune('a'+i))))
	}
	ids = append(ids, create(t, st.s, content(6, 9<<20)))
	slices.SortFunc(ids, compareIDs)
	if err := st.s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	type place struct {
		file   string
		offset int64
		key    string
	}
	want := map[cluster.ObjectID]place{}
	for i, id := range ids {
		if i%2 == 1 && i < 6 {
			continue
		}
		file, off := damage(t, st, id, i == 2)
		h, err := st.s.holders(t.Context(), []cluster.ObjectID{id})
		if err != nil {
			t.Fatal(err)
		}
		key := ""
		if len(h) == 1 {
			key = h[0].Key
		}
		want[id] = place{file, off, key}
	}
	for _, from := range []cluster.ObjectID{{}, ids[3], {0xff}} {
		got := map[cluster.ObjectID]place{}
		r, err := st.s.ScrubObjects(t.Context(), from, 0, func(d Damage) {
			p := place{file: d.File, offset: d.Offset}
			if len(d.Holders) == 1 {
				p.key = d.Holders[0].Key
			}
			if !errors.Is(d.Err, fault.Corrupt) {
				t.Errorf("object %v: %v", d.Object, d.Err)
			}
			got[d.Object] = p
		})
		if err != nil || r.Objects != int64(len(ids)) || r.Damaged != int64(len(want)) || len(got) != len(want) {
			t.Errorf("from %v: %+v, %v, %d reports", from, r, err, len(got))
		}
		for id, w := range want {
			if got[id] != w {
				t.Errorf("object %v: got %+v, want %+v", id, got[id], w)
			}
			if id != ids[6] && !strings.HasPrefix(w.key, "key") || id == ids[6] && w.key != "" {
				t.Errorf("object %v has the name %q", id, w.key)
			}
		}
	}
	for _, id := range ids { // so that the check at the end finds nothing
		if _, bad := want[id]; bad {
			if err := st.s.DeleteObjects(t.Context(), []cluster.ObjectID{id}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestScrubInBackground sees the scrub run by itself, at its rate.
func TestScrubInBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := testOptions(newFS(t), &owner{generation: 1})
		opts.ScrubEvery, opts.ScrubRate = time.Hour, 1<<20
		s := open(t, opts)
		create(t, s, content(1, 10<<20))
		begun := time.Now()
		if err := s.pause(t.Context(), scrubFirst+9*time.Second); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.ScrubPasses != 0 || st.ScrubbedBytes == 0 {
			t.Errorf("after 9 of 10 seconds: %d passes, %d bytes", st.ScrubPasses, st.ScrubbedBytes)
		}
		if err := s.pause(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		st := s.Stats()
		if st.ScrubPasses != 1 || st.ScrubbedBytes != 10<<20 || st.ScrubbedObjects != 1 || st.DamagedObjects != 0 {
			t.Errorf("after %v: %d passes, %d bytes of %d objects, %d damaged", time.Since(begun), st.ScrubPasses, st.ScrubbedBytes, st.ScrubbedObjects, st.DamagedObjects)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestScrubWhileChanging scrubs while objects are made, moved and deleted: nothing healthy is reported.
func TestScrubWhileChanging(t *testing.T) {
	t.Parallel()
	opts := testOptions(newFS(t), &owner{generation: 1})
	opts.Geometry = func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 4} }
	s := openChecked(t, opts)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := s.ScrubObjects(context.Background(), cluster.ObjectID{}, 0, func(d Damage) { t.Errorf("reported %v at %s+%d: %v", d.Object, d.File, d.Offset, d.Err) }); err != nil {
				done <- err
				return
			}
		}
	}()
	var ids []cluster.ObjectID
	for i := range 150 {
		ids = append(ids, create(t, s, content(i, 1+i*1777%300_000)))
		if len(ids) > 20 {
			if err := s.DeleteObjects(t.Context(), ids[:10]); err != nil {
				t.Fatal(err)
			}
			ids = ids[10:]
		}
		if i%40 == 0 {
			if err := errors.Join(s.Checkpoint(t.Context()), s.Collect(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
