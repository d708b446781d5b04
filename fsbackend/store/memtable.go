package store

import (
	"bytes"
	"sync"

	"github.com/tidwall/btree"
)

// entry is the newest state of a key in a memtable. Never modified once it is in one.
type entry struct {
	key      []byte
	value    []byte
	deleted  bool
	volatile bool
}

// entryOverhead is what an entry takes besides key and value: its struct, its share of a tree node, allocator slack.
const entryOverhead = 128

func (e *entry) bytes() int64 { return int64(len(e.key)) + int64(len(e.value)) + entryOverhead }

type memTree = btree.BTreeG[*entry]

// memtable is the changes of a range of log records. Changed with Store.writer and Store.mu held.
type memtable struct {
	epoch uint64 // counts the memtables of a store
	tree  *memTree
	bytes int64  // of all entries
	last  uint64 // LSN of the newest record in it; 0 = empty
}

const memDegree = 16

func newMemtable(epoch uint64) *memtable {
	return &memtable{epoch: epoch, tree: btree.NewBTreeGOptions(func(a, b *entry) bool { return bytes.Compare(a.key, b.key) < 0 },
		btree.Options{Degree: memDegree, NoLocks: true})}
}

// set makes e the state of its key.
func (m *memtable) set(e *entry) {
	old, replaced := m.tree.Set(e)
	m.bytes += e.bytes()
	if replaced {
		m.bytes -= old.bytes()
	}
}

// setNear is set for keys that mostly come in order: near remembers where the last one was.
func (m *memtable) setNear(e *entry, near *btree.PathHint) {
	old, replaced := m.tree.SetHint(e, near)
	m.bytes += e.bytes()
	if replaced {
		m.bytes -= old.bytes()
	}
}

// probes are entries to search with: the tree compares pointers to entries.
var probes = sync.Pool{New: func() any { return new(entry) }}

// lookup returns the entry of key in t, which may be nil.
func lookup(t *memTree, probe *entry) *entry {
	if t == nil {
		return nil
	}
	e, _ := t.Get(probe)
	return e
}

// memIter walks a memtable that does not change meanwhile.
type memIter struct {
	iter  btree.IterG[*entry]
	probe entry
}

func newMemIter(t *memTree) *memIter {
	m := new(memIter)
	m.iter.Init(t, false)
	return m
}

// seek moves to the first entry at or after key.
func (m *memIter) seek(key []byte) bool {
	m.probe.key = key
	return m.iter.Seek(&m.probe)
}
