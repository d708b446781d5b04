package gateway

import (
	"net/http"

	"ostor/gateway/s3"
)

// operation is one S3 operation. The name is that of the API reference and labels metrics and log lines.
type operation uint8

const (
	opNone operation = iota // the request was refused before its operation was known
	opListBuckets
	opCreateBucket
	opHeadBucket
	opDeleteBucket
	opGetBucketLocation
	opGetBucketVersioning
	opGetBucketACL
	opListObjects
	opListObjectsV2
	opListMultipartUploads
	opDeleteObjects
	opPutObject
	opCopyObject
	opGetObject
	opHeadObject
	opDeleteObject
	opGetObjectACL
	opGetObjectTagging
	opCreateMultipartUpload
	opUploadPart
	opUploadPartCopy
	opCompleteMultipartUpload
	opAbortMultipartUpload
	opListParts
	opPutBucketVersioning
	opListObjectVersions
	opPutObjectTagging
	opDeleteObjectTagging
	opGetBucketTagging
	opPutBucketTagging
	opDeleteBucketTagging
	opGetObjectAttributes
	opGetBucketRequestPayment
	opPutBucketRequestPayment
	opPreflight
	opGetBucketCORS
	opPutBucketCORS
	opDeleteBucketCORS
	opPostObject
	opPutBucketACL
	opPutObjectACL
	opGetBucketPolicy
	opPutBucketPolicy
	opDeleteBucketPolicy
	opGetBucketPolicyStatus
	opGetOwnershipControls
	opPutOwnershipControls
	opDeleteOwnershipControls
	opGetPublicAccessBlock
	opPutPublicAccessBlock
	opDeletePublicAccessBlock
	opGetObjectLockConfiguration
	opPutObjectLockConfiguration
	opGetObjectRetention
	opPutObjectRetention
	opGetObjectLegalHold
	opPutObjectLegalHold
	opGetObjectTorrent
	opCount

	// opNotImplemented stands in the tables for an operation of S3 that this server does not have: 501, never silently something else.
	opNotImplemented operation = 255
)

var operationNames = [opCount]string{
	opNone:                       "None",
	opListBuckets:                "ListBuckets",
	opCreateBucket:               "CreateBucket",
	opHeadBucket:                 "HeadBucket",
	opDeleteBucket:               "DeleteBucket",
	opGetBucketLocation:          "GetBucketLocation",
	opGetBucketVersioning:        "GetBucketVersioning",
	opGetBucketACL:               "GetBucketAcl",
	opListObjects:                "ListObjects",
	opListObjectsV2:              "ListObjectsV2",
	opListMultipartUploads:       "ListMultipartUploads",
	opDeleteObjects:              "DeleteObjects",
	opPutObject:                  "PutObject",
	opCopyObject:                 "CopyObject",
	opGetObject:                  "GetObject",
	opHeadObject:                 "HeadObject",
	opDeleteObject:               "DeleteObject",
	opGetObjectACL:               "GetObjectAcl",
	opGetObjectTagging:           "GetObjectTagging",
	opCreateMultipartUpload:      "CreateMultipartUpload",
	opUploadPart:                 "UploadPart",
	opUploadPartCopy:             "UploadPartCopy",
	opCompleteMultipartUpload:    "CompleteMultipartUpload",
	opAbortMultipartUpload:       "AbortMultipartUpload",
	opListParts:                  "ListParts",
	opPutBucketVersioning:        "PutBucketVersioning",
	opListObjectVersions:         "ListObjectVersions",
	opPutObjectTagging:           "PutObjectTagging",
	opDeleteObjectTagging:        "DeleteObjectTagging",
	opGetBucketTagging:           "GetBucketTagging",
	opPutBucketTagging:           "PutBucketTagging",
	opDeleteBucketTagging:        "DeleteBucketTagging",
	opGetObjectAttributes:        "GetObjectAttributes",
	opGetBucketRequestPayment:    "GetBucketRequestPayment",
	opPutBucketRequestPayment:    "PutBucketRequestPayment",
	opPreflight:                  "OptionsObject",
	opGetBucketCORS:              "GetBucketCors",
	opPutBucketCORS:              "PutBucketCors",
	opDeleteBucketCORS:           "DeleteBucketCors",
	opPostObject:                 "PostObject",
	opPutBucketACL:               "PutBucketAcl",
	opPutObjectACL:               "PutObjectAcl",
	opGetBucketPolicy:            "GetBucketPolicy",
	opPutBucketPolicy:            "PutBucketPolicy",
	opDeleteBucketPolicy:         "DeleteBucketPolicy",
	opGetBucketPolicyStatus:      "GetBucketPolicyStatus",
	opGetOwnershipControls:       "GetBucketOwnershipControls",
	opPutOwnershipControls:       "PutBucketOwnershipControls",
	opDeleteOwnershipControls:    "DeleteBucketOwnershipControls",
	opGetPublicAccessBlock:       "GetPublicAccessBlock",
	opPutPublicAccessBlock:       "PutPublicAccessBlock",
	opDeletePublicAccessBlock:    "DeletePublicAccessBlock",
	opGetObjectLockConfiguration: "GetObjectLockConfiguration",
	opPutObjectLockConfiguration: "PutObjectLockConfiguration",
	opGetObjectRetention:         "GetObjectRetention",
	opPutObjectRetention:         "PutObjectRetention",
	opGetObjectLegalHold:         "GetObjectLegalHold",
	opPutObjectLegalHold:         "PutObjectLegalHold",
	opGetObjectTorrent:           "GetObjectTorrent",
}

func (o operation) String() string {
	if o < opCount {
		return operationNames[o]
	}
	return "NotImplemented"
}

// verbs gives the operation of each method; opNone: the method is not allowed there.
type verbs struct{ get, head, put, post, delete operation }

func (v verbs) of(method string) operation {
	switch method {
	case http.MethodGet:
		return v.get
	case http.MethodHead:
		return v.head
	case http.MethodPut:
		return v.put
	case http.MethodPost:
		return v.post
	case http.MethodDelete:
		return v.delete
	}
	return opNone
}

const no = opNotImplemented

// The tables of every sub-resource that S3 knows (API reference, "Actions"), by what the URL names. The entry "" is the thing itself.
var (
	serviceVerbs = map[string]verbs{"": {get: opListBuckets}}

	bucketVerbs = map[string]verbs{
		"":           {get: opListObjects, head: opHeadBucket, put: opCreateBucket, post: opPostObject, delete: opDeleteBucket},
		"location":   {get: opGetBucketLocation},
		"versioning": {get: opGetBucketVersioning, put: opPutBucketVersioning},
		"acl":        {get: opGetBucketACL, put: opPutBucketACL},
		"uploads":    {get: opListMultipartUploads},
		"versions":   {get: opListObjectVersions},
		"tagging":    {get: opGetBucketTagging, put: opPutBucketTagging, delete: opDeleteBucketTagging},
		"delete":     {post: opDeleteObjects},

		"abac":                   {get: no, put: no},
		"accelerate":             {get: no, put: no},
		"analytics":              {get: no, put: no, delete: no},
		"cors":                   {get: opGetBucketCORS, put: opPutBucketCORS, delete: opDeleteBucketCORS},
		"encryption":             {get: no, put: no, delete: no},
		"intelligent-tiering":    {get: no, put: no, delete: no},
		"inventory":              {get: no, put: no, delete: no},
		"lifecycle":              {get: no, put: no, delete: no},
		"logging":                {get: no, put: no},
		"metadataConfiguration":  {get: no, post: no, delete: no},
		"metadataInventoryTable": {put: no},
		"metadataJournalTable":   {put: no},
		"metadataTable":          {get: no, post: no, delete: no},
		"metrics":                {get: no, put: no, delete: no},
		"notification":           {get: no, put: no},
		"object-lock":            {get: opGetObjectLockConfiguration, put: opPutObjectLockConfiguration},
		"ownershipControls":      {get: opGetOwnershipControls, put: opPutOwnershipControls, delete: opDeleteOwnershipControls},
		"policy":                 {get: opGetBucketPolicy, put: opPutBucketPolicy, delete: opDeleteBucketPolicy},
		"policyStatus":           {get: opGetBucketPolicyStatus},
		"publicAccessBlock":      {get: opGetPublicAccessBlock, put: opPutPublicAccessBlock, delete: opDeletePublicAccessBlock},
		"replication":            {get: no, put: no, delete: no},
		"requestPayment":         {get: opGetBucketRequestPayment, put: opPutBucketRequestPayment},
		"session":                {get: no},
		"website":                {get: no, put: no, delete: no},
	}

	objectVerbs = map[string]verbs{
		"":         {get: opGetObject, head: opHeadObject, put: opPutObject, delete: opDeleteObject},
		"acl":      {get: opGetObjectACL, put: opPutObjectACL},
		"uploads":  {post: opCreateMultipartUpload},
		"uploadId": {get: opListParts, put: opUploadPart, post: opCompleteMultipartUpload, delete: opAbortMultipartUpload},

		"attributes":   {get: opGetObjectAttributes},
		"encryption":   {put: no},
		"legal-hold":   {get: opGetObjectLegalHold, put: opPutObjectLegalHold},
		"renameObject": {put: no},
		"restore":      {post: no},
		"retention":    {get: opGetObjectRetention, put: opPutObjectRetention},
		"select":       {post: no},
		"tagging":      {get: opGetObjectTagging, put: opPutObjectTagging, delete: opDeleteObjectTagging},
		"torrent":      {get: opGetObjectTorrent},
	}
)

// operationOf finds the operation that method, address, query and headers ask for.
func operationOf(r *http.Request, a address, q query) (operation, error) {
	var op operation
	switch {
	case a.bucket == "":
		if name, err := subresource(q, serviceVerbs); err != nil || name != "" {
			return opNone, s3.ErrMethodNotAllowed
		}
		op = serviceVerbs[""].of(r.Method)
	case a.key == "":
		name, err := subresource(q, bucketVerbs)
		if err != nil {
			return opNone, err
		}
		op = bucketVerbs[name].of(r.Method)
		if op == opListObjects && q.has("list-type") {
			if q.get("list-type") != "2" {
				return opNone, badArgument("list-type", q.get("list-type"), "list-type must be 2")
			}
			op = opListObjectsV2
		}
	default:
		name, err := subresource(q, objectVerbs)
		if err != nil {
			return opNone, err
		}
		op = objectVerbs[name].of(r.Method)
		if copied := r.Header["X-Amz-Copy-Source"] != nil; copied && op == opPutObject {
			op = opCopyObject
		} else if copied && op == opUploadPart {
			op = opUploadPartCopy
		}
	}
	if op == opNone {
		return opNone, s3.ErrMethodNotAllowed
	}
	return op, nil
}

// subresource returns the one parameter that the table knows, or "". One that only another table knows is a request for something that this resource does not
// have: taken for an ordinary option, PUT /bucket/key?policy would write an object. What no table knows is an option of an operation, or nothing to S3.
func subresource(q query, table map[string]verbs) (string, error) {
	found := ""
	for i := range q {
		name := q[i].name
		if name == "" {
			continue
		}
		if _, ok := table[name]; ok {
			if found != "" {
				return "", invalidArgument("Conflicting query string parameters: " + found + ", " + name)
			}
			found = name
			continue
		}
		_, bucket := bucketVerbs[name]
		if _, object := objectVerbs[name]; bucket || object {
			return "", s3.ErrMethodNotAllowed
		}
	}
	return found, nil
}
