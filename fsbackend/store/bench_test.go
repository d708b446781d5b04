package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
)

func cpuTime() time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func benchStore(b *testing.B) *Store {
	fsys, err := fsbackend.NewOS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := fsys.MkdirAll(testDir + "/" + fsbackend.GenDir); err != nil {
		b.Fatal(err)
	}
	s := mustOpen(b, Options{FS: fsys, Dir: testDir, Owner: &owner{generation: 1}, Logger: quiet()})
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// BenchmarkUpdate measures a batch of three changes, 500 bytes, by many writers at once: on a directory of the operating system, checkpoints included.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := benchStore(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			before, cpu := s.Stats().Log.Commits, cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						h := uint64(i) * 0x9e3779b97f4a7c15
						err := s.Update(context.Background(), func(tx *Tx) error {
							key := fmt.Appendf(nil, "o/bucket/%016x", h)
							if _, _, err := tx.Get(key); err != nil {
								return err
							}
							tx.Put(key, make([]byte, 300))
							tx.Put(fmt.Appendf(nil, "q/%016x", i), make([]byte, 80))
							tx.Delete(fmt.Appendf(nil, "g/%016x", h))
							return nil
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(s.Stats().Log.Commits-before)/float64(b.N), "fdatasyncs/op")
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkView measures a point read and a range of 100 from memtable and tree.
func BenchmarkView(b *testing.B) {
	s := benchStore(b)
	const n = 50_000
	for i := 0; i < n; i += 500 {
		mustUpdate(b, s, func(tx *Tx) error {
			for j := range 500 {
				tx.Put(fmt.Appendf(nil, "key%09d", i+j), make([]byte, 300))
			}
			return nil
		})
		if i == n/2 {
			if err := s.Checkpoint(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, from := range []int{0, n/2 + 1000} {
		where := "tree"
		if from > 0 {
			where = "memtable"
		}
		b.Run("get/"+where, func(b *testing.B) {
			b.ReportAllocs()
			key := []byte("key000000000")
			for i := range b.N {
				key = fmt.Appendf(key[:0], "key%09d", from+i*7919%20_000)
				err := s.View(func(sn *Snapshot) error {
					_, ok, err := sn.Get(key)
					if !ok {
						b.Error("not found")
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("range100/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				key := fmt.Appendf(nil, "key%09d", from+i*7919%20_000)
				err := s.View(func(sn *Snapshot) error {
					it := sn.Iter(key, nil)
					defer it.Close()
					for range 100 {
						if !it.Next() {
							return fmt.Errorf("end: %w", it.Err())
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
