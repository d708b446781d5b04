package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ostor/gateway/s3"
)

// response is the reply in the making: it notes status, bytes and the time of the first byte, and extends the deadline of a client that reads on.
type response struct {
	http.ResponseWriter
	now      func() time.Time
	progress progress
	status   int // 0: not begun
	bytes    int64
	first    time.Time // when the reply began
}

// WriteHeader begins the reply. Only the first call counts.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.first = w.now()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	w.progress.add(n)
	return n, err
}

// Unwrap gives http.ResponseController the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begun reports whether the client may have seen a status.
func (w *response) begun() bool { return w.status != 0 }

// set sets a header to one value. The name is written to the wire as given: S3's own spelling ("ETag", "x-amz-request-id").
func (c *call) set(name, value string) {
	if c.values == nil {
		c.values = make([]string, 0, 16) // one allocation for the values of a usual reply
	}
	if len(c.values) == cap(c.values) {
		c.values = make([]string, 0, 16)
	}
	n := len(c.values)
	c.values = append(c.values, value)
	c.w.Header()[name] = c.values[n : n+1 : n+1]
}

// clearHeaders takes back what an attempt set, keeping what every reply has.
func (c *call) clearHeaders() {
	h := c.w.Header()
	clear(h)
	c.standardHeaders()
}

// noSniff keeps browsers from taking stored bytes for a page that their type does not say they are.
var noSniff = []string{"nosniff"}

// standardHeaders sets what every reply has.
func (c *call) standardHeaders() {
	h := c.w.Header()
	c.set("x-amz-request-id", c.id)
	h["x-amz-id-2"] = c.g.hostIDHeader
	h["X-Content-Type-Options"] = noSniff
	for i := range c.always {
		c.set(c.always[i].name, c.always[i].value)
	}
}

// requestIDs numbers the requests of a gateway: 16 digits of the gateway's service id and 16 that differ for every request, also after a restart.
// The number is the second half: it travels to the servers.
func (g *Gateway) newRequestID() (number uint64, text string) {
	// An odd multiplier permutes the counter's values: unique, and neighbours do not look alike.
	number = (g.requests.Add(1) + g.requestBase) * 0x9e3779b97f4a7c15
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(g.serviceID))
	binary.BigEndian.PutUint64(b[8:], number)
	var digits [32]byte
	hex.Encode(digits[:], b[:])
	return number, string(digits[:])
}

var xmlBuffers = sync.Pool{New: func() any { return new(s3.XML) }}

// maxPooledXML bounds what one pooled buffer keeps: a listing of a thousand long keys.
const maxPooledXML = 1 << 20

// replyXML sends a document that write makes, with status 200.
func (c *call) replyXML(write func(x *s3.XML)) error {
	return c.replyXMLStatus(http.StatusOK, write)
}

func (c *call) replyXMLStatus(status int, write func(x *s3.XML)) error {
	x := xmlBuffers.Get().(*s3.XML)
	x.Reset(x.Bytes())
	write(x)
	b := x.Bytes()
	c.set("Content-Type", "application/xml")
	c.set("Content-Length", strconv.Itoa(len(b)))
	c.w.WriteHeader(status)
	var err error
	if c.r.Method != http.MethodHead {
		_, err = c.w.Write(b)
	}
	if cap(b) <= maxPooledXML {
		xmlBuffers.Put(x)
	}
	return err
}

// replyEmpty sends a reply without a body.
func (c *call) replyEmpty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
	return nil
}
