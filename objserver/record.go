package objserver

import (
	"encoding/binary"
	"slices"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

const (
	recordVersion = 1 // 1: first

	headBytes   = 32
	extentBytes = 20 // and 4 per chunk

	// partExtents is how many extents one record holds. 60 full blocks of 8 MiB are 31,920 bytes with their checksums, below the store's limit for a value and
	// small enough that the record of a huge object is read in pieces.
	partExtents = 60

	maxExtents = cluster.MaxPutBytes/pools.MaxBlockBytes + 3

	flagSmall = 1 // the payload was logged, and may still be under its payload key
)

// Offsets in a head.
const (
	headOffVersion = 0
	headOffFlags   = 1
	headOffZero    = 2
	headOffCRC     = 4
	headOffSize    = 8
	headOffCreated = 16
	headOffExtents = 24
	headOffZero2   = 28
)

const (
	_ = uint(headOffZero2 + 4 - headBytes)
	_ = uint(headBytes - (headOffZero2 + 4))
	_ = uint(64<<10 - headBytes - partExtents*(extentBytes+4*pools.MaxBlockBytes/pools.ChunkBytes))
)

// head is the fixed part of an object record.
type head struct {
	Small     bool
	CRC       uint32
	Size      int64
	CreatedMs int64 // Unix time
	Extents   int
}

// parts returns how many continuations the object has. 0: its extents follow the head.
func (h head) parts() int {
	if h.Extents <= partExtents {
		return 0
	}
	return (h.Extents + partExtents - 1) / partExtents
}

func (h head) append(b []byte) []byte {
	var flags byte
	if h.Small {
		flags = flagSmall
	}
	le := binary.LittleEndian
	b = append(b, recordVersion, flags, 0, 0)
	b = le.AppendUint32(b, h.CRC)
	b = le.AppendUint64(b, uint64(h.Size))
	b = le.AppendUint64(b, uint64(h.CreatedMs))
	b = le.AppendUint32(b, uint32(h.Extents))
	return append(b, 0, 0, 0, 0)
}

// decodeHead reads the head of an object record; rest is what follows it.
func decodeHead(b []byte) (h head, rest []byte, err error) {
	if len(b) < headBytes {
		return h, nil, fault.New(fault.Corrupt, "object record of %d bytes", len(b))
	}
	le := binary.LittleEndian
	if b[headOffVersion] != recordVersion || b[headOffFlags]&^flagSmall != 0 {
		return h, nil, fault.New(fault.NotSupported, "object record of version %d, flags %#x", b[headOffVersion], b[headOffFlags])
	}
	h = head{b[headOffFlags]&flagSmall != 0, le.Uint32(b[headOffCRC:]), int64(le.Uint64(b[headOffSize:])), int64(le.Uint64(b[headOffCreated:])), int(le.Uint32(b[headOffExtents:]))}
	rest = b[headBytes:]
	if h.Size < 1 || h.Size > cluster.MaxPutBytes || h.Extents < 1 || h.Extents > maxExtents || le.Uint16(b[headOffZero:]) != 0 || le.Uint32(b[headOffZero2:]) != 0 ||
		(h.parts() > 0) != (len(rest) == 0) {
		return h, nil, fault.New(fault.Corrupt, "object record of %d bytes in %d extents, %d bytes behind the head", h.Size, h.Extents, len(rest))
	}
	return h, rest, nil
}

// extent is one block of an object.
type extent struct {
	Addr   pools.Addr
	Offset int64  // in the object
	Length int64  // of the payload
	CRCs   []byte // 4 bytes, little endian, for each chunk; part of the record
}

func appendExtent(b []byte, a pools.Addr) []byte {
	b = binary.LittleEndian.AppendUint64(b, a.Generation)
	b = binary.LittleEndian.AppendUint32(b, a.Number)
	b = binary.LittleEndian.AppendUint32(b, a.Block)
	return append(b, byte(a.Pool), 0, 0, 0)
}

// decodeExtent reads the extent at the start of b. left is what of the object is not in extents before it.
func decodeExtent(b []byte, left int64) (e extent, rest []byte, err error) {
	if len(b) < extentBytes || b[16] >= pools.PoolCount || b[17]|b[18]|b[19] != 0 {
		return e, nil, fault.New(fault.Corrupt, "extent of %d bytes", len(b))
	}
	le := binary.LittleEndian
	e.Addr = pools.Addr{FileID: pools.FileID{Generation: le.Uint64(b), Pool: pools.Pool(b[16]), Number: le.Uint32(b[8:])}, Block: le.Uint32(b[12:])}
	e.Length = min(left, e.Addr.Pool.BlockBytes())
	n := 4 * pools.Chunks(e.Length)
	if n == 0 || len(b) < extentBytes+n {
		return e, nil, fault.New(fault.Corrupt, "extent with %d bytes of checksums, not %d", len(b)-extentBytes, n)
	}
	e.CRCs = b[extentBytes : extentBytes+n : extentBytes+n]
	return e, b[extentBytes+n:], nil
}

// extents walks over the extents of an object in order, from the beginning or from a continuation on.
type extents struct {
	size   int64    // of the object
	offset int64    // of the next extent in the object
	b      []byte   // what is left of the current record
	more   [][]byte // continuations after it
}

// next returns the next extent. ok is false at the end; then err is nil only if everything was consistent.
func (x *extents) next() (e extent, ok bool, err error) {
	for len(x.b) == 0 && len(x.more) > 0 {
		x.b, x.more = x.more[0], x.more[1:]
	}
	if len(x.b) == 0 {
		return e, false, nil
	}
	e, x.b, err = decodeExtent(x.b, x.size-x.offset)
	if err != nil {
		return e, false, err
	}
	e.Offset = x.offset
	x.offset += e.Length
	return e, true, nil
}

// getter is a transaction or a snapshot of the store.
type getter interface {
	Get(key []byte) (value []byte, ok bool, err error)
}

// object is a whole object record: the head's value and its continuations, as they are stored.
type object struct {
	id    cluster.ObjectID
	head  head
	parts [][]byte // of extents: one, that follows the head, or the continuations
}

// loadHead reads an object's head. ok is false when there is no such object. inline is what follows it.
func loadHead(g getter, id cluster.ObjectID) (h head, inline []byte, ok bool, err error) {
	var key [objectKeyBytes]byte
	v, ok, err := g.Get(appendObjectKey(key[:0], id))
	if err != nil || !ok {
		return h, nil, false, err
	}
	h, inline, err = decodeHead(v)
	if err != nil {
		return h, nil, false, fault.Wrap(fault.KindOf(err), err, "object %v", id)
	}
	return h, inline, true, nil
}

// loadParts reads the continuations first to last of an object.
func loadParts(g getter, id cluster.ObjectID, first, last int) (parts [][]byte, err error) {
	var key [partKeyBytes]byte
	for n := first; n <= last; n++ {
		v, ok, err := g.Get(appendPartKey(key[:0], id, n))
		if err != nil {
			return nil, err
		}
		if !ok || len(v) == 0 {
			return nil, fault.New(fault.Corrupt, "object %v: continuation %d is missing", id, n)
		}
		parts = append(parts, v)
	}
	return parts, nil
}

// load reads a whole object record.
func load(g getter, id cluster.ObjectID) (o object, ok bool, err error) {
	h, inline, ok, err := loadHead(g, id)
	if err != nil || !ok {
		return o, false, err
	}
	o = object{id, h, [][]byte{inline}}
	if n := h.parts(); n > 0 {
		if o.parts, err = loadParts(g, id, 0, n-1); err != nil {
			return o, false, err
		}
	}
	return o, true, nil
}

// all returns all extents, checked against the head.
func (o *object) all() (list []extent, err error) {
	list = make([]extent, 0, o.head.Extents)
	x := extents{size: o.head.Size, more: o.parts}
	for {
		e, ok, err := x.next()
		if err != nil {
			return nil, fault.Wrap(fault.KindOf(err), err, "object %v", o.id)
		}
		if !ok {
			break
		}
		list = append(list, e)
	}
	if x.offset != o.head.Size || len(list) != o.head.Extents {
		return nil, fault.New(fault.Corrupt, "object %v: %d extents hold %d bytes, the head says %d and %d", o.id, len(list), x.offset, o.head.Extents, o.head.Size)
	}
	return list, nil
}

// draft is an object record in the making.
type draft struct {
	head  head
	addrs []pools.Addr
	body  []byte // encoded extents
	cuts  []int  // where in body each extent begins
}

func newDraft(size int64, small bool, now time.Time, extents int) *draft {
	n := extents*extentBytes + 4*(int(size/pools.ChunkBytes)+extents)
	d := &draft{head: head{Small: small, Size: size, CreatedMs: now.UnixMilli(), Extents: extents}}
	d.addrs = make([]pools.Addr, 0, extents)
	d.cuts = make([]int, 0, extents)
	d.body = make([]byte, 0, n)
	return d
}

// block begins the next extent; chunk adds the checksum of its next chunk.
func (d *draft) block(a pools.Addr) {
	d.addrs = append(d.addrs, a)
	d.cuts = append(d.cuts, len(d.body))
	d.body = appendExtent(d.body, a)
}

func (d *draft) chunk(crc uint32) { d.body = binary.LittleEndian.AppendUint32(d.body, crc) }

// put writes the record, and its continuations when it has some.
func (d *draft) put(tx putter, id cluster.ObjectID) {
	b := make([]byte, 0, objectKeyBytes+headBytes+len(d.body))
	b = appendObjectKey(b, id)
	b = d.head.append(b)
	if d.head.parts() == 0 {
		b = append(b, d.body...)
	}
	tx.Put(b[:objectKeyBytes:objectKeyBytes], b[objectKeyBytes:])
	for n := range d.head.parts() {
		from, to := d.cuts[n*partExtents], len(d.body)
		if (n+1)*partExtents < len(d.cuts) {
			to = d.cuts[(n+1)*partExtents]
		}
		tx.Put(appendPartKey(nil, id, n), d.body[from:to:to])
	}
}

// putter is a transaction of the store.
type putter interface {
	getter
	Put(key, value []byte)
	Delete(key []byte)
}

// remove deletes the record and its continuations.
func (o *object) remove(tx putter) {
	tx.Delete(appendObjectKey(nil, o.id))
	for n := range o.head.parts() {
		tx.Delete(appendPartKey(nil, o.id, n))
	}
}

// equal reports whether two records of one object are the same.
func (o *object) equal(p *object) bool {
	return o.head == p.head && slices.EqualFunc(o.parts, p.parts, func(a, b []byte) bool { return string(a) == string(b) })
}
