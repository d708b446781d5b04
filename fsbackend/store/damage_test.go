package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

// TestDamagedPage damages each page of a tree in turn. A damaged leaf costs the reads of what is in it, and nothing else: every other key is read and written, a checkpoint that has to change the leaf
// does not stop the store, what was acknowledged meanwhile survives a kill, and writes are refused, not lost, when the log is full. A page that everything hangs on is refused at the start, or
// costs reads; never wrong values.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	const keys = 3000
	key := func(i int) string { return fmt.Sprintf("key%05d", i) }
	fsys := newFS(t)
	s := mustOpen(t, smallOptions(fsys, &owner{generation: 1}))
	for from := 0; from < keys; from += 100 {
		mustUpdate(t, s, func(tx *Tx) error {
			for i := from; i < from+100; i++ {
				tx.Put([]byte(key(i)), []byte("value of "+key(i)))
			}
			return nil
		})
	}
	mustClose(t, s)
	dir := fsbackend.GenerationDir(testDir, 1)
	type place struct {
		file string
		page btree.PageInfo
		has  []string // of a leaf
	}
	var pages []place
	names, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		number, ok := btree.ParseFileName(name)
		if !ok {
			continue
		}
		err := btree.ScanFile(t.Context(), fsys, testDir, 1, number, func(p btree.PageInfo, entries []btree.PageEntry, err error) error {
			x := place{file: dir + "/" + name, page: p}
			for _, e := range entries {
				if p.Kind == "leaf" {
					x.has = append(x.has, string(e.Key))
				}
			}
			pages = append(pages, x)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]int{}
	for _, p := range pages {
		c := fsys.CrashClone(memfs.Everything)
		flipAt(t, c, p.file, p.page.ID.Offset()+100)
		s, err := Open(t.Context(), smallOptions(c, &owner{generation: 2}))
		if err != nil {
			x, ok := errors.AsType[*fault.Corruption](err)
			if !ok || x.File != p.file || x.Offset != p.page.ID.Offset() || p.page.Kind == "leaf" {
				t.Errorf("damaged %s: the start fails with %v", p.page.Kind, err)
			}
			kinds[p.page.Kind+", refused"]++
			continue
		}
		lost := 0
		err = s.View(func(sn *Snapshot) error {
			for i := range keys {
				v, ok, err := sn.Get([]byte(key(i)))
				switch x, located := errors.AsType[*fault.Corruption](err); {
				case located && x.File == p.file && x.Offset == p.page.ID.Offset():
					lost++
				case err != nil || !ok || string(v) != "value of "+key(i):
					return fmt.Errorf("%s: %q, %v, %w", key(i), v, ok, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("damaged %s: %v", p.page.Kind, err)
		}
		if err := s.Check(t.Context()); lost > 0 && !errors.Is(err, fault.Corrupt) {
			t.Errorf("damaged %s: Check says %v", p.page.Kind, err)
		}
		kinds[fmt.Sprintf("%s, opened, %v", p.page.Kind, lost > 0)]++
		if p.page.Kind != "leaf" || lost == 0 || kinds["leaf, worked on"] >= 3 {
			s.abandon()
			continue
		}
		kinds["leaf, worked on"]++
		if lost != len(p.has) {
			t.Errorf("a leaf with %d keys costs %d", len(p.has), lost)
		}
		workOnDamaged(t, c, s, p.has)
	}
	t.Logf("%v", kinds)
	if kinds["leaf, opened, true"] < 5 || kinds["branch, opened, true"] == 0 {
		t.Errorf("too few pages were tried: %v", kinds)
	}
}

// workOnDamaged writes keys of a damaged leaf and others until the log is full, kills the store, and looks for what was acknowledged.
func workOnDamaged(t *testing.T, c *memfs.FS, s *Store, damaged []string) {
	t.Helper()
	ctx := context.Background()
	acked := map[string]string{}
	write := func(k string) error {
		v := "new value of " + k + strings.Repeat("x", 2000)
		err := s.Update(ctx, put(k, v))
		if err == nil {
			acked[k] = v
		}
		return err
	}
	if err := write(damaged[len(damaged)/2]); err != nil { // without reading it
		t.Fatalf("write to a damaged leaf: %v", err)
	}
	if err := s.Checkpoint(ctx); !errors.Is(err, fault.Corrupt) {
		t.Fatalf("checkpoint over a damaged leaf: %v", err)
	}
	if !s.Stats().Damaged {
		t.Error("stats do not tell of the damage")
	}
	var err error
	for i := 0; err == nil && i < 2000; i++ {
		err = write(fmt.Sprintf("other%05d", i))
	}
	if !errors.Is(err, fault.Corrupt) || len(acked) < 50 {
		t.Fatalf("after %d writes: %v", len(acked), err)
	}
	look := func() {
		t.Helper()
		err := s.View(func(sn *Snapshot) error {
			for k, v := range acked {
				if got, ok, err := sn.Get([]byte(k)); err != nil || !ok || string(got) != v {
					return fmt.Errorf("%s: %d bytes, %v, %w", k, len(got), ok, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look() // reads go on
	s.abandon()
	s = mustOpen(t, smallOptions(c, &owner{generation: 3}))
	look()
	s.abandon()
}

func flipAt(t testing.TB, fsys *memfs.FS, name string, off int64) {
	t.Helper()
	if err := fsys.Flip(name, off, 0x10); err != nil {
		t.Fatal(err)
	}
}
