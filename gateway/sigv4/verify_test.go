package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"ostor/gateway/s3"
)

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestMinioRequests: what minio-go signs verifies: header, presigned, signed chunks with and without trailer, unsigned trailer.
func TestMinioRequests(t *testing.T) {
	t.Parallel()
	v := New(Options{Region: "eu-west-1"})
	now := time.Now()
	body := strings.Repeat("0123456789", 20000)
	tests := []struct {
		name string
		sign func(r *http.Request) *http.Request
	}{
		{"header", func(r *http.Request) *http.Request {
			r.Header.Set("X-Amz-Content-Sha256", hashOf(body))
			return signer.SignV4(*r, exampleKey, exampleSecret, "", "eu-west-1")
		}},
		{"unsigned payload", func(r *http.Request) *http.Request {
			r.Header.Set("X-Amz-Content-Sha256", s3.UnsignedPayload)
			return signer.SignV4(*r, exampleKey, exampleSecret, "", "eu-west-1")
		}},
		{"presigned", func(r *http.Request) *http.Request {
			return signer.PreSignV4(*r, exampleKey, exampleSecret, "", "eu-west-1", 600)
		}},
		{"signed chunks", func(r *http.Request) *http.Request {
			return signer.StreamingSignV4(r, exampleKey, exampleSecret, "", "eu-west-1", int64(len(body)), now.UTC(), newSHA256())
		}},
		{"signed trailer", func(r *http.Request) *http.Request {
			r.Trailer = http.Header{"X-Amz-Checksum-Crc32c": {s3.SumChecksum(s3.ChecksumCRC32C, []byte(body)).Text(0)}}
			return signer.StreamingSignV4(r, exampleKey, exampleSecret, "", "eu-west-1", int64(len(body)), now.UTC(), newSHA256())
		}},
		{"unsigned trailer", func(r *http.Request) *http.Request {
			r.Header.Set("X-Amz-Content-Sha256", s3.StreamingUnsigned)
			trailer := http.Header{"X-Amz-Checksum-Crc64nvme": {s3.SumChecksum(s3.ChecksumCRC64NVME, []byte(body)).Text(0)}}
			return signer.SignV4Trailer(*r, exampleKey, exampleSecret, "", "eu-west-1", trailer)
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest("PUT", "http://s3.example.com/bucket/dir/a%20b%2Bc%C3%A4", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			signed := tc.sign(r)
			signed.Trailer = nil // minio-go writes it into the body
			content, err := io.ReadAll(signed.Body)
			if err != nil {
				t.Fatal(err)
			}
			signed.Body, signed.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
			got := arrive(t, signed)
			sig, err := v.Verify(got, now, exampleLookup)
			if err != nil {
				t.Fatalf("Verify: %v\n%v", err, got.Header)
			}
			b, err := s3.OpenBody(got, sig, 1<<30)
			if err != nil {
				t.Fatalf("OpenBody: %v", err)
			}
			if text, err := io.ReadAll(b); err != nil || string(text) != body {
				t.Errorf("read %d bytes, %v", len(text), err)
			}
		})
	}
}

// TestPathStyles: a path may be signed in Amazon's encoding or as it is sent.
func TestPathStyles(t *testing.T) {
	t.Parallel()
	v := New(Options{})
	for _, path := range []string{"/a%2Fb", "/a%2fb", "/caf%C3%a9", "/(x)%7E"} {
		for _, canonical := range []string{path, ""} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20130524T000000Z\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			if canonical == "" {
				canonical = string(appendEncoded(nil, r.URL.Path, true))
			}
			signByHand(r, canonical)
			if _, err := v.Verify(r, exampleTime, exampleLookup); err != nil {
				t.Errorf("%s signed as %s: %v", path, canonical, err)
			}
		}
	}
}

// signByHand signs a request without a query, by the documentation and not by the package's own way.
func signByHand(r *http.Request, path string) {
	text := strings.Join([]string{r.Method, path, "", "host:" + r.Host, "x-amz-content-sha256:UNSIGNED-PAYLOAD", "x-amz-date:20130524T000000Z", "", "host;x-amz-content-sha256;x-amz-date", "UNSIGNED-PAYLOAD"}, "\n")
	key := signingKey(exampleSecret, "20130524", "us-east-1")
	var mac [sha256.Size]byte
	hmacSHA256(&mac, key[:], []byte("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"+hashOf(text)))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%x", exampleKey, mac))
}

// TestDateHeader: Date serves where x-amz-date is not sent.
func TestDateHeader(t *testing.T) {
	t.Parallel()
	r := request(t, "GET / HTTP/1.1\nHost: h\nDate: Fri, 24 May 2013 00:00:00 GMT\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\n", "")
	text := strings.Join([]string{"GET", "/", "", "date:Fri, 24 May 2013 00:00:00 GMT", "host:h", "x-amz-content-sha256:UNSIGNED-PAYLOAD", "", "date;host;x-amz-content-sha256", "UNSIGNED-PAYLOAD"}, "\n")
	key := signingKey(exampleSecret, "20130524", "us-east-1")
	var mac [sha256.Size]byte
	hmacSHA256(&mac, key[:], []byte("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"+hashOf(text)))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20130524/us-east-1/s3/aws4_request, SignedHeaders=date;host;x-amz-content-sha256, Signature=%x", exampleKey, mac))
	if _, err := New(Options{}).Verify(r, exampleTime, exampleLookup); err != nil {
		t.Error(err)
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		o  Options
		ok bool
	}{{Options{}, true}, {Options{Region: "us-east-1"}, true}, {Options{Region: "eu-west-1"}, false}, {Options{Region: "eu-west-1", AnyRegion: true}, true}} {
		_, err := New(tc.o).Verify(signed(t, "GET", "/", "", nil), exampleTime, exampleLookup)
		if (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc.o, err)
		}
	}
}

// TestKeyCache: it stays bounded, and what it returns is what it would compute.
func TestKeyCache(t *testing.T) {
	t.Parallel()
	var c keyCache
	for i := range 3 * maxKeys {
		id := fmt.Sprint(i % (2*maxKeys + 1))
		if got, want := c.get(id, "secret"+id, "20130524", "r"), signingKey("secret"+id, "20130524", "r"); got != want {
			t.Fatalf("key %s is wrong", id)
		}
		if n := len(c.young) + len(c.old); n > 2*maxKeys {
			t.Fatalf("%d keys in the cache", n)
		}
	}
}

// FuzzVerify: no Authorization header, query, date or payload hash made without the secret is accepted.
func FuzzVerify(f *testing.F) {
	const date = "20130524T000000Z"
	f.Add("AWS4-HMAC-SHA256 "+credential+"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="+strings.Repeat("0", 64), "a=b&c", "/a%2F", date, s3.UnsignedPayload)
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("0", 64), "/", "", "")
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", "%", "", date, s3.StreamingPayload)
	v := New(Options{AnyRegion: true})
	f.Fuzz(func(t *testing.T, auth, query, path, date, payload string) {
		r, err := http.NewRequest("GET", "http://h/", nil)
		if err != nil {
			t.Skip()
		}
		r.URL.Path, r.URL.RawQuery = path, query
		for name, value := range map[string]string{"X-Amz-Date": date, "X-Amz-Content-Sha256": payload, "Authorization": auth} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		sig, err := v.Verify(r, exampleTime, exampleLookup)
		if err == nil {
			t.Errorf("accepted %+v without the secret", sig)
		} else if _, ok := errors.AsType[*s3.Error](err); !ok {
			t.Errorf("%v is not an S3 error", err)
		}
	})
}

// FuzzTamper changes a signed request, in its header or presigned: what still verifies says the same in everything that the signature is for.
func FuzzTamper(f *testing.F) {
	f.Add("GET", "/dir/k%20ey", "/dir/k ey", "prefix=a%2Fb&acl=", "X-Amz-Meta-A", "b", false)
	f.Add("PUT", "/dir/k%20ey", "/dir/k ey", "acl=&prefix=a/b", "X-Amz-Copy-Source", "/box/secret", true)
	v := New(Options{})
	f.Fuzz(func(t *testing.T, method, rawPath, path, query, name, value string, presigned bool) {
		const target = "/dir/k%20ey?acl&prefix=a%2Fb"
		meta := func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") }
		r := signed(t, "GET", target, "", meta)
		if presigned {
			r = presignedRequest(t, "GET", target, "60", meta)
		}
		if _, err := v.Verify(r, exampleTime, exampleLookup); err != nil {
			t.Fatalf("as signed: %v", err)
		}
		before, wantPath, wantQuery := r.Header.Clone(), r.URL.Path, r.URL.Query()
		r.Method, r.URL.Path, r.URL.RawPath = method, path, rawPath
		if _, signature, ok := strings.Cut(r.URL.RawQuery, "&X-Amz-"); ok {
			query += "&X-Amz-" + signature
		}
		r.URL.RawQuery = query
		if name = http.CanonicalHeaderKey(name); name != "" && name != "Authorization" {
			r.Header.Set(name, value)
		}
		if _, err := v.Verify(r, exampleTime, exampleLookup); err != nil {
			return
		}
		got, err := url.ParseQuery(query)
		for key := range wantQuery {
			if err == nil && (len(got[key]) != 1 || got.Get(key) != wantQuery.Get(key)) {
				t.Errorf("accepted the query %q for %v", query, wantQuery)
			}
		}
		if len(got) > len(wantQuery) || method != "GET" && method != "" {
			t.Errorf("accepted %s with %q for %v", method, query, wantQuery)
		}
		// The path as it is sent may have been signed: then it has to name the same.
		if sent, err := url.PathUnescape(rawPath); path != wantPath && (err != nil || sent != wantPath) {
			t.Errorf("accepted the path %q, %q for %q", path, rawPath, wantPath)
		}
		for key, values := range r.Header {
			if strings.HasPrefix(key, "X-Amz-") && strings.Join(values, ",") != strings.Join(before[key], ",") && strings.TrimSpace(value) != before.Get(key) {
				t.Errorf("accepted %s: %q", key, values)
			}
		}
	})
}

// FuzzSignedChunks cuts a body into signed chunks and changes it on its way: what is read to its end is what was signed.
func FuzzSignedChunks(f *testing.F) {
	f.Add([]byte("some content"), 5, 3, byte(1), 0, true)
	f.Add([]byte("some content"), 5, 40, byte(0), 20, false)
	key := signingKey(exampleSecret, "20130524", "us-east-1")
	a := authorization{date: "20130524", region: "us-east-1", service: "s3", time: "20130524T000000Z"}
	f.Fuzz(func(t *testing.T, content []byte, step, at int, flip byte, drop int, trailer bool) {
		if step < 1 || at < 0 || drop < 0 || len(content) > 1<<12 {
			t.Skip()
		}
		signer := newChain(key, &a)
		sign := func(data []byte) string {
			sum := sha256.Sum256(data)
			signer.VerifyChunk(&sum, nil) // false, but it goes on in the chain
			return fmt.Sprintf("%x;chunk-signature=%x\r\n", len(data), signer.last)
		}
		var wire []byte
		for rest := content; len(rest) > 0; {
			n := min(step, len(rest))
			wire = append(append(append(wire, sign(rest[:n])...), rest[:n]...), "\r\n"...)
			rest = rest[n:]
		}
		wire = append(wire, sign(nil)...)
		o := s3.BodyOptions{Size: int64(len(content)), Payload: s3.PayloadChunked}
		if trailer {
			o.Payload, o.Trailer = s3.PayloadChunkedTrailer, s3.ChecksumCRC32
			line := "x-amz-checksum-crc32:" + s3.SumChecksum(s3.ChecksumCRC32, content).Text(0)
			sum := sha256.Sum256([]byte(line + "\n"))
			signer.VerifyTrailer(&sum, nil)
			wire = append(wire, fmt.Sprintf("%s\r\nx-amz-trailer-signature:%x\r\n", line, signer.last)...)
		}
		wire = append(wire, "\r\n"...)
		changed := bytes.Clone(wire)
		if at < len(changed) {
			changed[at] ^= flip
			changed = append(changed[:at], changed[min(len(changed), at+drop):]...)
		}
		o.Chunks = newChain(key, &a)
		got, err := io.ReadAll(s3.NewBody(bytes.NewReader(changed), o))
		switch {
		case err == nil && !bytes.Equal(got, content):
			t.Fatalf("accepted %q for %q", got, content)
		case err != nil && bytes.Equal(changed, wire):
			t.Fatalf("%v for a body as it was signed", err)
		case err != nil:
			if _, ok := errors.AsType[*s3.Error](err); !ok {
				t.Fatalf("%v is not an S3 error", err)
			}
		}
	})
}

func BenchmarkVerifyHeader(b *testing.B) {
	v := New(Options{})
	r := signed(b, "PUT", "/bucket/dir/key-000001?x-id=PutObject", "body", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("X-Amz-Checksum-Crc32", "AAAAAA==")
		r.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
		r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, exampleTime, exampleLookup); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPresigned(b *testing.B) {
	v := New(Options{})
	r := presignedRequest(b, "GET", "/bucket/dir/key-000001", "60", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, exampleTime, exampleLookup); err != nil {
			b.Fatal(err)
		}
	}
}

// sha256Hasher is what minio-go wants to be given.
type sha256Hasher struct{ hash.Hash }

func (sha256Hasher) Close() {}

func newSHA256() sha256Hasher { return sha256Hasher{sha256.New()} }
