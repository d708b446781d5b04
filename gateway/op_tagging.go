package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// requestTags reads x-amz-tagging; nil when there is none.
func (c *call) requestTags() ([]byte, error) {
	v := c.header("X-Amz-Tagging")
	if v == "" {
		return nil, nil
	}
	if len(c.r.Header["X-Amz-Tagging"]) > 1 {
		return nil, invalidArgument("x-amz-tagging is given more than once.")
	}
	tags, err := s3.ParseTagging(v)
	return encodeTags(tags), err
}

// taggingHeader sets x-amz-tagging-count of an object that has tags, for who may read them.
func (c *call) taggingHeader(e *cluster.Entry) error {
	v := attr(e.Attrs, cluster.AttrTags)
	if v == nil {
		return nil
	}
	if ok, err := c.mayAsWell(opGetObjectTagging); err != nil || !ok {
		return err
	}
	tags, err := decodeTags(v)
	if err != nil {
		return err
	}
	c.set("x-amz-tagging-count", strconv.Itoa(len(tags)))
	return nil
}

// readTags reads and checks the document of a tag set.
func (c *call) readTags(limit int) ([]s3.Tag, error) {
	var doc s3.Tagging
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return nil, err
	}
	if doc.TagSet == nil {
		return nil, s3.ErrMalformedXML
	}
	return doc.TagSet.Tags, s3.CheckTags(doc.TagSet.Tags, limit)
}

// requestedTags reads the document of PutObjectTagging once: a policy may ask for its tags before the operation does.
func (c *call) requestedTags() ([]s3.Tag, error) {
	if c.tagged {
		return c.givenTags, nil
	}
	tags, err := c.readTags(s3.MaxObjectTags)
	if err != nil {
		return nil, err
	}
	c.givenTags, c.tagged = tags, true
	return tags, nil
}

// versionRequest returns the version that the request names by its versionId, or the current one.
func (c *call) versionRequest() (r cluster.LookupRequest, err error) {
	r = cluster.LookupRequest{Bucket: c.bkt.ID, Key: c.key}
	if v, ok := c.query.lookup("versionId"); ok {
		err = parseVersion(v, &r)
	}
	return r, err
}

// updateEntry sets attributes of the version that the request names.
func (g *Gateway) updateEntry(c *call, set ...cluster.Attribute) (cluster.Entry, error) {
	r, err := c.versionRequest()
	if err != nil {
		return cluster.Entry{}, err
	}
	if r.Bypass, err = c.bypasses(c.key, c.query.get("versionId")); err != nil {
		return cluster.Entry{}, err
	}
	ns, err := c.names()
	if err != nil {
		return cluster.Entry{}, err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	e, err := ns.UpdateEntry(ctx, cluster.UpdateEntryRequest{LookupRequest: r, Set: set})
	if fault.KindOf(err) == fault.MethodNotAllowed {
		c.errorHeader("x-amz-delete-marker", "true")
		c.errorHeader("Allow", http.MethodDelete)
	}
	return e, missingKey(err, c.query.has("versionId"))
}

// putObjectTagging answers PutObjectTagging: it replaces the tag set of a version, at once and by itself.
func (g *Gateway) putObjectTagging(c *call) error {
	tags, err := c.requestedTags()
	if err != nil {
		return err
	}
	return g.setObjectTags(c, encodeTags(tags), http.StatusOK)
}

// deleteObjectTagging answers DeleteObjectTagging.
func (g *Gateway) deleteObjectTagging(c *call) error {
	return g.setObjectTags(c, nil, http.StatusNoContent)
}

func (g *Gateway) setObjectTags(c *call, value []byte, status int) error {
	e, err := g.updateEntry(c, cluster.Attribute{ID: cluster.AttrTags, Value: value})
	if err != nil {
		return err
	}
	c.versionHeader(&e)
	return c.replyEmpty(status)
}

// getObjectTagging answers GetObjectTagging.
func (g *Gateway) getObjectTagging(c *call) error {
	e, err := c.lookupVersion()
	if err != nil {
		return err
	}
	tags, err := decodeTags(attr(e.Attrs, cluster.AttrTags))
	if err != nil {
		return err
	}
	c.versionHeader(&e)
	return c.replyTags(tags)
}

// replyTags sends a tag set by key: S3 promises no order, and this one does not depend on how the tags were given.
func (c *call) replyTags(tags []s3.Tag) error {
	slices.SortFunc(tags, func(a, b s3.Tag) int { return strings.Compare(a.Key, b.Key) })
	return c.replyXML(func(x *s3.XML) { s3.WriteTags(x, tags) })
}

// putBucketTagging answers PutBucketTagging.
func (g *Gateway) putBucketTagging(c *call) error {
	tags, err := c.readTags(s3.MaxBucketTags)
	if err != nil {
		return err
	}
	return g.setBucketAttr(c, cluster.AttrTags, encodeTags(tags), http.StatusNoContent)
}

// deleteBucketTagging answers DeleteBucketTagging.
func (g *Gateway) deleteBucketTagging(c *call) error {
	return g.setBucketAttr(c, cluster.AttrTags, nil, http.StatusNoContent)
}

// setBucketAttr sets one attribute of the request's bucket, or removes it, and replies with status.
func (g *Gateway) setBucketAttr(c *call, id uint16, value []byte, status int) error {
	err := g.updateBucket(c, func(b *cluster.Bucket) error {
		b.Attrs = withAttr(b.Attrs, id, value)
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(status)
}

// getBucketTagging answers GetBucketTagging.
func (g *Gateway) getBucketTagging(c *call) error {
	tags, err := decodeTags(attr(c.bkt.Attrs, cluster.AttrTags))
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return s3.ErrNoSuchTagSet
	}
	return c.replyTags(tags)
}
