package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ostor/gateway/s3"
)

var sdkCredentials = aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}

var sdkSigner = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })

// signed makes a request, lets edit change it, signs it with the SDK and sends it through net/http's own writer and reader.
func signed(t testing.TB, method, target, body string, edit func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://bucket.example.com"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", hashOf(body))
	if edit != nil {
		edit(r)
	}
	if err := sdkSigner.SignHTTP(context.Background(), sdkCredentials, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", exampleTime); err != nil {
		t.Fatal(err)
	}
	return arrive(t, r)
}

// presignedRequest makes a presigned request with the SDK.
func presignedRequest(t testing.TB, method, target string, seconds string, edit func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://bucket.example.com"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := r.URL.Query()
	if seconds != "" {
		q.Set("X-Amz-Expires", seconds)
	}
	r.URL.RawQuery = q.Encode()
	if edit != nil {
		edit(r)
	}
	link, head, err := sdkSigner.PresignHTTP(context.Background(), sdkCredentials, r, s3.UnsignedPayload, "s3", "us-east-1", exampleTime)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	sent := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	for k, v := range head {
		if k != "Host" {
			sent.Header[k] = v
		}
	}
	return arrive(t, sent)
}

// arrive turns a client's request into the server's.
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

// TestSDKRequests: what the AWS SDK signs verifies, whatever the key looks like.
func TestSDKRequests(t *testing.T) {
	t.Parallel()
	v := New(Options{})
	targets := []string{"/", "/key", "/a//b", "/../x", "/a/../../b", "/%2e%2e%2f", "/%252e", "//", "/%00", "/%01%1F", "/%20+%2B", "/~tilde-_.", "/%C3%A4%F0%9F%98%80", "/'()*!@:$&=;,",
		"/?list-type=2&prefix=a%2Fb%20c&delimiter=%2F", "/k?uploadId=x&partNumber=3", "/?acl", "/?prefix=%C3%A4&marker=", "/" + strings.Repeat("%C3%A4", 512)}
	for _, target := range targets {
		if _, err := v.Verify(signed(t, "GET", target, "", nil), exampleTime, exampleLookup); err != nil {
			t.Errorf("header, %s: %v", target, err)
		}
		if _, err := v.Verify(presignedRequest(t, "GET", target, "60", nil), exampleTime, exampleLookup); err != nil {
			t.Errorf("presigned, %s: %v", target, err)
		}
	}
}

// TestAttacksOnHeaders: every way to bend a request that somebody else signed ends in the documented error.
func TestAttacksOnHeaders(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	auth := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			a := r.Header.Get("Authorization")
			b := strings.Replace(a, old, new, 1)
			if a == b {
				panic("the test does not change " + a)
			}
			r.Header.Set("Authorization", b)
		}
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		want   error // nil: still good
	}{
		{"as signed", func(*http.Request) {}, nil},
		{"other method", func(r *http.Request) { r.Method = "DELETE" }, s3.ErrSignatureDoesNotMatch},
		{"other path", func(r *http.Request) { r.URL.Path = "/other" }, s3.ErrSignatureDoesNotMatch},
		{"other query", func(r *http.Request) { r.URL.RawQuery = "acl" }, s3.ErrSignatureDoesNotMatch},
		{"other host", func(r *http.Request) { r.Host = "other.example.com" }, s3.ErrSignatureDoesNotMatch},
		{"forwarded host", set("X-Forwarded-Host", "other.example.com"), nil},
		{"other host, forwarded the right one", func(r *http.Request) {
			r.Host = "other.example.com"
			r.Header.Set("X-Forwarded-Host", "bucket.example.com")
		}, s3.ErrSignatureDoesNotMatch},
		{"other payload hash", set("X-Amz-Content-Sha256", hashOf("other")), s3.ErrSignatureDoesNotMatch},
		{"unsigned payload instead", set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), s3.ErrSignatureDoesNotMatch},
		{"unsigned trailer instead", set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), s3.ErrSignatureDoesNotMatch},
		{"no payload hash", func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, s3.ErrInvalidRequest},
		{"payload hash is garbage", set("X-Amz-Content-Sha256", "garbage"), s3.ErrInvalidArgument},
		{"two payload hashes", func(r *http.Request) { r.Header.Add("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, s3.ErrInvalidArgument},
		{"signed header changed", set("Content-Type", "text/html"), s3.ErrSignatureDoesNotMatch},
		{"signed header doubled", func(r *http.Request) { r.Header.Add("Content-Type", "text/html") }, s3.ErrSignatureDoesNotMatch},
		{"unsigned copy source", set("X-Amz-Copy-Source", "/secret/key"), s3.ErrAccessDenied},
		{"unsigned acl", set("X-Amz-Acl", "public-read"), s3.ErrAccessDenied},
		{"unsigned metadata", set("X-Amz-Meta-A", "b"), s3.ErrAccessDenied},
		{"unsigned tagging", set("X-Amz-Tagging", "a=b"), s3.ErrAccessDenied},
		{"unsigned token", set("X-Amz-Security-Token", "t"), s3.ErrAccessDenied},
		{"header that is no matter", set("User-Agent", "x"), nil},
		{"credentials in the query too", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=1" }, s3.ErrInvalidArgument},
		{"version 2 in the query too", func(r *http.Request) { r.URL.RawQuery = "AWSAccessKeyId=1" }, s3.ErrInvalidArgument},
		{"two authorizations", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, s3.ErrInvalidArgument},
		{"parameter twice", func(r *http.Request) { r.URL.RawQuery = "a=1&a=2" }, s3.ErrInvalidArgument},
		{"malformed escape", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, s3.ErrInvalidURI},
		{"129 parameters", func(r *http.Request) { r.URL.RawQuery = manyParameters(129) }, s3.ErrInvalidURI},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, s3.ErrAccessDenied},
		{"malformed date", set("X-Amz-Date", "20130524T000000"), s3.ErrAccessDenied},
		{"impossible date", set("X-Amz-Date", "20130532T000000Z"), s3.ErrAccessDenied},
		{"two dates", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20130524T000000Z") }, s3.ErrAccessDenied},
		{"later date", set("X-Amz-Date", "20130524T000001Z"), s3.ErrSignatureDoesNotMatch},
		{"scope of another day", auth("20130524", "20130523"), s3.ErrAuthorizationHeaderMalformed},
		{"scope of another region", auth("us-east-1", "eu-west-1"), s3.ErrAuthorizationHeaderMalformed},
		{"scope of another service", auth("/s3/", "/iam/"), s3.ErrAuthorizationHeaderMalformed},
		{"scope without end", auth("/aws4_request", ""), s3.ErrAuthorizationHeaderMalformed},
		{"scope with another end", auth("aws4_request", "aws5_request"), s3.ErrAuthorizationHeaderMalformed},
		{"unknown key", auth(exampleKey, "AKIAIOSFODNN7EXAMPLF"), s3.ErrInvalidAccessKeyID},
		{"empty key", auth(exampleKey, ""), s3.ErrAuthorizationHeaderMalformed},
		{"other algorithm", auth("HMAC-SHA256", "HMAC-SHA512"), s3.ErrInvalidArgument},
		{"host not signed", auth(";host;", ";"), s3.ErrAuthorizationHeaderMalformed},
		{"date not signed", auth(";x-amz-date", ""), s3.ErrAccessDenied},
		{"signed headers unsorted", auth("content-type;host", "host;content-type"), s3.ErrAuthorizationHeaderMalformed},
		{"signed headers doubled", auth("host;", "host;host;"), s3.ErrAuthorizationHeaderMalformed},
		{"signed headers in capitals", auth("host;", "Host;"), s3.ErrAuthorizationHeaderMalformed},
		{"signed headers empty", auth("SignedHeaders=", "SignedHeaders=;"), s3.ErrAuthorizationHeaderMalformed},
		{"signature short", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}, s3.ErrAuthorizationHeaderMalformed},
		{"signature not hex", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1]+"g")
		}, s3.ErrAuthorizationHeaderMalformed},
		{"signature twice", func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+", Signature="+strings.Repeat("0", 64))
		}, s3.ErrAuthorizationHeaderMalformed},
		{"field added", func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+", Foo=bar") }, s3.ErrAuthorizationHeaderMalformed},
	}
	v := New(Options{})
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, "PUT", "/key?x-id=PutObject", "body", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
			tc.change(r)
			sig, err := v.Verify(r, exampleTime, exampleLookup)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if (sig == nil) != (tc.want != nil) {
				t.Errorf("a signature of %+v came with error %v", sig, err)
			}
		})
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + strings.Repeat("x", i))
	}
	return b.String()[1:]
}

// TestSkew: 14:59 is accepted, 15:01 is not, on both sides.
func TestSkew(t *testing.T) {
	t.Parallel()
	v := New(Options{})
	for _, tc := range []struct {
		off  time.Duration
		want error
	}{{14*time.Minute + 59*time.Second, nil}, {15*time.Minute + time.Second, s3.ErrRequestTimeTooSkewed}, {-14*time.Minute - 59*time.Second, nil},
		{-15*time.Minute - time.Second, s3.ErrRequestTimeTooSkewed}, {24 * time.Hour, s3.ErrRequestTimeTooSkewed}, {-1000000 * time.Hour, s3.ErrRequestTimeTooSkewed}} {
		if _, err := v.Verify(signed(t, "GET", "/k", "", nil), exampleTime.Add(tc.off), exampleLookup); !errors.Is(err, tc.want) {
			t.Errorf("%v later: %v, want %v", tc.off, err, tc.want)
		}
	}
}

func TestAttacksOnPresigned(t *testing.T) {
	t.Parallel()
	query := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(name, value)
			if value == "" {
				q.Del(name)
			}
			r.URL.RawQuery = q.Encode()
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{"as signed", func(*http.Request) {}, nil},
		{"copy source added", header("X-Amz-Copy-Source", "/secret/key"), s3.ErrAccessDenied},
		{"acl added", header("X-Amz-Acl", "public-read"), s3.ErrAccessDenied},
		{"metadata added", header("X-Amz-Meta-A", "b"), s3.ErrAccessDenied},
		{"tagging added", header("X-Amz-Tagging", "a=b"), s3.ErrAccessDenied},
		{"token added", header("X-Amz-Security-Token", "t"), s3.ErrAccessDenied},
		{"payload hash added", header("X-Amz-Content-Sha256", hashOf("x")), s3.ErrAccessDenied},
		{"get used as put", func(r *http.Request) { r.Method = "PUT" }, s3.ErrSignatureDoesNotMatch},
		{"get used as delete", func(r *http.Request) { r.Method = "DELETE" }, s3.ErrSignatureDoesNotMatch},
		{"other key", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" }, s3.ErrSignatureDoesNotMatch},
		{"other bucket by host", func(r *http.Request) { r.Host = "other.example.com" }, s3.ErrSignatureDoesNotMatch},
		{"bucket in the path instead", func(r *http.Request) { r.Host, r.URL.Path, r.URL.RawPath = "example.com", "/bucket/key", "" }, s3.ErrSignatureDoesNotMatch},
		{"parameter added", query("acl", "1"), s3.ErrSignatureDoesNotMatch},
		{"parameter twice", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Expires=60" }, s3.ErrInvalidArgument},
		{"longer life", query("X-Amz-Expires", "61"), s3.ErrSignatureDoesNotMatch},
		{"expires 0", query("X-Amz-Expires", "0"), s3.ErrAccessDenied},
		{"expires -1", query("X-Amz-Expires", "-1"), s3.ErrAccessDenied},
		{"expires +1", query("X-Amz-Expires", "+1"), s3.ErrAuthorizationQueryParameters},
		{"expires 604801", query("X-Amz-Expires", "604801"), s3.ErrAccessDenied},
		{"expires overflows", query("X-Amz-Expires", "99999999999999999999"), s3.ErrAccessDenied},
		{"expires wraps a duration", query("X-Amz-Expires", "9223372037"), s3.ErrAccessDenied},
		{"expires absent", query("X-Amz-Expires", ""), s3.ErrAuthorizationQueryParameters},
		{"expires is no number", query("X-Amz-Expires", "1m"), s3.ErrAuthorizationQueryParameters},
		{"date absent", query("X-Amz-Date", ""), s3.ErrAuthorizationQueryParameters},
		{"date malformed", query("X-Amz-Date", "tomorrow"), s3.ErrAuthorizationQueryParameters},
		{"signature absent", query("X-Amz-Signature", ""), s3.ErrAuthorizationQueryParameters},
		{"signature empty", query("X-Amz-Signature", "00"), s3.ErrAuthorizationQueryParameters},
		{"algorithm", query("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), s3.ErrAuthorizationQueryParameters},
		{"region", query("X-Amz-Credential", exampleKey+"/20130524/eu-west-1/s3/aws4_request"), s3.ErrAuthorizationQueryParameters},
		{"service", query("X-Amz-Credential", exampleKey+"/20130524/us-east-1/ec2/aws4_request"), s3.ErrAuthorizationQueryParameters},
		{"day", query("X-Amz-Credential", exampleKey+"/20130525/us-east-1/s3/aws4_request"), s3.ErrAuthorizationQueryParameters},
		{"unknown key", query("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLF/20130524/us-east-1/s3/aws4_request"), s3.ErrInvalidAccessKeyID},
		{"host not signed", query("X-Amz-SignedHeaders", "date"), s3.ErrAuthorizationQueryParameters},
		{"basic authorization too", header("Authorization", "Basic YTpi"), s3.ErrInvalidArgument},
		{"version 2 authorization too", header("Authorization", "AWS a:b"), s3.ErrInvalidArgument},
	}
	v := New(Options{})
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := presignedRequest(t, "GET", "/key", "60", nil)
			tc.change(r)
			sig, err := v.Verify(r, exampleTime, exampleLookup)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (sig == nil) != (err != nil) {
				t.Errorf("got %v, %v, want %v", sig, err, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		seconds string
		after   time.Duration
		want    error
	}{{"60", 60 * time.Second, nil}, {"60", 61 * time.Second, s3.ErrRequestExpired}, {"60", -15 * time.Minute, nil}, {"60", -15*time.Minute - time.Second, s3.ErrAccessDenied},
		{"1", time.Second, nil}, {"604800", 604800 * time.Second, nil}, {"604800", 604801 * time.Second, s3.ErrRequestExpired}} {
		if _, err := v.Verify(presignedRequest(t, "GET", "/key", tc.seconds, nil), exampleTime.Add(tc.after), exampleLookup); !errors.Is(err, tc.want) {
			t.Errorf("expires %s, after %v: got %v, want %v", tc.seconds, tc.after, err, tc.want)
		}
	}
	// A header that was signed with the rest is fine, and must stay as it is.
	withHeader := func() *http.Request {
		return presignedRequest(t, "PUT", "/key", "60", func(r *http.Request) { r.Header.Set("Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg==") })
	}
	if _, err := v.Verify(withHeader(), exampleTime, exampleLookup); err != nil {
		t.Errorf("signed header: %v", err)
	}
	r := withHeader()
	r.Header.Set("Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA==")
	if _, err := v.Verify(r, exampleTime, exampleLookup); !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
		t.Errorf("signed header changed: %v", err)
	}
}

// TestAttacksOnChunks bends the documented body in every way.
func TestAttacksOnChunks(t *testing.T) {
	t.Parallel()
	c, tr := exampleChunks, exampleTrailerChunks
	head := func(old, new string) string { return strings.Replace(chunkedHead, old, new, 1) }
	zero := strings.Repeat("0", 64)
	for _, tc := range []struct {
		name, head, body string
		want             error
	}{
		{"reordered", chunkedHead, c[1] + c[0] + c[2], s3.ErrSignatureDoesNotMatch},
		{"duplicated", chunkedHead, c[0] + c[0] + c[1] + c[2], s3.ErrInvalidRequest},
		{"first dropped", chunkedHead, c[1] + c[2], s3.ErrSignatureDoesNotMatch},
		{"last data chunk dropped", chunkedHead, c[0] + c[2], s3.ErrSignatureDoesNotMatch},
		{"final chunk dropped", chunkedHead, c[0] + c[1], s3.ErrIncompleteBody},
		{"cut in a chunk", chunkedHead, c[0][:70], s3.ErrIncompleteBody},
		{"cut in the final CRLF", chunkedHead, c[0] + c[1] + c[2][:len(c[2])-1], s3.ErrIncompleteBody},
		{"byte changed", chunkedHead, strings.Replace(c[0], "\r\na", "\r\nb", 1) + c[1] + c[2], s3.ErrSignatureDoesNotMatch},
		{"signature changed", chunkedHead, strings.Replace(c[0], "=ad", "=ae", 1) + c[1] + c[2], s3.ErrSignatureDoesNotMatch},
		{"signature in capitals", chunkedHead, strings.Replace(c[0], "=ad", "=AD", 1) + c[1] + c[2], s3.ErrSignatureDoesNotMatch},
		{"signature missing", chunkedHead, "10000\r\n" + strings.Repeat("a", 65536) + "\r\n", s3.ErrSignatureDoesNotMatch},
		{"signature of the end garbage", chunkedHead, c[0] + c[1] + "0;chunk-signature=" + zero + "\r\n\r\n", s3.ErrSignatureDoesNotMatch},
		{"unsigned coding", chunkedHead, "0\r\n\r\n", s3.ErrSignatureDoesNotMatch},
		{"something behind", chunkedHead, c[0] + c[1] + c[2] + "x", s3.ErrInvalidRequest},
		{"trailer not announced", chunkedHead, c[0] + c[1] + strings.TrimSuffix(c[2], "\r\n") + "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", s3.ErrInvalidRequest},
		{"decoded length raised", head("decoded-content-length: 66560", "decoded-content-length: 66561"), "", nil},
		{"trailer dropped", trailerHead, tr[0] + tr[1] + tr[2] + tr[5], s3.ErrMalformedTrailer},
		{"trailer's signature dropped", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + tr[5], s3.ErrMalformedTrailer},
		{"trailer's signature wrong", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + "x-amz-trailer-signature:" + zero + "\r\n\r\n", s3.ErrSignatureDoesNotMatch},
		{"trailer's value changed", trailerHead, tr[0] + tr[1] + tr[2] + "x-amz-checksum-crc32c:AAAAAA==\r\n" + tr[4] + tr[5], s3.ErrSignatureDoesNotMatch},
		{"trailer doubled", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + tr[3] + tr[4] + tr[5], s3.ErrMalformedTrailer},
		{"other trailer", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + "x-amz-meta-a:b\r\n" + tr[4] + tr[5], s3.ErrMalformedTrailer},
		{"field behind the signature", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + tr[4] + "x-amz-meta-a:b\r\n" + tr[5], s3.ErrMalformedTrailer},
		{"end cut", trailerHead, tr[0] + tr[1] + tr[2] + tr[3] + tr[4], s3.ErrIncompleteBody},
		{"line feed kept by minio-go", trailerHead, tr[0] + tr[1] + tr[2] + strings.Replace(tr[3], "\r\n", "\n\r\n", 1) + tr[4] + tr[5], errGood},
		{"bare line feed", trailerHead, tr[0] + tr[1] + tr[2] + strings.Replace(tr[3], "\r\n", "\n", 1) + tr[4] + tr[5], s3.ErrInvalidRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.body == "" { // a signed header is changed: that is found earlier
				r := request(t, tc.head, "")
				if _, err := New(Options{}).Verify(r, exampleTime, exampleLookup); !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
					t.Errorf("got %v, want SignatureDoesNotMatch", err)
				}
				return
			}
			got, err := send(t, tc.head, tc.body)
			if tc.want == errGood {
				if err != nil {
					t.Errorf("got %v, want it to be read", err)
				}
				return
			}
			if !errors.Is(err, tc.want) {
				t.Errorf("got %d bytes, %v, want %v", len(got), err, tc.want)
			}
		})
	}
}

var errGood = errors.New("no error")

// TestUnsignedTrailerNeedsSignature: a body without signatures does not make those of the request optional (a bypass seen elsewhere).
func TestUnsignedTrailerNeedsSignature(t *testing.T) {
	t.Parallel()
	v := New(Options{})
	edit := func(r *http.Request) {
		r.Header.Set("X-Amz-Content-Sha256", s3.StreamingUnsigned)
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		r.Header.Set("X-Amz-Decoded-Content-Length", "4")
	}
	body := "4\r\nbody\r\n0\r\nx-amz-checksum-crc32:CDopew==\r\n\r\n"
	r := signed(t, "PUT", "/key", body, edit)
	sig, err := v.Verify(r, exampleTime, exampleLookup)
	if err != nil || sig.Payload != s3.PayloadUnsignedTrailer || sig.Chunks != nil {
		t.Fatalf("good request: %+v, %v", sig, err)
	}
	b, err := s3.OpenBody(r, sig, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); !errors.Is(err, s3.ErrBadDigest) && (err != nil || string(got) != "body") {
		t.Errorf("got %q, %v", got, err)
	}
	r = signed(t, "PUT", "/key", body, edit)
	a := r.Header.Get("Authorization")
	r.Header.Set("Authorization", a[:len(a)-64]+strings.Repeat("0", 64))
	if sig, err := v.Verify(r, exampleTime, exampleLookup); !errors.Is(err, s3.ErrSignatureDoesNotMatch) || sig != nil {
		t.Errorf("garbage signature: %+v, %v, want SignatureDoesNotMatch", sig, err)
	}
}

// TestLookupErrors: a name server that cannot be asked is not a wrong signature.
func TestLookupErrors(t *testing.T) {
	t.Parallel()
	down := errors.New("no answer")
	_, err := New(Options{}).Verify(signed(t, "GET", "/", "", nil), exampleTime, func(context.Context, string) (s3.Credential, error) { return s3.Credential{}, down })
	if !errors.Is(err, down) {
		t.Errorf("got %v, want the lookup's error", err)
	}
	// A changed secret is not served from the cache of signing keys.
	v := New(Options{})
	if _, err := v.Verify(signed(t, "GET", "/", "", nil), exampleTime, exampleLookup); err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(signed(t, "GET", "/", "", nil), exampleTime, func(context.Context, string) (s3.Credential, error) {
		return s3.Credential{AccessKey: exampleKey, Secret: "other"}, nil
	})
	if !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
		t.Errorf("another secret: %v", err)
	}
}
