package gateway

import (
	"context"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// access decides what an operation needs before it runs: which bucket record, and who may.
type access uint8

const (
	accessBucket  access = iota // the bucket must exist, and the caller must be allowed to do the operation there
	accessAccount               // the operation is on the account itself: any user, never anonymous
)

func (o operation) access() access {
	switch o {
	case opListBuckets, opCreateBucket:
		return accessAccount
	}
	return accessBucket
}

// fromCache reports whether an operation may begin with a bucket record of the cache. Those that read a body that cannot be read again may not: for them there is no second attempt.
// HeadBucket and what shows the record itself must not.
func (c *call) fromCache() bool {
	switch c.op {
	case opGetObject, opHeadObject, opDeleteObject, opListObjects, opListObjectsV2, opGetObjectACL, opGetObjectTagging, opListParts, opAbortMultipartUpload:
		return true
	case opPutObject, opUploadPart:
		return c.r.ContentLength >= 0 && c.r.ContentLength <= smallBodyBytes
	}
	return false
}

// enter finds the bucket and authorises the operation.
func (c *call) enter(ctx context.Context) error {
	if c.op.access() == accessAccount {
		if c.who.anonymous {
			return s3.ErrAccessDenied
		}
		return nil
	}
	if err := s3.CheckBucketName(c.bucket); err != nil {
		return err
	}
	if c.key != "" {
		if err := s3.CheckKey(c.key); err != nil {
			return err
		}
	}
	var err error
	if c.fromCache() {
		c.bkt, err = c.g.bucket(ctx, c.bucket)
	} else {
		c.bkt, err = c.g.freshBucket(ctx, c.bucket)
		c.fresh = true
	}
	if err != nil {
		return err
	}
	return c.authorize()
}

// authorize decides whether the caller may do the request's operation in its bucket.
func (c *call) authorize() error {
	if expected := c.header("X-Amz-Expected-Bucket-Owner"); expected != "" && expected != c.bkt.Owner.String() {
		return s3.ErrAccessDenied
	}
	return allow(c.who, c.op, c.bkt)
}

// allow is the rule: a bucket is its owner's alone. Bucket policies and access control lists, once there are any, are evaluated here, by operation.
func allow(who principal, _ operation, b *cluster.Bucket) error {
	if who.anonymous || who.user != b.Owner {
		return s3.ErrAccessDenied
	}
	return nil
}
