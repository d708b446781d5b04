package s3

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
)

// countingOwner is a real lease whose checks are counted.
type countingOwner struct {
	*lease.Lease
	checks *atomic.Int64
}

func (o countingOwner) Check() error {
	o.checks.Add(1)
	return o.Lease.Check()
}

// BenchmarkOwnership says what of a PUT of 4 KiB, from HTTP to the reply, real leases take: how often it asks them, and what one answer costs. The generation itself is 8 bytes in headers of frames, records and
// pages that are there anyway.
func BenchmarkOwnership(b *testing.B) {
	var checks atomic.Int64
	var one *lease.Lease
	s := newOwnedSite(b, 1, 1, func(s *site, dir string) store.Owner {
		l, err := lease.Acquire(b.Context(), lease.Options{FS: s.fs, Dir: dir, Host: 1, Boot: 1, Local: memfs.New(), Profile: lease.Profile{N: time.Minute}})
		s.must(err)
		one = l
		return countingOwner{l, &checks}
	})
	s.bucket("box")
	body := strings.Repeat("x", 4096)
	put := func(n int) {
		req := s.signed(ask{method: "PUT", target: fmt.Sprintf("/box/key%d", n%1000), body: body})
		rest := strings.TrimPrefix(req.URL.Opaque, "//")
		req.URL.Opaque = rest[strings.IndexByte(rest, '/'):]
		resp, err := transport.RoundTrip(req)
		s.must(err)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatalf("got %d, %v", resp.StatusCode, err)
		}
		_ = resp.Body.Close()
	}
	put(0)
	checks.Store(0)
	begin := cpuTime(b)
	for n := 0; b.Loop(); n++ {
		put(n)
	}
	perPut := float64(cpuTime(b)-begin) / float64(b.N)
	asked := float64(checks.Load()) / float64(b.N)
	const calls = 1_000_000
	begin = cpuTime(b)
	for range calls {
		s.must(one.Check())
	}
	perCheck := float64(cpuTime(b)-begin) / calls
	b.ReportMetric(asked, "checks/op")
	b.ReportMetric(perCheck, "cpu-ns/check")
	b.ReportMetric(perPut/1000, "cpu-us/op")
	b.ReportMetric(100*asked*perCheck/perPut, "%-of-cpu")
}

// cpuTime returns what this process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
