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

// TestAttacks tries what must not work with every way in. Nothing may be written, nothing shown, and no reply may be a 5xx other than NotImplemented.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "c0ntent"})
	s.want(200, "", ask{method: "PUT", target: "/bobs", who: &s.bob})
	s.want(200, "", ask{method: "PUT", target: "/bobs/secret", who: &s.bob, body: "s3cr3t"})
	targets := []struct{ method, target string }{
		{"GET", "/"}, {"PUT", "/new"}, {"HEAD", "/box"}, {"DELETE", "/box"}, {"GET", "/box?location"}, {"GET", "/box?list-type=2"}, {"GET", "/box?uploads"}, {"POST", "/box?delete"},
		{"GET", "/box/key"}, {"HEAD", "/box/key"}, {"PUT", "/box/key"}, {"DELETE", "/box/key"}, {"POST", "/box/key?uploads"},
		{"PUT", "/box/key?partNumber=1&uploadId=00"}, {"GET", "/box/key?uploadId=00"}, {"POST", "/box/key?uploadId=00"}, {"DELETE", "/box/key?uploadId=00"},
		{"GET", "/box?policy"}, {"PUT", "/box?acl"}, {"GET", "/box/key?tagging"},
	}
	for _, target := range targets {
		for name, change := range map[string]func(*http.Request){
			"bad signature": func(r *http.Request) {
				a := r.Header.Get("Authorization")
				last := "0"
				if strings.HasSuffix(a, "0") {
					last = "1"
				}
				r.Header.Set("Authorization", a[:len(a)-1]+last)
			},
			"unknown key":     func(r *http.Request) { replaceAuth(r, s.bob.Keys[0].AccessKey, "AAAA"+s.bob.Keys[0].AccessKey[4:]) },
			"host changed":    func(r *http.Request) { r.Host = "other.example.com" },
			"host not signed": func(r *http.Request) { replaceAuth(r, "host;", "") },
			"wrong region":    func(r *http.Request) { replaceAuth(r, "/us-east-1/", "/eu-west-1/") },
			"wrong service":   func(r *http.Request) { replaceAuth(r, "/s3/", "/ec2/") },
			"date changed": func(r *http.Request) {
				r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Minute).Format("20060102T150405Z"))
			},
			"method changed":        func(r *http.Request) { r.Method = map[bool]string{true: "PUT", false: "GET"}[r.Method == "GET"] },
			"header added":          func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "bobs/secret") },
			"no scheme":             func(r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") },
			"two authorizations":    func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) },
			"query credentials too": func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=00&X-Amz-Algorithm=AWS4-HMAC-SHA256" },
			"v2 bad signature":      func(r *http.Request) { r.Header.Set("Authorization", "AWS "+s.bob.Keys[0].AccessKey+":AAAA") },
			"v2 query": func(r *http.Request) {
				r.Header.Del("Authorization")
				r.URL.RawQuery += "&AWSAccessKeyId=" + s.bob.Keys[0].AccessKey + "&Signature=AAAA&Expires=9999999999"
			},
			"anonymous": func(r *http.Request) { r.Header.Del("Authorization") },
			"not owner": nil,
		} {
			a := ask{method: target.method, target: target.target, who: &s.bob, header: []string{"X-Amz-Meta-A: 1"}}
			if name == "not owner" && (target.target == "/" || target.target == "/new") {
				continue // his own
			}
			got := s.attack(a, change)
			if got.status < 400 || got.status >= 500 {
				t.Errorf("%s %s, %s: got %d %s", target.method, target.target, name, got.status, got.body)
			}
			if strings.Contains(got.body, "c0ntent") || strings.Contains(got.body, "s3cr3t") {
				t.Errorf("%s %s, %s: shown %s", target.method, target.target, name, got.body)
			}
		}
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "c0ntent" {
		t.Errorf("the object is now %q", got.body)
	}
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/new"})
}

func replaceAuth(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

// attack signs a request, changes it and sends it.
func (s *site) attack(a ask, change func(*http.Request)) answer {
	s.t.Helper()
	req := s.signed(a)
	if change != nil {
		change(req)
	}
	return s.send(req)
}

// raw sends bytes as they are and returns the status line and headers of the first reply, "" when the connection was closed without one.
func (s *site) raw(text string) (status int, body string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
	s.must(err)
	defer func() { _ = conn.Close() }()
	s.must(conn.SetDeadline(time.Now().Add(10 * time.Second)))
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
