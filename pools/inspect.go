package pools

import (
	"context"
	"strconv"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Inspected is what Inspect found in one block.
type Inspected struct {
	Block  uint32
	Header Header // zero when Err is about it
	Err    error  // a *fault.Corruption: the header is none, or the payload is not what it says
}

// Inspect reads a pool file and hands every block whose header was ever written to fn, also blocks that are free by now: the file alone cannot tell. With payloads it reads and
// verifies them too; those of free blocks may be overwritten in part, which shows as an error. It writes nothing and needs no other file. It stops at the
// first error of fn and returns it; fault.Corrupt when the system block is none.
func Inspect(ctx context.Context, fs fsbackend.FS, name string, payloads bool, fn func(Inspected) error) (System, error) {
	sys, err := readSystem(fs, name)
	if err != nil {
		return sys, err
	}
	h, err := fs.OpenRead(name)
	if err != nil {
		return sys, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return sys, err
	}
	return sys, inspect(ctx, h, size, sys, payloads, fn)
}

// Headers is Inspect, without payloads, of a file that is open: also of one whose system block is damaged.
func (p *Pools) Headers(ctx context.Context, id FileID, fn func(Inspected) error) error {
	f, err := p.file(id)
	if err != nil {
		return err
	}
	h, err := f.handle(p.opts.FS)
	if err != nil {
		return err
	}
	size, err := h.Size()
	if err != nil {
		return err
	}
	return inspect(ctx, h, size, System{Service: p.opts.Service, File: id, Geometry: f.geo}, false, fn)
}

// inspect reads the blocks of a file.
func inspect(ctx context.Context, h fsbackend.File, size int64, sys System, payloads bool, fn func(Inspected) error) error {
	table := make([]byte, sys.Geometry.BlocksPerRegion*headerBytes)
	for region := uint32(0); region < sys.Geometry.Regions; region++ {
		off := sys.Geometry.regionOffset(sys.File.Pool, region)
		if off >= size {
			break
		}
		clear(table)
		if _, err := readFull(h, table, off); err != nil {
			return err
		}
		for i := range sys.Geometry.BlocksPerRegion {
			if err := ctx.Err(); err != nil {
				return err
			}
			a := Addr{sys.File, region*sys.Geometry.BlocksPerRegion + i}
			in, ok := inspectBlock(h, sys, a, table[i*headerBytes:][:headerBytes], payloads)
			if !ok {
				continue
			}
			if err := fn(in); err != nil {
				return err
			}
		}
	}
	return nil
}

func inspectBlock(h fsbackend.File, sys System, a Addr, b []byte, payload bool) (in Inspected, ok bool) {
	in.Block = a.Block
	corrupt := func(off int64, what, want, got string) {
		in.Err = &fault.Corruption{File: h.Name(), Offset: off, What: what + " of block " + strconv.Itoa(int(a.Block)), Want: want, Got: got}
	}
	var err error
	in.Header, ok, err = decodeHeader(b, sys.Service, a)
	if err != nil {
		corrupt(sys.Geometry.HeaderOffset(a.Pool, a.Block), "header", "its header", err.Error())
		return in, true
	}
	if !ok || !payload {
		return in, ok
	}
	off := sys.Geometry.BlockOffset(a.Pool, a.Block)
	data := make([]byte, in.Header.Length)
	switch short, err := readFull(h, data, off); {
	case err != nil:
		corrupt(off, "payload", "to be read", err.Error())
	case short:
		corrupt(off, "payload", strconv.Itoa(len(data))+" bytes", "end of file")
	case checksum.CRC32C(data) != in.Header.CRC:
		corrupt(off, "payload", strconv.FormatUint(uint64(in.Header.CRC), 16), strconv.FormatUint(uint64(checksum.CRC32C(data)), 16))
	}
	return in, true
}
