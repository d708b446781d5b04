package objserver

import (
	"context"
	"encoding/binary"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/pools"
)

const (
	evacuateBytes = 64 << 20 // a round
	punchRegions  = 32       // a round
	idleRounds    = 3        // an empty file is kept this long for the next object
	defragRounds  = 5        // one round in so many empties a region of each pool
)

// runJanitor is the janitor's goroutine.
func (s *Server) runJanitor() {
	ticker := time.NewTicker(s.opts.JanitorEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing.Done():
			return
		case <-ticker.C:
		}
		err := s.round(s.closing, idleRounds)
		switch {
		case err == nil, s.closing.Err() != nil:
		case fault.KindOf(err) == fault.NoSpace:
			s.log.Warn("no room to tidy up; it will be tried again", logkey.Error, err.Error())
		case s.pools.Err() != nil || s.store.Err() != nil:
			return // failed for good: whoever failed has said so
		default:
			s.log.Error("tidying up failed; it will be tried again", logkey.Error, err.Error())
		}
	}
}

// Collect does one round of the janitor, without mercy for files that were used a moment ago: strays and sparse files of earlier generations are moved, a sparse region
// of each pool is emptied, empty files are unlinked, and the space of empty regions is given back.
func (s *Server) Collect(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.round(ctx, 1)
}

func (s *Server) round(ctx context.Context, idle int) error {
	s.collect.Lock()
	defer s.collect.Unlock()
	if err := s.pools.Err(); err != nil {
		return err
	}
	if _, err := s.moveStrays(ctx); err != nil {
		return err
	}
	if err := s.evacuate(ctx, evacuateBytes); err != nil {
		return err
	}
	if s.rounds++; idle == 1 || s.rounds%defragRounds == 0 {
		if err := s.defragment(ctx); err != nil {
			return err
		}
	}
	if err := s.unlinkEmpty(ctx, idle); err != nil {
		return err
	}
	_, err := s.pools.PunchEmpty(ctx, punchRegions, s.opts.Owner.Check)
	return err
}

// unlinkEmpty removes pool files without a block in use. That their numbers are not used again is durable first.
func (s *Server) unlinkEmpty(ctx context.Context, idle int) error {
	files := s.pools.RetireEmpty(idle)
	if len(files) == 0 {
		return nil
	}
	err := s.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		tx.Frees()
		for _, f := range files {
			if err := noRegion(tx, f); err != nil {
				return err
			}
			if f.Generation != s.home { // nobody makes files there any more
				continue
			}
			key := appendLastKey(nil, f.Generation, f.Pool)
			v, ok, err := tx.Get(key)
			if err != nil {
				return err
			}
			if !ok || len(v) != 4 || binary.LittleEndian.Uint32(v) < f.Number {
				tx.Put(key, binary.LittleEndian.AppendUint32(nil, f.Number))
			}
		}
		return nil
	})
	if err != nil {
		s.pools.Keep(files)
		return err
	}
	for i, f := range files {
		if err := s.opts.Owner.Check(); err != nil {
			s.pools.Keep(files[i:])
			return err
		}
		if err := s.pools.Unlink(f); err != nil {
			return err
		}
		s.log.Debug("unlinked an empty pool file", logkey.File, f.String())
	}
	return nil
}

// noRegion returns fault.Internal when the tree says that a block of a file is in use.
func noRegion(tx *store.Tx, f pools.FileID) error {
	lo := appendRegionKey(nil, pools.RegionID{FileID: f})
	hi := appendRegionKey(nil, pools.RegionID{FileID: f, Region: 1<<32 - 1})
	it := tx.Iter(lo, hi)
	defer it.Close()
	if it.Next() {
		return fault.New(fault.Internal, "objserver: file %v is empty, but region %x is not", f, it.Key())
	}
	return it.Err()
}
