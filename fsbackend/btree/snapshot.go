package btree

import "ostor/internal/invariant"

// Snapshot is one root of the tree, readable until Release. Safe for concurrent use; its cursors are not.
type Snapshot struct {
	t    *Tree // nil for a snapshot that pins nothing
	g    *pager
	root Root
}

// Snapshot pins the current root's pages until Release.
func (t *Tree) Snapshot() *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pins[t.root.TxID]++
	return &Snapshot{t: t, g: t.pager, root: t.root}
}

// Release gives the pages of the snapshot free for reuse. The snapshot and its cursors must not be used afterwards; values that they returned may.
func (s *Snapshot) Release() {
	if s.t == nil {
		return
	}
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.pins[s.root.TxID]
	invariant.Assert(n > 0, "release of a snapshot of transaction %d that is not held", s.root.TxID)
	if n == 1 {
		delete(t.pins, s.root.TxID)
	} else {
		t.pins[s.root.TxID] = n - 1
	}
}

// oldestPin returns the oldest root that is held: that of a snapshot or the current one.
func (t *Tree) oldestPin() TxID {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := t.root.TxID
	for tx := range t.pins {
		oldest = min(oldest, tx)
	}
	return oldest
}

// Root returns the snapshot's root.
func (s *Snapshot) Root() Root { return s.root }

// Get returns the value of key. The value stays valid after Release; it must not be modified. It returns a fault.Corruption for a
// damaged page on the way.
func (s *Snapshot) Get(key []byte) (value []byte, ok bool, err error) {
	if s.root.Page == 0 {
		return nil, false, nil
	}
	r := s.root.page()
	for level := s.root.Height - 1; level > 0; level-- {
		p, err := s.g.get(r, kindBranch, uint8(level), true)
		if err != nil {
			return nil, false, err
		}
		r = p.child(p.route(key))
	}
	p, err := s.g.get(r, kindLeaf, 0, true)
	if err != nil {
		return nil, false, err
	}
	i, found := p.seek(key)
	if !found {
		return nil, false, nil
	}
	v, big := p.value(i)
	if big.size == 0 {
		return v, true, nil
	}
	v, err = s.g.overflow(big)
	return v, err == nil, err
}
