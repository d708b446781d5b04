package gateway

import (
	"context"
	"net/http"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// putObject answers PutObject (API reference). Order: the bytes are durable under a guard and verified to their end, then the name is committed, then the reply.
// The point of no return is CreateEntry.
func (g *Gateway) putObject(c *call) error {
	if c.lengthless() {
		return s3.ErrMissingContentLength
	}
	e, err := g.createObject(c)
	if err != nil {
		return err
	}
	c.set("ETag", s3.QuoteETag(e.ETag))
	c.checksumHeaders(e.Checksum, 0)
	c.writtenVersion(&e)
	return c.replyEmpty(http.StatusOK)
}

// createObject makes the object of a PUT or a form of the request's headers and body.
func (g *Gateway) createObject(c *call) (cluster.Entry, error) {
	m, err := c.writeMetadata()
	if err != nil {
		return cluster.Entry{}, err
	}
	cond, err := c.writeCondition()
	if err != nil {
		return cluster.Entry{}, err
	}
	body, err := c.openBody(cluster.MaxPutBytes)
	if err != nil {
		return cluster.Entry{}, err
	}
	if c.asksLock() && !body.Digested() {
		// What cannot be deleted must be what was meant.
		return cluster.Entry{}, invalidRequest("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	if err := c.computeChecksum(body); err != nil {
		return cluster.Entry{}, err
	}
	to, err := g.contentOf(c, 0)
	if err != nil {
		return cluster.Entry{}, err
	}
	ctx := c.r.Context()
	link, err := g.storeBody(ctx, c, to, body)
	if err != nil {
		return cluster.Entry{}, err
	}
	e := cluster.Entry{
		Key: c.key, Modified: g.modified(), Owner: m.owner, Size: body.Size(), ETag: body.ETag(), Content: link,
		Headers: m.headers, UserMeta: m.user, Attrs: m.attrs, Checksum: storedChecksum(body.Checksum()),
	}
	return g.createEntry(ctx, to, cluster.CreateEntryRequest{Bucket: c.bkt.ID, Versioning: c.bkt.Versioning, Entry: e, Condition: cond})
}

// computeChecksum asks for the checksum that x-amz-checksum-algorithm names, unless the client sent one.
func (c *call) computeChecksum(body *s3.Body) error {
	v := c.header("X-Amz-Checksum-Algorithm")
	if v == "" {
		return nil
	}
	a, err := s3.ParseChecksumAlgorithm(v)
	if err != nil {
		return err
	}
	return body.Compute(a)
}

// contentOf returns where the bytes of the request's object, or of one of its parts, are named.
func (g *Gateway) contentOf(c *call, part int32) (content, error) {
	ns, err := c.names()
	return content{ns, c.bkt.ID, c.key, part}, err
}

// modified returns the time of a new version. Names are ordered by version, not by it.
func (g *Gateway) modified() time.Time { return g.clock().UTC().Truncate(time.Millisecond) }

// storeBody makes a body durable and returns its link. A small one is read and verified as a whole first, so a bad one never reaches a server; it is kept for the
// request's second attempt. A large one streams, and its own io.EOF, which comes only when it is verified, makes the object; it can go to another server as long as nothing was read of it.
func (g *Gateway) storeBody(ctx context.Context, c *call, to content, body *s3.Body) (cluster.Link, error) {
	if body.Size() > smallBodyBytes {
		before := c.body.n
		return g.elsewhere(ctx, func() bool { return c.body.n == before }, func() (cluster.Link, error) {
			return g.storeStream(ctx, to, body.Size(), body)
		})
	}
	if c.release == nil {
		buf, release := smallBuffer(body.Size())
		c.release = release
		var err error
		if c.small, err = body.ReadAll(buf); err != nil {
			return cluster.Link{}, err
		}
	}
	return g.storeBytes(ctx, to, c.small)
}

// createEntry names an object whose content is durable. When that fails the content's guard is dropped.
func (g *Gateway) createEntry(ctx context.Context, to content, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	if err := ctx.Err(); err != nil { // the client left in time
		g.dropGuard(ctx, to, r.Entry.Content)
		return cluster.Entry{}, err
	}
	commit, cancel := committing(ctx)
	defer cancel()
	e, err := to.ns.CreateEntry(commit, r)
	if err != nil {
		g.unnamed(ctx, to, r.Entry.Content, err)
		return cluster.Entry{}, err
	}
	return e, nil
}
