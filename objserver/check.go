package objserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"ostor/fsbackend/store"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// maxProblems bounds what Check and Scrub report.
const maxProblems = 100

// Check walks the whole object tree and verifies: every record decodes and its extents add up; every block in use belongs to exactly one object, and the region
// records say so and no more; counts of objects and bytes agree; the header of every block that was written is that of its object; every such block is busy in
// memory. It reads no payload: Scrub does. Other calls may run meanwhile; freed blocks are reused only when it has ended. It returns all problems joined, up to 100.
func (s *Server) Check(ctx context.Context) error { return s.check(ctx, false) }

// Scrub is Check, and also reads and verifies every payload.
func (s *Server) Scrub(ctx context.Context) error { return s.check(ctx, true) }

func (s *Server) check(ctx context.Context, payloads bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	release := s.pools.Hold() // before the snapshot: what is in use there stays so
	defer release()
	if err := s.store.Check(ctx); err != nil {
		return fmt.Errorf("objserver: store: %w", err)
	}
	return s.store.View(func(sn *store.Snapshot) error {
		c := &checker{s: s, sn: sn, payloads: payloads, want: make(map[pools.RegionID]*pools.RegionRecord)}
		if err := c.run(ctx); err != nil {
			return err
		}
		return errors.Join(c.problems...)
	})
}

type checker struct {
	s        *Server
	sn       *store.Snapshot
	payloads bool
	records  bool // only the records are of interest, not the blocks
	want     map[pools.RegionID]*pools.RegionRecord
	logged   int // payloads that are not in their blocks yet, as the objects say
	parts    int // continuations, as the objects say
	problems []error
}

func (c *checker) problem(kind fault.Kind, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fault.New(kind, "objserver: check: "+format, args...))
	}
}

func (c *checker) add(err error) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, err)
	}
}

func (c *checker) run(ctx context.Context) error {
	for _, err := range c.s.pools.Damaged() {
		c.add(err)
	}
	if err := c.objects(ctx); err != nil {
		return err
	}
	if err := c.regions(); err != nil {
		return err
	}
	return c.strays()
}

// objects walks over the object records, and gathers in want what the region records should be.
func (c *checker) objects(ctx context.Context) error {
	it := c.sn.Iter([]byte{prefixObject}, []byte{prefixObject + 1})
	defer it.Close()
	parts := 0
	for it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch key := it.Key(); len(key) {
		case objectKeyBytes:
			if err := c.object(ctx, cluster.ObjectID(key[1:])); err != nil {
				return err
			}
		case partKeyBytes:
			parts++
		default:
			c.problem(fault.Corrupt, "key %x", key)
		}
	}
	if parts != c.parts {
		c.problem(fault.Corrupt, "%d continuations, the objects have %d", parts, c.parts)
	}
	return it.Err()
}

func (c *checker) object(ctx context.Context, id cluster.ObjectID) error {
	o, ok, err := load(c.sn, id)
	if err == nil && !ok {
		err = fault.New(fault.Corrupt, "objserver: check: object %v is listed but not found", id)
	}
	var list []extent
	if err == nil {
		list, err = o.all()
	}
	if err != nil {
		c.add(err)
		return nil
	}
	c.parts += o.head.parts()
	var payload []byte
	if o.head.Small {
		if payload, err = loadPayload(c.sn, id, o.parts[0]); err != nil {
			return err
		}
	}
	if payload != nil {
		c.logged++
		if err := verifyLogged(payload, id, o.head); err != nil {
			c.add(err)
		}
	}
	split := pools.Split(nil, o.head.Size)
	for i, e := range list {
		if i >= len(split) || split[i] != e.Addr.Pool {
			c.problem(fault.Corrupt, "object %v of %d bytes has block %d in %v", id, o.head.Size, i, e.Addr.Pool)
		}
		c.take(id, i, e)
		if payload == nil && !c.records {
			c.header(id, o.head, i, e)
			if c.payloads {
				if err := c.payload(ctx, id, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// take notes that a block belongs to an object.
func (c *checker) take(id cluster.ObjectID, i int, e extent) {
	region, bit, err := c.s.pools.Region(e.Addr)
	if err != nil {
		c.add(err)
		return
	}
	r := c.want[region]
	if r == nil {
		empty, err := c.s.pools.NewRecord(region)
		if err != nil {
			c.add(err)
			return
		}
		r = &empty
		c.want[region] = r
	}
	if int(bit/8) >= len(r.Mask) || r.Has(bit) {
		c.problem(fault.Corrupt, "block %v of object %v belongs to another object, too", e.Addr, id)
		return
	}
	r.Mask[bit/8] |= 1 << (bit % 8)
	r.LiveBytes += uint64(e.Length)
	if i == 0 {
		r.Objects++
	}
	if !c.records && !c.s.pools.Busy(e.Addr) {
		c.problem(fault.Internal, "block %v of object %v is free in memory", e.Addr, id)
	}
}

func (c *checker) header(id cluster.ObjectID, o head, i int, e extent) {
	h, ok, err := c.s.pools.Header(e.Addr)
	switch {
	case err != nil:
		c.add(err)
	case !ok:
		c.problem(fault.Corrupt, "block %v of object %v has no header", e.Addr, id)
	case h.Object != id || h.SizeBytes != o.Size || h.Offset != e.Offset || int(h.Part) != i || int64(h.Length) != e.Length:
		c.problem(fault.Corrupt, "block %v of object %v has the header of %d bytes at %d of object %v", e.Addr, id, h.Length, h.Offset, h.Object)
	}
}

func (c *checker) payload(ctx context.Context, id cluster.ObjectID, e extent) error {
	buf := c.s.bufs.get(bigBuffer)
	defer c.s.bufs.put(buf)
	crc := uint32(0)
	for off := int64(0); off < e.Length; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := (*buf)[:min(int64(len(*buf)), e.Length-off)]
		if err := c.s.pools.Read(e.Addr, id, off, b, e.CRCs[off/pools.ChunkBytes*4:]); err != nil {
			c.add(err)
			return nil
		}
		crc = checksum.Update(crc, b)
		off += int64(len(b))
	}
	if h, ok, err := c.s.pools.Header(e.Addr); err == nil && ok && h.CRC != crc {
		c.problem(fault.Corrupt, "block %v of object %v has crc %08x, its header says %08x", e.Addr, id, crc, h.CRC)
	}
	return nil
}

// regions compares the region records with what the objects say.
func (c *checker) regions() error {
	var bad error
	for id, got := range regions(c.sn, &bad) {
		want := c.want[id]
		if want == nil {
			c.problem(fault.Corrupt, "region %v/%d: %d blocks in use, no object has one", id.FileID, id.Region, got.Used())
			continue
		}
		if !bytes.Equal(got.Mask, want.Mask) || got.Objects != want.Objects || got.LiveBytes != want.LiveBytes {
			c.problem(fault.Corrupt, "region %v/%d: record %+v, the objects say %+v", id.FileID, id.Region, got, *want)
		}
		delete(c.want, id)
	}
	for id, want := range c.want {
		c.problem(fault.Corrupt, "region %v/%d: no record, but objects have %d blocks", id.FileID, id.Region, want.Used())
	}
	return bad
}

// strays sees that every logged payload belongs to an object.
func (c *checker) strays() error {
	it := c.sn.Iter([]byte{prefixPayload}, []byte{prefixPayload + 1})
	defer it.Close()
	n := 0
	for it.Next() {
		n++
	}
	if n != c.logged {
		c.problem(fault.Corrupt, "%d logged payloads, %d objects have one", n, c.logged)
	}
	return it.Err()
}

// Objects calls fn with the id, size and creation time (ms since 1970) of every object after an id, in order, of one durable state, until fn returns false. The caller of an orphan reconciliation
// compares them with the names.
func (s *Server) Objects(ctx context.Context, after cluster.ObjectID, fn func(id cluster.ObjectID, size, createdMs int64) bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.store.View(func(sn *store.Snapshot) error {
		it := sn.Iter(append(appendObjectKey(nil, after), 0xff, 0xff, 0xff), []byte{prefixObject + 1})
		defer it.Close()
		for it.Next() {
			if err := s.going(ctx); err != nil {
				return err
			}
			if len(it.Key()) != objectKeyBytes {
				continue
			}
			h, _, err := decodeHead(it.Value())
			if err != nil {
				return err
			}
			if !fn(cluster.ObjectID(it.Key()[1:]), h.Size, h.CreatedMs) {
				return nil
			}
		}
		return it.Err()
	})
}
