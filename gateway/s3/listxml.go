package s3

import (
	"strings"
	"time"
)

// ListHead is what a listing of objects says before its entries (API reference: ListObjects, ListObjectsV2). Names are given unencoded.
type ListHead struct {
	Bucket    string
	Prefix    string
	Delimiter string // "" = none
	URLEncode bool   // encoding-type=url
	MaxKeys   int
	Truncated bool

	// Version 1.
	Marker     string
	NextMarker string // "" = left out

	// Version 2.
	V2         bool
	KeyCount   int
	StartAfter string
	Token      string // the request's
	HasToken   bool   // the request had one, perhaps empty
	NextToken  string // "" = left out
}

// Begin opens a ListBucketResult and writes its head; entries by [XML.Object] and [XML.CommonPrefix] follow, then Close("ListBucketResult").
func (h *ListHead) Begin(x *XML) {
	x.Begin("ListBucketResult")
	x.Text("Name", h.Bucket)
	x.Name("Prefix", h.Prefix, h.URLEncode && (h.V2 || !selfDecoding(h.Prefix)))
	if h.V2 {
		if h.StartAfter != "" {
			x.Name("StartAfter", h.StartAfter, h.URLEncode)
		}
		if h.HasToken {
			x.Text("ContinuationToken", h.Token)
		}
		x.Optional("NextContinuationToken", h.NextToken)
		x.Int("KeyCount", int64(h.KeyCount))
	} else {
		x.Name("Marker", h.Marker, h.URLEncode)
		if h.NextMarker != "" {
			x.Name("NextMarker", h.NextMarker, h.URLEncode)
		}
	}
	x.Int("MaxKeys", int64(h.MaxKeys))
	if h.Delimiter != "" {
		x.Name("Delimiter", h.Delimiter, h.URLEncode)
	}
	if h.URLEncode {
		x.Text("EncodingType", "url")
	}
	x.Bool("IsTruncated", h.Truncated)
}

// selfDecoding reports whether a name is the same to those who decode it and to those who do not, and XML can say it. Of a listing by version 1 the prefix is encoded only when it is
// not: S3 says that it is encoded, and botocore, and what is built on it, takes it as it comes.
func selfDecoding(name string) bool {
	return !strings.ContainsAny(name, "%+") && legible(name) == name
}

// Name writes an element that holds a key, prefix or delimiter, encoded for encoding-type=url when encode is set.
func (x *XML) Name(element, name string, encode bool) {
	if encode {
		name = URLEncode(name)
	}
	x.Text(element, name)
}

// ListedObject is one entry of a listing.
type ListedObject struct {
	Key          string
	Modified     time.Time
	ETag         string // without quotes
	Size         int64
	StorageClass string
	Checksum     string // name of the algorithm; "" = left out
	ChecksumType string // FULL_OBJECT, COMPOSITE or ""
	Owner        *Owner // nil = left out
}

// Owner names a user in replies.
type Owner struct {
	ID          string
	DisplayName string
}

// Object writes one Contents element.
func (x *XML) Object(o *ListedObject, encode bool) {
	x.Open("Contents")
	x.Name("Key", o.Key, encode)
	x.Time("LastModified", o.Modified)
	x.ETag(o.ETag)
	if o.Checksum != "" {
		x.Text("ChecksumAlgorithm", o.Checksum)
		x.Optional("ChecksumType", o.ChecksumType)
	}
	x.Int("Size", o.Size)
	if o.Owner != nil {
		x.Owner("Owner", *o.Owner)
	}
	x.Text("StorageClass", o.StorageClass)
	x.Close("Contents")
}

// Owner writes a user as an element of the given name.
func (x *XML) Owner(element string, o Owner) {
	x.Open(element)
	x.Text("ID", o.ID)
	x.Text("DisplayName", o.DisplayName)
	x.Close(element)
}

// CommonPrefix writes one CommonPrefixes element.
func (x *XML) CommonPrefix(prefix string, encode bool) {
	x.Open("CommonPrefixes")
	x.Name("Prefix", prefix, encode)
	x.Close("CommonPrefixes")
}
