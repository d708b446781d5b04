package store

import (
	"bytes"
	"slices"
	"sort"
	"sync/atomic"

	"ostor/fsbackend/btree"
)

// Iter walks keys in ascending order:
//
//	it := tx.Iter(lo, hi)
//	defer it.Close()
//	for it.Next() { use(it.Key(), it.Value()) }
//	return it.Err()
//
// For one goroutine, and no longer than its Tx or Snapshot.
type Iter struct {
	lo, hi  []byte // lo: where to begin, or to go on after Seek
	seek    bool   // lo has not been looked for yet
	done    bool
	sources []source // newest layer first
	current int      // index in sources of the key shown; -1 = none
	err     error
	steps   uint64
	total   *atomic.Uint64 // that steps are added to; nil after Close
	buf     [3]source
}

// source is one layer, at a key or at its end.
type source struct {
	kind   uint8
	ok     bool // at a key
	cursor *btree.Cursor
	mem    *memIter
	own    []entry
	pos    int    // in own
	e      *entry // current entry of own or mem
	key    []byte
}

const (
	fromOwn = iota
	fromMem
	fromTree
)

func newIter(lo, hi []byte, own []entry, active, frozen *memTree, tree *treeRef) *Iter {
	it := &Iter{lo: lo, hi: hi, seek: true, current: -1}
	if tree == nil {
		it.err, it.done = errClosed, true
		return it
	}
	it.sources, it.total = it.buf[:0], tree.steps
	if len(own) > 0 {
		it.sources = append(it.sources, source{kind: fromOwn, own: own})
	}
	for _, t := range [...]*memTree{active, frozen} {
		if t != nil && t.Len() > 0 {
			it.sources = append(it.sources, source{kind: fromMem, mem: newMemIter(t)})
		}
	}
	it.sources = append(it.sources, source{kind: fromTree, cursor: tree.snap.Cursor()})
	return it
}

// Next moves to the next key and reports whether there is one. It returns false for ever after the last key and after an error.
func (it *Iter) Next() bool {
	for !it.done {
		if it.seek {
			it.seek = false
			for i := range it.sources {
				it.position(&it.sources[i])
			}
		} else if it.current >= 0 {
			it.pass(it.current)
		}
		if it.done || !it.choose() {
			break
		}
		if s := &it.sources[it.current]; s.kind == fromTree || !s.e.deleted {
			return true
		}
	}
	it.done, it.current = true, -1
	return false
}

// choose sets current to the newest layer that has the smallest key.
func (it *Iter) choose() bool {
	it.current = -1
	var least []byte
	for i := range it.sources {
		if s := &it.sources[i]; s.ok && (it.current < 0 || bytes.Compare(s.key, least) < 0) {
			it.current, least = i, s.key
		}
	}
	return it.current >= 0 && (it.hi == nil || bytes.Compare(least, it.hi) < 0)
}

// pass moves every layer that shows the key of source i beyond it.
func (it *Iter) pass(i int) {
	key := it.sources[i].key
	for j := len(it.sources) - 1; j >= 0; j-- { // the tree's key is valid until its cursor moves, so i itself comes last
		if s := &it.sources[j]; j != i && s.ok && bytes.Equal(s.key, key) {
			it.advance(s)
		}
	}
	it.advance(&it.sources[i])
}

func (it *Iter) position(s *source) {
	it.steps++
	switch s.kind {
	case fromOwn:
		s.pos = sort.Search(len(s.own), func(i int) bool { return bytes.Compare(s.own[i].key, it.lo) >= 0 })
		s.showOwn()
	case fromMem:
		s.showMem(s.mem.seek(it.lo))
	case fromTree:
		it.showTree(s, s.cursor.Seek(it.lo))
	}
}

func (it *Iter) advance(s *source) {
	it.steps++
	switch s.kind {
	case fromOwn:
		s.pos++
		s.showOwn()
	case fromMem:
		s.showMem(s.mem.iter.Next())
	case fromTree:
		it.showTree(s, s.cursor.Next())
	}
}

func (s *source) showOwn() {
	if s.ok = s.pos < len(s.own); s.ok {
		s.e = &s.own[s.pos]
		s.key = s.e.key
	}
}

func (s *source) showMem(ok bool) {
	if s.ok = ok; ok {
		s.e = s.mem.iter.Item()
		s.key = s.e.key
	}
}

func (it *Iter) showTree(s *source, ok bool) {
	if s.ok = ok; ok {
		s.key = s.cursor.Key()
	} else if err := s.cursor.Err(); err != nil {
		it.err, it.done = err, true
	}
}

// Seek skips forward: the next Next shows the first key at or after key. A key at or before the one shown changes nothing. It keeps no reference to key.
func (it *Iter) Seek(key []byte) {
	if it.done {
		return
	}
	if it.current >= 0 && bytes.Compare(key, it.sources[it.current].key) <= 0 || it.seek && bytes.Compare(key, it.lo) <= 0 {
		return
	}
	it.lo, it.seek = slices.Clone(key), true
}

// Key returns the key shown, valid until Next or Seek. It must not be modified.
func (it *Iter) Key() []byte { return it.sources[it.current].key }

// Value returns the value of the key shown, valid until Next or Seek. It must not be modified.
func (it *Iter) Value() []byte {
	s := &it.sources[it.current]
	if s.kind == fromTree {
		return s.cursor.Value()
	}
	return s.e.value
}

// Err returns what ended the walk early, nil after a complete one.
func (it *Iter) Err() error { return it.err }

// Close ends the walk.
func (it *Iter) Close() {
	if it.total != nil {
		it.total.Add(it.steps)
	}
	it.done, it.current, it.sources, it.total = true, -1, nil, nil
}
