package gateway

import (
	"net/http"

	"ostor/gateway/acl"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// getBucketACL answers GetBucketAcl. Where lists have no meaning it shows the one that holds in their place: the owner's FULL_CONTROL.
func (g *Gateway) getBucketACL(c *call) error {
	list := c.rules.listOf(c.bkt)
	if c.rules.ownership == bucketOwnerEnforced {
		list = acl.Private(uint64(c.bkt.Owner))
	}
	return c.replyACL(c.bkt.Owner, list)
}

// putBucketACL answers PutBucketAcl.
func (g *Gateway) putBucketACL(c *call) error {
	owner := c.bkt.Owner
	list, err := c.givenACL(owner, func(name string) (acl.ACL, error) { return acl.CannedBucket(name, uint64(owner)) })
	if err != nil {
		return err
	}
	err = g.updateBucket(c, func(b *cluster.Bucket) error {
		r, err := g.rulesOf(b)
		switch {
		case err != nil:
			return err
		case b.Owner != owner:
			return s3.ErrOperationAborted // the canned list speaks of the former owner
		}
		if err := r.permitACL(list, owner); err != nil {
			return err
		}
		b.Attrs = withAttr(b.Attrs, cluster.AttrACL, storedACL(list, owner))
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusOK)
}

// getObjectACL answers GetObjectAcl.
func (g *Gateway) getObjectACL(c *call) error {
	e, err := c.lookupVersion()
	if err != nil {
		return err
	}
	owner := e.Owner
	list, err := objectList(&e)
	if err != nil {
		return err
	}
	if c.rules.ownership == bucketOwnerEnforced {
		owner = c.bkt.Owner
		list = acl.Private(uint64(owner))
	}
	c.versionHeader(&e)
	return c.replyACL(owner, list)
}

// putObjectACL answers PutObjectAcl. The list goes to the very version that was found and checked, whatever is current by then.
func (g *Gateway) putObjectACL(c *call) error {
	e, err := c.lookupVersion()
	if err != nil {
		return err
	}
	if c.rules.ownership == bucketOwnerEnforced {
		e.Owner = c.bkt.Owner
	}
	list, err := c.givenACL(e.Owner, func(name string) (acl.ACL, error) {
		return acl.CannedObject(name, uint64(e.Owner), uint64(c.bkt.Owner))
	})
	if err != nil {
		return err
	}
	if c.rules.ownership == bucketOwnerEnforced && c.header("X-Amz-Acl") == "bucket-owner-full-control" {
		list = acl.Private(uint64(e.Owner))
	}
	if err := c.rules.permitACL(list, e.Owner); err != nil {
		return err
	}
	ns, err := c.names()
	if err != nil {
		return err
	}
	ctx, cancel := committing(c.r.Context())
	defer cancel()
	updated, err := ns.UpdateEntry(ctx, cluster.UpdateEntryRequest{
		LookupRequest: cluster.LookupRequest{Bucket: c.bkt.ID, Key: c.key, Version: e.Version},
		Set:           []cluster.Attribute{{ID: cluster.AttrACL, Value: storedACL(list, e.Owner)}},
	})
	if err != nil {
		return missingKey(err, c.query.has("versionId"))
	}
	c.versionHeader(&updated)
	return c.replyEmpty(http.StatusOK)
}
