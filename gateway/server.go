package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"ostor/internal/fault"
)

// Server is a gateway behind listeners. Connections have a limit for their headers, a minute of silence at most while a body moves (see deadline.go), and two minutes
// of idleness between requests.
type Server struct {
	http *http.Server
}

// Limits of a connection.
const (
	headerTimeout  = 15 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 32 << 10 // S3: 8 KB of headers and 2 KB of metadata; net/http adds 4 KB
)

// NewServer returns a Server for handler, usually a [Gateway]. Errors of connections go to logger, which may be nil, at level Debug: clients make them.
func NewServer(handler http.Handler, logger *slog.Logger) *Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Server{http: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      stallTimeout, // from the end of the headers; handlers extend it while data moves
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}}
}

// Serve answers requests on l until Shutdown, and returns nil then. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fault.Wrap(fault.Unavailable, err, "gateway: serve %s", l.Addr())
	}
	return nil
}

// Shutdown closes the listeners and waits for requests in flight until ctx ends; then it closes their connections and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}
