package s3

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are and returns the status line and headers of the first reply, "" when the connection was closed without one.
func (s *site) raw(text string) (status int, body string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
	s.must(err)
	defer func() { _ = conn.Close() }()
	s.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	if _, err := io.WriteString(conn, text); err != nil {
		return 0, ""
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	b, _ := io.ReadAll(resp.Body) // what came before the connection was closed is enough
	return resp.StatusCode, string(b)
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	const host = "Host: localhost\r\n"
	for _, tc := range []struct {
		name, text string
		status     int // 0: closed without a reply
	}{
		{"two Content-Lengths", "PUT /box/key HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		{"negative Content-Length", "PUT /box/key HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
		{"length and chunked", "PUT /box/key HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 404},
		{"unknown coding", "PUT /box/key HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 200}, // net/http answers it itself
		{"bad escape", "GET /box/%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		{"control character", "GET /box/\x01 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"empty bucket", "GET //key HTTP/1.1\r\n" + host + "\r\n", 400},
		{"up and away", "GET /box/../../etc/passwd HTTP/1.1\r\n" + host + "\r\n", 404},
		{"connect", "CONNECT localhost:1 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"header section too large", "GET / HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", 0},
	} {
		status, body := s.raw(tc.text)
		if status != tc.status && !(tc.status == 0 && status == 431) {
			t.Errorf("%s: got %d %s, want %d", tc.name, status, body, tc.status)
		}
	}
}

// TestEarlyEnd ends bodies before their length: nothing may be left of them.
func TestEarlyEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.bucket("box")
	for _, size := range []int{100, 1 << 20} {
		body := strings.Repeat("x", size)
		req := s.signed(ask{method: "PUT", target: "/box/key", body: body})
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
		s.must(err)
		text := fmt.Sprintf("PUT /box/key HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", strings.TrimPrefix(s.server.URL, "http://"), size)
		for name, v := range req.Header {
			text += name + ": " + v[0] + "\r\n"
		}
		_, err = io.WriteString(conn, text+"\r\n"+body[:size/2])
		s.must(err)
		s.must(conn.(*net.TCPConn).CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			b, _ := io.ReadAll(resp.Body) // checked below
			if resp.StatusCode != 400 || (answer{body: string(b)}).code() != "IncompleteBody" {
				t.Errorf("%d of %d bytes: got %d %s", size/2, size, resp.StatusCode, b)
			}
		}
		_ = conn.Close()
		s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
	}
	// The guards of what streamed were dropped before the reply.
	s.nothingLeft()
}

// replies sends bytes and returns the statuses of all replies until the server closes the connection.
func (s *site) replies(text string) (statuses []int, bodies string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
	s.must(err)
	defer func() { _ = conn.Close() }()
	s.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	go func() { _, _ = io.WriteString(conn, text) }() // the server may close before it has read all
	r := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses, bodies
		}
		b, _ := io.ReadAll(resp.Body) // what came before the connection was closed is enough
		if resp.StatusCode != http.StatusContinue {
			statuses, bodies = append(statuses, resp.StatusCode), bodies+string(b)
		}
	}
}

// TestNothingSmuggled hides a request in the body of one that is refused, in all framings that two servers might read differently: it is never answered.
func TestNothingSmuggled(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/page", body: "public page", header: []string{"X-Amz-Acl: public-read"}})
	const (
		hidden = "GET /box/page HTTP/1.1\r\nHost: localhost\r\n\r\n"
		last   = "GET /last-one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
		start  = "PUT /box/key HTTP/1.1\r\nHost: localhost\r\n"
	)
	for name, text := range map[string]string{
		"length":                    start + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"long":                      start + fmt.Sprintf("Content-Length: %d\r\n\r\n", 300_000) + strings.Repeat(hidden, 300_000/len(hidden)+1)[:300_000],
		"100-continue":              start + fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"long and 100-continue":     start + "Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat(hidden, 300_000/len(hidden)+1)[:300_000],
		"chunked":                   start + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"chunked and length":        start + fmt.Sprintf("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"chunked, length first":     start + fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n%s", len(hidden)+5, hidden),
		"two lengths":               start + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"length list":               start + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n", len(hidden)) + hidden,
		"length with sign":          start + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(hidden)) + hidden,
		"two codings":               start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"coding with space":         start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"coding in disguise":        start + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
		"folded header":             start + "X-A: b\r\n Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
		"chunk size with extension": start + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x;a=\"\r\n\"\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"chunk size overflows":      start + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + hidden,
		"chunked trailer":           start + "Transfer-Encoding: chunked\r\nTrailer: X-Amz-Acl\r\n\r\n0\r\nX-Amz-Acl: public-read\r\n\r\n",
		"form":                      "POST /box HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"GET with a body":           "GET /box HTTP/1.1\r\nHost: localhost\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"OPTIONS with a body":       "OPTIONS /box HTTP/1.1\r\nHost: localhost\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
		"unknown method and body":   "BREW /box HTTP/1.1\r\nHost: localhost\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden,
	} {
		statuses, bodies := s.replies(text + last)
		if len(statuses) == 0 || len(statuses) > 2 || strings.Contains(bodies, "public page") {
			t.Errorf("%s: %v %s", name, statuses, bodies)
			continue
		}
		if statuses[0] < 400 || statuses[0] >= 500 && statuses[0] != 501 || len(statuses) == 2 && statuses[1] != 404 {
			t.Errorf("%s: %v %s", name, statuses, bodies)
		}
	}
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
}
