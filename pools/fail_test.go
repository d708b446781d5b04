package pools

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// failFS fails the first Datasync or WriteAt after arming with EIO.
type failFS struct {
	fsbackend.FS
	sync, write bool
}

type failFile struct {
	fsbackend.File
	fs *failFS
}

func (f *failFS) Create(name string) (fsbackend.File, error) {
	h, err := f.FS.Create(name)
	return &failFile{h, f}, err
}

func (f *failFile) Datasync() error {
	if f.fs.sync {
		f.fs.sync = false
		return syscall.ENOSPC // even this one is final: what was written before is in an unknown state
	}
	return f.File.Datasync()
}

func (f *failFile) WriteAt(b []byte, off int64) (int, error) {
	if f.fs.write {
		f.fs.write = false
		return 0, syscall.EIO
	}
	return f.File.WriteAt(b, off)
}

func TestFailedWriteAndSync(t *testing.T) {
	for _, sync := range []bool{false, true} {
		fs := &failFS{FS: newFS(t, 3)}
		fails := 0
		p, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Service: testService, Home: 3, Geometry: small, Fail: func(error) { fails++ }}, records())
		if err != nil {
			t.Fatal(err)
		}
		kept := payload(reserve(t, p, 0), 100, 1)
		if err := p.Sweep(t.Context(), []Payload{kept}); err != nil {
			t.Fatal(err)
		}
		it := payload(reserve(t, p, 0), 100, 2)
		fs.sync, fs.write = sync, !sync
		for range 2 {
			if err := p.Sweep(t.Context(), []Payload{it}); !errors.Is(err, fault.Unavailable) {
				t.Fatalf("sync %v: got %v", sync, err)
			}
		}
		if _, err := p.Reserve(0); !errors.Is(err, fault.Unavailable) || fails != 1 || p.Err() == nil {
			t.Errorf("sync %v: reserve: %v, %d failures told", sync, err, fails)
		}
		wantRead(t, p, kept)
	}
}

// TestGroupSync: whoever asks while a sync runs shares the next one.
func TestGroupSync(t *testing.T) {
	var g groupSync
	var mu sync.Mutex
	syncs := 0
	entered, leave := make(chan struct{}), make(chan struct{})
	datasync := func() error {
		mu.Lock()
		syncs++
		first := syncs == 1
		mu.Unlock()
		if first {
			close(entered)
			<-leave
		}
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.do(datasync) })
	<-entered
	const n = 30
	var asked sync.WaitGroup
	for range n {
		asked.Add(1)
		wg.Go(func() { asked.Done(); _ = g.do(datasync) })
	}
	asked.Wait()
	close(leave)
	wg.Wait()
	if syncs < 2 || syncs > n { // most share one; a late starter may need another
		t.Errorf("%d syncs for %d callers", syncs, n+1)
	}
	t.Logf("%d syncs for %d callers", syncs, n+1)
}

// TestConcurrent runs writers of all sizes with frees, sweeps and retirement; run with -race.
func TestConcurrent(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	seed := testSeed(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			var mine []Payload
			for i := range 60 {
				k := Pool(rng.IntN(3))
				a, err := p.Reserve(k)
				if err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, payload(a, 1+rng.IntN(int(k.BlockBytes())), byte(1+w*60+i)))
				if rng.IntN(3) == 0 {
					if err := p.Sweep(t.Context(), slices.Clone(mine)); err != nil {
						t.Error(err)
					}
					for _, it := range mine {
						b := make([]byte, len(it.Data))
						if err := p.Read(it.Addr, it.Header.Object, 0, b, crcsOf(it.Data)); err != nil || !bytes.Equal(b, it.Data) {
							t.Errorf("writer %d: %v: %v", w, it.Addr, err)
						}
						p.Free(it.Addr)
					}
					mine = mine[:0]
				}
			}
			for _, it := range mine {
				p.Free(it.Addr)
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			release := p.Hold()
			for _, id := range p.RetireEmpty(3) {
				if err := p.Unlink(id); err != nil {
					t.Error(err)
				}
			}
			if _, err := p.PunchEmpty(t.Context(), 3, func() error { return nil }); err != nil {
				t.Error(err)
			}
			release()
		}
	})
	wg.Wait()
	if s := p.Stats(); s.BusyBytes() != 0 || s.DeferredBlocks != 0 {
		t.Errorf("%d bytes leaked", s.BusyBytes())
	}
}
