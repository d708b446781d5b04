package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
)

// TestServeAndShutdown ends a server while a request is being answered: the request is completed, and new ones are refused.
func TestServeAndShutdown(t *testing.T) {
	t.Parallel()
	c := newFake(1)
	var logged bytes.Buffer
	g, err := New(Options{Topology: c, Accounts: fakeAccounts{alice: {AccessKey: alice, Secret: "alice's secret", UserID: 1}},
		AccessLog: slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(l, g)
	client := &site{t: t, cluster: c, gateway: g}
	client.url = "http://" + l.Addr().String()
	client.want(200, "", ask{method: "PUT", target: "/box"})
	client.want(200, "", ask{method: "PUT", target: "/box/key", body: "body"})

	reading, goOn := make(chan struct{}), make(chan struct{})
	c.onRead = func(cluster.Link) error {
		close(reading)
		<-goOn
		return nil
	}
	got := make(chan answer)
	go func() { got <- client.do(ask{method: "GET", target: "/box/key"}) }()
	<-reading
	stopped := make(chan error)
	go func() { stopped <- server.Shutdown(context.Background()) }()
	for { // until the listener is closed
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(goOn)
	if a := <-got; a.status != 200 || a.body != "body" {
		t.Errorf("the request in flight got %d %q", a.status, a.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	<-server.Done()

	// The access log: one record per request, with what an operator looks for.
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d records for 3 requests:\n%s", len(lines), logged.String())
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(lines[2]), &record); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"operation": "GetObject", "bucket": "box", "key": "key", "status": 200.0, "bytes": 4.0, "method": "GET", "user": "0000000000000001", "code": "", "received": 0.0, "user_agent": "Go-http-client/1.1"} {
		if record[key] != want {
			t.Errorf("%s is %v, want %v", key, record[key], want)
		}
	}
}

// TestHeaderLimits checks that the limits of a connection are set where net/http acts on them, and sends too many headers.
func TestHeaderLimits(t *testing.T) {
	t.Parallel()
	g, err := New(Options{Topology: newFake(1), Accounts: fakeAccounts{}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(l, g)
	h := server.http
	if h.ReadHeaderTimeout != headerTimeout || h.WriteTimeout != stallTimeout || h.IdleTimeout != idleTimeout || h.MaxHeaderBytes != maxHeaderBytes {
		t.Errorf("limits %v %v %v %d", h.ReadHeaderTimeout, h.WriteTimeout, h.IdleTimeout, h.MaxHeaderBytes)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nX-A: "+strings.Repeat("a", 2*maxHeaderBytes)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute)) // cannot fail on an open connection
	b := make([]byte, 16)
	if n, _ := io.ReadFull(conn, b); !strings.HasPrefix(string(b[:n]), "HTTP/1.1 431") {
		t.Errorf("%d bytes of headers: got %q, want %d", 2*maxHeaderBytes, b[:n], http.StatusRequestHeaderFieldsTooLarge)
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
