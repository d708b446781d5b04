package objserver

import (
	"context"
	"errors"
	"time"

	"ostor/internal/fault"
	"ostor/pools"
)

// stuckFor is how long a region that could not be emptied is left alone: a damaged block keeps it, or somebody reads an object in it.
const stuckFor = 10 * time.Minute

// defragment empties the least filled region of each pool, if its blocks fit into free ones before it; then the janitor gives its space back. Writes meanwhile go on. A
// crash at any point leaves each block where its record says: copies are durable before the record names them, and the old blocks are free after that.
func (s *Server) defragment(ctx context.Context) error {
	now := time.Now()
	for id, until := range s.stuck {
		if now.After(until) {
			delete(s.stuck, id)
		}
	}
	for k := range pools.Pool(pools.PoolCount) {
		region, busy, ok := s.pools.Drain(k, func(id pools.RegionID) bool { _, stuck := s.stuck[id]; return stuck })
		if !ok {
			continue
		}
		err := s.emptyRegion(ctx, region, busy)
		s.pools.Undrain(region)
		if err != nil {
			return err
		}
		if s.anyBusy(busy) {
			s.stuck[region] = now.Add(stuckFor)
		} else {
			s.n.emptied.Add(1)
		}
	}
	return nil
}

// emptyRegion moves the objects in the busy blocks of a region, as far as there is room before it. Blocks that cannot be read stay.
func (s *Server) emptyRegion(ctx context.Context, region pools.RegionID, busy []pools.Addr) error {
	to := relocation{
		leaves: func(a pools.Addr) bool {
			r, _, err := s.pools.Region(a)
			return err == nil && r == region
		},
		reserve: func(pools.Pool) (pools.Addr, error) {
			a, ok := s.pools.ReserveBefore(region)
			if !ok {
				return a, errNoRoom
			}
			return a, nil
		},
	}
	for _, a := range busy {
		if err := s.going(ctx); err != nil {
			return err
		}
		if !s.pools.Busy(a) {
			continue // moved with another block of its object, or deleted
		}
		h, ok, err := s.pools.Header(a)
		if err != nil || !ok {
			continue // being written, or damaged: a scrub reports it
		}
		switch _, err = s.moveObject(ctx, h.Object, to); {
		case err == nil, errors.Is(err, errChanged), fault.KindOf(err) == fault.Corrupt:
		case errors.Is(err, errNoRoom):
			return nil
		default:
			return err
		}
	}
	return nil
}

func (s *Server) anyBusy(addrs []pools.Addr) bool {
	for _, a := range addrs {
		if s.pools.Busy(a) {
			return true
		}
	}
	return false
}
