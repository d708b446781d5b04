package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// bucketCache remembers bucket records, and what they say about who may do what. A record of the last bucketTTL is taken as it is, so that an object request does not ask two name servers; an older one
// is asked about with its id and epoch, and "still that" is a short answer that renews it. A stale record does no harm to names and bytes: its BucketID is that of one life of the bucket, and a name server
// refuses the id of a bucket that was deleted (see [call.renewBucket]). What changes within a life, as versioning and a policy, is seen by every gateway after bucketTTL. Absence is not remembered.
type bucketCache struct {
	mu     sync.RWMutex
	m      map[string]*cachedBucket // by name; at most maxCachedBuckets of together about maxCachedBytes
	bytes  int
	counts *cacheCounts
}

// cachedBucket is one record. Only until and used change.
type cachedBucket struct {
	b     *cluster.Bucket // not modified
	rules atomic.Pointer[rules]
	until atomic.Int64 // Unix time in ns; from then on its name server is asked
	used  atomic.Bool  // since the last eviction
	size  int          // bytes, about, with its rules
}

// cacheCounts are the events of the cache.
type cacheCounts struct{ hits, same, reads, evicted prometheus.Counter }

const (
	bucketTTL        = time.Second
	maxCachedBuckets = 10000
	maxCachedBytes   = 16 << 20
)

// sizeOf is what a record is taken to occupy: its decoded policy is a few times as large as its text.
func sizeOf(b *cluster.Bucket) int {
	n := 512 + len(b.Name) + len(b.Location)
	for i := range b.Attrs {
		n += 64 + 4*len(b.Attrs[i].Value)
	}
	return n
}

// find returns what is kept of a bucket, however old.
func (bc *bucketCache) find(name string) *cachedBucket {
	bc.mu.RLock()
	defer bc.mu.RUnlock()
	return bc.m[name]
}

// get returns a record that need not be asked about.
func (bc *bucketCache) get(name string, now time.Time) *cluster.Bucket {
	e := bc.find(name)
	if e == nil || now.UnixNano() >= e.until.Load() {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	bc.counts.hits.Inc()
	return e.b
}

// put keeps a record that a name server gave after now.
func (bc *bucketCache) put(b *cluster.Bucket, now time.Time) {
	e := &cachedBucket{b: b, size: sizeOf(b)}
	e.until.Store(now.Add(bucketTTL).UnixNano())
	bc.mu.Lock()
	defer bc.mu.Unlock()
	old := bc.m[b.Name]
	// A read that overlapped an update must not bring the old record back.
	if old != nil && old.b.ID == b.ID && old.b.Epoch > b.Epoch {
		return
	}
	if old != nil {
		bc.bytes -= old.size
		delete(bc.m, b.Name)
	}
	if len(bc.m) >= maxCachedBuckets || bc.bytes+e.size > maxCachedBytes {
		bc.evict(e.size)
	}
	if bc.m == nil {
		bc.m = make(map[string]*cachedBucket)
	}
	bc.m[b.Name] = e
	bc.bytes += e.size
}

// evict makes room for size bytes, and some more so that the next ones need not look again. What was used since the last time stays, if anything else is there.
func (bc *bucketCache) evict(size int) {
	for range 2 {
		for name, e := range bc.m {
			if len(bc.m) <= maxCachedBuckets*7/8 && bc.bytes+size <= maxCachedBytes*7/8 {
				return
			}
			if e.used.CompareAndSwap(true, false) {
				continue
			}
			delete(bc.m, name)
			bc.bytes -= e.size
			bc.counts.evicted.Inc()
		}
	}
}

func (bc *bucketCache) forget(name string) {
	bc.mu.Lock()
	defer bc.mu.Unlock()
	if e := bc.m[name]; e != nil {
		bc.bytes -= e.size
		delete(bc.m, name)
	}
}

// bucket returns a bucket's record, which the caller must not modify: one from the cache, or from its name server. It returns fault.NoBucket when there is none.
func (g *Gateway) bucket(ctx context.Context, name string) (*cluster.Bucket, error) {
	if b := g.buckets.get(name, g.clock()); b != nil {
		return b, nil
	}
	return g.freshBucket(ctx, name)
}

// freshBucket asks the name server: for the record, or whether the one that is here is still that.
func (g *Gateway) freshBucket(ctx context.Context, name string) (*cluster.Bucket, error) {
	now := g.clock() // before the question: the answer is at least as new
	ns, err := g.topology.NameServerOfBucket(name)
	if err != nil {
		return nil, err
	}
	var b cluster.Bucket
	same := false
	old := g.buckets.find(name)
	if old == nil {
		b, err = ns.GetBucket(ctx, name)
	} else {
		b, same, err = ns.GetBucketSince(ctx, name, old.b.ID, old.b.Epoch)
	}
	switch {
	case err != nil:
		g.buckets.forget(name)
		return nil, err
	case same:
		g.buckets.counts.same.Inc()
		old.used.Store(true)
		old.until.Store(now.Add(bucketTTL).UnixNano())
		return old.b, nil
	}
	g.buckets.counts.reads.Inc()
	g.buckets.put(&b, now)
	return &b, nil
}

// renewBucket is called when a name server refused the bucket's id. It reports whether the request should be tried again: the cached record was that of a former life of
// the bucket. Otherwise the error says what to answer: fault.NoBucket, or fault.Unavailable while a deletion of the bucket is being tried.
func (c *call) renewBucket(ctx context.Context) error {
	b, err := c.g.freshBucket(ctx, c.bucket)
	if err != nil {
		return err
	}
	if b.ID == c.bkt.ID || c.fresh {
		return fault.New(fault.Unavailable, "bucket %s is being deleted", c.bucket)
	}
	c.bkt, c.fresh = b, true
	return c.authorize()
}
