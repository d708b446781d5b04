package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// deleteObject answers DeleteObject. Deleting what is not there succeeds, as in S3, unless a condition asks for it.
func (g *Gateway) deleteObject(c *call) error {
	r := g.deleteRequest(c, c.key)
	versioned := c.query.has("versionId")
	if versioned {
		if err := parseVersion(c.query.get("versionId"), &r.LookupRequest); err != nil {
			return err
		}
	}
	var err error
	if r.Bypass, err = c.bypasses(c.key, c.query.get("versionId")); err != nil {
		return err
	}
	if err := c.deleteCondition(&r.Condition); err != nil {
		return err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	d, err := g.deleteEntry(ctx, r)
	if err != nil {
		return err
	}
	if d.DeleteMarker {
		c.set("x-amz-delete-marker", "true")
	}
	if id := deletedVersion(d); id != "" && (versioned || c.bkt.Versioning != cluster.Unversioned) {
		c.set("x-amz-version-id", id)
	}
	return c.replyEmpty(http.StatusNoContent)
}

func (g *Gateway) deleteRequest(c *call, key string) cluster.DeleteEntryRequest {
	return cluster.DeleteEntryRequest{
		LookupRequest: cluster.LookupRequest{Bucket: c.bkt.ID, Key: key},
		Versioning:    c.bkt.Versioning,
		Owner:         c.who.user,
		Modified:      g.clock().UTC().Truncate(time.Millisecond),
	}
}

func (g *Gateway) deleteEntry(ctx context.Context, r cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	ns, err := g.topology.NameServerFor(r.Bucket, r.Key)
	if err != nil {
		return cluster.Deleted{}, err
	}
	d, err := ns.DeleteEntry(ctx, r)
	if fault.KindOf(err) == fault.NotFound { // a condition on an object that is not there
		return d, s3.ErrNoSuchKey
	}
	return d, err
}

// deletedVersion is the version id of a reply to a delete, or "".
func deletedVersion(d cluster.Deleted) string {
	switch {
	case d.Null:
		return nullVersion
	case d.Version.IsZero():
		return ""
	}
	return d.Version.String()
}

// deleteCondition reads If-Match and the two conditions of conditional deletes.
func (c *call) deleteCondition(cond *cluster.Condition) error {
	if len(c.r.Header["If-None-Match"]) > 0 {
		return notImplemented("If-None-Match in a delete")
	}
	match := c.r.Header["If-Match"]
	if len(match) > 1 {
		return invalidRequest("A condition is given more than once.")
	}
	if len(match) == 1 {
		if cond.IfMatch = s3.TrimETag(match[0]); cond.IfMatch == "" { // not a deletion without a condition
			return invalidArgument("If-Match is empty.")
		}
	}
	if v := c.r.Header["X-Amz-If-Match-Last-Modified-Time"]; len(v) > 0 {
		t, err := http.ParseTime(v[0])
		if err != nil {
			return badArgument("x-amz-if-match-last-modified-time", v[0], "x-amz-if-match-last-modified-time is not a date.")
		}
		cond.IfModified = &t
	}
	if v := c.r.Header["X-Amz-If-Match-Size"]; len(v) > 0 {
		n, err := strconv.ParseInt(v[0], 10, 64)
		if err != nil || n < 0 {
			return badArgument("x-amz-if-match-size", v[0], "x-amz-if-match-size is not a size.")
		}
		cond.IfSize = &n
	}
	return nil
}
