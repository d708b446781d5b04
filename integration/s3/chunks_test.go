package s3

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"

	"ostor/gateway/s3"
)

// minioSHA256 is what the signer wants to be given.
type minioSHA256 struct{ hash.Hash }

func (minioSHA256) Close() {}

// streamed makes a request whose body is aws-chunked with signed chunks of 64 KiB, and returns it with the body taken apart: the chunks, then what ends it.
func (s *site) streamed(target string, content []byte, trailer bool) (*http.Request, []string) {
	s.t.Helper()
	req := s.request(ask{method: "PUT", target: target})
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	if trailer {
		req.Trailer = http.Header{"X-Amz-Checksum-Crc32": {crc32Of(string(content))}}
	}
	opaque := req.URL.Opaque
	req.URL.Opaque, req.URL.Path = "", target
	if path, query, ok := strings.Cut(target, "?"); ok {
		req.URL.Path, req.URL.RawQuery = path, query
	}
	key := s.alice.Keys[0]
	req = miniosigner.StreamingSignV4(req, key.AccessKey, key.Secret, "", "us-east-1", int64(len(content)), time.Now().UTC(), minioSHA256{sha256.New()})
	req.URL.Opaque = opaque
	wire, err := io.ReadAll(req.Body)
	s.must(err)
	var parts []string
	for rest := string(wire); rest != ""; {
		line, _, _ := strings.Cut(rest, "\r\n")
		size := 0
		if _, err := fmt.Sscanf(line, "%x;", &size); err != nil || size == 0 {
			parts = append(parts, rest)
			break
		}
		n := len(line) + 2 + size + 2
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	return req, parts
}

// sendStream sends a request with another body, in HTTP's own chunks: with a Content-Length a body that is shorter than x-amz-decoded-content-length is refused before it is read.
func (s *site) sendStream(req *http.Request, body string) answer {
	req.Body, req.ContentLength, req.Trailer, req.TransferEncoding = io.NopCloser(strings.NewReader(body)), -1, nil, nil
	return s.send(req)
}

// TestChunkAttacks bends aws-chunked bodies on their way to objects and parts, small ones and those that stream to the object servers while they are verified: nothing is left of them.
func TestChunkAttacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.bucket("box")
	upload := s.want(200, "", ask{method: "POST", target: "/box/parts?uploads"}).between("UploadId")
	firstLine := func(change func(size, rest string) string) func([]string) []string {
		return func(p []string) []string {
			size, rest, _ := strings.Cut(p[0], ";")
			p[0] = change(size, ";"+rest)
			return p
		}
	}
	attacks := []struct {
		name   string
		change func(parts []string) []string
		codes  string
	}{
		{"swapped", func(p []string) []string { p[0], p[1] = p[1], p[0]; return p }, "SignatureDoesNotMatch"},
		{"doubled", func(p []string) []string { return slices.Insert(p, 0, p[0]) }, "SignatureDoesNotMatch InvalidRequest"},
		{"first dropped", func(p []string) []string { return p[1:] }, "SignatureDoesNotMatch IncompleteBody"},
		{"last dropped", func(p []string) []string { return append(p[:len(p)-2], p[len(p)-1]) }, "SignatureDoesNotMatch IncompleteBody"},
		{"end dropped", func(p []string) []string { return p[:len(p)-1] }, "IncompleteBody"},
		{"end cut", func(p []string) []string { p[len(p)-1] = p[len(p)-1][:len(p[len(p)-1])-2]; return p }, "IncompleteBody"},
		{"something behind", func(p []string) []string { return append(p, "GET /box/evil HTTP/1.1\r\n\r\n") }, "InvalidRequest"},
		{"end twice", func(p []string) []string { return append(p, p[len(p)-1]) }, "InvalidRequest"},
		{"byte changed", func(p []string) []string { p[1] = p[1][:len(p[1])-3] + "\x00" + p[1][len(p[1])-2:]; return p }, "SignatureDoesNotMatch"},
		{"signature changed", firstLine(func(size, rest string) string { return size + rest[:20] + string('0'+(rest[20]&1^1)) + rest[21:] }), "SignatureDoesNotMatch"},
		{"signature dropped", firstLine(func(size, rest string) string { return size + rest[len(";chunk-signature=")+64:] }), "SignatureDoesNotMatch"},
		{"size with zeros", firstLine(func(size, rest string) string { return "000" + size + rest }), "InvalidRequest"},
		{"size with 0x", firstLine(func(size, rest string) string { return "0x" + size + rest }), "InvalidRequest SignatureDoesNotMatch"},
		{"size with +", firstLine(func(size, rest string) string { return "+" + size + rest }), "InvalidRequest"},
		{"size negative", firstLine(func(size, rest string) string { return "-" + size + rest }), "InvalidRequest"},
		{"size overflows", firstLine(func(_, rest string) string { return "ffffffffffffffff" + rest }), "InvalidRequest"},
		{"size too large", firstLine(func(size, rest string) string { return size + "0" + rest }), "InvalidRequest"},
		{"size too small", firstLine(func(size, rest string) string { return size[1:] + rest }), "InvalidRequest SignatureDoesNotMatch"},
		{"bare line feeds", func(p []string) []string { p[0] = strings.Replace(p[0], "\r\n", "\n", 1); return p }, "InvalidRequest"},
		{"space before the extension", firstLine(func(size, rest string) string { return size + " " + rest }), "SignatureDoesNotMatch"},
		{"two extensions", firstLine(func(size, rest string) string { return size + ";a=b" + rest }), "SignatureDoesNotMatch InvalidRequest"},
		{"plain body", func([]string) []string { return []string{"hello"} }, "InvalidRequest IncompleteBody"},
		{"empty body", func([]string) []string { return nil }, "IncompleteBody"},
	}
	onTrailers := []struct {
		name   string
		change func(end string) string
		codes  string
	}{
		{"trailer dropped", func(end string) string { return end[:strings.Index(end, "x-amz-checksum")] + "\r\n" }, "MalformedTrailerError"},
		{"trailer changed", func(end string) string {
			i := strings.Index(end, "x-amz-checksum-crc32:") + len("x-amz-checksum-crc32:")
			return end[:i] + crc32Of("another") + end[i+8:]
		}, "SignatureDoesNotMatch"},
		{"trailer's signature dropped", func(end string) string { return end[:strings.Index(end, "x-amz-trailer-signature")] + "\r\n" }, "MalformedTrailerError"},
		{"trailer's signature wrong", func(end string) string {
			i := strings.Index(end, "x-amz-trailer-signature:") + len("x-amz-trailer-signature:")
			return end[:i] + strings.Repeat("0", 64) + end[i+64:]
		}, "SignatureDoesNotMatch"},
		{"another trailer", func(end string) string {
			return strings.Replace(end, "x-amz-checksum-crc32:", "x-amz-checksum-sha1:", 1)
		}, "MalformedTrailerError"},
		{"metadata in the trailer", func(end string) string {
			return strings.Replace(end, "x-amz-trailer", "x-amz-meta-a:b\r\nx-amz-trailer", 1)
		}, "MalformedTrailerError"},
		{"acl behind the trailer", func(end string) string { return end[:len(end)-2] + "x-amz-acl:public-read\r\n\r\n" }, "MalformedTrailerError"},
	}
	tried := 0
	for _, target := range []string{"/box/key", "/box/parts?partNumber=1&uploadId=" + upload} {
		for _, size := range []int{100_000, 300_000} { // read as a whole, and streamed
			for _, trailer := range []bool{false, true} {
				good := content(size)
				for _, a := range attacks {
					req, parts := s.streamed(target, good, trailer)
					s.refused(fmt.Sprintf("%s of %d, trailer %v", a.name, size, trailer), s.sendStream(req, strings.Join(a.change(parts), "")), "PUT", strings.Fields(a.codes))
					tried++
				}
				for _, a := range onTrailers {
					if !trailer {
						break
					}
					req, parts := s.streamed(target, good, true)
					parts[len(parts)-1] = a.change(parts[len(parts)-1])
					s.refused(fmt.Sprintf("%s of %d", a.name, size), s.sendStream(req, strings.Join(parts, "")), "PUT", strings.Fields(a.codes))
					tried++
				}
			}
		}
	}
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
	if got := s.want(200, "", ask{method: "GET", target: "/box/parts?uploadId=" + upload}); strings.Contains(got.body, "<Part>") {
		t.Errorf("a part was stored: %s", got.body)
	}
	s.nothingLeft()
	for _, trailer := range []bool{false, true} {
		req, parts := s.streamed("/box/key", content(300_000), trailer)
		if got := s.sendStream(req, strings.Join(parts, "")); got.status != 200 {
			t.Errorf("the good body: %d %s", got.status, got.body)
		}
		if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != string(content(300_000)) {
			t.Errorf("the good body is not what is stored")
		}
	}
	t.Logf("%d bodies", tried)
}

// TestAnnouncedLengths says lengths that no body has: refused before anything is read.
func TestAnnouncedLengths(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	for _, decoded := range []string{"-1", "+5", "0x5", "5368709121", "99999999999999999999", "", "5 5", "6"} {
		a := ask{method: "PUT", target: "/box/key", body: "hello", header: []string{"X-Amz-Content-Sha256: " + s3.StreamingUnsigned, "X-Amz-Trailer: x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length: " + decoded}}
		s.refused("a decoded length of "+decoded, s.send(ways[0].sign(s, a, &s.alice, time.Now())), "PUT", []string{"InvalidArgument"})
	}
	status, body := s.raw("PUT /box/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5368709121\r\nExpect: 100-continue\r\n\r\n")
	if status != 403 || !strings.Contains(body, "AccessDenied") {
		t.Errorf("5 GiB of a stranger: %d %s", status, body)
	}
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read-write"}})
	status, body = s.raw("PUT /box/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5368709121\r\nExpect: 100-continue\r\n\r\n")
	if status != 400 || !strings.Contains(body, "EntityTooLarge") {
		t.Errorf("more than 5 GiB: %d %s", status, body)
	}
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
}
