package btree

import (
	"bytes"
	"context"
	"fmt"

	"ostor/internal/fault"
	"ostor/internal/invariant"
)

// Report is what a check has seen.
type Report struct {
	Entries       uint64
	Leaves        uint64
	Branches      uint64
	OverflowPages uint64
	SpacePages    uint64 // maps and directory
	Files         int
	UsedBytes     uint64 // of leaves and branches; against (Leaves+Branches)*PageBytes the fill
	SmallPages    uint64 // leaves and branches below a third full; they are joined with a neighbour when rewritten
}

// Pages returns the pages of all kinds.
func (r Report) Pages() uint64 { return r.Leaves + r.Branches + r.OverflowPages + r.SpacePages }

// Check reads everything that the current root reaches from the disk, past the cache, and verifies: checksum and address of each page, each against its parent; order and
// bounds of keys; levels; long values; that no page is reached twice; that maps and directory say exactly what is reached (no page both free and
// reached, none lost); and all counts. It also verifies the space in memory. It waits for a running Apply, and the next one waits for it.
func (t *Tree) Check(ctx context.Context) error {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	if t.closed {
		return t.failed
	}
	if _, err := check(ctx, t.pager, t.Root()); err != nil {
		return fmt.Errorf("btree: check: %w", err)
	}
	return t.checkMemory()
}

// checkMemory verifies the invariants of the space between transactions.
func (t *Tree) checkMemory() error {
	s := t.space
	awaiting := make(map[fileKey]bitset)
	for _, r := range t.pending {
		for _, id := range r.pages {
			b := awaiting[id.file()]
			if b == nil {
				b = make(bitset, bitsetWords)
				awaiting[id.file()] = b
			}
			if b.has(id.index()) {
				return fault.New(fault.Internal, "btree: check: %v awaits release twice", id)
			}
			b.set(id.index())
		}
	}
	var live uint64
	for _, f := range s.files {
		live += uint64(f.liveCount)
		if !f.home {
			continue
		}
		if f.live.count() != f.liveCount || f.busy.count() != f.busyCount || f.fresh.count() != 0 || f.dirty {
			return fault.New(fault.Internal, "btree: check: counts of %s differ from its bits", f.key.name(t.opts.Dir))
		}
		b := awaiting[f.key]
		for w := range f.busy {
			want := f.live[w]
			if b != nil {
				if want&b[w] != 0 {
					return fault.New(fault.Internal, "btree: check: a page of %s awaits release and is live", f.key.name(t.opts.Dir))
				}
				want |= b[w]
			}
			if f.busy[w] != want {
				return fault.New(fault.Internal, "btree: check: a page of %s is busy for no reason, or free and in use", f.key.name(t.opts.Dir))
			}
		}
	}
	if live != s.live {
		return fault.New(fault.Internal, "btree: check: files have %d live pages, the tree counts %d", live, s.live)
	}
	return nil
}

// checker walks one root.
type checker struct {
	ctx   context.Context
	g     *pager
	root  Root
	r     Report
	reach map[fileKey]bitset
	last  []byte // key before the current one
	any   bool
	visit func(p *page) error // of each leaf and branch; may be nil
}

// check verifies all that root reaches.
func check(ctx context.Context, g *pager, root Root) (Report, error) {
	c := &checker{ctx: ctx, g: g, root: root, reach: make(map[fileKey]bitset)}
	if err := c.run(); err != nil {
		return c.r, err
	}
	return c.r, nil
}

func (c *checker) run() error {
	if c.root.Page != 0 {
		if err := c.walk(c.root.page(), c.root.Height-1, nil, nil, false); err != nil {
			return err
		}
	}
	if c.r.Entries != c.root.Entries {
		return fault.New(fault.Corrupt, "the root of transaction %d counts %d entries, the leaves hold %d", c.root.TxID, c.root.Entries, c.r.Entries)
	}
	return c.space()
}

// mark notes that a page is reached.
func (c *checker) mark(id PageID, kind uint8) error {
	b := c.reach[id.file()]
	if b == nil {
		b = make(bitset, bitsetWords+1) // index 65535 fits, though no file has it
		c.reach[id.file()] = b
	}
	if b.has(id.index()) {
		return c.g.corrupt(id, kind, "one way to the page", "two")
	}
	b.set(id.index())
	return nil
}

func (c *checker) walk(r ref, level int, low, high []byte, bounded bool) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	kind := uint8(kindBranch)
	if level == 0 {
		kind = kindLeaf
	}
	if err := c.mark(r.id, kind); err != nil {
		return err
	}
	p, err := c.g.read(r, kind, uint8(level))
	if err != nil {
		return err
	}
	if c.visit != nil {
		if err := c.visit(p); err != nil {
			return err
		}
	}
	c.r.UsedBytes += uint64(p.used())
	if p.used() < pageSmall {
		c.r.SmallPages++
	}
	items := p.items(nil, low)
	for i, it := range items {
		if i > 0 && !ascending(items[i-1].key, it.key) {
			return c.g.corrupt(r.id, kind, "ascending keys", fmt.Sprintf("entry %d not after the one before", i))
		}
		if bytes.Compare(it.key, low) < 0 || bounded && !ascending(it.key, high) {
			return c.g.corrupt(r.id, kind, "keys in the range that the parent gives", fmt.Sprintf("entry %d outside", i))
		}
	}
	if level > 0 {
		c.r.Branches++
		if level == c.root.Height-1 && p.n < 2 {
			return c.g.corrupt(r.id, kind, "a root with two children at least", fmt.Sprint(p.n))
		}
		for i, it := range items {
			h, b := high, bounded
			if i+1 < len(items) {
				h, b = items[i+1].key, true
			}
			if err := c.walk(it.child, level-1, it.key, h, b); err != nil {
				return err
			}
		}
		return nil
	}
	c.r.Leaves++
	return c.leaf(p, items)
}

// word returns 64 bits; none of a nil bitset is set.
func (b bitset) word(w int) uint64 {
	if b == nil {
		return 0
	}
	return b[w]
}

func (c *checker) leaf(p *page, items []item) error {
	for i, it := range items {
		if c.any && !ascending(c.last, it.key) {
			return c.g.corrupt(p.id, kindLeaf, "keys after those of the leaf before", fmt.Sprintf("entry %d", i))
		}
		c.last, c.any = it.key, true
		if it.big.size == 0 {
			continue
		}
		if it.big.ref.id.index()+it.big.pages() > maxFilePages {
			return c.g.corrupt(p.id, kindLeaf, "a long value inside a file", fmt.Sprintf("entry %d at %v", i, it.big.ref.id))
		}
		for j := range it.big.pages() {
			if err := c.mark(it.big.ref.id+PageID(j), kindOverflow); err != nil {
				return err
			}
			c.r.OverflowPages++
		}
		if _, err := c.g.overflow(it.big); err != nil {
			return err
		}
	}
	c.r.Entries += uint64(len(items))
	return nil
}

// space compares maps and directory with what was reached.
func (c *checker) space() error {
	entries, pages, err := c.g.directory(c.root.directory())
	if err != nil {
		return err
	}
	for _, id := range pages {
		c.r.SpacePages++
		if err := c.mark(id, kindDirectory); err != nil {
			return err
		}
	}
	maps := make(map[fileKey]bitset)
	for _, e := range entries {
		if e.bits.id == 0 {
			continue
		}
		c.r.SpacePages++
		if err := c.mark(e.bits.id, kindMap); err != nil {
			return err
		}
		p, err := c.g.read(e.bits, kindMap, 0)
		if err != nil {
			return err
		}
		maps[e.key] = decodeMap(p.buf[pageHeaderBytes:])
	}
	known := make(map[fileKey]bool)
	for _, e := range entries {
		known[e.key] = true
		reached := c.reach[e.key]
		n := 0
		if reached != nil {
			n = reached.count()
		}
		if n != int(e.live) {
			return fault.New(fault.Corrupt, "%s has %d reachable pages, the directory says %d", e.key.name(c.g.dir), n, e.live)
		}
		for w, word := range maps[e.key] {
			if reached.word(w) != word {
				return c.g.corrupt(e.bits.id, kindMap, fmt.Sprintf("bits %#x of pages from %d as reached", reached.word(w), w*64), fmt.Sprintf("%#x: a page is lost, or both free and reached", word))
			}
		}
		if (e.bits.id != 0) != (e.key.generation() == c.root.Generation) {
			return fault.New(fault.Corrupt, "%s: a map where none belongs, or none where one does", e.key.name(c.g.dir))
		}
	}
	for k := range c.reach {
		if !known[k] {
			return fault.New(fault.Corrupt, "%s has reachable pages and is not in the directory", k.name(c.g.dir))
		}
	}
	c.r.Files = len(entries)
	if c.r.Pages() != c.root.Pages {
		return fault.New(fault.Corrupt, "the root of transaction %d counts %d pages, %d are reached", c.root.TxID, c.root.Pages, c.r.Pages())
	}
	invariant.Assert(len(known) == len(entries), "directory with files twice")
	return nil
}
