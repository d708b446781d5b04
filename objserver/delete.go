package objserver

import (
	"context"
	"errors"
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
		slices.SortFunc(ids, compareIDs)
		ids = slices.Compact(ids)
	}
	var damaged error
	for len(ids) > 0 {
		if err := s.going(ctx); err != nil {
			return err
		}
		n, bad, err := s.deleteSome(ctx, ids[:min(len(ids), deleteBatch)])
		if err != nil {
			return err
		}
		damaged = errors.Join(damaged, bad)
		ids = ids[n:]
	}
	return fault.Wrap(fault.Corrupt, damaged, "objserver: delete")
}

// deleteSome deletes the first objects of ids, at least one, and returns how many it is done with. damaged tells of those whose records are damaged: they stay,
// since nobody knows which blocks are theirs.
func (s *Server) deleteSome(ctx context.Context, ids []cluster.ObjectID) (n int, damaged, err error) {
	var gone []removed
	var lost int
	wait, err := s.store.Submit(func(tx *store.Tx) error {
		tx.Frees()
		batch := newRegionBatch(s.pools, tx)
		blocks := 0
		for n = 0; n < len(ids) && blocks < deleteExtents; n++ {
			r, ok, err := s.deleteOne(tx, batch, ids[n])
			switch {
			case fault.KindOf(err) == fault.Corrupt:
				damaged = errors.Join(damaged, err)
			case err != nil:
				return err
			case ok:
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
		return 0, nil, err
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
	return n, damaged, nil
}

// deleteOne takes an object out of the tree. It changes nothing when it returns fault.Corrupt.
func (s *Server) deleteOne(tx *store.Tx, batch *regionBatch, id cluster.ObjectID) (r removed, ok bool, err error) {
	o, ok, err := load(tx, id)
	if err != nil || !ok {
		return r, false, err
	}
	list, err := o.all()
	if err != nil {
		return r, false, err
	}
	if err := dropPayload(tx, &o); err != nil {
		return r, false, err
	}
	r = removed{id, o.head.Size, make([]pools.Addr, 0, len(list))}
	for i, e := range list { // from here on no error is fault.Corrupt
		ok, err := batch.remove(e.Addr, e.Length, i == 0)
		if err != nil {
			return r, false, err
		}
		if ok {
			r.addrs = append(r.addrs, e.Addr)
		}
	}
	o.remove(tx)
	return r, true, nil
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

func compareIDs(a, b cluster.ObjectID) int { return slices.Compare(a[:], b[:]) }
