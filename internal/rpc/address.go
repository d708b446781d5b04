package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"ostor/internal/fault"
)

// splitAddress reads "unix:/path" or "tcp:host:port".
func splitAddress(addr string) (network, rest string, err error) {
	network, rest, ok := strings.Cut(addr, ":")
	if !ok || rest == "" || network != "unix" && network != "tcp" {
		return "", "", fault.New(fault.Invalid, "rpc: bad address %q: want unix:/path or tcp:host:port", addr)
	}
	return network, rest, nil
}

// Listen opens a listener on "unix:/path" or "tcp:host:port". The socket file gets mode 0600; one that a killed process left behind is
// replaced, one that somebody listens on is fault.Exists.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	network, rest, err := splitAddress(addr)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if network == "tcp" {
		l, err := lc.Listen(ctx, network, rest)
		return l, inUse(err, addr)
	}
	if err := removeDead(ctx, rest); err != nil {
		return nil, err
	}
	l, err := lc.Listen(ctx, network, rest)
	if err != nil {
		return nil, inUse(err, addr)
	}
	if err := os.Chmod(rest, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeDead removes a socket file that nobody listens on.
func removeDead(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil //nolint:nilerr // most likely there is none; otherwise listening says what is wrong
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fault.New(fault.Exists, "rpc: %s exists and is not a socket", path)
	}
	d := net.Dialer{Timeout: time.Second}
	nc, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = nc.Close()
		return fault.New(fault.Exists, "rpc: somebody listens on %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Wrap(fault.Exists, err, "rpc: socket %s", path)
	}
	return os.Remove(path)
}

func inUse(err error, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.Exists, err, "rpc: listen on %s", addr)
	}
	return err
}

// dial connects. TLS is used on TCP only: a unix socket is protected by its directory.
func dial(ctx context.Context, addr string, cfg *tls.Config) (net.Conn, error) {
	network, rest, err := splitAddress(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, rest)
	if err != nil || cfg == nil || network != "tcp" {
		return nc, err
	}
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(rest)
	}
	t := tls.Client(nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return t, nil
}
