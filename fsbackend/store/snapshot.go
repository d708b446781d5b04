package store

import (
	"sync/atomic"

	"ostor/fsbackend/btree"
)

// treeRef is a snapshot of the tree that several states share.
type treeRef struct {
	snap  *btree.Snapshot
	refs  atomic.Int64 // at least one while the store publishes it
	steps *atomic.Uint64
}

func (s *Store) newTreeRef() *treeRef {
	r := &treeRef{snap: s.tree.Snapshot(), steps: &s.counters.steps}
	r.refs.Store(1)
	return r
}

func (r *treeRef) release() {
	if r.refs.Add(-1) == 0 {
		r.snap.Release()
	}
}

// state is what readers see: everything up to lsn. Immutable.
type state struct {
	lsn    uint64
	epoch  uint64   // of the memtable that active is a copy of
	active *memTree // nil = empty
	frozen *memTree // nil = none
	tree   *treeRef
}

// Snapshot is a durable state of the store. It holds memory and pages until Close. Safe for concurrent use, but Close.
type Snapshot struct {
	state
	closed bool
}

// LSN returns the log record up to which the snapshot shows everything.
func (sn *Snapshot) LSN() uint64 { return sn.lsn }

// Get returns the value of a key. The value must not be modified; it stays valid for ever, also after Close.
func (sn *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	return get(key, sn.active, sn.frozen, sn.tree)
}

// Iter walks the keys in [lo, hi). A nil hi is no limit.
func (sn *Snapshot) Iter(lo, hi []byte) *Iter {
	return newIter(lo, hi, nil, sn.active, sn.frozen, sn.tree)
}

// Close gives up what the snapshot holds. Closing twice does no harm.
func (sn *Snapshot) Close() {
	if !sn.closed && sn.tree != nil {
		sn.closed = true
		sn.tree.release()
	}
}

// get looks through the layers, newest first.
func get(key []byte, active, frozen *memTree, tree *treeRef) (value []byte, ok bool, err error) {
	if active != nil || frozen != nil {
		probe := probes.Get().(*entry)
		probe.key = key
		e := lookup(active, probe)
		if e == nil {
			e = lookup(frozen, probe)
		}
		probe.key = nil
		probes.Put(probe)
		if e != nil {
			return e.value, !e.deleted, nil
		}
	}
	if tree == nil {
		return nil, false, errClosed
	}
	return tree.snap.Get(key)
}
