package s3

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Benchmarks of requests over HTTP on a file system in memory, client included: for profiles of the whole path. integration/bench measures a server alone.
func benchmark(b *testing.B, method, target string, size int) {
	s := newSite(b, 1, 1)
	s.bucket("box")
	body := strings.Repeat("x", size)
	for i := range 94 {
		s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("/box/dir/key-%d", i)})
	}
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: body})
	if method != http.MethodPut {
		body = ""
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		req := s.signed(ask{method: method, target: target, body: body})
		rest := strings.TrimPrefix(req.URL.Opaque, "//")
		req.URL.Opaque = rest[strings.IndexByte(rest, '/'):]
		resp, err := transport.RoundTrip(req)
		s.must(err)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode >= 300 {
			b.Fatalf("got %d, %v", resp.StatusCode, err)
		}
		_ = resp.Body.Close() // read to its end
	}
}

func BenchmarkPut4K(b *testing.B)  { benchmark(b, "PUT", "/box/key", 4096) }
func BenchmarkPut16M(b *testing.B) { benchmark(b, "PUT", "/box/key", 16<<20) }
func BenchmarkGet4K(b *testing.B)  { benchmark(b, "GET", "/box/key", 4096) }
func BenchmarkGet16M(b *testing.B) { benchmark(b, "GET", "/box/key", 16<<20) }
func BenchmarkList94(b *testing.B) { benchmark(b, "GET", "/box?list-type=2&prefix=dir/", 0) }
