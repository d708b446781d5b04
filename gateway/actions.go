package gateway

import "ostor/gateway/acl"

// action says what guards an operation: the action of bucket policies, and what access control lists give it. An operation on a version by its id has an action of its own.
type action struct {
	name      string // as policies have it; "" of operations on the account
	versioned string // with a versionId; "" = name
	bucket    acl.Permission
	object    acl.Permission // asked of the object's own list: its owner decides, not the bucket's
	initiator bool           // whoever began the multipart upload may, too
	always    bool           // no policy takes it from the bucket's owner, who could not undo the policy otherwise
}

func (a action) of(versioned bool) string {
	if versioned && a.versioned != "" {
		return a.versioned
	}
	return a.name
}

// actions maps every operation to what guards it (S3 User Guide, "Required permissions for Amazon S3 API operations" and "Mapping of ACL permissions and access policy permissions").
// DeleteObjects has no action: each of its keys is a DeleteObject.
var actions = [opCount]action{
	opHeadBucket:              {name: "s3:ListBucket", bucket: acl.Read},
	opListObjects:             {name: "s3:ListBucket", bucket: acl.Read},
	opListObjectsV2:           {name: "s3:ListBucket", bucket: acl.Read},
	opListObjectVersions:      {name: "s3:ListBucketVersions", bucket: acl.Read},
	opListMultipartUploads:    {name: "s3:ListBucketMultipartUploads", bucket: acl.Read},
	opCreateBucket:            {name: "s3:CreateBucket"},
	opDeleteBucket:            {name: "s3:DeleteBucket"},
	opGetBucketLocation:       {name: "s3:GetBucketLocation"},
	opGetBucketVersioning:     {name: "s3:GetBucketVersioning"},
	opPutBucketVersioning:     {name: "s3:PutBucketVersioning"},
	opGetBucketTagging:        {name: "s3:GetBucketTagging"},
	opPutBucketTagging:        {name: "s3:PutBucketTagging"},
	opDeleteBucketTagging:     {name: "s3:PutBucketTagging"},
	opGetBucketRequestPayment: {name: "s3:GetBucketRequestPayment"},
	opPutBucketRequestPayment: {name: "s3:PutBucketRequestPayment"},
	opGetBucketCORS:           {name: "s3:GetBucketCORS"},
	opPutBucketCORS:           {name: "s3:PutBucketCORS"},
	opDeleteBucketCORS:        {name: "s3:PutBucketCORS"},
	opGetBucketACL:            {name: "s3:GetBucketAcl", bucket: acl.ReadACP},
	opPutBucketACL:            {name: "s3:PutBucketAcl", bucket: acl.WriteACP},
	opGetBucketPolicy:         {name: "s3:GetBucketPolicy", always: true},
	opPutBucketPolicy:         {name: "s3:PutBucketPolicy", always: true},
	opDeleteBucketPolicy:      {name: "s3:DeleteBucketPolicy", always: true},
	opGetBucketPolicyStatus:   {name: "s3:GetBucketPolicyStatus"},
	opGetOwnershipControls:    {name: "s3:GetBucketOwnershipControls"},
	opPutOwnershipControls:    {name: "s3:PutBucketOwnershipControls"},
	opDeleteOwnershipControls: {name: "s3:PutBucketOwnershipControls"},
	opGetPublicAccessBlock:    {name: "s3:GetBucketPublicAccessBlock"},
	opPutPublicAccessBlock:    {name: "s3:PutBucketPublicAccessBlock"},
	opDeletePublicAccessBlock: {name: "s3:PutBucketPublicAccessBlock"},

	opGetObject:                  {name: "s3:GetObject", versioned: "s3:GetObjectVersion", object: acl.Read},
	opHeadObject:                 {name: "s3:GetObject", versioned: "s3:GetObjectVersion", object: acl.Read},
	opPutObject:                  {name: "s3:PutObject", bucket: acl.Write},
	opPostObject:                 {name: "s3:PutObject", bucket: acl.Write},
	opCopyObject:                 {name: "s3:PutObject", bucket: acl.Write}, // and s3:GetObject of the source: authorizeSource
	opDeleteObject:               {name: "s3:DeleteObject", versioned: "s3:DeleteObjectVersion", bucket: acl.Write},
	opGetObjectACL:               {name: "s3:GetObjectAcl", versioned: "s3:GetObjectVersionAcl", object: acl.ReadACP},
	opPutObjectACL:               {name: "s3:PutObjectAcl", versioned: "s3:PutObjectVersionAcl", object: acl.WriteACP},
	opGetObjectAttributes:        {name: "s3:GetObjectAttributes", versioned: "s3:GetObjectVersionAttributes", object: acl.Read},
	opGetObjectTagging:           {name: "s3:GetObjectTagging", versioned: "s3:GetObjectVersionTagging"},
	opPutObjectTagging:           {name: "s3:PutObjectTagging", versioned: "s3:PutObjectVersionTagging"},
	opDeleteObjectTagging:        {name: "s3:DeleteObjectTagging", versioned: "s3:DeleteObjectVersionTagging"},
	opCreateMultipartUpload:      {name: "s3:PutObject", bucket: acl.Write},
	opUploadPart:                 {name: "s3:PutObject", bucket: acl.Write},
	opUploadPartCopy:             {name: "s3:PutObject", bucket: acl.Write},
	opCompleteMultipartUpload:    {name: "s3:PutObject", bucket: acl.Write},
	opAbortMultipartUpload:       {name: "s3:AbortMultipartUpload", initiator: true},
	opGetObjectLockConfiguration: {name: "s3:GetBucketObjectLockConfiguration"},
	opPutObjectLockConfiguration: {name: "s3:PutBucketObjectLockConfiguration"},
	opGetObjectRetention:         {name: "s3:GetObjectRetention"},
	opPutObjectRetention:         {name: "s3:PutObjectRetention"},
	opGetObjectLegalHold:         {name: "s3:GetObjectLegalHold"},
	opPutObjectLegalHold:         {name: "s3:PutObjectLegalHold"},
	opGetObjectTorrent:           {name: "s3:GetObjectTorrent", object: acl.Read},
	opListParts:                  {name: "s3:ListMultipartUploadParts", initiator: true},
}

// get, put and delete of what this server does not have: a caller who may do it hears NotImplemented, anybody else AccessDenied.
type absentActions struct{ get, put, delete string }

var absentBucketActions = map[string]absentActions{
	"accelerate":          {get: "s3:GetAccelerateConfiguration", put: "s3:PutAccelerateConfiguration"},
	"analytics":           {get: "s3:GetAnalyticsConfiguration", put: "s3:PutAnalyticsConfiguration", delete: "s3:PutAnalyticsConfiguration"},
	"encryption":          {get: "s3:GetEncryptionConfiguration", put: "s3:PutEncryptionConfiguration", delete: "s3:PutEncryptionConfiguration"},
	"intelligent-tiering": {get: "s3:GetIntelligentTieringConfiguration", put: "s3:PutIntelligentTieringConfiguration", delete: "s3:PutIntelligentTieringConfiguration"},
	"inventory":           {get: "s3:GetInventoryConfiguration", put: "s3:PutInventoryConfiguration", delete: "s3:PutInventoryConfiguration"},
	"lifecycle":           {get: "s3:GetLifecycleConfiguration", put: "s3:PutLifecycleConfiguration", delete: "s3:PutLifecycleConfiguration"},
	"logging":             {get: "s3:GetBucketLogging", put: "s3:PutBucketLogging"},
	"metrics":             {get: "s3:GetMetricsConfiguration", put: "s3:PutMetricsConfiguration", delete: "s3:PutMetricsConfiguration"},
	"notification":        {get: "s3:GetBucketNotification", put: "s3:PutBucketNotification"},
	"replication":         {get: "s3:GetReplicationConfiguration", put: "s3:PutReplicationConfiguration", delete: "s3:PutReplicationConfiguration"},
	"website":             {get: "s3:GetBucketWebsite", put: "s3:PutBucketWebsite", delete: "s3:DeleteBucketWebsite"},
}

var absentObjectActions = map[string]absentActions{
	"restore": {put: "s3:RestoreObject"}, // a POST
}

// action returns what guards the request's operation.
func (c *call) action() action {
	if c.op != opNotImplemented {
		return actions[c.op]
	}
	table, verbs := absentBucketActions, bucketVerbs
	if c.key != "" {
		table, verbs = absentObjectActions, objectVerbs
	}
	name, err := subresource(c.query, verbs)
	if err != nil {
		return action{}
	}
	a := table[name]
	switch c.r.Method {
	case "GET", "HEAD":
		return action{name: a.get}
	case "DELETE":
		return action{name: a.delete}
	}
	return action{name: a.put}
}
