// Package fsck verifies and repairs the services of a volume together, offline: it owns them all meanwhile, so nothing else runs.
//
// What it verifies: every invariant of each server's files (each live block belongs to one object, masks agree with the object tree, tables agree with each other); that every
// name has its bytes, of its size, and no two names the same; that no object older than a guard lasts is without a name. What [Options.Repair] changes is listed there.
//
// Opening a service recovers it as a start does, and gives it a new generation; nothing else is written without Repair.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/nameserver"
	"ostor/objserver"
)

// Owner is the right to a service, as lease.Lease gives it.
type Owner interface {
	store.Owner
	Release(ctx context.Context) error // leaves a clean end
	Close() error
}

// Options say what is checked and how.
type Options struct {
	FS     fsbackend.FS
	Volume discovery.Volume
	Own    func(ctx context.Context, id cluster.ServiceID) (Owner, error) // its error names the service

	// Payloads also reads every byte of every object.
	Payloads bool
	// Repair writes region records anew from the object tree where they differ, and deletes objects without a name, of which at most 1000 and a tenth are believed.
	Repair bool
	// BelieveOrphans takes every object without a name for an orphan, however many there are.
	BelieveOrphans bool
	OrphanAge      time.Duration // objects younger than this may be without a name; 0 = 48 h

	// Rebuild makes the object trees of object servers that cannot be opened anew (rebuild.go). All name servers must be whole.
	Rebuild bool
	// Only are the object servers that Rebuild is about, whether they can be opened or not. Empty: those that cannot.
	Only []cluster.ServiceID
	// SkipUnreadable loses objects of which the file system cannot read a block, instead of ending a rebuild.
	SkipUnreadable bool
	// Rebuilt is told of each object tree that was made anew, before its lost objects are reported as problems. May be nil.
	Rebuilt func(cluster.ServiceID, objserver.RebuildReport)

	Objects func() objserver.Options // the rest of object servers' options, for tests; nil = defaults
	Logger  *slog.Logger             // nil = none
}

// Problem is one thing that is wrong, or was.
type Problem struct {
	Service  cluster.ServiceID
	Err      error
	Repaired bool
}

// Summary counts what was looked at.
type Summary struct {
	Services, Objects, Links int64
	Problems, Repaired       int64 // Repaired of Problems
	Orphans                  objserver.OrphanReport
}

// Run checks a volume and hands each problem to report. Its error is that of the check itself; what is wrong with the volume is a problem.
func Run(ctx context.Context, o Options, report func(Problem)) (s Summary, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &run{o: o, report: report, objects: map[cluster.ServiceID]*object{}, names: map[cluster.ServiceID]*name{}}
	defer func() {
		r.sum.Services = int64(len(r.names) + len(r.objects))
		err = errors.Join(err, r.close(ctx))
		s = r.sum
	}()
	for _, step := range []func(context.Context) error{r.openNames, r.openObjects, r.servers, r.links, r.orphans} {
		if err := step(ctx); err != nil {
			return r.sum, err
		}
	}
	return r.sum, nil
}

type run struct {
	o       Options
	report  func(Problem)
	sum     Summary
	objects map[cluster.ServiceID]*object
	names   map[cluster.ServiceID]*name
	missing bool                                             // a service could not be opened
	wanted  map[cluster.ServiceID]map[cluster.ObjectID]int64 // for rebuilds: what name servers refer to
	lost    map[cluster.Link]error                           // objects that a rebuild did not find whole, and why
}

type object struct {
	*objserver.Server
	owner Owner
}

type name struct {
	*nameserver.Server
	owner Owner
}

func (r *run) problem(id cluster.ServiceID, repaired bool, err error) {
	r.sum.Problems++
	if repaired {
		r.sum.Repaired++
	}
	r.report(Problem{id, err, repaired})
}

// openNames takes and opens every name server. One that cannot be opened is a problem; one that somebody else owns ends the check.
func (r *run) openNames(ctx context.Context) error {
	for _, id := range r.o.Volume.Names {
		owner, err := r.o.Own(ctx, id)
		if err != nil {
			return err
		}
		srv, err := nameserver.Open(ctx, nameserver.Options{FS: r.o.FS, Dir: discovery.ServiceDir(id), Owner: owner, Objects: nobody{}, Logger: r.o.Logger})
		if err != nil {
			r.missing = true
			r.problem(id, false, fmt.Errorf("cannot be opened: %w", err))
			if err := owner.Close(); err != nil {
				return err
			}
			continue
		}
		r.names[id] = &name{srv, owner}
	}
	return nil
}

// openObjects is openNames for object servers, and rebuilds those that are to be.
func (r *run) openObjects(ctx context.Context) error {
	if err := r.checkOnly(); err != nil {
		return err
	}
	for _, id := range r.o.Volume.Objects() {
		if r.o.Rebuild && slices.Contains(r.o.Only, id) {
			if err := r.rebuild(ctx, id); err != nil {
				return err
			}
		}
		if err := r.openObject(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) objectOptions(id cluster.ServiceID, owner Owner) objserver.Options {
	var opts objserver.Options
	if r.o.Objects != nil {
		opts = r.o.Objects()
	}
	opts.FS, opts.Dir, opts.Owner, opts.ID, opts.Logger = r.o.FS, discovery.ServiceDir(id), owner, id, r.o.Logger
	opts.JanitorEvery, opts.ScrubEvery, opts.OrphanEvery, opts.OrphanAge = -1, -1, -1, r.o.OrphanAge
	opts.Names = r.allNames
	if r.o.BelieveOrphans {
		opts.OrphanFew = math.MaxInt
	}
	return opts
}

func (r *run) openObject(ctx context.Context, id cluster.ServiceID) error {
	srv, owner, err := r.tryObject(ctx, id)
	if err != nil {
		return err
	}
	if srv == nil { // reported, or rebuilt
		return nil
	}
	r.objects[id] = &object{srv, owner}
	return nil
}

// tryObject opens an object server, once more after a rebuild. It returns none when that does not help, which is a problem.
func (r *run) tryObject(ctx context.Context, id cluster.ServiceID) (*objserver.Server, Owner, error) {
	for again := r.o.Rebuild && len(r.o.Only) == 0; ; again = false {
		owner, err := r.o.Own(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		srv, err := objserver.Open(ctx, r.objectOptions(id, owner))
		if err == nil {
			return srv, owner, nil
		}
		if cerr := owner.Close(); cerr != nil {
			return nil, nil, cerr
		}
		if !again || !objserver.NoTree(err) {
			r.missing = true
			r.problem(id, false, fmt.Errorf("cannot be opened: %w", err))
			return nil, nil, ctx.Err()
		}
		if err := r.rebuild(ctx, id); err != nil {
			return nil, nil, err
		}
	}
}

// nobody keeps name servers from collecting garbage during the check.
type nobody struct{}

func (nobody) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	return nil, fault.New(fault.Unavailable, "object server %s is being checked", id)
}

func (r *run) allNames() (all []cluster.NameServer, err error) {
	for _, id := range r.o.Volume.Names {
		if n := r.names[id]; n != nil {
			all = append(all, n.Server)
		}
	}
	if len(all) < len(r.o.Volume.Names) {
		return nil, fault.New(fault.Unavailable, "not every name server could be opened")
	}
	return all, nil
}

// servers verifies each service by itself, and repairs object servers.
func (r *run) servers(ctx context.Context) error {
	for _, id := range r.o.Volume.Objects() {
		s := r.objects[id]
		if s == nil {
			continue
		}
		err := r.checkObject(ctx, s)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err == nil {
			continue
		}
		fixed := 0
		if r.o.Repair {
			var rerr error
			if fixed, rerr = s.RepairRegions(ctx); rerr != nil {
				r.problem(id, false, rerr)
			}
		}
		if fixed == 0 {
			r.each(id, false, err)
			continue
		}
		if err := r.closeObject(ctx, id); err != nil { // what it has in memory is from before
			return err
		}
		if err := r.openObject(ctx, id); err != nil {
			return err
		}
		again := fault.New(fault.Unavailable, "cannot be opened after the repair")
		if s = r.objects[id]; s != nil {
			again = r.checkObject(ctx, s)
		}
		r.each(id, again == nil, err)
	}
	for _, id := range r.o.Volume.Names {
		if n := r.names[id]; n != nil {
			if err := n.Check(ctx); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.each(id, false, err)
			}
		}
	}
	return nil
}

func (r *run) checkObject(ctx context.Context, s *object) error {
	if r.o.Payloads {
		return s.Scrub(ctx)
	}
	return s.Check(ctx)
}

// each makes a problem of every error that was joined.
func (r *run) each(id cluster.ServiceID, repaired bool, err error) {
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only a join itself
		for _, e := range j.Unwrap() {
			r.each(id, repaired, e)
		}
		return
	}
	r.problem(id, repaired, err)
}

// links sees that every name has its bytes, and its own.
func (r *run) links(ctx context.Context) error {
	held := map[cluster.Link]struct{}{}
	for _, id := range r.o.Volume.Names {
		n := r.names[id]
		if n == nil {
			continue
		}
		err := n.EachLink(ctx, func(server cluster.ServiceID, h cluster.LinkHolder, size int64) error {
			r.sum.Links++
			where := fmt.Sprintf("bucket %s, key %q, version %s, part %d", h.Bucket, h.Key, h.Version, h.Part)
			l := cluster.Link{Server: server, Object: h.Object}
			if _, twice := held[l]; twice {
				r.problem(id, false, fault.New(fault.Corrupt, "%s: object %s of %s is another name's, too", where, h.Object, server))
			}
			held[l] = struct{}{}
			s := r.objects[server]
			if s == nil {
				if !r.missing {
					r.problem(id, false, fault.New(fault.Corrupt, "%s: its bytes are on %s, which is not in the volume", where, server))
				}
				return nil
			}
			info, err := s.StatObject(ctx, h.Object)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fault.NotFound) && r.lost[l] != nil:
				r.problem(id, false, fault.Wrap(fault.Corrupt, r.lost[l], "%s: its bytes are lost: object %s on %s is not whole", where, h.Object, server))
			case errors.Is(err, fault.NotFound):
				r.problem(id, false, fault.New(fault.Corrupt, "%s: its bytes are lost: no object %s on %s", where, h.Object, server))
			case err != nil:
				r.problem(id, false, fmt.Errorf("%s: object %s on %s: %w", where, h.Object, server, err))
			case info.Size != size:
				r.problem(id, false, fault.New(fault.Corrupt, "%s: object %s on %s has %d bytes, not %d", where, h.Object, server, info.Size, size))
			}
			return nil
		})
		if errors.Is(err, fault.Corrupt) { // what comes before the damage was checked, and what other name servers have
			r.problem(id, false, fmt.Errorf("names cannot be listed beyond this: %w", err))
			continue
		}
		if err != nil {
			return fmt.Errorf("service %s: %w", id, err)
		}
	}
	return nil
}

// orphans looks for objects without a name.
func (r *run) orphans(ctx context.Context) error {
	for _, id := range r.o.Volume.Objects() {
		s := r.objects[id]
		if s == nil {
			continue
		}
		r.sum.Objects += s.Stats().Objects
		got, err := s.FreeOrphans(ctx, !r.o.Repair)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.sum.Orphans.Examined += got.Examined
		r.sum.Orphans.Freed += got.Freed
		r.sum.Orphans.FreedBytes += got.FreedBytes
		r.sum.Orphans.Kept += got.Kept
		if err != nil {
			r.problem(id, false, err)
		} else if got.Kept > 0 {
			r.problem(id, false, fault.New(fault.Corrupt, "%d objects have no name", got.Kept))
		}
		if got.Freed > 0 {
			r.problem(id, true, fault.New(fault.Corrupt, "%d objects of %d bytes had no name", got.Freed, got.FreedBytes))
		}
	}
	return nil
}

// closeObject ends an object server.
func (r *run) closeObject(ctx context.Context, id cluster.ServiceID) error {
	s := r.objects[id]
	delete(r.objects, id)
	return end(ctx, id, s.Server, s.owner)
}

// close ends every service as a stop does.
func (r *run) close(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	for id, n := range r.names {
		err = errors.Join(err, end(ctx, id, n.Server, n.owner))
	}
	for id := range r.objects {
		err = errors.Join(err, r.closeObject(ctx, id))
	}
	return err
}

func end(ctx context.Context, id cluster.ServiceID, s interface{ Close(context.Context) error }, owner Owner) error {
	err := s.Close(ctx)
	if err != nil {
		owner.Fail(err)
	} else {
		err = owner.Release(ctx)
	}
	if err = errors.Join(err, owner.Close()); err != nil {
		return fmt.Errorf("close service %s: %w", id, err)
	}
	return nil
}
