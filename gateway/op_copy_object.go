package gateway

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"ostor/gateway/acl"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// copySource is what x-amz-copy-source names.
type copySource struct {
	bucket    string
	key       string
	versioned bool
	request   cluster.LookupRequest
	record    *cluster.Bucket
	rules     *rules  // of record
	verdict   verdict // of authorizeSource
	facts     facts   // what it asked about
}

// copyObject answers CopyObject (API reference): the bytes are read, verified and written again as a new object, which is then named as by PutObject.
func (g *Gateway) copyObject(c *call) error {
	m, err := c.writeMetadata()
	if err != nil {
		return err
	}
	replace, retag, err := c.copyDirectives()
	if err != nil {
		return err
	}
	cond, err := c.writeCondition()
	if err != nil {
		return err
	}
	algorithm, err := s3.ParseChecksumAlgorithm(c.header("X-Amz-Checksum-Algorithm"))
	if err != nil {
		return err
	}
	src, err := c.copySource()
	if err != nil {
		return err
	}
	if !replace && !retag && !src.versioned && src.bucket == c.bucket && src.key == c.key {
		return invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	to, err := g.contentOf(c, 0)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	var from cluster.Entry
	var done copied
	err = g.withSource(ctx, c, src, func(e *cluster.Entry) error {
		if e.Size > cluster.MaxPutBytes {
			return invalidRequest("The specified copy source is larger than the maximum allowable size for a copy source: " + strconv.FormatInt(cluster.MaxPutBytes, 10))
		}
		if !retag && attr(e.Attrs, cluster.AttrTags) != nil {
			if err := c.authorizeTags(src); err != nil {
				return err
			}
		}
		from = *e
		want := algorithm
		if want == s3.ChecksumNone {
			want = s3.ChecksumAlgorithm(e.Checksum.Algorithm)
		}
		// A plain object keeps its digests: they are of the same bytes, which the object servers check by their own checksums.
		if e.PartCount == 0 && want == s3.ChecksumAlgorithm(e.Checksum.Algorithm) {
			link, err := g.copyBytes(ctx, c, src.record.ID, e, s3.Range{Length: e.Size}, to, nil)
			done = copied{link: link, etag: e.ETag, checksum: e.Checksum}
			return err
		}
		var err error
		done, err = g.copyHashed(ctx, c, src.record.ID, e, s3.Range{Length: e.Size}, to, want)
		return err
	})
	if err != nil {
		return err
	}
	e := cluster.Entry{Key: c.key, Modified: g.modified(), Owner: m.owner, Size: from.Size, ETag: done.etag, Content: done.link, Checksum: done.checksum,
		Headers: from.Headers, UserMeta: from.UserMeta, Attrs: m.attrs}
	if replace {
		e.Headers, e.UserMeta = m.headers, m.user
	}
	if !retag {
		e.Attrs = withAttr(e.Attrs, cluster.AttrTags, attr(from.Attrs, cluster.AttrTags))
	}
	e, err = g.createEntry(ctx, to, cluster.CreateEntryRequest{Bucket: c.bkt.ID, Versioning: c.bkt.Versioning, Entry: e, Condition: cond})
	if err != nil {
		return err
	}
	if src.record.Versioning != cluster.Unversioned {
		c.set("x-amz-copy-source-version-id", versionID(&from))
	}
	c.writtenVersion(&e)
	result := s3.CopyResult{Modified: e.Modified, ETag: e.ETag, Checksum: namedChecksum(e.Checksum, 0), ChecksumType: checksumType(e.Checksum)}
	return c.replyXML(func(x *s3.XML) { result.Write(x, "CopyObjectResult") })
}

// copyDirectives reports whether the copy gets the request's metadata, and the request's tags, and not the source's.
func (c *call) copyDirectives() (replace, retag bool, err error) {
	switch c.header("X-Amz-Tagging-Directive") {
	case "", "COPY":
		if c.header("X-Amz-Tagging") != "" {
			return false, false, invalidArgument("x-amz-tagging needs the tagging directive REPLACE.")
		}
	case "REPLACE":
		retag = true
	default:
		return false, false, badArgument("x-amz-tagging-directive", c.header("X-Amz-Tagging-Directive"), "Unknown tagging directive.")
	}
	switch c.header("X-Amz-Metadata-Directive") {
	case "", "COPY":
		return false, retag, nil
	case "REPLACE":
		return true, retag, nil
	}
	return false, false, badArgument("x-amz-metadata-directive", c.header("X-Amz-Metadata-Directive"), "Unknown metadata directive.")
}

// copySource reads x-amz-copy-source and checks that the caller may read it.
func (c *call) copySource() (*copySource, error) {
	if len(c.r.Header["X-Amz-Copy-Source"]) > 1 {
		return nil, invalidArgument("Copy Source must be given once.")
	}
	src, version, err := parseCopySource(c.header("X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	return src, c.authorizeSource(src, version)
}

// parseCopySource reads the value of x-amz-copy-source, with the version as it was given. It is parsed like a request's path: the bucket ends at the first slash, the key is opaque.
func parseCopySource(header string) (src *copySource, version string, err error) {
	raw, version, versioned := strings.Cut(strings.TrimPrefix(header, "/"), "?versionId=")
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil, "", badArgument("x-amz-copy-source", header, "Copy Source must be URL encoded.")
	}
	src = &copySource{versioned: versioned}
	var ok bool
	if src.bucket, src.key, ok = strings.Cut(path, "/"); !ok || src.bucket == "" || src.key == "" {
		return nil, "", badArgument("x-amz-copy-source", header, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if err := s3.CheckKey(src.key); err != nil {
		return nil, "", err
	}
	if err := s3.CheckBucketName(src.bucket); err != nil {
		return nil, "", err
	}
	src.request.Key = src.key
	if versioned {
		if err := parseVersion(version, &src.request); err != nil {
			return nil, "", err
		}
	}
	return src, version, nil
}

// sourceError makes of fault.NoBucket the error of the source's bucket: it says nothing about that of the request.
func sourceError(err error) error {
	if fault.KindOf(err) == fault.NoBucket {
		return s3.ErrNoSuchBucket
	}
	return err
}

// withSource looks the source up, checks the copy's conditions and calls use; again when the object was replaced and freed while it was read.
func (g *Gateway) withSource(ctx context.Context, c *call, src *copySource, use func(e *cluster.Entry) error) error {
	ns, err := g.topology.NameServerFor(src.record.ID, src.key)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		e, err := ns.Lookup(ctx, src.request)
		if err != nil {
			return c.hiddenIn(src.rules, src.record, src.key, sourceError(missingKey(err, src.versioned)))
		}
		if e.DeleteMarker {
			if src.versioned {
				return invalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
			}
			return c.hiddenIn(src.rules, src.record, src.key, s3.ErrNoSuchKey)
		}
		if err := checkEntry(src.verdict, src.rules, c.who, acl.Read, &e); err != nil {
			return err
		}
		cond := s3.ParseCopyConditions(c.r.Header)
		if err := cond.EvaluateCopy(e.ETag, e.Modified); err != nil {
			return err
		}
		if err = use(&e); err == nil || fault.KindOf(err) != fault.NotFound {
			return err
		}
		if try == readTries {
			return fault.Wrap(fault.Corrupt, err, "the content of an object is not there")
		}
	}
}

// copied describes a copy that is durable and has no name yet.
type copied struct {
	link     cluster.Link
	etag     string
	checksum cluster.Checksum
}

// copyHashed copies a range and computes its MD5 and a checksum.
func (g *Gateway) copyHashed(ctx context.Context, c *call, bucket cluster.BucketID, e *cluster.Entry, r s3.Range, to content, a s3.ChecksumAlgorithm) (copied, error) {
	var body *s3.Body
	link, err := g.copyBytes(ctx, c, bucket, e, r, to, func(src io.Reader) io.Reader {
		body = s3.NewBody(src, s3.BodyOptions{Size: r.Length, Checksum: s3.Checksum{Algorithm: a}})
		return body
	})
	if err != nil {
		return copied{}, err
	}
	return copied{link: link, etag: body.ETag(), checksum: storedChecksum(body.Checksum())}, nil
}

// copyBytes stores a range of an entry's content as a new object and returns its link. wrap, if not nil, stands between reading and writing; what it returns is read to its io.EOF.
// It returns fault.NotFound when the content is not there (any more).
func (g *Gateway) copyBytes(ctx context.Context, c *call, bucket cluster.BucketID, e *cluster.Entry, r s3.Range, to content, wrap func(io.Reader) io.Reader) (cluster.Link, error) {
	if wrap == nil {
		wrap = func(r io.Reader) io.Reader { return r }
	}
	if r.Length == 0 {
		_, err := io.Copy(io.Discard, wrap(strings.NewReader("")))
		return cluster.Link{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	readErr := make(chan error, 1)
	go func() {
		err := g.readContent(ctx, bucket, e, r.Offset, r.Length, pw)
		readErr <- err             // first: who sees the end of the pipe finds the reason there
		_ = pw.CloseWithError(err) // always nil
	}()
	c.body.progress.begin(c.w.ResponseWriter)
	link, err := g.storeStream(ctx, to, r.Length, wrap(&movingReader{pr, &c.body.progress}))
	select {
	case rerr := <-readErr: // by itself: to the writing side it was a body that ended early, which is no fault of the client's here
		if err != nil && rerr != nil {
			err = rerr
		}
	default:
		_ = pr.CloseWithError(io.ErrClosedPipe) // always nil; ends a read that nobody waits for
		<-readErr                               //nolint:errcheck // what ended it is in err
	}
	c.body.progress.received()
	return link, err
}

// movingReader extends the connection's deadlines while a copy makes progress: the client waits and sends nothing.
type movingReader struct {
	io.Reader
	progress *progress
}

func (m *movingReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.progress.add(n)
	return n, err
}

// uploadPartCopy answers UploadPartCopy.
func (g *Gateway) uploadPartCopy(c *call) error {
	id, number, err := c.uploadAndPart()
	if err != nil {
		return err
	}
	src, err := c.copySource()
	if err != nil {
		return err
	}
	to, err := g.contentOf(c, number)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	u, err := to.ns.GetUpload(ctx, c.bkt.ID, c.key, id)
	if err != nil {
		return err
	}
	var from cluster.Entry
	var rng s3.Range
	var done copied
	err = g.withSource(ctx, c, src, func(e *cluster.Entry) error {
		from, rng = *e, s3.Range{Length: e.Size}
		if h := c.header("X-Amz-Copy-Source-Range"); h != "" {
			var err error
			if rng, err = s3.ParseCopyRange(h, e.Size); err != nil {
				return outOfRange(err, h, e.Size)
			}
		}
		if rng.Length > cluster.MaxPutBytes {
			return s3.TooLarge(rng.Length, cluster.MaxPutBytes)
		}
		var err error
		done, err = g.copyHashed(ctx, c, src.record.ID, e, rng, to, s3.ChecksumAlgorithm(u.Template.Checksum.Algorithm))
		return err
	})
	if err != nil {
		return err
	}
	p := cluster.Part{Number: number, Size: rng.Length, Content: done.link, ETag: done.etag, Modified: g.modified(), Checksum: done.checksum}
	if err := g.putPart(ctx, to, id, p); err != nil {
		return err
	}
	if src.record.Versioning != cluster.Unversioned {
		c.set("x-amz-copy-source-version-id", versionID(&from))
	}
	result := s3.CopyResult{Modified: p.Modified, ETag: p.ETag, Checksum: namedChecksum(p.Checksum, 0)}
	return c.replyXML(func(x *s3.XML) { result.Write(x, "CopyPartResult") })
}
