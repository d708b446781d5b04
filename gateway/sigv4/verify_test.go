package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
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

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 "+credential+"SignedHeaders=host;x-amz-date,Signature="+strings.Repeat("0", 64), "a=b&c", "/a%2F")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("0", 64), "/")
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", "%", "")
	v := New(Options{AnyRegion: true})
	f.Fuzz(func(t *testing.T, auth, query, path string) {
		r, err := http.NewRequest("GET", "http://h/", nil)
		if err != nil {
			t.Skip()
		}
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("X-Amz-Date", "20130524T000000Z")
		r.Header.Set("X-Amz-Content-Sha256", s3.UnsignedPayload)
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		if sig, err := v.Verify(r, exampleTime, exampleLookup); err == nil {
			t.Errorf("accepted %+v without the secret", sig)
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
