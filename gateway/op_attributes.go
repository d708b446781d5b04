package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// getObjectAttributes answers GetObjectAttributes: of an object, or a version of it, what x-amz-object-attributes names. Parts are listed also when they have no checksums.
func (g *Gateway) getObjectAttributes(c *call) error {
	asked := map[string]bool{}
	for _, v := range c.r.Header["X-Amz-Object-Attributes"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name = strings.TrimSpace(name); name {
			case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
				asked[name] = true
			default:
				return badArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
			}
		}
	}
	if len(asked) == 0 {
		return invalidArgument("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty.")
	}
	parts := s3.AttributeParts{MaxParts: 1000}
	if v := c.header("X-Amz-Max-Parts"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return badArgument("x-amz-max-parts", v, "x-amz-max-parts must be an integer between 0 and 2147483647")
		}
		parts.MaxParts = min(int(n), 1000)
	}
	if v := c.header("X-Amz-Part-Number-Marker"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return badArgument("x-amz-part-number-marker", v, "x-amz-part-number-marker must be an integer between 0 and 2147483647")
		}
		parts.Marker = int32(n)
	}
	e, err := c.lookupVersion()
	if err != nil {
		return err
	}
	var result s3.ObjectAttributes
	if asked["ETag"] {
		result.ETag = e.ETag
	}
	if asked["Checksum"] {
		result.Checksum, result.ChecksumType = namedChecksum(e.Checksum, int(e.PartCount)), checksumType(e.Checksum)
	}
	if asked["StorageClass"] {
		result.StorageClass = storageClass(e.StorageClass)
	}
	if asked["ObjectSize"] {
		result.Size = &e.Size
	}
	if asked["ObjectParts"] && e.PartCount > 0 {
		if err := g.attributeParts(c.r.Context(), c, &e, &parts); err != nil {
			return err
		}
		result.Parts = &parts
	}
	c.set("Last-Modified", lastModified(e.Modified))
	c.versionHeader(&e)
	return c.replyXML(result.Write)
}

// attributeParts fills a page of an object's parts.
func (g *Gateway) attributeParts(ctx context.Context, c *call, e *cluster.Entry, out *s3.AttributeParts) error {
	out.Count, out.NextMarker = int(e.PartCount), out.Marker
	ns, err := c.names()
	if err != nil {
		return err
	}
	for offset, seen := int64(0), int32(0); seen < e.PartCount; {
		page, err := ns.Parts(ctx, c.bkt.ID, e.Key, e.Table, offset, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			p := &page[i]
			offset = p.Offset + p.Size
			seen++
			if p.Number <= out.Marker {
				continue
			}
			if len(out.Parts) == out.MaxParts {
				out.Truncated = out.MaxParts > 0
				return nil
			}
			out.Parts = append(out.Parts, s3.ListedPart{Number: p.Number, Size: p.Size, Checksum: namedChecksum(p.Checksum, 0)})
			out.NextMarker = p.Number
		}
		if offset >= e.Size {
			return nil
		}
	}
	return nil
}

const (
	payerOwner     = "BucketOwner"
	payerRequester = "Requester"
)

// putBucketRequestPayment answers PutBucketRequestPayment: what Requester asks of callers is in confirmPayer.
func (g *Gateway) putBucketRequestPayment(c *call) error {
	var doc s3.RequestPaymentConfiguration
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	switch doc.Payer {
	case payerOwner:
		return g.setBucketAttr(c, cluster.AttrPayer, nil, http.StatusOK)
	case payerRequester:
		return g.setBucketAttr(c, cluster.AttrPayer, []byte{settingVersion, requesterPays}, http.StatusOK)
	}
	return s3.ErrMalformedXML
}

// getBucketRequestPayment answers GetBucketRequestPayment.
func (g *Gateway) getBucketRequestPayment(c *call) error {
	payer := payerOwner
	if c.rules.requester {
		payer = payerRequester
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteRequestPayment(x, payer) })
}
