package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"sync"

	tidwall "github.com/tidwall/btree"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// A tree that writes itself whole with each Apply, until package btree is there.
type (
	Tree struct {
		o    TreeOptions
		mu   sync.Mutex
		root btree.Root
		m    *memTree
	}
	TreeOptions struct {
		FS         fsbackend.FS
		Dir        string
		Home       uint64
		Base       btree.Root
		CacheBytes int64
		Check      func() error
	}
	TreeSnapshot struct{ m *memTree }
	TreeCursor   struct {
		it tidwall.IterG[*entry]
		m  *memTree
	}
	TreeChange struct {
		Key, Value []byte
		Delete     bool
	}
	TreeStats struct{ Entries int }
)

func standinName(dir string, g, lsn uint64) string {
	return fmt.Sprintf("%s/tree-%020d", fsbackend.GenerationDir(dir, g), lsn)
}

func newestRoot(f fsbackend.FS, dir string, g uint64) (btree.Root, bool, error) {
	names, err := f.List(fsbackend.GenerationDir(dir, g))
	if err != nil {
		return btree.Root{}, false, nil
	}
	for i := len(names) - 1; i >= 0; i-- {
		var lsn uint64
		if n, _ := fmt.Sscanf(names[i], "tree-%d", &lsn); n == 1 {
			if _, err := readStandin(f, dir, g, lsn); err == nil {
				return btree.Root{Generation: g, TxID: btree.TxID(lsn), LSN: lsn}, true, nil
			}
		}
	}
	return btree.Root{}, false, nil
}

func readStandin(f fsbackend.FS, dir string, g, lsn uint64) (*memTree, error) {
	name := standinName(dir, g, lsn)
	h, err := f.OpenRead(name)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := h.ReadAt(b, 0); err != nil {
		return nil, err
	}
	if len(b) < 4 || checksum.CRC32C(b[4:]) != binary.LittleEndian.Uint32(b) {
		return nil, fault.Corrupt
	}
	ops, err := decodeBatch(b[4:])
	if err != nil {
		return nil, err
	}
	m := newMemtable(0).tree
	for i := range ops {
		m.Set(&ops[i])
	}
	return m, nil
}

func openTree(_ context.Context, o TreeOptions) (*Tree, error) {
	t := &Tree{o: o, m: newMemtable(0).tree, root: o.Base}
	r, ok, err := newestRoot(o.FS, o.Dir, o.Home)
	if err != nil {
		return nil, err
	}
	if ok {
		t.root = r
	}
	if !t.root.IsZero() {
		t.m, err = readStandin(o.FS, o.Dir, t.root.Generation, t.root.LSN)
	}
	return t, err
}
func (t *Tree) Root() btree.Root { t.mu.Lock(); defer t.mu.Unlock(); return t.root }
func (t *Tree) Snapshot() *TreeSnapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &TreeSnapshot{t.m.Copy()}
}
func (s *TreeSnapshot) Release() {}
func (s *TreeSnapshot) Get(k []byte) ([]byte, bool, error) {
	e, ok := s.m.Get(&entry{key: k})
	if !ok {
		return nil, false, nil
	}
	return e.value, true, nil
}
func (s *TreeSnapshot) Cursor() *TreeCursor {
	c := &TreeCursor{m: s.m}
	c.it.Init(s.m, false)
	return c
}
func (c *TreeCursor) Seek(k []byte) bool { return c.it.Seek(&entry{key: k}) }
func (c *TreeCursor) Next() bool         { return c.it.Next() }
func (c *TreeCursor) Key() []byte        { return c.it.Item().key }
func (c *TreeCursor) Value() []byte      { return c.it.Item().value }
func (c *TreeCursor) Err() error         { return nil }
func (t *Tree) Apply(_ context.Context, lsn uint64, changes iter.Seq[TreeChange]) error {
	t.mu.Lock()
	m := t.m.Copy()
	t.mu.Unlock()
	var last []byte
	for c := range changes {
		if last != nil && bytes.Compare(last, c.Key) >= 0 {
			panic("order")
		}
		last = c.Key
		if c.Delete {
			m.Delete(&entry{key: c.Key})
		} else {
			m.Set(&entry{key: c.Key, value: c.Value})
		}
	}
	var ops []entry
	m.Scan(func(e *entry) bool { ops = append(ops, *e); return true })
	b := appendBatch(make([]byte, 4), ops)
	binary.LittleEndian.PutUint32(b, checksum.CRC32C(b[4:]))
	name := standinName(t.o.Dir, t.o.Home, lsn)
	_ = t.o.FS.Remove(name)
	f, err := t.o.FS.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := t.o.FS.SyncDir(fsbackend.GenerationDir(t.o.Dir, t.o.Home)); err != nil {
		return err
	}
	t.mu.Lock()
	t.m, t.root = m, btree.Root{Generation: t.o.Home, TxID: btree.TxID(lsn), LSN: lsn}
	t.mu.Unlock()
	return nil
}
func (t *Tree) Check(context.Context) error { return nil }
func (t *Tree) Stats() TreeStats            { return TreeStats{t.m.Len()} }
func (t *Tree) Close() error                { return nil }
