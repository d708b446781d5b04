package s3

// VersioningConfiguration is the request body of PutBucketVersioning.
type VersioningConfiguration struct {
	Status    string `xml:"Status"`
	MFADelete string `xml:"MfaDelete"`
}

// VersionsHead is what ListObjectVersions says before its entries. Names are given unencoded.
type VersionsHead struct {
	Bucket            string
	Prefix            string
	Delimiter         string // "" = left out
	KeyMarker         string
	VersionMarker     string
	NextKeyMarker     string // "" = left out
	NextVersionMarker string // "" = left out
	URLEncode         bool   // encoding-type=url
	MaxKeys           int
	Truncated         bool
}

// Begin opens a ListVersionsResult and writes its head; entries by [XML.Version] and [XML.CommonPrefix] follow, then Close("ListVersionsResult").
func (h *VersionsHead) Begin(x *XML) {
	x.Begin("ListVersionsResult")
	x.Text("Name", h.Bucket)
	x.Name("Prefix", h.Prefix, h.URLEncode)
	x.Name("KeyMarker", h.KeyMarker, h.URLEncode)
	x.Text("VersionIdMarker", h.VersionMarker)
	if h.NextKeyMarker != "" {
		x.Name("NextKeyMarker", h.NextKeyMarker, h.URLEncode)
		x.Optional("NextVersionIdMarker", h.NextVersionMarker)
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

// ListedVersion is one entry of ListObjectVersions; a delete marker has no ETag, size, class and checksum.
type ListedVersion struct {
	ListedObject
	VersionID    string
	Latest       bool
	DeleteMarker bool
}

// Version writes one Version or DeleteMarker element.
func (x *XML) Version(v *ListedVersion, encode bool) {
	element := "Version"
	if v.DeleteMarker {
		element = "DeleteMarker"
	}
	x.Open(element)
	x.Name("Key", v.Key, encode)
	x.Text("VersionId", v.VersionID)
	x.Bool("IsLatest", v.Latest)
	x.Time("LastModified", v.Modified)
	if !v.DeleteMarker {
		x.ETag(v.ETag)
		if v.Checksum != "" {
			x.Text("ChecksumAlgorithm", v.Checksum)
			x.Optional("ChecksumType", v.ChecksumType)
		}
		x.Int("Size", v.Size)
		x.Text("StorageClass", v.StorageClass)
	}
	if v.Owner != nil {
		x.Owner("Owner", *v.Owner)
	}
	x.Close(element)
}
