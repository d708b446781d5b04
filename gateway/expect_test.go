package gateway

import (
	"context"
	"net"
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
