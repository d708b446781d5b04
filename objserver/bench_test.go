package objserver

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
)

// diskServer opens a server with default options on a directory of the machine.
func diskServer(b testing.TB) *Server {
	b.Helper()
	fs, err := fsbackend.NewOS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := fs.MkdirAll(testDir + "/" + fsbackend.GenDir); err != nil {
		b.Fatal(err)
	}
	s := open(b, Options{FS: fs, Dir: testDir, Owner: &owner{generation: 1}, ID: testID, Logger: quiet()})
	b.Cleanup(func() {
		if err := s.Close(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
	})
	return s
}

// cpu returns the processor time that the process has used, in the kernel too.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// parallel runs op b.N times in n goroutines and reports processor time per operation.
func parallel(b *testing.B, n int, op func(i int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	start := cpu()
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := op(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
}

func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		for _, writers := range []int{1, 16, 64} {
			if size == 16<<20 && writers > 16 {
				continue
			}
			b.Run(fmt.Sprintf("%dKiB/%d", size>>10, writers), func(b *testing.B) {
				s := diskServer(b)
				data := content(1, size)
				before := s.Stats()
				b.SetBytes(int64(size))
				parallel(b, writers, func(int64) error {
					_, err := s.CreateObject(b.Context(), cluster.NewObjectID(), int64(size), bytes.NewReader(data))
					return err
				})
				st := s.Stats()
				b.ReportMetric(float64(st.Pools.Datasyncs-before.Pools.Datasyncs)/float64(b.N), "pool-syncs/op")
				b.ReportMetric(float64(st.Store.Log.Commits-before.Store.Log.Commits)/float64(b.N), "log-syncs/op")
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := diskServer(b)
			var ids []cluster.ObjectID
			for i := range min(1000, 256<<20/size) {
				ids = append(ids, create(b, s, content(i, size)))
			}
			if err := s.Checkpoint(b.Context()); err != nil {
				b.Fatal(err)
			}
			before := s.Stats().Pools.Preads
			b.SetBytes(int64(size))
			b.ReportAllocs()
			parallel(b, 16, func(i int64) error {
				return s.ReadObject(b.Context(), ids[i%int64(len(ids))], 0, int64(size), io.Discard)
			})
			b.ReportMetric(float64(s.Stats().Pools.Preads-before)/float64(b.N), "preads/op")
		})
	}
}

func BenchmarkDelete(b *testing.B) {
	s := diskServer(b)
	ids := make([]cluster.ObjectID, b.N)
	var next atomic.Int64
	data := content(1, 4096)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				ids[i-1] = cluster.NewObjectID()
				if _, err := s.CreateObject(b.Context(), ids[i-1], 4096, bytes.NewReader(data)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	parallel(b, 16, func(i int64) error { return s.DeleteObjects(b.Context(), ids[i-1:i]) })
}

// TestMemory streams 16 large objects in and out at a time: what the server holds is bounded by its budget, whatever the objects' size.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 320 MiB to a disk")
	}
	s := diskServer(t)
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond): // a sampler, no synchronisation
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	})
	const size = 20 << 20
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			id := cluster.NewObjectID()
			if _, err := s.CreateObject(t.Context(), id, size, io.LimitReader(&pattern{}, size)); err != nil {
				t.Error(err)
				return
			}
			if err := s.ReadObject(t.Context(), id, 0, size, &patternChecker{t: t}); err != nil {
				t.Error(err)
			}
			if err := s.DeleteObjects(t.Context(), []cluster.ObjectID{id}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	grown := int64(peak.Load()) - int64(before.HeapInuse)
	t.Logf("heap grew by %d MiB for 16 objects of 20 MiB", grown>>20)
	if grown > 100<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	}
}
