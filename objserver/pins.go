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
type pins struct {
	shards [64]pinShard
	pool   sync.Pool
}

type pinShard struct {
	mu sync.Mutex
	m  map[cluster.ObjectID]*pin
	_  [48]byte // apart from its neighbours in cache
}

// pin is one group of readers of an object.
type pin struct {
	readers int
	after   func() // called when the last reader left; set once the group is closed
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
	if n == nil {
		n = p.pool.Get().(*pin)
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
	if n.after == nil {
		delete(s.m, id) // an open group is in the map
	}
	fn := n.after
	s.mu.Unlock()
	n.after = nil
	p.pool.Put(n)
	if fn != nil {
		fn()
	}
}

// after calls fn once every reader that has pinned the object by now is gone, at once when there is none.
func (p *pins) after(id cluster.ObjectID, fn func()) {
	s := p.shard(id)
	s.mu.Lock()
	n := s.m[id]
	if n != nil {
		delete(s.m, id) // closed: later readers make a new group
		n.after = fn
	}
	s.mu.Unlock()
	if n == nil {
		fn()
	}
}

// count returns the number of objects with an open group of readers.
func (p *pins) count() (n int) {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}
