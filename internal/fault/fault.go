// Package fault names the kinds of failure that callers act on, and carries them across process borders.
//
// A [Kind] is itself an error, so a caller decides with errors.Is(err, fault.NotFound). Kinds travel in RPC replies by
// number: the numbers are append-only. A [Corruption] says where damage was met; it is a Corrupt error.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind is the class of a failure. The zero Kind, Other, is any error that has no kind of its own.
type Kind uint16

// The kinds. Append only: the numbers are on the wire.
const (
	Other            Kind = iota
	NotFound              // no such object, key, version, record
	Exists                // it is there already
	Stale                 // an older generation or epoch, or ownership was lost: look it up again
	Denied                // not allowed
	Invalid               // the request is wrong and will stay wrong
	NoSpace               // the file system or a quota is full
	Corrupt               // checksum or identity does not match
	Unavailable           // not now; the same request may succeed later
	Internal              // our own mistake
	Precondition          // a condition of the request (If-Match, If-None-Match, epoch) does not hold
	NotEmpty              // a bucket that still holds names
	NoBucket              // the bucket does not exist, or is sealed for deletion
	NoUpload              // the multipart upload does not exist (completed or aborted)
	InvalidPart           // a part named in complete is missing or has another ETag
	PartOrder             // the parts named in complete do not ascend
	PartTooSmall          // a part but the last is below the minimum
	TooLarge              // over a limit of size or count
	GuardGone             // the guard of a create has expired or was dropped
	Truncated             // the body ended before its announced length
	NotSupported          // a known feature that this build or mount does not have
	MethodNotAllowed      // e.g. reading a delete marker by its version
	kindCount
)

var names = [...]string{"error", "not found", "already exists", "stale", "denied", "invalid", "no space", "corrupt", "unavailable",
	"internal error", "precondition failed", "not empty", "no such bucket", "no such upload", "invalid part", "parts out of order",
	"part too small", "too large", "guard gone", "truncated", "not supported", "method not allowed"}

// A name per kind, checked by the compiler.
const _ = uint(len(names) - int(kindCount))
const _ = uint(int(kindCount) - len(names))

// Error makes a Kind usable as a sentinel of errors.Is.
func (k Kind) Error() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("fault kind %d", uint16(k))
}

// Error is an error with a kind. Msg is a sentence without the kind's name; Err, which may be nil, is the cause.
type Error struct {
	Kind Kind
	Msg  string
	Err  error
}

func (e *Error) Error() string {
	switch {
	case e.Msg == "" && e.Err == nil:
		return e.Kind.Error()
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool { k, ok := target.(Kind); return ok && k == e.Kind }

// New returns an error of a kind; the message is formatted as by fmt.Errorf without %w.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and says what was being done. It returns nil for a nil err.
func Wrap(k Kind, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the outermost kind in err's chain; Unavailable for a context that ended, Other where there is none.
func KindOf(err error) Kind {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch v := e.(type) {
		case Kind:
			return v
		case *Error:
			return v.Kind
		case *Corruption:
			return Corrupt
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unavailable
	}
	return Other
}

// Corruption is damage that a reader met: located, so that an operator can look at it and other data is still served.
type Corruption struct {
	File   string // name within the file system given to the reader
	Offset int64  // bytes from the start of the file
	What   string // what was read: "page 17", "record of LSN 12", "block of object ..."
	Want   string // what should have been there
	Got    string // what was
}

func (c *Corruption) Error() string {
	return fmt.Sprintf("corrupt: %s at %s+%d: want %s, got %s", c.What, c.File, c.Offset, c.Want, c.Got)
}

// Is reports whether target is the kind Corrupt.
func (c *Corruption) Is(target error) bool { return target == Corrupt }
