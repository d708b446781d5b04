package objserver

import (
	"context"
	"slices"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Orphans are objects that no name server knows: their guard was lost in a power cut before anybody waited for it (docs/decisions/0002-lazy-guards.md). A pass asks
// every name server of the volume about every object that is old enough, in batches, and deletes what all of them call unknown.
//
//  1. An object is asked about only when it was made OrphanAge ago or earlier: whoever made it has named it by then, or his guard has ended.
//  2. It is deleted only when every name server of the volume said that it is unknown, within cluster.UnknownFor, and the volume has the same name servers after as before.
//  3. When many objects of a batch are unknown, nobody is believed: the metadata was lost or is an old backup, and the bytes may be the last copy.
const (
	orphanBatch  = 1 << 16 // objects asked about at a time, and held in memory: 16 bytes each
	orphanChunk  = 256     // objects deleted at a time
	orphanPause  = 50 * time.Millisecond
	orphanRest   = 4    // a pass rests this many times as long as it has kept name servers busy
	orphanFew    = 1000 // fewer are always believed
	orphanPart   = 10   // more are believed when they are less than one in so many
	orphanFirst  = 10 * time.Minute
	orphanWithin = cluster.UnknownFor / 2 // the other half is for the deletion that was begun last
)

// OrphanReport says what a pass did.
type OrphanReport struct {
	Examined   int64 // objects old enough
	Freed      int64 // orphans that were deleted
	FreedBytes int64 // their payload
	Kept       int64 // unknown objects that were not deleted, by rule 3; or all, with a dry run
}

// FreeOrphans makes a pass over all objects. dry: it only counts. It returns fault.Unavailable, and deletes nothing more, when a name server does not answer, the volume changed, or the
// name servers took too long; fault.Precondition when so many objects are unknown that it must not be believed.
func (s *Server) FreeOrphans(ctx context.Context, dry bool) (r OrphanReport, err error) {
	if s.opts.Names == nil {
		return r, fault.New(fault.NotSupported, "objserver: the name servers are not known")
	}
	s.orphans.Lock()
	defer s.orphans.Unlock()
	before := time.Now().Add(-s.opts.OrphanAge).UnixMilli()
	var after cluster.ObjectID
	for {
		ids, sizes := make([]cluster.ObjectID, 0, 1024), make(map[cluster.ObjectID]int64)
		seen := 0
		err := s.Objects(ctx, after, func(id cluster.ObjectID, size, createdMs int64) bool {
			after = id
			seen++
			if createdMs <= before {
				ids = append(ids, id)
				sizes[id] = size
			}
			return len(ids) < orphanBatch
		})
		if err != nil || seen == 0 {
			return r, err
		}
		begun := time.Now()
		if err := s.freeOrphansOf(ctx, ids, sizes, dry, &r); err != nil {
			return r, err
		}
		rest := min(orphanRest*time.Since(begun), time.Minute)
		if s.opts.OrphanEvery < 0 {
			rest = 0 // nobody else is to be spared
		}
		if err := s.pause(ctx, rest); err != nil {
			return r, err
		}
	}
}

// freeOrphansOf deletes the orphans among ids, ascending.
func (s *Server) freeOrphansOf(ctx context.Context, ids []cluster.ObjectID, sizes map[cluster.ObjectID]int64, dry bool, r *OrphanReport) error {
	r.Examined += int64(len(ids))
	s.n.orphansExamined.Add(int64(len(ids)))
	begun := time.Now()
	unknown, err := s.unknownToAll(ctx, ids)
	if err != nil || len(unknown) == 0 {
		return err
	}
	many := len(unknown) > s.opts.OrphanFew && len(unknown) > len(ids)/orphanPart
	if many || dry {
		r.Kept += int64(len(unknown))
		s.n.orphansKept.Add(int64(len(unknown)))
		if dry {
			return nil
		}
		return fault.New(fault.Precondition, "objserver: no name server knows %d of %d objects: too many to be believed, nothing is deleted", len(unknown), len(ids))
	}
	for chunk := range slices.Chunk(unknown, orphanChunk) {
		if time.Since(begun) > orphanWithin {
			return fault.New(fault.Unavailable, "objserver: the name servers' word on orphans is too old")
		}
		if err := s.DeleteObjects(ctx, chunk); err != nil {
			return err
		}
		bytes := int64(0)
		for _, id := range chunk {
			bytes += sizes[id]
			s.log.Info("freed an object that has no name", logkey.Object, id.String(), logkey.Bytes, sizes[id])
		}
		r.Freed += int64(len(chunk))
		r.FreedBytes += bytes
		s.n.orphansFreed.Add(int64(len(chunk)))
		s.n.orphanBytes.Add(bytes)
		if err := s.pause(ctx, orphanPause); err != nil {
			return err
		}
	}
	return nil
}

// unknownToAll returns those of ids that every name server of the volume calls unknown.
func (s *Server) unknownToAll(ctx context.Context, ids []cluster.ObjectID) ([]cluster.ObjectID, error) {
	names, err := s.opts.Names()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Unavailable, "objserver: the volume has no name servers")
	}
	ctx, cancel := context.WithTimeout(ctx, orphanWithin)
	defer cancel()
	for _, ns := range names {
		if len(ids) == 0 {
			return nil, nil
		}
		unknown, err := ns.UnknownLinks(ctx, s.opts.ID, ids)
		if err != nil {
			return nil, fault.Wrap(fault.KindOf(err), err, "objserver: ask for orphans")
		}
		for _, id := range unknown {
			if _, asked := slices.BinarySearchFunc(ids, id, compareIDs); !asked {
				return nil, fault.New(fault.Internal, "objserver: a name server answered about object %v, which it was not asked", id)
			}
		}
		ids = unknown
	}
	now, err := s.opts.Names()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(now, names) {
		return nil, fault.New(fault.Unavailable, "objserver: the volume's name servers changed meanwhile")
	}
	return ids, nil
}

// pause waits, or returns why not to go on.
func (s *Server) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.going(ctx)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing.Done():
		return fault.New(fault.Unavailable, "objserver: closing")
	}
}

// runOrphans is the goroutine that makes a pass now and then.
func (s *Server) runOrphans() {
	for wait := min(orphanFirst, s.opts.OrphanEvery); s.pause(s.closing, wait) == nil; wait = s.opts.OrphanEvery {
		begun := time.Now()
		r, err := s.FreeOrphans(s.closing, false)
		switch {
		case s.closing.Err() != nil:
			return
		case fault.KindOf(err) == fault.Precondition:
			s.log.Error("objects without names are kept: look at the name servers first", logkey.Count, r.Kept, logkey.Error, err.Error())
		case err != nil:
			s.log.Warn("the search for objects without names was given up; it will be tried again", logkey.Error, err.Error())
		default:
			s.n.orphanPasses.Add(1)
			s.log.Info("searched for objects without names", logkey.Count, r.Examined, logkey.Bytes, r.FreedBytes, logkey.Duration, time.Since(begun))
		}
	}
}
