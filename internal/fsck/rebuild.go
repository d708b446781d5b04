package fsck

import (
	"context"
	"fmt"
	"slices"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/objserver"
)

// checkOnly returns fault.Invalid when a rebuild of something else than an object server of the volume is asked for.
func (r *run) checkOnly() error {
	for _, id := range r.o.Only {
		if !slices.Contains(r.o.Volume.Objects(), id) {
			return fault.New(fault.Invalid, "service %s is not an object server of volume %s", id, r.o.Volume.ID)
		}
	}
	return nil
}

// rebuild makes the object tree of an object server anew. What name servers refer to decides which objects are made, so all of them must be whole: an entry that
// cannot be read would cost the bytes of its object, too.
func (r *run) rebuild(ctx context.Context, id cluster.ServiceID) error {
	if err := r.gather(ctx); err != nil {
		return fmt.Errorf("rebuild of %s: %w", id, err)
	}
	owner, err := r.o.Own(ctx, id)
	if err != nil {
		return err
	}
	report, err := objserver.Rebuild(ctx, objserver.RebuildOptions{Options: r.objectOptions(id, owner), Wanted: r.wanted[id], SkipUnreadable: r.o.SkipUnreadable})
	if err := end(ctx, id, ended{err}, owner); err != nil {
		return fmt.Errorf("rebuild of %s: %w", id, err)
	}
	for _, l := range report.Lost {
		r.lost[cluster.Link{Server: id, Object: l.Object}] = l.Err
	}
	if r.o.Rebuilt != nil {
		r.o.Rebuilt(id, report)
	}
	return nil
}

// ended stands for a server that has been closed.
type ended struct{ err error }

func (e ended) Close(context.Context) error { return e.err }

// gather asks all name servers what they refer to, once.
func (r *run) gather(ctx context.Context) error {
	if r.wanted != nil {
		return nil
	}
	wanted := map[cluster.ServiceID]map[cluster.ObjectID]int64{}
	add := func(l cluster.Link, size int64) {
		m := wanted[l.Server]
		if m == nil {
			m = map[cluster.ObjectID]int64{}
			wanted[l.Server] = m
		}
		m[l.Object] = max(m[l.Object], size)
	}
	for _, id := range r.o.Volume.Names {
		n := r.names[id]
		if n == nil {
			return fault.New(fault.Unavailable, "name server %s cannot be opened, and without all of them nobody knows which objects are wanted: restore it first", id)
		}
		if err := n.Check(ctx); err != nil {
			return fault.Wrap(fault.KindOf(err), err, "name server %s is damaged, and what it does not tell would be lost: restore it first", id)
		}
		err := n.EachLink(ctx, func(server cluster.ServiceID, h cluster.LinkHolder, size int64) error {
			add(cluster.Link{Server: server, Object: h.Object}, size)
			return nil
		})
		if err == nil {
			err = n.EachGuarded(ctx, func(l cluster.Link) error { add(l, 0); return nil })
		}
		if err != nil {
			return fmt.Errorf("name server %s: %w", id, err)
		}
	}
	r.wanted, r.lost = wanted, map[cluster.Link]error{}
	return nil
}
