package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A client that asks for 100 Continue gets it also when it has no body to send: botocore hangs later otherwise.
func TestContinueWithoutBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newSite(t, 1).gateway)
	defer srv.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PUT /bucket/empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
	r := bufio.NewReader(conn)
	for _, want := range []int{http.StatusContinue, http.StatusNotFound} {
		resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodPut})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
		if want == http.StatusContinue && len(resp.Header) > 0 {
			t.Errorf("100 Continue has headers: %v", resp.Header)
		}
	}
}
