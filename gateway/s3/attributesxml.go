package s3

// ObjectAttributes is the reply of GetObjectAttributes; what is zero or nil is left out.
type ObjectAttributes struct {
	ETag         string
	Checksum     NamedChecksum
	ChecksumType string
	Parts        *AttributeParts
	StorageClass string
	Size         *int64
}

// AttributeParts is a page of the parts of an object.
type AttributeParts struct {
	Count      int
	Marker     int32
	NextMarker int32
	MaxParts   int
	Truncated  bool
	Parts      []ListedPart
}

// Write writes the document. The ETag has no quotes here.
func (a *ObjectAttributes) Write(x *XML) {
	x.Begin("GetObjectAttributesResponse")
	x.Optional("ETag", a.ETag)
	if a.Checksum.Name != "" {
		x.Open("Checksum")
		x.Checksum(a.Checksum)
		x.Optional("ChecksumType", a.ChecksumType)
		x.Close("Checksum")
	}
	if p := a.Parts; p != nil {
		x.Open("ObjectParts")
		x.Int("PartsCount", int64(p.Count))
		x.Int("PartNumberMarker", int64(p.Marker))
		x.Int("NextPartNumberMarker", int64(p.NextMarker))
		x.Int("MaxParts", int64(p.MaxParts))
		x.Bool("IsTruncated", p.Truncated)
		for i := range p.Parts {
			x.Open("Part")
			x.Int("PartNumber", int64(p.Parts[i].Number))
			x.Int("Size", p.Parts[i].Size)
			x.Checksum(p.Parts[i].Checksum)
			x.Close("Part")
		}
		x.Close("ObjectParts")
	}
	x.Optional("StorageClass", a.StorageClass)
	if a.Size != nil {
		x.Int("ObjectSize", *a.Size)
	}
	x.Close("GetObjectAttributesResponse")
}

// RequestPaymentConfiguration is the request body of PutBucketRequestPayment.
type RequestPaymentConfiguration struct {
	Payer string `xml:"Payer"`
}

// WriteRequestPayment writes the reply of GetBucketRequestPayment.
func WriteRequestPayment(x *XML, payer string) {
	x.Begin("RequestPaymentConfiguration")
	x.Text("Payer", payer)
	x.Close("RequestPaymentConfiguration")
}
