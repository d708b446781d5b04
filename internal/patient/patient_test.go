package patient

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestMutexExcludes: many goroutines, no lost wake-up, no two holders. The race detector watches n.
func TestMutexExcludes(t *testing.T) {
	t.Parallel()
	var m Mutex
	var wg sync.WaitGroup
	n := 0
	for range 8 {
		wg.Go(func() {
			for range 20_000 {
				m.Lock()
				n++
				m.Unlock()
			}
		})
	}
	wg.Wait()
	if n != 160_000 {
		t.Fatalf("got %d, want 160000", n)
	}
}

func TestRWMutexExcludes(t *testing.T) {
	t.Parallel()
	var m RWMutex
	var wg sync.WaitGroup
	n := 0
	for i := range 8 {
		wg.Go(func() {
			for j := range 5_000 {
				if (i+j)%4 == 0 {
					m.Lock()
					n++
					m.Unlock()
					continue
				}
				m.RLock()
				_ = n
				m.RUnlock()
			}
		})
	}
	wg.Wait()
	if n != 10_000 {
		t.Fatalf("got %d, want 10000", n)
	}
}

// TestTimeGoesOn: what these locks are for. With those of package sync the bubble would hang.
func TestTimeGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m Mutex
		var rw RWMutex
		began := time.Now()
		m.Lock()
		rw.RLock()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { m.Lock(); time.Sleep(time.Second); m.Unlock() })
			wg.Go(func() { rw.Lock(); time.Sleep(time.Second); rw.Unlock() })
		}
		time.Sleep(time.Hour)
		if rw.TryRLock() {
			t.Error("a reader got in while a writer waits")
		}
		m.Unlock()
		rw.RUnlock()
		wg.Go(func() { rw.RLock(); defer rw.RUnlock() })
		wg.Wait()
		if took := time.Since(began); took != time.Hour+3*time.Second {
			t.Errorf("took %v, want 1h0m3s", took)
		}
	})
}

func BenchmarkMutex(b *testing.B) {
	b.Run("sync", func(b *testing.B) { benchmark(b, new(sync.Mutex)) })
	b.Run("patient", func(b *testing.B) { benchmark(b, new(Mutex)) })
}

func benchmark(b *testing.B, l sync.Locker) {
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			l.Lock()
			l.Unlock() //nolint:staticcheck // that is what is measured
		}
	})
	b.Run("contended", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			x := 0
			for pb.Next() {
				l.Lock()
				for range 200 {
					x++
				}
				l.Unlock()
			}
			_ = x
		})
	})
}
