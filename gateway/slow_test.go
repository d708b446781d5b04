package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ostor/internal/cluster"
)

// pipes is a listener whose connections are in memory, without a buffer: a client that does not read stops the server's next write. Their deadlines follow the clock of synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial returns the client's end, and when the server's end was closed.
func (p *pipes) dial() (net.Conn, <-chan time.Time) {
	ours, theirs := net.Pipe()
	c := &closing{Conn: theirs, at: make(chan time.Time, 1)}
	p.conns <- c
	return ours, c.at
}

// closing tells when it is closed.
type closing struct {
	net.Conn
	once sync.Once
	at   chan time.Time
}

func (c *closing) Close() error {
	c.once.Do(func() { c.at <- time.Now() })
	return c.Conn.Close()
}

// TestSlowClients: who sends headers, a body, or takes a reply too slowly is cut off, whatever he asks for; the gateway is idle again then. The clock is that of synctest: hours cost nothing.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const large = 1 << 20
	form := "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", large) + "\r\n--b--\r\n"
	for _, tc := range []struct {
		name, method, target string
		header               []string
		body                 string
		anonymous            bool
		send                 int // bytes of the body that are sent at once; the rest a byte a second, or not at all
		stop                 bool
		read                 int // bytes of the reply that are read
		limit                time.Duration
	}{
		{name: "headers that do not end", method: "", limit: headerTimeout},
		{name: "PutObject stops", method: "PUT", target: "/box/slow", body: strings.Repeat("x", large), send: 70 << 10, stop: true, limit: 2 * stallTimeout},
		{name: "PutObject trickles", method: "PUT", target: "/box/slow", body: strings.Repeat("x", large), send: 100, limit: 2 * stallTimeout},
		{name: "small PutObject trickles", method: "PUT", target: "/box/slow", body: strings.Repeat("x", 1000), send: 10, limit: 2 * stallTimeout},
		{name: "UploadPart trickles", method: "PUT", target: "/box/slow?partNumber=1&uploadId=" + cluster.NewUploadID().String(), body: strings.Repeat("x", large), send: 100, limit: 2 * stallTimeout},
		{name: "PostObject trickles", method: "POST", target: "/box", header: []string{"Content-Type: multipart/form-data; boundary=b"}, body: form, anonymous: true, send: 20, limit: 2 * stallTimeout},
		{name: "PostObject's file trickles", method: "POST", target: "/box", header: []string{"Content-Type: multipart/form-data; boundary=b"}, body: form, anonymous: true, send: 200 << 10, limit: 2 * stallTimeout},
		{name: "DeleteObjects trickles", method: "POST", target: "/box?delete", body: strings.Repeat(" ", 2000), send: 10, limit: 2 * stallTimeout},
		{name: "PutBucketPolicy trickles", method: "PUT", target: "/box?policy", body: strings.Repeat(" ", 2000), send: 10, limit: 2 * stallTimeout},
		{name: "a body that nobody wants", method: "GET", target: "/box/large", body: strings.Repeat(" ", 2000), send: 10, limit: 2*stallTimeout + commitTimeout},
		{name: "GetObject is not read", method: "GET", target: "/box/large", read: 10, limit: 2 * stallTimeout},
		{name: "GetObject is read in part", method: "GET", target: "/box/large", read: 300 << 10, limit: 2 * stallTimeout},
		{name: "a listing is not read", method: "GET", target: "/box?list-type=2", read: 10, limit: 2 * stallTimeout},
		{name: "a page is not read", method: "GET", target: "/box", anonymous: true, header: []string{"Accept: text/html"}, read: 10, limit: 2 * stallTimeout},
		{name: "an error is not read", method: "GET", target: "/none/key", read: 10, limit: 2 * stallTimeout},
		{name: "nothing after a reply", method: "GET", target: "/none/key", read: 1 << 20, limit: idleTimeout + time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, l, server := slowSite(t, large)
				conn, closed := l.dial()
				begun := time.Now()
				var client sync.WaitGroup
				if tc.method == "" {
					client.Go(func() {
						for _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err == nil; time.Sleep(time.Second) {
							_, err = io.WriteString(conn, "X-A: a\r\n")
						}
					})
				} else {
					client.Go(func() {
						sendSlowly(t, g, conn, tc.method, tc.target, tc.header, tc.body, tc.anonymous, tc.send, tc.stop)
					})
				}
				got := readSome(conn, tc.read)
				end := begun.Add(100 * time.Hour)
				select {
				case end = <-closed:
				case <-time.After(100 * time.Hour):
				}
				if took := end.Sub(begun); took > tc.limit {
					t.Errorf("cut off after %v, want at most %v; the reply begins with %q", took, tc.limit, got[:min(len(got), 100)])
				}
				_ = conn.Close()
				client.Wait()
				synctest.Wait()
				if n := g.inFlight.Load(); n != 0 {
					t.Errorf("%d requests are still being answered", n)
				}
				if n := valueOf(t, g.metrics.panics); n != 0 {
					t.Errorf("%v panics", n)
				}
				if err := server.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slowSite serves a bucket with a large object and many others to everybody.
func slowSite(t *testing.T, large int) (*Gateway, *pipes, *Server) {
	t.Helper()
	c := newFake(1)
	g, err := New(Options{Topology: c, Accounts: fakeAccounts{alice: {AccessKey: alice, Secret: "alice's secret", UserID: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	open := []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:ListBucket"],"Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]}]}`)
	c.buckets["box"] = cluster.Bucket{Name: "box", ID: 7, Owner: 1, Epoch: 1, Attrs: []cluster.Attribute{{ID: cluster.AttrPolicy, Value: open}}}
	n := c.names[0]
	n.entries[7] = map[string]cluster.Entry{}
	link := cluster.Link{Object: cluster.NewObjectID()}
	c.bytes[link] = make([]byte, large)
	n.entries[7]["large"] = cluster.Entry{Key: "large", Owner: 1, Size: int64(large), Content: link, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
	for i := range 900 {
		k := fmt.Sprintf("key-%d", i)
		n.entries[7][k] = cluster.Entry{Key: k, Owner: 1, Content: link, Size: 1, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
	}
	l := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	return g, l, Serve(l, g)
}

// sendSlowly sends a request whose body goes out in part at once and then a byte a second, until the connection is closed.
func sendSlowly(t *testing.T, g *Gateway, conn net.Conn, method, target string, header []string, body string, anonymous bool, send int, stop bool) {
	path, query, _ := strings.Cut(target, "?")
	req, err := http.NewRequest(method, "http://h"+target, nil)
	if err != nil {
		t.Error(err)
		return
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	if strings.Contains(target, "delete") {
		req.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
	}
	if !anonymous {
		cred, _ := g.lookup(context.Background(), alice)
		sign(req, path, query, alice, cred, body)
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n", method, target, len(body))
	_ = req.Header.Write(&head) // to memory
	head.WriteString("\r\n" + body[:min(send, len(body))])
	if _, err := conn.Write(head.Bytes()); err != nil {
		return
	}
	for i := send; i < len(body) && !stop; i++ {
		time.Sleep(time.Second)
		if _, err := io.WriteString(conn, body[i:i+1]); err != nil {
			return
		}
	}
}

// readSome reads up to n bytes, and no more.
func readSome(conn net.Conn, n int) []byte {
	var got []byte
	buf := make([]byte, 32<<10)
	for len(got) < n {
		k, err := conn.Read(buf[:min(len(buf), n-len(got))])
		if got = append(got, buf[:k]...); err != nil {
			break
		}
	}
	return got
}
