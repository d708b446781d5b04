package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// readTries bounds how often a read starts over because its object was replaced and freed between lookup and read.
const readTries = 4

// getObject answers GetObject and HeadObject (API reference): ranges, parts, conditions, response-* overrides.
//
// Nothing is sent before the first bytes were read and verified, so an object that was replaced in between is looked up again, and a damaged one is an error and not a broken reply.
func (g *Gateway) getObject(c *call) error {
	r := cluster.LookupRequest{Bucket: c.bkt.ID, Key: c.key}
	versioned := c.query.has("versionId")
	if versioned {
		if err := parseVersion(c.query.get("versionId"), &r); err != nil {
			return err
		}
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	var last cluster.VersionID
	for try := 1; ; try++ {
		e, err := ns.Lookup(ctx, r)
		if err != nil {
			err = c.hidden(missingKey(err, versioned))
			if c.op == opHeadObject && errors.Is(err, s3.ErrNoSuchKey) {
				c.errorHeader("x-amz-delete-marker", "false") // a HEAD has no document to say why the key is not there
			}
			return err
		}
		if e.DeleteMarker {
			return c.hidden(c.deleteMarker(&e, versioned))
		}
		if err := c.checkEntry(&e); err != nil {
			return err
		}
		err = g.sendObject(ctx, c, &e)
		if err == nil || c.w.begun() || fault.KindOf(err) != fault.NotFound || try == readTries {
			if err != nil && fault.KindOf(err) == fault.NotFound {
				return fault.Wrap(fault.Corrupt, err, "the content of an object is not there")
			}
			return err
		}
		if try > 1 && e.Version == last { // of an object of parts Content says nothing
			return fault.Wrap(fault.Corrupt, err, "the content of an object is not there")
		}
		last = e.Version
		c.clearHeaders()
	}
}

// deleteMarker answers a read of a delete marker: 404 as the current version, 405 by its id.
func (c *call) deleteMarker(e *cluster.Entry, byVersion bool) error {
	c.errorHeader("x-amz-delete-marker", "true")
	c.errorHeader("x-amz-version-id", versionID(e))
	if !byVersion {
		return s3.ErrNoSuchKey
	}
	c.errorHeader("Last-Modified", lastModified(e.Modified))
	c.errorHeader("Allow", http.MethodDelete)
	return s3.Explain(s3.ErrMethodNotAllowed, s3.Detail{Name: "Method", Value: c.r.Method}, s3.Detail{Name: "ResourceType", Value: "DeleteMarker"})
}

// sendObject replies with one version of an object.
func (g *Gateway) sendObject(ctx context.Context, c *call, e *cluster.Entry) error {
	if err := c.readConditions(e); err != nil {
		return err
	}
	want, err := g.askedRange(ctx, c, e)
	if err != nil {
		if e := errorFor(err); e.Status == http.StatusRequestedRangeNotSatisfiable {
			c.errorHeader("Accept-Ranges", "bytes")
		}
		return err
	}
	c.objectHeaders(e)
	if err := c.taggingHeader(e); err != nil {
		return err
	}
	if err := c.lockHeaders(e); err != nil {
		return err
	}
	if err := c.responseOverrides(); err != nil {
		return err
	}
	status := http.StatusOK
	rng := want.Range
	if want.partial {
		status = http.StatusPartialContent
		c.set("Content-Range", contentRange(rng, e.Size))
	}
	c.describePart(e, &want)
	c.set("Content-Length", strconv.FormatInt(rng.Length, 10))
	if c.r.Method == http.MethodHead || rng.Length == 0 {
		c.w.WriteHeader(status)
		return nil
	}
	if rng.Length > progressBytes {
		c.w.progress.begin(c.w.ResponseWriter)
	}
	out := bodyWriter{c.w, status}
	if err := g.readContent(ctx, c.bkt.ID, e, rng.Offset, rng.Length, &out); err != nil {
		return fmt.Errorf("gateway: send %d bytes from %d of %d: %w", rng.Length, rng.Offset, e.Size, err)
	}
	return nil
}

// describePart sets the headers about parts and checksums. The checksum is that of the bytes in the reply: of the object or of one part, and of no other range.
func (c *call) describePart(e *cluster.Entry, want *asked) {
	checksums := strings.EqualFold(c.header("X-Amz-Checksum-Mode"), "ENABLED")
	if p := want.part; p != nil {
		c.set("x-amz-mp-parts-count", strconv.Itoa(int(e.PartCount)))
		if checksums && e.Checksum.Algorithm != cluster.ChecksumNone && e.Checksum.Algorithm == p.Checksum.Algorithm && len(p.Checksum.Value) > 0 {
			sum := shownChecksum(p.Checksum)
			c.set(sum.Algorithm.Header(), sum.Text(0))
			c.set("x-amz-checksum-type", checksumType(e.Checksum))
		}
	} else if checksums && want.Length == e.Size {
		c.checksumHeaders(e.Checksum, int(e.PartCount))
	}
}

// bodyWriter begins the reply with its first bytes.
type bodyWriter struct {
	w      *response
	status int
}

func (b *bodyWriter) Write(p []byte) (int, error) {
	if !b.w.begun() {
		b.w.WriteHeader(b.status)
	}
	return b.w.Write(p)
}

// readConditions evaluates If-Match and its kin. A 304 carries the headers that a cache wants to refresh.
func (c *call) readConditions(e *cluster.Entry) error {
	cond := s3.ParseConditions(c.r.Header)
	if cond.IsZero() {
		return nil
	}
	err := cond.EvaluateRead(e.ETag, e.Modified)
	if err == nil {
		return nil
	}
	if errorFor(err).Status == http.StatusNotModified {
		c.errorHeader("ETag", s3.QuoteETag(e.ETag))
		c.errorHeader("Last-Modified", lastModified(e.Modified))
		for _, h := range e.Headers {
			if h.Name == "cache-control" || h.Name == "expires" {
				c.errorHeader(canonicalSystemHeader(h.Name), h.Value)
			}
		}
	}
	return err
}

// asked is what a request wants of an object.
type asked struct {
	s3.Range
	partial bool
	part    *cluster.Part // of a partNumber, when the object was uploaded in parts
}

// askedRange returns the bytes that a request wants: those of its Range header, of its partNumber, or all. What is empty is a Range of length 0, and whole.
func (g *Gateway) askedRange(ctx context.Context, c *call, e *cluster.Entry) (asked, error) {
	all := asked{Range: s3.Range{Length: e.Size}}
	header := c.header("Range")
	v, ok := c.query.lookup("partNumber")
	switch {
	case ok && header != "":
		return asked{}, invalidRequest("Cannot specify both Range header and partNumber query parameter")
	case ok:
		n, err := parsePartNumber(v)
		switch {
		case err != nil:
			return asked{}, err
		case e.PartCount > 0:
			return g.partRange(ctx, c, e, n)
		case n != 1: // an object that was not uploaded in parts is its own part 1
			return asked{}, errNoSuchPart
		}
		all.partial = e.Size > 0
	case header != "" && s3.RangeHolds(c.r.Header, e.ETag, e.Modified):
		rng, partial, err := s3.ParseRange(header, e.Size)
		if err != nil || partial {
			return asked{Range: rng, partial: partial}, outOfRange(err, header, e.Size)
		}
	}
	return all, nil
}

// outOfRange says in the document of InvalidRange how long the object is, which the caller may read.
func outOfRange(err error, header string, size int64) error {
	if !errors.Is(err, s3.ErrInvalidRange) {
		return err
	}
	return s3.Explain(err, s3.Detail{Name: "RangeRequested", Value: header}, s3.Detail{Name: "ActualObjectSize", Value: strconv.FormatInt(size, 10)})
}

// errNoSuchPart answers a partNumber that the object does not have.
var errNoSuchPart = s3.ErrInvalidPart.With("The requested part number is not satisfiable.")

// parsePartNumber reads a part number, 1 to MaxParts.
func parsePartNumber(v string) (int32, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil || n < 1 || n > cluster.MaxParts {
		return 0, badArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return int32(n), nil
}

func contentRange(r s3.Range, size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, r.Offset, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.Offset+r.Length-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

// overrides are the query parameters that replace headers of the reply (GetObject, "Overriding response header values").
var overrides = []struct{ param, header string }{
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
	{"response-content-language", "Content-Language"},
	{"response-content-type", "Content-Type"},
	{"response-expires", "Expires"},
}

// responseOverrides sets the headers that a signed request asks for. An anonymous one may not: it would make the store serve any bytes as any type.
func (c *call) responseOverrides() error {
	if len(c.query) == 0 {
		return nil
	}
	for _, o := range overrides {
		v, ok := c.query.lookup(o.param)
		if !ok || v == "" {
			continue
		}
		if c.who.anonymous {
			return invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return invalidArgument("The value of " + o.param + " has control characters.")
		}
		c.set(o.header, v)
	}
	return nil
}
