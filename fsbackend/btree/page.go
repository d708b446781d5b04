package btree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"ostor/internal/checksum"
)

// page is a verified page in memory. Its bytes are immutable, so slices of them are given out. A page that is evicted lives on while
// somebody holds such a slice.
type page struct {
	buf   []byte // PageBytes long
	id    PageID
	crc   uint32
	kind  uint8
	level uint8 // 0 for leaves
	n     int   // entries
	plen  int   // bytes of the prefix that all keys share (of a branch: all but the first, which is not stored)
	slots int   // offset of the slot array
	hot   atomic.Bool
}

// decodePage verifies one page: magic, checksum, address, and that every length and offset in it stays inside. It does not verify the order of
// the keys; Check does. b is kept. What is wrong is returned as the want and got of a fault.Corruption.
func decodePage(b []byte, id PageID) (p *page, want, got string) {
	le := binary.LittleEndian
	if len(b) != PageBytes {
		return nil, fmt.Sprintf("%d bytes", PageBytes), fmt.Sprintf("%d bytes", len(b))
	}
	if m := le.Uint32(b); m != pageMagic {
		return nil, fmt.Sprintf("magic %#x", uint32(pageMagic)), fmt.Sprintf("%#x", m)
	}
	if sum, stored := checksum.CRC32C(b[8:]), le.Uint32(b[4:]); sum != stored {
		return nil, fmt.Sprintf("checksum %#x", stored), fmt.Sprintf("%#x", sum)
	}
	if at := PageID(le.Uint64(b[8:])); at != id {
		return nil, "page " + id.String(), "page " + at.String()
	}
	p = &page{buf: b, id: id, crc: le.Uint32(b[4:]), kind: b[24], level: b[25], n: int(le.Uint16(b[26:])), plen: int(le.Uint16(b[28:]))}
	p.slots = pageHeaderBytes + p.plen
	if got := p.bounds(); got != "" {
		return nil, "entries inside the page", got
	}
	return p, "", ""
}

// bounds says what reaches outside the page, or "".
func (p *page) bounds() string {
	le := binary.LittleEndian
	used := int(le.Uint16(p.buf[30:]))
	if used < pageHeaderBytes || used > PageBytes {
		return fmt.Sprintf("%d bytes used", used)
	}
	switch p.kind {
	case kindLeaf, kindBranch:
	case kindOverflow, kindMap:
		return ""
	case kindDirectory:
		if p.n > dirPageEntries {
			return fmt.Sprintf("%d directory entries", p.n)
		}
		return ""
	default:
		return fmt.Sprintf("kind %d", p.kind)
	}
	if p.n == 0 || (p.kind == kindLeaf) != (p.level == 0) || p.plen > MaxKeyBytes {
		return fmt.Sprintf("a %s of level %d with %d entries and a prefix of %d bytes", kindNames[p.kind], p.level, p.n, p.plen)
	}
	cells := p.slots + p.n*slotBytes
	if cells > used {
		return fmt.Sprintf("%d slots in %d bytes", p.n, used)
	}
	for i := range p.n {
		off := p.cell(i)
		head := leafCellBytes
		if p.kind == kindBranch {
			head = branchCellBytes
		}
		if off < cells || off+head > used {
			return fmt.Sprintf("entry %d at %d", i, off)
		}
		end := off + head + int(le.Uint16(p.buf[off:]))
		if p.kind == kindLeaf {
			if v := int(le.Uint16(p.buf[off+2:])); v == overflowMark {
				end += overflowRef
			} else {
				end += v
			}
		}
		if end > used {
			return fmt.Sprintf("entry %d to %d", i, end)
		}
		if p.kind == kindLeaf {
			if _, o := p.value(i); o.ref.id != 0 && (o.size <= maxInlineBytes || o.size > MaxValueBytes) {
				return fmt.Sprintf("entry %d of %d bytes in overflow pages", i, o.size)
			}
		}
	}
	return ""
}

func (p *page) tx() TxID { return TxID(binary.LittleEndian.Uint64(p.buf[16:])) }

// used returns the bytes of the page that carry something.
func (p *page) used() int { return int(binary.LittleEndian.Uint16(p.buf[30:])) }

func (p *page) prefix() []byte { return p.buf[pageHeaderBytes:p.slots:p.slots] }

// cell returns the offset of entry i.
func (p *page) cell(i int) int { return int(binary.LittleEndian.Uint16(p.buf[p.slots+i*slotBytes:])) }

// leafSuffix returns the key of entry i of a leaf without the prefix.
func (p *page) leafSuffix(i int) []byte {
	o := p.cell(i)
	end := o + leafCellBytes + int(binary.LittleEndian.Uint16(p.buf[o:]))
	return p.buf[o+leafCellBytes : end : end]
}

// branchSuffix returns the separator before child i of a branch without the prefix; i > 0.
func (p *page) branchSuffix(i int) []byte {
	o := p.cell(i)
	end := o + branchCellBytes + int(binary.LittleEndian.Uint16(p.buf[o:]))
	return p.buf[o+branchCellBytes : end : end]
}

// overflow says where a long value lies. The zero overflow is none.
type overflow struct {
	ref  ref // first page of a run in one file; crc is the checksum of the value
	size int // bytes of the value
}

func (o overflow) pages() int { return (o.size + overflowBytes - 1) / overflowBytes }

// value returns the value of entry i of a leaf: the bytes, or where they lie.
func (p *page) value(i int) ([]byte, overflow) {
	le := binary.LittleEndian
	o := p.cell(i)
	at := o + leafCellBytes + int(le.Uint16(p.buf[o:]))
	v := int(le.Uint16(p.buf[o+2:]))
	if v != overflowMark {
		return p.buf[at : at+v : at+v], overflow{}
	}
	return nil, overflow{ref: ref{PageID(le.Uint64(p.buf[at:])), le.Uint32(p.buf[at+12:])}, size: int(le.Uint32(p.buf[at+8:]))}
}

// child returns where child i of a branch lies.
func (p *page) child(i int) ref {
	o := p.cell(i)
	return ref{PageID(binary.LittleEndian.Uint64(p.buf[o+2:])), binary.LittleEndian.Uint32(p.buf[o+10:])}
}

// cut compares key with the page's prefix: 0 when key begins with it, and rest is what follows; else -1 or 1 when key sorts before or after
// all keys with the prefix.
func (p *page) cut(key []byte) (rest []byte, side int) {
	if p.plen == 0 {
		return key, 0
	}
	if len(key) < p.plen {
		if bytes.Compare(key, p.prefix()) < 0 {
			return nil, -1
		}
		return nil, 1
	}
	if c := bytes.Compare(key[:p.plen], p.prefix()); c != 0 {
		return nil, c
	}
	return key[p.plen:], 0
}

// seek returns the first entry of a leaf whose key is at or after key, and whether it is key; p.n when there is none.
func (p *page) seek(key []byte) (i int, found bool) {
	rest, side := p.cut(key)
	if side < 0 {
		return 0, false
	}
	if side > 0 {
		return p.n, false
	}
	lo, hi := 0, p.n
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		switch c := bytes.Compare(p.leafSuffix(m), rest); {
		case c < 0:
			lo = m + 1
		case c > 0:
			hi = m
		default:
			return m, true
		}
	}
	return lo, false
}

// route returns the child of a branch whose range holds key.
func (p *page) route(key []byte) int {
	rest, side := p.cut(key)
	if side < 0 {
		return 0
	}
	if side > 0 {
		return p.n - 1
	}
	lo, hi := 1, p.n // first separator after key
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if bytes.Compare(p.branchSuffix(m), rest) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

// items appends the page's entries, with whole keys, to dst. low is the lower bound of the page, which is the key of a branch's first
// child. Keys and values are slices of the page or of one new arena.
func (p *page) items(dst []item, low []byte) []item {
	leaf := p.kind == kindLeaf
	var arena []byte
	if p.plen > 0 {
		total := 0
		for i := range p.n {
			total += p.plen + int(binary.LittleEndian.Uint16(p.buf[p.cell(i):]))
		}
		arena = make([]byte, 0, total)
	}
	for i := range p.n {
		var it item
		if leaf {
			it.key = p.leafSuffix(i)
			it.val, it.big = p.value(i)
		} else {
			it.key = p.branchSuffix(i)
			it.child = p.child(i)
		}
		if !leaf && i == 0 {
			it.key = low
		} else if p.plen > 0 {
			start := len(arena)
			arena = append(append(arena, p.prefix()...), it.key...)
			it.key = arena[start:len(arena):len(arena)]
		}
		dst = append(dst, it)
	}
	return dst
}

// putHeader fills the header of a page but the checksum, which seal computes.
func putHeader(b []byte, id PageID, tx TxID, kind, level uint8, n, plen, used int) {
	le := binary.LittleEndian
	le.PutUint32(b, pageMagic)
	le.PutUint64(b[8:], uint64(id))
	le.PutUint64(b[16:], uint64(tx))
	b[24], b[25] = kind, level
	le.PutUint16(b[26:], uint16(n))
	le.PutUint16(b[28:], uint16(plen))
	le.PutUint16(b[30:], uint16(used))
}

// seal computes the checksum of a filled page.
func seal(b []byte) uint32 {
	crc := checksum.CRC32C(b[8:])
	binary.LittleEndian.PutUint32(b[4:], crc)
	return crc
}
