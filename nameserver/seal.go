package nameserver

import (
	"context"
	"sync"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// sealIndex holds the buckets that may be sealed: one is added before its seal is in the store and stays after it was taken back. A bucket that is not in it
// is not sealed in any state that a reader can see who took his snapshot before looking here; so most calls need no look into the store.
type sealIndex struct {
	mu  sync.RWMutex
	ids map[cluster.BucketID]struct{}
}

func (x *sealIndex) add(id cluster.BucketID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ids == nil {
		x.ids = make(map[cluster.BucketID]struct{})
	}
	x.ids[id] = struct{}{}
}

func (x *sealIndex) mayHave(id cluster.BucketID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.ids[id]
	return ok
}

// checkOpen returns fault.NoBucket when the bucket is sealed in the state that r shows.
func (s *Server) checkOpen(r reader, id cluster.BucketID) error {
	if !s.seals.mayHave(id) {
		return nil
	}
	v, err := getSeal(r, id)
	if err != nil {
		return err
	}
	if v.closed() {
		return fault.New(fault.NoBucket, "bucket %s is being deleted", id)
	}
	return nil
}

// SealBucket implements [cluster.NameServer]. What the bucket holds is worked off by the collector, in batches, over restarts: until then nobody sees it.
func (s *Server) SealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch, force bool) error {
	if err := checkBucketID(id); err != nil {
		return err
	}
	s.seals.add(id)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := getSeal(tx, id)
		switch {
		case err != nil:
			return err
		case old.state == opened && epoch <= old.epoch:
			return fault.New(fault.Stale, "bucket %s was opened again for epoch %d: a deletion of epoch %d is over", id, old.epoch, epoch)
		case old.closed():
			if epoch > old.epoch {
				tx.Frees()
				tx.Put(sealKey(id), seal{old.state, epoch}.encode())
			}
			return nil
		}
		state := sealedForced
		if !force {
			state = sealedEmpty
			// A noncurrent version never is without a current one (invariant 1 of check.go), so heads tell everything.
			empty, err := isEmpty(tx, appendBucketPrefix(nil, tagHead, id))
			if err != nil {
				return err
			}
			if !empty {
				return fault.New(fault.NotEmpty, "bucket %s is not empty", id)
			}
		}
		tx.Frees()
		tx.Put(sealKey(id), seal{state, epoch}.encode())
		s.enqueue(tx, 0, garbage{kind: garbageBucket, origin: originVersion, due: s.now(), bucket: id})
		return nil
	})
}

func isEmpty(r reader, prefix []byte) (bool, error) {
	it := r.Iter(prefix, successor(prefix))
	defer it.Close()
	found := it.Next()
	return !found, it.Err()
}

// UnsealBucket implements [cluster.NameServer]. What the seal gave up is worked off first, so that a new upload is not taken for an old one. What stays is the word that seals for epoch are
// over: one that is still under way, of somebody who does not know yet, would close the bucket for good.
func (s *Server) UnsealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch) error {
	if err := checkBucketID(id); err != nil {
		return err
	}
	var at wipe
	for {
		done := false
		err := s.store.Update(ctx, func(tx *store.Tx) error {
			old, err := getSeal(tx, id)
			if err != nil || old.state != noSeal && old.epoch > epoch {
				done = true
				return err
			}
			tx.Frees()
			if done = !old.closed(); !done {
				if done, err = s.wipeBucket(tx, id, &at); err != nil {
					return err
				}
			}
			if done {
				tx.Put(sealKey(id), seal{opened, epoch}.encode())
			}
			return nil
		})
		if err != nil || done {
			return err
		}
	}
}
