package wire

import (
	"ostor/internal/cluster"
)

// Requests that the contracts pass as single arguments.
type (
	// BucketRef names one state of one life of a bucket.
	BucketRef struct {
		Name  string
		ID    cluster.BucketID
		Epoch cluster.Epoch
	}
	// BucketSince is the reply of GetBucketSince.
	BucketSince struct {
		Changed *cluster.Bucket // nil: it is as the caller has it
	}
	// Seal asks to seal a bucket; Force is left out for unsealing.
	Seal struct {
		ID    cluster.BucketID
		Epoch cluster.Epoch
		Force bool
	}
	// PartsQuery: see cluster.NameServer.Parts.
	PartsQuery struct {
		Bucket cluster.BucketID
		Key    string
		Table  cluster.ObjectID
		Offset int64
		Limit  int
	}
	// NewUpload: see cluster.NameServer.CreateUpload.
	NewUpload struct {
		Bucket cluster.BucketID
		Upload cluster.Upload
	}
	// UploadRef names an upload.
	UploadRef struct {
		Bucket cluster.BucketID
		Key    string
		ID     cluster.UploadID
	}
	// NewPart: see cluster.NameServer.PutPart.
	NewPart struct {
		Upload UploadRef
		Part   cluster.Part
	}
	// UploadPartsQuery: see cluster.NameServer.ListParts.
	UploadPartsQuery struct {
		Upload UploadRef
		After  int32
		Limit  int
	}
	// RecordsQuery: see cluster.NameServer.ListRecords.
	RecordsQuery struct {
		Prefix string
		After  string
		Limit  int
	}
	// Parts is a page of parts.
	Parts struct {
		Parts []cluster.Part
		More  bool
	}
	// Records is a page of records.
	Records struct {
		Records []cluster.Record
		More    bool
	}
	// BucketCreated is the reply of CreateBucket: with Exists, Bucket is the one that is there and Text what the server said.
	BucketCreated struct {
		Exists bool
		Text   string
		Bucket cluster.Bucket
	}
	// ObjectsOf is some objects of one object server: see cluster.NameServer.UnknownLinks and FindLinks.
	ObjectsOf struct {
		Server  cluster.ServiceID
		Objects []cluster.ObjectID
	}
	// NewObject: see cluster.ObjectServer.CreateObject. The bytes follow as data.
	NewObject struct {
		ID   cluster.ObjectID
		Size int64
	}
	// ObjectRange: see cluster.ObjectServer.ReadObject.
	ObjectRange struct {
		ID     cluster.ObjectID
		Offset int64
		Length int64
	}
)
