package wire

import (
	"encoding/binary"
	"math"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// The elements of messages (WIRE.md, "Elements").

func appendU16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func appendU64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }
func appendI64(b []byte, v int64) []byte  { return appendU64(b, uint64(v)) }
func appendInt(b []byte, v int) []byte    { return appendU64(b, uint64(int64(v))) }

func appendCount(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendString(b []byte, s string) []byte { return append(appendCount(b, len(s)), s...) }

// appendBytes keeps nil apart from empty.
func appendBytes(b []byte, p []byte) []byte {
	if p == nil {
		return append(b, 0)
	}
	return append(appendCount(b, len(p)+1), p...)
}

// zeroTime stands for time.Time{}, which is "not set".
const zeroTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendI64(b, zeroTime)
	}
	return appendI64(b, t.UnixMilli())
}

func appendVersion(b []byte, v cluster.VersionID) []byte {
	return appendU64(appendU64(b, v.Generation), v.Sequence)
}

func appendLink(b []byte, l cluster.Link) []byte {
	return append(appendU64(b, uint64(l.Server)), l.Object[:]...)
}

// decoder reads elements one after the other. After the first failure all results are zero; end tells.
type decoder struct {
	b   []byte
	off int
	s   string // all of b as a string, made when first needed: strings are parts of it
	bad string // what was wrong
}

// end returns nil when all was read and nothing was wrong.
func (d *decoder) end() error {
	if d.bad == "" && d.off != len(d.b) {
		d.bad = "trailing bytes"
	}
	if d.bad != "" {
		return fault.New(fault.Invalid, "wire: bad message: %s at byte %d of %d", d.bad, d.off, len(d.b))
	}
	return nil
}

func (d *decoder) fail(what string) {
	if d.bad == "" {
		d.bad = what
	}
}

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if d.bad != "" || n < 0 || len(d.b)-d.off < n {
		d.fail("too short")
		return nil
	}
	p := d.b[d.off : d.off+n]
	d.off += n
	return p
}

func (d *decoder) u8() uint8 {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if p := d.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if p := d.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if p := d.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) i32() int32 { return int32(d.u32()) }
func (d *decoder) i64() int64 { return int64(d.u64()) }
func (d *decoder) int() int   { return int(d.i64()) }

func (d *decoder) bool() bool {
	v := d.u8()
	if v > 1 {
		d.fail("a truth value above 1")
	}
	return v == 1
}

// length reads a length of at most what is left.
func (d *decoder) length() int {
	if d.bad != "" {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.off:])
	switch {
	case n <= 0:
		d.fail("bad length")
		return 0
	case n > 1 && d.b[d.off+n-1] == 0:
		d.fail("a length that is longer than it must be")
		return 0
	}
	d.off += n
	if v > uint64(len(d.b)-d.off)+1 { // +1: appendBytes
		d.fail("a length beyond the end")
		return 0
	}
	return int(v)
}

// count reads the number of elements that take minBytes each at least.
func (d *decoder) count(minBytes int) int {
	n := d.length()
	if n > (len(d.b)-d.off)/minBytes {
		d.fail("a count beyond the end")
		return 0
	}
	return n
}

func (d *decoder) string() string {
	n := d.length()
	if n == 0 || d.take(n) == nil {
		return ""
	}
	if d.s == "" {
		d.s = string(d.b)
	}
	return d.s[d.off-n : d.off]
}

func (d *decoder) bytes() []byte {
	n := d.length()
	if n == 0 {
		return nil
	}
	p := d.take(n - 1)
	if p == nil {
		return nil
	}
	return append(make([]byte, 0, len(p)), p...)
}

func (d *decoder) time() time.Time {
	ms := d.i64()
	if ms == zeroTime || d.bad != "" {
		return time.Time{}
	}
	t := time.UnixMilli(ms).UTC()
	if t.IsZero() || t.UnixMilli() != ms {
		d.fail("a time out of range")
	}
	return t
}

func (d *decoder) version() cluster.VersionID {
	return cluster.VersionID{Generation: d.u64(), Sequence: d.u64()}
}

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.take(len(id)))
	return id
}

func (d *decoder) link() cluster.Link {
	return cluster.Link{Server: cluster.ServiceID(d.u64()), Object: d.id()}
}

// list reads a count and that many elements; nil when there are none. minBytes is the least that one takes.
func list[T any](d *decoder, minBytes int, read func(*decoder, *T)) []T {
	n := d.count(minBytes)
	if n == 0 {
		return nil
	}
	l := make([]T, n)
	for i := range l {
		if read(d, &l[i]); d.bad != "" {
			return nil
		}
	}
	return l
}
