package intent

import (
	"encoding/binary"
	"time"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Op is a kind of operation. The numbers are stored: append only.
type Op uint8

// DeleteBucket is the only operation of several steps that there is.
const DeleteBucket Op = 1

// Record says what is being done.
type Record struct {
	Op      Op
	Forced  bool             // finish it: there is no way back
	Bucket  cluster.BucketID // not 0
	Name    string           // of the bucket; 1 to 255 bytes
	Attempt uint64           // random: it makes the record's name one that is never used again
	Begun   time.Time        // UTC, milliseconds; for people
	Claims  uint32           // how often it was taken over
}

// The layout of FORMAT.md.
const (
	recordMagic     = 0x544E494F
	recordVersion   = 1
	recordHeadBytes = 38
	recordSumBytes  = 4
	flagForced      = 1 << 0
	maxBucketName   = 255

	directory    = "/tmp/"
	bucketPrefix = directory + "bucket-"
)

func (r *Record) name() string {
	return bucketPrefix + r.Bucket.String() + "-" + cluster.HostID(r.Attempt).String()
}

func (r *Record) encode() []byte {
	b := make([]byte, recordHeadBytes, recordHeadBytes+len(r.Name)+recordSumBytes)
	binary.LittleEndian.PutUint32(b[0:], recordMagic)
	binary.LittleEndian.PutUint16(b[4:], recordVersion)
	b[6] = byte(r.Op)
	if r.Forced {
		b[7] = flagForced
	}
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Bucket))
	binary.LittleEndian.PutUint64(b[16:], r.Attempt)
	binary.LittleEndian.PutUint64(b[24:], uint64(r.Begun.UnixMilli()))
	binary.LittleEndian.PutUint32(b[32:], r.Claims)
	binary.LittleEndian.PutUint16(b[36:], uint16(len(r.Name)))
	b = append(b, r.Name...)
	return binary.LittleEndian.AppendUint32(b, checksum.CRC32C(b))
}

// decodeRecord reads a record that was found under name. It returns fault.NotSupported for a version or an operation that this program does not know, and fault.Corrupt for anything else that
// encode does not make.
func decodeRecord(name string, b []byte) (Record, error) {
	bad := func(what string) (Record, error) {
		return Record{}, fault.New(fault.Corrupt, "intent: record %s: %s", name, what)
	}
	if len(b) < recordHeadBytes+recordSumBytes || binary.LittleEndian.Uint32(b) != recordMagic {
		return bad("it is too short or no record of intent")
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v > recordVersion {
		return Record{}, fault.New(fault.NotSupported, "intent: record %s has version %d", name, v)
	}
	body := b[:len(b)-recordSumBytes]
	if binary.LittleEndian.Uint32(b[len(body):]) != checksum.CRC32C(body) {
		return bad("its checksum does not match")
	}
	if op := Op(b[6]); op != DeleteBucket {
		return Record{}, fault.New(fault.NotSupported, "intent: record %s is of operation %d", name, op)
	}
	n := int(binary.LittleEndian.Uint16(b[36:]))
	if binary.LittleEndian.Uint16(b[4:]) != recordVersion || b[7]&^flagForced != 0 || n == 0 || n > maxBucketName || len(body) != recordHeadBytes+n {
		return bad("its version, flags or lengths are impossible")
	}
	r := Record{
		Op:      Op(b[6]),
		Forced:  b[7]&flagForced != 0,
		Bucket:  cluster.BucketID(binary.LittleEndian.Uint64(b[8:])),
		Attempt: binary.LittleEndian.Uint64(b[16:]),
		Begun:   time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		Claims:  binary.LittleEndian.Uint32(b[32:]),
		Name:    string(body[recordHeadBytes:]),
	}
	if r.Bucket == 0 || name != r.name() {
		return bad("it belongs to " + r.name())
	}
	return r, nil
}
