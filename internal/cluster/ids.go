package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ostor/internal/fault"
)

// ServiceID identifies a volume or a service: the first byte is the type, the rest counts up. Printed as 16 hex digits.
type ServiceID uint64

// ServiceType is the first byte of a ServiceID.
type ServiceType uint8

// The types of services and volumes.
const (
	TypeVolume  ServiceType = 0x01
	TypeName    ServiceType = 0x08
	TypeObject  ServiceType = 0x10
	TypeGateway ServiceType = 0x80
)

// NewServiceID returns the id of the n-th service of a type.
func NewServiceID(t ServiceType, n uint64) ServiceID {
	return ServiceID(uint64(t)<<56 | n&(1<<56-1))
}

// Type returns the kind of service.
func (s ServiceID) Type() ServiceType { return ServiceType(s >> 56) }

func (s ServiceID) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// String returns the name that tables print: OBJ (volume), NS, OS, S3GW.
func (t ServiceType) String() string {
	switch t {
	case TypeVolume:
		return "OBJ"
	case TypeName:
		return "NS"
	case TypeObject:
		return "OS"
	case TypeGateway:
		return "S3GW"
	}
	return fmt.Sprintf("type-%02x", uint8(t))
}

// HostID is the random 64-bit identity of a host. UserID is that of an S3 user. BucketID is that of one life of a bucket: a bucket that is
// deleted and created again has another id, so nothing of the old one can show up in the new one. Zero is no id.
type (
	HostID   uint64
	UserID   uint64
	BucketID uint64
)

func (h HostID) String() string   { return fmt.Sprintf("%016x", uint64(h)) }
func (u UserID) String() string   { return fmt.Sprintf("%016x", uint64(u)) }
func (b BucketID) String() string { return fmt.Sprintf("%016x", uint64(b)) }

// ParseID reads a 64-bit id of 1 to 16 hex digits, padded or not. It returns fault.Invalid otherwise.
func ParseID(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || strings.HasPrefix(s, "+") || len(s) > 16 {
		return 0, fault.New(fault.Invalid, "%q is not an id: want 1 to 16 hex digits", s)
	}
	return v, nil
}

// RandomID returns a random 64-bit id that is not zero.
func RandomID() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
		if v := binary.LittleEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

// Generation numbers the owners of a service: each claim takes the next one. Zero is none.
type Generation uint64

func (g Generation) String() string { return strconv.FormatUint(uint64(g), 10) }

// Epoch counts the states of one record; each change adds one.
type Epoch uint64

// ObjectID identifies the bytes of one object (or one part) for ever: never used again. The first 6 bytes are the milliseconds since 1970, so
// that objects made together lie together in the object tree; the other 10 are random. Zero is none.
type ObjectID [16]byte

// NewObjectID returns a fresh id.
func NewObjectID() ObjectID {
	var id ObjectID
	ms := uint64(time.Now().UnixMilli())
	rand.Read(id[6:])
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

func (id ObjectID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is none.
func (id ObjectID) IsZero() bool { return id == ObjectID{} }

// ParseObjectID reads 32 hex digits.
func ParseObjectID(s string) (id ObjectID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fault.New(fault.Invalid, "%q is not an object id: want 32 hex digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// UploadID identifies a multipart upload. Random; opaque to clients, printed as 32 hex digits.
type UploadID [16]byte

// NewUploadID returns a fresh id.
func NewUploadID() UploadID { return UploadID(NewObjectID()) }

func (u UploadID) String() string { return hex.EncodeToString(u[:]) }

// IsZero reports whether u is none.
func (u UploadID) IsZero() bool { return u == UploadID{} }

// ParseUploadID reads 32 hex digits. It returns fault.NoUpload for anything else: a client cannot tell a wrong id from an ended upload.
func ParseUploadID(s string) (UploadID, error) {
	id, err := ParseObjectID(s)
	if err != nil {
		return UploadID{}, fault.New(fault.NoUpload, "no upload %q", s)
	}
	return UploadID(id), nil
}

// VersionID orders the versions of a key: a later version is greater. Order comes from the name server's generation and a sequence in it, never
// from clocks. Zero is none.
type VersionID struct {
	Generation uint64
	Sequence   uint64
}

// Compare returns -1, 0 or 1 as v is older than, equal to or newer than w.
func (v VersionID) Compare(w VersionID) int {
	switch {
	case v == w:
		return 0
	case v.Generation < w.Generation, v.Generation == w.Generation && v.Sequence < w.Sequence:
		return -1
	}
	return 1
}

// IsZero reports whether v is none.
func (v VersionID) IsZero() bool { return v == VersionID{} }

// String returns the opaque form that clients see: 32 hex digits.
func (v VersionID) String() string { return fmt.Sprintf("%016x%016x", v.Generation, v.Sequence) }

// ParseVersionID reads what String returns. It returns fault.Invalid for anything else.
func ParseVersionID(s string) (VersionID, error) {
	id, err := ParseObjectID(s)
	if err != nil {
		return VersionID{}, fault.New(fault.Invalid, "%q is not a version id", s)
	}
	return VersionID{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])}, nil
}
