package gateway

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// What an object carries besides its bytes: a few system headers, which come back as they were sent, and user metadata.

// systemHeaders are kept with an object; sorted by their stored name (PutObject, "Request Parameters").
var systemHeaders = []struct{ stored, canonical string }{
	{"cache-control", "Cache-Control"},
	{"content-disposition", "Content-Disposition"},
	{"content-encoding", "Content-Encoding"},
	{"content-language", "Content-Language"},
	{"content-type", "Content-Type"},
	{"expires", "Expires"},
}

const (
	defaultContentType = "binary/octet-stream"
	maxSystemHeader    = 2 << 10 // bytes of one value
)

// refusedHeaders ask for what this server does not have. Taking them silently would store an object without the lock, tags or encryption that its
// writer believes it has.
var refusedHeaders = set(
	"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled",
	"X-Amz-Server-Side-Encryption-Context", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Customer-Key",
	"X-Amz-Server-Side-Encryption-Customer-Key-Md5", "X-Amz-Website-Redirect-Location", "X-Amz-Write-Offset-Bytes",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-Md5", "X-Amz-Mfa", "X-Amz-If-Match-Initiated-Time", "X-Amz-Bucket-Namespace",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// refuseHeaders returns NotImplemented for a header that asks for what this server does not have. Every operation comes by it.
func refuseHeaders(h http.Header) error {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") && refusedHeaders[name] {
			return notImplemented("The header " + strings.ToLower(name))
		}
	}
	return nil
}

// metadata is what a write gives its object.
type metadata struct {
	headers []cluster.Header    // sorted by name
	user    []cluster.Header    // sorted by name
	attrs   []cluster.Attribute // tags and what else the request gives; sorted by id
	owner   cluster.UserID
}

// writeMetadata reads the metadata of a PUT, copy or multipart upload.
func (c *call) writeMetadata() (metadata, error) {
	h := c.r.Header
	var m metadata
	switch {
	case c.query.has("versionId"):
		return m, invalidArgument("This operation does not accept a version-id.")
	case c.query.has("partNumber"): // a part whose uploadId was lost would replace the object
		return m, invalidArgument("partNumber needs an uploadId.")
	}
	amz := false
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") {
			amz = true
			break
		}
	}
	if amz {
		if class := c.header("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
			return m, s3.ErrInvalidStorageClass
		}
		var err error
		if m.user, err = userMetadata(h); err != nil {
			return m, err
		}
		tags, err := c.requestTags()
		if err != nil {
			return m, err
		}
		if tags != nil {
			m.attrs = withAttr(m.attrs, cluster.AttrTags, tags)
		}
	}
	owner, list, err := c.newObject()
	if err != nil {
		return m, err
	}
	if m.attrs, err = c.newLocks(m.attrs); err != nil {
		return m, err
	}
	if m.owner = owner; list != nil {
		m.attrs = withAttr(m.attrs, cluster.AttrACL, list)
	}
	for i := range systemHeaders {
		v := c.header(systemHeaders[i].canonical)
		if systemHeaders[i].stored == "content-encoding" {
			v = s3.ContentEncoding(h)
		}
		if v == "" {
			continue
		}
		if len(v) > maxSystemHeader {
			return m, s3.ErrMetadataTooLarge
		}
		if m.headers == nil {
			m.headers = make([]cluster.Header, 0, 2)
		}
		m.headers = append(m.headers, cluster.Header{Name: systemHeaders[i].stored, Value: v})
	}
	return m, nil
}

// userMetadata returns the x-amz-meta-* headers without the prefix, in lower case, sorted by name; several of one name are joined by commas, as S3 does.
func userMetadata(h http.Header) ([]cluster.Header, error) {
	var fields []cluster.Header
	size := 0
	for name, values := range h {
		name, ok := strings.CutPrefix(name, "X-Amz-Meta-")
		if !ok || name == "" {
			continue
		}
		f := cluster.Header{Name: strings.ToLower(name), Value: strings.Join(values, ",")}
		size += len(f.Name) + len(f.Value)
		fields = append(fields, f)
	}
	if size > s3.MaxMetadataBytes {
		return nil, s3.Explain(s3.ErrMetadataTooLarge, s3.Sizes("Size", int64(size), "MaxSizeAllowed", s3.MaxMetadataBytes)...)
	}
	slices.SortFunc(fields, func(a, b cluster.Header) int { return strings.Compare(a.Name, b.Name) })
	return fields, nil
}

// objectHeaders sets the reply headers that describe an object: of GET and HEAD, and of their 304.
func (c *call) objectHeaders(e *cluster.Entry) {
	h := c.w.Header()
	c.set("ETag", s3.QuoteETag(e.ETag))
	c.set("Last-Modified", lastModified(e.Modified))
	h["Accept-Ranges"] = acceptRanges
	typed := false
	for i := range e.Headers {
		s := &e.Headers[i]
		if s.Name == "content-type" {
			typed = true
		}
		c.set(canonicalSystemHeader(s.Name), s.Value)
	}
	if !typed {
		h["Content-Type"] = octetStream
	}
	for i := range e.UserMeta {
		c.set("x-amz-meta-"+e.UserMeta[i].Name, e.UserMeta[i].Value)
	}
	c.versionHeader(e)
}

// Values that many replies share; never modified.
var (
	acceptRanges = []string{"bytes"}
	octetStream  = []string{defaultContentType}
)

func canonicalSystemHeader(stored string) string {
	for i := range systemHeaders {
		if systemHeaders[i].stored == stored {
			return systemHeaders[i].canonical
		}
	}
	return stored
}

// versionHeader sets x-amz-version-id, which replies have only in buckets that have or had versioning.
func (c *call) versionHeader(e *cluster.Entry) {
	if c.bkt.Versioning != cluster.Unversioned {
		c.set("x-amz-version-id", versionID(e))
	}
}

// writtenVersion sets x-amz-version-id in the reply of a write: S3 says nothing of a null version there, also where versioning is suspended.
func (c *call) writtenVersion(e *cluster.Entry) {
	if !e.Null {
		c.versionHeader(e)
	}
}

// versionID returns a version's id as clients see it.
func versionID(e *cluster.Entry) string {
	if e.Null {
		return nullVersion
	}
	return e.Version.String()
}

const nullVersion = "null"

// parseVersion reads a versionId parameter into r. An empty one is refused as S3 does; a malformed one names no version.
func parseVersion(v string, r *cluster.LookupRequest) error {
	switch v {
	case "":
		return badArgument("versionId", v, "Version id cannot be the empty string")
	case nullVersion:
		r.Null = true
		return nil
	}
	id, err := cluster.ParseVersionID(v)
	if err != nil || id.IsZero() {
		return badArgument("versionId", v, "Invalid version id specified")
	}
	r.Version = id
	return nil
}

// lastModified formats a time as HTTP headers have it.
func lastModified(t time.Time) string {
	var b [len(http.TimeFormat)]byte
	return string(t.UTC().AppendFormat(b[:0], http.TimeFormat))
}

// writeCondition reads the conditions of a write.
func (c *call) writeCondition() (cluster.Condition, error) {
	var cond cluster.Condition
	match, none := c.r.Header["If-Match"], c.r.Header["If-None-Match"]
	if len(match) > 1 || len(none) > 1 {
		return cond, invalidRequest("A condition is given more than once.")
	}
	if len(match) == 1 {
		if cond.IfMatch = s3.TrimETag(match[0]); cond.IfMatch == "" {
			return cond, invalidArgument("If-Match is empty.")
		}
	}
	if len(none) == 1 {
		if cond.IfNoneMatch = s3.TrimETag(none[0]); cond.IfNoneMatch == "" {
			return cond, invalidArgument("If-None-Match is empty.")
		}
	}
	if cond.IfMatch != "" && cond.IfNoneMatch != "" {
		return cond, notImplemented("If-Match together with If-None-Match in a write")
	}
	return cond, nil
}

// storageClass names a stored class.
func storageClass(uint8) string { return "STANDARD" }

// missingKey makes of fault.NotFound the error of a key, or of a version when one was asked for.
func missingKey(err error, version bool) error {
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	if version {
		return s3.ErrNoSuchVersion
	}
	return s3.ErrNoSuchKey
}
