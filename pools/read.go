package pools

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Read fills b from offset off of a block of object o and verifies it. off is a multiple of ChunkBytes; crcs holds the checksums, 4 bytes each, little
// endian, of the chunks from off on, at least as many as b has; b ends at the end of a chunk or of the payload. The caller keeps the block busy.
// It returns a *fault.Corruption when the bytes are not there or not those, with b in an undefined state.
func (p *Pools) Read(a Addr, o cluster.ObjectID, off int64, b, crcs []byte) error {
	f, err := p.file(a.FileID)
	if err != nil {
		return err
	}
	at := f.geo.BlockOffset(a.Pool, a.Block) + off
	if a.Block >= f.geo.Blocks() && f.damage == nil {
		return f.corrupt(a, o, at, "a block of the file", "number "+strconv.Itoa(int(a.Block)))
	}
	h, err := f.handle(p.opts.FS)
	if err != nil {
		if errors.Is(err, fault.Corrupt) {
			return err
		}
		return fault.Wrap(fault.Unavailable, err, "pools: open %s", f.name)
	}
	p.n.preads.Add(1)
	p.n.readBytes.Add(int64(len(b)))
	short, err := readFull(h, b, at)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "pools: read %s at %d", f.name, at)
	}
	if short {
		return f.corrupt(a, o, at, strconv.Itoa(len(b))+" bytes", "end of file")
	}
	for i := 0; i < len(b); i += ChunkBytes {
		got := checksum.CRC32C(b[i:min(i+ChunkBytes, len(b))])
		if want := binary.LittleEndian.Uint32(crcs[i/ChunkBytes*4:]); got != want {
			return f.corrupt(a, o, at+int64(i), fmt.Sprintf("crc %08x", want), fmt.Sprintf("crc %08x", got))
		}
	}
	return nil
}

func (f *file) corrupt(a Addr, o cluster.ObjectID, off int64, want, got string) error {
	return &fault.Corruption{File: f.name, Offset: off, What: "block " + strconv.Itoa(int(a.Block)) + " of object " + o.String(), Want: want, Got: got}
}

// Header reads the header of a block. ok is false when the block was never written. It returns a *fault.Corruption when it is not the header of that block.
func (p *Pools) Header(a Addr) (hd Header, ok bool, err error) {
	f, err := p.file(a.FileID)
	if err != nil {
		return hd, false, err
	}
	h, err := f.handle(p.opts.FS)
	if err != nil {
		if errors.Is(err, fault.Corrupt) {
			return hd, false, err
		}
		return hd, false, fault.Wrap(fault.Unavailable, err, "pools: open %s", f.name)
	}
	var b [headerBytes]byte
	off := f.geo.HeaderOffset(a.Pool, a.Block)
	p.n.preads.Add(1)
	short, err := readFull(h, b[:], off)
	if err != nil {
		return hd, false, fault.Wrap(fault.Unavailable, err, "pools: read %s at %d", f.name, off)
	}
	if short {
		return hd, false, nil
	}
	hd, ok, err = decodeHeader(b[:], p.opts.Service, a)
	if err != nil {
		err = &fault.Corruption{File: f.name, Offset: off, What: "header of block " + strconv.Itoa(int(a.Block)), Want: "its header", Got: err.Error()}
	}
	return hd, ok, err
}

// HeaderOffset returns where the header of a block lies in its file, for messages; 0 when the file is not known.
func (p *Pools) HeaderOffset(a Addr) int64 {
	f, err := p.file(a.FileID)
	if err != nil {
		return 0
	}
	return f.geo.HeaderOffset(a.Pool, a.Block)
}

// Sums reads the whole payload that a header describes, in pieces of buf (a multiple of ChunkBytes), and appends the checksums of its chunks to dst, as an object record has them; whole goes on
// over its bytes. It returns a *fault.Corruption when the payload is not what the header says; whole is undefined then.
func (p *Pools) Sums(dst []byte, whole *uint32, a Addr, h Header, buf []byte) ([]byte, error) {
	f, err := p.file(a.FileID)
	if err != nil {
		return dst, err
	}
	file, err := f.handle(p.opts.FS)
	if err != nil {
		if errors.Is(err, fault.Corrupt) {
			return dst, err
		}
		return dst, fault.Wrap(fault.Unavailable, err, "pools: open %s", f.name)
	}
	at := f.geo.BlockOffset(a.Pool, a.Block)
	var crc uint32
	for off := int64(0); off < int64(h.Length); {
		b := buf[:min(int64(len(buf)), int64(h.Length)-off)]
		p.n.preads.Add(1)
		p.n.readBytes.Add(int64(len(b)))
		short, err := readFull(file, b, at+off)
		if err != nil {
			return dst, fault.Wrap(fault.Unavailable, err, "pools: read %s at %d", f.name, at+off)
		}
		if short {
			return dst, f.corrupt(a, h.Object, at+off, strconv.Itoa(len(b))+" bytes", "end of file")
		}
		for c := range slices.Chunk(b, ChunkBytes) {
			sum := checksum.CRC32C(c)
			dst = binary.LittleEndian.AppendUint32(dst, sum)
			crc = AppendChunkCRC(crc, sum, c)
			*whole = AppendChunkCRC(*whole, sum, c)
		}
		off += int64(len(b))
	}
	if crc != h.CRC {
		return dst, f.corrupt(a, h.Object, at, fmt.Sprintf("crc %08x", h.CRC), fmt.Sprintf("crc %08x", crc))
	}
	return dst, nil
}

// Files returns all pool files, in order.
func (p *Pools) Files() (ids []FileID) {
	for id := range *p.files.Load() {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, FileID.Compare)
	return ids
}
