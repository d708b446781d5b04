package gateway

import (
	"bytes"
	"errors"
	"io"

	"ostor/gateway/s3"
)

// maxSmallXML bounds documents that describe one thing; those that list up to a thousand keys or ten thousand parts have bounds of their own.
const maxSmallXML = 64 << 10

// openBody returns the verifying body of a write, at most maxBytes of content; the same one when it is called again.
func (c *call) openBody(maxBytes int64) (*s3.Body, error) {
	if c.opened != nil {
		return c.opened, nil
	}
	if err := c.gatherUnsized(); err != nil {
		return nil, err
	}
	body, err := s3.OpenBody(c.r, c.sig, maxBytes)
	if err != nil {
		return nil, err
	}
	c.opened = body
	return body, nil
}

// maxUnsizedBody bounds bodies without a length: they are held in memory, because an object server wants to know the size first.
const maxUnsizedBody = smallBodyBytes

// gatherUnsized reads a body that came with Transfer-Encoding: chunked and no length, so that it has one. A larger one is MissingContentLength, which S3 says to any.
// An aws-chunked body says its length itself.
func (c *call) gatherUnsized() error {
	if len(c.r.TransferEncoding) == 0 || c.sig != nil && c.sig.Payload.Chunked() || c.sig == nil && len(c.r.Header["X-Amz-Decoded-Content-Length"]) > 0 {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(c.r.Body, maxUnsizedBody+1))
	switch {
	case err != nil:
		return s3.ErrIncompleteBody
	case len(b) > maxUnsizedBody:
		return s3.ErrMissingContentLength
	}
	c.req.TransferEncoding, c.req.ContentLength, c.req.Body = nil, int64(len(b)), io.NopCloser(bytes.NewReader(b))
	return nil
}

// lengthless reports whether a request says nothing about the length of its body. net/http takes it for one without a body, and S3 refuses it where the body is an object.
func (c *call) lengthless() bool {
	return c.r.ContentLength == 0 && c.r.ProtoMajor == 1 && len(c.r.Header["Content-Length"]) == 0 && len(c.r.TransferEncoding) == 0
}

// wholeBody reads and verifies a small body, empty when there is none: a signer who signed one did not mean the request without it.
func (c *call) wholeBody(maxBytes int64) ([]byte, error) {
	body, err := c.openBody(maxBytes)
	if err != nil {
		return nil, tooLong(err)
	}
	return body.ReadAll(make([]byte, body.Size()))
}

// readDocument verifies and decodes the XML body of a request.
func (c *call) readDocument(maxBytes int64, v any) error {
	body, err := c.openBody(maxBytes)
	if err != nil {
		return tooLong(err)
	}
	return s3.DecodeXML(body, maxBytes, v)
}

// tooLong says of a document what OpenBody says of an object.
func tooLong(err error) error {
	if errors.Is(err, s3.ErrEntityTooLarge) {
		return s3.ErrMaxMessageLengthExceeded
	}
	return err
}
