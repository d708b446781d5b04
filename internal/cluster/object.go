package cluster

import "time"

// Header is one name and value; names are lower case.
type Header struct {
	Name  string
	Value string
}

// Versioning is the state of a bucket.
type Versioning uint8

// The states. Unversioned is that of a new bucket and cannot be reached again.
const (
	Unversioned Versioning = iota
	VersioningEnabled
	VersioningSuspended
)

// ChecksumAlgorithm is one of the additional checksums of S3. The numbers are stored: append only.
type ChecksumAlgorithm uint8

// The algorithms.
const (
	ChecksumNone ChecksumAlgorithm = iota
	ChecksumCRC32
	ChecksumCRC32C
	ChecksumCRC64NVME
	ChecksumSHA1
	ChecksumSHA256
)

// Checksum is an additional checksum of an object or a part. Composite: a checksum of the checksums of the parts ("-N" in S3).
type Checksum struct {
	Algorithm ChecksumAlgorithm
	Composite bool
	Value     []byte // raw digest; big endian for the CRCs, as S3 encodes it
}

// Attributes that the gateway keeps with an entry or bucket in its own encoding; name servers store them as they are, and
// understand AttrRetention and AttrLegalHold (see Retention). The numbers are stored: append only.
const (
	AttrACL       uint16 = 1
	AttrTags      uint16 = 2
	AttrRetention uint16 = 3
	AttrLegalHold uint16 = 4
	AttrPolicy    uint16 = 5
	AttrCORS      uint16 = 6
	AttrOwnership uint16 = 7  // of a bucket: who owns its objects
	AttrPublic    uint16 = 8  // of a bucket: its public access block
	AttrLock      uint16 = 9  // of a bucket: its object lock configuration
	AttrPayer     uint16 = 10 // of a bucket: who says that he pays for requests
)

// Attribute is one opaque value kept with an entry or bucket.
type Attribute struct {
	ID    uint16
	Value []byte
}

// Entry is a version of a key: everything about an object but its bytes.
type Entry struct {
	Key          string // opaque bytes, 1 to MaxKeyBytes
	Version      VersionID
	Null         bool      // the version made while versioning was not enabled: "null" in S3
	Latest       bool      // the current version of its key; set in replies
	DeleteMarker bool      // then the fields below Modified and Owner are zero
	Modified     time.Time // UTC, millisecond precision
	Owner        UserID

	Size         int64
	ETag         string // as in S3 without the quotes: hex MD5, or md5-of-md5s-N
	Content      Link   // the bytes; zero when Size is 0 or PartCount > 0
	PartCount    int32  // > 0: the bytes are parts; NameServer.Parts lists them under Table
	Table        ObjectID
	StorageClass uint8 // 0 = STANDARD

	Headers  []Header // system metadata: content-type, cache-control, content-disposition, content-encoding, content-language, expires, ...; sorted by name
	UserMeta []Header // x-amz-meta-* without the prefix; sorted by name
	Checksum Checksum
	Attrs    []Attribute // sorted by id
}

// Bucket is a bucket's record.
type Bucket struct {
	Name       string
	ID         BucketID
	Owner      UserID
	Created    time.Time // UTC, millisecond precision
	Epoch      Epoch     // changes with every update
	Versioning Versioning
	Location   string
	Attrs      []Attribute // sorted by id
}

// Part is one part of a multipart upload, or of an object made by one.
type Part struct {
	Number   int32 // 1 to MaxParts
	Offset   int64 // in the object; 0 while uploading
	Size     int64
	Content  Link // zero when Size is 0
	ETag     string
	Modified time.Time
	Checksum Checksum
}

// Upload is a running multipart upload.
type Upload struct {
	ID        UploadID
	Key       string
	Initiated time.Time
	Owner     UserID // who began it
	Template  Entry  // metadata that the completed object gets: Owner, StorageClass, Headers, UserMeta, Attrs, Checksum.Algorithm and .Composite
}

// Condition is what must hold for a write to take place, decided atomically with it (If-Match, If-None-Match).
type Condition struct {
	IfMatch     string // ETag that the current version must have; "*" any existing object; "" no condition
	IfNoneMatch string // "*": there must be no current object; an ETag: the current one must differ; "" no condition
	// Conditions of conditional DELETE; nil is no condition.
	IfModified *time.Time // the current version's Modified must equal it, to the second
	IfSize     *int64
}
