package wire

// Operation codes. Append only: they are on the wire.
const (
	OpLookup         uint16 = 1
	OpGuard          uint16 = 2
	OpCreate         uint16 = 3
	OpRead           uint16 = 4 // object server
	OpUpdate         uint16 = 5
	OpDelete         uint16 = 6
	OpList           uint16 = 7
	OpListVersions   uint16 = 8
	OpDropGuard      uint16 = 9
	OpParts          uint16 = 10
	OpCreateBucket   uint16 = 11
	OpGetBucket      uint16 = 12
	OpUpdateBucket   uint16 = 13
	_                uint16 = 14 // DELETE_BUCKET without an epoch
	OpListBuckets    uint16 = 15
	_                uint16 = 16 // SEAL_BUCKET and UNSEAL_BUCKET without an epoch
	_                uint16 = 17
	OpCreateUpload   uint16 = 18
	OpGetUpload      uint16 = 19
	OpPutPart        uint16 = 20
	OpListParts      uint16 = 21
	OpListUploads    uint16 = 22
	OpCompleteUpload uint16 = 23
	OpAbortUpload    uint16 = 24
	OpGetRecord      uint16 = 25
	OpListRecords    uint16 = 26
	OpApplyRecords   uint16 = 27
	OpCreateObject   uint16 = 28 // object server, with the bytes as data
	OpStatObject     uint16 = 29 // object server
	OpDeleteObjects  uint16 = 30 // object server
	OpUnknownLinks   uint16 = 31
	OpFindLinks      uint16 = 32
	OpBackup         uint16 = 33
	OpGetBucketSince uint16 = 34
	OpDeleteBucket   uint16 = 35
	OpSealBucket     uint16 = 36
	OpUnsealBucket   uint16 = 37
	opCount          uint16 = 38
)

var opNames = [...]string{"", "LOOKUP", "GUARD", "CREATE", "READ", "UPDATE", "DELETE", "LIST", "LIST_VERSIONS", "DROP_GUARD", "PARTS",
	"CREATE_BUCKET", "GET_BUCKET", "UPDATE_BUCKET", "RETIRED_14", "LIST_BUCKETS", "RETIRED_16", "RETIRED_17", "CREATE_UPLOAD", "GET_UPLOAD", "PUT_PART",
	"LIST_PARTS", "LIST_UPLOADS", "COMPLETE_UPLOAD", "ABORT_UPLOAD", "GET_RECORD", "LIST_RECORDS", "APPLY_RECORDS", "CREATE_OBJECT", "STAT_OBJECT", "DELETE_OBJECTS",
	"UNKNOWN_LINKS", "FIND_LINKS", "BACKUP", "GET_BUCKET_SINCE", "DELETE_BUCKET", "SEAL_BUCKET", "UNSEAL_BUCKET"}

// A name per code, checked by the compiler.
const _ = uint(len(opNames)-int(opCount)) + uint(int(opCount)-len(opNames))

// OpName returns the name of an operation for logs and metrics, "UNKNOWN" for a code that is none.
func OpName(op uint16) string {
	if op == 0 || op >= opCount {
		return "UNKNOWN"
	}
	return opNames[op]
}
