package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestIgnoreExpectation(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{
		"PUT /b/k HTTP/1.1\r\nHost: h\r\nExpect: 200\r\nA: b":          "PUT /b/k HTTP/1.1\r\nHost: h\r\nX-Pect: 200\r\nA: b",
		"PUT /b/k HTTP/1.1\r\nexpect:  100-Continue \r\nA: b":          "PUT /b/k HTTP/1.1\r\nexpect:  100-Continue \r\nA: b",
		"PUT /b/k HTTP/1.1\r\nEXPECT: 100-continue, 200":               "PUT /b/k HTTP/1.1\r\nX-Pect: 100-continue, 200",
		"PUT /b/k HTTP/1.1\r\nExpect: 1\r\nExpect: 2\r\n":              "PUT /b/k HTTP/1.1\r\nX-Pect: 1\r\nX-Pect: 2\r\n",
		"PUT /Expect:%201 HTTP/1.1\r\nX-Expect: 1\r\nExpected: 2\r\nE": "PUT /Expect:%201 HTTP/1.1\r\nX-Expect: 1\r\nExpected: 2\r\nE",
		"\nexpect": "\nexpect",
		"":         "",
		"\n":       "\n",
	} {
		b := []byte(head)
		ignoreExpectation(b)
		if string(b) != want {
			t.Errorf("%q: got %q, want %q", head, b, want)
		}
	}
}

// TestExpectationOverReusedConnection sends a body that looks like a head, and another request behind it.
func TestExpectationOverReusedConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(l, s.gateway)
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	s.url = "http://" + l.Addr().String()
	s.want(200, "", ask{method: "PUT", target: "/box"})
	body := "\r\nExpect: 200\r\n\r\n" + strings.Repeat("\nExpect: 300", 1000)
	for range 3 {
		s.want(200, "", ask{method: "PUT", target: "/box/key", body: body, header: []string{"Expect: 200"}})
		if got := s.want(200, "", ask{method: "GET", target: "/box/key", header: []string{"Expect: nothing"}}); got.body != body {
			t.Fatalf("the body was changed: %.100q", got.body)
		}
	}
}

// pieces is a connection that delivers what it has piece by piece.
type pieces struct {
	net.Conn
	left []string
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	p.left = p.left[1:]
	return n, nil
}

// TestBodyIsNeverHead cuts a request in two, wherever that is: what stands behind the empty line arrives as it was sent.
func TestBodyIsNeverHead(t *testing.T) {
	t.Parallel()
	const body = "\nExpect: 300\r\n\nExpect: 200\r\n\r\nExpect: 100"
	for _, end := range []string{"\r\n", "\n"} {
		head := "PUT /b/k HTTP/1.1" + end + "Host: h" + end + "A: Expect" + end + end
		request := head + body
		for i := 1; i < len(request); i++ {
			c := &expectConn{Conn: &pieces{left: []string{request[:i], request[i:]}}}
			c.head.Store(true)
			got, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			if string(got[len(head):]) != body {
				t.Errorf("cut behind %q: the body is %q", request[:i], got[len(head):])
			}
		}
	}
}

// TestPipelinedBodyIsNeverHead sends two requests at once, and the rest of the second one's body after the first reply: its head came while nobody waited for one.
func TestPipelinedBodyIsNeverHead(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(l, s.gateway)
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	s.url = "http://" + l.Addr().String()
	s.want(200, "", ask{method: "PUT", target: "/box", header: []string{"X-Amz-Acl: public-read-write"}})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const begun, rest = "begun", "\nExpect: 300\n"
	fmt.Fprintf(conn, "GET /box/none HTTP/1.1\r\nHost: h\r\n\r\nPUT /box/key HTTP/1.1\r\nHost: h\r\nX-Amz-Acl: public-read\r\nContent-Length: %d\r\n\r\n%s", len(begun+rest), begun)
	r := bufio.NewReader(conn)
	for _, want := range []int{http.StatusNotFound, http.StatusOK} {
		if want == http.StatusOK {
			fmt.Fprint(conn, rest)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Fatalf("status %d, %v; want %d", resp.StatusCode, err, want)
		}
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != begun+rest {
		t.Errorf("the body was changed: %q", got.body)
	}
}
