package s3

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"
)

// Body is the body of a request, verified while it is read. It counts and hashes what passes and returns io.EOF only when exactly Size bytes came and everything that the client said about them holds: the
// signature of the payload or its chunks, Content-MD5, the additional checksum in a header or trailer. Who commits only after io.EOF never commits a bad body. Any other error is
// an *Error, or has one in its chain. Not safe for concurrent use; the results are valid after io.EOF.
type Body struct {
	src     io.Reader
	chunks  *chunkReader // nil: not aws-chunked
	size    int64
	left    int64
	err     error // sticky, io.EOF too
	payload PayloadMode

	wantSHA256 [sha256.Size]byte // for PayloadHashed
	wantMD5    [md5.Size]byte
	hasMD5     bool
	want       []byte // of the additional checksum; nil = none in a header

	algorithm ChecksumAlgorithm // of the additional checksum
	md5       hash.Hash
	sha256    hash.Hash // nil unless something needs it
	sha1      hash.Hash // likewise
	crc32     uint32
	crc64     uint64

	sumMD5    [md5.Size]byte
	sumSHA256 [sha256.Size]byte
	value     []byte // of the additional checksum
}

// BodyOptions say what a body must be. They are filled from a request by [OpenBody]; the gateway fills them itself for a form.
type BodyOptions struct {
	Size     int64             // bytes after decoding; must be known
	Payload  PayloadMode       //
	SHA256   [sha256.Size]byte // for PayloadHashed
	Chunks   ChunkVerifier     // for the signed chunked modes
	MD5      []byte            // of Content-MD5; nil = none
	Checksum Checksum          // of a header; with a nil Value the algorithm is only computed
	Trailer  ChecksumAlgorithm // that the trailer announces; for the trailing modes
}

// NewBody makes a Body of what src delivers.
func NewBody(src io.Reader, o BodyOptions) *Body {
	b := &Body{src: src, size: o.Size, left: o.Size, payload: o.Payload, wantSHA256: o.SHA256, want: o.Checksum.Value, algorithm: o.Checksum.Algorithm, md5: md5.New()}
	if o.MD5 != nil {
		b.hasMD5 = true
		copy(b.wantMD5[:], o.MD5)
	}
	if o.Payload.Chunked() {
		c := &chunkReader{src: src, verify: o.Chunks, want: o.Size, trailer: o.Payload.Trailing(), announce: o.Trailer}
		if c.verify != nil {
			c.sha = sha256.New()
		}
		b.chunks, b.src = c, c
		if o.Trailer != ChecksumNone {
			b.algorithm = o.Trailer
		}
	}
	b.startHashes()
	return b
}

func (b *Body) startHashes() {
	if b.sha256 == nil && (b.payload == PayloadHashed || b.algorithm == ChecksumSHA256) {
		b.sha256 = sha256.New()
	}
	if b.sha1 == nil && b.algorithm == ChecksumSHA1 {
		b.sha1 = sha1.New()
	}
}

// OpenBody makes the Body of a request: sig is its verified signature, nil for an anonymous one. It returns ErrMissingContentLength, ErrEntityTooLarge (more than maxBytes), ErrInvalidDigest
// (Content-MD5), ErrBadDigest (a checksum that is none), ErrInvalidRequest (checksum headers that contradict each other), ErrInvalidArgument, ErrMalformedTrailer. Nothing is read yet, so no "100 Continue" was sent.
func OpenBody(r *http.Request, sig *Signature, maxBytes int64) (*Body, error) {
	var o BodyOptions
	if sig != nil {
		o.Payload, o.SHA256, o.Chunks = sig.Payload, sig.SHA256, sig.Chunks
	} else {
		var err error
		if o.Payload, o.SHA256, err = ParsePayload(r.Header.Get("X-Amz-Content-Sha256")); err != nil {
			return nil, err
		}
	}
	if (o.Payload == PayloadChunked || o.Payload == PayloadChunkedTrailer) != (o.Chunks != nil) {
		return nil, ErrInvalidRequest.With("A body with signed chunks needs a request that is signed with AWS Signature Version 4 in the Authorization header.")
	}
	o.Size = r.ContentLength
	if o.Payload.Chunked() {
		var err error
		if o.Size, err = decodedLength(r); err != nil {
			return nil, err
		}
	} else if len(r.TransferEncoding) > 0 {
		o.Size = -1 // whatever Content-Length said
	}
	switch {
	case o.Size < 0:
		return nil, ErrMissingContentLength
	case o.Size > maxBytes:
		return nil, TooLarge(o.Size, maxBytes)
	}
	if v, ok := r.Header["Content-Md5"]; ok {
		sum, err := base64.StdEncoding.Strict().DecodeString(v[0])
		if err != nil || len(sum) != md5.Size || len(v) != 1 {
			return nil, Explain(ErrInvalidDigest, Detail{"Content-MD5", v[0]})
		}
		o.MD5 = sum
	}
	if err := o.readChecksum(r.Header); err != nil {
		return nil, err
	}
	return NewBody(r.Body, o), nil
}

// decodedLength reads x-amz-decoded-content-length: digits only.
func decodedLength(r *http.Request) (int64, error) {
	v := r.Header["X-Amz-Decoded-Content-Length"]
	if len(v) == 0 {
		return -1, nil
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil || len(v) != 1 || v[0][0] < '0' || v[0][0] > '9' {
		return 0, ErrInvalidArgument.With("x-amz-decoded-content-length is not a number of bytes.")
	}
	if r.ContentLength >= 0 && r.ContentLength < n {
		return 0, ErrInvalidArgument.With("x-amz-decoded-content-length is larger than the Content-Length of the encoded body.")
	}
	return n, nil
}

// ContentEncoding returns the content encoding that an object keeps: the header's value without aws-chunked, which is only how the body travels.
func ContentEncoding(h http.Header) string {
	v := strings.Join(h["Content-Encoding"], ",")
	if !strings.Contains(v, "aws-chunked") {
		return v
	}
	var keep []string
	for coding := range strings.SplitSeq(v, ",") {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "aws-chunked" {
			keep = append(keep, coding)
		}
	}
	return strings.Join(keep, ",")
}

// readChecksum finds the additional checksum: one header or one announced trailer, and in accord with x-amz-sdk-checksum-algorithm.
func (o *BodyOptions) readChecksum(h http.Header) error {
	found := false
	for name, v := range h {
		if len(name) < len("X-Amz-Checksum-") || name[:len("X-Amz-Checksum-")] != "X-Amz-Checksum-" {
			continue
		}
		switch name {
		case "X-Amz-Checksum-Type", "X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Mode":
			continue // they ask for something, and hold no value
		}
		a, ok := ChecksumOfHeader(strings.ToLower(name))
		if !ok {
			return ErrInvalidRequest.With("The checksum algorithm of a header is not supported.")
		}
		if found || len(v) != 1 {
			return ErrInvalidRequest.With("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		found = true
		c, _, err := ParseChecksum(a, v[0])
		if err != nil {
			return err
		}
		if c.Composite {
			return invalidChecksum(a)
		}
		o.Checksum = c
	}
	if v, ok := h["X-Amz-Trailer"]; ok {
		if !o.Payload.Trailing() {
			return ErrInvalidRequest.With("x-amz-trailer needs a payload with a trailer.")
		}
		a, ok := ChecksumOfHeader(strings.ToLower(strings.TrimSpace(v[0])))
		if len(v) != 1 || !ok {
			return ErrInvalidRequest.With("The value specified in the x-amz-trailer header is not supported")
		}
		if found {
			return ErrInvalidRequest.With("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		o.Trailer = a
	} else if o.Payload.Trailing() {
		return ErrMalformedTrailer.With("The payload has a trailer that x-amz-trailer does not announce.")
	}
	if v := h.Get("X-Amz-Sdk-Checksum-Algorithm"); v != "" {
		a, err := ParseChecksumAlgorithm(v)
		switch given := max(o.Checksum.Algorithm, o.Trailer); {
		case err != nil:
			return err
		case given == ChecksumNone:
			return ErrInvalidRequest.With("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
		case given != a:
			return ErrInvalidRequest.With("Value for x-amz-sdk-checksum-algorithm header is invalid.")
		}
	}
	return nil
}

// Size returns the number of bytes that the body has after decoding, before anything is read.
func (b *Body) Size() int64 { return b.size }

// Digested reports whether the client sent a Content-MD5 or an additional checksum, as some operations require.
func (b *Body) Digested() bool {
	return b.hasMD5 || b.want != nil || b.chunks != nil && b.chunks.announce != 0
}

// Algorithm returns that of the additional checksum: given by the client, or asked for by Compute.
func (b *Body) Algorithm() ChecksumAlgorithm { return b.algorithm }

// Compute asks for an additional checksum that the client did not give. It must be called before the first Read. It returns ErrInvalidRequest when the client gave another.
func (b *Body) Compute(a ChecksumAlgorithm) error {
	switch b.algorithm {
	case a:
		return nil
	case ChecksumNone:
		b.algorithm = a
		b.startHashes()
		return nil
	}
	return ErrInvalidRequest.With("Checksum Type mismatch occurred, expected checksum Type: " + strings.ToLower(a.String()) + ", actual checksum Type: " + strings.ToLower(b.algorithm.String()))
}

// hashStep bytes go through one hash after the other while they are in the processor's cache.
const hashStep = 32 << 10

// Read follows io.Reader. The last bytes come with io.EOF, or with what is wrong about the whole.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 && b.left > 0 {
		return 0, nil
	}
	n := 0
	if b.left > 0 {
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
		var err error
		n, err = b.src.Read(p)
		b.hash(p[:n])
		b.left -= int64(n)
		if err != nil && (err != io.EOF || b.left > 0) {
			b.err = bodyError(err)
			return n, b.err
		}
	}
	if b.left == 0 {
		b.err = b.finish()
	}
	return n, b.err
}

// ReadAll reads the whole body into buf, which must have room for Size bytes, and returns the bytes: for small bodies, and those that are parsed.
func (b *Body) ReadAll(buf []byte) ([]byte, error) {
	buf = buf[:b.size]
	for n := 0; ; {
		m, err := b.Read(buf[n:])
		n += m
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (b *Body) hash(p []byte) {
	for len(p) > 0 {
		q := p[:min(len(p), hashStep)]
		p = p[len(q):]
		b.md5.Write(q)
		if b.sha256 != nil {
			b.sha256.Write(q)
		}
		switch b.algorithm {
		case ChecksumCRC32:
			b.crc32 = crc32.Update(b.crc32, crc32.IEEETable, q)
		case ChecksumCRC32C:
			b.crc32 = crc32.Update(b.crc32, castagnoli, q)
		case ChecksumCRC64NVME:
			b.crc64 = crc64nvme.Update(b.crc64, q)
		case ChecksumSHA1:
			b.sha1.Write(q)
		}
	}
}

// finish decides about the whole once its last byte has passed, and returns io.EOF when all is well.
func (b *Body) finish() error {
	if b.chunks != nil { // the last chunk and the trailer
		var one [1]byte
		switch n, err := b.src.Read(one[:]); {
		case n > 0:
			return malformedChunk("it is longer than x-amz-decoded-content-length")
		case err == nil:
			return bodyError(io.ErrNoProgress)
		case err != io.EOF:
			return err
		}
		if b.chunks.announce != ChecksumNone {
			c, _, err := ParseChecksum(b.algorithm, b.chunks.value)
			if err != nil || c.Composite {
				return invalidChecksum(b.algorithm)
			}
			b.want = c.Value
		}
	}
	b.md5.Sum(b.sumMD5[:0])
	if b.sha256 != nil {
		b.sha256.Sum(b.sumSHA256[:0])
	}
	switch b.algorithm {
	case ChecksumCRC32, ChecksumCRC32C:
		b.value = binary.BigEndian.AppendUint32(nil, b.crc32)
	case ChecksumCRC64NVME:
		b.value = binary.BigEndian.AppendUint64(nil, b.crc64)
	case ChecksumSHA1:
		b.value = b.sha1.Sum(nil)
	case ChecksumSHA256:
		b.value = b.sumSHA256[:]
	}
	switch {
	case b.payload == PayloadHashed && subtle.ConstantTimeCompare(b.sumSHA256[:], b.wantSHA256[:]) == 0:
		return Explain(ErrXAmzContentSHA256Mismatch, Detail{"ClientComputedContentSHA256", hex.EncodeToString(b.wantSHA256[:])}, Detail{"S3ComputedContentSHA256", hex.EncodeToString(b.sumSHA256[:])})
	case b.hasMD5 && b.sumMD5 != b.wantMD5:
		return Explain(ErrBadDigest.With("The Content-MD5 you specified did not match what we received."),
			Detail{"ExpectedDigest", base64.StdEncoding.EncodeToString(b.wantMD5[:])}, Detail{"CalculatedDigest", base64.StdEncoding.EncodeToString(b.sumMD5[:])})
	case b.want != nil && string(b.want) != string(b.value):
		return ErrBadDigest.With("The " + b.algorithm.String() + " you specified did not match the calculated checksum.")
	}
	return io.EOF
}

// MD5 returns the digest of the body.
func (b *Body) MD5() [md5.Size]byte { return b.sumMD5 }

// ETag returns the ETag of an object with this body: the MD5 in hex, without quotes.
func (b *Body) ETag() string { return hex.EncodeToString(b.sumMD5[:]) }

// Checksum returns the additional checksum; the zero Checksum when there is none.
func (b *Body) Checksum() Checksum { return Checksum{Algorithm: b.algorithm, Value: b.value} }
