package objserver

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// Record is one decoded record of an object server's store, for tools that look at it offline.
type Record struct {
	Text    string           // a line about it
	Object  cluster.ObjectID // of an object, continuation or payload; else zero
	Blocks  []Block          // of an object or continuation, in order
	Region  *pools.RegionID  // of a region record
	InUse   pools.RegionRecord
	Payload bool // the object's bytes are here, and its blocks are undefined
}

// Block is one block of an object.
type Block struct {
	Addr   pools.Addr
	Part   int   // index among the object's blocks
	Offset int64 // in the object
	Length int64
	Size   int64 // of the whole object
}

// Decoder decodes records that come in key order, as a walk over the tree or a log record has them: a continuation needs the head before it. The zero
// Decoder is ready.
type Decoder struct {
	id   cluster.ObjectID
	head head
	next Block // Part and Offset of the next extent
}

// Decode reads one record. It returns fault.Corrupt, or fault.NotSupported for another version, when it is none.
func (d *Decoder) Decode(key, value []byte) (r Record, err error) {
	bad := func(what string) (Record, error) {
		return Record{}, fault.New(fault.Corrupt, "%s with key %x", what, key)
	}
	if len(key) == 0 {
		return bad("record")
	}
	switch key[0] {
	case prefixObject:
		if len(key) == partKeyBytes {
			return d.continuation(key, value)
		}
		if len(key) != objectKeyBytes {
			return bad("object record")
		}
		return d.object(key, value)
	case prefixRegion:
		id, err := decodeRegionKey(key)
		if err != nil {
			return r, err
		}
		rec, err := pools.DecodeRegionRecord(value)
		r.Region, r.InUse = &id, rec
		r.Text = fmt.Sprintf("region %d of %v: %d blocks in use, %d objects, %d bytes", id.Region, id.FileID, rec.Used(), rec.Objects, rec.LiveBytes)
		return r, err
	case prefixPayload:
		g, id, err := decodePayloadKey(key)
		r.Object, r.Payload = id, true
		r.Text = fmt.Sprintf("payload of object %v on its way to files of generation %d: %d bytes", id, g, len(value))
		return r, err
	case prefixLast:
		if len(key) != lastKeyBytes || len(value) != 4 || key[9] >= pools.PoolCount {
			return bad("last file")
		}
		r.Text = fmt.Sprintf("last unlinked file of pool %d, generation %d: %d", key[9], binary.BigEndian.Uint64(key[1:]), binary.LittleEndian.Uint32(value))
		return r, nil
	}
	return bad("record of no table")
}

func (d *Decoder) object(key, value []byte) (r Record, err error) {
	h, rest, err := decodeHead(value)
	if err != nil {
		*d = Decoder{}
		return r, err
	}
	*d = Decoder{id: cluster.ObjectID(key[1:]), head: h}
	r.Object = d.id
	text := fmt.Sprintf("object %v: %d bytes, crc32c %08x, created %s, small %t, %d extents", d.id, h.Size, h.CRC, time.UnixMilli(h.CreatedMs).UTC().Format(time.RFC3339), h.Small, h.Extents)
	if h.parts() > 0 {
		r.Text = text + fmt.Sprintf(" in %d continuations", h.parts())
		return r, nil
	}
	r.Blocks, err = d.extents(rest)
	if err == nil && (d.next.Offset != h.Size || d.next.Part != h.Extents) {
		err = fault.New(fault.Corrupt, "object %v: %d extents hold %d bytes, the head says %d and %d", d.id, d.next.Part, d.next.Offset, h.Extents, h.Size)
	}
	r.Text = text + list(r.Blocks)
	return r, err
}

func (d *Decoder) continuation(key, value []byte) (r Record, err error) {
	r.Object = cluster.ObjectID(key[1:])
	n := int(binary.BigEndian.Uint16(key[objectKeyBytes:]))
	if r.Object != d.id || n != d.next.Part/partExtents || n >= d.head.parts() {
		r.Text = fmt.Sprintf("continuation %d of object %v: %d bytes (the head is elsewhere)", n, r.Object, len(value))
		return r, nil
	}
	r.Blocks, err = d.extents(value)
	r.Text = fmt.Sprintf("continuation %d of object %v:%s", n, r.Object, list(r.Blocks))
	return r, err
}

func (d *Decoder) extents(b []byte) (blocks []Block, err error) {
	x := extents{size: d.head.Size, offset: d.next.Offset, b: b}
	for {
		e, ok, err := x.next()
		if err != nil || !ok {
			return blocks, err
		}
		blocks = append(blocks, Block{e.Addr, d.next.Part, e.Offset, e.Length, d.head.Size})
		d.next.Part, d.next.Offset = d.next.Part+1, x.offset
	}
}

func list(blocks []Block) string {
	var s strings.Builder
	for _, b := range blocks {
		fmt.Fprintf(&s, " %v+%d", b.Addr, b.Length)
	}
	return s.String()
}

// PayloadRange returns the bounds [from, to) of the keys of payloads that are on their way to their blocks.
func PayloadRange() (from, to []byte) { return []byte{prefixPayload}, []byte{prefixPayload + 1} }
