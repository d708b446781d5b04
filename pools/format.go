package pools

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Pool numbers a pool: its blocks have 4 KiB << Pool.
type Pool uint8

// Sizes on disk. They are part of the format: FORMAT.md.
const (
	PoolCount     = 12
	MinBlockBytes = 4 << 10
	MaxBlockBytes = MinBlockBytes << (PoolCount - 1)

	// ChunkBytes is what one checksum of the object record covers, counted from the start of a block. The last chunk of a payload is shorter.
	ChunkBytes = 64 << 10

	systemBytes   = 4096
	headerBytes   = 64
	formatVersion = 1 // 1: first

	maxAlignBytes       = 1 << 20
	maxBlocksPerRegion  = 512
	maxRegionBytes      = 64 << 20
	maxRegionsPerFile   = 128
	maxFilePayloadBytes = 1 << 30
)

var systemMagic = [8]byte{'o', 's', 't', 'o', 'r', 'P', 'O', 'L'}

const headerMagic = 0x4862 // "bH"

// A header table of the largest region is whole pages, and the geometry of the largest pool is not empty: checked by the compiler.
const (
	_ = uint(systemOffCRC + 4 - systemBytes)
	_ = uint(systemBytes - (systemOffCRC + 4))
	_ = uint(headerOffCRC + 4 - headerBytes)
	_ = uint(headerBytes - (headerOffCRC + 4))
	_ = uint(maxRegionBytes/MaxBlockBytes - 8)
)

// BlockBytes returns the size of the pool's blocks.
func (p Pool) BlockBytes() int64 { return MinBlockBytes << p }

func (p Pool) String() string { return fmt.Sprintf("pool-%02d", uint8(p)) }

// Chunks returns how many checksums a payload of length bytes in one block has.
func Chunks(length int64) int { return int((length + ChunkBytes - 1) / ChunkBytes) }

// Geometry is how a pool file is laid out. It is written in the file's system block.
type Geometry struct {
	BlocksPerRegion uint32 // 1 to 512
	Regions         uint32 // per file, at least 1
}

// DefaultGeometry returns the layout of new files: regions of at most 512 blocks and 64 MiB, files of at most 128 regions and 1 GiB. See
// FORMAT.md for why.
func DefaultGeometry(p Pool) Geometry {
	perRegion := min(maxBlocksPerRegion, maxRegionBytes/p.BlockBytes())
	return Geometry{uint32(perRegion), uint32(min(maxRegionsPerFile, maxFilePayloadBytes/(perRegion*p.BlockBytes())))}
}

// Validate says whether a file may have this layout.
func (g Geometry) Validate() error {
	if g.BlocksPerRegion == 0 || g.BlocksPerRegion > maxBlocksPerRegion || g.Regions == 0 || g.Regions > 1<<16 {
		return fault.New(fault.Invalid, "geometry of %d blocks in %d regions", g.BlocksPerRegion, g.Regions)
	}
	return nil
}

// Blocks returns the number of blocks in a file.
func (g Geometry) Blocks() uint32 { return g.BlocksPerRegion * g.Regions }

func (p Pool) alignBytes() int64 { return min(p.BlockBytes(), maxAlignBytes) }

func (g Geometry) tableBytes(p Pool) int64 {
	a := p.alignBytes()
	return (int64(g.BlocksPerRegion)*headerBytes + a - 1) / a * a
}

func (g Geometry) regionOffset(p Pool, region uint32) int64 {
	return p.alignBytes() + int64(region)*(g.tableBytes(p)+int64(g.BlocksPerRegion)*p.BlockBytes())
}

// BlockOffset returns where a block begins in its file: a multiple of the smaller of its size and 1 MiB.
func (g Geometry) BlockOffset(p Pool, block uint32) int64 {
	return g.regionOffset(p, block/g.BlocksPerRegion) + g.tableBytes(p) + int64(block%g.BlocksPerRegion)*p.BlockBytes()
}

// HeaderOffset returns where a block's header lies in its file.
func (g Geometry) HeaderOffset(p Pool, block uint32) int64 {
	return g.regionOffset(p, block/g.BlocksPerRegion) + int64(block%g.BlocksPerRegion)*headerBytes
}

// FileBytes returns the length of a file whose last block is written to its end.
func (g Geometry) FileBytes(p Pool) int64 { return g.regionOffset(p, g.Regions) }

// System is the first block of a pool file: what the file is.
type System struct {
	Service   cluster.ServiceID
	File      FileID
	Geometry  Geometry
	CreatedMs int64 // Unix time; for people only
}

// Offsets in the system block.
const (
	systemOffVersion    = 8
	systemOffPool       = 10
	systemOffShift      = 11
	systemOffFlags      = 12
	systemOffService    = 16
	systemOffGeneration = 24
	systemOffNumber     = 32
	systemOffPerRegion  = 36
	systemOffRegions    = 40
	systemOffAlign      = 44
	systemOffCreated    = 48
	systemOffZero       = 56
	systemOffCRC        = systemBytes - 4
)

// Encode returns the system block, systemBytes long.
func (s System) Encode() []byte {
	b := make([]byte, systemBytes)
	copy(b, systemMagic[:])
	le := binary.LittleEndian
	le.PutUint16(b[systemOffVersion:], formatVersion)
	b[systemOffPool] = byte(s.File.Pool)
	b[systemOffShift] = byte(12 + s.File.Pool)
	le.PutUint64(b[systemOffService:], uint64(s.Service))
	le.PutUint64(b[systemOffGeneration:], s.File.Generation)
	le.PutUint32(b[systemOffNumber:], s.File.Number)
	le.PutUint32(b[systemOffPerRegion:], s.Geometry.BlocksPerRegion)
	le.PutUint32(b[systemOffRegions:], s.Geometry.Regions)
	le.PutUint32(b[systemOffAlign:], uint32(s.File.Pool.alignBytes()))
	le.PutUint64(b[systemOffCreated:], uint64(s.CreatedMs))
	le.PutUint32(b[systemOffCRC:], checksum.CRC32C(b[:systemOffCRC]))
	return b
}

// DecodeSystem reads a system block. It returns fault.Corrupt when it is none, fault.NotSupported when it is of another version.
func DecodeSystem(b []byte) (System, error) {
	var s System
	le := binary.LittleEndian
	switch {
	case len(b) != systemBytes:
		return s, fault.New(fault.Corrupt, "a system block has %d bytes, not %d", systemBytes, len(b))
	case [8]byte(b) != systemMagic:
		return s, fault.New(fault.Corrupt, "no magic of a pool file")
	case le.Uint32(b[systemOffCRC:]) != checksum.CRC32C(b[:systemOffCRC]):
		return s, fault.New(fault.Corrupt, "checksum of the system block does not match")
	case le.Uint16(b[systemOffVersion:]) != formatVersion || le.Uint32(b[systemOffFlags:]) != 0:
		return s, fault.New(fault.NotSupported, "pool file of version %d, flags %#x", le.Uint16(b[systemOffVersion:]), le.Uint32(b[systemOffFlags:]))
	}
	s.Service = cluster.ServiceID(le.Uint64(b[systemOffService:]))
	s.File = FileID{Generation: le.Uint64(b[systemOffGeneration:]), Pool: Pool(b[systemOffPool]), Number: le.Uint32(b[systemOffNumber:])}
	s.Geometry = Geometry{le.Uint32(b[systemOffPerRegion:]), le.Uint32(b[systemOffRegions:])}
	s.CreatedMs = int64(le.Uint64(b[systemOffCreated:]))
	if s.File.Pool >= PoolCount || b[systemOffShift] != byte(12+s.File.Pool) || int64(le.Uint32(b[systemOffAlign:])) != s.File.Pool.alignBytes() {
		return s, fault.New(fault.Corrupt, "system block of pool %d with blocks of 1<<%d bytes", s.File.Pool, b[systemOffShift])
	}
	for _, c := range b[systemOffZero:systemOffCRC] {
		if c != 0 {
			return s, fault.New(fault.Corrupt, "bytes beyond the fields of the system block are not zero")
		}
	}
	if err := s.Geometry.Validate(); err != nil {
		return s, fault.Wrap(fault.Corrupt, err, "system block")
	}
	return s, nil
}

// Header describes the payload of one block: with the headers alone the object tree can be made anew.
type Header struct {
	Object    cluster.ObjectID
	SizeBytes int64  // of the whole object
	Offset    int64  // of this payload in the object
	Part      uint32 // index among the object's blocks
	Length    uint32 // bytes of payload, 1 to the size of the block
	CRC       uint32 // CRC32C of the payload
}

// Offsets in a header.
const (
	headerOffVersion    = 2
	headerOffPool       = 3
	headerOffLength     = 4
	headerOffObject     = 8
	headerOffGeneration = 24
	headerOffSize       = 32
	headerOffOffset     = 40
	headerOffPart       = 48
	headerOffPayloadCRC = 52
	headerOffBlock      = 56
	headerOffCRC        = 60
)

// headerSum covers the header and what it does not say itself: service and file number, so that a header in the wrong file is none.
func headerSum(b []byte, service cluster.ServiceID, file uint32) uint32 {
	var id [12]byte
	binary.LittleEndian.PutUint64(id[:], uint64(service))
	binary.LittleEndian.PutUint32(id[8:], file)
	return checksum.Update(checksum.CRC32C(b[:headerOffCRC]), id[:])
}

// encode writes the header of the block at a into b, headerBytes long.
func (h Header) encode(b []byte, service cluster.ServiceID, a Addr) {
	le := binary.LittleEndian
	le.PutUint16(b, headerMagic)
	b[headerOffVersion] = formatVersion
	b[headerOffPool] = byte(a.Pool)
	le.PutUint32(b[headerOffLength:], h.Length)
	copy(b[headerOffObject:], h.Object[:])
	le.PutUint64(b[headerOffGeneration:], a.Generation)
	le.PutUint64(b[headerOffSize:], uint64(h.SizeBytes))
	le.PutUint64(b[headerOffOffset:], uint64(h.Offset))
	le.PutUint32(b[headerOffPart:], h.Part)
	le.PutUint32(b[headerOffPayloadCRC:], h.CRC)
	le.PutUint32(b[headerOffBlock:], a.Block)
	le.PutUint32(b[headerOffCRC:], headerSum(b, service, a.Number))
}

// decodeHeader reads the header of the block at a. ok is false, without an error, when the bytes are all zero: the block was never written.
// It returns fault.Corrupt when they are not the header of that block.
func decodeHeader(b []byte, service cluster.ServiceID, a Addr) (h Header, ok bool, err error) {
	if len(b) != headerBytes {
		return h, false, fault.New(fault.Corrupt, "a header has %d bytes, not %d", headerBytes, len(b))
	}
	if [headerBytes]byte(b) == [headerBytes]byte{} {
		return h, false, nil
	}
	le := binary.LittleEndian
	switch {
	case le.Uint16(b) != headerMagic:
		return h, false, fault.New(fault.Corrupt, "no magic of a header")
	case le.Uint32(b[headerOffCRC:]) != headerSum(b, service, a.Number):
		return h, false, fault.New(fault.Corrupt, "checksum of the header does not match")
	case b[headerOffVersion] != formatVersion:
		return h, false, fault.New(fault.NotSupported, "header of version %d", b[headerOffVersion])
	case Pool(b[headerOffPool]) != a.Pool || le.Uint64(b[headerOffGeneration:]) != a.Generation || le.Uint32(b[headerOffBlock:]) != a.Block:
		return h, false, fault.New(fault.Corrupt, "header of another block")
	}
	copy(h.Object[:], b[headerOffObject:])
	h.SizeBytes, h.Offset = int64(le.Uint64(b[headerOffSize:])), int64(le.Uint64(b[headerOffOffset:]))
	h.Part, h.Length, h.CRC = le.Uint32(b[headerOffPart:]), le.Uint32(b[headerOffLength:]), le.Uint32(b[headerOffPayloadCRC:])
	if h.Object.IsZero() || h.Length == 0 || int64(h.Length) > a.Pool.BlockBytes() || h.Offset < 0 || h.SizeBytes < int64(h.Length) ||
		h.Offset > h.SizeBytes-int64(h.Length) {
		return h, false, fault.New(fault.Corrupt, "header of %d bytes at %d of an object of %d", h.Length, h.Offset, h.SizeBytes)
	}
	return h, true, nil
}

// RegionRecord is the value of a region's record in the object server's tree: which of its blocks are in use. A region without a record is empty.
type RegionRecord struct {
	Objects   uint32 // objects whose first block is in the region
	LiveBytes uint64 // payload in the region
	Mask      []byte // bit i of byte i/8: block i is in use; BlocksPerRegion bits, rounded up to bytes
}

const regionRecordFixed = 1 + 4 + 8

// MaxRegionRecordBytes bounds an encoded region record.
const MaxRegionRecordBytes = regionRecordFixed + maxBlocksPerRegion/8

// Append appends the encoded record to b.
func (r RegionRecord) Append(b []byte) []byte {
	b = append(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, r.Objects)
	b = binary.LittleEndian.AppendUint64(b, r.LiveBytes)
	return append(b, r.Mask...)
}

// DecodeRegionRecord reads a region record; Mask is part of b. It returns fault.Corrupt when b is none.
func DecodeRegionRecord(b []byte) (r RegionRecord, err error) {
	if len(b) <= regionRecordFixed || len(b) > MaxRegionRecordBytes {
		return r, fault.New(fault.Corrupt, "region record of %d bytes", len(b))
	}
	if b[0] != formatVersion {
		return r, fault.New(fault.NotSupported, "region record of version %d", b[0])
	}
	r = RegionRecord{binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint64(b[5:]), b[regionRecordFixed:]}
	used := uint64(r.Used())
	if used == 0 || uint64(r.Objects) > used || r.LiveBytes < used || r.LiveBytes > used*MaxBlockBytes {
		return r, fault.New(fault.Corrupt, "region record of %d blocks, %d objects and %d bytes", used, r.Objects, r.LiveBytes)
	}
	return r, nil
}

// Used returns how many blocks are in use.
func (r RegionRecord) Used() (n int) {
	for _, c := range r.Mask {
		n += bits.OnesCount8(c)
	}
	return n
}

// Has reports whether block i of the region is in use.
func (r RegionRecord) Has(i uint32) bool {
	return int(i/8) < len(r.Mask) && r.Mask[i/8]&(1<<(i%8)) != 0
}
