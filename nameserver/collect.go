package nameserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	collectBatch   = 1000 // links per call to an object server
	collectServers = 4    // object servers worked with at a time
	deleteTimeout  = 30 * time.Second
	idlePoll       = 5 * time.Second // between looks at an empty queue
)

// collect works through the garbage queue. It looks instead of being told: an entry is due a minute after it was made.
func (s *Server) collect(ctx context.Context) {
	defer s.tasks.Done()
	pause := time.Second
	if s.opts.GarbageDelay < time.Second {
		pause = 20 * time.Millisecond
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		n, err := s.collectDue(ctx, false)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("garbage stays queued for now", logkey.Error, err)
		}
		if n > 0 || s.opts.GarbageDelay < time.Second {
			timer.Reset(pause)
		} else {
			timer.Reset(idlePoll)
		}
	}
}

// CollectNow expires guards and collects everything that is due by the clock, without regard to the rest of servers that failed. For tests and administrators.
func (s *Server) CollectNow(ctx context.Context) error {
	if err := s.expireNow(ctx); err != nil {
		return err
	}
	_, err := s.collectDue(ctx, true)
	return err
}

// collectDue makes one pass over the queue and returns how many entries it finished. What fails stays queued; other servers' entries are worked on all the same.
func (s *Server) collectDue(ctx context.Context, all bool) (int, error) {
	s.gc.pass.Lock()
	defer s.gc.pass.Unlock()
	n, err := s.expandDue(ctx)
	if err != nil {
		return n, err
	}
	servers, err := s.garbageServers()
	if err != nil {
		return n, err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, collectServers)
	)
	for _, id := range servers {
		if !all && s.gc.resting(id, time.Now()) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			done, err := s.collectServer(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			n += done
			if err != nil {
				errs = append(errs, fmt.Errorf("nameserver: garbage of %s: %w", id, err))
			}
		})
	}
	wg.Wait()
	return n, errors.Join(errs...)
}

// garbageServers returns the servers that have entries in the queue, by one seek each.
func (s *Server) garbageServers() (ids []cluster.ServiceID, err error) {
	err = s.view(func(snap *store.Snapshot) error {
		it := snap.Iter(garbagePrefix(1), []byte{tagGarbage + 1})
		defer it.Close()
		for ok := it.Next(); ok; {
			id, valid := serverOfGarbageKey(it.Key())
			if !valid {
				return errShort
			}
			ids = append(ids, id)
			ok = id != 1<<64-1 && seekNext(it, garbagePrefix(id+1))
		}
		return it.Err()
	})
	return ids, err
}

// queued is an entry of the queue with its key.
type queued struct {
	qkey []byte // in the store
	garbage
	inUse bool
}

// dueOf returns up to max entries of a server's queue that are due, the oldest first.
func (s *Server) dueOf(r reader, server cluster.ServiceID, max int) (due []queued, err error) {
	now := s.now()
	prefix := garbagePrefix(server)
	it := r.Iter(prefix, successor(prefix))
	defer it.Close()
	for len(due) < max && it.Next() {
		g, err := decodeGarbage(it.Value())
		if err != nil {
			s.log.Error("garbage entry is left alone", logkey.Error, err)
			continue
		}
		if !s.ready(g.due, now) {
			break // entries are nearly in the order of their time
		}
		due = append(due, queued{qkey: bytes.Clone(it.Key()), garbage: g})
	}
	return due, it.Err()
}

// collectServer deletes what is due on one object server.
func (s *Server) collectServer(ctx context.Context, server cluster.ServiceID) (n int, err error) {
	for {
		var due []queued
		// View returns nil only if the owner's deadline has not passed: and the removal of every name that it saw is durable.
		err := s.view(func(snap *store.Snapshot) (err error) {
			if due, err = s.dueOf(snap, server, collectBatch); err != nil {
				return err
			}
			return s.findUses(snap, server, due)
		})
		if err != nil || len(due) == 0 {
			return n, err
		}
		if err := s.deleteObjects(ctx, server, due); err != nil {
			s.counters.refused.Add(1)
			s.gc.failed(server, time.Now())
			return n, err
		}
		s.gc.answered(server)
		err = s.store.Update(ctx, func(tx *store.Tx) error {
			tx.Frees()
			for i := range due {
				tx.Delete(due[i].qkey)
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		for i := range due {
			if due[i].origin == originGuard {
				s.gc.removePending(due[i].link(server))
			}
		}
		n += len(due)
		if len(due) < collectBatch {
			return n, nil
		}
	}
}

func (q *queued) link(server cluster.ServiceID) cluster.Link {
	return cluster.Link{Server: server, Object: q.id}
}

func (s *Server) deleteObjects(ctx context.Context, server cluster.ServiceID, due []queued) error {
	ids := make([]cluster.ObjectID, 0, len(due))
	for i := range due {
		if due[i].inUse {
			s.counters.spared.Add(1)
			s.log.Warn("queued object is in use and kept", logkey.Object, cluster.ObjectID(due[i].id).String(), logkey.Bucket, due[i].bucket.String())
			continue
		}
		ids = append(ids, due[i].id)
	}
	if len(ids) == 0 {
		return nil
	}
	os, err := s.opts.Objects.ObjectServer(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	if err := os.DeleteObjects(ctx, ids); err != nil {
		return err
	}
	s.counters.collected.Add(uint64(len(ids)))
	return nil
}

// findUses marks the entries whose link something refers to in the state that r shows. Whatever refers to it queues it again when it goes.
func (s *Server) findUses(r reader, server cluster.ServiceID, due []queued) error {
	type nameOf struct {
		bucket cluster.BucketID
		key    string
	}
	var suspects map[nameOf]map[cluster.ObjectID][]*queued // whose name must be searched as a whole
	for i := range due {
		q := &due[i]
		if q.kind != garbageLink {
			return fault.New(fault.Corrupt, "entry of kind %d in the queue of server %s", q.kind, server)
		}
		l := q.link(server)
		_, guarded, err := r.Get(guardKey(l))
		if err != nil {
			return err
		}
		if q.inUse = guarded; guarded {
			continue
		}
		if q.origin != originVersion {
			if suspects == nil {
				suspects = make(map[nameOf]map[cluster.ObjectID][]*queued)
			}
			n := nameOf{q.bucket, q.key}
			if suspects[n] == nil {
				suspects[n] = make(map[cluster.ObjectID][]*queued)
			}
			suspects[n][q.id] = append(suspects[n][q.id], q)
			continue
		}
		if q.inUse, err = versionHolds(r, q.bucket, q.key, q.version, func(e rawEntry) bool { return e.content() == l }); err != nil {
			return err
		}
	}
	for n, byID := range suspects {
		err := linksOfName(r, n.bucket, n.key, func(l cluster.Link) {
			if l.Server == server {
				for _, q := range byID[l.Object] {
					q.inUse = true
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// versionHolds reports whether the current version, or the one that was replaced, has a property.
func versionHolds(r reader, bucket cluster.BucketID, key string, v cluster.VersionID, has func(rawEntry) bool) (bool, error) {
	h, exists, err := getHead(r, nameKey(tagHead, bucket, key, 0))
	if err != nil || !exists {
		return false, err
	}
	if has(h.entry) {
		return true, nil
	}
	b, ok, err := r.Get(versionKey(bucket, key, v))
	if err != nil || !ok {
		return false, err
	}
	e, err := rawEntryOf(b)
	return err == nil && has(e), err
}

// linksOfName calls fn for every link of a key: of its versions, its tables and its uploads' parts.
func linksOfName(r reader, bucket cluster.BucketID, key string, fn func(cluster.Link)) error {
	h, exists, err := getHead(r, nameKey(tagHead, bucket, key, 0))
	if err != nil {
		return err
	}
	if exists {
		fn(h.entry.content())
	}
	for _, tag := range [...]byte{tagVersion, tagTable, tagPart} {
		err := scan(r, nameKey(tag, bucket, key, 0), func(_, v []byte) error { return linksOfValue(tag, v, fn) })
		if err != nil {
			return err
		}
	}
	return nil
}

// linksOfValue calls fn for every link, zero ones too, in a value of one of the tables by name.
func linksOfValue(tag byte, v []byte, fn func(cluster.Link)) error {
	switch tag {
	case tagHead:
		h, err := decodeHead(v)
		if err != nil {
			return err
		}
		fn(h.entry.content())
	case tagVersion:
		e, err := rawEntryOf(v)
		if err != nil {
			return err
		}
		fn(e.content())
	case tagTable:
		parts, err := decodeChunk(v, nil)
		if err != nil {
			return err
		}
		for i := range parts {
			fn(parts[i].Content)
		}
	case tagPart:
		p, err := decodePart(v)
		if err != nil {
			return err
		}
		fn(p.Content)
	}
	return nil
}
