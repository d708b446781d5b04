package nameserver

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	maxGuards   = 1 << 20 // running writes; more are told to come back
	expireBatch = 512     // guards per batch
)

// guardIndex orders guards by deadline. An entry whose guard has ended in the store is harmless: the store is looked at when its time comes. A guard of the store
// always has an entry: set is called within the transaction that puts the guard, and remove, after one that ended it, takes only the entry that this one saw: a repeated
// Guard may have put the guard again since.
type guardIndex struct {
	mu   sync.Mutex
	heap guardHeap
	at   map[cluster.Link]*guardItem
}

// guardItem is an entry; its link and deadline are never changed.
type guardItem struct {
	link     cluster.Link
	deadline int64 // milliseconds since 1970
	index    int   // in the heap
}

type guardHeap []*guardItem

func (h guardHeap) Len() int           { return len(h) }
func (h guardHeap) Less(i, j int) bool { return h[i].deadline < h[j].deadline }
func (h guardHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *guardHeap) Push(x any) {
	it := x.(*guardItem)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *guardHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

func (x *guardIndex) init() { x.at = make(map[cluster.Link]*guardItem) }

// set adds a guard or moves its deadline, and reports whether it is now the first to expire.
func (x *guardIndex) set(l cluster.Link, deadline int64) (first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	it := &guardItem{link: l, deadline: deadline}
	if old := x.at[l]; old == nil {
		heap.Push(&x.heap, it)
	} else {
		it.index = old.index
		x.heap[it.index] = it
		heap.Fix(&x.heap, it.index)
	}
	x.at[l] = it
	return it.index == 0
}

// get returns the entry of a link, nil when there is none.
func (x *guardIndex) get(l cluster.Link) *guardItem {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.at[l]
}

// remove takes entries out, unless they were set anew since get. nil stands for none.
func (x *guardIndex) remove(items ...*guardItem) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, it := range items {
		if it != nil && x.at[it.link] == it {
			heap.Remove(&x.heap, it.index)
			delete(x.at, it.link)
		}
	}
}

func (x *guardIndex) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.heap)
}

// first returns the earliest deadline.
func (x *guardIndex) first() (deadline int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.heap) == 0 {
		return 0, false
	}
	return x.heap[0].deadline, true
}

// due returns up to max links whose deadline is at or before now; they stay in the index. Not sorted: the heap's order.
func (x *guardIndex) due(now int64, max int) (ls []cluster.Link) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var walk func(i int)
	walk = func(i int) {
		if i < len(x.heap) && len(ls) < max && x.heap[i].deadline <= now {
			ls = append(ls, x.heap[i].link)
			walk(2*i + 1)
			walk(2*i + 2)
		}
	}
	walk(0)
	return ls
}

// Guard implements [cluster.NameServer]. It does not wait for the disk (docs/decisions/0002-lazy-guards.md).
func (s *Server) Guard(ctx context.Context, g cluster.Guard) error {
	if err := checkName(g.Bucket, g.Key); err != nil {
		return err
	}
	if g.Content.Server == 0 || g.Content.Object.IsZero() {
		return fault.New(fault.Invalid, "guard without a link")
	}
	if g.Timeout <= 0 || g.Timeout > maxGuardTime {
		return fault.New(fault.Invalid, "guard with a timeout of %s: want more than 0 and at most %s", g.Timeout, maxGuardTime)
	}
	if s.guards.len() >= maxGuards {
		return fault.New(fault.Unavailable, "%d writes are running", maxGuards)
	}
	rec := guard{deadline: s.now() + max(1, g.Timeout.Milliseconds()), bucket: g.Bucket, key: g.Key}
	value, key := rec.encode(), guardKey(g.Content)
	err := s.store.UpdateLazy(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, g.Bucket); err != nil {
			return err
		}
		if s.gc.isPending(g.Content) || s.doubts.has(g.Content) {
			return fault.New(fault.GuardGone, "object %s was given up", g.Content.Object)
		}
		tx.Put(key, value)
		// Before the batch is in the log: an entry too many is harmless, one too few is not.
		if s.guards.set(g.Content, rec.deadline) {
			s.wakeExpiry()
		}
		return nil
	})
	return err
}

func (s *Server) wakeExpiry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// useGuard ends the guard of content within tx, and returns its entry in the index, to be removed once tx is committed. It returns fault.GuardGone when there is none for this name.
func (s *Server) useGuard(tx *store.Tx, l cluster.Link, bucket cluster.BucketID, key string) (*guardItem, error) {
	k := guardKey(l)
	v, ok, err := tx.Get(k)
	if err != nil {
		return nil, err
	}
	if ok {
		g, err := decodeGuard(v)
		if err != nil {
			return nil, err
		}
		ok = g.bucket == bucket && g.key == key
	}
	if !ok {
		return nil, fault.New(fault.GuardGone, "object %s has no guard: it came too late", l.Object)
	}
	tx.Delete(k)
	return s.guards.get(l), nil
}

// DropGuard implements [cluster.NameServer].
func (s *Server) DropGuard(ctx context.Context, links []cluster.Link) error {
	for len(links) > 0 {
		n := min(len(links), expireBatch)
		if err := s.giveUp(ctx, links[:n], nil); err != nil {
			return err
		}
		links = links[n:]
	}
	return nil
}

// giveUp ends the guards of links for which unless, which may be nil, does not object, and queues the links.
func (s *Server) giveUp(ctx context.Context, links []cluster.Link, unless func(guard) bool) error {
	var ended []*guardItem
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		tx.Frees()
		for _, l := range links {
			k := guardKey(l)
			v, ok, err := tx.Get(k)
			if err != nil {
				return err
			}
			if !ok {
				ended = append(ended, s.guards.get(l))
				continue
			}
			g, err := decodeGuard(v)
			if err != nil {
				return err
			}
			if unless != nil && unless(g) {
				s.guards.set(l, g.deadline)
				continue
			}
			tx.Delete(k)
			s.gc.addPending(l)
			s.enqueue(tx, l.Server, garbage{kind: garbageLink, origin: originGuard, due: s.now() + s.delay(), bucket: g.bucket, id: l.Object, key: g.key})
			ended = append(ended, s.guards.get(l))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.guards.remove(ended...)
	return nil
}

// expire moves guards past their deadline to the garbage queue.
func (s *Server) expire(ctx context.Context) {
	defer s.tasks.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if d, ok := s.guards.first(); ok {
			wait = min(wait, max(time.Millisecond, time.Duration(d-s.now())*time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			continue
		case <-timer.C:
		}
		if err := s.expireNow(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired guards stay for now", logkey.Error, err)
			timer.Reset(time.Second)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
	}
}

// expireNow handles the guards that are due.
func (s *Server) expireNow(ctx context.Context) error {
	for {
		now := s.now()
		links := s.guards.due(now, expireBatch)
		if len(links) == 0 {
			return nil
		}
		if err := s.giveUp(ctx, links, func(g guard) bool { return g.deadline > now }); err != nil {
			return err
		}
		s.counters.expired.Add(uint64(len(links)))
	}
}
