package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Handler serves the calls of one service. It runs in the connection's goroutine; ctx ends at the client's deadline, when the client goes away and
// when the server is closed. c and what it holds must not be used after the return. A nil error sends c.Reply, another one its kind and text.
type Handler func(ctx context.Context, c *Call) error

// Service is what a server answers for.
type Service struct {
	ID         uint64 // as the clients address it
	Generation uint64 // requests for another one are refused with fault.Stale
	Handler    Handler
}

// ServerOptions of NewServer. Zero fields mean the default.
type ServerOptions struct {
	TLS           *tls.Config   // for TCP listeners; it should require and verify client certificates. nil: no TLS. Never used on unix sockets
	MaxConns      int           // connections, and so calls, at the same time; more are refused. Default 2048
	HelloTimeout  time.Duration // from accepting to the first request, TLS included. Default 10 s
	IdleTimeout   time.Duration // a connection without calls is closed after it. Default 5 min
	IOTimeout     time.Duration // for the rest of a frame that has begun, and for writing a reply. Default 30 s
	StreamTimeout time.Duration // between two data messages, either way. Default 2 min
	Logger        *slog.Logger  // default: none
}

// EnsureDefaults fills what is zero.
func (o *ServerOptions) EnsureDefaults() {
	if o.MaxConns == 0 {
		o.MaxConns = 2048
	}
	o.HelloTimeout = defaultTo(o.HelloTimeout, 10*time.Second)
	o.IdleTimeout = defaultTo(o.IdleTimeout, 5*time.Minute)
	o.IOTimeout = defaultTo(o.IOTimeout, 30*time.Second)
	o.StreamTimeout = defaultTo(o.StreamTimeout, 2*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func defaultTo(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// Server answers calls for any number of services on any number of listeners. Safe for concurrent use.
type Server struct {
	opts   ServerOptions
	log    *slog.Logger
	ctx    context.Context // ends when Close stops waiting: the calls' contexts are below it
	cancel context.CancelFunc
	work   sync.WaitGroup

	calls   atomic.Int64
	refused atomic.Int64

	mu        sync.Mutex
	services  map[uint64]*registered
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	closed    bool
}

// registered is a service with the context of its calls.
type registered struct {
	Service
	ctx    context.Context
	cancel context.CancelFunc
}

// ServerStats are counters since NewServer.
type ServerStats struct {
	Conns   int   // open now
	Calls   int64 // handled
	Refused int64 // connections and calls refused before a handler saw them
}

// NewServer returns a server without services and listeners.
func NewServer(opts ServerOptions) *Server {
	opts.EnsureDefaults()
	s := &Server{opts: opts, log: opts.Logger.With("component", "rpc"), services: map[uint64]*registered{},
		listeners: map[net.Listener]struct{}{}, conns: map[*serverConn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Register adds a service. It returns fault.Exists when the server has one of that id already.
func (s *Server) Register(svc Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.services[svc.ID]; ok {
		return fault.New(fault.Exists, "rpc: service %016x is registered already", svc.ID)
	}
	r := &registered{Service: svc}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	s.services[svc.ID] = r
	return nil
}

// Unregister removes a service, ends the contexts of its calls and closes its connections. It does not wait for the handlers.
func (s *Server) Unregister(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.services[id]
	if !ok {
		return
	}
	delete(s.services, id)
	r.cancel()
	for c := range s.conns {
		if c.service == r {
			_ = c.nc.Close()
		}
	}
}

// Serve accepts connections until Close, then returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.work.Add(1)
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer s.work.Done()
	defer func() { _ = l.Close() }()
	secure := s.opts.TLS != nil && l.Addr().Network() == "tcp"
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors, or a connection that ended before it was accepted: others go on.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("cannot accept", logkey.Error, err)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
			}
			continue
		}
		pause = 0
		if secure {
			nc = tls.Server(nc, s.opts.TLS)
		}
		s.start(nc)
	}
}

// start serves a connection in a goroutine of its own.
func (s *Server) start(nc net.Conn) {
	c := newServerConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close()
		return
	}
	c.crowded = len(s.conns) >= s.opts.MaxConns
	if len(s.conns) >= s.opts.MaxConns+s.opts.MaxConns/4+16 { // not even a refusal
		s.refused.Add(1)
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.work.Go(func() {
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// lookup returns a service, or nil.
func (s *Server) lookup(id uint64) *registered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services[id]
}

// Stats returns counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ServerStats{Conns: len(s.conns), Calls: s.calls.Load(), Refused: s.refused.Load()}
}

// Close stops accepting, lets running calls finish until ctx ends, then ends their contexts and connections. It returns when every goroutine of the server has ended,
// with ctx's error when calls were cut off.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		c.retire()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		s.cancel()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.nc.Close()
		}
		s.mu.Unlock()
		<-done
	}
	s.cancel()
	return err
}
