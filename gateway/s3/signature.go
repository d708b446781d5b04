package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Credential is what the account database knows of an access key.
type Credential struct {
	AccessKey string
	Secret    string // never logged
	UserID    uint64
	Email     string // of the user: the display name
	System    bool   // may use the management API
}

// Lookup returns the credential of an access key. It returns ErrInvalidAccessKeyID for a key that is not there or may not be used: the request then fails with that error
// after the same work as for a known key. Any other error ends the verification and is returned.
type Lookup func(ctx context.Context, accessKey string) (Credential, error)

// Signature is a verified signature of a request: the result of packages sigv4 and sigv2. Whoever has one knows that the holder of the credential's secret
// signed the request's method, path and query at Time, and the headers that Signed reports.
type Signature struct {
	Version    int // 2 or 4
	Credential Credential
	Presigned  bool // by query parameters
	Region     string
	Time       time.Time     // when it was signed, as the client says; within the allowed skew
	Expires    time.Duration // life of a presigned request from Time; 0 for headers

	// SignedHeaders are the names of the headers under the signature, sorted, lower case. Version 2 signs content-md5, content-type, date and all x-amz-*.
	SignedHeaders []string

	Payload PayloadMode
	SHA256  [sha256.Size]byte // of the whole body, for PayloadHashed
	Chunks  ChunkVerifier     // for PayloadChunked and PayloadChunkedTrailer; nil otherwise
}

// Signed reports whether the signature covers a header; name is lower case.
func (s *Signature) Signed(name string) bool {
	_, ok := slices.BinarySearch(s.SignedHeaders, name)
	return ok
}

// PayloadMode says how the body is protected (SigV4 guide, "x-amz-content-sha256").
type PayloadMode uint8

// The modes.
const (
	PayloadUnsigned        PayloadMode = iota // UNSIGNED-PAYLOAD, or nothing said: anonymous, version 2, presigned
	PayloadHashed                             // the header is the SHA-256 of the body
	PayloadChunked                            // STREAMING-AWS4-HMAC-SHA256-PAYLOAD: aws-chunked, every chunk signed
	PayloadChunkedTrailer                     // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER: and a signed trailer
	PayloadUnsignedTrailer                    // STREAMING-UNSIGNED-PAYLOAD-TRAILER: aws-chunked without signatures, with a trailer
)

// Values of x-amz-content-sha256 that are not a hash.
const (
	UnsignedPayload         = "UNSIGNED-PAYLOAD"
	StreamingPayload        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingPayloadTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsigned       = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Chunked reports whether the body comes in the aws-chunked coding.
func (m PayloadMode) Chunked() bool { return m >= PayloadChunked }

// Trailing reports whether the body has a trailer.
func (m PayloadMode) Trailing() bool { return m >= PayloadChunkedTrailer }

// ParsePayload reads the value of x-amz-content-sha256; "" is PayloadUnsigned. It returns ErrNotImplemented for the streaming modes of SigV4A and
// ErrInvalidArgument for what is neither a mode nor 64 hex digits.
func ParsePayload(v string) (m PayloadMode, sum [sha256.Size]byte, err error) {
	switch v {
	case "", UnsignedPayload:
		return PayloadUnsigned, sum, nil
	case StreamingPayload:
		return PayloadChunked, sum, nil
	case StreamingPayloadTrailer:
		return PayloadChunkedTrailer, sum, nil
	case StreamingUnsigned:
		return PayloadUnsignedTrailer, sum, nil
	case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
		return 0, sum, ErrNotImplemented.With("SigV4A is not implemented.")
	}
	var text [2 * sha256.Size]byte
	if len(v) == len(text) {
		copy(text[:], v)
		if _, err := hex.Decode(sum[:], text[:]); err == nil {
			return PayloadHashed, sum, nil
		}
	}
	return 0, sum, BadArgument("x-amz-content-sha256", v, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value that is supported, or a valid sha256 value.")
}

// ChunkVerifier checks the chain of signatures of an aws-chunked body, in order. Not safe for concurrent use.
type ChunkVerifier interface {
	// VerifyChunk checks the next chunk by the SHA-256 of its data and the 64 hex digits that came with it.
	VerifyChunk(sum *[sha256.Size]byte, signature []byte) bool
	// VerifyTrailer checks the trailer, after the last chunk, by the SHA-256 of its canonical form.
	VerifyTrailer(sum *[sha256.Size]byte, signature []byte) bool
}
