package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// maxCompleteXML is more than 10,000 parts with checksums need.
const maxCompleteXML = 8 << 20

// createMultipartUpload answers CreateMultipartUpload: the upload keeps what the object will get.
func (g *Gateway) createMultipartUpload(c *call) error {
	m, err := c.writeMetadata()
	if err != nil {
		return err
	}
	sum, err := c.uploadChecksum()
	if err != nil {
		return err
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	u := cluster.Upload{ID: cluster.NewUploadID(), Key: c.key, Initiated: g.modified(), Owner: c.who.user,
		Template: cluster.Entry{Key: c.key, Owner: m.owner, Headers: m.headers, UserMeta: m.user, Attrs: m.attrs, Checksum: sum}}
	if err := ns.CreateUpload(c.r.Context(), c.bkt.ID, u); err != nil {
		return err
	}
	if sum.Algorithm != cluster.ChecksumNone {
		c.set("x-amz-checksum-algorithm", algorithmName(sum.Algorithm))
		c.set("x-amz-checksum-type", checksumType(sum))
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteInitiateMultipartUpload(x, c.bucket, c.key, u.ID.String()) })
}

// uploadChecksum reads the algorithm and type of an upload's checksum. The default type is COMPOSITE, and FULL_OBJECT for CRC64NVME, which has no other.
func (c *call) uploadChecksum() (cluster.Checksum, error) {
	a, err := s3.ParseChecksumAlgorithm(c.header("X-Amz-Checksum-Algorithm"))
	if err != nil {
		return cluster.Checksum{}, err
	}
	kind := c.header("X-Amz-Checksum-Type")
	switch {
	case a == s3.ChecksumNone && kind != "":
		return cluster.Checksum{}, invalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case kind == "":
		kind = s3.ChecksumComposite
		if a == s3.ChecksumCRC64NVME {
			kind = s3.ChecksumFullObject
		}
	case kind != s3.ChecksumComposite && kind != s3.ChecksumFullObject:
		return cluster.Checksum{}, invalidRequest("Value for x-amz-checksum-type header is invalid.")
	}
	if (kind == s3.ChecksumFullObject && a != s3.ChecksumNone && !a.FullObject()) || (kind == s3.ChecksumComposite && a == s3.ChecksumCRC64NVME) {
		return cluster.Checksum{}, invalidRequest("The " + kind + " checksum type cannot be used with the " + a.String() + " checksum algorithm.")
	}
	return cluster.Checksum{Algorithm: cluster.ChecksumAlgorithm(a), Composite: a != s3.ChecksumNone && kind == s3.ChecksumComposite}, nil
}

// completeMultipartUpload answers CompleteMultipartUpload. The name server's CompleteUpload is the point of no return; repeating the request after it gives the same answer.
func (g *Gateway) completeMultipartUpload(c *call) error {
	id, err := cluster.ParseUploadID(c.query.get("uploadId"))
	if err != nil {
		return err
	}
	cond, err := c.writeCondition()
	if err != nil {
		return err
	}
	given, err := c.takeChecksum()
	if err != nil {
		return err
	}
	var doc s3.CompleteMultipartUpload
	if err := c.readDocument(maxCompleteXML, &doc); err != nil {
		if errors.Is(err, s3.ErrMissingRequestBody) {
			return s3.ErrMalformedXML
		}
		return err
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	parts, etag, err := completedParts(&doc)
	if err != nil {
		return c.namePart(ctx, ns, id, parts, err)
	}
	r := cluster.CompleteUploadRequest{Bucket: c.bkt.ID, Versioning: c.bkt.Versioning, Key: c.key, ID: id, Parts: parts, Modified: g.modified(), ETag: etag, Condition: cond}
	u, err := ns.GetUpload(ctx, c.bkt.ID, c.key, id)
	switch {
	case fault.KindOf(err) == fault.NoUpload: // perhaps completed before: the name server knows
	case err != nil:
		return err
	default:
		if r.Checksum, err = c.completeChecksum(ctx, ns, &u, parts, given); err != nil {
			return c.namePart(ctx, ns, id, parts, err)
		}
	}
	e, err := ns.CompleteUpload(ctx, r)
	if err != nil {
		return c.namePart(ctx, ns, id, parts, missingKey(err, false))
	}
	c.writtenVersion(&e)
	result := s3.CompleteResult{Location: c.location(), Bucket: c.bucket, Key: c.key, ETag: e.ETag, Checksum: namedChecksum(e.Checksum, int(e.PartCount)), ChecksumType: checksumType(e.Checksum)}
	return c.replyXML(result.Write)
}

// namePart says in the document of an error of a part which one it is: a name server only says that there is one. When the parts cannot be read, the error has to do without.
func (c *call) namePart(ctx context.Context, ns cluster.NameServer, id cluster.UploadID, asked []cluster.CompletePart, refused error) error {
	e := errorFor(refused)
	if e != s3.ErrInvalidPart && e != s3.ErrEntityTooSmall {
		return refused
	}
	recorded := make(map[int32]cluster.Part, len(asked))
	var after int32
	for more := true; more; {
		var page []cluster.Part
		var err error
		if page, more, err = ns.ListParts(ctx, c.bkt.ID, c.key, id, after, 0); err != nil {
			return refused
		}
		for i := range page {
			after = page[i].Number
			recorded[after] = page[i]
		}
		more = more && len(page) > 0
	}
	for i := range asked {
		want, number := &asked[i], s3.Detail{Name: "PartNumber", Value: strconv.Itoa(int(asked[i].Number))}
		p, there := recorded[want.Number]
		same := there && p.ETag == want.ETag && (want.Checksum.Algorithm == cluster.ChecksumNone || want.Checksum.Algorithm == p.Checksum.Algorithm && bytes.Equal(want.Checksum.Value, p.Checksum.Value))
		switch etag := (s3.Detail{Name: "ETag", Value: want.ETag}); {
		case e == s3.ErrInvalidPart && !same:
			return s3.Explain(refused, s3.Detail{Name: "UploadId", Value: id.String()}, number, etag)
		case e == s3.ErrEntityTooSmall && same && p.Size < cluster.MinPartBytes:
			return s3.Explain(refused, append(s3.Sizes("ProposedSize", p.Size, "MinSizeAllowed", cluster.MinPartBytes), number, etag)...)
		}
	}
	return refused
}

// location is the URL of the request's object as this request addressed it.
func (c *call) location() string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	if c.hosted != "" {
		return scheme + c.r.Host + "/" + s3.URLEncode(c.key)
	}
	return scheme + c.r.Host + "/" + c.bucket + "/" + s3.URLEncode(c.key)
}

// completedParts translates the document and computes the ETag of the whole.
func completedParts(doc *s3.CompleteMultipartUpload) ([]cluster.CompletePart, string, error) {
	if len(doc.Parts) == 0 || len(doc.Parts) > cluster.MaxParts {
		return nil, "", s3.ErrMalformedXML
	}
	parts := make([]cluster.CompletePart, len(doc.Parts))
	etags := make([]string, len(doc.Parts))
	for i := range doc.Parts {
		p := &doc.Parts[i]
		if p.PartNumber < 1 || p.PartNumber > cluster.MaxParts {
			return nil, "", invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
		}
		if i > 0 && p.PartNumber <= doc.Parts[i-1].PartNumber {
			return nil, "", s3.ErrInvalidPartOrder
		}
		etags[i] = s3.TrimETag(p.ETag)
		sum, err := partChecksum(p)
		if err != nil {
			return nil, "", err
		}
		parts[i] = cluster.CompletePart{Number: p.PartNumber, ETag: etags[i], Checksum: sum}
	}
	etag, err := s3.MultipartETag(etags)
	return parts, etag, err
}

// partChecksum reads the checksum that a client gives with a part.
func partChecksum(p *s3.CompletedPart) (cluster.Checksum, error) {
	var out cluster.Checksum
	for a, v := range map[s3.ChecksumAlgorithm]string{
		s3.ChecksumCRC32: p.ChecksumCRC32, s3.ChecksumCRC32C: p.ChecksumCRC32C, s3.ChecksumCRC64NVME: p.ChecksumCRC64NVME, s3.ChecksumSHA1: p.ChecksumSHA1, s3.ChecksumSHA256: p.ChecksumSHA256,
	} {
		if v == "" {
			continue
		}
		sum, _, err := s3.ParseChecksum(a, v)
		if err != nil || out.Algorithm != cluster.ChecksumNone {
			return out, s3.ErrInvalidPart
		}
		out = storedChecksum(sum)
	}
	return out, nil
}

// abortMultipartUpload answers AbortMultipartUpload.
func (g *Gateway) abortMultipartUpload(c *call) error {
	id, err := cluster.ParseUploadID(c.query.get("uploadId"))
	if err != nil {
		return err
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	if err := c.checkUpload(ctx, ns, id); err != nil {
		return err
	}
	if err := ns.AbortUpload(ctx, c.bkt.ID, c.key, id); err != nil {
		return err
	}
	return c.replyEmpty(http.StatusNoContent)
}

// listParts answers ListParts.
func (g *Gateway) listParts(c *call) error {
	id, err := cluster.ParseUploadID(c.query.get("uploadId"))
	if err != nil {
		return err
	}
	result := s3.ListPartsResult{Bucket: c.bucket, Key: c.key, UploadID: id.String()}
	if result.URLEncode, err = c.query.encodingURL(); err != nil {
		return err
	}
	if result.MaxParts, err = c.query.count("max-parts", 1000, 1000); err != nil {
		return err
	}
	if v := c.query.get("part-number-marker"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return badArgument("part-number-marker", v, "Argument part-number-marker must be an integer between 0 and 2147483647")
		}
		result.Marker = int32(n)
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	if err := c.checkUpload(ctx, ns, id); err != nil {
		return err
	}
	u, err := ns.GetUpload(ctx, c.bkt.ID, c.key, id)
	if err != nil {
		return err
	}
	result.Initiator, result.Owner = c.owner(u.Owner), c.owner(u.Template.Owner)
	result.StorageClass = storageClass(u.Template.StorageClass)
	result.Algorithm, result.ChecksumType = algorithmName(u.Template.Checksum.Algorithm), checksumType(u.Template.Checksum)
	if result.MaxParts > 0 {
		parts, more, err := ns.ListParts(ctx, c.bkt.ID, c.key, id, result.Marker, result.MaxParts)
		if err != nil {
			return err
		}
		result.Truncated = more
		result.Parts = make([]s3.ListedPart, len(parts))
		for i := range parts {
			p := &parts[i]
			result.Parts[i] = s3.ListedPart{Number: p.Number, Modified: p.Modified, ETag: p.ETag, Size: p.Size, Checksum: namedChecksum(p.Checksum, 0)}
			result.NextMarker = p.Number
		}
	}
	return c.replyXML(result.Write)
}
