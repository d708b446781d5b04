package objserver

import (
	"bytes"
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/pools"
)

// repairBatch is how many region records are written in one batch.
const repairBatch = 256

// RepairRegions writes the region records anew from the object tree where they differ, and returns how many did. The object tree counts: a block that no object has
// becomes free, one that an object has is in use. Call it with nothing else running, then Close and Open the server again: what it holds in memory may be wrong before. It
// changes nothing and returns fault.Corrupt when an object record does not decode: nobody knows which blocks are its own.
func (s *Server) RepairRegions(ctx context.Context) (n int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	s.collect.Lock() // the janitor must not unlink what turns out to be in use
	defer s.collect.Unlock()
	c := &checker{s: s, records: true, want: make(map[pools.RegionID]*pools.RegionRecord)}
	var changes []regionEntry // stored: it is to be written
	err = s.store.View(func(sn *store.Snapshot) error {
		c.sn = sn
		if err := c.objects(ctx); err != nil {
			return err
		}
		for _, err := range c.problems {
			if fault.KindOf(err) == fault.Corrupt {
				return fault.Wrap(fault.Corrupt, err, "objserver: repair")
			}
		}
		var bad error
		for id, got := range regions(sn, &bad) {
			want := c.want[id]
			delete(c.want, id)
			switch {
			case want == nil:
				changes = append(changes, regionEntry{id: id})
			case !bytes.Equal(got.Mask, want.Mask) || got.Objects != want.Objects || got.LiveBytes != want.LiveBytes:
				changes = append(changes, regionEntry{id, *want, true})
			}
		}
		for id, want := range c.want {
			changes = append(changes, regionEntry{id, *want, true})
		}
		return bad
	})
	if err != nil {
		return 0, err
	}
	for rest := changes; len(rest) > 0; {
		some := rest[:min(len(rest), repairBatch)]
		rest = rest[len(some):]
		err := s.store.Update(ctx, func(tx *store.Tx) error {
			for _, e := range some {
				if key := appendRegionKey(nil, e.id); e.stored {
					tx.Put(key, e.record.Append(nil))
				} else {
					tx.Delete(key)
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(some)
		s.log.Warn("region records were written anew", logkey.Count, len(some))
	}
	return n, nil
}
