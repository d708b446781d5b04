package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"ostor/gateway/intent"
)

// Server is a gateway behind a listener. Connections have a limit for their headers, a minute of silence at most while a body moves (see deadline.go), and two minutes
// of idleness between requests. It runs one goroutine per listener, those of net/http, and the [intent.Finisher]'s.
type Server struct {
	http *http.Server
	left *intent.Finisher // of what other gateways left
	done chan struct{}
	err  error // of the listener; valid after done is closed
}

// Limits of a connection.
const (
	headerTimeout  = 15 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 32 << 10 // S3: 8 KB of headers and 2 KB of metadata; net/http adds 4 KB
)

// Serve begins to answer requests on l and returns at once; l is the server's from now on.
func Serve(l net.Listener, g *Gateway) *Server {
	s := &Server{done: make(chan struct{}), left: intent.NewFinisher(g.intents, nil), http: &http.Server{
		Handler:           behindHead(g),
		ConnState:         connState,
		ConnContext:       connContext,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      stallTimeout, // from the end of the headers; handlers extend it while data moves
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug), // clients make these errors
	}}
	s.left.Start()
	go func() {
		defer close(s.done)
		if err := s.http.Serve(expectListener{l}); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
			g.log.Error("the listener failed", slog.Any("error", err))
		}
	}()
	return s
}

// Done is closed when the server answers no more: after Shutdown, or because its listener failed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Shutdown closes the listener and waits for requests in flight until ctx ends; then it closes their connections. It returns ctx's error, or that of the listener.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	s.left.Close()
	return errors.Join(err, s.err)
}
