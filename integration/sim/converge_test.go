package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ostor/discovery"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fsck"
	"ostor/objserver"
	"ostor/pools"
)

// checkConverged is the end of the liveness phase: nobody writes any more. Every service has one owner that works; garbage is collected until nothing is left but what is named; and
// every invariant of each server holds. fsck follows, when nothing runs any more.
func (w *world) checkConverged(ctx context.Context) {
	var live []*process
	for _, s := range w.svcs {
		var owners []*process
		for _, p := range s.living() {
			if p.serving.Load() && p.valid() {
				owners = append(owners, p)
			}
		}
		if len(owners) != 1 {
			w.violation("service %d: %d owners serve %v after the faults stopped", s.id, len(owners), calm)
			return
		}
		live = append(live, owners[0])
	}
	c := &s3client{w: w}
	c.rnd = newRand(w.seed)
	for key := range allKeys {
		c.get(key)
	}
	for range 4 {
		c.list()
	}
	w.site.skew.Store(int64(25 * time.Hour)) // guards of writes that were given up have expired
	if err := w.collect(ctx, live); err != nil {
		w.violation("collect: %v", err)
		return
	}
	for key := range allKeys {
		c.get(key) // nothing was collected that is in use
	}
	for _, p := range live {
		if err := p.engine.Check(ctx); err != nil {
			w.violation("%v: check: %v", p, err)
		}
	}
	for _, p := range live {
		if p.objects != nil {
			w.site.stored += p.objects.Stats().Objects
		}
	}
	w.site.converged = true
}

// collect expires guards, empties the garbage queues and searches for orphans.
func (w *world) collect(ctx context.Context, live []*process) (err error) {
	for range 3 { // what one round expands, the next one deletes
		for _, p := range live {
			if p.names != nil {
				err = errors.Join(err, p.names.CollectNow(ctx))
			}
		}
		if !w.sleep(2 * garbageDelay) {
			return nil
		}
	}
	if !w.sleep(2 * orphanAge) {
		return nil
	}
	for _, p := range live {
		if p.objects != nil {
			r, e := p.objects.FreeOrphans(ctx, false)
			w.n.orphans.Add(r.Freed)
			err = errors.Join(err, e, p.objects.Checkpoint(ctx))
		}
	}
	return err
}

// fsck checks the volume as it is after a power cut at the end, when nothing runs any more, and compares what is stored with what is named.
func (w *world) fsck(ctx context.Context) {
	fs := w.storage.fs.CrashClone(memfs.Nothing)
	local := memfs.New()
	sum, err := fsck.Run(ctx, fsck.Options{FS: fs, Volume: w.site.volume, Payloads: true, OrphanAge: time.Millisecond,
		Own: func(ctx context.Context, id cluster.ServiceID) (fsck.Owner, error) {
			return lease.Acquire(ctx, lease.Options{FS: fs, Dir: discovery.ServiceDir(id), Host: 99, Boot: 1, Local: local, Profile: lease.Profile{N: unit}, Clock: bubbleClock{w.start}, Takeover: true, Logger: quiet})
		},
		Objects: func() objserver.Options {
			return objserver.Options{SmallBytes: 2000, BufferBytes: 4 << 20, SegmentBytes: 256 << 10, LogBytes: 2 << 20, MemtableBytes: 48 << 10, CacheBytes: 64 << 10,
				Geometry: func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }}
		}},
		func(p fsck.Problem) { w.violation("fsck: service %v: %v", p.Service, p.Err) })
	if err != nil {
		w.violation("fsck: %v", err)
		return
	}
	if stored := w.site.stored; sum.Objects != sum.Links || stored != sum.Objects {
		w.violation("fsck: %d objects for %d links, and the running servers had %d: garbage does not converge", sum.Objects, sum.Links, stored)
	}
	w.logf("fsck: %s", fmt.Sprintf("%+v", sum))
}
