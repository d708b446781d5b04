package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"ostor/gateway/policy"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// getBucketPolicy answers GetBucketPolicy with the document as it was put.
func (g *Gateway) getBucketPolicy(c *call) error {
	doc := attr(c.bkt.Attrs, cluster.AttrPolicy)
	if doc == nil {
		return s3.ErrNoSuchBucketPolicy
	}
	c.set("Content-Type", "application/json")
	c.set("Content-Length", strconv.Itoa(len(doc)))
	c.w.WriteHeader(http.StatusOK)
	_, err := c.w.Write(doc)
	return err
}

// putBucketPolicy answers PutBucketPolicy. A document that is not understood whole is refused, with the place of what is wrong. The owner can always take a policy
// back, so x-amz-confirm-remove-self-bucket-access has nothing to confirm.
func (g *Gateway) putBucketPolicy(c *call) error {
	doc, err := c.wholeBody(maxSmallXML)
	if err != nil {
		return err
	}
	if len(doc) == 0 {
		return s3.ErrMissingRequestBody
	}
	p, err := policy.Parse(doc, c.bucket)
	if err != nil {
		e, ok := errors.AsType[*policy.Error](err)
		if !ok {
			return err
		}
		if !json.Valid(doc) {
			return s3.ErrMalformedPolicy.With("Policies must be valid JSON: " + e.Error() + ".")
		}
		return s3.ErrMalformedPolicy.With(e.Error() + ".")
	}
	for _, id := range p.Principals() {
		_, known, err := g.knownUser(c.r.Context(), id)
		if err != nil {
			return err
		}
		if !known {
			return s3.ErrMalformedPolicy.With("Invalid principal in policy: there is no user " + id + ".")
		}
	}
	public := p.Public()
	err = g.updateBucket(c, func(b *cluster.Bucket) error {
		r, err := g.rulesOf(b)
		if err != nil {
			return err
		}
		if public && r.has(blockPublicPolicy) {
			return s3.ErrAccessDenied
		}
		b.Attrs = withAttr(b.Attrs, cluster.AttrPolicy, doc)
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusNoContent)
}

// deleteBucketPolicy answers DeleteBucketPolicy.
func (g *Gateway) deleteBucketPolicy(c *call) error {
	return g.setBucketAttr(c, cluster.AttrPolicy, nil, http.StatusNoContent)
}

// getBucketPolicyStatus answers GetBucketPolicyStatus: whether policy or list give something to everybody, and the public access block does not take it back.
func (g *Gateway) getBucketPolicyStatus(c *call) error {
	r := c.rules
	byPolicy := r.public && !r.has(restrictPublicBuckets)
	byList := r.ownership != bucketOwnerEnforced && r.list.Public() && !r.has(ignorePublicACLs)
	return c.replyXML(func(x *s3.XML) {
		x.Begin("PolicyStatus")
		x.Bool("IsPublic", byPolicy || byList)
		x.Close("PolicyStatus")
	})
}
