package sim

import (
	"context"
	"strings"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Stops at the worst moment, of runs with a hint: chance alone meets these moments seldom.

// rootsFile is the name of a tree's ring of roots (package btree).
const rootsFile = "roots"

// claimSuffix ends the name of a claim (package lease).
const claimSuffix = ".claim"

// stopBeforeRoot stops an owner in a checkpoint, before the root is written: the next owner goes by the one before, and so needs all that this checkpoint is about to give up. The owner goes on once the
// next one serves, which then ends before it has a root of its own, mostly: the third has to read what the first may have spoiled.
func (p *process) stopBeforeRoot() {
	w := p.w
	if w.hint != hintThaws || !w.faulty() || !p.serving.Load() || !w.chance(0.5) {
		return
	}
	w.logf("%v stops before its root", p)
	p.freeze(time.Until(w.end()))
	w.spawn(func() {
		for p.s.newest.Load() <= p.gen.Load() && w.faulty() && !p.isDead() && w.sleep(unit/10) {
		}
		w.sleep(w.duration(unit / 2))
		p.freeze(0)
		w.logf("%v goes on", p)
		w.sleep(unit/4 + w.duration(unit))
		for _, next := range p.s.living() {
			if w.faulty() && next.gen.Load() > p.gen.Load() && w.chance(0.8) {
				next.kill("kill -9")
			}
		}
	})
}

// stopBeforeClaim stops the first claimer after an owner that lives, while the claim's name is not durable: the next one claims the number after it, and the storage loses power as that claim lands.
func (p *process) stopBeforeClaim() {
	w := p.w
	if w.hint != hintClaims || !w.faulty() || p.gen.Load() > 0 {
		return
	}
	for _, q := range p.s.living() {
		if next := fsbackend.GenerationName(q.gen.Load() + 1); q.serving.Load() && q.valid() && strings.HasSuffix(p.claim, next+claimSuffix) {
			w.logf("%v stops before its claim is durable", p)
			p.freeze(min(2*unit+w.duration(4*unit), time.Until(w.end())))
			p.s.claimer.Store(p)
			p.s.suspected.Store(time.Now().UnixNano())
			return
		}
	}
}

// stoppedClaimer returns whom stopBeforeClaim has stopped and who has not gone on, nil for nobody.
func (s *service) stoppedClaimer() *process {
	if p := s.claimer.Load(); p != nil && p.isFrozen() && !p.isDead() {
		return p
	}
	return nil
}

// sleeper lets hosts with name servers stop for longer than a takeover takes; clients go to the gateways of others. What goes on then learns from the mount late that it is over, and so does the
// gateway on the host.
func (w *world) sleeper() {
	const asleep, blind = 18 * unit, 5 * unit
	for w.sleep(unit+w.duration(3*unit)) && w.faulty() {
		var owners []*process
		for _, s := range w.svcs {
			for _, p := range s.living() {
				if s.sid.Type() == cluster.TypeName && p.serving.Load() && !p.isFrozen() {
					owners = append(owners, p)
				}
			}
		}
		if len(owners) == 0 {
			continue
		}
		h := owners[w.below(len(owners))].h
		w.logf("host %d sleeps", h.id)
		h.freeze(asleep)
		h.mu.Lock()
		h.cut = time.Now().Add(asleep + blind)
		h.mu.Unlock()
		if !w.sleep(asleep) {
			return
		}
		w.logf("host %d goes on", h.id)
	}
}

// justWoken returns the index of a host that has slept and has no mount yet, -1 for none.
func (w *world) justWoken() int {
	for i, h := range w.hosts {
		if w.hint == hintSleeps && h.mountCut() > 0 && h.frozenFor() <= 0 {
			return i
		}
	}
	return -1
}

// lateNames is a name server whose guards are short and whom requests for new names reach late: later than the guard ends and what it guarded is collected.
type lateNames struct {
	cluster.NameServer
	p *process
}

// shortGuard is how long a guard lasts then.
const shortGuard = 2 * unit

// delayNames is what gateways meet of a name server in runs with hintLate.
func (p *process) delayNames(ns cluster.NameServer) cluster.NameServer {
	if p.w.hint == hintLate {
		return &lateNames{ns, p}
	}
	return ns
}

func (l *lateNames) Guard(ctx context.Context, g cluster.Guard) error {
	g.Timeout = min(g.Timeout, shortGuard)
	return l.NameServer.Guard(ctx, g)
}

func (l *lateNames) CreateEntry(ctx context.Context, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	if w := l.p.w; w.faulty() && w.chance(0.15) {
		timer := time.NewTimer(shortGuard + garbageDelay + w.duration(6*unit))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.p.dead:
			return cluster.Entry{}, errDead
		case <-ctx.Done():
			return cluster.Entry{}, fault.Wrap(fault.Unavailable, context.Cause(ctx), "the request is late")
		}
	}
	return l.NameServer.CreateEntry(ctx, r)
}
