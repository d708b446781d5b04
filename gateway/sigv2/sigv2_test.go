package sigv2

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"ostor/gateway/s3"
)

// The credentials of Amazon's published examples (developer guide, "Signing and Authenticating REST Requests").
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func exampleLookup(_ context.Context, accessKey string) (s3.Credential, error) {
	if accessKey != exampleKey {
		return s3.Credential{}, s3.ErrInvalidAccessKeyID
	}
	return s3.Credential{AccessKey: exampleKey, Secret: exampleSecret, UserID: 7}, nil
}

func readRequest(t testing.TB, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func date(t testing.TB, s string) time.Time {
	t.Helper()
	d, err := parseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPublishedExamples(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, bucket, now, text string }{
		{"get", "johnsmith", "Tue, 27 Mar 2007 19:36:42 +0000", `GET /photos/puppy.jpg HTTP/1.1
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:36:42 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:bWq2s1WEIj+Ydj0vQ697zp+IXMU=
`},
		{"put", "johnsmith", "Tue, 27 Mar 2007 21:15:45 +0000", `PUT /photos/puppy.jpg HTTP/1.1
Content-Type: image/jpeg
Content-Length: 94328
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 21:15:45 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:MyyxeRY7whkBe+bq8fHCL/2kKUg=
`},
		{"list", "johnsmith", "Tue, 27 Mar 2007 19:42:41 +0000", `GET /?prefix=photos&max-keys=50&marker=puppy HTTP/1.1
User-Agent: Mozilla/5.0
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:42:41 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:htDYFYduRNen8P9ZfE/s9SuKy0U=
`},
		{"fetch acl", "johnsmith", "Tue, 27 Mar 2007 19:44:46 +0000", `GET /?acl HTTP/1.1
Host: johnsmith.s3.amazonaws.com
Date: Tue, 27 Mar 2007 19:44:46 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:c2WLPFtWHVgbEmeEG93a4cG37dM=
`},
		{"upload", "static.johnsmith.net", "Tue, 27 Mar 2007 21:06:08 +0000", `PUT /db-backup.dat.gz HTTP/1.1
User-Agent: curl/7.15.5
Host: static.johnsmith.net:8080
Date: Tue, 27 Mar 2007 21:06:08 +0000
x-amz-acl: public-read
content-type: application/x-download
Content-MD5: 4gJE4saaMU4BqNR0kLY+lw==
X-Amz-Meta-ReviewedBy: joe@johnsmith.net
X-Amz-Meta-ReviewedBy: jane@johnsmith.net
X-Amz-Meta-FileChecksum: 0x02661779
X-Amz-Meta-ChecksumAlgorithm: crc32
Content-Disposition: attachment; filename=database.dat
Content-Encoding: gzip
Content-Length: 5913339
Authorization: AWS AKIAIOSFODNN7EXAMPLE:ilyl83RwaSoYIEdixDQcA4OnAnc=
`},
		{"list all my buckets", "", "Wed, 28 Mar 2007 01:29:59 +0000", `GET / HTTP/1.1
Host: s3.amazonaws.com
Date: Wed, 28 Mar 2007 01:29:59 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:qGdzdERIC03wnaRNKh6OqZehG9s=
`},
		{"unicode keys", "", "Wed, 28 Mar 2007 01:49:49 +0000", `GET /dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re HTTP/1.1
Host: s3.amazonaws.com
Date: Wed, 28 Mar 2007 01:49:49 +0000
Authorization: AWS AKIAIOSFODNN7EXAMPLE:DNEZGsoieTZ92F3bUfSPQcbGmlM=
`},
		{"query", "johnsmith", "Thu, 29 Mar 2007 03:40:20 +0000", `GET /photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620 HTTP/1.1
Host: johnsmith.s3.amazonaws.com
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := readRequest(t, tc.text)
			sig, err := Verify(r, date(t, tc.now), tc.bucket, exampleLookup)
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if sig.Version != 2 || sig.Credential.UserID != 7 || sig.Presigned != (tc.name == "query") || InQuery(r) != sig.Presigned || InHeader(r) == sig.Presigned {
				t.Errorf("got %+v", sig)
			}
			if _, err := Verify(r, date(t, tc.now), tc.bucket+"x", exampleLookup); !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
				t.Errorf("another bucket: %v", err)
			}
		})
	}
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sign makes a request signed by minio-go, as it arrives.
func sign(t testing.TB, method, target string, edit func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://s3.example.com"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Date", now.Format(http.TimeFormat))
	if edit != nil {
		edit(r)
	}
	return arrive(t, signer.SignV2(*r, exampleKey, exampleSecret, false))
}

func arrive(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	s, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBucketSlash: botocore signs a bucket in the path with a slash that it does not send.
func TestBucketSlash(t *testing.T) {
	t.Parallel()
	const now = "Wed, 28 Mar 2007 01:49:49 +0000"
	for _, tc := range []struct {
		sent, signed string
		ok           bool
	}{
		{"/box", "/box", true}, {"/box", "/box/", true}, {"/box?acl", "/box/?acl", true}, {"/box/", "/box/", true},
		{"/box", "/other/", false}, {"/box/k", "/box/k/", false}, {"/", "//", false}, {"/box", "/box//", false}, {"/box?acl", "/box/", false},
	} {
		h := hmac.New(sha1.New, []byte(exampleSecret))
		fmt.Fprintf(h, "PUT\n\n\n%s\n%s", now, tc.signed)
		r := readRequest(t, "PUT "+tc.sent+" HTTP/1.1\nHost: s3.example.com\nDate: "+now+"\nAuthorization: AWS "+exampleKey+":"+base64.StdEncoding.EncodeToString(h.Sum(nil))+"\n")
		_, err := Verify(r, date(t, now), "", exampleLookup)
		if tc.ok && err != nil || !tc.ok && !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
			t.Errorf("%s signed as %s: %v", tc.sent, tc.signed, err)
		}
	}
}

func TestMinioRequests(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/b", "/b/k", "/b/a//b", "/b/a%20b+c", "/b/%C3%A4", "/b/k?acl", "/b?uploads", "/b?prefix=x&delete", "/b/k?uploadId=a%2Fb&partNumber=2",
		"/b/k?response-content-type=text%2Fplain&versionId=x"} {
		edit := func(r *http.Request) {
			r.Header.Set("X-Amz-Meta-B", "two words")
			r.Header.Set("X-Amz-Acl", "private")
		}
		sig, err := Verify(sign(t, "PUT", target, edit), now, "", exampleLookup)
		if err != nil {
			t.Errorf("header, %s: %v", target, err)
		} else if !sig.Signed("x-amz-meta-b") || !sig.Signed("date") || sig.Signed("host") {
			t.Errorf("signed headers %v", sig.SignedHeaders)
		}
		r, err := http.NewRequest("GET", "http://s3.example.com"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(arrive(t, signer.PreSignV2(*r, exampleKey, exampleSecret, 600, false)), time.Now(), "", exampleLookup); err != nil {
			t.Errorf("query, %s: %v", target, err)
		}
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{"as signed", func(*http.Request) {}, nil},
		{"method", func(r *http.Request) { r.Method = "DELETE" }, s3.ErrSignatureDoesNotMatch},
		{"path", func(r *http.Request) { r.URL.Path = "/b/other" }, s3.ErrSignatureDoesNotMatch},
		{"sub-resource added", func(r *http.Request) { r.URL.RawQuery = "acl" }, s3.ErrSignatureDoesNotMatch},
		{"new sub-resource added", func(r *http.Request) { r.URL.RawQuery = "attributes" }, s3.ErrSignatureDoesNotMatch},
		{"override added", func(r *http.Request) { r.URL.RawQuery = "response-content-type=text/html" }, s3.ErrSignatureDoesNotMatch},
		{"management call added", func(r *http.Request) { r.URL.RawQuery = "ostor-users" }, s3.ErrSignatureDoesNotMatch},
		{"copy source added", set("X-Amz-Copy-Source", "/secret/key"), s3.ErrSignatureDoesNotMatch},
		{"acl added", set("X-Amz-Acl", "public-read"), s3.ErrSignatureDoesNotMatch},
		{"metadata added", set("X-Amz-Meta-X", "y"), s3.ErrSignatureDoesNotMatch},
		{"type changed", set("Content-Type", "text/html"), s3.ErrSignatureDoesNotMatch},
		{"digest added", set("Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), s3.ErrSignatureDoesNotMatch},
		{"date changed", set("Date", now.Add(time.Second).Format(http.TimeFormat)), s3.ErrSignatureDoesNotMatch},
		{"14:59 old", set("X-Test-Skew", "-899"), nil},
		{"15:01 old", set("X-Test-Skew", "-901"), s3.ErrRequestTimeTooSkewed},
		{"15:01 ahead", set("X-Test-Skew", "901"), s3.ErrRequestTimeTooSkewed},
		{"no date", func(r *http.Request) { r.Header.Del("Date") }, s3.ErrAccessDenied},
		{"date is garbage", set("Date", "tomorrow"), s3.ErrAccessDenied},
		{"amz date added", set("X-Amz-Date", now.Format(http.TimeFormat)), s3.ErrSignatureDoesNotMatch},
		{"two dates", func(r *http.Request) { r.Header.Add("Date", r.Header.Get("Date")) }, s3.ErrInvalidArgument},
		{"unknown key", set("Authorization", "AWS AKIAIOSFODNN7EXAMPLF:MyyxeRY7whkBe+bq8fHCL/2kKUg="), s3.ErrInvalidAccessKeyID},
		{"wrong signature", set("Authorization", "AWS "+exampleKey+":MyyxeRY7whkBe+bq8fHCL/2kKUg="), s3.ErrSignatureDoesNotMatch},
		{"no signature", set("Authorization", "AWS "+exampleKey), s3.ErrInvalidArgument},
		{"empty signature", set("Authorization", "AWS "+exampleKey+":"), s3.ErrInvalidArgument},
		{"no key", set("Authorization", "AWS :MyyxeRY7whkBe+bq8fHCL/2kKUg="), s3.ErrInvalidArgument},
		{"short signature", set("Authorization", "AWS "+exampleKey+":AAAA"), s3.ErrInvalidArgument},
		{"two authorizations", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, s3.ErrInvalidArgument},
		{"query credentials too", func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=x&Signature=y&Expires=1" }, s3.ErrInvalidArgument},
		{"version 4 in the query too", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=y" }, s3.ErrInvalidArgument},
		{"parameter twice", func(r *http.Request) { r.URL.RawQuery = "a=1&a=2" }, s3.ErrInvalidArgument},
		{"malformed escape", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, s3.ErrInvalidURI},
		{"two types", func(r *http.Request) { r.Header.Add("Content-Type", "a"); r.Header.Add("Content-Type", "b") }, s3.ErrInvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := sign(t, "PUT", "/b/k", nil)
			tc.change(r)
			at := now
			if skew := r.Header.Get("X-Test-Skew"); skew != "" {
				s, err := strconv.Atoi(skew)
				if err != nil {
					t.Fatal(err)
				}
				at = now.Add(-time.Duration(s) * time.Second)
			}
			sig, err := Verify(r, at, "", exampleLookup)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (sig == nil) != (err != nil) {
				t.Errorf("got %v, %v, want %v", sig, err, tc.want)
			}
		})
	}
}

func TestAttacksOnQuery(t *testing.T) {
	t.Parallel()
	base, err := http.NewRequest("GET", "http://s3.example.com/b/k", nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	link := signer.PreSignV2(*base, exampleKey, exampleSecret, 600, false).URL.String()
	for _, tc := range []struct {
		name   string
		after  time.Duration
		change func(*http.Request, url.Values)
		want   error
	}{
		{"as signed", 0, nil, nil},
		{"expired", 602 * time.Second, nil, s3.ErrRequestExpired},
		{"used as put", 0, func(r *http.Request, _ url.Values) { r.Method = "PUT" }, s3.ErrSignatureDoesNotMatch},
		{"copy source added", 0, func(r *http.Request, _ url.Values) { r.Header.Set("X-Amz-Copy-Source", "/a/b") }, s3.ErrSignatureDoesNotMatch},
		{"longer life", 0, func(_ *http.Request, q url.Values) { q.Set("Expires", "9999999999") }, s3.ErrSignatureDoesNotMatch},
		{"expires absent", 0, func(_ *http.Request, q url.Values) { q.Del("Expires") }, s3.ErrAccessDenied},
		{"expires negative", 0, func(_ *http.Request, q url.Values) { q.Set("Expires", "-1") }, s3.ErrAccessDenied},
		{"expires overflows", 0, func(_ *http.Request, q url.Values) { q.Set("Expires", "99999999999999999999") }, s3.ErrAccessDenied},
		{"expires 0", 0, func(_ *http.Request, q url.Values) { q.Set("Expires", "0") }, s3.ErrRequestExpired},
		{"signature absent", 0, func(_ *http.Request, q url.Values) { q.Del("Signature") }, s3.ErrAccessDenied},
		{"override added", 0, func(_ *http.Request, q url.Values) { q.Set("response-content-type", "text/html") }, s3.ErrSignatureDoesNotMatch},
		{"version 4 too", 0, func(_ *http.Request, q url.Values) { q.Set("X-Amz-Algorithm", "x") }, s3.ErrInvalidArgument},
		{"authorization too", 0, func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", "Basic x") }, s3.ErrInvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest("GET", link, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				q := r.URL.Query()
				tc.change(r, q)
				r.URL.RawQuery = q.Encode()
			}
			if _, err := Verify(arrive(t, r), start.Add(tc.after), "", exampleLookup); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS a:MyyxeRY7whkBe+bq8fHCL/2kKUg=", "acl&prefix=x", "Tue, 27 Mar 2007 21:15:45 +0000")
	f.Add("", "AWSAccessKeyId=a&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620", "")
	f.Fuzz(func(t *testing.T, auth, query, date string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/b/k", RawQuery: query}, Header: http.Header{"Date": {date}}}
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		if sig, err := Verify(r, now, "", exampleLookup); err == nil {
			t.Errorf("accepted %+v without the secret", sig)
		}
	})
}

// FuzzTamper changes a request that was signed in its query: what still verifies is for the same thing.
func FuzzTamper(f *testing.F) {
	f.Add("GET", "/b/k", "acl&versionId=1", "X-Amz-Acl", "private")
	f.Add("PUT", "/b/k%2Fl", "versionId=1&acl=", "X-Amz-Copy-Source", "/box/secret")
	f.Fuzz(func(t *testing.T, method, path, query, name, value string) {
		const signed = "GET\n\n\n1175139700\n/b/k?acl&versionId=1"
		mac := hmac.New(sha1.New, []byte(exampleSecret))
		mac.Write([]byte(signed))
		u := &url.URL{Path: path, RawQuery: query + "&AWSAccessKeyId=" + exampleKey + "&Expires=1175139700&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}}
		if name != "" {
			r.Header.Set(name, value)
		}
		if _, err := Verify(r, now, "", exampleLookup); err != nil {
			return
		}
		q, err := url.ParseQuery(query)
		if err == nil && (len(q["acl"]) != 1 || q.Get("versionId") != "1") || method != "GET" || path != "/b/k" {
			t.Errorf("accepted %s %s?%s", method, path, query)
		}
		for key := range q {
			if subresources[key] && key != "acl" && key != "versionId" {
				t.Errorf("accepted %s in addition", key)
			}
		}
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "X-Amz-") {
			t.Errorf("accepted %s: %s", name, value)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := sign(b, "PUT", "/b/dir/key", func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(r, now, "", exampleLookup); err != nil {
			b.Fatal(err)
		}
	}
}
