package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ostor/discovery"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/store"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/nameserver"
	"ostor/objserver"
)

// process is one run of a service on a host: a lease and a store.
type process struct {
	w      *world
	h      *host
	s      *service
	boot   uint64
	claim  string        // name of its claim, before it is durable
	silent time.Duration // how long the former owner had shown no life
	fs     *procFS
	ctx    context.Context
	cancel context.CancelFunc

	dead     chan struct{}
	once     sync.Once
	stopping chan struct{}
	stopOnce sync.Once
	why      string // set before dead is closed

	gen                         atomic.Uint64
	acquired, serving, released atomic.Bool
	waited                      bool          // Acquire took as long as the wait
	asked                       atomic.Int64  // requests on their way, waiting or running
	running                     atomic.Int64  // requests that it has begun
	turn                        chan struct{} // of capacity 1: whoever may wait with the store's writer lock held
	renewedAt                   atomic.Int64  // when the last look-up of a renewal returned; for a mutant
	renewed                     atomic.Bool

	mu      sync.Mutex
	frozen  time.Time
	lease   *lease.Lease
	store   *store.Store       // of a key service
	objects *objserver.Server  // of an object service
	engine  engine             // either of them; nil until it is open
	names   *nameserver.Server // of a cluster
	topo    *discovery.Topology
	rpc     *rpc.Server
}

func (p *process) String() string {
	return fmt.Sprintf("service %d generation %d on host %d", p.s.id, p.gen.Load(), p.h.id)
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

func (p *process) kill(why string) {
	p.once.Do(func() {
		p.w.logf("%v ends: %s", p, why)
		p.why = why
		close(p.dead)
		p.cancel()
	})
}

func (p *process) askToStop() { p.stopOnce.Do(func() { close(p.stopping) }) }

func (p *process) freeze(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = time.Now().Add(d)
}

func (p *process) frozenFor() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(time.Until(p.frozen), p.h.frozenFor())
}

func (p *process) isFrozen() bool { return p.frozenFor() > 0 }

// pause returns when the process is not frozen: at once, mostly. It returns errDead when the process has ended.
func (p *process) pause() error {
	for {
		if p.isDead() {
			return errDead
		}
		d := p.frozenFor()
		if d <= 0 {
			return nil
		}
		timer := time.NewTimer(min(d, unit/2)) // a freeze may end early
		select {
		case <-timer.C:
		case <-p.dead:
			timer.Stop()
			return errDead
		}
	}
}

// valid reports whether the process may act as the owner now.
func (p *process) valid() bool {
	p.mu.Lock()
	l := p.lease
	p.mu.Unlock()
	return l != nil && !p.isDead() && !p.released.Load() && owner{l, p}.stillOwner() == nil
}

// live is the life of the process.
func (p *process) live() {
	w := p.w
	defer p.bury()
	began := time.Now()
	l, err := lease.Acquire(p.ctx, lease.Options{FS: p.fs, Dir: p.s.dir, Host: p.h.id, Boot: p.boot, Local: p.h.local, Profile: lease.Profile{N: unit}, Clock: clock{p},
		Takeover: true, Logger: p.logger(), OnLost: p.lost})
	if err != nil {
		p.kill("acquire: " + err.Error())
		return
	}
	p.waited = time.Since(began) > 8*unit
	if p.waited {
		w.n.waits.Add(1)
	}
	p.gen.Store(l.Generation())
	p.mu.Lock()
	p.lease = l
	p.mu.Unlock()
	p.acquired.Store(true)
	w.logf("%v: acquired after %v", p, time.Since(began))
	p.s.checkOwners()

	if err := p.open(l); err != nil {
		p.met(err, "recovery")
		p.kill("open: " + err.Error())
		return
	}
	if _, ok := l.Inherits(); ok {
		w.n.inherited.Add(1)
	}
	if old := p.s.newest.Load(); old < p.gen.Load() {
		p.s.newest.Store(p.gen.Load())
	}
	w.n.failovers.Add(1)
	p.s.mu.Lock()
	if !p.s.replyAt.IsZero() {
		p.s.gaps = append(p.s.gaps, time.Since(p.s.replyAt))
	}
	p.s.mu.Unlock()
	p.serving.Store(true)
	w.logf("%v: serves", p)
	p.s.checkOwners()
	w.spawn(p.checkpoints)
	select {
	case <-p.dead:
	case <-p.stopping:
		p.cleanStop()
	}
}

func (p *process) openStore(l *lease.Lease) (*store.Store, error) {
	return store.Open(p.ctx, store.Options{FS: p.fs, Dir: p.s.dir, Owner: owner{l, p}, SegmentBytes: 16 << 10, LogBytes: 160 << 10, MemtableBytes: 24 << 10, CacheBytes: 64 << 10, Logger: quiet})
}

// lost is OnLost: the process ends, but not before it runs again, and not at once: it is the deadline checks that must hold, not this.
func (p *process) lost(error) {
	if p.pause() != nil {
		return
	}
	timer := time.NewTimer(p.w.duration(4 * unit))
	defer timer.Stop()
	select {
	case <-timer.C:
		p.kill("ownership is lost")
	case <-p.dead:
	}
}

// met looks at an error that the process met: a valid owner may not meet damage.
func (p *process) met(err error, where string) {
	if errors.Is(err, fault.Corrupt) && p.valid() {
		p.w.violation("%v: a valid owner meets damage in %s: %v", p, where, err)
	}
}

// checkpoints asks for one now and then, besides those that the store makes by itself.
func (p *process) checkpoints() {
	first := true
	for {
		pause := p.w.duration(8 * unit)
		if first && p.w.chance(0.5) {
			pause = 0 // old generations' files go in the first one
		}
		first = false
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-p.dead:
			timer.Stop()
			return
		case <-p.stopping:
			timer.Stop()
			return
		}
		if p.pause() != nil || !p.enter() {
			return
		}
		often := 0.04 * p.w.wild
		if p.w.hint == hintFreezes {
			often = 0.2
		}
		if p.w.faulty() && p.w.chance(often) { // the process stops in the middle of it
			time.AfterFunc(p.w.duration(unit/4), func() { p.freeze(min(6*unit+p.w.duration(12*unit), time.Until(p.w.end()))) })
		}
		err := p.engine.Checkpoint(p.ctx)
		p.leave()
		if err == nil {
			p.w.n.checkpoints.Add(1)
		}
		p.met(err, "checkpoint")
	}
}

// admit counts a request that begins, unless the process serves no more.
func (p *process) admit() bool {
	p.running.Add(1)
	if !p.serving.Load() {
		p.running.Add(-1)
		return false
	}
	return true
}

// enter takes the turn of those who may hold the store's writer lock.
func (p *process) enter() bool {
	select {
	case p.turn <- struct{}{}:
		return true
	case <-p.dead:
		return false
	}
}

func (p *process) leave() { <-p.turn }

// cleanStop lets what runs end, closes the store, and leaves a release if all went well.
func (p *process) cleanStop() {
	p.w.logf("%v: stops", p)
	if p.w.is(releaseWithoutDrain) {
		p.release()
		p.kill("stopped")
		return
	}
	p.serving.Store(false) // no new requests
	if !p.settle(4 * unit) {
		p.kill("stop takes too long")
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, 8*unit)
	defer cancel()
	p.silence(ctx)
	err := p.engine.Close(ctx)
	p.leave()
	if err != nil {
		p.met(err, "close")
		p.kill("close: " + err.Error())
		return
	}
	p.release()
	p.kill("stopped")
}

func (p *process) release() {
	// From here on this process replies to nobody, so it is no owner, even before the note is written.
	p.released.Store(!p.w.is(releaseWithoutDrain))
	if err := p.lease.Release(p.ctx); err != nil {
		p.released.Store(false)
		p.w.logf("%v: release: %v", p, err)
		return
	}
	p.released.Store(true)
}

// bury is what the kernel does, and the rest of a dead process's code, which cannot reach anything any more.
func (p *process) bury() {
	p.kill("over")
	if p.lease != nil {
		_ = p.lease.Close()
	}
	p.serving.Store(false)
	p.silence(context.WithoutCancel(p.ctx))
	if p.topo != nil {
		_ = p.topo.Close()
	}
	if p.engine != nil {
		if p.store != nil && p.store.Err() != nil {
			p.w.n.failed.Add(1)
		}
		p.settle(time.Hour)
		_ = p.engine.Close(context.WithoutCancel(p.ctx))
		p.leave()
	}
	p.s.mu.Lock()
	for i, q := range p.s.procs {
		if q == p {
			p.s.procs = append(p.s.procs[:i:i], p.s.procs[i+1:]...)
			break
		}
	}
	if g := p.gen.Load(); g > 0 {
		p.s.ended[g] = p
	}
	p.s.mu.Unlock()
	p.h.mu.Lock()
	delete(p.h.procs, p.s)
	p.h.mu.Unlock()
}

// logger puts what the lease says into the trace.
func (p *process) logger() *slog.Logger {
	if !p.w.trace {
		return quiet
	}
	return slog.New(slog.NewTextHandler(traceWriter{p}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type traceWriter struct{ p *process }

func (t traceWriter) Write(b []byte) (int, error) {
	t.p.w.logf("service %d on host %d: %s", t.p.s.id, t.p.h.id, bytes.TrimSpace(b))
	return len(b), nil
}
