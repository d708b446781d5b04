package redolog

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Sizes of FORMAT.md.
const (
	HeaderBytes       = 4096 // space of the segment header; records begin here
	segmentHeaderSize = 64   // bytes of the header that carry something
	recordHeaderSize  = 40
	recordAlign       = 8

	// MaxRecordBytes bounds the payload of one record.
	MaxRecordBytes = 64 << 20

	// MinSegmentBytes is the smallest segment: its header and a few records.
	MinSegmentBytes = 16 << 10

	formatVersion = 1
	recordMagic   = 0x314c526f // "oRL1"
)

var segmentMagic = [8]byte{'o', 's', 't', 'o', 'r', 'l', 'o', 'g'}

// Compile-time checks of the sizes.
const (
	_ = uint(segmentHeaderSize - 64)
	_ = uint(64 - segmentHeaderSize)
	_ = uint(recordHeaderSize%recordAlign - 0)
)

// LSN numbers records: the first record of a service is 1, each next one adds one, over all segments and generations.
type LSN = uint64

// SegmentHeader is the identity of one use of a segment file.
type SegmentHeader struct {
	Home       uint64 // generation in whose directory the file lies
	Number     uint64 // of the file: its name
	Sequence   uint64 // counts the uses of all segments of the home; never used twice
	SizeBytes  uint64 // length of the file
	Generation uint64 // that began this use
	First      LSN    // of the first record
}

// SegmentName returns the file name of segment n.
func SegmentName(n uint64) string { return fmt.Sprintf("log-%08d", n) }

// ParseSegmentName reads what SegmentName returns.
func ParseSegmentName(name string) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, "log-")
	if !ok || len(digits) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && SegmentName(n) == name
}

// append adds the encoded header, segmentHeaderSize bytes.
func (h *SegmentHeader) append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, v := range [...]uint64{h.Home, h.Number, h.Sequence, h.SizeBytes, h.Generation, h.First} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	binary.LittleEndian.PutUint32(b[start+12:], checksum.CRC32C(b[start+16:]))
	return b
}

// DecodeSegmentHeader reads a segment's header. It returns fault.Corrupt when b does not hold a valid one and fault.NotSupported for a
// version that this program does not know.
func DecodeSegmentHeader(b []byte) (SegmentHeader, error) {
	var h SegmentHeader
	switch {
	case len(b) < segmentHeaderSize:
		return h, fault.New(fault.Corrupt, "segment header: %d bytes, want %d", len(b), segmentHeaderSize)
	case [8]byte(b[:8]) != segmentMagic:
		return h, fault.New(fault.Corrupt, "segment header: wrong magic")
	}
	b = b[:segmentHeaderSize]
	if got, want := checksum.CRC32C(b[16:]), binary.LittleEndian.Uint32(b[12:]); got != want {
		return h, fault.New(fault.Corrupt, "segment header: checksum %08x, want %08x", got, want)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return h, fault.New(fault.NotSupported, "segment header: format version %d, this program knows %d", v, formatVersion)
	}
	for i, p := range [...]*uint64{&h.Home, &h.Number, &h.Sequence, &h.SizeBytes, &h.Generation, &h.First} {
		*p = binary.LittleEndian.Uint64(b[16+8*i:])
	}
	return h, h.validate()
}

func (h *SegmentHeader) validate() error {
	if h.SizeBytes < MinSegmentBytes || h.SizeBytes > 1<<40 || h.Sequence == 0 || h.First == 0 || h.Generation < h.Home {
		return fault.New(fault.Corrupt, "segment header: impossible values %+v", *h)
	}
	return nil
}

// seed is what the checksum of each record starts from: a record of another segment, or of an earlier use of this one, does not match.
func (h *SegmentHeader) seed() uint32 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[0:], h.Home)
	binary.LittleEndian.PutUint64(b[8:], h.Number)
	binary.LittleEndian.PutUint64(b[16:], h.Sequence)
	return checksum.CRC32C(b[:])
}

// Record is one entry of the log.
type Record struct {
	LSN        LSN
	Generation uint64 // that wrote it
	Durable    LSN    // every record up to it was durable before this one was written
	Lazy       bool   // nobody waited for it
	Payload    []byte
}

const flagLazy = 1

// recordSize returns the bytes that a record with a payload of n bytes takes in its segment.
func recordSize(n int) int {
	return (recordHeaderSize + n + recordAlign - 1) &^ (recordAlign - 1)
}

// putRecordHeader fills b, the header of a record whose payload follows it at once, all but the checksum.
func putRecordHeader(b []byte, r *Record, payloadBytes int) {
	var flags uint32
	if r.Lazy {
		flags |= flagLazy
	}
	binary.LittleEndian.PutUint32(b[0:], recordMagic)
	binary.LittleEndian.PutUint32(b[8:], uint32(payloadBytes))
	binary.LittleEndian.PutUint32(b[12:], flags)
	binary.LittleEndian.PutUint64(b[16:], r.LSN)
	binary.LittleEndian.PutUint64(b[24:], r.Generation)
	binary.LittleEndian.PutUint64(b[32:], r.Durable)
}

// sealRecord sets the checksum of the record at the start of b and returns the bytes that follow it.
func sealRecord(b []byte, seed uint32) []byte {
	n := int(binary.LittleEndian.Uint32(b[8:]))
	binary.LittleEndian.PutUint32(b[4:], checksum.Update(seed, b[8:recordHeaderSize+n]))
	return b[recordSize(n):]
}

// decodeRecord reads the record at the start of b, whose segment has the seed. size is what it takes. The payload points into b. ok is
// false when there is no valid record: the end of the log, or damage; only the surroundings tell.
func decodeRecord(b []byte, seed uint32) (r Record, size int, ok bool) {
	if len(b) < recordHeaderSize || binary.LittleEndian.Uint32(b) != recordMagic {
		return r, 0, false
	}
	n := int64(binary.LittleEndian.Uint32(b[8:]))
	flags := binary.LittleEndian.Uint32(b[12:])
	if n > MaxRecordBytes || n > int64(len(b)-recordHeaderSize) || flags&^flagLazy != 0 {
		return r, 0, false
	}
	if checksum.Update(seed, b[8:recordHeaderSize+n]) != binary.LittleEndian.Uint32(b[4:]) {
		return r, 0, false
	}
	r = Record{
		LSN:        binary.LittleEndian.Uint64(b[16:]),
		Generation: binary.LittleEndian.Uint64(b[24:]),
		Durable:    binary.LittleEndian.Uint64(b[32:]),
		Lazy:       flags&flagLazy != 0,
		Payload:    b[recordHeaderSize : recordHeaderSize+n : recordHeaderSize+n],
	}
	if r.LSN == 0 || r.Durable >= r.LSN {
		return r, 0, false
	}
	return r, min(recordSize(int(n)), len(b)), true
}
