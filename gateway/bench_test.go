package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ostor/internal/cluster"
)

// nullWriter is a reply that nobody reads: the benchmarks show what the gateway itself costs, without net/http and the servers behind.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) WriteHeader(int)             {}
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }

func benchmark(b *testing.B, method, target, body string) {
	s := &site{t: &testing.T{}, cluster: newFake(1)}
	users := fakeAccounts{alice: {AccessKey: alice, Secret: "alice's secret", UserID: 1}}
	g, err := New(Options{Topology: s.cluster, Accounts: users})
	if err != nil {
		b.Fatal(err)
	}
	id := cluster.BucketID(7)
	s.cluster.buckets["box"] = cluster.Bucket{Name: "box", ID: id, Owner: 1}
	do := func(method, target, body string) {
		r := httptest.NewRequestWithContext(b.Context(), method, "http://localhost"+target, nil)
		path, query, _ := strings.Cut(target, "?")
		sign(r, path, query, alice, users[alice], body)
		r.ContentLength = int64(len(body))
		src := bytes.NewReader([]byte(body))
		r.Body = io.NopCloser(src)
		w := &nullWriter{h: http.Header{}}
		g.ServeHTTP(w, r)
		b.ReportAllocs()
		for b.Loop() {
			clear(w.h)
			src.Reset([]byte(body))
			g.ServeHTTP(w, r)
		}
	}
	if method != http.MethodPut {
		n := s.cluster.names[0]
		n.entries[id] = map[string]cluster.Entry{}
		link := cluster.Link{Object: cluster.NewObjectID()}
		s.cluster.bytes[link] = make([]byte, 4096)
		n.entries[id]["key"] = cluster.Entry{Key: "key", Size: 4096, Content: link, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
		for i := range 93 {
			k := "key" + string(rune('a'+i%26)) + string(rune('a'+i/26))
			n.entries[id][k] = cluster.Entry{Key: k, Size: 4096, Content: link, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
		}
	}
	do(method, target, body)
}

func BenchmarkPut4K(b *testing.B)  { benchmark(b, "PUT", "/box/key", strings.Repeat("x", 4096)) }
func BenchmarkGet4K(b *testing.B)  { benchmark(b, "GET", "/box/key", "") }
func BenchmarkHead(b *testing.B)   { benchmark(b, "HEAD", "/box/key", "") }
func BenchmarkDelete(b *testing.B) { benchmark(b, "DELETE", "/box/nokey", "") }
func BenchmarkList94(b *testing.B) { benchmark(b, "GET", "/box?list-type=2", "") }
