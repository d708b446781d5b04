package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
)

// history is what a run of updates did, in the order of the store: states[n] is the content after n of them.
type history struct {
	mu     sync.Mutex
	states []map[string]string
	acked  atomic.Int64 // every update up to it was acknowledged
}

func newHistory() *history { return &history{states: []map[string]string{{}}} }

// update runs one random update and records it.
func (h *history) update(s *Store, r *rand.Rand, lazy bool) error {
	n := 0
	fn := func(tx *Tx) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		n = len(h.states)
		next := maps.Clone(h.states[n-1])
		set := func(k, v string) { tx.Put([]byte(k), []byte(v)); next[k] = v }
		set("n", fmt.Sprint(n))
		for range r.IntN(4) {
			k := fmt.Sprintf("k%02d", r.IntN(40))
			switch r.IntN(5) {
			case 0:
				tx.Delete([]byte(k))
				delete(next, k)
			case 1:
				set("!"+k, fmt.Sprintf("%d %s", n, strings.Repeat("p", r.IntN(1000))))
			case 2:
				tx.Delete([]byte("!" + k))
				delete(next, "!"+k)
			default:
				set(k, fmt.Sprintf("%d %s", n, strings.Repeat("v", r.IntN(200))))
			}
		}
		h.states = append(h.states, next)
		return nil
	}
	if lazy {
		return s.UpdateLazy(context.Background(), fn)
	}
	if err := s.Update(context.Background(), fn); err != nil {
		return err
	}
	for {
		old := h.acked.Load()
		if old >= int64(n) || h.acked.CompareAndSwap(old, int64(n)) {
			return nil
		}
	}
}

// sweeper keeps volatile entries in files, as the object server does in its blocks.
func sweeper(fsys fsbackend.FS, generation uint64) func(context.Context, uint64, iter.Seq2[[]byte, []byte]) error {
	return func(_ context.Context, lsn uint64, entries iter.Seq2[[]byte, []byte]) error {
		var ops []entry
		for k, v := range entries {
			ops = append(ops, entry{key: k, value: v})
		}
		if len(ops) == 0 {
			return nil
		}
		name := fmt.Sprintf("swept-%010d-%010d", generation, lsn)
		if err := fsys.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
		f, err := fsys.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteAt(appendBatch(nil, ops), 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		return fsys.SyncDir("")
	}
}

// addSwept adds to got what sweeps made durable and the log no longer has, for the volatile keys of want.
func addSwept(t *testing.T, fsys fsbackend.FS, got, want map[string]string) {
	t.Helper()
	names, err := fsys.List("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "swept-") {
			continue
		}
		f, err := fsys.OpenRead(name)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		f.Close()
		ops, err := decodeBatch(b)
		if err != nil {
			continue // a sweep that the crash interrupted
		}
		for _, e := range ops {
			if k := string(e.key); !hasKey(got, k) && want[k] == string(e.value) {
				got[k] = want[k]
			}
		}
	}
}

func crashOptions(fsys fsbackend.FS, o Owner) Options {
	opts := smallOptions(fsys, o)
	opts.SegmentBytes, opts.LogBytes, opts.MemtableBytes = 16<<10, 96<<10, 24<<10
	opts.Sweep = sweeper(fsys, o.Generation())
	return opts
}

// verifyRecovered opens what a crash left and compares it with the history: some state at or above acked, whole.
func verifyRecovered(t *testing.T, fsys *memfs.FS, o *owner, h *history, acked int64, what string) (s *Store, state int) {
	t.Helper()
	s, err := Open(context.Background(), crashOptions(fsys, o))
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	got := contents(t, s)
	n := 0
	if v, ok := got["n"]; ok {
		fmt.Sscan(v, &n)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if int64(n) < acked || n >= len(h.states) {
		t.Fatalf("%s: recovered update %d, acknowledged %d, made %d", what, n, acked, len(h.states)-1)
	}
	want := h.states[n]
	addSwept(t, fsys, got, want)
	for k := range got { // swept entries may come back from a log that was not recycled yet; never removed ones of the tree
		if !hasKey(want, k) {
			t.Fatalf("%s: update %d: %q is there", what, n, k)
		}
	}
	if !maps.Equal(got, want) {
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: update %d: %q: got %.20q, want %.20q", what, n, k, got[k], v)
			}
		}
		t.FailNow()
	}
	return s, n
}

// TestCrashAtEverySync takes what a power cut leaves at every sync point of a run, for several choices of what else reached the disk, and recovers it as a new
// generation; then cuts that one's power before its first checkpoint, and recovers again.
func TestCrashAtEverySync(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	updates, some := 60, 2
	if os.Getenv("OSTOR_CRASH") == "long" {
		updates, some = 400, 4
	}
	type crash struct {
		fsys  *memfs.FS
		acked int64
		what  string
	}
	var mu sync.Mutex
	var crashes []crash
	h := newHistory()
	fsys := newFS(t)
	points := 0
	fsys.OnSync(func(op, name string) {
		mu.Lock()
		defer mu.Unlock()
		points++
		keeps := []memfs.Keep{memfs.Nothing, memfs.Everything}
		for range some {
			keeps = append(keeps, memfs.Some(r.Uint64()))
		}
		for i, k := range keeps {
			acked := h.acked.Load() // before the clone: what is acknowledged later may be lost
			crashes = append(crashes, crash{fsys.CrashClone(k), acked, fmt.Sprintf("point %d (%s %s) keep %d", points, op, path.Base(name), i)})
		}
	})
	own := &owner{generation: 1}
	s := mustOpen(t, crashOptions(fsys, own))
	wr := newRand(t)
	for i := range updates {
		switch {
		case i%29 == 28:
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		case i%23 == 22: // kill, go on as the next generation; nothing lazy is lost here, so that the history goes on
			if err := h.update(s, wr, false); err != nil {
				t.Fatal(err)
			}
			own.lost.Store(true)
			own = &owner{generation: own.generation + 1}
			old := s
			s = mustOpen(t, crashOptions(fsys, own))
			old.abandon()
		case i%37 == 36: // clean restart
			mustClose(t, s)
			own = &owner{generation: own.generation + 1, prior: own.generation}
			s = mustOpen(t, crashOptions(fsys, own))
		}
		if err := h.update(s, wr, wr.IntN(4) == 0); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, s)
	fsys.OnSync(nil)
	t.Logf("%d updates, %d sync points, %d crashes", updates, points, len(crashes))
	for i, c := range crashes {
		next := &owner{generation: own.generation + 1}
		s, n := verifyRecovered(t, c.fsys, next, h, c.acked, c.what)
		if s.SealedHome() != next.generation {
			t.Fatalf("%s: home is %d after a kill, want %d", c.what, s.SealedHome(), next.generation)
		}
		if i%3 != 0 {
			s.abandon()
			continue
		}
		after := &history{states: slices.Clone(h.states[:n+1])}
		ar := rand.New(rand.NewPCG(uint64(i), 2))
		for range 3 {
			if err := after.update(s, ar, false); err != nil {
				t.Fatal(err)
			}
		}
		second := c.fsys.CrashClone(memfs.Some(uint64(i)))
		s.abandon()
		s, _ = verifyRecovered(t, second, &owner{generation: own.generation + 2}, after, after.acked.Load(), c.what+", second")
		mustClose(t, s)
		s, _ = verifyRecovered(t, second, &owner{generation: own.generation + 3, prior: own.generation + 2}, after, after.acked.Load(), c.what+", inherited")
		mustClose(t, s)
	}
}

// abandon ends a store's goroutines as a kill would: without a checkpoint.
func (s *Store) abandon() {
	s.writer.Lock()
	s.closed = true
	s.writer.Unlock()
	s.ckpt.cancel()
	s.ckpt.wg.Wait()
	_ = s.redo.Close(context.Background())
	_ = s.tree.Close()
}
