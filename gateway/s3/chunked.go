package s3

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// chunkReader takes the aws-chunked coding off a body (SigV4 guide, "Transferring payload in multiple chunks"):
//
//	chunk:   size in hex [";chunk-signature=" 64 hex digits] CRLF data CRLF
//	end:     a chunk of size 0 without data, then the trailer's lines "name:value" CRLF
//	         ["x-amz-trailer-signature:" 64 hex digits CRLF] and CRLF
//
// Invariants:
//
//  1. io.EOF is returned only after every signature was right, exactly want bytes came, and the source ended behind the last CRLF.
//  2. Nothing is read in two ways: sizes have no leading zeros, signs, prefixes or spaces, lines end with CRLF. (One LF before it is taken off a trailer line:
//     minio-go sends it, and the canonical trailer has it.)
//  3. After an error every Read returns it.
type chunkReader struct {
	src    io.Reader
	verify ChunkVerifier // nil: chunks carry no signature
	sha    hash.Hash     // of the chunk's data; nil without verify
	want   int64         // decoded bytes to come
	left   int64         // of the current chunk

	trailer  bool                  // a trailer is announced
	announce ChecksumAlgorithm     // the only field that it may have
	value    string                // of that field, once read
	sum      [sha256.Size]byte     // scratch
	sig      [2 * sha256.Size]byte // of the current chunk
	started  bool                  // a chunk was read: CRLF is due before the next
	err      error

	r, w int // buf[r:w] is read and not used
	buf  [4096]byte
}

const (
	maxChunkDigits = 16  // of a size
	maxTrailerLine = 256 // bytes, without the line's end
)

func malformedChunk(what string) error {
	return ErrInvalidRequest.With("The aws-chunked body is malformed: " + what + ".")
}

// Read follows io.Reader, and returns io.EOF only as invariant 1 says.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.read(p)
	c.err = err
	return n, err
}

func (c *chunkReader) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.left == 0 {
		size, err := c.header()
		if err != nil {
			return 0, err
		}
		if size == 0 {
			if err := c.end(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if size > c.want {
			return 0, malformedChunk("it is longer than x-amz-decoded-content-length")
		}
		c.left = size
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	var n int
	if c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else {
		var err error
		if n, err = c.src.Read(p); n == 0 && err != nil {
			return 0, bodyError(err)
		}
	}
	c.left -= int64(n)
	c.want -= int64(n)
	if c.sha != nil {
		c.sha.Write(p[:n])
	}
	if c.left == 0 {
		if err := c.checkChunk(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// header reads a chunk's line and returns its size.
func (c *chunkReader) header() (int64, error) {
	if c.started {
		if line, err := c.line(0); err != nil || len(line) != 0 {
			return 0, orMalformed(err, "a chunk is longer than its size")
		}
	}
	c.started = true
	line, err := c.line(maxChunkDigits + len(";chunk-signature=") + len(c.sig))
	if err != nil {
		return 0, err
	}
	var size int64
	i := 0
	for ; i < len(line); i++ {
		d := hexDigit(line[i])
		if d < 0 {
			break
		}
		if i == 15 { // more than 60 bits
			return 0, malformedChunk("a chunk's size is too large")
		}
		size = size<<4 | int64(d)
	}
	if i == 0 || i > 1 && line[0] == '0' {
		return 0, malformedChunk("a chunk's size is not a plain hexadecimal number")
	}
	rest := line[i:]
	if c.verify == nil {
		if len(rest) != 0 {
			return 0, malformedChunk("an unsigned chunk has an extension")
		}
		return size, nil
	}
	const ext = ";chunk-signature="
	if len(rest) != len(ext)+len(c.sig) || string(rest[:len(ext)]) != ext {
		return 0, ErrSignatureDoesNotMatch.With("A chunk has no signature.")
	}
	copy(c.sig[:], rest[len(ext):])
	c.sha.Reset()
	return size, nil
}

// checkChunk verifies the chunk whose data has just ended.
func (c *chunkReader) checkChunk() error {
	if c.verify == nil {
		return nil
	}
	c.sha.Sum(c.sum[:0])
	if !c.verify.VerifyChunk(&c.sum, c.sig[:]) {
		return ErrSignatureDoesNotMatch.With("The signature of a chunk does not match.")
	}
	return nil
}

// end reads what follows the line of the last chunk.
func (c *chunkReader) end() error {
	if err := c.checkChunk(); err != nil {
		return err
	}
	if c.want != 0 {
		return ErrIncompleteBody.With("The body is shorter than x-amz-decoded-content-length.")
	}
	if !c.trailer {
		if line, err := c.line(0); err != nil || len(line) != 0 {
			return orMalformed(err, "there is something behind the last chunk")
		}
		return c.exhausted()
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	return c.exhausted()
}

// readTrailer reads the lines up to an empty one. Its field must be the one announced; with signatures its own must be the last line.
func (c *chunkReader) readTrailer() error {
	const signature = "x-amz-trailer-signature"
	signed := false
	for {
		line, err := c.line(maxTrailerLine)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := cutField(line)
		switch {
		case !ok || signed:
			return ErrMalformedTrailer
		case name == signature:
			if c.verify == nil || len(value) != len(c.sig) || c.value == "" {
				return ErrMalformedTrailer
			}
			canonical := sha256.Sum256([]byte(c.announce.Header() + ":" + c.value + "\n"))
			if !c.verify.VerifyTrailer(&canonical, []byte(value)) {
				return ErrSignatureDoesNotMatch.With("The signature of the trailer does not match.")
			}
			signed = true
		case c.value != "" || c.announce == ChecksumNone || name != c.announce.Header():
			return ErrMalformedTrailer.With("The trailer has a field that x-amz-trailer did not announce, or has it twice.")
		default:
			c.value = value
		}
	}
	if c.verify != nil && !signed || c.announce != ChecksumNone && c.value == "" {
		return ErrMalformedTrailer.With("The trailer lacks a field that was announced, or its signature.")
	}
	return nil
}

// cutField splits "Name:value", with the name in lower case and without space or a line feed around the value.
func cutField(line []byte) (name, value string, ok bool) {
	for i, b := range line {
		if b != ':' {
			continue
		}
		v := line[i+1:]
		if len(v) > 0 && v[len(v)-1] == '\n' {
			v = v[:len(v)-1]
		}
		for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
			v = v[1:]
		}
		for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
			v = v[:len(v)-1]
		}
		lower := make([]byte, i)
		for j, b := range line[:i] {
			if b >= 'A' && b <= 'Z' {
				b += 'a' - 'A'
			}
			lower[j] = b
		}
		return string(lower), string(v), i > 0 && len(v) > 0
	}
	return "", "", false
}

// exhausted checks that the source ends here.
func (c *chunkReader) exhausted() error {
	if c.r < c.w {
		return malformedChunk("there is something behind its end")
	}
	for range 100 {
		n, err := c.src.Read(c.buf[:1])
		switch {
		case n > 0:
			return malformedChunk("there is something behind its end")
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		}
	}
	return bodyError(io.ErrNoProgress)
}

// line returns the next line without its CRLF, at most limit bytes of it; valid until the next call. A CR or LF elsewhere is refused, but for one LF right
// before the CRLF, which is left in the line.
func (c *chunkReader) line(limit int) ([]byte, error) {
	idle := 0
	for scanned := 0; ; {
		have := c.buf[c.r:c.w]
		for ; scanned+1 < len(have); scanned++ {
			switch {
			case have[scanned] == '\r' && have[scanned+1] == '\n':
				if scanned > limit {
					return nil, malformedChunk("a line is too long")
				}
				c.r += scanned + 2
				return have[:scanned], nil
			case have[scanned] == '\r', have[scanned] == '\n' && have[scanned+1] != '\r':
				return nil, malformedChunk("a line does not end with CR LF")
			}
		}
		if len(have) > limit+2 {
			return nil, malformedChunk("a line is too long")
		}
		if c.r > 0 {
			c.w = copy(c.buf[:], have)
			c.r = 0
		}
		n, err := c.src.Read(c.buf[c.w:])
		c.w += n
		if n > 0 {
			idle = 0
			continue
		}
		if idle++; err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return nil, bodyError(err)
		}
	}
}

func orMalformed(err error, what string) error {
	if err != nil {
		return err
	}
	return malformedChunk(what)
}

func hexDigit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// timeout is what net.Error and os.ErrDeadlineExceeded have.
type timeout interface{ Timeout() bool }

// bodyError says in S3's words why a body could not be read to its end.
func bodyError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	var t timeout
	switch {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return ErrIncompleteBody
	case errors.As(err, &t) && t.Timeout():
		return fmt.Errorf("%w: %w", ErrRequestTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrIncompleteBody, err)
}
