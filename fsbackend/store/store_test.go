package store

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 = from the clock")

// newRand returns a source whose seed a failed test prints.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

const testDir = "services/0800000000000000"

// owner is an Owner that ends when told.
type owner struct {
	generation uint64
	prior      uint64 // 0 = does not inherit
	lost       atomic.Bool
	mu         sync.Mutex
	failed     error
	checks     atomic.Int64
}

func (o *owner) Generation() uint64       { return o.generation }
func (o *owner) Inherits() (uint64, bool) { return o.prior, o.prior != 0 }
func (o *owner) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = err
	o.lost.Store(true)
}
func (o *owner) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}
func (o *owner) Check() error {
	o.checks.Add(1)
	if o.lost.Load() {
		return fault.Stale
	}
	return nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func smallOptions(fsys fsbackend.FS, o Owner) Options {
	return Options{FS: fsys, Dir: testDir, Owner: o, SegmentBytes: 64 << 10, LogBytes: 512 << 10, MemtableBytes: 128 << 10, CacheBytes: 1 << 20, Logger: quiet(),
		Volatile: func(key []byte) bool { return key[0] == '!' }}
}

func newFS(t testing.TB) *memfs.FS {
	t.Helper()
	fsys := memfs.New()
	if err := fsys.MkdirAll(testDir + "/" + fsbackend.GenDir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "services", testDir} {
		if err := fsys.SyncDir(d); err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal("open:", err)
	}
	return s
}

func put(key, value string) func(*Tx) error {
	return func(tx *Tx) error { tx.Put([]byte(key), []byte(value)); return nil }
}

func mustUpdate(t testing.TB, s *Store, fn func(*Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal("update:", err)
	}
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal("close:", err)
	}
}

// contents returns what readers see, and fails the test when Get and Iter disagree or Check finds something.
func contents(t testing.TB, s *Store) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := s.View(func(sn *Snapshot) error {
		it := sn.Iter(nil, nil)
		defer it.Close()
		for it.Next() {
			got[string(it.Key())] = string(it.Value())
		}
		for k, v := range got {
			value, ok, err := sn.Get([]byte(k))
			if err != nil || !ok || string(value) != v {
				return fmt.Errorf("get %q: %q, %v, %w; iterator says %q", k, value, ok, err, v)
			}
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal("view:", err)
	}
	if err := s.Check(context.Background()); err != nil {
		t.Fatal("check:", err)
	}
	return got
}

func wantContents(t testing.TB, s *Store, want map[string]string) {
	t.Helper()
	got := contents(t, s)
	if maps.Equal(got, want) {
		return
	}
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%q: got %.40q (%v), want %.40q", k, g, ok, v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%q: should not be there", k)
		}
	}
	t.FailNow()
}

func TestUpdateAndView(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	s := mustOpen(t, smallOptions(fsys, &owner{generation: 1}))
	mustUpdate(t, s, func(tx *Tx) error {
		tx.Put([]byte("b"), []byte("2"))
		tx.Put([]byte("a"), []byte("1"))
		tx.Put([]byte("c"), nil)
		tx.Delete([]byte("b"))
		if v, ok, err := tx.Get([]byte("a")); string(v) != "1" || !ok || err != nil {
			t.Errorf("own change: got %q %v %v", v, ok, err)
		}
		if _, ok, _ := tx.Get([]byte("b")); ok {
			t.Error("own removal does not show")
		}
		return nil
	})
	wantContents(t, s, map[string]string{"a": "1", "c": ""})
	verdict := errors.New("no")
	if err := s.Update(t.Context(), func(tx *Tx) error { tx.Put([]byte("x"), nil); return verdict }); !errors.Is(err, verdict) {
		t.Errorf("got %v, want the verdict", err)
	}
	wait, err := s.Submit(put("d", "4"))
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateLazy(t.Context(), put("e", "5")); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, s, func(tx *Tx) error { // without changes, but it saw e
		if v, _, _ := tx.Get([]byte("e")); string(v) != "5" {
			t.Errorf("e: got %q", v)
		}
		return nil
	})
	want := map[string]string{"a": "1", "c": "", "d": "4", "e": "5"}
	wantContents(t, s, want)
	mustClose(t, s)
	if err := s.Update(t.Context(), put("f", "")); !errors.Is(err, fault.Unavailable) {
		t.Errorf("update after close: got %v", err)
	}
	s = mustOpen(t, smallOptions(fsys, &owner{generation: 2, prior: 1}))
	wantContents(t, s, want)
	if s.SealedHome() != 1 {
		t.Errorf("home: got %d, want 1", s.SealedHome())
	}
	mustClose(t, s)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	o := smallOptions(newFS(t), &owner{generation: 1})
	o.SegmentBytes, o.LogBytes = 4<<20, 16<<20
	s := mustOpen(t, o)
	defer mustClose(t, s)
	tests := []struct {
		name  string
		key   []byte
		value []byte
		want  error
	}{
		{"empty key", nil, nil, fault.Invalid},
		{"longest key", bytes.Repeat([]byte("k"), MaxKeyBytes), nil, nil},
		{"key too long", bytes.Repeat([]byte("k"), MaxKeyBytes+1), nil, fault.TooLarge},
		{"longest value", []byte("k"), make([]byte, MaxValueBytes), nil},
		{"value too long", []byte("k"), make([]byte, MaxValueBytes+1), fault.TooLarge},
		{"longest volatile value", []byte("!k"), make([]byte, MaxVolatileBytes), nil},
		{"volatile value too long", []byte("!k"), make([]byte, MaxVolatileBytes+1), fault.TooLarge},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := s.Update(t.Context(), func(tx *Tx) error {
				if tc.key == nil {
					tx.s.opts.Volatile = nil
					defer func() { tx.s.opts.Volatile = o.Volatile }()
				}
				tx.Put(tc.key, tc.value)
				return nil
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	err := s.Update(t.Context(), func(tx *Tx) error {
		for i := range 200 {
			tx.Put(fmt.Appendf(nil, "%d", i), make([]byte, MaxValueBytes))
		}
		return nil
	})
	if !errors.Is(err, fault.TooLarge) {
		t.Errorf("batch too large: got %v", err)
	}
}

// TestModel runs random operations, checkpoints, clean restarts and kills against a map.
func TestModel(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	fsys := newFS(t)
	own := &owner{generation: 1}
	s := mustOpen(t, smallOptions(fsys, own))
	model := map[string]string{}
	for step := range 3000 {
		switch n := r.IntN(1000); {
		case n < 900:
			changes := map[string]string{}
			gone := map[string]bool{}
			for range 1 + r.IntN(20) {
				k := fmt.Sprintf("k%03d", r.IntN(600))
				if r.IntN(4) == 0 {
					gone[k] = true
					delete(changes, k)
				} else {
					changes[k] = fmt.Sprintf("%d-%s", step, bytes.Repeat([]byte("v"), r.IntN(300)))
					delete(gone, k)
				}
			}
			mustUpdate(t, s, func(tx *Tx) error {
				for _, k := range slices.Sorted(maps.Keys(changes)) {
					if v, ok, _ := tx.Get([]byte(k)); ok != hasKey(model, k) || string(v) != model[k] {
						t.Errorf("step %d: tx sees %q = %q", step, k, v)
					}
					tx.Put([]byte(k), []byte(changes[k]))
				}
				for k := range gone {
					tx.Delete([]byte(k))
				}
				return nil
			})
			maps.Copy(model, changes)
			for k := range gone {
				delete(model, k)
			}
		case n < 960:
			compareRange(t, r, s, model)
		case n < 980:
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatal("checkpoint:", err)
			}
		case n < 990:
			mustClose(t, s)
			own = &owner{generation: own.generation + 1, prior: own.generation}
			s = mustOpen(t, smallOptions(fsys, own))
			wantContents(t, s, model)
		default:
			clone := fsys.CrashClone(memfs.Nothing)
			own.lost.Store(true)
			_ = s.Close(t.Context())
			fsys = clone
			own = &owner{generation: own.generation + 1}
			s = mustOpen(t, smallOptions(fsys, own))
			wantContents(t, s, model)
		}
	}
	wantContents(t, s, model)
	mustClose(t, s)
}

func hasKey(m map[string]string, k string) bool { _, ok := m[k]; return ok }

// compareRange walks a random range with random seeks.
func compareRange(t *testing.T, r *rand.Rand, s *Store, model map[string]string) {
	t.Helper()
	lo, hi := fmt.Sprintf("k%03d", r.IntN(600)), fmt.Sprintf("k%03d", r.IntN(600))
	keys := slices.Sorted(maps.Keys(model))
	err := s.View(func(sn *Snapshot) error {
		it := sn.Iter([]byte(lo), []byte(hi))
		defer it.Close()
		at := lo
		for {
			if r.IntN(5) == 0 {
				to := fmt.Sprintf("k%03d", r.IntN(600))
				it.Seek([]byte(to))
				at = max(at, to)
			}
			i, _ := slices.BinarySearch(keys, at)
			if !it.Next() {
				if i < len(keys) && keys[i] < hi {
					t.Fatalf("end of [%s, %s), want %q", lo, hi, keys[i])
				}
				return it.Err()
			}
			if i >= len(keys) || keys[i] >= hi || string(it.Key()) != keys[i] || string(it.Value()) != model[keys[i]] {
				t.Fatalf("iterator shows %q behind %q", it.Key(), at)
			}
			at = keys[i] + "\x00"
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
