package gateway

import (
	"context"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// updateTries bounds how often a change of a bucket's record starts over because another gateway's came in between.
const updateTries = 16

// bucketTurns lets the changes of one bucket's record pass one after the other in this gateway: fifty clients that set a list at once all succeed, and none of them starts over
// sixteen times. Buckets share turns by their id. A turn is held over the calls to the name server, which commitTimeout bounds.
type bucketTurns [64]chan struct{}

func newBucketTurns() (t bucketTurns) {
	for i := range t {
		t[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the bucket's turn, commitTimeout at most, and returns what ends it.
func (t *bucketTurns) take(ctx context.Context, id cluster.BucketID) (end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	turn := t[uint64(id)%uint64(len(t))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "waiting for other changes of bucket %s", id)
	}
}

// updateBucket changes the record of the request's bucket: change gets a copy of the newest record, again for every attempt, and may refuse. The attributes that it gets
// must be replaced and not modified (see withAttr). The new record is in this gateway's cache when updateBucket returns; other gateways see it within bucketTTL.
func (g *Gateway) updateBucket(c *call, change func(b *cluster.Bucket) error) error {
	ns, err := g.topology.NameServerOfBucket(c.bucket)
	if err != nil {
		return err
	}
	end, err := g.turns.take(c.r.Context(), c.bkt.ID)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	b := *c.bkt
	for try := 1; ; try++ {
		if err := change(&b); err != nil {
			return err
		}
		now := g.clock()
		updated, err := ns.UpdateBucket(ctx, b)
		if err == nil {
			g.buckets.put(&updated, now)
			c.bkt = &updated
			return nil
		}
		if fault.KindOf(err) != fault.Stale {
			return err
		}
		if try == updateTries {
			return fault.Wrap(fault.Exists, err, "bucket %s is being changed by others", c.bucket) // OperationAborted
		}
		if b, err = g.sameBucket(ctx, ns, c); err != nil {
			return err
		}
	}
}

// sameBucket reads the record of the request's bucket anew; a bucket of the same name that is another one is NoBucket.
func (g *Gateway) sameBucket(ctx context.Context, ns cluster.NameServer, c *call) (cluster.Bucket, error) {
	b, err := ns.GetBucket(ctx, c.bucket)
	if err == nil && b.ID != c.bkt.ID {
		err = fault.New(fault.NoBucket, "bucket %s was deleted", c.bucket)
	}
	return b, err
}

// attr returns the value of an attribute, nil when there is none.
func attr(attrs []cluster.Attribute, id uint16) []byte {
	for i := range attrs {
		if attrs[i].ID == id {
			return attrs[i].Value
		}
	}
	return nil
}

// withAttr returns attrs with one value set, or removed when it is nil, sorted by id; attrs itself is not modified.
func withAttr(attrs []cluster.Attribute, id uint16, value []byte) []cluster.Attribute {
	out := make([]cluster.Attribute, 0, len(attrs)+1)
	i := 0
	for ; i < len(attrs) && attrs[i].ID < id; i++ {
		out = append(out, attrs[i])
	}
	if value != nil {
		out = append(out, cluster.Attribute{ID: id, Value: value})
	}
	if i < len(attrs) && attrs[i].ID == id {
		i++
	}
	return append(out, attrs[i:]...)
}
