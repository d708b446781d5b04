package btree

import "sync"

const cacheShards = 16

// cache holds verified pages up to a budget of bytes, in shards that evict by CLOCK. A page is found by its address and checksum
// together, so a page that was rewritten since is not found, and no invalidation is needed.
type cache struct {
	shards [cacheShards]shard
}

type shard struct {
	mu    sync.RWMutex
	pages map[PageID]int // index in ring
	ring  []*page
	limit int // pages
	hand  int
	_     [64]byte // the next shard's lock lies in another cache line
}

func newCache(budgetBytes int64) *cache {
	c := new(cache)
	for i := range c.shards {
		c.shards[i].limit = max(int(budgetBytes/PageBytes/cacheShards), 1)
		c.shards[i].pages = make(map[PageID]int)
	}
	return c
}

func (c *cache) shard(id PageID) *shard {
	return &c.shards[(uint64(id)*0x9e3779b97f4a7c15)>>60]
}

// get returns the page that r points to, or nil.
func (c *cache) get(r ref) *page {
	s := c.shard(r.id)
	s.mu.RLock()
	i, ok := s.pages[r.id]
	var p *page
	if ok {
		p = s.ring[i]
	}
	s.mu.RUnlock()
	if p == nil || p.crc != r.crc {
		return nil
	}
	if !p.hot.Load() {
		p.hot.Store(true)
	}
	return p
}

// put adds p, in place of an older page at its address.
func (c *cache) put(p *page) {
	s := c.shard(p.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.pages[p.id]; ok {
		s.ring[i] = p
		return
	}
	if len(s.ring) < s.limit {
		s.pages[p.id] = len(s.ring)
		s.ring = append(s.ring, p)
		return
	}
	for s.ring[s.hand].hot.Swap(false) {
		s.hand = (s.hand + 1) % len(s.ring)
	}
	delete(s.pages, s.ring[s.hand].id)
	s.ring[s.hand] = p
	s.pages[p.id] = s.hand
	s.hand = (s.hand + 1) % len(s.ring)
}

// bytes returns what the cache holds.
func (c *cache) bytes() int64 {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].ring)
		c.shards[i].mu.RUnlock()
	}
	return int64(n) * PageBytes
}
