package objserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// defragOptions give each pool files of 4 regions of 8 blocks.
func defragOptions(fs *memfs.FS, generation uint64) Options {
	opts := testOptions(fs, &owner{generation: generation})
	opts.SmallBytes = -1 // straight to the blocks
	opts.Geometry = func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 4} }
	return opts
}

// thin fills files and deletes most objects again, at random, so that every region keeps some.
func thin(t testing.TB, s *Server, rng *rand.Rand, size, n int) map[cluster.ObjectID]int {
	t.Helper()
	left := map[cluster.ObjectID]int{}
	var gone []cluster.ObjectID
	for i := range n {
		id := create(t, s, content(i, size))
		if rng.IntN(5) == 0 {
			left[id] = i
		} else {
			gone = append(gone, id)
		}
	}
	if err := s.DeleteObjects(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	return left
}

// TestDefragment sees that thinned-out files give their space back, round by round, without an object being lost, and that it ends: rounds without a move follow.
func TestDefragment(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	s := openChecked(t, defragOptions(fs, 1))
	const size = 256 << 10
	left := thin(t, s, rand.New(rand.NewPCG(testSeed(t), 1)), size, 128)
	before := fs.Used()
	moved := int64(-1)
	rounds := 0
	for ; moved != s.Stats().Moved; rounds++ {
		moved = s.Stats().Moved
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rounds > 64 {
			t.Fatal("it does not end")
		}
	}
	st := s.Stats()
	live := int64(len(left)) * size
	// What is left over: less than one region more than half empty, and the rest of the service.
	if after := fs.Used(); after > 2*live+16*size+8<<20 || after > before/2 || st.EmptiedRegions == 0 {
		t.Errorf("%d bytes are used for %d, %d before", after, live, before)
	}
	for id, n := range left {
		wantBytes(t, s, id, content(n, size))
	}
	t.Logf("%d rounds moved %d objects and emptied %d regions: %d bytes became %d, %d are live", rounds, st.Moved, st.EmptiedRegions, before, fs.Used(), live)
}

// TestDefragmentCrash takes the power away before and after every sync of defragmentation and of the giving back.
func TestDefragmentCrash(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	fs := newFS(t)
	s := openChecked(t, defragOptions(fs, 1))
	left := thin(t, s, rand.New(rand.NewPCG(seed, 2)), 60_000, 64)
	var mu sync.Mutex // the log syncs from goroutines of its own
	var crashes []*memfs.FS
	hook := func(_, _ string) {
		mu.Lock()
		defer mu.Unlock()
		n := len(crashes)
		crashes = append(crashes, fs.CrashClone([]memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(seed + uint64(n))}[n%3]))
	}
	fs.OnSync(hook)
	fs.BeforeSync(hook)
	for range 6 {
		if err := errors.Join(s.Collect(t.Context()), s.Checkpoint(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	fs.OnSync(nil)
	fs.BeforeSync(nil)
	if s.Stats().EmptiedRegions == 0 {
		t.Fatal("nothing was emptied")
	}
	mu.Lock()
	defer mu.Unlock()
	for i, c := range crashes {
		s := open(t, defragOptions(c, 2))
		for id, n := range left {
			wantBytes(t, s, id, content(n, 60_000))
		}
		check(t, s)
		if t.Failed() {
			t.Fatalf("crash %d of %d", i, len(crashes))
		}
		_ = s.Close(context.Background())
	}
	t.Logf("%d crash points", len(crashes))
}

// TestDefragmentBesideDamage sees that a block that cannot be read does not keep others from being moved, nor get lost.
func TestDefragmentBesideDamage(t *testing.T) {
	t.Parallel()
	st := &orphanSite{t: t, fs: newFS(t)}
	st.s = open(t, testOptions(st.fs, &owner{generation: 1}))
	st.s.opts.SmallBytes = -1
	var ids []cluster.ObjectID
	for i := range 48 {
		ids = append(ids, create(t, st.s, content(i, 4096)))
	}
	keep := []cluster.ObjectID{ids[25], ids[33], ids[41], ids[42]} // the first is alone in its region
	damage(t, st, keep[0], false)
	var gone []cluster.ObjectID
	for i, id := range ids {
		if i != 25 && i != 33 && i != 41 && i != 42 {
			gone = append(gone, id)
		}
	}
	if err := st.s.DeleteObjects(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if err := st.s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if st.s.Stats().Moved == 0 {
		t.Error("nothing was moved")
	}
	for i, n := range []int{33, 41, 42} {
		wantBytes(t, st.s, keep[i+1], content(n, 4096))
	}
	if err := st.s.ReadObject(t.Context(), keep[0], 0, 4096, &discard{}); !errors.Is(err, fault.Corrupt) {
		t.Errorf("the damaged object: %v", err)
	}
	if err := st.s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	_ = st.s.Close(t.Context())
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
