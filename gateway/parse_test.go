package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ostor/gateway/s3"
)

// FuzzRequestLine takes any method, host, path and query apart: there is an operation or an S3 error, and everybody reads the same into it.
func FuzzRequestLine(f *testing.F) {
	f.Add("GET", "localhost", "/box/a%2F..%2Fb", "prefix=a+b&max-keys=10&versionId=")
	f.Add("PUT", "box.s3.example.com", "/%2e%2e/%00", "uploadId=1&partNumber=1")
	f.Add("POST", "s3.example.com:80", "//", "delete;&delete&%64elete")
	g := &Gateway{domains: []string{"s3.example.com"}}
	f.Fuzz(func(t *testing.T, method, host, path, rawQuery string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || u.RawQuery != "" {
			t.Skip() // net/http refuses it, or it is a proxy's
		}
		r := &http.Request{Method: method, Host: host, URL: u, Header: http.Header{}}
		a, err := g.addressOf(r)
		if err != nil {
			wantS3Error(t, err)
			return
		}
		whole := "/" + a.bucket
		if a.key != "" {
			whole += "/" + a.key
		}
		if a.hosted != "" {
			whole = "/" + a.key
		}
		if decoded := u.Path; whole != decoded && whole+"/" != decoded {
			t.Fatalf("%q is %q, %+v", path, decoded, a)
		}
		q, err := parseQuery(rawQuery)
		if err != nil {
			wantS3Error(t, err)
			return
		}
		if want, err := url.ParseQuery(rawQuery); err != nil || len(want) != len(q) {
			t.Fatalf("%q: %d parameters of %d, %v", rawQuery, len(q), len(want), err)
		} else {
			for _, p := range q {
				if v := want[p.name]; len(v) != 1 || v[0] != p.value {
					t.Fatalf("%q: %q is %q, not %q", rawQuery, p.name, p.value, v)
				}
			}
		}
		if n, err := q.count("max-keys", 1000, 1000); err == nil && (n < 0 || n > 1000) {
			t.Fatalf("max-keys %q is %d", q.get("max-keys"), n)
		}
		op, err := operationOf(r, a, q)
		if err != nil {
			wantS3Error(t, err)
		} else if op == opNone || op >= opCount && op != opNotImplemented {
			t.Fatalf("operation %d", op)
		}
	})
}

// FuzzCopySource: what x-amz-copy-source names has a valid bucket and key, and is what a policy is told (facts.go).
func FuzzCopySource(f *testing.F) {
	f.Add("/box/a%2Fb%20c?versionId=null")
	f.Add("box/../x")
	f.Add("%2Fbox%2Fkey?versionId=")
	f.Fuzz(func(t *testing.T, header string) {
		src, _, err := parseCopySource(header)
		if err != nil {
			wantS3Error(t, err)
			return
		}
		if s3.CheckBucketName(src.bucket) != nil || s3.CheckKey(src.key) != nil || src.request.Key != src.key {
			t.Fatalf("%q is %+v", header, src)
		}
		if src.versioned == (src.request.Version.IsZero() && !src.request.Null) {
			t.Fatalf("%q is version %+v", header, src.request)
		}
		c := &call{r: &http.Request{Header: http.Header{"X-Amz-Copy-Source": {header}}}}
		if told := c.copySourceFacts(); len(told) == 0 || strings.TrimPrefix(told[0], "/") != src.bucket+"/"+src.key {
			t.Fatalf("%q is %s/%s, and a policy is told %q", header, src.bucket, src.key, told)
		}
	})
}

// FuzzTokens: markers, versions and numbers of requests are understood or refused.
func FuzzTokens(f *testing.F) {
	f.Add(encodeToken("a key"))
	f.Add("null")
	f.Add("10001")
	f.Fuzz(func(t *testing.T, v string) {
		if name, err := decodeToken(v); err != nil {
			wantS3Error(t, err)
		} else if again, err := decodeToken(encodeToken(name)); err != nil || again != name {
			t.Fatalf("%q is %q, then %q, %v", v, name, again, err)
		}
		if n, err := parsePartNumber(v); err != nil {
			wantS3Error(t, err)
		} else if n < 1 || n > 10000 {
			t.Fatalf("%q is part %d", v, n)
		}
	})
}

func wantS3Error(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*s3.Error](err); !ok || e.Status < 400 || e.Status == 500 {
		t.Fatalf("%v is not an S3 error of the client", err)
	}
}
