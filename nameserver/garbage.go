package nameserver

import (
	"sync"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/patient"
)

// enqueue adds an entry to the garbage queue of a server; server 0 is for entries that stand for many links.
func (s *Server) enqueue(tx *store.Tx, server cluster.ServiceID, g garbage) {
	tx.Put(garbageKey(server, s.nextVersion()), g.encode())
	s.counters.queued.Add(1)
}

// delay returns GarbageDelay in milliseconds.
func (s *Server) delay() int64 { return s.opts.GarbageDelay.Milliseconds() }

// ready reports whether an entry may be collected. One that is due later than any could be was queued before the clock was set back: it must not wait for years.
func (s *Server) ready(due, now int64) bool {
	return due <= now || due > now+s.delay()+time.Hour.Milliseconds()
}

// collector is the state of garbage collection.
type collector struct {
	pass patient.Mutex // held by the one pass that runs; taken before everything else

	mu      sync.Mutex
	pending map[cluster.Link]struct{}      // given up with their guards in this generation, and queued: a late guard must not revive them
	backoff map[cluster.ServiceID]*backoff // of servers that failed
}

type backoff struct {
	wait  time.Duration
	until time.Time
}

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute
)

func (c *collector) init() {
	c.pending = make(map[cluster.Link]struct{})
	c.backoff = make(map[cluster.ServiceID]*backoff)
}

func (c *collector) addPending(l cluster.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[l] = struct{}{}
}

func (c *collector) removePending(l cluster.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, l)
}

func (c *collector) isPending(l cluster.Link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.pending[l]
	return ok
}

// resting reports whether a server failed so recently that it is left alone.
func (c *collector) resting(id cluster.ServiceID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.backoff[id]
	return b != nil && now.Before(b.until)
}

// failed doubles the rest of a server; answered ends it.
func (c *collector) failed(id cluster.ServiceID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.backoff[id]
	if b == nil {
		b = &backoff{wait: firstBackoff / 2}
		c.backoff[id] = b
	}
	b.wait = min(2*b.wait, maxBackoff)
	b.until = now.Add(b.wait)
}

func (c *collector) answered(id cluster.ServiceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.backoff, id)
}
