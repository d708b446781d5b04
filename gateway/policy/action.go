package policy

import (
	"slices"
	"strings"
)

// level is what an action is done to.
type level uint8

const (
	onBucket level = iota + 1
	onObject
)

// actions holds every action that a policy may name: those of Appendix D of the product's guide and those of the operations that came later. A name is in lower case.
var actions = func() map[string]level {
	m := make(map[string]level)
	for _, a := range BucketActions {
		m[strings.ToLower(a)] = onBucket
	}
	for _, a := range ObjectActions {
		m[strings.ToLower(a)] = onObject
	}
	return m
}()

// The actions by what they are done to; sorted, never modified.
var (
	ObjectActions = []string{
		"s3:AbortMultipartUpload", "s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectTagging", "s3:DeleteObjectVersion", "s3:DeleteObjectVersionTagging",
		"s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectAttributes", "s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectTagging", "s3:GetObjectTorrent",
		"s3:GetObjectVersion", "s3:GetObjectVersionAcl", "s3:GetObjectVersionAttributes", "s3:GetObjectVersionTagging", "s3:ListMultipartUploadParts",
		"s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectLegalHold", "s3:PutObjectRetention", "s3:PutObjectTagging", "s3:PutObjectVersionAcl", "s3:PutObjectVersionTagging",
		"s3:RestoreObject",
	}
	BucketActions = []string{
		"s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteBucketWebsite", "s3:GetAccelerateConfiguration", "s3:GetAnalyticsConfiguration",
		"s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLocation", "s3:GetBucketLogging", "s3:GetBucketNotification", "s3:GetBucketObjectLockConfiguration",
		"s3:GetBucketOwnershipControls", "s3:GetBucketPolicy", "s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment",
		"s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetIntelligentTieringConfiguration",
		"s3:GetInventoryConfiguration", "s3:GetLifecycleConfiguration", "s3:GetMetricsConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket",
		"s3:ListBucketMultipartUploads", "s3:ListBucketVersions", "s3:PutAccelerateConfiguration", "s3:PutAnalyticsConfiguration", "s3:PutBucketAcl", "s3:PutBucketCORS",
		"s3:PutBucketLogging", "s3:PutBucketNotification", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
		"s3:PutBucketPublicAccessBlock", "s3:PutBucketRequestPayment", "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutBucketWebsite",
		"s3:PutEncryptionConfiguration", "s3:PutIntelligentTieringConfiguration", "s3:PutInventoryConfiguration", "s3:PutLifecycleConfiguration",
		"s3:PutMetricsConfiguration", "s3:PutReplicationConfiguration",
	}
)

// known reports whether a pattern of a policy can match an action at all.
func known(a string) bool {
	a = strings.ToLower(a)
	if a == "*" {
		return true
	}
	if !strings.HasPrefix(a, "s3:") {
		return false
	}
	p := compile(a, false)
	for name := range actions {
		if p.match(name, nil) {
			return true
		}
	}
	return false
}

// applies reports whether one of the actions that a matches is done to what one of the resources can be.
func applies(a pattern, resources []pattern, bucket string) bool {
	var bucketOK, objectOK bool
	for _, r := range resources {
		bucketOK = bucketOK || r.match(bucket, nil) || hasVariable(r)
		objectOK = objectOK || r.matchPrefix(bucket+"/") || hasVariable(r)
	}
	for name, l := range actions {
		if (l == onBucket && bucketOK || l == onObject && objectOK) && a.match(name, nil) {
			return true
		}
	}
	return false
}

func hasVariable(p pattern) bool {
	return slices.ContainsFunc(p.parts, func(p part) bool { return p.kind == partVariable })
}
