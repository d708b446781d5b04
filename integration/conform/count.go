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
