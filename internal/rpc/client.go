package rpc

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ostor/internal/fault"
)

// ClientOptions of NewClient. Address, Service and Generation are required; other zero fields mean the default.
type ClientOptions struct {
	Address    string // "unix:/path" or "tcp:host:port"
	Service    uint64
	Generation uint64 // of the owner that is addressed

	TLS           *tls.Config   // for TCP; nil: no TLS. Never used on unix sockets
	Dial          Dialer        // how to connect; nil: by the operating system, with TLS. For simulated networks
	MaxConns      int           // connections, and so calls, at the same time; more wait. Default 256
	DialTimeout   time.Duration // connecting, TLS and hello. Default 5 s
	ReplyTimeout  time.Duration // for the reply, after the request and its data were sent, or for its first data; one second longer for each 32 MiB sent. Default 2 min
	IOTimeout     time.Duration // for writing a request, and for the rest of a frame that has begun. Default 30 s
	StreamTimeout time.Duration // between two data messages, either way. Default 2 min
	IdleTimeout   time.Duration // a connection that was not used for so long is closed. Default 2 min
}

// Dialer connects to an address of ClientOptions.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// EnsureDefaults fills what is zero.
func (o *ClientOptions) EnsureDefaults() {
	if o.MaxConns == 0 {
		o.MaxConns = 256
	}
	if o.Dial == nil {
		cfg := o.TLS
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, address, cfg) }
	}
	o.DialTimeout = defaultTo(o.DialTimeout, 5*time.Second)
	o.ReplyTimeout = defaultTo(o.ReplyTimeout, 2*time.Minute)
	o.IOTimeout = defaultTo(o.IOTimeout, 30*time.Second)
	o.StreamTimeout = defaultTo(o.StreamTimeout, 2*time.Minute)
	o.IdleTimeout = defaultTo(o.IdleTimeout, 2*time.Minute)
}

// Client calls one generation of one service. Safe for concurrent use.
type Client struct {
	opts    ClientOptions
	slots   chan struct{} // one per connection in use
	highest atomic.Uint64 // generation that any answer named

	mu     sync.Mutex
	idle   []*clientConn // the last used at the end
	closed bool
}

// clientConn is a connection at the client.
type clientConn struct {
	*conn
	used  time.Time // when the last call ended
	abort func()    // closes the connection; may run beside its user
}

// NewClient returns a client; it connects when it is first called. See also Dial.
func NewClient(opts ClientOptions) *Client {
	opts.EnsureDefaults()
	c := &Client{opts: opts, slots: make(chan struct{}, opts.MaxConns)}
	c.highest.Store(opts.Generation)
	return c
}

// Dial returns a client that has connected once: it returns fault.Stale when another generation answers there, fault.Unavailable when nobody does.
func Dial(ctx context.Context, opts ClientOptions) (*Client, error) {
	c := NewClient(opts)
	if err := c.Ping(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Close refuses new calls and closes idle connections; those of running calls close when they are done.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, cc := range idle {
		cc.close()
	}
	return nil
}

// Highest returns the highest generation of the service that any answer named. Once it is above Options.Generation all calls are refused with fault.Stale.
func (c *Client) Highest() uint64 { return c.highest.Load() }

// acquire returns a connection for one call. Every error is marked NotExecuted.
func (c *Client) acquire(ctx context.Context) (*clientConn, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, refusal{fault.Wrap(fault.Unavailable, context.Cause(ctx), "rpc: wait for a connection to %s", c.opts.Address)}
		}
	}
	cc, err := c.take(ctx)
	if err != nil {
		<-c.slots
		return nil, refusal{err}
	}
	return cc, nil
}

// take returns an idle connection that is alive, or a new one.
func (c *Client) take(ctx context.Context) (*clientConn, error) {
	if h := c.highest.Load(); h != c.opts.Generation {
		return nil, staleError(c.opts.Service, c.opts.Generation, h)
	}
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, fault.New(fault.Unavailable, "rpc: the client of %s is closed", c.opts.Address)
		}
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			return c.connect(ctx)
		}
		cc := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		// Nothing may come on an idle connection but its end: do not send a call, or a body that cannot be sent twice, to a server that has gone.
		if !cc.pending() {
			return cc, nil
		}
		cc.close()
	}
}

// release gives a connection back: to be used again only if the last call left it in order.
func (c *Client) release(cc *clientConn, inOrder bool) {
	if inOrder {
		cc.used = time.Now()
		var old *clientConn
		c.mu.Lock()
		if !c.closed {
			c.idle = append(c.idle, cc)
			if o := c.idle[0]; cc.used.Sub(o.used) > c.opts.IdleTimeout {
				old, c.idle = o, c.idle[1:]
			}
			cc = nil
		}
		c.mu.Unlock()
		if old != nil {
			old.close()
		}
	}
	if cc != nil {
		cc.close()
	}
	<-c.slots
}

// connect dials and exchanges hellos.
func (c *Client) connect(ctx context.Context) (*clientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.DialTimeout)
	defer cancel()
	nc, err := c.opts.Dial(ctx, c.opts.Address)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "rpc: connect to %s", c.opts.Address)
	}
	cc := &clientConn{conn: newConn(nc), abort: func() { _ = nc.Close() }}
	stop := context.AfterFunc(ctx, cc.abort)
	err = c.hello(cc)
	if !stop() { // the connection was closed under the hello, or is about to be
		err = fault.Wrap(fault.Unavailable, context.Cause(ctx), "rpc: greet %s", c.opts.Address)
	}
	if err != nil {
		cc.close()
		if k := fault.KindOf(err); k != fault.Stale && k != fault.Unavailable {
			err = fault.Wrap(fault.Unavailable, err, "rpc: greet %s", c.opts.Address)
		}
		return nil, err
	}
	return cc, nil
}

func (c *Client) hello(cc *clientConn) error {
	var b [helloBytes]byte
	binary.LittleEndian.PutUint64(b[:], c.opts.Service)
	binary.LittleEndian.PutUint64(b[8:], c.highest.Load())
	cc.sendWithin(c.opts.IOTimeout)
	cc.readWithin(c.opts.DialTimeout)
	if err := cc.send(header{kind: typeHello, generation: c.opts.Generation}, nil, b[:]); err != nil {
		return err
	}
	if err := cc.flush(); err != nil {
		return err
	}
	h, sum, err := cc.receive()
	if err != nil {
		return err
	}
	switch {
	case h.kind == typeError:
		b, err := cc.payload(nil, h, sum)
		if err != nil {
			return err
		}
		return c.remoteError(h, b)
	case h.kind != typeWelcome || h.length != 0:
		return frameError("type %d of %d bytes instead of a welcome", h.kind, h.length)
	case h.generation != c.opts.Generation:
		c.saw(h.generation)
		return staleError(c.opts.Service, c.opts.Generation, h.generation)
	}
	return nil
}

// saw remembers the highest generation.
func (c *Client) saw(g uint64) {
	for {
		h := c.highest.Load()
		if g <= h || c.highest.CompareAndSwap(h, g) {
			return
		}
	}
}

// remoteError makes the error of an error frame.
func (c *Client) remoteError(h header, payload []byte) error {
	c.saw(h.generation)
	err := decodeError(fault.Kind(h.code), payload)
	if h.flags&flagRefused != 0 {
		return refusal{err}
	}
	return err
}

// broken is the error of a call whose connection failed: it may have taken effect.
func (c *Client) broken(err error) error {
	if errors.Is(err, fault.Invalid) { // what the server sent is wrong: the same request will not be wrong on another connection
		return &fault.Error{Kind: fault.Unavailable, Msg: "rpc: " + c.opts.Address + " answered nonsense: " + err.Error()}
	}
	return &fault.Error{Kind: fault.Unavailable, Msg: "rpc: " + c.opts.Address, Err: truncated(err)}
}
