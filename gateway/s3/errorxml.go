package s3

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrorReply is an error document. Region, if not empty, tells a client that signed for another region which one to sign for.
type ErrorReply struct {
	Code, Message, Resource, Region, RequestID, HostID string

	Details []Detail // of this code, in S3's order; those without a value are left out
}

// Detail is an element that the error documents of some codes have besides the common ones. Its value goes to whoever sent the request: it is what they sent, what they may read, or a limit.
type Detail struct{ Name, Value string }

// maxDetailBytes bounds a value in a document: a longer one is cut. A key is never cut. It is three digits for each byte of [SignatureDetails].
const maxDetailBytes = 6144

// Explain returns err with details for its document. It stays what it is to errors.Is and errors.AsType.
func Explain(err error, details ...Detail) error { return &explained{err, details} }

type explained struct {
	error
	details []Detail
}

func (e *explained) Unwrap() error { return e.error }

// DetailsOf returns the details that [Explain] gave err, nil for none.
func DetailsOf(err error) []Detail {
	if e, ok := errors.AsType[*explained](err); ok {
		return e.details
	}
	return nil
}

// Sizes returns a size and the limit that it broke.
func Sizes(name string, size int64, limit string, bytes int64) []Detail {
	return []Detail{{name, strconv.FormatInt(size, 10)}, {limit, strconv.FormatInt(bytes, 10)}}
}

// TooLarge is ErrEntityTooLarge of an object or part of size bytes.
func TooLarge(size, limit int64) error {
	return Explain(ErrEntityTooLarge, Sizes("ProposedSize", size, "MaxSizeAllowed", limit)...)
}

// BadArgument is ErrInvalidArgument that names the argument: a parameter, header or field as the client wrote it.
func BadArgument(name, value, message string) error {
	return Explain(ErrInvalidArgument.With(message), Detail{"ArgumentName", name}, Detail{"ArgumentValue", value})
}

// SignatureDetails tells a client that signed wrongly what it should have signed; canonical is nil for version 2 and for a request that may not be shown. A text with a token or a customer's encryption key stays here, though the client sent it:
// error documents end up in logs.
func SignatureDetails(accessKey, provided string, toSign, canonical []byte) []Detail {
	text, octets := shown(toSign)
	request, requestOctets := shown(canonical)
	return []Detail{{"AWSAccessKeyId", accessKey}, {"StringToSign", text}, {"SignatureProvided", provided}, {"StringToSignBytes", octets}, {"CanonicalRequest", request}, {"CanonicalRequestBytes", requestOctets}}
}

func shown(b []byte) (text, octets string) {
	if lower := bytes.ToLower(b); bytes.Contains(lower, []byte("x-amz-security-token")) || bytes.Contains(lower, []byte("encryption-customer-key")) {
		return "", ""
	}
	b = b[:min(len(b), maxDetailBytes/3)]
	return string(b), fmt.Sprintf("% x", b)
}

// ErrorTime returns t as error documents have it.
func ErrorTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Write writes the document. Characters that XML 1.0 cannot have become U+FFFD: a client has to be able to read what is wrong.
func (e *ErrorReply) Write(x *XML) {
	x.BeginBare("Error")
	x.Text("Code", e.Code)
	x.Text("Message", legible(e.Message))
	for _, d := range e.Details {
		x.Optional(d.Name, legible(d.Value[:min(len(d.Value), maxDetailBytes)])) // a character cut in two becomes U+FFFD
	}
	x.Optional("Region", e.Region)
	x.Text("Resource", e.Resource)
	x.Text("RequestId", e.RequestID)
	x.Text("HostId", e.HostID)
	x.Close("Error")
}

func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}
