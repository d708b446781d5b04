package conform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// subresources of the operations' names; "" is the thing itself.
var operationNames = map[string]string{
	"GET /": "ListBuckets", "PUT b": "CreateBucket", "HEAD b": "HeadBucket", "DELETE b": "DeleteBucket", "GET b": "ListObjects", "GET b?list-type": "ListObjectsV2",
	"GET b?location": "GetBucketLocation", "GET b?versioning": "GetBucketVersioning", "PUT b?versioning": "PutBucketVersioning", "GET b?versions": "ListObjectVersions",
	"GET b?uploads": "ListMultipartUploads", "POST b?delete": "DeleteObjects", "PUT k": "PutObject", "GET k": "GetObject", "HEAD k": "HeadObject", "DELETE k": "DeleteObject",
	"PUT k copy": "CopyObject", "POST k?uploads": "CreateMultipartUpload", "PUT k?uploadId": "UploadPart", "PUT k?uploadId copy": "UploadPartCopy", "POST k?uploadId": "CompleteMultipartUpload",
	"DELETE k?uploadId": "AbortMultipartUpload", "GET k?uploadId": "ListParts", "GET k?attributes": "GetObjectAttributes", "GET k?torrent": "GetObjectTorrent",

	"GET b?acl": "GetBucketAcl", "PUT b?acl": "PutBucketAcl", "GET b?policy": "GetBucketPolicy", "PUT b?policy": "PutBucketPolicy", "DELETE b?policy": "DeleteBucketPolicy",
	"GET b?ownershipControls": "GetBucketOwnershipControls", "PUT b?ownershipControls": "PutBucketOwnershipControls", "DELETE b?ownershipControls": "DeleteBucketOwnershipControls",
	"GET b?publicAccessBlock": "GetPublicAccessBlock", "PUT b?publicAccessBlock": "PutPublicAccessBlock", "DELETE b?publicAccessBlock": "DeletePublicAccessBlock",
	"GET b?cors": "GetBucketCors", "PUT b?cors": "PutBucketCors", "DELETE b?cors": "DeleteBucketCors", "GET b?tagging": "GetBucketTagging", "PUT b?tagging": "PutBucketTagging",
	"DELETE b?tagging": "DeleteBucketTagging", "GET b?object-lock": "GetObjectLockConfiguration", "PUT b?object-lock": "PutObjectLockConfiguration",
	"GET b?requestPayment": "GetBucketRequestPayment", "PUT b?requestPayment": "PutBucketRequestPayment", "GET b?policyStatus": "GetBucketPolicyStatus", "POST b": "PostObject",
	"OPTIONS b": "OptionsObject", "OPTIONS k": "OptionsObject", "GET k?acl": "GetObjectAcl", "PUT k?acl": "PutObjectAcl", "GET k?tagging": "GetObjectTagging",
	"PUT k?tagging": "PutObjectTagging", "DELETE k?tagging": "DeleteObjectTagging", "GET k?retention": "GetObjectRetention", "PUT k?retention": "PutObjectRetention",
	"GET k?legal-hold": "GetObjectLegalHold", "PUT k?legal-hold": "PutObjectLegalHold",
}

// count notes the operation of a request.
func (s *Site) count(st *step) {
	path, query, _ := strings.Cut(st.target, "?")
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name := st.method + " "
	switch {
	case bucket == "":
		name += "/"
	case key == "":
		name += "b"
	default:
		name += "k"
	}
	for p := range strings.SplitSeq(query, "&") {
		p, _, _ = strings.Cut(p, "=")
		if _, ok := operationNames[name+"?"+p]; ok {
			name += "?" + p
		}
	}
	for _, h := range st.header {
		if strings.HasPrefix(strings.ToLower(h), "x-amz-copy-source:") {
			name += " copy"
		}
	}
	op, ok := operationNames[name]
	if !ok {
		op = "others"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tried == nil {
		s.tried = make(map[string]int)
	}
	s.tried[op]++
}

// report says how many requests each operation was tried with.
func (s *Site) report() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	var b strings.Builder
	for _, op := range slices.Sorted(maps.Keys(s.tried)) {
		total += s.tried[op]
		fmt.Fprintf(&b, " %s %d", op, s.tried[op])
	}
	return fmt.Sprintf("%d requests:%s", total, b.String())
}
