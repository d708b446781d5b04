package gateway

import (
	"errors"

	"ostor/gateway/s3"
)

// maxSmallXML bounds documents that describe one thing; those that list up to a thousand keys or ten thousand parts have bounds of their own.
const maxSmallXML = 64 << 10

// openBody returns the verifying body of a write, at most maxBytes of content; the same one when it is called again.
func (c *call) openBody(maxBytes int64) (*s3.Body, error) {
	if c.opened != nil {
		return c.opened, nil
	}
	body, err := s3.OpenBody(c.r, c.sig, maxBytes)
	if err != nil {
		return nil, err
	}
	c.opened = body
	return body, nil
}

// wholeBody reads and verifies a small body, nil when there is none.
func (c *call) wholeBody(maxBytes int64) ([]byte, error) {
	if c.r.ContentLength == 0 {
		return nil, nil
	}
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
