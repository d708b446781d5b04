package conform

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// runWire sends what no client library would send, byte by byte. The bucket is open to all, so that nothing has to be signed.
func (s *Site) runWire(t *testing.T) {
	vars := map[string]string{"b": bucketName()}
	put("/{b}", "").with("x-amz-acl: public-read-write").run(t, s, vars)
	host := strings.TrimPrefix(s.Endpoint, "http://")
	closed := bucketName()
	put("/"+closed, "").run(t, s, vars)
	for _, c := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"no length", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\n\r\n", 411, "MissingContentLength"},
		{"length 0", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 200, ""},
		{"empty length", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", 400, ""},
		{"negative length", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400, ""},
		{"two lengths", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, ""},
		{"body in chunks", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbar\r\n0\r\n\r\n", 200, ""},
		{"broken chunks", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbar\r\n0\r\n\r\n", 400, "IncompleteBody"},
		{"body ends early", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nshort", 400, "IncompleteBody"},
		{"continue", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 123\r\nExpect: 100-continue\r\n\r\n", 100, ""},
		{"no continue", "PUT /" + closed + "/k HTTP/1.1\r\nHost: h\r\nContent-Length: 123\r\nExpect: 100-continue\r\n\r\n", 403, "AccessDenied"},
		{"no continue into nothing", "PUT /no-such-bucket-here/k HTTP/1.1\r\nHost: h\r\nContent-Length: 123\r\nExpect: 100-continue\r\n\r\n", 404, "NoSuchBucket"},
		{"odd expectation", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 200\r\n\r\nbar", 200, ""},
		{"empty expectation", "PUT /{b}/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: \r\n\r\nbar", 200, ""},
		{"no user agent", "GET /{b} HTTP/1.1\r\nHost: h\r\n\r\n", 200, ""},
		{"HTTP/1.0", "GET /{b} HTTP/1.0\r\nHost: h\r\n\r\n", 200, ""},
		{"no host", "GET /{b} HTTP/1.1\r\n\r\n", 400, ""},
		{"unknown method", "BREW /{b}/k HTTP/1.1\r\nHost: h\r\n\r\n", 405, "MethodNotAllowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := wire(t, host, strings.ReplaceAll(c.request, "{b}", vars["b"]))
			code, _ := got.element("Code")
			if got.status != c.status || c.code != "" && code != c.code {
				t.Errorf("got %d %s, want %d %s\n%s", got.status, code, c.status, c.code, got.body)
			}
		})
	}
}

// wire sends bytes and reads one reply. It ends its side behind a body that is too short.
func wire(t *testing.T, host, request string) reply {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing to lose
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, request); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(request, "short") {
		_ = conn.(*net.TCPConn).CloseWrite() // a server that closed first has replied
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing to lose
	var b strings.Builder
	if resp.StatusCode != http.StatusContinue {
		_, _ = bufio.NewReader(resp.Body).WriteTo(&b) // what came before the end of the connection counts
	}
	return reply{resp.StatusCode, resp.Header, b.String()}
}
