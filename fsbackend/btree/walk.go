package btree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ostor/fsbackend"
)

// PageInfo describes one page for people and tools.
type PageInfo struct {
	ID          PageID
	Kind        string // leaf, branch, overflow, map or directory
	Level       int
	TxID        TxID
	Entries     int
	UsedBytes   int
	PrefixBytes int
	CRC         uint32
}

func (p *page) info() PageInfo {
	return PageInfo{p.id, kindNames[p.kind], int(p.level), p.tx(), p.n, p.used(), p.plen, p.crc}
}

// PageEntry is one entry of a leaf (Key, Value), or of a branch (Key, Child; the key of a page's first child may be missing).
type PageEntry struct {
	Key      []byte
	Value    []byte // of a leaf; a long one is read from its overflow pages, nil when these are damaged
	Child    PageID // of a branch
	Overflow PageID // first page of a long value; 0 = it is in the page
	Bytes    int    // of the value
}

// Pages is what Walk calls. Functions may be nil. Slices are valid during the call.
type Pages struct {
	Page   func(PageInfo, []PageEntry) error // entries only of leaves and branches
	Reach  func(PageID)                      // of every page that the root reaches, also a damaged one
	Damage func(error)                       // damage, after which the walk goes on elsewhere
}

// Walk reads what a root reaches whose keys are in [from, to), nil bounds being none, in key order, then the directory and maps. Unlike Inspect, it goes on
// behind damage, which it hands to Damage; it does not verify order, bounds and counts. It writes nothing.
func Walk(ctx context.Context, fs fsbackend.FS, dir string, root Root, from, to []byte, fn Pages) error {
	g := newPager(fs, dir, noHome, 1)
	defer func() { _ = g.close() }()
	w := &walker{ctx: ctx, g: g, from: from, to: to, fn: fn}
	if root.Page != 0 {
		if err := w.walk(root.page(), root.Height-1, nil); err != nil {
			return err
		}
	}
	files, pages, err := g.directory(root.directory())
	if err != nil {
		w.damage(err)
	}
	for _, id := range pages {
		w.reach(id, 1)
	}
	for _, e := range files {
		if e.bits.id == 0 {
			continue
		}
		w.reach(e.bits.id, 1)
		if _, err := g.read(e.bits, kindMap, 0); err != nil {
			w.damage(err)
		}
	}
	return nil
}

type walker struct {
	ctx      context.Context
	g        *pager
	from, to []byte
	fn       Pages
}

func (w *walker) damage(err error) {
	if w.fn.Damage != nil {
		w.fn.Damage(err)
	}
}

func (w *walker) reach(id PageID, n int) {
	for i := 0; i < n && w.fn.Reach != nil; i++ {
		w.fn.Reach(id + PageID(i))
	}
}

func (w *walker) walk(r ref, level int, low []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.reach(r.id, 1)
	kind := uint8(kindBranch)
	if level == 0 {
		kind = kindLeaf
	}
	p, err := w.g.read(r, kind, uint8(level))
	if err != nil {
		w.damage(err)
		return nil
	}
	items := p.items(nil, low)
	list, errs := w.g.entries(p, items, w.reach)
	for _, err := range errs {
		w.damage(err)
	}
	if w.fn.Page != nil {
		if err := w.fn.Page(p.info(), list); err != nil {
			return err
		}
	}
	if level == 0 {
		return nil
	}
	for i, it := range items {
		if w.to != nil && bytes.Compare(it.key, w.to) >= 0 || i+1 < len(items) && bytes.Compare(items[i+1].key, w.from) <= 0 {
			continue
		}
		if err := w.walk(it.child, level-1, it.key); err != nil {
			return err
		}
	}
	return nil
}

// entries reads long values, too.
func (g *pager) entries(p *page, items []item, reach func(PageID, int)) (list []PageEntry, errs []error) {
	list = make([]PageEntry, len(items))
	for i, it := range items {
		list[i] = PageEntry{Key: it.key, Value: it.val, Child: it.child.id, Bytes: len(it.val)}
		if p.kind != kindLeaf || it.big.size == 0 {
			continue
		}
		list[i].Overflow, list[i].Bytes = it.big.ref.id, it.big.size
		reach(it.big.ref.id, it.big.pages())
		v, err := g.overflow(it.big)
		if err != nil {
			errs = append(errs, err)
		}
		list[i].Value = v
	}
	return list, errs
}

// ParseFileName reads the number in the name of a tree file.
func ParseFileName(name string) (number uint32, ok bool) {
	digits, ok := strings.CutPrefix(name, treePrefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && n > 0 && n <= maxFileNumber && treeName(uint32(n)) == name
}

// ScanFile reads every page of a tree file, whether a root reaches it or not, and calls fn with the page and its entries, or with why it is none. Pages of zeroes were
// never written and are left out. It writes nothing.
func ScanFile(ctx context.Context, fs fsbackend.FS, dir string, generation uint64, number uint32, fn func(PageInfo, []PageEntry, error) error) error {
	g := newPager(fs, dir, noHome, 1)
	defer func() { _ = g.close() }()
	k := makeFileKey(generation, number)
	f, err := g.file(k)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	pages := int((size + PageBytes - 1) / PageBytes)
	for i := range min(pages, maxFilePages) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := make([]byte, PageBytes)
		n, err := f.ReadAt(b, int64(i)*PageBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("btree: read %s: %w", f.Name(), err)
		}
		if zeroes(b) {
			continue
		}
		p, want, got := decodePage(b[:n], k.page(i))
		if p == nil {
			if err := fn(PageInfo{ID: k.page(i)}, nil, g.corrupt(k.page(i), 0, want, got)); err != nil {
				return err
			}
			continue
		}
		var items []item
		if p.kind == kindLeaf || p.kind == kindBranch {
			items = p.items(nil, nil)
		}
		list, errs := g.entries(p, items, func(PageID, int) {})
		_ = errs // a page that no root reaches may name overflow pages that were used again; its values are nil then
		if err := fn(p.info(), list, nil); err != nil {
			return err
		}
	}
	return nil
}
