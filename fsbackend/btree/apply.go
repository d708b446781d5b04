package btree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Change puts or deletes one key.
type Change struct {
	Key    []byte // at most MaxKeyBytes
	Value  []byte // at most MaxValueBytes
	Delete bool   // of a key that is not there: no change
}

// Apply merges changes, which ascend strictly by key, and makes the result durable as the state at lsn, which is not below the current root's. Each leaf that they
// touch is written once. Keys and values must stay unmodified until Apply returns; they are not kept.
//
// After an error the tree is at its old root, and a later Apply works: after fault.NoSpace when there is room again, after fault.Invalid with
// better changes. But after a failed Datasync, or SyncDir, what the disk holds is unknown: the tree is failed for good, and reads go on from the
// old root. ctx ends an Apply until its root is being written. One Apply runs at a time, others wait.
func (t *Tree) Apply(ctx context.Context, lsn uint64, changes iter.Seq[Change]) error {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	if t.failed != nil {
		return t.failed
	}
	old := t.Root()
	if lsn < old.LSN {
		return fault.New(fault.Invalid, "btree: apply at LSN %d, before the tree's LSN %d", lsn, old.LSN)
	}
	if err := t.reclaim(); err != nil {
		return fmt.Errorf("btree: reuse pages: %w", err)
	}
	a := &applier{t: t, ctx: ctx, tx: old.TxID + 1, entries: old.Entries, space: t.space}
	for l := range a.levels {
		a.levels[l].level = l
	}
	t.space.begin()
	root, err := a.run(old, changes)
	if err == nil {
		root.LSN = lsn
		err = a.commit(&root)
	}
	t.writeBuf = t.writeBuf[:0]
	if err != nil {
		if held := t.space.abort(a.quarantine); len(held) > 0 {
			t.pending = append(t.pending, release{tx: a.tx, pages: held})
		}
		if a.fatal {
			t.failed = fault.Wrap(fault.Unavailable, err, "btree: failed for good by an earlier sync")
			err = fault.Wrap(fault.Unavailable, err, "failed sync") // whatever its cause, also a full disk
		}
		t.updateStats()
		return fmt.Errorf("btree: apply: %w", err)
	}
	t.finish(root, a.dirPages)
	return nil
}

// applier is one run of Apply: it walks the old tree from left to right along the changes, passes on what they do not touch, and gathers the rest in one builder per
// level.
//
// Invariant: what was emitted at a level, then the items of its builder, then those of the builders below it, are in key order and are the new tree up to the place
// that the walk has reached.
type applier struct {
	t     *Tree
	ctx   context.Context
	tx    TxID
	space *space

	next func() (Change, bool)
	cur  Change // the next change, when more
	more bool

	levels  [maxLevels + 1]builder
	begun   [maxLevels + 1]bool // something of the level lies to the left: its next page is not the leftmost
	entries uint64
	scratch []item

	out        output
	dirPages   []PageID
	quarantine bool // the ring may hold this attempt's root
	fatal      bool // a sync failed
}

// run writes the pages of the new tree and returns its root, without LSN and directory.
func (a *applier) run(old Root, changes iter.Seq[Change]) (Root, error) {
	next, stop := iter.Pull(changes)
	defer stop()
	a.next = next
	a.out.init(a)
	root := Root{Generation: a.t.opts.Home, TxID: a.tx, Page: old.Page, pageCRC: old.pageCRC, Height: old.Height,
		Directory: old.Directory, dirCRC: old.dirCRC}
	if err := a.advance(); err != nil {
		return Root{}, err
	}
	if !a.more {
		root.Entries = old.Entries
		return root, nil
	}
	var err error
	if old.Page == 0 {
		err = a.mergeItems(nil, nil, nil, false)
	} else {
		err = a.merge(item{child: old.page()}, old.Height-1, nil, false)
	}
	if err != nil {
		return Root{}, err
	}
	top, height, err := a.finish()
	if err != nil {
		return Root{}, err
	}
	root.Page, root.pageCRC, root.Height, root.Entries = top.id, top.crc, height, a.entries
	return root, nil
}

// advance moves to the next change and validates it.
func (a *applier) advance() error {
	last, had := a.cur.Key, a.more
	if a.cur, a.more = a.next(); !a.more {
		return nil
	}
	switch {
	case len(a.cur.Key) > MaxKeyBytes:
		return fault.New(fault.Invalid, "key of %d bytes, at most %d", len(a.cur.Key), MaxKeyBytes)
	case len(a.cur.Value) > MaxValueBytes && !a.cur.Delete:
		return fault.New(fault.Invalid, "value of %d bytes, at most %d", len(a.cur.Value), MaxValueBytes)
	case had && bytes.Compare(last, a.cur.Key) >= 0:
		return fault.New(fault.Invalid, "changes out of order: key %q after %q", a.cur.Key, last)
	}
	return nil
}

// inRange reports whether the next change is below hi.
func (a *applier) inRange(hi []byte, bounded bool) bool {
	return a.more && (!bounded || bytes.Compare(a.cur.Key, hi) < 0)
}

// merge takes over the page e of a level, whose keys are below hi when bounded, with the changes in its range.
func (a *applier) merge(e item, level int, hi []byte, bounded bool) error {
	if !a.inRange(hi, bounded) {
		return a.keep(e, level)
	}
	p, err := a.read(e.child, level)
	if err != nil {
		return err
	}
	if level == 0 {
		return a.mergeLeaf(e, p, hi, bounded)
	}
	a.space.free(e.child.id)
	children := p.items(make([]item, 0, p.n), e.key)
	for i, c := range children {
		h, b := hi, bounded
		if i+1 < len(children) {
			h, b = children[i+1].key, true
		}
		if err := a.merge(c, level-1, h, b); err != nil {
			return err
		}
	}
	return nil
}

// mergeLeaf is merge for a leaf. A leaf that the changes leave as it is, since they delete what is not there or put what is, is kept.
func (a *applier) mergeLeaf(e item, p *page, hi []byte, bounded bool) error {
	for a.inRange(hi, bounded) {
		i, found := p.seek(a.cur.Key)
		same := a.cur.Delete && !found
		if found && !a.cur.Delete {
			v, big := p.value(i)
			same = big.size == 0 && bytes.Equal(v, a.cur.Value)
		}
		if !same {
			a.space.free(e.child.id)
			return a.mergeItems(p, e.key, hi, bounded)
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	return a.keep(e, 0)
}

// mergeItems adds the entries of leaf p, if not nil, merged with the changes below hi.
func (a *applier) mergeItems(p *page, low, hi []byte, bounded bool) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	b := &a.levels[0]
	if b.empty() {
		b.low = low
	}
	var items []item
	if p != nil {
		items = p.items(a.scratch[:0], low)
		a.scratch = items[:0]
	}
	for a.inRange(hi, bounded) {
		c := 1 // of the old key to the new one
		for len(items) > 0 {
			if c = bytes.Compare(items[0].key, a.cur.Key); c >= 0 {
				break
			}
			if err := a.add(0, items[0]); err != nil {
				return err
			}
			items, c = items[1:], 1
		}
		if c == 0 {
			a.freeOverflow(items[0].big)
			items = items[1:]
			a.entries--
		}
		if !a.cur.Delete {
			it, err := a.entry(a.cur)
			if err == nil {
				err = a.add(0, it)
			}
			if err != nil {
				return err
			}
			a.entries++
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	for _, it := range items {
		if err := a.add(0, it); err != nil {
			return err
		}
	}
	return nil
}

// entry makes the leaf entry of a put, and writes a long value to overflow pages.
func (a *applier) entry(c Change) (item, error) {
	if len(c.Value) <= maxInlineBytes {
		return item{key: c.Key, val: c.Value}, nil
	}
	o := overflow{ref: ref{crc: checksum.CRC32C(c.Value)}, size: len(c.Value)}
	id, err := a.alloc(o.pages())
	if err != nil {
		return item{}, err
	}
	o.ref.id = id
	for i := range o.pages() {
		buf := make([]byte, PageBytes)
		n := copy(buf[pageHeaderBytes:], c.Value[i*overflowBytes:])
		putHeader(buf, id+PageID(i), a.tx, kindOverflow, 0, i, 0, pageHeaderBytes+n)
		seal(buf)
		if err := a.out.write(id+PageID(i), buf); err != nil {
			return item{}, err
		}
	}
	return item{key: c.Key, big: o}, nil
}

func (a *applier) freeOverflow(o overflow) {
	for i := range o.pages() {
		a.space.free(o.ref.id + PageID(i))
	}
}

// keep passes on page e of a level as it is. What builders hold to its left becomes pages first; where that is too little for a page, e is
// opened and joined with it.
func (a *applier) keep(e item, level int) error {
	for l := 0; l <= level; l++ {
		b := &a.levels[l]
		if b.empty() {
			continue
		}
		if b.size() < pageSmall {
			return a.unfold(e, level)
		}
		if err := a.flush(l); err != nil {
			return err
		}
	}
	for l := range level + 1 {
		a.begun[l] = true // below e
	}
	return a.add(level+1, e)
}

// unfold takes over the entries of page e.
func (a *applier) unfold(e item, level int) error {
	p, err := a.read(e.child, level)
	if err != nil {
		return err
	}
	a.space.free(e.child.id)
	if level == 0 {
		if a.levels[0].empty() {
			a.levels[0].low = e.key
		}
		for _, it := range p.items(nil, e.key) {
			if err := a.add(0, it); err != nil {
				return err
			}
		}
		return nil
	}
	for _, c := range p.items(nil, e.key) {
		if err := a.keep(c, level-1); err != nil {
			return err
		}
	}
	return nil
}

// add appends an entry to a level, and writes a full page when there is more than two pages of it.
func (a *applier) add(level int, it item) error {
	if level > maxLevels {
		return fault.New(fault.Internal, "tree of more than %d levels", maxLevels)
	}
	b := &a.levels[level]
	if level > 0 && !a.begun[level] {
		it.key = nil // the leftmost page has no lower bound
	}
	a.begun[level] = true
	b.push(it)
	for b.size() > 2*pageFull {
		if err := a.emit(level, b.fill()); err != nil {
			return err
		}
	}
	return nil
}

// flush makes pages of all items of a level.
func (a *applier) flush(level int) error {
	b := &a.levels[level]
	for !b.empty() {
		n := len(b.items)
		if b.size() > pageFull {
			n = b.halve()
		}
		if err := a.emit(level, n); err != nil {
			return err
		}
	}
	return nil
}

// emit writes the first n items of a level as a page and adds it to the level above.
func (a *applier) emit(level, n int) error {
	b := &a.levels[level]
	id, err := a.alloc(1)
	if err != nil {
		return err
	}
	p := b.encode(n, id, a.tx)
	if err := a.out.write(id, p.buf); err != nil {
		return err
	}
	a.t.pager.cache.put(p)
	up := item{key: b.low, child: ref{id, p.crc}}
	if level > 0 {
		up.key = b.items[0].key
	} else if n < len(b.items) {
		b.low = separator(b.items[n-1].key, b.items[n].key)
	}
	b.drop(n)
	return a.add(level+1, up)
}

// finish makes pages of what is left and returns the root page and the number of levels.
func (a *applier) finish() (ref, int, error) {
	for l := 0; l <= maxLevels; l++ {
		b := &a.levels[l]
		if !a.above(l) { // all of the tree at this level is here
			switch {
			case b.empty() && l == 0:
				return ref{}, 0, nil
			case l > 0 && len(b.items) == 1:
				return b.items[0].child, l, nil
			}
		} else if !b.empty() && b.size() < pageSmall {
			if err := a.borrow(l); err != nil {
				return ref{}, 0, err
			}
		}
		if err := a.flush(l); err != nil {
			return ref{}, 0, err
		}
	}
	return ref{}, 0, fault.New(fault.Internal, "tree of more than %d levels", maxLevels)
}

// above reports whether a level above l holds anything.
func (a *applier) above(l int) bool {
	for k := l + 1; k <= maxLevels; k++ {
		if !a.levels[k].empty() {
			return true
		}
	}
	return false
}

// borrow puts the entries of the page to the left of a level's builder into it.
func (a *applier) borrow(l int) error {
	up := &a.levels[l+1]
	if up.empty() {
		if !a.above(l + 1) {
			return nil
		}
		if err := a.borrow(l + 1); err != nil {
			return err
		}
	}
	last := len(up.items) - 1
	e := up.items[last]
	up.items = up.items[:last]
	up.recount()
	p, err := a.read(e.child, l)
	if err != nil {
		return err
	}
	a.space.free(e.child.id)
	b := &a.levels[l]
	b.low = e.key
	b.items = append(p.items(make([]item, 0, p.n+len(b.items)), e.key), b.items...)
	b.recount()
	return nil
}

// read returns a page of the old tree, or one that this run wrote.
func (a *applier) read(r ref, level int) (*page, error) {
	kind := uint8(kindBranch)
	if level == 0 {
		kind = kindLeaf
	}
	if a.space.fresh(r.id) {
		if err := a.out.flush(); err != nil {
			return nil, err
		}
	}
	return a.t.pager.get(r, kind, uint8(level), false)
}

// alloc returns n consecutive pages, in a new file where the present ones are full.
func (a *applier) alloc(n int) (PageID, error) {
	if id, ok := a.space.take(n); ok {
		return id, nil
	}
	if err := a.out.newFile(); err != nil {
		return 0, err
	}
	id, ok := a.space.take(n)
	if !ok {
		return 0, errors.New("a new file has no free pages")
	}
	return id, nil
}
