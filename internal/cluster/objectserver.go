package cluster

import (
	"context"
	"io"
)

// Link says where the bytes of an object are. The zero Link is none: an empty object has no bytes anywhere.
type Link struct {
	Server ServiceID
	Object ObjectID
}

// IsZero reports whether the link is none.
func (l Link) IsZero() bool { return l == Link{} }

// Limits of objects.
const (
	MaxObjectBytes = 5 << 40 // whole object, by multipart
	MaxPutBytes    = 5 << 30 // one PUT or part
	MaxKeyBytes    = 1024    // of UTF-8
	MaxParts       = 10000
	MinPartBytes   = 5 << 20 // every part but the last
)

// ObjectInfo describes stored bytes.
type ObjectInfo struct {
	Size   int64  // bytes
	CRC32C uint32 // of all bytes in order
}

// ObjectServer keeps the bytes of objects. Objects are written once, read in ranges and deleted; they are never changed.
type ObjectServer interface {
	// CreateObject stores size bytes from body as object id and returns once they are durable. size is in [1, MaxPutBytes]. It reads body to its end, and only
	// an io.EOF exactly after size bytes makes the object: after fewer bytes it fails with fault.Truncated, after more with fault.Invalid, and when
	// body fails with another error it returns that error (wrapped). A create that failed leaves nothing that is not freed. It returns fault.Exists when
	// the id is taken, fault.NoSpace when the file system is full. Memory is bounded, whatever the size.
	CreateObject(ctx context.Context, id ObjectID, size int64, body io.Reader) (ObjectInfo, error)

	// ReadObject writes bytes [offset, offset+length) of an object to w, in pieces of at most 1 MiB, in order, each verified against its checksum before it is
	// written. It returns fault.NotFound when there is no such object, fault.Invalid when the range is not within it (offset >= 0, length >= 1), fault.Corrupt where
	// damage is met: pieces before it may have been written then, never a wrong byte. An error of w ends the read and is returned.
	ReadObject(ctx context.Context, id ObjectID, offset, length int64, w io.Writer) error

	// StatObject describes an object. It returns fault.NotFound when there is none.
	StatObject(ctx context.Context, id ObjectID) (ObjectInfo, error)

	// DeleteObjects removes objects and frees their space; an id that is not there is no error, so it may be repeated.
	DeleteObjects(ctx context.Context, ids []ObjectID) error
}

// ObjectServers finds object servers by the id in a link. It returns fault.Unavailable when the server is not known or does not answer now.
type ObjectServers interface {
	ObjectServer(id ServiceID) (ObjectServer, error)
}
