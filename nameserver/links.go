package nameserver

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// doubts holds objects whose deletion as orphans is being decided: guards for them are refused. One batch per object server.
//
// Why that makes the verdict of UnknownLinks final: a link gets into the tables only by a guard, moves from there to a version or part, from there to the garbage queue,
// always in one batch, and from the queue to nowhere. When no new guard can come, a link that is nowhere in one state is nowhere in all later ones.
type doubts struct {
	busy atomic.Int32 // batches: most guards need not look

	mu      sync.Mutex
	batches map[cluster.ServiceID]*doubt
}

type doubt struct {
	ids   []cluster.ObjectID // ascending
	until time.Time          // zero: being decided
}

func compareIDs(a, b cluster.ObjectID) int { return bytes.Compare(a[:], b[:]) }

// begin puts ids, ascending, in doubt, instead of those of an earlier call for the same server. end keeps those that were unknown in doubt for some time, and
// reports false when another call for the server took their place meanwhile.
func (x *doubts) begin(server cluster.ServiceID, ids []cluster.ObjectID) (end func(unknown []cluster.ObjectID) bool) {
	d := &doubt{ids: ids}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.batches == nil {
		x.batches = make(map[cluster.ServiceID]*doubt)
	}
	for id, old := range x.batches {
		if !old.until.IsZero() && time.Now().After(old.until) {
			delete(x.batches, id)
		}
	}
	x.batches[server] = d
	x.busy.Store(int32(len(x.batches)))
	return func(unknown []cluster.ObjectID) bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.batches[server] != d {
			return false
		}
		if d.ids, d.until = unknown, time.Now().Add(cluster.UnknownFor); len(unknown) == 0 {
			delete(x.batches, server)
		}
		x.busy.Store(int32(len(x.batches)))
		return true
	}
}

func (x *doubts) has(l cluster.Link) bool {
	if x.busy.Load() == 0 {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.batches[l.Server]
	if d == nil || !d.until.IsZero() && time.Now().After(d.until) {
		return false
	}
	_, ok := slices.BinarySearchFunc(d.ids, l.Object, compareIDs)
	return ok
}

// UnknownLinks implements [cluster.NameServer].
func (s *Server) UnknownLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.ObjectID, error) {
	if err := checkObjectsOf(server, ids, cluster.MaxUnknownLinks); err != nil {
		return nil, err
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := s.untilClose(ctx)
	defer cancel()
	end := s.doubts.begin(server, ids)
	unknown, err := s.unknownOf(ctx, server, ids)
	if err != nil {
		end(nil)
		return nil, err
	}
	if !end(slices.Clone(unknown)) { // the reply is the caller's
		return nil, fault.New(fault.Stale, "links of object server %s are being looked for by somebody else", server)
	}
	return unknown, nil
}

// unknownOf returns those of ids, ascending and in doubt, that nothing refers to.
func (s *Server) unknownOf(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) (unknown []cluster.ObjectID, err error) {
	// Guards whose turn came before the doubts must be in the state that is read: they do not wait for the disk, this does.
	if err := s.store.Update(ctx, func(*store.Tx) error { return nil }); err != nil {
		return nil, err
	}
	known := make([]bool, len(ids))
	err = s.view(func(snap *store.Snapshot) error {
		return eachLink(ctx, snap, server, func(id cluster.ObjectID) {
			if i, ok := slices.BinarySearchFunc(ids, id, compareIDs); ok {
				known[i] = true
			}
		})
	})
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if !known[i] {
			unknown = append(unknown, id)
		}
	}
	return unknown, nil
}

func checkObjectsOf(server cluster.ServiceID, ids []cluster.ObjectID, limit int) error {
	if server.Type() != cluster.TypeObject || len(ids) > limit {
		return fault.New(fault.Invalid, "%d objects of service %s: want at most %d of an object server", len(ids), server, limit)
	}
	return nil
}

// checkLinksEvery is how many entries are read between two looks at the context.
const checkLinksEvery = 1024

// eachLink calls fn for every object of a server that anything refers to, in the state that r shows: one that is found twice is given twice. A value that does not decode ends it with
// fault.Corrupt: it may refer to anything.
func eachLink(ctx context.Context, r reader, server cluster.ServiceID, fn func(cluster.ObjectID)) error {
	n := 0
	going := func() error {
		if n++; n%checkLinksEvery == 0 {
			return ctx.Err()
		}
		return nil
	}
	if err := scan(r, guardKey(cluster.Link{Server: server})[:9], func(k, _ []byte) error {
		l, ok := linkOfGuardKey(k)
		if !ok {
			return errShort
		}
		fn(l.Object)
		return going()
	}); err != nil {
		return err
	}
	if err := scan(r, garbagePrefix(server), func(_, v []byte) error {
		g, err := decodeGarbage(v)
		if err != nil {
			return err
		}
		fn(g.id)
		return going()
	}); err != nil {
		return err
	}
	for _, tag := range [...]byte{tagHead, tagVersion, tagTable, tagPart} {
		if err := scan(r, []byte{tag}, func(_, v []byte) error {
			if err := linksOfValue(tag, v, func(l cluster.Link) {
				if l.Server == server {
					fn(l.Object)
				}
			}); err != nil {
				return err
			}
			return going()
		}); err != nil {
			return err
		}
	}
	return nil
}

// FindLinks implements [cluster.NameServer].
func (s *Server) FindLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) (found []cluster.LinkHolder, err error) {
	if err := checkObjectsOf(server, ids, cluster.MaxFindLinks); err != nil {
		return nil, err
	}
	wanted := make(map[cluster.ObjectID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	ctx, cancel := s.untilClose(ctx)
	defer cancel()
	n := 0
	err = s.view(func(snap *store.Snapshot) error {
		for _, tag := range [...]byte{tagHead, tagVersion, tagTable, tagPart} {
			err := scan(snap, []byte{tag}, func(k, v []byte) error {
				if n++; n%checkLinksEvery == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				hit := false
				err := linksOfValue(tag, v, func(l cluster.Link) { hit = hit || l.Server == server && wanted[l.Object] })
				if err != nil {
					return nil //nolint:nilerr // Check reports it; the others' names are wanted all the more
				}
				if hit {
					found, err = appendHolders(found, tag, k, v, server, wanted)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// appendHolders adds who holds the wanted objects in one value.
func appendHolders(found []cluster.LinkHolder, tag byte, k, v []byte, server cluster.ServiceID, wanted map[cluster.ObjectID]bool) ([]cluster.LinkHolder, error) {
	bucket, key, _, ok := splitName(k)
	if !ok {
		return found, errShort
	}
	add := func(l cluster.Link, version cluster.VersionID, part int32) {
		if l.Server == server && wanted[l.Object] {
			found = append(found, cluster.LinkHolder{Object: l.Object, Bucket: bucket, Key: key, Version: version, Part: part})
		}
	}
	var parts []cluster.Part
	switch tag {
	case tagHead:
		h, err := decodeHead(v)
		if err != nil {
			return found, err
		}
		add(h.entry.content(), h.entry.version(), 0)
	case tagVersion:
		e, err := rawEntryOf(v)
		if err != nil {
			return found, err
		}
		add(e.content(), e.version(), 0)
	case tagTable:
		var err error
		if parts, err = decodeChunk(v, nil); err != nil {
			return found, err
		}
	case tagPart:
		p, err := decodePart(v)
		if err != nil {
			return found, err
		}
		parts = []cluster.Part{p}
	}
	for i := range parts {
		add(parts[i].Content, cluster.VersionID{}, parts[i].Number)
	}
	return found, nil
}

// untilClose makes a long walk end when the server is closed, which waits for it.
func (s *Server) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.run, cancel)
	return ctx, func() { stop(); cancel() }
}
