package main

import (
	"encoding/binary"
	"fmt"

	"ostor/internal/cluster"
	"ostor/pools"
)

// pool is a pool file. Within a service's directory only blocks that objects have are needed; a file by itself does not tell.
func (in *inspector) pool(f *file) error {
	const systemBytes = 4096
	b, err := readStart(f.abs, systemBytes)
	if err != nil {
		return err
	}
	var owners []uint64
	known := false
	if f.svc != nil && in.check && f.svc.id.Type() == cluster.TypeObject {
		if s := in.load(f.svc); s != nil && s.Manifest != nil && !f.svc.damaged {
			known = true
		}
	}
	sys, err := pools.DecodeSystem(b)
	name := f.dir
	if f.svc != nil {
		name = genDir(f) + "/" + f.name
	}
	switch {
	case err != nil:
		in.damage(f.abs, 0, "system block", "that of a pool file", err.Error())
		return nil
	case f.svc != nil && (sys.Service != f.svc.id || sys.File.Name(f.dir) != name):
		in.damage(f.abs, 0, "system block", fmt.Sprintf("service %s, %s", f.svc.id, name), fmt.Sprintf("service %s, %s", sys.Service, sys.File.Name(f.dir)))
		return nil
	}
	if known {
		owners = f.svc.blocks[sys.File]
	}
	in.items++
	in.line(f.abs, 0, "pool", field{"service", sys.Service.String()}, field{"file", sys.File.String()}, field{"block_bytes", sys.File.Pool.BlockBytes()}, field{"blocks", sys.Geometry.Blocks()},
		field{"blocks_per_region", sys.Geometry.BlocksPerRegion}, field{"regions", sys.Geometry.Regions}, field{"created_ms", sys.CreatedMs}, crcField(binary.LittleEndian.Uint32(b[systemBytes-4:])))
	free := 0
	seen := make(map[uint32]bool)
	_, err = pools.Inspect(in.ctx, f.fs, name, true, func(x pools.Inspected) error {
		off := sys.Geometry.BlockOffset(sys.File.Pool, x.Block)
		var owner uint64
		if int(x.Block) < len(owners) {
			owner = owners[x.Block]
		}
		seen[x.Block] = true
		switch {
		case x.Err != nil && known && (owner == 0 || owner == pending):
			free++
		case x.Err != nil:
			in.failed(f.base(), f.abs, "block", x.Err)
		case owner != 0 && owner != pending && owner != short(x.Header.Object):
			in.damage(f.abs, sys.Geometry.HeaderOffset(sys.File.Pool, x.Block), fmt.Sprintf("header of block %d", x.Block), fmt.Sprintf("that of object ...%016x", owner),
				"that of object "+x.Header.Object.String())
		default:
			in.items++
			h := x.Header
			in.line(f.abs, off, "block", field{"number", x.Block}, field{"object", h.Object.String()}, field{"part", h.Part}, field{"object_offset", h.Offset}, field{"bytes", h.Length},
				field{"object_bytes", h.SizeBytes}, crcField(h.CRC))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, owner := range owners {
		if owner != 0 && owner != pending && !seen[uint32(i)] {
			in.damage(f.abs, sys.Geometry.HeaderOffset(sys.File.Pool, uint32(i)), fmt.Sprintf("header of block %d", i), fmt.Sprintf("that of object ...%016x", owner), "none")
		}
	}
	if free > 0 {
		in.note(f.abs, 0, fmt.Sprintf("%s in use by no object holds no valid payload: free blocks may", plural(free, "block")))
	}
	return nil
}

// pending stands for the object of a block whose payload is in the log and may not be in the block yet.
const pending = ^uint64(0)

// short is the random end of an object's id: enough to tell objects apart, in 8 bytes a block.
func short(id cluster.ObjectID) uint64 { return max(1, binary.BigEndian.Uint64(id[8:])) }
