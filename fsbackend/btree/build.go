package btree

import (
	"bytes"
	"encoding/binary"
)

// Invariants of a builder:
//
//  1. items ascend strictly by key.
//  2. low is at or below the first key, and above every key of the page to the left.
//  3. size is the length of a page that held all items; it grows with each item and each run of items is at most as long as one that contains it.

const (
	pageFull  = PageBytes
	pageSmall = PageBytes / 3 // a page below this is joined with a neighbour when it is rewritten
)

// item is an entry on its way into a page: of a leaf with val or big, of a branch with child.
type item struct {
	key   []byte
	val   []byte
	big   overflow
	child ref
}

// builder gathers the entries of one level from left to right until they make pages.
type builder struct {
	level int
	items []item
	low   []byte // leaves only: lower bound of the first item; the key of a branch's first item serves there

	lcp  int // bytes that all stored keys share
	keys int // stored keys: all items of a leaf, all but the first of a branch
	raw  int // bytes of slots, cells and whole keys
}

func (b *builder) empty() bool { return len(b.items) == 0 }

// skip is the number of items at the front whose key a page does not store.
func (b *builder) skip() int {
	if b.level > 0 {
		return 1
	}
	return 0
}

// cost returns the bytes of an item in a page but for its key.
func (b *builder) cost(it *item) int {
	switch {
	case b.level > 0:
		return slotBytes + branchCellBytes
	case it.big.size > 0:
		return slotBytes + leafCellBytes + overflowRef
	}
	return slotBytes + leafCellBytes + len(it.val)
}

func (b *builder) push(it item) {
	b.items = append(b.items, it)
	b.account(len(b.items) - 1)
}

// account adds item i, all before it being accounted for, to the size.
func (b *builder) account(i int) {
	it := &b.items[i]
	b.raw += b.cost(it)
	switch skip := b.skip(); {
	case i < skip:
		return
	case i == skip:
		b.lcp = len(it.key)
	default:
		b.lcp = commonPrefix(b.items[skip].key[:b.lcp], it.key)
	}
	b.raw += len(it.key)
	b.keys++
}

func (b *builder) size() int { return pageHeaderBytes + b.raw - b.keys*b.lcp + b.lcp }

// recount computes the size anew after items changed.
func (b *builder) recount() {
	b.lcp, b.keys, b.raw = 0, 0, 0
	for i := range b.items {
		b.account(i)
	}
}

// drop removes the first n items.
func (b *builder) drop(n int) {
	rest := copy(b.items, b.items[n:])
	clear(b.items[rest:])
	b.items = b.items[:rest]
	b.recount()
}

// fill returns how many items from the front fit one page; at least one.
func (b *builder) fill() int {
	lcp, keys, raw, skip := 0, 0, 0, b.skip()
	for i := range b.items {
		it := &b.items[i]
		raw += b.cost(it)
		if i >= skip {
			if i == skip {
				lcp = len(it.key)
			} else {
				lcp = commonPrefix(b.items[skip].key[:lcp], it.key)
			}
			keys++
			raw += len(it.key)
		}
		if pageHeaderBytes+raw-keys*lcp+lcp > pageFull {
			return i
		}
	}
	return len(b.items)
}

// halve returns the cut that makes the longer of two pages as short as can be, or what fits one page where two are not enough. There are at
// least two items.
func (b *builder) halve() int {
	n, skip := len(b.items), b.skip()
	right := make([]int, n+1) // right[i]: size of a page with items [i, n)
	lcp, keys, raw := 0, 0, 0
	for i := n - 1; i > 0; i-- {
		it := &b.items[i]
		// The key of item i is stored when item i is not the first of a branch page: so for [i, n) the key of i counts in leaves only.
		raw += b.cost(it)
		if skip == 0 {
			lcp, keys, raw = b.widen(i, n, lcp, keys, raw)
			right[i] = pageHeaderBytes + raw - keys*lcp + lcp
		} else {
			right[i] = pageHeaderBytes + raw - keys*lcp + lcp
			lcp, keys, raw = b.widen(i, n, lcp, keys, raw)
		}
	}
	best, bestMax := 0, 0
	left := builder{level: b.level, items: b.items}
	for i := 1; i < n; i++ {
		left.account(i - 1)
		if left.size() > pageFull {
			break
		}
		longer := max(left.size(), right[i])
		if right[i] <= pageFull && (best == 0 || longer < bestMax) {
			best, bestMax = i, longer
		}
	}
	if best == 0 {
		return min(b.fill(), n-1)
	}
	return best
}

// widen accounts for the key of item i in a run that ends with item n-1.
func (b *builder) widen(i, n, lcp, keys, raw int) (int, int, int) {
	key := b.items[i].key
	if keys == 0 {
		lcp = len(key)
	} else {
		lcp = commonPrefix(b.items[n-1].key[:lcp], key)
	}
	return lcp, keys + 1, raw + len(key)
}

// encode makes a page of the first n items, which fit.
func (b *builder) encode(n int, id PageID, tx TxID) *page {
	items, skip, le := b.items[:n], b.skip(), binary.LittleEndian
	var prefix []byte
	if n > skip {
		first := items[skip].key
		prefix = first[:commonPrefix(first, items[n-1].key)]
	}
	buf := make([]byte, PageBytes)
	copy(buf[pageHeaderBytes:], prefix)
	p := &page{buf: buf, id: id, level: uint8(b.level), kind: kindLeaf, n: n, plen: len(prefix), slots: pageHeaderBytes + len(prefix)}
	if b.level > 0 {
		p.kind = kindBranch
	}
	at := p.slots + n*slotBytes
	for i := range items {
		it := &items[i]
		le.PutUint16(buf[p.slots+i*slotBytes:], uint16(at))
		var suffix []byte
		if i >= skip {
			suffix = it.key[len(prefix):]
		}
		le.PutUint16(buf[at:], uint16(len(suffix)))
		switch {
		case b.level > 0:
			le.PutUint64(buf[at+2:], uint64(it.child.id))
			le.PutUint32(buf[at+10:], it.child.crc)
			at += branchCellBytes
			at += copy(buf[at:], suffix)
		case it.big.size > 0:
			le.PutUint16(buf[at+2:], overflowMark)
			at += leafCellBytes
			at += copy(buf[at:], suffix)
			le.PutUint64(buf[at:], uint64(it.big.ref.id))
			le.PutUint32(buf[at+8:], uint32(it.big.size))
			le.PutUint32(buf[at+12:], it.big.ref.crc)
			at += overflowRef
		default:
			le.PutUint16(buf[at+2:], uint16(len(it.val)))
			at += leafCellBytes
			at += copy(buf[at:], suffix)
			at += copy(buf[at:], it.val)
		}
	}
	putHeader(buf, id, tx, p.kind, p.level, n, p.plen, at)
	p.crc = seal(buf)
	return p
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i+8 <= n && binary.LittleEndian.Uint64(a[i:]) == binary.LittleEndian.Uint64(b[i:]) {
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// separator returns the shortest key s with a < s <= b, for a < b. It is a slice of b.
func separator(a, b []byte) []byte {
	n := commonPrefix(a, b) + 1
	return b[:n:n]
}

// ascending reports whether a sorts before b.
func ascending(a, b []byte) bool { return bytes.Compare(a, b) < 0 }
