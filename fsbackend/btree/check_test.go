package btree

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ostor/internal/fault"
)

// Check finds what no checksum shows: each case makes the writer err in one way and looks for the message.
func TestCheckFindsOurMistakes(t *testing.T) {
	t.Parallel()
	home := func(tr *Tree) *fileSpace { return tr.space.files[0] }
	tests := []struct {
		name  string
		spoil func(tr *Tree) // before the last Apply
		want  string
	}{
		{"page lost", func(tr *Tree) { tr.space.begin(); _, _ = tr.space.take(1); tr.space.commit() }, "reachable pages, the directory says"},
		{"page free and reached", func(tr *Tree) {
			i := tr.root.Page.index() // the next Apply moves the root page; take a page that stays
			for j := range tr.space.perFile {
				if f := home(tr); f.live.has(j) && j != i && f.key.page(j) != f.bits.id && f.key.page(j) != tr.root.Directory {
					f.live.clear(j)
					for k := range tr.space.perFile {
						if !f.busy.has(k) {
							f.busy.set(k)
							f.busyCount++
							f.live.set(k)
							return
						}
					}
				}
			}
		}, "both free and reached"},
		{"entries miscounted", func(tr *Tree) { tr.root.Entries++ }, "entries, the leaves hold"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tr := openTree(t, newFS(t), nil)
			edits := make(map[string]*string)
			v := strings.Repeat("v", 100)
			for i := range 1000 {
				edits[fmt.Sprintf("%06d", i)] = &v
			}
			if err := tr.Apply(t.Context(), 1, sorted(edits)); err != nil {
				t.Fatal(err)
			}
			if err := tr.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			tc.spoil(tr)
			if err := tr.Apply(t.Context(), 2, sorted(map[string]*string{"999999": &v})); err != nil {
				t.Fatal(err)
			}
			err := tr.Check(t.Context())
			if err == nil || !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("check returned %v, want a message with %q", err, tc.want)
			}
			if err := tr.Close(); err != nil { // the cleanup's check would fail
				t.Fatal(err)
			}
		})
	}
}

// Readers see one root each while Apply replaces it and reuses pages; the cache holds a fraction of the tree.
func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	tr := openTree(t, newFS(t), func(o *Options) { o.CacheBytes = 256 << 10 })
	const keys, rounds = 2000, 30
	apply := func(round int) {
		edits := make(map[string]*string)
		for i := range keys {
			if round == 0 || i%7 == round%7 {
				v := fmt.Sprint(round) + strings.Repeat("v", 100)
				edits[fmt.Sprintf("%06d", i)] = &v
			}
		}
		mark := fmt.Sprint(round)
		edits["mark"] = &mark
		if err := tr.Apply(t.Context(), uint64(round), sorted(edits)); err != nil {
			t.Error(err)
		}
	}
	apply(0)
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for again := true; again; again = !done.Load() {
				s := tr.Snapshot()
				want := fmt.Sprint(s.Root().LSN)
				if v, ok, err := s.Get([]byte("mark")); !ok || err != nil || string(v) != want {
					t.Errorf("mark %q in the snapshot of LSN %s: %v, %v", v, want, ok, err)
				}
				n := 0
				c := s.Cursor()
				for ok := c.First(); ok; ok = c.Next() {
					n++
				}
				if c.Err() != nil || n != keys+1 {
					t.Errorf("%d entries, %v", n, c.Err())
				}
				s.Release()
			}
		})
	}
	for round := 1; round <= rounds; round++ {
		apply(round)
	}
	done.Store(true)
	wg.Wait()
}
