package gateway

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"ostor/gateway/s3"
)

// address is what a request's URL names. A key is opaque bytes: it is never cleaned, joined or used as a file name.
type address struct {
	bucket string // "" for the service itself
	key    string // "" for the service or a bucket
	// hosted is the bucket as the Host header names it (virtual-host style), "" in path style. Signature version 2 signs it.
	hosted string
}

// addressOf splits a request's host and path. The path is taken as the client escaped it, so that "a//b", "../x" and "%2F" stay what they are: the bucket
// ends at the first slash, all that follows is the key with one level of %XX removed.
func (g *Gateway) addressOf(r *http.Request) (address, error) {
	var a address
	path, escaped := r.URL.Path, false
	if r.URL.RawPath != "" {
		path, escaped = r.URL.RawPath, true
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return a, s3.ErrInvalidURI
	}
	a.hosted = g.hostedBucket(r.Host)
	if a.hosted != "" {
		a.bucket, a.key = a.hosted, rest
	} else {
		a.bucket, a.key, _ = strings.Cut(rest, "/")
		if a.bucket == "" && a.key != "" {
			return a, s3.ErrInvalidBucketName
		}
	}
	if escaped {
		var err error
		if a.key, err = url.PathUnescape(a.key); err != nil {
			return a, s3.ErrInvalidURI
		}
		if a.hosted == "" {
			if a.bucket, err = url.PathUnescape(a.bucket); err != nil {
				return a, s3.ErrInvalidURI
			}
		}
	}
	return a, nil
}

// hostedBucket returns the bucket that a Host header names in front of one of the gateway's domains, or "".
func (g *Gateway) hostedBucket(host string) string {
	if len(g.domains) == 0 {
		return ""
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range g.domains { // longest first
		if host == d {
			return ""
		}
		if b, ok := strings.CutSuffix(host, d); ok && len(b) > 1 && b[len(b)-1] == '.' {
			return b[:len(b)-1]
		}
	}
	return ""
}
