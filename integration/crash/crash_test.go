package crash

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
)

// workload says how much is done before and while the power goes.
type workload struct {
	workers, steps, huge int
	sample               int // of the sync points every so manieth is tried, on average; 1 = all, with each way to keep
}

// TestPowerCut takes the power away at sync points of a cluster under load, and again at sync points of the recoveries.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	loads := map[string]workload{"one client": {1, 120, 3, 12}, "three clients": {3, 60, 2, 12}}
	for kind, l := range loads {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			switch {
			case long():
				l.sample = 1
			case testing.Short():
				l.sample *= 4
			}
			cutPower(t, seed+uint64(l.workers), l)
		})
	}
}

// sampler collects points at sync points of a file system.
type sampler struct {
	fs     *memfs.FS
	local  *memfs.FS
	boot   uint64 // of the recoveries
	every  int
	told   *history
	out    func(point)
	seed   uint64
	prefix string

	mu   sync.Mutex
	rng  *rand.Rand
	seen int
}

// hook is called at each sync point.
func (s *sampler) hook(when string) func(op, file string) {
	return func(op, file string) {
		s.mu.Lock()
		s.seen++
		n, chosen := s.seen, s.every == 1 || s.rng.IntN(s.every) == 0
		first, count := s.rng.IntN(3), 1
		s.mu.Unlock()
		if !chosen {
			return
		}
		if s.every == 1 {
			count = 3
		}
		var points []point
		s.told.frozen(func(told *history) { // the acknowledged and the tree are of one moment
			for k := range count {
				keep := []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(s.seed + uint64(n))}[(first+k)%3]
				p := point{fs: s.fs.CrashClone(keep), boot: s.boot, told: told, seed: s.seed + uint64(3*n+k),
					what: fmt.Sprintf("%spoint %d, %s %s of %s, keep %s", s.prefix, n, when, op, file, []string{"nothing", "everything", "some"}[(first+k)%3])}
				if n%2 == 0 { // a kill or a reboot of the same host; otherwise only the later boot tells
					p.local = s.local.CrashClone(memfs.Everything)
				}
				points = append(points, p)
			}
		})
		for _, p := range points {
			s.out(p)
		}
	}
}

func (s *sampler) watch(on bool) {
	if !on {
		s.fs.OnSync(nil)
		s.fs.BeforeSync(nil)
		return
	}
	s.fs.OnSync(s.hook("after"))
	s.fs.BeforeSync(s.hook("before"))
}

func cutPower(t *testing.T, seed uint64, l workload) {
	ctx := t.Context()
	m, fs := newMachine(t)
	points := make(chan point, 8)
	var tried, again atomic.Int64
	var crews sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) { // a recovery may wait for a lease
		crews.Go(func() {
			for p := range points {
				if t.Failed() {
					continue
				}
				tried.Add(1)
				if err := recoverTwice(ctx, p, &again); err != nil {
					t.Errorf("%s: %v", p.what, err)
				}
			}
		})
	}
	h := newHistory()
	s := &sampler{fs: fs, local: m.local.(*memfs.FS), boot: 2, every: l.sample, told: h, out: func(p point) { points <- p }, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
	s.watch(true)
	acked, err := runLoad(ctx, m, h, seed, l)
	s.watch(false)
	close(points)
	crews.Wait()
	if err != nil {
		t.Errorf("the run itself: %v", err)
	}
	t.Logf("seed %d: %d acknowledged operations, %d sync points before and after, %d crashes tried, %d second crashes; orphans in %d recoveries of all so far", seed, acked, s.seen, tried.Load(), again.Load(), orphans.Load())
	if !t.Failed() && (tried.Load() == 0 || again.Load() == 0 && !testing.Short()) {
		t.Error("no crash was tried")
	}
}

// runLoad runs a cluster and its clients to the end.
func runLoad(ctx context.Context, m machine, h *history, seed uint64, l workload) (acked int, err error) {
	w, err := start(ctx, m, worldOptions{unit: 2 * time.Second}) // patient, but whoever follows an unreadable claim waits by this unit
	if err != nil {
		return 0, err
	}
	u, err := w.user(ctx)
	if err != nil {
		return 0, err
	}
	h.setUser(u)
	c := &client{w.gateway, u}
	if err := newWorker(c, h, seed, 100).setUp(); err != nil {
		return 0, err
	}
	errs := make(chan error, l.workers)
	for i := range l.workers {
		k := newWorker(c, h, seed, i)
		k.huge = l.huge
		go func() {
			for n := range l.steps {
				if err := k.step(); err != nil {
					errs <- fmt.Errorf("worker %d, step %d: %w", i, n, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range l.workers {
		if e := <-errs; e != nil {
			err = e
		}
	}
	if err == nil {
		err = w.check(ctx)
	}
	if e := w.end(true); err == nil {
		err = e
	}
	return h.copy().acked, err
}

// recoverTwice recovers from a crash; every fourth time the power goes again at a few sync points meanwhile, and after some more work.
func recoverTwice(ctx context.Context, p point, again *atomic.Int64) error {
	if p.seed%4 != 0 {
		_, err := p.recover(ctx)
		return err
	}
	// The second crash is one of an equal clone, whose clients ask for nothing but what recovery does by itself: what they were told stays as it was.
	local := p.local
	if local == nil {
		local = memfs.New()
	}
	fs := p.fs.CrashClone(memfs.Everything)
	var mu sync.Mutex
	var second []point
	s := &sampler{fs: fs, local: local, boot: p.boot + 1, every: 8, told: p.told, seed: p.seed, prefix: p.what + "; again at ", rng: rand.New(rand.NewPCG(p.seed, 2)),
		out: func(q point) {
			mu.Lock()
			defer mu.Unlock()
			second = append(second, q)
		}}
	s.watch(true)
	w, err := start(ctx, machine{fs, local, p.boot}, recovered)
	if err == nil {
		err = w.collect(ctx)
		s.watch(false)
		_ = w.kill()
	}
	if err != nil {
		return fmt.Errorf("recover and collect: %w", err)
	}
	for _, q := range second[:min(len(second), 3)] {
		again.Add(1)
		if _, err := q.recover(ctx); err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
	}
	h, err := p.recover(ctx)
	if err != nil {
		return err
	}
	// And once more after what was done since.
	again.Add(1)
	q := point{fs: p.fs.CrashClone(memfs.Some(p.seed)), boot: p.boot + 2, told: h, seed: p.seed + 1}
	maps.Copy(h.flying, p.told.flying) // orphans stay
	if _, err := q.recover(ctx); err != nil {
		return fmt.Errorf("power cut after recovery: %w", err)
	}
	return nil
}
