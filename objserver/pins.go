package objserver

import (
	"sync"

	"ostor/internal/cluster"
)

// pins knows which objects are being read, so that their blocks are not reused meanwhile.
//
// A reader pins the object before it looks its record up. Whoever made a change durable that takes blocks from an object calls after: readers that came before may know the
// blocks, so they are waited for; readers that come later look the record up later and cannot. Hence a stream of readers of one object does
// not hold its old blocks for ever.
//
// A reader that came before one change may look the record up after it, and so know blocks that only a later change takes: after waits for the readers of all
// groups, not just of the newest.
type pins struct {
	shards [64]pinShard
	pool   sync.Pool
}

type pinShard struct {
	mu sync.Mutex
	m  map[cluster.ObjectID]*pin // the newest group of each object that has one
	_  [48]byte                  // apart from its neighbours in cache
}

// pin is one group of readers of an object.
type pin struct {
	readers int
	waits   []*wait // of those who called after since the group began; not empty: closed, later readers make a new group
	older   *pin    // the next older group with readers; it is closed
}

// wait is one call of after.
type wait struct {
	groups int // that have readers still; guarded by the shard's mu
	fn     func()
}

func newPins() *pins {
	p := &pins{}
	p.pool.New = func() any { return new(pin) }
	for i := range p.shards {
		p.shards[i].m = make(map[cluster.ObjectID]*pin)
	}
	return p
}

func (p *pins) shard(id cluster.ObjectID) *pinShard { return &p.shards[id[15]%64] }

func (p *pins) acquire(id cluster.ObjectID) *pin {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.m[id]
	if n == nil || len(n.waits) > 0 {
		newest := p.pool.Get().(*pin)
		newest.older = n
		n = newest
		s.m[id] = n
	}
	n.readers++
	return n
}

func (p *pins) release(id cluster.ObjectID, n *pin) {
	s := p.shard(id)
	s.mu.Lock()
	n.readers--
	if n.readers > 0 {
		s.mu.Unlock()
		return
	}
	s.unlink(id, n)
	var due []*wait
	for _, w := range n.waits {
		if w.groups--; w.groups == 0 {
			due = append(due, w)
		}
	}
	s.mu.Unlock()
	*n = pin{}
	p.pool.Put(n)
	for _, w := range due {
		w.fn()
	}
}

// unlink takes a group without readers out of the list of its object. mu must be held.
func (s *pinShard) unlink(id cluster.ObjectID, n *pin) {
	newest := s.m[id]
	if newest != n {
		for newest.older != n {
			newest = newest.older
		}
		newest.older = n.older
	} else if n.older != nil {
		s.m[id] = n.older
	} else {
		delete(s.m, id)
	}
}

// after calls fn once every reader that has pinned the object by now is gone, at once when there is none.
func (p *pins) after(id cluster.ObjectID, fn func()) {
	s := p.shard(id)
	s.mu.Lock()
	n := s.m[id]
	if n == nil {
		s.mu.Unlock()
		fn()
		return
	}
	for w := (&wait{fn: fn}); n != nil; n = n.older {
		n.waits = append(n.waits, w)
		w.groups++
	}
	s.mu.Unlock()
}

// count returns the number of objects that are being read.
func (p *pins) count() (n int) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}
