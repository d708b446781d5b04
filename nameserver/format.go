package nameserver

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Format versions: the first byte of every value (FORMAT.md, "History").
const (
	formatEntry   = 1
	formatHead    = 1
	formatPart    = 1
	formatChunk   = 1
	formatUpload  = 1
	formatBucket  = 1
	formatGuard   = 1
	formatSeal    = 2 // 1 had no epoch
	formatGarbage = 1
	formatRecord  = 1
	formatRestore = 1
)

// Sizes and offsets of an entry's fixed part (FORMAT.md, "Entry").
const (
	entryFlagsOffset    = 1
	entryClassOffset    = 2
	entryFormOffset     = 3
	entryPartsOffset    = 4
	entryVersionOffset  = 8
	entryModifiedOffset = 24
	entryOwnerOffset    = 32
	entrySizeOffset     = 40
	entryServerOffset   = 48
	entryObjectOffset   = 56
	entryFixedBytes     = 72

	headPrefixBytes = 1 + 16 // format, version of the noncurrent null version
)

// MaxEntryBytes bounds an encoded entry, upload, bucket or record: the metadata of one object. S3 allows 2 KB of user metadata; the rest is room for ACL and tags.
const MaxEntryBytes = 60 << 10

// Flags of an entry.
const (
	flagNull         = 1 << 0
	flagDeleteMarker = 1 << 1
	flagParts        = 1 << 2 // the object id is that of a part table
	knownEntryFlags  = flagNull | flagDeleteMarker | flagParts
)

// Forms of an ETag.
const (
	etagRaw      = 0 // length, bytes
	etagMD5      = 1 // 16 bytes: 32 lower-case hex digits
	etagMD5Parts = 2 // 16 bytes, uint16: as above, "-", decimal
)

const (
	maxETagBytes     = 128
	maxChecksumBytes = 64
)

var errShort = fault.New(fault.Corrupt, "record is malformed")

// millis is how a time is stored; times before year 0 or after 9999 do not reach here (checkTime).
func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// appendEntry appends everything of e but its key and Latest.
func appendEntry(b []byte, e *cluster.Entry) []byte {
	var flags byte
	object, server := e.Content.Object, e.Content.Server
	if e.Null {
		flags |= flagNull
	}
	if e.DeleteMarker {
		flags |= flagDeleteMarker
	}
	if e.PartCount > 0 {
		flags |= flagParts
		object, server = e.Table, 0
	}
	md5, suffix, form := packETag(e.ETag)
	b = append(b, formatEntry, flags, e.StorageClass, form)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.PartCount))
	b = binary.LittleEndian.AppendUint64(b, e.Version.Generation)
	b = binary.LittleEndian.AppendUint64(b, e.Version.Sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(millis(e.Modified)))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Owner))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(server))
	b = append(b, object[:]...)
	b = appendETag(b, e.ETag, form, md5, suffix)
	b = appendChecksum(b, e.Checksum)
	b = appendHeaders(b, e.Headers)
	b = appendHeaders(b, e.UserMeta)
	return appendAttrs(b, e.Attrs)
}

// entryBytes estimates the encoded size from above, closely enough to allocate once.
func entryBytes(e *cluster.Entry) int {
	n := entryFixedBytes + 3 + len(e.ETag) + 3 + len(e.Checksum.Value) + 30
	for i := range e.Headers {
		n += len(e.Headers[i].Name) + len(e.Headers[i].Value) + 6
	}
	for i := range e.UserMeta {
		n += len(e.UserMeta[i].Name) + len(e.UserMeta[i].Value) + 6
	}
	for i := range e.Attrs {
		n += len(e.Attrs[i].Value) + 5
	}
	return n
}

// rawEntry is an encoded entry whose fixed part was checked by rawEntryOf.
type rawEntry []byte

func rawEntryOf(b []byte) (rawEntry, error) {
	if len(b) < entryFixedBytes || b[0] != formatEntry || b[entryFlagsOffset]&^knownEntryFlags != 0 || b[entryFormOffset] > etagMD5Parts {
		return nil, fault.New(fault.Corrupt, "entry is malformed or of an unknown format")
	}
	return b, nil
}

func (r rawEntry) null() bool         { return r[entryFlagsOffset]&flagNull != 0 }
func (r rawEntry) deleteMarker() bool { return r[entryFlagsOffset]&flagDeleteMarker != 0 }
func (r rawEntry) hasParts() bool     { return r[entryFlagsOffset]&flagParts != 0 }
func (r rawEntry) partCount() int32 {
	return int32(binary.LittleEndian.Uint32(r[entryPartsOffset:]))
}
func (r rawEntry) size() int64 { return int64(binary.LittleEndian.Uint64(r[entrySizeOffset:])) }

func (r rawEntry) version() cluster.VersionID {
	return cluster.VersionID{Generation: binary.LittleEndian.Uint64(r[entryVersionOffset:]), Sequence: binary.LittleEndian.Uint64(r[entryVersionOffset+8:])}
}

// content returns the link; zero for an object of parts, a delete marker or an empty object.
func (r rawEntry) content() (l cluster.Link) {
	if !r.hasParts() {
		l.Server = cluster.ServiceID(binary.LittleEndian.Uint64(r[entryServerOffset:]))
		copy(l.Object[:], r[entryObjectOffset:])
	}
	return l
}

func (r rawEntry) table() (id cluster.ObjectID) {
	if r.hasParts() {
		copy(id[:], r[entryObjectOffset:])
	}
	return id
}

// stamp sets what only the server knows, in an entry that appendEntry just made.
func (r rawEntry) stamp(v cluster.VersionID, null bool) {
	binary.LittleEndian.PutUint64(r[entryVersionOffset:], v.Generation)
	binary.LittleEndian.PutUint64(r[entryVersionOffset+8:], v.Sequence)
	r[entryFlagsOffset] &^= flagNull
	if null {
		r[entryFlagsOffset] |= flagNull
	}
}

// entryDetail says how much of an entry decodeEntry fills in.
type entryDetail bool

const (
	detailAll  entryDetail = true
	detailList entryDetail = false // without Headers, UserMeta and all Attrs but the ACL
)

// decodeEntry reads what appendEntry wrote. The entry shares no memory with b.
func decodeEntry(b []byte, key string, detail entryDetail) (e cluster.Entry, err error) {
	r, err := rawEntryOf(b)
	if err != nil {
		return e, err
	}
	e.Key = key
	e.Version = r.version()
	e.Null = r.null()
	e.DeleteMarker = r.deleteMarker()
	e.StorageClass = r[entryClassOffset]
	e.PartCount = r.partCount()
	e.Modified = fromMillis(int64(binary.LittleEndian.Uint64(r[entryModifiedOffset:])))
	e.Owner = cluster.UserID(binary.LittleEndian.Uint64(r[entryOwnerOffset:]))
	e.Size = r.size()
	e.Content, e.Table = r.content(), r.table()
	if e.Size < 0 || e.PartCount < 0 || e.PartCount > 0 != r.hasParts() {
		return cluster.Entry{}, fault.New(fault.Corrupt, "entry contradicts itself")
	}
	d := decoder{b: b[entryFixedBytes:]}
	e.ETag = d.etag(r[entryFormOffset])
	e.Checksum = d.checksum()
	if detail == detailAll {
		d.intern()
		e.Headers = d.headers()
		e.UserMeta = d.headers()
	} else {
		d.skipHeaders()
		d.skipHeaders()
	}
	e.Attrs = d.attrs(detail)
	if err := d.end(); err != nil {
		return cluster.Entry{}, err
	}
	return e, nil
}

// packETag finds the shortest form of an ETag.
func packETag(s string) (md5 [16]byte, suffix uint16, form byte) {
	if len(s) < 32 || len(s) > 38 || len(s) == 33 {
		return md5, 0, etagRaw
	}
	for i := range 16 {
		hi, lo := unhex(s[2*i]), unhex(s[2*i+1])
		if hi|lo > 15 {
			return md5, 0, etagRaw
		}
		md5[i] = hi<<4 | lo
	}
	if len(s) == 32 {
		return md5, 0, etagMD5
	}
	n, err := strconv.ParseUint(s[33:], 10, 16)
	if s[32] != '-' || s[33] == '0' || s[33] == '+' || err != nil {
		return md5, 0, etagRaw
	}
	return md5, uint16(n), etagMD5Parts
}

// unhex returns the value of a lower-case hex digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func appendETag(b []byte, s string, form byte, md5 [16]byte, suffix uint16) []byte {
	switch form {
	case etagMD5:
		return append(b, md5[:]...)
	case etagMD5Parts:
		return binary.LittleEndian.AppendUint16(append(b, md5[:]...), suffix)
	}
	return appendString(b, s)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendChecksum(b []byte, c cluster.Checksum) []byte {
	if c.Algorithm == cluster.ChecksumNone {
		return append(b, 0)
	}
	composite := byte(0)
	if c.Composite {
		composite = 1
	}
	return append(append(b, byte(c.Algorithm), composite, byte(len(c.Value))), c.Value...)
}

func appendHeaders(b []byte, hs []cluster.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(hs)))
	for i := range hs {
		b = appendString(appendString(b, hs[i].Name), hs[i].Value)
	}
	return b
}

func appendAttrs(b []byte, as []cluster.Attribute) []byte {
	b = binary.AppendUvarint(b, uint64(len(as)))
	for i := range as {
		b = binary.LittleEndian.AppendUint16(b, as[i].ID)
		b = binary.AppendUvarint(b, uint64(len(as[i].Value)))
		b = append(b, as[i].Value...)
	}
	return b
}

// decoder reads fields one after the other; after the first malformed one it returns zero values, and end an error.
type decoder struct {
	b   []byte
	s   string // when set: the bytes of b as one string that decoded strings are cut from
	off int
	bad bool
}

// intern makes the strings read from here on share one allocation.
func (d *decoder) intern() {
	if !d.bad && len(d.b)-d.off > 3 {
		d.b, d.s, d.off = d.b[d.off:], string(d.b[d.off:]), 0
	}
}

func (d *decoder) end() error {
	if d.bad || d.off != len(d.b) {
		return errShort
	}
	return nil
}

// take returns the next n bytes of b, not copied.
func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)-d.off) {
		d.bad = true
		return nil
	}
	p := d.b[d.off : d.off+int(n) : d.off+int(n)]
	d.off += int(n)
	return p
}

func (d *decoder) u8() byte {
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

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.take(16))
	return id
}

func (d *decoder) version() cluster.VersionID {
	return cluster.VersionID{Generation: d.u64(), Sequence: d.u64()}
}

// uvarint reads a count or length; every counted thing has at least one byte, so more than what is left is malformed.
func (d *decoder) uvarint() uint64 {
	if d.bad {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.off:])
	if n <= 0 || v > uint64(len(d.b)-d.off-n) {
		d.bad = true
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	at := d.off
	p := d.take(n)
	if d.s != "" && p != nil {
		return d.s[at : at+int(n)]
	}
	return string(p)
}

func (d *decoder) bytes() []byte {
	p := d.take(d.uvarint())
	if d.bad {
		return nil
	}
	return append(make([]byte, 0, len(p)), p...)
}

func (d *decoder) etag(form byte) string {
	if form == etagRaw {
		return d.string()
	}
	p := d.take(16)
	if p == nil {
		return ""
	}
	var out [38]byte
	hex.Encode(out[:], p)
	if form == etagMD5 {
		return string(out[:32])
	}
	out[32] = '-'
	return string(strconv.AppendUint(out[:33], uint64(d.u16()), 10))
}

func (d *decoder) checksum() (c cluster.Checksum) {
	c.Algorithm = cluster.ChecksumAlgorithm(d.u8())
	if c.Algorithm == cluster.ChecksumNone {
		return c
	}
	switch d.u8() {
	case 0:
	case 1:
		c.Composite = true
	default:
		d.bad = true
	}
	if p := d.take(uint64(d.u8())); len(p) > 0 {
		c.Value = append(make([]byte, 0, len(p)), p...)
	}
	return c
}

func (d *decoder) headers() []cluster.Header {
	n := d.uvarint()
	if n == 0 || 2*n > uint64(len(d.b)-d.off) { // two lengths each
		d.bad = d.bad || n != 0
		return nil
	}
	hs := make([]cluster.Header, n)
	for i := range hs {
		hs[i] = cluster.Header{Name: d.string(), Value: d.string()}
	}
	return hs
}

func (d *decoder) skipHeaders() {
	for n := 2 * d.uvarint(); n > 0 && !d.bad; n-- {
		d.take(d.uvarint())
	}
}

func (d *decoder) attrs(detail entryDetail) []cluster.Attribute {
	n := d.uvarint()
	if n == 0 || 3*n > uint64(len(d.b)-d.off) || n > math.MaxUint16+1 {
		d.bad = d.bad || n != 0
		return nil
	}
	var as []cluster.Attribute
	for last := -1; n > 0 && !d.bad; n-- {
		id := d.u16()
		if int(id) <= last {
			d.bad = true
		}
		last = int(id)
		if detail == detailAll || id == cluster.AttrACL {
			as = append(as, cluster.Attribute{ID: id, Value: d.bytes()})
		} else {
			d.take(d.uvarint())
		}
	}
	return as
}
