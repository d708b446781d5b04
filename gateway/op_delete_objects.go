package gateway

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

const (
	maxDeleteKeys    = 1000
	maxDeleteXML     = 8 << 20 // a thousand keys of 1024 bytes, all of them escaped
	deleteConcurrent = 32      // deletions of one request in flight: they share fdatasyncs
)

// deleteObjects answers DeleteObjects: every key by itself, authorised and decided as a DeleteObject of its own.
func (g *Gateway) deleteObjects(c *call) error {
	body, err := c.openBody(maxDeleteXML)
	if err != nil {
		return tooLong(err)
	}
	if !body.Digested() {
		return invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	var doc s3.Delete
	if err := s3.DecodeXML(body, maxDeleteXML, &doc); err != nil {
		return err
	}
	if len(doc.Objects) == 0 || len(doc.Objects) > maxDeleteKeys {
		return s3.ErrMalformedXML
	}
	done := make([]s3.DeletedObject, len(doc.Objects))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(done), deleteConcurrent) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(done) {
					return
				}
				done[i] = g.deleteOne(c, &doc.Objects[i])
			}
		})
	}
	workers.Wait()
	return c.replyXML(func(x *s3.XML) { s3.WriteDeleteResult(x, done, doc.Quiet) })
}

// deleteOne deletes one object of the request. It runs beside others and only reads c.
func (g *Gateway) deleteOne(c *call, o *s3.DeleteObject) s3.DeletedObject {
	out := s3.DeletedObject{Key: o.Key, VersionID: o.VersionID}
	fail := func(err error) s3.DeletedObject {
		out.Err = errorFor(err)
		out.Message = out.Err.Message
		if out.Err.Status >= http.StatusInternalServerError && out.Err.Status != http.StatusNotImplemented {
			g.logFailure(c, out.Err, err)
		}
		return out
	}
	if err := s3.CheckKey(o.Key); err != nil {
		return fail(err)
	}
	if err := c.authorizeKey(o.Key, o.VersionID); err != nil {
		return fail(err)
	}
	r := g.deleteRequest(c, o.Key)
	if o.VersionID != "" {
		if err := parseVersion(o.VersionID, &r.LookupRequest); err != nil {
			return fail(s3.ErrNoSuchVersion)
		}
	}
	var err error
	if r.Bypass, err = c.bypasses(o.Key, o.VersionID); err != nil {
		return fail(err)
	}
	if err := bulkCondition(o, &r.Condition); err != nil {
		return fail(err)
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	d, err := g.deleteEntry(ctx, r)
	if err != nil {
		return fail(err)
	}
	if d.DeleteMarker {
		out.DeleteMarker, out.DeleteMarkerVersionID = true, deletedVersion(d)
	}
	return out
}

// bulkCondition reads the conditions of one object in a DeleteObjects document.
func bulkCondition(o *s3.DeleteObject, cond *cluster.Condition) error {
	if o.ETag != "" {
		if cond.IfMatch = s3.TrimETag(o.ETag); cond.IfMatch == "" {
			return invalidArgument("ETag is empty.")
		}
	}
	if o.LastModifiedTime != "" {
		t, err := time.Parse(time.RFC3339, o.LastModifiedTime)
		if err != nil {
			if t, err = http.ParseTime(o.LastModifiedTime); err != nil {
				return invalidArgument("LastModifiedTime is not a date.")
			}
		}
		cond.IfModified = &t
	}
	if o.Size != nil {
		n, err := strconv.ParseInt(*o.Size, 10, 64)
		if err != nil || n < 0 {
			return invalidArgument("Size is not a size.")
		}
		cond.IfSize = &n
	}
	return nil
}
