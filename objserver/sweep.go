package objserver

import (
	"context"
	"iter"

	"ostor/internal/checksum"
	"ostor/internal/fault"
	"ostor/pools"
)

// sweep brings the small payloads of a checkpoint to their blocks. Package store calls it.
//
// An object may have been deleted after its memtable was frozen, and its blocks may have become another's. So frees are held back first, and then each object is
// looked up in the newest durable state: one that is not there is left out, and the blocks of one that is there stay its own until the sweep
// has ended, whatever is deleted meanwhile.
func (s *Server) sweep(ctx context.Context, _ uint64, entries iter.Seq2[[]byte, []byte]) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.pools == nil {
		return fault.New(fault.Unavailable, "objserver: not open")
	}
	release := s.pools.Hold()
	defer release()
	sn := s.store.Snapshot()
	defer sn.Close()
	var items []pools.Payload
	for key, payload := range entries {
		generation, id, err := decodePayloadKey(key)
		if err != nil {
			return err
		}
		h, inline, ok, err := loadHead(sn, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if int64(len(payload)) != h.Size {
			return fault.New(fault.Internal, "objserver: payload of %d bytes for object %v of %d", len(payload), id, h.Size)
		}
		x := extents{size: h.Size, b: inline}
		for part := uint32(0); ; part++ {
			e, ok, err := x.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if e.Addr.Generation != generation {
				break // moved already, with its bytes
			}
			data := payload[e.Offset : e.Offset+e.Length]
			items = append(items, pools.Payload{Data: data, Located: pools.Located{Addr: e.Addr, Header: pools.Header{
				Object: id, SizeBytes: h.Size, Offset: e.Offset, Part: part, Length: uint32(e.Length), CRC: checksum.CRC32C(data)}}})
		}
	}
	if err := s.pools.Sweep(ctx, items); err != nil {
		return err
	}
	s.n.sweptBlocks.Add(int64(len(items)))
	return nil
}
