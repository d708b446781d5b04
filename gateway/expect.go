package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

// net/http answers an Expect header that is not 100-continue with 417, which RFC 9110, 10.1.1, permits. S3 ignores such a header, and so do we: the connection renames it while the head
// of a request passes, at its length. A name that two reads cut apart is missed; it gets its 417.

// expectListener accepts connections that ignore odd expectations. Those of TLS are as they were: net/http must see them, and their bytes are not ours to change.
type expectListener struct{ net.Listener }

func (l expectListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if _, encrypted := c.(*tls.Conn); err != nil || encrypted {
		return c, err
	}
	e := &expectConn{Conn: c}
	e.head.Store(true)
	return e, nil
}

// expectConn is a connection whose reads belong to the head of a request until its empty line, and at the latest until its handler begins: net/http has read a head that it did not wait for, of a
// client that sends requests ahead, before the connection was idle.
type expectConn struct {
	net.Conn
	head atomic.Bool
	text bool // the line that is being read is not empty; belongs to Read while head is set
}

// connState is the server's hook: behind an idle connection the next bytes begin a request.
func connState(c net.Conn, state http.ConnState) {
	if e, ok := c.(*expectConn); ok && state == http.StateIdle {
		e.text = false
		e.head.Store(true)
	}
}

// expectKey is the place of the expectConn in a request's context.
type expectKey struct{}

// connContext is the server's hook that puts it there.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, expectKey{}, c)
}

// behindHead tells the connection that what it reads is no head any more.
func behindHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, ok := r.Context().Value(expectKey{}).(*expectConn); ok {
			e.head.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}

func (c *expectConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.head.Load() {
		ignoreExpectation(p[:c.endOfHead(p[:n])])
	}
	return n, err
}

// endOfHead returns how much of b belongs to the head. Lines end with LF, with or without a CR, as net/http reads them, and a read may end anywhere. What is behind the end is not ours to
// change; an empty line in front of a request counts as its end, and costs no more than a 417.
func (c *expectConn) endOfHead(b []byte) int {
	for at := 0; ; {
		line, _, ended := bytes.Cut(b[at:], []byte("\n"))
		c.text = c.text || len(line) > 0 && string(line) != "\r"
		if !ended {
			return len(b)
		}
		at += len(line) + 1
		if !c.text {
			c.head.Store(false)
			return at
		}
		c.text = false
	}
}

// CloseWrite lets net/http end a connection without a reset that could take the reply from the client.
func (c *expectConn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// hiddenExpect stands for Expect, as long and as canonical.
const hiddenExpect = "X-Pect"

// restoreExpectation gives the header its name back: it may be signed.
func restoreExpectation(h http.Header) {
	if v, ok := h[hiddenExpect]; ok {
		delete(h, hiddenExpect)
		h["Expect"] = v
	}
}

// ignoreExpectation renames the Expect headers of a head, or a piece of one, that are not 100-continue.
func ignoreExpectation(head []byte) {
	const name = "\nexpect:"
	for rest := head; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 || len(rest)-i < len(name) {
			return
		}
		rest = rest[i:]
		if bytes.EqualFold(rest[:len(name)], []byte(name)) {
			value, _, _ := bytes.Cut(rest[len(name):], []byte("\n"))
			if !bytes.EqualFold(bytes.TrimSpace(value), []byte("100-continue")) {
				copy(rest[1:], hiddenExpect)
			}
		}
		rest = rest[1:]
	}
}
