package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
)

// ways are the operations of which the n-th fails.
var ways = []struct {
	name string
	ops  faultfs.Op
}{
	{"write", faultfs.OpWrite},
	{"datasync", faultfs.OpDatasync},
	{"sync", faultfs.OpSync},
	{"dirsync", faultfs.OpSyncDir},
	{"create", faultfs.OpCreate},
	{"change", faultfs.Changes},
	{"read", faultfs.OpRead | faultfs.OpOpen | faultfs.OpStat | faultfs.OpList | faultfs.OpSize},
}

// TestNthOperationFails lets the n-th operation of each kind fail under a load, for all n in a long run and for a sample of them otherwise. Requests may then be refused
// with 5xx; after a restart on the sound file system everything that was acknowledged is there.
func TestNthOperationFails(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			failNth(t, seed+uint64(i)<<32, way.ops)
		})
	}
}

// faultSteps is small: the run is made once for each n.
const faultSteps = 30

func failNth(t *testing.T, seed uint64, ops faultfs.Op) {
	ctx := t.Context()
	m, fs := newMachine(t)
	total := faultfs.CountOps(fs, ops, "", func(mount fsbackend.FS) {
		m.mount = mount
		if _, _, err := faultRun(ctx, m, seed); err != nil {
			t.Fatalf("without a fault: %v", err)
		}
	})
	var tries []int
	sample := 24
	if testing.Short() {
		sample = 4
	}
	if long() || sample >= total {
		for n := range total {
			tries = append(tries, n+1)
		}
	} else {
		rng := rand.New(rand.NewPCG(seed, 3))
		for range sample {
			tries = append(tries, 1+rng.IntN(total))
		}
	}
	var fired, refused atomic.Int64
	var crews sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		crews.Go(func() {
			for n := range next {
				if t.Failed() {
					continue
				}
				failed, hit, err := failOne(ctx, t, seed, ops, n)
				if hit {
					fired.Add(1)
				}
				refused.Add(int64(failed))
				if err != nil {
					t.Errorf("operation %d of %d: %v", n, total, err)
				}
			}
		})
	}
	for _, n := range tries {
		next <- n
	}
	close(next)
	crews.Wait()
	t.Logf("seed %d: %d operations in a run, %d made to fail, %d requests refused", seed, total, fired.Load(), refused.Load())
}

func failOne(ctx context.Context, t *testing.T, seed uint64, ops faultfs.Op, n int) (refused int, fired bool, err error) {
	m, fs := newMachine(t)
	local := m.local.(*memfs.FS)
	broken := faultfs.FailNth(fs, ops, n)
	m.mount = broken
	h, refused, err := faultRun(ctx, m, seed)
	if err != nil {
		return refused, true, err
	}
	// The process ends as it does when a service has failed; now and then the machine does so too.
	keep := []memfs.Keep{memfs.Everything, memfs.Nothing, memfs.Some(seed + uint64(n))}[n%3]
	p := point{fs: fs.CrashClone(keep), local: local.CrashClone(memfs.Everything), boot: 2, told: h, seed: seed + uint64(n), loose: true}
	_, err = p.recover(ctx)
	return refused, broken.Fired() > 0, err
}

// faultRun runs a cluster and one client on m until it is through, or until so many requests have failed that the cluster is down. It returns an error only for
// what may not happen even when operations fail.
func faultRun(ctx context.Context, m machine, seed uint64) (h *history, refused int, err error) {
	h = newHistory()
	w, err := start(ctx, m, worldOptions{unit: time.Minute})
	if err != nil {
		return h, 1, nil // refusing to start is no loss
	}
	defer func() {
		_ = w.kill() // what a failed service says at its end does not count
		if e := w.log.problem(); e != nil && err == nil {
			err = e
		}
	}()
	u, err := w.user(ctx)
	if err != nil {
		return h, 1, nil
	}
	h.setUser(u)
	k := newWorker(&client{w.gateway, u}, h, seed, 0)
	k.faulty, k.keys, k.huge = true, 4, 1
	if err := k.setUp(); err != nil {
		return h, k.failed, err
	}
	for _, b := range buckets {
		if !h.copy().buckets[b] {
			return h, k.failed, nil
		}
	}
	for i := range faultSteps {
		if err := k.step(); err != nil {
			return h, k.failed, fmt.Errorf("step %d: %w", i, err)
		}
		if k.failed > 6 {
			break
		}
	}
	return h, k.failed, nil
}

// TestHarnessSees lets the cluster run on a disk that lies about syncs: the comparison with the history must notice.
func TestHarnessSees(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m, fs := newMachine(t)
	lying := faultfs.New(fs, 1, faultfs.Rule{Ops: faultfs.OpDatasync, Skip: 20, Lie: true})
	m.mount = lying
	h, _, err := faultRun(ctx, m, 7)
	if err != nil {
		t.Fatal(err)
	}
	if lying.Fired() == 0 {
		t.Fatal("no sync was skipped")
	}
	p := point{fs: fs.CrashClone(memfs.Nothing), boot: 2, told: h}
	if _, err := p.recover(ctx); err == nil {
		t.Fatal("the loss of acknowledged requests went unseen")
	}
}
