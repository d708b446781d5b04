package btree

import "bytes"

// Cursor walks the entries of a snapshot in ascending order of keys. It starts before the first entry. Not safe for concurrent use. A cursor holds
// no resources beyond its snapshot.
type Cursor struct {
	s     *Snapshot
	path  [maxLevels]step // path[l] is the page of level l; valid up to the root's level when open
	open  bool            // path[0] is at an entry
	begun bool            // path holds pages
	key   []byte
	plen  int // bytes of key that are the prefix of path[0].p
	value []byte
	err   error
}

type step struct {
	p *page
	i int // entry of p
}

// Cursor returns a new cursor.
func (s *Snapshot) Cursor() *Cursor { return &Cursor{s: s} }

// First moves to the first entry. It returns false when there is none or after an error.
func (c *Cursor) First() bool { return c.Seek(nil) }

// Seek moves to the first entry at or after key, in either direction. It returns false when there is none or after an error. A seek to a key near
// the current entry goes on from there instead of from the root.
func (c *Cursor) Seek(key []byte) bool {
	if c.err != nil || c.s.root.Page == 0 {
		return false
	}
	level := c.s.root.Height - 1
	if c.begun {
		level = c.shared(key)
	} else if !c.load(level, c.s.root.page()) {
		return false
	}
	for ; level > 0; level-- {
		at := &c.path[level]
		at.i = at.p.route(key)
		if !c.load(level-1, at.p.child(at.i)) {
			return false
		}
	}
	leaf := &c.path[0]
	leaf.i, _ = leaf.p.seek(key)
	c.begun = true
	if leaf.i == leaf.p.n {
		return c.nextLeaf()
	}
	return c.show()
}

// shared returns the lowest level at which the page on the path holds key's place for sure, or the root's.
func (c *Cursor) shared(key []byte) int {
	if p := c.path[0].p; p != nil {
		if i, found := p.seek(key); found || i > 0 && i < p.n {
			return 0
		}
	}
	top := c.s.root.Height - 1
	for l := 1; l < top; l++ {
		if p := c.path[l].p; p != nil {
			if i := p.route(key); i > 0 && i < p.n-1 {
				return l
			}
		}
	}
	return top
}

// load reads the page of a level into the path.
func (c *Cursor) load(level int, r ref) bool {
	kind := uint8(kindBranch)
	if level == 0 {
		kind = kindLeaf
	}
	if at := &c.path[level]; at.p != nil && at.p.id == r.id && at.p.crc == r.crc {
		at.i = 0
		return true
	}
	p, err := c.s.g.get(r, kind, uint8(level), true)
	if err != nil {
		return c.fail(err)
	}
	c.path[level] = step{p: p}
	if level == 0 {
		c.key = append(c.key[:0], p.prefix()...)
		c.plen = p.plen
	}
	return true
}

func (c *Cursor) fail(err error) bool {
	c.err, c.open, c.begun = err, false, false
	return false
}

// Next moves to the next entry. It returns false at the end or after an error.
func (c *Cursor) Next() bool {
	if !c.begun {
		return c.First()
	}
	if !c.open {
		return false
	}
	leaf := &c.path[0]
	if leaf.i++; leaf.i < leaf.p.n {
		return c.show()
	}
	return c.nextLeaf()
}

// nextLeaf moves to the first entry of the next leaf.
func (c *Cursor) nextLeaf() bool {
	c.open = false
	level := 1
	for ; level < c.s.root.Height; level++ {
		if at := &c.path[level]; at.i+1 < at.p.n {
			at.i++
			break
		}
	}
	if level >= c.s.root.Height {
		return false
	}
	for ; level > 0; level-- {
		at := &c.path[level]
		if !c.load(level-1, at.p.child(at.i)) {
			return false
		}
	}
	return c.show()
}

// show makes the current entry's key.
func (c *Cursor) show() bool {
	leaf := &c.path[0]
	c.key = append(c.key[:c.plen], leaf.p.leafSuffix(leaf.i)...)
	c.open, c.value = true, nil
	return true
}

// Key returns the key of the current entry, valid until the cursor moves; nil when there is none.
func (c *Cursor) Key() []byte {
	if !c.open {
		return nil
	}
	return c.key
}

// Value returns the value of the current entry: it stays valid and must not be modified. It returns nil when there is no current entry, and after an error,
// which Err tells: a long value is read here.
func (c *Cursor) Value() []byte {
	if !c.open {
		return nil
	}
	leaf := &c.path[0]
	v, big := leaf.p.value(leaf.i)
	if big.size == 0 {
		return v
	}
	if c.value == nil {
		v, err := c.s.g.overflow(big)
		if err != nil {
			c.fail(err)
			return nil
		}
		c.value = v
	}
	return c.value
}

// Err returns the error that stopped the cursor, or nil.
func (c *Cursor) Err() error { return c.err }

// ValidFor reports whether the current entry's key begins with prefix.
func (c *Cursor) ValidFor(prefix []byte) bool { return c.open && bytes.HasPrefix(c.key, prefix) }
