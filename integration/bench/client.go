package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// client speaks just enough S3 to be cheap: its own SigV4 with a cached signing key, kept connections, pooled buffers.
type client struct {
	c      config
	http   *http.Client
	host   string
	mu     sync.Mutex
	keyDay string
	key    []byte
}

func newClient(c config) *client {
	u, err := url.Parse(c.endpoint)
	if err != nil {
		panic(err)
	}
	d := &net.Dialer{Timeout: 5 * time.Second}
	return &client{c: c, host: u.Host, http: &http.Client{Transport: &http.Transport{DialContext: d.DialContext, MaxIdleConns: 256,
		MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}}}
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// do sends a request and copies the reply's body to w; the query must be sorted and escaped. It returns the bytes of the body.
func (cl *client) do(ctx context.Context, method, path, query string, body []byte, w io.Writer) (int64, error) {
	target := cl.c.endpoint + path
	if query != "" {
		target += "?" + query
	}
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, rd)
	if err != nil {
		return 0, err
	}
	if query == "delete=" { // S3 wants a digest of what is to be deleted
		sum := md5.Sum(body)
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	cl.sign(req, query, body)
	resp, err := cl.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		msg, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return 0, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, msg)
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, resp.Body, *buf)
}

func (cl *client) sign(req *http.Request, query string, body []byte) {
	now := time.Now().UTC()
	day, stamp := now.Format("20060102"), now.Format("20060102T150405Z")
	payload := "UNSIGNED-PAYLOAD"
	if cl.c.sign == "signed" || len(body) == 0 {
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	canonical := req.Method + "\n" + req.URL.EscapedPath() + "\n" + query + "\nhost:" + cl.host + "\nx-amz-content-sha256:" + payload +
		"\nx-amz-date:" + stamp + "\n\nhost;x-amz-content-sha256;x-amz-date\n" + payload
	sum := sha256.Sum256([]byte(canonical))
	scope := day + "/us-east-1/s3/aws4_request"
	sig := hex.EncodeToString(mac(cl.signingKey(day), "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+cl.c.access+"/"+scope+
		", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="+sig)
}

func (cl *client) signingKey(day string) []byte {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.keyDay != day {
		cl.keyDay, cl.key = day, mac(mac(mac(mac([]byte("AWS4"+cl.c.secret), day), "us-east-1"), "s3"), "aws4_request")
	}
	return cl.key
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, s)
	return h.Sum(nil)
}

// listAll walks a whole listing and returns the number of keys.
func (cl *client) listAll(ctx context.Context, bucket, prefix string) (int, error) {
	token, keys := "", 0
	for {
		q := "list-type=2&prefix=" + url.QueryEscape(prefix)
		if token != "" {
			q = "continuation-token=" + url.QueryEscape(token) + "&" + q
		}
		var buf bytes.Buffer
		if _, err := cl.do(ctx, "GET", bucket, q, nil, &buf); err != nil {
			return keys, err
		}
		// The client shares the machine with the server: encoding/xml would be most of what is measured.
		keys += bytes.Count(buf.Bytes(), []byte("<Key>"))
		_, rest, more := bytes.Cut(buf.Bytes(), []byte("<NextContinuationToken>"))
		if !more {
			return keys, nil
		}
		next, _, _ := bytes.Cut(rest, []byte("<"))
		token = html.UnescapeString(string(next))
	}
}
