package redolog

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
)

var benchDelay = flag.Duration("bench-delay", 0, "MaxDelay of the benchmarks; 0 = default, negative = none")

func cpuTime() time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func benchLog(b *testing.B) *Log {
	fsys, err := fsbackend.NewOS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := fsys.MkdirAll("d"); err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), Options{FS: fsys, Dir: "d", Home: 1, Generation: 1, SegmentBytes: 32 << 20, MaxDelay: *benchDelay})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func (l *Log) appendWait(b *testing.B, p Payload) {
	l.mu.Lock()
	lsn, err := l.Append(p, false)
	l.mu.Unlock()
	if err == nil {
		err = l.Wait(context.Background(), lsn)
	}
	if err != nil {
		b.Error(err)
	}
	if lsn%1000 == 0 {
		_ = l.Recycle(lsn - 1)
	}
}

// BenchmarkAppend measures records of 500 bytes by many writers at once on a directory of the operating system.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 2, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := benchLog(b)
			measure(b, writers, []*Log{l}, func(int) { l.appendWait(b, make(bytesPayload, 500)) })
		})
	}
}

// BenchmarkPut has the shape of a PUT: CPU work, a commit in one log, work, a commit in another.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			os, ns := benchLog(b), benchLog(b)
			measure(b, writers, []*Log{os, ns}, func(int) {
				spin(70 * time.Microsecond)
				os.appendWait(b, make(bytesPayload, 4400))
				spin(30 * time.Microsecond)
				ns.appendWait(b, make(bytesPayload, 400))
			})
		})
	}
}

// spin uses CPU, as a request does.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func measure(b *testing.B, writers int, logs []*Log, op func(i int)) {
	work := make(chan int, 4096)
	var wg sync.WaitGroup
	before, cpu := commits(logs), cpuTime()
	b.ResetTimer()
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range work {
				op(i)
			}
		}()
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(commits(logs)-before)/float64(b.N), "fdatasyncs/op")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

func commits(logs []*Log) (n uint64) {
	for _, l := range logs {
		n += l.Stats().Commits
	}
	return n
}
