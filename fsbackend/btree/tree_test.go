package btree

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
)

var seedFlag = flag.Uint64("seed", 0, "seed of randomised tests; 0 = the clock, or env SEED")

// seededRand returns a random source whose seed a failing test prints.
func seededRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil && seed == 0 {
		seed = s
	}
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

const testDir = "svc"

func newFS(t testing.TB) *memfs.FS {
	t.Helper()
	fs := memfs.New()
	if err := fs.MkdirAll(testDir + "/gen"); err != nil {
		t.Fatal(err)
	}
	return fs
}

// openTree opens a tree that is checked and closed at the end of the test.
func openTree(t testing.TB, fs fsbackend.FS, edit func(*Options)) *Tree {
	t.Helper()
	o := Options{FS: fs, Dir: testDir, Home: 1, CacheBytes: 1 << 20, FileBytes: 1 << 20}
	if edit != nil {
		edit(&o)
	}
	tr, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tr.applyMu.Lock()
		closed := tr.closed
		tr.applyMu.Unlock()
		if closed {
			return
		}
		if err := tr.Check(context.Background()); err != nil && !t.Failed() {
			t.Errorf("check at cleanup: %v", err)
		}
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tr
}

// model is the map that a tree is compared with.
type model map[string]string

// changes yields what turns m into the model after edits; nil stands for a delete.
func sorted(edits map[string]*string) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for _, k := range slices.Sorted(maps.Keys(edits)) {
			c := Change{Key: []byte(k)}
			if v := edits[k]; v == nil {
				c.Delete = true
			} else {
				c.Value = []byte(*v)
			}
			if !yield(c) {
				return
			}
		}
	}
}

func (m model) edit(edits map[string]*string) {
	for k, v := range edits {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = *v
		}
	}
}

// compare reads the whole snapshot and single keys of it, and compares with the model.
func (m model) compare(t testing.TB, s *Snapshot, rng *rand.Rand) {
	t.Helper()
	keys := slices.Sorted(maps.Keys(m))
	if got := s.Root().Entries; got != uint64(len(keys)) {
		t.Fatalf("root counts %d entries, want %d", got, len(keys))
	}
	c := s.Cursor()
	i := 0
	for ok := c.First(); ok; ok = c.Next() {
		if i == len(keys) || string(c.Key()) != keys[i] {
			t.Fatalf("entry %d has key %q, want %q", i, c.Key(), keys[min(i, len(keys)-1)])
		}
		if string(c.Value()) != m[keys[i]] {
			t.Fatalf("key %q has another value", keys[i])
		}
		i++
	}
	if c.Err() != nil || i != len(keys) {
		t.Fatalf("cursor ended after %d of %d entries: %v", i, len(keys), c.Err())
	}
	for range min(len(keys), 50) {
		k := keys[rng.IntN(len(keys))]
		if v, ok, err := s.Get([]byte(k)); !ok || err != nil || string(v) != m[k] {
			t.Fatalf("get %q: found %v, %v", k, ok, err)
		}
		miss := k + string(rune('a'+rng.IntN(26)))
		_, want := m[miss]
		if _, ok, err := s.Get([]byte(miss)); ok != want || err != nil {
			t.Fatalf("get %q: found %v, %v; want %v", miss, ok, err, want)
		}
		at, _ := slices.BinarySearch(keys, miss)
		if ok := c.Seek([]byte(miss)); ok != (at < len(keys)) || ok && string(c.Key()) != keys[at] {
			t.Fatalf("seek %q: %v %q", miss, ok, c.Key())
		}
		if ok := c.Next(); ok != (at+1 < len(keys)) || ok && string(c.Key()) != keys[at+1] {
			t.Fatalf("next after seek %q: %v %q", miss, ok, c.Key())
		}
	}
}

// randomEdits makes a batch in one of several shapes: spread, run, long keys, deletes of a range, short and long values.
func (m model) randomEdits(rng *rand.Rand) map[string]*string {
	edits := make(map[string]*string)
	keys := slices.Sorted(maps.Keys(m))
	n := 1 + rng.IntN(300)
	prefix := fmt.Sprintf("%c/", 'a'+rng.IntN(4))
	if rng.IntN(3) == 0 {
		prefix += string(bytes.Repeat([]byte{byte('p' + rng.IntN(3))}, rng.IntN(1500)))
	}
	maxValue := []int{10, 200, 2000, 9000, 65536}[min(rng.IntN(9), 4)]
	if maxValue > 5000 {
		n = min(n, 30)
	}
	switch rng.IntN(5) {
	case 0: // a run of deletes
		if len(keys) > 0 {
			at := rng.IntN(len(keys))
			for _, k := range keys[at:min(at+rng.IntN(2000), len(keys))] {
				edits[k] = nil
			}
		}
	case 1: // scattered deletes, some of what is not there
		for range n {
			if len(keys) > 0 {
				edits[keys[rng.IntN(len(keys))]] = nil
			}
			edits[prefix+"none"+strconv.Itoa(rng.IntN(99))] = nil
		}
	default:
		for range n {
			k := prefix + strconv.Itoa(rng.IntN(100000))
			if rng.IntN(40) == 0 {
				k += string(bytes.Repeat([]byte{'k'}, rng.IntN(MaxKeyBytes-len(k))))
			}
			v := string(bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(maxValue+1)))
			edits[k] = &v
		}
	}
	return edits
}

func TestRandomAgainstModel(t *testing.T) {
	t.Parallel()
	rng := seededRand(t)
	fs := newFS(t)
	tr := openTree(t, fs, nil)
	m := model{}
	type held struct {
		s *Snapshot
		m model
	}
	var snaps []held
	steps := 150
	if testing.Short() {
		steps = 40
	}
	for step := range steps {
		edits := m.randomEdits(rng)
		if err := tr.Apply(t.Context(), uint64(step), sorted(edits)); err != nil {
			t.Fatal(err)
		}
		m.edit(edits)
		if rng.IntN(6) == 0 {
			snaps = append(snaps, held{tr.Snapshot(), maps.Clone(m)})
		}
		if len(snaps) > 0 && rng.IntN(8) == 0 {
			i := rng.IntN(len(snaps))
			snaps[i].m.compare(t, snaps[i].s, rng)
			snaps[i].s.Release()
			snaps = slices.Delete(snaps, i, i+1)
		}
		if rng.IntN(10) == 0 {
			s := tr.Snapshot()
			m.compare(t, s, rng)
			s.Release()
			if err := tr.Check(t.Context()); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
		if rng.IntN(25) == 0 {
			for _, h := range snaps {
				h.m.compare(t, h.s, rng)
				h.s.Release()
			}
			snaps = nil
			if err := tr.Close(); err != nil {
				t.Fatal(err)
			}
			tr = openTree(t, fs, nil)
			if got := tr.Root().LSN; got != uint64(step) {
				t.Fatalf("reopened at LSN %d, want %d", got, step)
			}
		}
	}
	for _, h := range snaps {
		h.m.compare(t, h.s, rng)
		h.s.Release()
	}
	s := tr.Snapshot()
	m.compare(t, s, rng)
	s.Release()
	all := make(map[string]*string)
	for k := range m {
		all[k] = nil
	}
	if err := tr.Apply(t.Context(), uint64(steps), sorted(all)); err != nil {
		t.Fatal(err)
	}
	// What was live a moment ago is still busy while the empty root is written, so its directory and maps lie where there was room: one map for
	// each file that has a page, the directory's among them.
	r, st := tr.Root(), tr.Stats()
	if r.Page != 0 || r.Entries != 0 || r.Height != 0 || r.Pages != uint64(st.Files)+1 {
		t.Errorf("emptied tree of %d files: %+v, want no entries, a directory page, and a map for each file", st.Files, r)
	}
	v := "v"
	for i, edits := range []map[string]*string{{"k": &v}, {"k": nil}} {
		if err := tr.Apply(t.Context(), uint64(steps+1+i), sorted(edits)); err != nil {
			t.Fatal(err)
		}
	}
	if r, st := tr.Root(), tr.Stats(); r.Pages != 2 || st.Files != 1 {
		t.Errorf("emptied tree, two checkpoints later: %d pages in %d files, want a directory and a map in one", r.Pages, st.Files)
	}
}
