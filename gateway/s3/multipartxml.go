package s3

import "time"

// WriteInitiateMultipartUpload writes the reply of CreateMultipartUpload.
func WriteInitiateMultipartUpload(x *XML, bucket, key, uploadID string) {
	x.Begin("InitiateMultipartUploadResult")
	x.Text("Bucket", bucket)
	x.Text("Key", key)
	x.Text("UploadId", uploadID)
	x.Close("InitiateMultipartUploadResult")
}

// CompleteMultipartUpload is the request body of the operation of that name.
type CompleteMultipartUpload struct {
	Parts []CompletedPart `xml:"Part"`
}

// CompletedPart names one part of a [CompleteMultipartUpload]. Checksums are base64, "" when the client gave none.
type CompletedPart struct {
	PartNumber        int32  `xml:"PartNumber"`
	ETag              string `xml:"ETag"`
	ChecksumCRC32     string `xml:"ChecksumCRC32"`
	ChecksumCRC32C    string `xml:"ChecksumCRC32C"`
	ChecksumCRC64NVME string `xml:"ChecksumCRC64NVME"`
	ChecksumSHA1      string `xml:"ChecksumSHA1"`
	ChecksumSHA256    string `xml:"ChecksumSHA256"`
}

// NamedChecksum is a checksum element of a reply: Name is the element's ("ChecksumCRC32"), "" for none.
type NamedChecksum struct {
	Name  string
	Value string // base64, with -N when composite
}

// Checksum writes a checksum element, if there is one.
func (x *XML) Checksum(c NamedChecksum) {
	if c.Name != "" {
		x.Text(c.Name, c.Value)
	}
}

// CompleteResult is the reply of CompleteMultipartUpload.
type CompleteResult struct {
	Location     string
	Bucket       string
	Key          string
	ETag         string
	Checksum     NamedChecksum
	ChecksumType string
}

// Write writes the document.
func (r *CompleteResult) Write(x *XML) {
	x.Begin("CompleteMultipartUploadResult")
	x.Text("Location", r.Location)
	x.Text("Bucket", r.Bucket)
	x.Text("Key", r.Key)
	x.ETag(r.ETag)
	x.Checksum(r.Checksum)
	x.Optional("ChecksumType", r.ChecksumType)
	x.Close("CompleteMultipartUploadResult")
}

// CopyResult is the reply of CopyObject and UploadPartCopy.
type CopyResult struct {
	Modified     time.Time
	ETag         string
	Checksum     NamedChecksum
	ChecksumType string // of CopyObject
}

// Write writes the document with the given root: CopyObjectResult or CopyPartResult.
func (r *CopyResult) Write(x *XML, root string) {
	x.Begin(root)
	x.Time("LastModified", r.Modified)
	x.ETag(r.ETag)
	x.Checksum(r.Checksum)
	x.Optional("ChecksumType", r.ChecksumType)
	x.Close(root)
}

// ListedPart is one part of ListParts.
type ListedPart struct {
	Number   int32
	Modified time.Time
	ETag     string
	Size     int64
	Checksum NamedChecksum
}

// ListPartsResult is the reply of ListParts.
type ListPartsResult struct {
	Bucket       string
	Key          string
	UploadID     string
	URLEncode    bool
	Initiator    Owner
	Owner        Owner
	StorageClass string
	Marker       int32
	NextMarker   int32 // of a truncated list
	MaxParts     int
	Truncated    bool
	Algorithm    string // checksum algorithm of the upload; "" = none
	ChecksumType string
	Parts        []ListedPart
}

// Write writes the document.
func (r *ListPartsResult) Write(x *XML) {
	x.Begin("ListPartsResult")
	x.Text("Bucket", r.Bucket)
	x.Name("Key", r.Key, r.URLEncode)
	x.Text("UploadId", r.UploadID)
	x.Owner("Initiator", r.Initiator)
	x.Owner("Owner", r.Owner)
	x.Text("StorageClass", r.StorageClass)
	x.Int("PartNumberMarker", int64(r.Marker))
	if r.Truncated {
		x.Int("NextPartNumberMarker", int64(r.NextMarker))
	}
	x.Int("MaxParts", int64(r.MaxParts))
	x.Bool("IsTruncated", r.Truncated)
	x.Optional("ChecksumAlgorithm", r.Algorithm)
	x.Optional("ChecksumType", r.ChecksumType)
	for i := range r.Parts {
		p := &r.Parts[i]
		x.Open("Part")
		x.Int("PartNumber", int64(p.Number))
		x.Time("LastModified", p.Modified)
		x.ETag(p.ETag)
		x.Int("Size", p.Size)
		x.Checksum(p.Checksum)
		x.Close("Part")
	}
	x.Close("ListPartsResult")
}

// ListedUpload is one upload of ListMultipartUploads.
type ListedUpload struct {
	Key          string
	UploadID     string
	Initiator    Owner
	Owner        Owner
	StorageClass string
	Initiated    time.Time
	Algorithm    string
	ChecksumType string
}

// ListUploadsResult is the reply of ListMultipartUploads.
type ListUploadsResult struct {
	Bucket         string
	KeyMarker      string
	UploadIDMarker string
	NextKeyMarker  string // with NextUploadID, of a truncated list
	NextUploadID   string
	Prefix         string
	Delimiter      string
	URLEncode      bool
	MaxUploads     int
	Truncated      bool
	Uploads        []ListedUpload
	Prefixes       []string
}

// Write writes the document.
func (r *ListUploadsResult) Write(x *XML) {
	x.Begin("ListMultipartUploadsResult")
	x.Text("Bucket", r.Bucket)
	x.Name("KeyMarker", r.KeyMarker, r.URLEncode)
	x.Text("UploadIdMarker", r.UploadIDMarker)
	if r.Truncated {
		x.Name("NextKeyMarker", r.NextKeyMarker, r.URLEncode)
		x.Text("NextUploadIdMarker", r.NextUploadID)
	}
	if r.Prefix != "" {
		x.Name("Prefix", r.Prefix, r.URLEncode)
	}
	if r.Delimiter != "" {
		x.Name("Delimiter", r.Delimiter, r.URLEncode)
	}
	if r.URLEncode {
		x.Text("EncodingType", "url")
	}
	x.Int("MaxUploads", int64(r.MaxUploads))
	x.Bool("IsTruncated", r.Truncated)
	for i := range r.Uploads {
		u := &r.Uploads[i]
		x.Open("Upload")
		x.Name("Key", u.Key, r.URLEncode)
		x.Text("UploadId", u.UploadID)
		x.Owner("Initiator", u.Initiator)
		x.Owner("Owner", u.Owner)
		x.Text("StorageClass", u.StorageClass)
		x.Time("Initiated", u.Initiated)
		x.Optional("ChecksumAlgorithm", u.Algorithm)
		x.Optional("ChecksumType", u.ChecksumType)
		x.Close("Upload")
	}
	for _, p := range r.Prefixes {
		x.CommonPrefix(p, r.URLEncode)
	}
	x.Close("ListMultipartUploadsResult")
}
