package objserver

import (
	"context"
	"encoding/binary"
	"errors"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// moveBytes bounds what one step of moveObject copies, and with it the blocks that are reserved for it.
const moveBytes = 64 << 20

// strayBatch is how many strays are looked up at a time.
const strayBatch = 256

// errNoRoom says that blocks cannot be moved to better places.
var errNoRoom = errors.New("objserver: no room before")

// relocation says which blocks are moved, and to where.
type relocation struct {
	leaves  func(pools.Addr) bool // the block is to be moved
	reserve func(pools.Pool) (pools.Addr, error)
	logged  bool // also objects whose payload is not in its blocks yet
}

// homeward takes blocks of earlier generations to files of the home generation.
func (s *Server) homeward() relocation {
	return relocation{leaves: func(a pools.Addr) bool { return a.Generation != s.home }, reserve: s.pools.Reserve, logged: true}
}

// errChanged says that an object was deleted or changed while it was being moved: nothing to do.
var errChanged = errors.New("objserver: object changed meanwhile")

// moveStrays finds blocks for the small payloads that an earlier generation had logged and did not sweep: its files cannot be written any more. It returns how many.
func (s *Server) moveStrays(ctx context.Context) (n int, err error) {
	from := []byte{prefixPayload}
	for {
		var ids []cluster.ObjectID
		var last []byte
		err := s.store.View(func(sn *store.Snapshot) error {
			it := sn.Iter(from, []byte{prefixPayload + 1})
			defer it.Close()
			for it.Next() && len(ids) < strayBatch {
				generation, id, err := decodePayloadKey(it.Key())
				if err != nil {
					return err
				}
				if generation == s.home { // those have blocks: the next sweep writes them
					it.Seek(appendPayloadKey(nil, s.home+1, cluster.ObjectID{}))
					continue
				}
				ids = append(ids, id)
				last = append(append(last[:0], it.Key()...), 0)
			}
			return it.Err()
		})
		if err != nil || len(ids) == 0 {
			return n, err
		}
		from = last
		for _, id := range ids {
			if err := s.going(ctx); err != nil {
				return n, err
			}
			if _, err := s.moveObject(ctx, id, s.homeward()); err != nil && !errors.Is(err, errChanged) {
				return n, err
			}
			n++
		}
	}
}

// evacuate moves objects out of sparse files of earlier generations, up to a number of bytes. Blocks that cannot be read stay where they are.
func (s *Server) evacuate(ctx context.Context, budget int64) error {
	for _, file := range s.pools.Sparse() {
		for _, a := range s.pools.BusyAddrs(nil, file) {
			if err := s.going(ctx); err != nil || budget <= 0 {
				return err
			}
			h, ok, err := s.pools.Header(a)
			if err != nil || !ok {
				continue // a scrub reports it
			}
			moved, err := s.moveObject(ctx, h.Object, s.homeward())
			switch {
			case errors.Is(err, errChanged), fault.KindOf(err) == fault.Corrupt:
			case err != nil:
				return err
			}
			budget -= moved
		}
	}
	return nil
}

// moveObject copies the blocks of an object that a relocation wants to new blocks and lets the record name those, for at most moveBytes at a time. It returns
// the bytes that it moved; none when there are no such blocks; errChanged when the object changed or is gone.
func (s *Server) moveObject(ctx context.Context, id cluster.ObjectID, to relocation) (int64, error) {
	pin := s.pins.acquire(id)
	defer s.pins.release(id, pin)
	var o object
	var payload []byte
	err := s.store.View(func(sn *store.Snapshot) (err error) {
		var ok bool
		if o, ok, err = load(sn, id); err == nil && !ok {
			err = errChanged
		}
		if err == nil && o.head.Small && o.head.parts() == 0 {
			payload, err = loadPayload(sn, id, o.parts[0])
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if payload != nil && !to.logged {
		return 0, nil
	}
	m, err := s.copyBlocks(ctx, &o, payload, to)
	if err != nil || len(m.from) == 0 {
		s.pools.Free(m.to...)
		return 0, err
	}
	if err := s.commitMove(ctx, &o, m); err != nil {
		return 0, err
	}
	s.n.moved.Add(1)
	s.pins.after(id, func() {
		for _, e := range m.from {
			s.pools.Free(e.Addr)
		}
	})
	return m.bytes, nil
}

// move is some extents of an object and the blocks that they are copied to.
type move struct {
	from  []extent
	to    []pools.Addr // as many, once copied
	bytes int64
}

// copyBlocks copies the extents that are to move and makes the copies durable. payload is the whole object when it is not in its blocks yet.
func (s *Server) copyBlocks(ctx context.Context, o *object, payload []byte, where relocation) (m move, err error) {
	list, err := o.all()
	if err != nil {
		return m, err
	}
	buf := s.bufs.get(bigBuffer)
	defer s.bufs.put(buf)
	var headers []pools.Located
	var files []pools.FileID
	for i, e := range list {
		if !where.leaves(e.Addr) || m.bytes+e.Length > moveBytes && m.bytes > 0 {
			continue
		}
		to, err := where.reserve(e.Addr.Pool)
		if err != nil {
			return m, err
		}
		m.from, m.to, m.bytes = append(m.from, e), append(m.to, to), m.bytes+e.Length
		var crc uint32
		for off := int64(0); off < e.Length; {
			if err := s.going(ctx); err != nil {
				return m, err
			}
			b := (*buf)[:min(int64(len(*buf)), e.Length-off)]
			sums := e.CRCs[off/pools.ChunkBytes*4:]
			if payload != nil {
				copy(b, payload[e.Offset+off:])
			} else if err := s.pools.Read(e.Addr, o.id, off, b, sums); err != nil {
				return m, err
			}
			for at := 0; at < len(b); at += pools.ChunkBytes {
				crc = pools.AppendChunkCRC(crc, binary.LittleEndian.Uint32(sums[at/pools.ChunkBytes*4:]), b[at:min(at+pools.ChunkBytes, len(b))])
			}
			if err := s.pools.WriteBlock(to, off, b); err != nil {
				return m, err
			}
			off += int64(len(b))
		}
		headers = append(headers, pools.Located{Addr: to, Header: pools.Header{
			Object: o.id, SizeBytes: o.head.Size, Offset: e.Offset, Part: uint32(i), Length: uint32(e.Length), CRC: crc}})
		if len(files) == 0 || files[len(files)-1] != to.FileID {
			files = append(files, to.FileID)
		}
	}
	if len(headers) == 0 {
		return m, nil
	}
	if err := s.pools.WriteHeaders(headers); err != nil {
		return m, err
	}
	return m, s.pools.Sync(files)
}

// commitMove lets the record name the copies, unless it changed.
func (s *Server) commitMove(ctx context.Context, o *object, m move) error {
	appended := false
	wait, err := s.store.Submit(func(tx *store.Tx) error {
		now, ok, err := load(tx, o.id)
		if err != nil {
			return err
		}
		if !ok || !now.equal(o) {
			return errChanged
		}
		batch := newRegionBatch(s.pools, tx)
		for i, e := range m.from {
			if ok, err := batch.remove(e.Addr, e.Length, e.Offset == 0); err != nil || !ok {
				return errors.Join(err, fault.New(fault.Internal, "objserver: block %v of object %v is not in use", e.Addr, o.id))
			}
			if err := batch.add(m.to[i], e.Length, e.Offset == 0); err != nil {
				return err
			}
		}
		if err := dropPayload(tx, &now); err != nil {
			return err
		}
		batch.flush()
		d, err := now.redraft(m)
		if err != nil {
			return err
		}
		d.put(tx, o.id)
		appended = true
		return nil
	})
	if err != nil {
		appended = s.store.Err() != nil
	} else {
		err = wait(context.WithoutCancel(ctx))
	}
	if err != nil && !appended {
		s.pools.Free(m.to...)
	}
	return err
}

// redraft returns the record with the addresses of a move.
func (o *object) redraft(m move) (*draft, error) {
	list, err := o.all()
	if err != nil {
		return nil, err
	}
	d := &draft{head: o.head}
	for _, e := range list {
		a := e.Addr
		for i := range m.from {
			if m.from[i].Addr == a {
				a = m.to[i]
				break
			}
		}
		d.block(a)
		d.body = append(d.body, e.CRCs...)
	}
	return d, nil
}
