package gateway

import (
	"context"
	"net/http"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// uploadPart answers UploadPart.
func (g *Gateway) uploadPart(c *call) error {
	id, number, err := c.uploadAndPart()
	if err != nil {
		return err
	}
	if c.lengthless() {
		return s3.ErrMissingContentLength
	}
	body, err := c.openBody(cluster.MaxPutBytes)
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
	if err := c.computePartChecksum(body, u.Template.Checksum); err != nil {
		return err
	}
	link, err := g.storeBody(ctx, c, to, body)
	if err != nil {
		return err
	}
	p := cluster.Part{Number: number, Size: body.Size(), Content: link, ETag: body.ETag(), Modified: g.modified(), Checksum: storedChecksum(body.Checksum())}
	if err := g.putPart(ctx, to, id, p); err != nil {
		return err
	}
	c.set("ETag", s3.QuoteETag(p.ETag))
	if p.Checksum.Algorithm != cluster.ChecksumNone {
		s := shownChecksum(p.Checksum)
		c.set(s.Algorithm.Header(), s.Text(0))
	}
	return c.replyEmpty(http.StatusOK)
}

// computePartChecksum sees to it that a part has the checksum of its upload. An upload begun without an algorithm takes parts with any, and keeps it.
func (c *call) computePartChecksum(body *s3.Body, upload cluster.Checksum) error {
	if err := c.computeChecksum(body); err != nil {
		return err
	}
	if upload.Algorithm == cluster.ChecksumNone {
		return nil
	}
	return body.Compute(s3.ChecksumAlgorithm(upload.Algorithm))
}

// putPart records a part whose content is durable. When that fails the content's guard is dropped.
func (g *Gateway) putPart(ctx context.Context, to content, id cluster.UploadID, p cluster.Part) error {
	err := ctx.Err()
	if err == nil {
		commit, cancel := committing(ctx)
		defer cancel()
		err = to.ns.PutPart(commit, to.bucket, to.key, id, p)
	}
	if err != nil {
		g.unnamed(ctx, to, p.Content, err)
	}
	return err
}

// uploadAndPart reads uploadId and partNumber.
func (c *call) uploadAndPart() (id cluster.UploadID, number int32, err error) {
	if id, err = cluster.ParseUploadID(c.query.get("uploadId")); err != nil {
		return id, 0, err
	}
	if c.query.has("versionId") {
		return id, 0, invalidArgument("This operation does not accept a version-id.")
	}
	v, ok := c.query.lookup("partNumber")
	if !ok {
		return id, 0, invalidArgument("This operation does not accept a query-string without partNumber.")
	}
	number, err = parsePartNumber(v)
	return id, number, err
}
