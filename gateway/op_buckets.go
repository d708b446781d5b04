package gateway

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

const maxListBuckets = 10000

// listBuckets answers ListBuckets: the caller's buckets by name, from all name servers.
func (g *Gateway) listBuckets(c *call) error {
	limit, err := c.query.count("max-buckets", maxListBuckets, maxListBuckets+1)
	if err != nil {
		return err
	}
	if limit == 0 || limit > maxListBuckets {
		return badArgument("max-buckets", c.query.get("max-buckets"), "Argument max-buckets must be an integer between 1 and 10000")
	}
	r := cluster.ListBucketsRequest{Owner: c.who.user, Prefix: c.query.get("prefix"), Limit: limit}
	if c.query.has("continuation-token") {
		if r.After, err = decodeToken(c.query.get("continuation-token")); err != nil {
			return err
		}
	}
	region := c.query.get("bucket-region")
	servers, err := g.topology.NameServers()
	if err != nil {
		return err
	}
	var all []cluster.Bucket
	more := false
	for _, ns := range servers {
		page, err := listBucketsOf(c.r.Context(), ns, r)
		if err != nil {
			return err
		}
		all = append(all, page.Buckets...)
		more = more || page.More
	}
	slices.SortFunc(all, func(a, b cluster.Bucket) int { return strings.Compare(a.Name, b.Name) })
	if len(all) > limit {
		all, more = all[:limit], true
	}
	result := s3.ListBucketsResult{Owner: c.owner(c.who.user), Prefix: r.Prefix}
	if more && len(all) > 0 {
		result.NextToken = encodeToken(all[len(all)-1].Name)
	}
	for i := range all {
		if loc := g.locationOf(&all[i]); region == "" || region == loc {
			result.Buckets = append(result.Buckets, s3.ListedBucket{Name: all[i].Name, Created: all[i].Created, Region: loc})
		}
	}
	return c.replyXML(result.Write)
}

// listBucketsOf collects r.Limit buckets of one name server, in pages of what a server gives at once.
func listBucketsOf(ctx context.Context, ns cluster.NameServer, r cluster.ListBucketsRequest) (cluster.BucketPage, error) {
	var out cluster.BucketPage
	limit := r.Limit
	for {
		r.Limit = min(limit-len(out.Buckets), 1000)
		page, err := ns.ListBuckets(ctx, r)
		if err != nil {
			return out, err
		}
		out.Buckets, out.More = append(out.Buckets, page.Buckets...), page.More
		if !page.More || len(page.Buckets) == 0 || len(out.Buckets) >= limit {
			return out, nil
		}
		r.After = page.Buckets[len(page.Buckets)-1].Name
	}
}

// createBucket answers CreateBucket. Creating a bucket that one owns already succeeds in us-east-1 and is BucketAlreadyOwnedByYou elsewhere, as in S3, but changes nothing: asking
// for another list than the bucket has is BucketAlreadyExists, for ownership or a lock that it has not BucketAlreadyOwnedByYou.
func (g *Gateway) createBucket(c *call) error {
	if err := s3.CheckBucketName(c.bucket); err != nil {
		return err
	}
	location, tags, err := g.bucketConfiguration(c)
	if err != nil {
		return err
	}
	attrs, err := c.newBucketAttrs()
	if err != nil {
		return err
	}
	ns, err := g.topology.NameServerOfBucket(c.bucket)
	if err != nil {
		return err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	b := cluster.Bucket{Name: c.bucket, ID: cluster.BucketID(cluster.RandomID()), Owner: c.who.user, Created: g.clock().UTC().Truncate(time.Millisecond), Location: location, Attrs: attrs}
	if strings.EqualFold(c.header("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		b.Versioning, b.Attrs = cluster.VersioningEnabled, withAttr(b.Attrs, cluster.AttrLock, encodeBucketLock(nil))
	}
	if tags != nil {
		b.Attrs = withAttr(b.Attrs, cluster.AttrTags, tags)
	}
	existing, err := ns.CreateBucket(ctx, b)
	switch {
	case fault.KindOf(err) == fault.Exists && (existing.Owner != c.who.user || !bytes.Equal(attr(existing.Attrs, cluster.AttrACL), attr(b.Attrs, cluster.AttrACL))):
		return s3.ErrBucketAlreadyExists
	case fault.KindOf(err) == fault.Exists && asksMore(&b, &existing):
		return s3.ErrBucketAlreadyOwnedByYou
	case fault.KindOf(err) == fault.Exists && g.region != defaultRegion:
		return s3.ErrBucketAlreadyOwnedByYou
	case fault.KindOf(err) == fault.Exists:
	case err != nil:
		return err
	}
	g.buckets.forget(c.bucket)
	c.set("Location", "/"+c.bucket)
	return c.replyEmpty(http.StatusOK)
}

// asksMore reports whether b asks for ownership controls, tags or an object lock that the existing bucket has not.
func asksMore(b, existing *cluster.Bucket) bool {
	ownership := attr(b.Attrs, cluster.AttrOwnership)
	tags := attr(b.Attrs, cluster.AttrTags)
	return ownership != nil && !bytes.Equal(ownership, attr(existing.Attrs, cluster.AttrOwnership)) ||
		tags != nil && !bytes.Equal(tags, attr(existing.Attrs, cluster.AttrTags)) ||
		attr(b.Attrs, cluster.AttrLock) != nil && attr(existing.Attrs, cluster.AttrLock) == nil
}

// bucketConfiguration reads the body of CreateBucket and returns the bucket's location and the value of its tags, nil for none.
func (g *Gateway) bucketConfiguration(c *call) (location string, tags []byte, err error) {
	body, err := c.wholeBody(maxSmallXML)
	if err != nil || len(body) == 0 {
		return g.region, nil, err
	}
	var conf s3.CreateBucketConfiguration
	if err := s3.DecodeXML(strings.NewReader(string(body)), maxSmallXML, &conf); err != nil {
		return "", nil, err
	}
	if conf.Location != nil || conf.Bucket != nil {
		return "", nil, notImplemented("This element of CreateBucketConfiguration")
	}
	if conf.Tags != nil {
		if err := s3.CheckTags(conf.Tags.Tags, s3.MaxBucketTags); err != nil {
			return "", nil, err
		}
		tags = encodeTags(conf.Tags.Tags)
	}
	if l := conf.LocationConstraint; l == "" || l == g.region {
		return g.region, tags, nil
	}
	return "", nil, s3.ErrInvalidLocationConstraint
}

// locationOf returns a bucket's region: that of a bucket made before there were locations is the gateway's.
func (g *Gateway) locationOf(b *cluster.Bucket) string {
	if b.Location != "" {
		return b.Location
	}
	return g.region
}

// headBucket answers HeadBucket. The record was read from the name server for this request.
func (g *Gateway) headBucket(c *call) error {
	c.set("x-amz-bucket-region", g.locationOf(c.bkt))
	c.set("x-amz-access-point-alias", "false")
	c.set("Content-Type", "application/xml")
	return c.replyEmpty(http.StatusOK)
}

func (g *Gateway) getBucketLocation(c *call) error {
	return c.replyXML(func(x *s3.XML) { s3.WriteLocation(x, g.locationOf(c.bkt)) })
}

func (g *Gateway) getBucketVersioning(c *call) error {
	status := ""
	switch c.bkt.Versioning {
	case cluster.VersioningEnabled:
		status = "Enabled"
	case cluster.VersioningSuspended:
		status = "Suspended"
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteVersioning(x, status) })
}

// deleteBucket answers DeleteBucket. What a gateway that dies on the way leaves is brought to an end by another one: package intent.
func (g *Gateway) deleteBucket(c *call) error {
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	err := g.intents.DeleteBucket(ctx, *c.bkt, false)
	g.buckets.forget(c.bucket)
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusNoContent)
}
