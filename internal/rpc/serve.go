package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ostor/internal/checksum"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	watchAfter    = 10 * time.Millisecond // a call that takes longer is ended when its client goes away
	maxDrainBytes = 64 << 20              // of a body that nobody reads, so that the client gets to see the error
	maxDrainTime  = 5 * time.Second
)

// Call is one call at the server.
type Call struct {
	Op        uint16
	RequestID uint64 // of the request that this call serves, for logs; 0 = none
	Request   []byte // valid until the handler returns
	Reply     []byte // empty at first, with capacity: append the reply here, at most MaxMessageBytes

	c    *serverConn
	sent bool // data went out
}

// Body returns the data that the client sends: empty when the call has none. Its error is io.EOF only if the client's body ended so, fault.Truncated when the client gave up or went away.
func (c *Call) Body() io.Reader { return &c.c.body }

// Write sends p as data to the client, in messages of up to 256 KiB; p is not kept. Small pieces are gathered until the handler returns.
func (c *Call) Write(p []byte) (int, error) {
	c.sent = true
	for n := 0; n < len(p); {
		piece := p[n:min(len(p), n+dataBytes)]
		c.c.sendWithin(c.c.s.opts.StreamTimeout)
		if err := c.c.send(header{kind: typeData, request: c.RequestID, generation: c.c.service.Generation}, nil, piece); err != nil {
			return n, fault.Wrap(fault.Unavailable, err, "rpc: send data")
		}
		n += len(piece)
	}
	return len(p), nil
}

// serverConn is a connection at the server. Its goroutine uses it alone, but for retire and watch.
type serverConn struct {
	*conn
	s       *Server
	service *registered // nil before the hello
	crowded bool        // to be refused

	state atomic.Int32 // idle, busy or retired
	call  Call
	body  body
	watch watch
}

// States: retire closes an idle connection at once, a busy one when its call is done.
const (
	stateIdle int32 = iota
	stateBusy
	stateRetired
)

func newServerConn(s *Server, nc net.Conn) *serverConn {
	c := &serverConn{conn: newConn(nc), s: s}
	c.call.c = c
	c.body.c = c
	c.watch.c = c
	return c
}

// retire ends the connection as soon as no call runs on it.
func (c *serverConn) retire() {
	if c.state.Swap(stateRetired) == stateIdle {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // not Close: a request that has just been read gets its refusal
	}
}

// serve runs the connection to its end.
func (c *serverConn) serve() {
	defer c.close()
	if err := c.hello(); err != nil {
		c.complain(err)
		return
	}
	ctx, cancel := context.WithCancel(c.service.ctx)
	defer cancel()
	c.watch.cancel = cancel
	for {
		c.readWithin(c.s.opts.IdleTimeout)
		if c.state.Load() == stateRetired { // retire may have set its deadline before this one
			return
		}
		h, sum, err := c.receive()
		if err != nil {
			c.complain(err)
			return
		}
		if !c.state.CompareAndSwap(stateIdle, stateBusy) {
			c.complain(c.refuse(h, fault.New(fault.Unavailable, "rpc: the server is closing")))
			return
		}
		if err := c.one(ctx, h, sum); err != nil {
			c.complain(err)
			return
		}
		if !c.state.CompareAndSwap(stateBusy, stateIdle) {
			return
		}
	}
}

// hello reads which service the client wants and says whether it is here.
func (c *serverConn) hello() error {
	c.readWithin(c.s.opts.HelloTimeout)
	c.sendWithin(c.s.opts.IOTimeout)
	h, sum, err := c.receive()
	if err != nil {
		return err
	}
	if h.kind != typeHello || h.length != helloBytes {
		return frameError("a connection begins with a hello of %d bytes, not with type %d of %d bytes", helloBytes, h.kind, h.length)
	}
	b, err := c.payload(make([]byte, 0, helloBytes), h, sum)
	if err != nil {
		return err
	}
	id, highest := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if c.crowded {
		return c.refuse(h, fault.New(fault.Unavailable, "rpc: too many connections"))
	}
	r := c.s.lookup(id)
	if r == nil {
		return c.refuse(h, fault.New(fault.Stale, "rpc: service %016x is not here", id))
	}
	c.s.mu.Lock()
	c.service = r
	c.s.mu.Unlock()
	if h.generation != r.Generation || highest > r.Generation {
		return c.refuse(h, staleError(id, h.generation, r.Generation))
	}
	if err := c.send(header{kind: typeWelcome, generation: r.Generation}, nil, nil); err != nil {
		return err
	}
	return c.flush()
}

func staleError(id, wanted, here uint64) error {
	return fault.New(fault.Stale, "rpc: generation %d of service %016x was addressed, here is %d", wanted, id, here)
}

// errRefused ends a connection after refuse has told the client why.
var errRefused = errors.New("rpc: refused")

// refuse answers that no handler saw the call. It returns errRefused.
func (c *serverConn) refuse(h header, why error) error {
	c.s.refused.Add(1)
	c.s.log.Debug("refused", logkey.Error, why, logkey.Addr, c.nc.RemoteAddr())
	c.sendWithin(c.s.opts.IOTimeout)
	if err := c.sendError(h, flagRefused, why); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	return errRefused
}

// complain ends a connection that cannot go on: a peer that sent nonsense is told so, and one that was refused gets to read it.
func (c *serverConn) complain(err error) {
	switch {
	case errors.Is(err, errRefused):
		c.linger()
	case errors.Is(err, fault.Invalid):
		c.s.refused.Add(1)
		c.s.log.Warn("bad frame; connection closed", logkey.Error, err, logkey.Addr, c.nc.RemoteAddr())
		c.sendWithin(c.s.opts.IOTimeout)
		if c.sendError(header{}, 0, err) == nil && c.flush() == nil {
			c.linger()
		}
	}
}

// linger lets the peer read the last words: closing while its bytes are unread would reset the connection and could throw them away.
func (c *serverConn) linger() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok && w.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c.br, MaxFrameBytes)
}

func (c *serverConn) sendError(h header, flags uint8, err error) error {
	var generation uint64
	if c.service != nil {
		generation = c.service.Generation
	}
	return c.send(header{kind: typeError, flags: flags, code: uint16(fault.KindOf(err)), request: h.request, generation: generation}, nil, appendError(nil, err))
}

// one serves the call that begins with header h. An error ends the connection.
func (c *serverConn) one(ctx context.Context, h header, sum uint32) error {
	c.readRest(h, c.s.opts.IOTimeout)
	switch h.kind {
	case typePing:
		if h.length != 0 {
			return frameError("a ping with payload")
		}
		if h.generation != c.service.Generation {
			return c.refuse(h, staleError(c.service.ID, h.generation, c.service.Generation))
		}
		c.sendWithin(c.s.opts.IOTimeout)
		if err := c.send(header{kind: typeReply, request: h.request, generation: h.generation}, nil, nil); err != nil {
			return err
		}
		return c.flush()
	case typeRequest:
	default:
		return frameError("type %d where a request begins", h.kind)
	}
	msg, err := c.message(c.call.Request[:0], h, sum)
	c.call.Request = msg
	if err != nil {
		return err
	}
	if len(msg) < deadlineBytes {
		return frameError("a request of %d bytes", len(msg))
	}
	if h.generation != c.service.Generation { // the hello was checked: a client that mixes up its connections
		return c.refuse(h, staleError(c.service.ID, h.generation, c.service.Generation))
	}
	limit := time.Duration(binary.LittleEndian.Uint32(msg)) * time.Millisecond
	err = c.handle(ctx, h, msg[deadlineBytes:], limit)
	if cap(c.call.Request) > keepBytes {
		c.call.Request = nil
	} else {
		c.call.Request = msg
	}
	if cap(c.call.Reply) > keepBytes {
		c.call.Reply = nil
	}
	return err
}

// handle runs the handler and sends what it returned.
func (c *serverConn) handle(ctx context.Context, h header, request []byte, limit time.Duration) error {
	c.s.calls.Add(1)
	ctx = logkey.WithRequestID(ctx, h.request)
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	c.call.Op, c.call.RequestID, c.call.Request, c.call.Reply, c.call.sent = h.code, h.request, request, c.call.Reply[:0], false
	c.body.begin(h.flags&flagBody != 0)
	if c.body.err != nil {
		c.watch.arm()
	}
	err := c.service.Handler(ctx, &c.call)
	c.watch.disarm()
	if err == nil && len(c.call.Reply) > MaxMessageBytes {
		err = fault.New(fault.TooLarge, "rpc: the reply has %d bytes: at most %d are allowed", len(c.call.Reply), MaxMessageBytes)
	}
	c.sendWithin(c.s.opts.IOTimeout)
	if err != nil {
		err = c.sendError(h, 0, err)
	} else {
		err = c.sendMessage(header{kind: typeReply, request: h.request, generation: c.service.Generation}, nil, c.call.Reply)
	}
	if err == nil {
		err = c.flush()
	}
	switch {
	case err != nil:
	case c.body.err == nil:
		err = c.drain()
	case c.body.err != io.EOF: // where the next frame begins is not known
		err = errRefused
	}
	return err
}

// drain reads what the client still sends for a call that was answered: it looks at the answer only between two messages, and closing before would lose it.
func (c *serverConn) drain() error {
	buf := writeBuffers.Get().(*[writeBufferBytes]byte)
	defer writeBuffers.Put(buf)
	defer c.watch.disarm() // reading the end arms it, and nobody else may read while the next request is awaited
	end := time.Now().Add(maxDrainTime)
	for n := 0; c.body.err == nil; {
		k, _ := c.body.Read(buf[:])
		if n += k; n > maxDrainBytes || time.Now().After(end) {
			return errRefused
		}
	}
	if c.body.err == io.EOF {
		return nil
	}
	return errRefused // the client closes the connection too
}

// body reads the data of a call.
type body struct {
	c    *serverConn
	h    header // of the present message
	sum  uint32
	left int   // bytes of it not read yet
	err  error // sticky; io.EOF at the end
}

func (b *body) begin(announced bool) {
	b.h, b.sum, b.left, b.err = header{}, 0, 0, nil
	if !announced {
		b.err = io.EOF
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for b.left == 0 {
		if b.h.flags&flagEnd != 0 {
			b.err = io.EOF
			b.c.watch.arm() // what follows may wait for disks: notice when the client goes
			return 0, b.err
		}
		if err := b.next(); err != nil {
			b.err = err
			return 0, err
		}
	}
	b.c.readWithin(b.c.s.opts.StreamTimeout)
	n, err := b.c.br.Read(p[:min(len(p), b.left)])
	b.left -= n
	if b.h.flags&flagPayloadCRC != 0 {
		b.sum = checksum.Update(b.sum, p[:n])
		if b.left == 0 && b.sum != b.h.crc {
			b.err = frameError("wrong checksum")
			return 0, b.err
		}
	}
	if err != nil {
		b.err = fault.Wrap(fault.Truncated, truncated(err), "rpc: the body broke off")
		return n, b.err
	}
	return n, nil
}

// next reads the header of the next message.
func (b *body) next() error {
	b.c.readWithin(b.c.s.opts.StreamTimeout)
	h, sum, err := b.c.receive()
	if err != nil {
		return fault.Wrap(fault.Truncated, truncated(err), "rpc: the body broke off")
	}
	switch h.kind {
	case typeData:
		if h.length == 0 && h.flags&flagEnd == 0 {
			return frameError("an empty data message that is not the last")
		}
		b.h, b.sum, b.left = h, sum, int(h.length)
		if h.length == 0 && h.flags&flagPayloadCRC != 0 && sum != h.crc {
			return frameError("wrong checksum")
		}
		return nil
	case typeAbort:
		text, err := b.c.payload(nil, h, sum)
		if err != nil {
			return fault.Wrap(fault.Truncated, err, "rpc: the body broke off")
		}
		return fault.New(fault.Truncated, "rpc: the client gave the body up: %s", cut(string(text), maxTextBytes))
	}
	return frameError("type %d within a body", h.kind)
}

// watch notices, while a handler runs for long, that the client has closed the connection, and ends the handler's context. Meanwhile nobody else reads.
type watch struct {
	c      *serverConn
	cancel context.CancelFunc
	timer  *time.Timer

	mu      sync.Mutex
	armed   bool
	running chan struct{} // closed when the look-out ends; nil: none
}

// arm begins to look out in a while. The body must have been read to its end.
func (w *watch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
		return
	}
	w.timer.Reset(watchAfter)
}

// look waits for the end of the stream; its goroutine is the timer's.
func (w *watch) look() {
	w.mu.Lock()
	if !w.armed || w.running != nil {
		w.mu.Unlock()
		return
	}
	done := make(chan struct{})
	w.running = done
	_ = w.c.nc.SetReadDeadline(time.Time{}) // under mu: disarm sets it after this
	w.mu.Unlock()
	if _, err := w.c.br.Peek(1); err != nil && !timedOut(err) {
		w.cancel()
	}
	close(done)
}

// disarm ends the look-out; afterwards the connection may be read again.
func (w *watch) disarm() {
	w.mu.Lock()
	if !w.armed {
		w.mu.Unlock()
		return
	}
	w.armed = false
	running := w.running
	w.running = nil
	if running == nil {
		w.timer.Stop()
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	_ = w.c.nc.SetReadDeadline(time.Unix(1, 0))
	<-running
	w.c.readBy = time.Time{} // the next readWithin sets it anew
}
