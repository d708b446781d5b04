package gateway

import (
	"io"
	"net/http"
	"time"
)

// Slow clients. A connection may stay silent, or trickle, for stallTimeout: each progressBytes received or sent give it that long again. So a client that
// keeps about a kilobyte per second may take days over 5 GiB, and one that sends a byte a second is cut off after a minute.
const (
	stallTimeout   = 60 * time.Second
	progressBytes  = 64 << 10
	refusalTimeout = 10 * time.Second // for the reply to who was cut off
)

// progress extends the deadlines of one connection as data moves. It is used by one goroutine at a time.
type progress struct {
	rc    *http.ResponseController
	moved int64     // since the deadlines were set
	last  time.Time // when they were set
}

// begin starts the clock of a transfer.
func (p *progress) begin(w http.ResponseWriter) {
	p.rc = http.NewResponseController(w)
	p.extend(time.Now())
}

func (p *progress) extend(now time.Time) {
	p.moved, p.last = 0, now
	// Errors are those of writers that have no connection (tests, FastCGI): then there is nothing to cut off.
	_ = p.rc.SetReadDeadline(now.Add(stallTimeout))
	_ = p.rc.SetWriteDeadline(now.Add(stallTimeout))
}

// add notes n bytes. Deadlines are set at most once a second: setting one costs a lock in the runtime.
func (p *progress) add(n int) {
	if p.rc == nil {
		return
	}
	if p.moved += int64(n); p.moved < progressBytes {
		return
	}
	if now := time.Now(); now.Sub(p.last) >= time.Second {
		p.extend(now)
	}
}

// received ends the reading of a body: what follows, the commit and the reply, has its own time, and an idle connection is net/http's affair.
func (p *progress) received() {
	if p.rc == nil {
		return
	}
	_ = p.rc.SetReadDeadline(time.Time{})
	_ = p.rc.SetWriteDeadline(time.Now().Add(stallTimeout + commitTimeout))
}

// failed ends the reading of a body that broke off. The read deadline stays: net/http reads on before the next request, up to 256 KiB, and a client that was cut off for its slowness would be waited for
// there without an end.
func (p *progress) failed() {
	if p.rc == nil {
		return
	}
	_ = p.rc.SetWriteDeadline(time.Now().Add(refusalTimeout))
}

// bodyReader is the request's body as the client sends it: it extends the deadlines while bytes come, notes when the last one came, and counts.
type bodyReader struct {
	io.ReadCloser
	progress progress
	n        int64
	end      time.Time // when the body was read to its end; zero before
	now      func() time.Time
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	b.progress.add(n)
	if err != nil && b.end.IsZero() {
		b.end = b.now()
		if err == io.EOF {
			b.progress.received()
		} else {
			b.progress.failed()
		}
	}
	return n, err
}
