package objserver

import (
	"context"
	"slices"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/pools"
)

// deleteBatch bounds the objects of one transaction, and deleteExtents their blocks, so that others get a turn.
const (
	deleteBatch   = 128
	deleteExtents = 2048
)

// removed is one object that a batch deletes.
type removed struct {
	id    cluster.ObjectID
	size  int64
	addrs []pools.Addr
}

// DeleteObjects implements cluster.ObjectServer.
func (s *Server) DeleteObjects(ctx context.Context, ids []cluster.ObjectID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if len(ids) > 1 { // neighbours share pages and regions
		ids = slices.Clone(ids)
		slices.SortFunc(ids, func(a, b cluster.ObjectID) int { return slices.Compare(a[:], b[:]) })
		ids = slices.Compact(ids)
	}
	for len(ids) > 0 {
		if err := s.going(ctx); err != nil {
			return err
		}
		n, err := s.deleteSome(ctx, ids[:min(len(ids), deleteBatch)])
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// deleteSome deletes the first objects of ids, at least one, and returns how many.
func (s *Server) deleteSome(ctx context.Context, ids []cluster.ObjectID) (n int, err error) {
	var gone []removed
	var lost int
	wait, err := s.store.Submit(func(tx *store.Tx) error {
		tx.Frees()
		batch := newRegionBatch(s.pools, tx)
		blocks := 0
		for n = 0; n < len(ids) && blocks < deleteExtents; n++ {
			r, ok, err := s.deleteOne(tx, batch, ids[n])
			if err != nil {
				return err
			}
			if ok {
				gone = append(gone, r)
				blocks += len(r.addrs)
			}
		}
		batch.flush()
		lost = batch.lost
		return nil
	})
	if err == nil {
		err = wait(context.WithoutCancel(ctx))
	}
	if err != nil {
		return 0, err
	}
	if lost > 0 {
		s.log.Error("deleted objects had blocks that were not in use", logkey.Count, lost)
	}
	for _, r := range gone { // durable, and the lease was checked after that
		s.objects.Add(-1)
		s.liveBytes.Add(-r.size)
		s.pins.after(r.id, func() { s.pools.Free(r.addrs...) })
	}
	s.n.deletes.Add(int64(len(gone)))
	return n, nil
}

// deleteOne takes an object out of the tree. An object whose record is damaged goes too; its blocks then stay in use until fsck rebuilds the region records.
func (s *Server) deleteOne(tx *store.Tx, batch *regionBatch, id cluster.ObjectID) (r removed, ok bool, err error) {
	o, ok, err := load(tx, id)
	if err != nil || !ok {
		return r, false, err
	}
	list, err := o.all()
	if err != nil {
		return r, false, err
	}
	r = removed{id, o.head.Size, make([]pools.Addr, 0, len(list))}
	for i, e := range list {
		if err := batch.remove(e.Addr, e.Length, i == 0); err != nil {
			return r, false, err
		}
		r.addrs = append(r.addrs, e.Addr)
	}
	o.remove(tx)
	return r, true, dropPayload(tx, &o)
}

// dropPayload deletes the payload of a small object that is not in its blocks yet.
func dropPayload(tx *store.Tx, o *object) error {
	if !o.head.Small || o.head.parts() > 0 {
		return nil
	}
	v, err := loadPayload(tx, o.id, o.parts[0])
	if err != nil || v == nil {
		return err
	}
	e, _, err := decodeExtent(o.parts[0], o.head.Size)
	if err != nil {
		return fault.Wrap(fault.KindOf(err), err, "object %v", o.id)
	}
	tx.Delete(appendPayloadKey(nil, e.Addr.Generation, o.id))
	return nil
}
