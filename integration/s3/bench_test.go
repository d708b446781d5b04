package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
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

// BenchmarkListTree pages through directories that lie on several name servers.
func BenchmarkListTree(b *testing.B) {
	s := newSite(b, 4, 1)
	s.bucket("box")
	s.crowd("box", 20_000, func(i int) string { return fmt.Sprintf("d%03d/%04d", i/1000, i%1000) })
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % 18 {
		if a := s.do(ask{method: "GET", target: fmt.Sprintf("/box?list-type=2&start-after=d%03d/%04d", i, i*50)}); a.status != 200 {
			b.Fatal(a.status, a.body)
		}
	}
}

// crowd makes empty objects below the gateway: much faster than by requests.
func (s *site) crowd(bucket string, n int, name func(i int) string) {
	s.t.Helper()
	ns, err := s.topology.NameServerOfBucket(bucket)
	s.must(err)
	box, err := ns.GetBucket(s.t.Context(), bucket)
	s.must(err)
	work, done := make(chan int), make(chan error)
	const workers = 64
	for range workers {
		go func() {
			var failed error
			for i := range work {
				ns, err := s.topology.NameServerFor(box.ID, name(i))
				if err == nil {
					_, err = ns.CreateEntry(s.t.Context(), cluster.CreateEntryRequest{Bucket: box.ID, Versioning: box.Versioning,
						Entry: cluster.Entry{Key: name(i), Modified: time.Now(), Owner: box.Owner, ETag: "d41d8cd98f00b204e9800998ecf8427e"}})
				}
				failed = errors.Join(failed, err)
			}
			done <- failed
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range workers {
		s.must(<-done)
	}
}
