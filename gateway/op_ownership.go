package gateway

import (
	"net/http"

	"ostor/gateway/acl"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

func parseOwnership(s string) (ownership, bool) {
	for i, name := range ownershipNames {
		if s == name {
			return ownership(i), true
		}
	}
	return 0, false
}

// getOwnershipControls answers GetBucketOwnershipControls.
func (g *Gateway) getOwnershipControls(c *call) error {
	if attr(c.bkt.Attrs, cluster.AttrOwnership) == nil {
		return s3.ErrOwnershipControlsNotFound
	}
	return c.replyXML(func(x *s3.XML) { s3.WriteOwnershipControls(x, c.rules.ownership.String()) })
}

// putOwnershipControls answers PutBucketOwnershipControls. Lists are switched off only in a bucket whose own list gives nobody else anything.
func (g *Gateway) putOwnershipControls(c *call) error {
	var doc s3.OwnershipControls
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	if len(doc.Rules) != 1 {
		return s3.ErrMalformedXML
	}
	o, ok := parseOwnership(doc.Rules[0].ObjectOwnership)
	if !ok {
		return s3.ErrMalformedXML
	}
	err := g.updateBucket(c, func(b *cluster.Bucket) error {
		r, err := g.rulesOf(b)
		if err != nil {
			return err
		}
		if o == bucketOwnerEnforced && !r.listOf(b).Only(uint64(b.Owner)) {
			return s3.ErrInvalidBucketACLWithOwnership
		}
		b.Attrs = withAttr(b.Attrs, cluster.AttrOwnership, o.encode())
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusOK)
}

// deleteOwnershipControls answers DeleteBucketOwnershipControls.
func (g *Gateway) deleteOwnershipControls(c *call) error {
	return g.setBucketAttr(c, cluster.AttrOwnership, nil, http.StatusNoContent)
}

// getPublicAccessBlock answers GetPublicAccessBlock.
func (g *Gateway) getPublicAccessBlock(c *call) error {
	if attr(c.bkt.Attrs, cluster.AttrPublic) == nil {
		return s3.ErrNoSuchPublicAccessBlock
	}
	r := c.rules
	doc := s3.PublicAccessBlock{BlockPublicACLs: r.has(blockPublicACLs), IgnorePublicACLs: r.has(ignorePublicACLs), BlockPublicPolicy: r.has(blockPublicPolicy), RestrictPublicBuckets: r.has(restrictPublicBuckets)}
	return c.replyXML(doc.Write)
}

// putPublicAccessBlock answers PutPublicAccessBlock. What is public already stays as it is, and is ignored or restricted as the settings say.
func (g *Gateway) putPublicAccessBlock(c *call) error {
	var doc s3.PublicAccessBlock
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	var b publicBlock
	for _, setting := range []struct {
		on  bool
		bit publicBlock
	}{{doc.BlockPublicACLs, blockPublicACLs}, {doc.IgnorePublicACLs, ignorePublicACLs}, {doc.BlockPublicPolicy, blockPublicPolicy}, {doc.RestrictPublicBuckets, restrictPublicBuckets}} {
		if setting.on {
			b |= setting.bit
		}
	}
	return g.setBucketAttr(c, cluster.AttrPublic, b.encode(), http.StatusOK)
}

// deletePublicAccessBlock answers DeletePublicAccessBlock.
func (g *Gateway) deletePublicAccessBlock(c *call) error {
	return g.setBucketAttr(c, cluster.AttrPublic, nil, http.StatusNoContent)
}

// newBucketAttrs returns the attributes that the headers of CreateBucket give: list and ownership.
func (c *call) newBucketAttrs() ([]cluster.Attribute, error) {
	var attrs []cluster.Attribute
	o := objectWriter
	if name := c.header("X-Amz-Object-Ownership"); name != "" {
		var ok bool
		if o, ok = parseOwnership(name); !ok {
			return nil, badArgument("x-amz-object-ownership", name, "Invalid x-amz-object-ownership header: "+name)
		}
		attrs = withAttr(attrs, cluster.AttrOwnership, o.encode())
	}
	owner := uint64(c.who.user)
	list, err := c.headerACL(func(name string) (acl.ACL, error) { return acl.CannedBucket(name, owner) })
	if err != nil || list == nil || list.IsPrivate(owner) {
		return attrs, err
	}
	if o == bucketOwnerEnforced {
		return nil, s3.ErrInvalidBucketACLWithOwnership
	}
	return withAttr(attrs, cluster.AttrACL, list.Encode()), nil
}
