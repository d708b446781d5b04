package gateway

import (
	"context"
	"sync"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// bucketCache remembers bucket records for at most bucketTTL, so that an object request does not ask two name servers. A stale record does no harm: its BucketID is
// that of one life of the bucket, and a name server refuses the id of a bucket that was deleted (see [call.renewBucket]). What changes within
// a life (versioning) is seen after bucketTTL. Absence is not remembered.
type bucketCache struct {
	mu sync.RWMutex
	m  map[string]cachedBucket // at most maxCachedBuckets
}

type cachedBucket struct {
	b     *cluster.Bucket // not modified
	until time.Time
}

const (
	bucketTTL        = time.Second
	maxCachedBuckets = 10000
)

func (bc *bucketCache) get(name string, now time.Time) *cluster.Bucket {
	bc.mu.RLock()
	e, ok := bc.m[name]
	bc.mu.RUnlock()
	if !ok || !now.Before(e.until) {
		return nil
	}
	return e.b
}

func (bc *bucketCache) put(b *cluster.Bucket, now time.Time) {
	bc.mu.Lock()
	defer bc.mu.Unlock()
	// A read that overlapped an update must not bring the old record back.
	if old, ok := bc.m[b.Name]; ok && old.b.ID == b.ID && old.b.Epoch > b.Epoch {
		return
	}
	if bc.m == nil || len(bc.m) >= maxCachedBuckets {
		bc.m = make(map[string]cachedBucket) // refilled within a second
	}
	bc.m[b.Name] = cachedBucket{b, now.Add(bucketTTL)}
}

func (bc *bucketCache) forget(name string) {
	bc.mu.Lock()
	delete(bc.m, name)
	bc.mu.Unlock()
}

// bucket returns a bucket's record, which the caller must not modify: one from the cache, or from its name server. It returns fault.NoBucket when there is none.
func (g *Gateway) bucket(ctx context.Context, name string) (*cluster.Bucket, error) {
	if b := g.buckets.get(name, g.clock()); b != nil {
		return b, nil
	}
	return g.freshBucket(ctx, name)
}

// freshBucket asks the name server.
func (g *Gateway) freshBucket(ctx context.Context, name string) (*cluster.Bucket, error) {
	now := g.clock() // before the question: the answer is at least as new
	ns, err := g.topology.NameServerOfBucket(name)
	if err != nil {
		return nil, err
	}
	b, err := ns.GetBucket(ctx, name)
	if err != nil {
		g.buckets.forget(name)
		return nil, err
	}
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
