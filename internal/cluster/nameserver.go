package cluster

import (
	"context"
	"time"
)

// NameServer keeps names and metadata of a share of the namespace. Which share: [Topology]. Everything about one directory of a bucket (the part of
// a key up to and with its last slash) is on one server: its entries, versions, uploads and parts. A bucket's record is on the server of its name, and
// all records of the service bucket below one directory ("/u/") are on one server.
//
// Every call about objects carries the BucketID. It returns fault.NoBucket once the bucket was sealed there.
type NameServer interface {
	// Buckets.

	// CreateBucket adds a bucket; b.ID, b.Created and b.Owner are the caller's choice, Epoch is set to 1. It returns fault.Exists, with the existing bucket, when the name is taken.
	CreateBucket(ctx context.Context, b Bucket) (Bucket, error)
	// GetBucket returns a bucket's record, or fault.NoBucket.
	GetBucket(ctx context.Context, name string) (Bucket, error)
	// GetBucketSince is GetBucket for a caller that has the record of bucket id with an epoch: same says that it is still that, and then nothing is returned.
	GetBucketSince(ctx context.Context, name string, id BucketID, epoch Epoch) (b Bucket, same bool, err error)
	// UpdateBucket replaces a bucket's Owner, Versioning and Attrs when its ID and Epoch are still b's, and returns it with the new epoch.
	// It returns fault.NoBucket when it is gone, fault.Stale when the epoch has moved on: read again and retry.
	UpdateBucket(ctx context.Context, b Bucket) (Bucket, error)
	// DeleteBucket removes the record if its ID is id and its Epoch is epoch: that for which the caller has sealed the bucket on every name server before. fault.NoBucket when it is gone,
	// fault.Stale when the epoch has moved on: read again and seal again.
	DeleteBucket(ctx context.Context, name string, id BucketID, epoch Epoch) error
	// ListBuckets lists the buckets whose records are here, by name.
	ListBuckets(ctx context.Context, r ListBucketsRequest) (BucketPage, error)
	// SealBucket ends all writes and reads in a bucket here, provided that it holds no entry, version or delete marker: otherwise fault.NotEmpty and nothing is
	// changed. With force it seals even then, and what the bucket holds goes to garbage collection. Running uploads do not count and are aborted. epoch is that of the bucket's
	// record as the caller read it. fault.Stale when the bucket was opened here for this epoch or a later one.
	SealBucket(ctx context.Context, id BucketID, epoch Epoch, force bool) error
	// UnsealBucket takes back a seal for epoch or an earlier one, and refuses such from now on; a seal for a later epoch stays, without an error. The caller has seen the record of the
	// bucket with a later epoch: so no DeleteBucket that counts on what is opened here can succeed any more. Aborted uploads stay aborted.
	UnsealBucket(ctx context.Context, id BucketID, epoch Epoch) error

	// Objects.

	// Guard announces that an object is being written. Until its deadline the name server remembers the link; a Create, PutPart or DropGuard ends it; when it expires the link goes
	// to the garbage queue. Guard may return before the guard is durable: a guard lost in a crash makes the create fail, and the server's orphan
	// reconciliation frees the bytes.
	Guard(ctx context.Context, g Guard) error
	// DropGuard ends guards and queues their links for garbage collection: the write failed. Unknown ones are no error.
	DropGuard(ctx context.Context, links []Link) error
	// CreateEntry makes a new current version of a key and, in the same batch, ends the guard of its content and queues what it replaces for garbage collection.
	// It returns fault.GuardGone when e.Content is set and has no guard, fault.Precondition when the condition does not hold, fault.NotFound when IfMatch is
	// set and there is no current object. The entry's Version, Null and Latest are set by the server and returned.
	CreateEntry(ctx context.Context, r CreateEntryRequest) (Entry, error)
	// Lookup returns a version of a key: the current one for a zero Version and Null false. fault.NotFound when there is none. A delete marker is returned like any
	// other version: the caller looks at DeleteMarker.
	Lookup(ctx context.Context, r LookupRequest) (Entry, error)
	// UpdateEntry replaces the attributes of a version that are named in r.Set (a nil value removes one), keeping everything else, its version and Modified.
	// It returns fault.Denied when that would weaken a retention (see CheckRetention).
	UpdateEntry(ctx context.Context, r UpdateEntryRequest) (Entry, error)
	// DeleteEntry removes a name or adds a delete marker, as S3 does by the bucket's versioning. Deleting what is not there is no error.
	// It returns fault.Denied for a version that a retention or a legal hold protects (see CheckRemoval).
	DeleteEntry(ctx context.Context, r DeleteEntryRequest) (Deleted, error)
	// List returns a page of current objects (delete markers left out) and common prefixes, in byte order of names.
	List(ctx context.Context, r ListRequest) (ListPage, error)
	// ListVersions returns a page of all versions and delete markers, by key and then newest first, with common prefixes.
	ListVersions(ctx context.Context, r ListVersionsRequest) (ListPage, error)
	// Parts returns parts of a completed multipart object in order, beginning with the one that holds offset, at most limit (0 = 1000).
	Parts(ctx context.Context, bucket BucketID, key string, table ObjectID, offset int64, limit int) ([]Part, error)

	// Multipart uploads.

	CreateUpload(ctx context.Context, bucket BucketID, u Upload) error
	// GetUpload returns a running upload, or fault.NoUpload when there is none of this id and key.
	GetUpload(ctx context.Context, bucket BucketID, key string, id UploadID) (Upload, error)
	// PutPart records a part, replacing one of the same number (whose content goes to garbage), and ends the guard of its content.
	// fault.NoUpload when the upload has ended; fault.GuardGone as for CreateEntry.
	PutPart(ctx context.Context, bucket BucketID, key string, id UploadID, p Part) error
	// ListParts returns parts with numbers above after, ascending, at most limit (0 = 1000), and whether there are more.
	ListParts(ctx context.Context, bucket BucketID, key string, id UploadID, after int32, limit int) (parts []Part, more bool, err error)
	// ListUploads returns running uploads by key, then by initiation.
	ListUploads(ctx context.Context, r ListUploadsRequest) (UploadPage, error)
	// CompleteUpload makes the object of the parts named, in one batch: from then on it is complete. Parts not named go to garbage. It checks, against what is recorded: existence and ETag of each part
	// (fault.InvalidPart), ascending numbers (fault.PartOrder), MinPartBytes of all but the last (fault.PartTooSmall), total size (fault.TooLarge). A repeated call with the
	// same parts after success returns the entry again as long as it is the current version; otherwise fault.NoUpload.
	CompleteUpload(ctx context.Context, r CompleteUploadRequest) (Entry, error)
	// AbortUpload ends an upload; its parts go to garbage. fault.NoUpload when there is none.
	AbortUpload(ctx context.Context, bucket BucketID, key string, id UploadID) error

	// Records of the service bucket ("/u/...", "/tmp/..."): small values by name.

	// GetRecord returns a value, or fault.NotFound.
	GetRecord(ctx context.Context, name string) (Record, error)
	// ListRecords returns records whose names begin with prefix and are greater than after, ascending, at most limit (0 = 1000).
	ListRecords(ctx context.Context, prefix, after string, limit int) (records []Record, more bool, err error)
	// ApplyRecords makes all changes in one batch when every expectation holds, otherwise none and fault.Precondition.
	ApplyRecords(ctx context.Context, changes []RecordChange) error

	// Links, for the reconciliation and repair of object servers.

	// UnknownLinks returns those of ids, objects of an object server, that nothing here refers to: no version, no part of an object or upload, no guard, no garbage that is
	// queued. At most MaxUnknownLinks; the reply is ascending, each once. From the call on, guards for ids that it returns are refused with fault.GuardGone, until the next call for the same
	// object server or for UnknownFor: so when every name server of the volume has returned an id within that time, nothing refers to the object nor will, and it may be deleted.
	// fault.Stale when another call for the server
	// ran meanwhile. It reads everything that is stored here.
	UnknownLinks(ctx context.Context, server ServiceID, ids []ObjectID) ([]ObjectID, error)
	// FindLinks says which names hold objects of an object server, in no order: none for an object that no version and no part of this server holds. At most MaxFindLinks ids. It reads
	// everything that is stored here.
	FindLinks(ctx context.Context, server ServiceID, ids []ObjectID) ([]LinkHolder, error)
}

// Bounds of UnknownLinks and FindLinks.
const (
	MaxUnknownLinks = 1 << 18
	MaxFindLinks    = 1000
	UnknownFor      = 10 * time.Minute
)

// LinkHolder says what name holds an object.
type LinkHolder struct {
	Object  ObjectID
	Bucket  BucketID
	Key     string
	Version VersionID // of a version; zero for a part
	Part    int32     // number of the part; 0 for a version that is one object
}

// Guard is the announcement of an object that is being written.
type Guard struct {
	Bucket  BucketID
	Key     string
	Content Link
	Timeout time.Duration // from receipt; at most 7 days
}

// CreateEntryRequest: see NameServer.CreateEntry. Entry.Key, Modified, Owner and content fields are the caller's.
type CreateEntryRequest struct {
	Bucket     BucketID
	Versioning Versioning
	Entry      Entry
	Condition  Condition
}

// LookupRequest asks for one version: the given one, or the null version, or the current one.
type LookupRequest struct {
	Bucket  BucketID
	Key     string
	Version VersionID
	Null    bool
	Bypass  bool // of UpdateEntry and DeleteEntry: the caller may bypass a governance retention
}

// UpdateEntryRequest: see NameServer.UpdateEntry.
type UpdateEntryRequest struct {
	LookupRequest
	Set []Attribute
}

// DeleteEntryRequest: with a Version or Null that version is removed; otherwise the current object, by the bucket's versioning.
type DeleteEntryRequest struct {
	LookupRequest
	Versioning Versioning
	Owner      UserID    // of a delete marker made
	Modified   time.Time // of a delete marker made
	Condition  Condition
}

// Deleted says what DeleteEntry did.
type Deleted struct {
	Found        bool      // a version was removed or hidden
	DeleteMarker bool      // a delete marker was made, or the version removed was one
	Version      VersionID // of the marker made or the version removed; zero when none
	Null         bool      // that version is the null version
}

// ListRequest asks for names in a bucket. Names are bytes.
type ListRequest struct {
	Bucket    BucketID
	Prefix    string
	Delimiter string // "" = none
	After     string // names and common prefixes must be greater than it; with a delimiter, a common prefix that After itself lies in is skipped
	Limit     int    // entries and prefixes together; 0 = 1000
}

// ListVersionsRequest asks for versions. The page begins after version (KeyMarker, VersionMarker); with a zero VersionMarker after all of KeyMarker.
type ListVersionsRequest struct {
	Bucket        BucketID
	Prefix        string
	Delimiter     string
	KeyMarker     string
	VersionMarker VersionID // position of a null version too
	Limit         int
}

// ListPage is a page of a listing. Entries and Prefixes are each sorted and belong together: everything in one is below Next.
type ListPage struct {
	Entries     []Entry // Headers, UserMeta and Attrs other than the ACL may be left out
	Prefixes    []string
	More        bool      // there is more after this page
	Next        string    // if More: After (KeyMarker) of the next request: the last name or prefix of this page
	NextVersion VersionID // if More, for versions: VersionMarker of the next request
}

// ListBucketsRequest asks for buckets whose record is on this server.
type ListBucketsRequest struct {
	Owner  UserID // 0 = all
	Prefix string
	After  string
	Limit  int // 0 = 1000
}

// BucketPage is a page of buckets by name.
type BucketPage struct {
	Buckets []Bucket
	More    bool
}

// ListUploadsRequest asks for running uploads. The page begins after (KeyMarker, UploadMarker).
type ListUploadsRequest struct {
	Bucket       BucketID
	Prefix       string
	Delimiter    string
	KeyMarker    string
	UploadMarker UploadID // zero: after all uploads of KeyMarker
	Limit        int
}

// UploadPage is a page of uploads.
type UploadPage struct {
	Uploads    []Upload // Template left out but for Owner and StorageClass and Checksum
	Prefixes   []string
	More       bool
	NextKey    string
	NextUpload UploadID
}

// CompletePart names a part to be used. Checksum may be none.
type CompletePart struct {
	Number   int32
	ETag     string
	Checksum Checksum
}

// CompleteUploadRequest: see NameServer.CompleteUpload.
type CompleteUploadRequest struct {
	Bucket     BucketID
	Versioning Versioning
	Key        string
	ID         UploadID
	Parts      []CompletePart
	Modified   time.Time
	ETag       string   // of the whole, computed by the caller from the parts' ETags
	Checksum   Checksum // of the whole; none when the upload has none
	Condition  Condition
}

// Record is a small value of the service bucket.
type Record struct {
	Name  string
	Value []byte
	Epoch Epoch // 1 for a new record; each change adds one
}

// RecordChange is one change of ApplyRecords.
type RecordChange struct {
	Name   string
	Value  []byte // nil removes it
	Expect Epoch  // the epoch that it must have; 0: it must not exist; AnyEpoch: whatever it is
}

// AnyEpoch as an expectation is none.
const AnyEpoch = Epoch(1<<64 - 1)

// Topology says which server keeps what. A topology is immutable; a newer one replaces it whole.
type Topology interface {
	// NameServerFor returns the server of a key's directory in a bucket.
	NameServerFor(bucket BucketID, key string) (NameServer, error)
	// NameServerOfBucket returns the server of a bucket's record.
	NameServerOfBucket(name string) (NameServer, error)
	// NameServerOfRecord returns the server of a record of the service bucket: by its directory.
	NameServerOfRecord(name string) (NameServer, error)
	// NameServers returns all servers of the volume, for listings and seals.
	NameServers() ([]NameServer, error)
	// PlaceObject picks the object server for new bytes by rendezvous hash of the full name and part over the healthy servers, and returns its id.
	PlaceObject(bucket BucketID, key string, part int32) (ServiceID, error)
	ObjectServers
}
