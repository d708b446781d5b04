package sim

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"ostor/internal/rpc"
)

// network connects the processes of a world. Bytes take time; a partition holds them back until it is over; now and then a connection breaks, before or after what was
// just sent has arrived, so that a request or its reply is lost and those who may repeat it do.
type network struct {
	w *world

	mu        sync.Mutex
	listeners map[string]*listener
}

// listener is where a process answers.
type listener struct {
	p     *process
	addr  address
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

type address string

func (a address) Network() string { return "sim" }
func (a address) String() string  { return string(a) }

// listen opens an address for a process. It lasts until Close, or until nobody accepts because the process is dead.
func (n *network) listen(p *process, addr string) *listener {
	l := &listener{p: p, addr: address(addr), conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[addr] = l
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, l.p.pause()
	case <-l.done:
	case <-l.p.dead:
	}
	return nil, net.ErrClosed
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// dialer returns how a process connects.
func (n *network) dialer(p *process) rpc.Dialer {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if err := p.pause(); err != nil {
			return nil, err
		}
		n.mu.Lock()
		l := n.listeners[addr]
		n.mu.Unlock()
		if l == nil {
			return nil, syscall.ECONNREFUSED
		}
		for {
			select {
			case <-time.After(max(n.delay(p, l.p), n.w.hop(p, l.p))):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-p.dead:
				return nil, errDead
			}
			if n.delay(p, l.p) <= 0 {
				break
			}
		}
		if l.p.isDead() {
			return nil, syscall.ECONNREFUSED
		}
		there, here := newStream(), newStream()
		a := &simConn{n: n, p: p, peer: l.p, in: here, out: there}
		b := &simConn{n: n, p: l.p, peer: p, in: there, out: here}
		select {
		case l.conns <- b:
			return a, nil
		case <-l.done:
			return nil, syscall.ECONNREFUSED
		case <-l.p.dead:
			return nil, syscall.ECONNREFUSED
		case <-p.dead:
			return nil, errDead
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// delay returns for how long nothing passes between two processes.
func (n *network) delay(a, b *process) time.Duration {
	if a.h == b.h {
		return 0
	}
	return max(a.h.aloneFor(), b.h.aloneFor())
}

func (h *host) aloneFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.up {
		return unit / 4 // ask again
	}
	return time.Until(h.alone)
}

// hop is how long bytes are on their way.
func (w *world) hop(a, b *process) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r := w.rnd.Float64(); {
	case r < 0.001 && time.Now().Before(w.end()):
		return time.Duration(w.rnd.Int64N(int64(12 * unit)))
	case r < 0.02:
		return time.Duration(w.rnd.Int64N(int64(unit / 10)))
	}
	return time.Duration(1 + w.rnd.Int64N(int64(unit/2000)))
}

// stream is one direction of a connection.
type stream struct {
	mu     sync.Mutex
	chunks []chunk
	closed bool
	reset  bool
	read   time.Time // deadline of the reader
	write  time.Time // deadline of the writer
	wake   chan struct{}
}

type chunk struct {
	b  []byte
	at time.Time // when it arrives
}

func newStream() *stream { return &stream{wake: make(chan struct{}, 1)} }

// changed makes the reader look again. mu is held.
func (s *stream) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) close(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if reset {
		s.reset = true
		s.chunks = nil
	}
	s.changed()
}

// simConn is one end of a connection: of process p, to process peer.
type simConn struct {
	n       *network
	p, peer *process
	in, out *stream
}

var _ net.Conn = (*simConn)(nil)

func (c *simConn) Read(b []byte) (int, error) {
	for {
		if err := c.p.pause(); err != nil {
			return 0, err
		}
		n, wait, err := c.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.in.wake:
		case <-timer.C:
		case <-c.p.dead:
		case <-c.peer.dead:
			// Its end comes to be known like bytes, but not from a host that is down: no kernel of it tells.
			select {
			case <-time.After(unit / 100):
			case <-c.p.dead:
			}
			if c.peer.h.answers() {
				c.in.close(false)
			} else if wait > unit/2 {
				select {
				case <-time.After(unit / 2):
				case <-c.p.dead:
				}
			}
		}
		timer.Stop()
	}
}

// take returns what has come, or how long to wait for more.
func (c *simConn) take(b []byte) (n int, wait time.Duration, err error) {
	cut := c.n.delay(c.p, c.peer)
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	switch {
	case s.reset:
		return 0, 0, syscall.ECONNRESET
	case len(s.chunks) > 0:
		first := &s.chunks[0]
		if wait = max(first.at.Sub(now), cut); wait <= 0 {
			n = copy(b, first.b)
			if first.b = first.b[n:]; len(first.b) == 0 {
				s.chunks = s.chunks[1:]
			}
			return n, 0, nil
		}
	case s.closed:
		return 0, 0, io.EOF
	}
	if !s.read.IsZero() {
		left := s.read.Sub(now)
		if left <= 0 {
			return 0, 0, os.ErrDeadlineExceeded
		}
		wait = min(wait, left)
	}
	return 0, wait, nil
}

func (c *simConn) Write(b []byte) (int, error) {
	if err := c.p.pause(); err != nil {
		return 0, err
	}
	w := c.n.w
	often := 0.0008 * w.wild
	if w.hint == hintBreaks {
		often = 0.01
	}
	lost := w.faulty() && w.chance(often)
	arrives := !lost || w.chance(0.5)
	at := time.Now().Add(w.hop(c.p, c.peer))
	s := c.out
	s.mu.Lock()
	if s.closed || s.reset {
		s.mu.Unlock()
		return 0, syscall.EPIPE
	}
	if !s.write.IsZero() && !time.Now().Before(s.write) {
		s.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	if n := len(s.chunks); n > 0 && s.chunks[n-1].at.After(at) {
		at = s.chunks[n-1].at
	}
	if arrives {
		s.chunks = append(s.chunks, chunk{append([]byte(nil), b...), at})
		s.changed()
	}
	s.mu.Unlock()
	if lost {
		w.n.broken.Add(1)
		s.close(!arrives)
		c.in.close(true)
		return 0, syscall.ECONNRESET
	}
	return len(b), nil
}

// Pending reports whether there is something to read, the end included.
func (c *simConn) Pending() bool {
	if c.peer.isDead() {
		return true
	}
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.reset || len(s.chunks) > 0
}

func (c *simConn) Close() error {
	c.out.close(false)
	c.in.close(true)
	return nil
}

func (c *simConn) LocalAddr() net.Addr  { return address("") }
func (c *simConn) RemoteAddr() net.Addr { return address("") }

func (c *simConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *simConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.read = t
	c.in.changed()
	return nil
}

func (c *simConn) SetWriteDeadline(t time.Time) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.write = t
	return nil
}
