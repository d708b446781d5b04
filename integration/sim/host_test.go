package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ostor/fsbackend/memfs"
)

// host is a machine: a clock, a local directory, a mount, and at most one process of each service.
type host struct {
	w     *world
	id    uint64
	rate  float64
	base  time.Duration // of its clock when the run begins
	local *memfs.FS

	touched map[string]time.Time // files that its kernel has seen, and when first; guarded by the storage's lock

	mu     sync.Mutex // guards what follows
	up     bool
	boot   uint64
	frozen time.Time     // until
	cut    time.Time     // the mount is lost until
	alone  time.Time     // the other hosts' pings are not answered until
	slow   time.Time     // its I/O is slow until
	stolen time.Duration // that its clock did not count; a mutant
	procs  map[*service]*process
	gate   *process               // its gateway
	seen   map[*service]time.Time // when an owner elsewhere showed signs of life
}

func (h *host) dir() string { return fmt.Sprintf("control/hosts/%016x", h.id) }

// registerBoot leaves the name of a new boot on the mount, as lease.RegisterBoot does with the kernel's id.
func (h *host) registerBoot() {
	h.mu.Lock()
	h.boot++
	boot := h.boot
	h.mu.Unlock()
	s := h.w.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.fs.Create(fmt.Sprintf("%s/boot-%d.id-%d", h.dir(), boot, boot))
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = s.fs.SyncDir(h.dir())
	}
	if err != nil {
		panic(err)
	}
	clear(h.touched) // a new kernel has an empty cache
}

// Now is the host's CLOCK_BOOTTIME.
func (h *host) Now() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.base + time.Duration(float64(time.Since(h.w.start))*h.rate) - h.stolen
}

func (h *host) mountCut() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.cut)
}

func (h *host) slowUntil() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slow
}

func (h *host) frozenFor() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.frozen)
}

// answers reports whether the host answers a ping.
func (h *host) answers() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	return h.up && !now.Before(h.frozen) && !now.Before(h.alone)
}

func (h *host) freeze(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := time.Now().Add(d)
	if !until.After(h.frozen) {
		return
	}
	if h.w.is(clockStops) {
		h.stolen += time.Duration(float64(d-max(time.Until(h.frozen), 0)) * h.rate)
	}
	h.frozen = until
}

// crash ends all that runs on the host; it comes back after d.
func (h *host) crash(d time.Duration) {
	h.mu.Lock()
	if !h.up {
		h.mu.Unlock()
		return
	}
	h.up = false
	procs := make([]*process, 0, len(h.procs))
	for _, s := range h.w.svcs {
		if p := h.procs[s]; p != nil {
			procs = append(procs, p)
		}
	}
	if h.gate != nil {
		procs = append(procs, h.gate)
	}
	h.mu.Unlock()
	h.w.logf("host %d crashes", h.id)
	for _, p := range procs {
		p.kill("its host crashed")
	}
	time.Sleep(d)
	h.registerBoot()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.up, h.frozen = true, time.Time{}
	h.w.logf("host %d is back, boot %d", h.id, h.boot)
}

// agent starts the service here when its owner is gone, or seems to be.
func (h *host) agent(ctx context.Context, s *service) {
	w := h.w
	for w.sleep(3*unit/10 + w.duration(unit/2)) {
		if h.frozenFor() > 0 || h.mountCut() > 0 {
			continue
		}
		h.mu.Lock()
		busy, up := h.procs[s] != nil, h.up
		h.mu.Unlock()
		if busy || !up {
			continue
		}
		others := s.living()
		var alive *process
		for _, p := range others {
			if p.h != h && p.h.answers() && !p.isFrozen() {
				alive = p
			}
		}
		h.mu.Lock()
		if alive != nil || h.seen[s].IsZero() {
			h.seen[s] = time.Now()
		}
		silent := time.Since(h.seen[s])
		h.mu.Unlock()
		want := silent > 4*unit
		if last := s.last(); len(others) == 0 && (last == nil || last.h == h || last.released.Load()) {
			want = true
		}
		often := 0.004 * w.wild
		if w.hint == hintFreezes {
			often = 0.03
		}
		if w.hint == hintCuts || w.hint == hintClaims { // two claim at the same time, then there is time for one of them to wait
			often = 0
			switch since := time.Since(time.Unix(0, s.suspected.Load())); {
			case since < 7*unit/10:
				want, silent = true, max(silent, 4*unit)
			case since > 14*unit:
				often = 0.2
			}
		}
		if !want && w.faulty() && w.chance(often) { // a false suspicion
			want, silent = true, max(silent, 4*unit)
			s.suspected.Store(time.Now().UnixNano())
			if w.hint != hintClaims && w.chance(0.4) { // and the owner stops as the claim lands
				for _, p := range others {
					if p.h != h {
						p.freeze(min(6*unit+w.duration(10*unit), time.Until(w.end())))
					}
				}
			}
		}
		if want && (w.hint == hintCuts || w.hint == hintClaims || w.chance(0.5)) {
			h.start(ctx, s, silent)
		}
	}
}

// last returns the process with the newest generation that has ended.
func (s *service) last() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *process
	for g, p := range s.ended {
		if last == nil || g > last.gen.Load() {
			last = p
		}
	}
	return last
}

// start starts a process of the service.
func (h *host) start(ctx context.Context, s *service, silent time.Duration) {
	p := &process{w: h.w, h: h, s: s, silent: silent, dead: make(chan struct{}), stopping: make(chan struct{}), turn: make(chan struct{}, 1)}
	p.fs = &procFS{p: p, pending: make(map[string]int)}
	p.ctx, p.cancel = context.WithCancel(ctx)
	h.mu.Lock()
	if h.procs[s] != nil || !h.up {
		h.mu.Unlock()
		p.cancel()
		return
	}
	p.boot = h.boot
	h.procs[s] = p
	h.mu.Unlock()
	s.mu.Lock()
	s.procs = append(s.procs, p)
	s.mu.Unlock()
	h.w.spawn(p.live)
}

// inject makes faults of all kinds happen until the end of the faulty time.
func (w *world) inject() {
	every := func(mean time.Duration, f func()) {
		w.spawn(func() {
			for w.sleep(time.Duration(float64(w.below(int(2*mean))+1) / w.wild)) {
				if !w.faulty() {
					return
				}
				f()
			}
		})
	}
	for _, h := range w.hosts {
		some := func() *process {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.procs[w.svcs[w.below(len(w.svcs))]]
		}
		every(25*unit, func() { // the whole host, or one process
			d := w.fault(30 * unit)
			if p := some(); p != nil && w.chance(0.4) {
				p.freeze(d)
				w.logf("%v is frozen for %v", p, d)
				return
			}
			w.logf("host %d is frozen for %v", h.id, d)
			h.freeze(d)
		})
		every(60*unit, func() { h.crash(w.fault(20 * unit)) })
		if w.hint == hintReboots {
			every(12*unit, func() { h.crash(w.fault(unit / 2)) })
		}
		if w.hint == hintKills {
			every(8*unit, func() {
				if p := some(); p != nil {
					p.kill("kill -9")
				}
			})
		}
		if w.hint == hintReleases {
			every(8*unit, func() {
				if p := some(); p != nil {
					p.askToStop()
				}
			})
		}
		every(40*unit, func() {
			if p := some(); p != nil {
				p.kill("kill -9")
			}
		})
		every(40*unit, func() {
			h.mu.Lock()
			p := h.gate
			h.mu.Unlock()
			if p != nil {
				p.kill("kill -9")
			}
		})
		every(30*unit, func() {
			if p := some(); p != nil {
				p.askToStop()
			}
		})
		every(20*unit, func() { // pings
			d := w.fault(20 * unit)
			h.mu.Lock()
			h.alone = time.Now().Add(d)
			h.mu.Unlock()
		})
		every(50*unit, func() { // the mount, with or without the rest of the network
			d, all := w.fault(25*unit), w.chance(0.5)
			w.logf("host %d loses the mount for %v", h.id, d)
			h.mu.Lock()
			h.cut = time.Now().Add(d)
			if all {
				h.alone = h.cut
			}
			h.mu.Unlock()
		})
		every(30*unit, func() {
			d := w.fault(6 * unit)
			h.mu.Lock()
			h.slow = time.Now().Add(d)
			h.mu.Unlock()
		})
	}
	if w.hint == hintSleeps {
		w.spawn(w.sleeper)
	}
	if w.hint == hintWrites {
		every(8*unit, func() {
			w.n.cuts.Add(1)
			w.storage.powerCut(uint64(w.below(1 << 30)))
		})
	}
	every(60*unit, func() {
		d := w.fault(5 * unit)
		w.logf("the storage is full for %v", d)
		w.n.full.Add(1)
		w.storage.mu.Lock()
		defer w.storage.mu.Unlock()
		w.storage.full = time.Now().Add(d)
	})
	every(30*unit, func() {
		w.logf("the storage loses power")
		w.n.cuts.Add(1)
		w.storage.powerCut(uint64(w.below(1 << 30)))
	})
}
