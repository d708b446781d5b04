package sim

import (
	"time"

	"ostor/internal/cluster"
)

// Stops at the worst moment, of runs with a hint: chance alone meets these moments seldom.

// rootsFile is the name of a tree's ring of roots (package btree).
const rootsFile = "roots"

// stopBeforeRoot stops an owner in a checkpoint, before the root is written: the next owner goes by the one before, and so needs all that this checkpoint is about to give up. The owner goes on once the
// next one serves, which then ends before it has a root of its own, mostly: the third has to read what the first may have spoiled.
func (p *process) stopBeforeRoot() {
	w := p.w
	if w.hint != hintThaws || !w.faulty() || !p.serving.Load() || !w.chance(0.5) {
		return
	}
	w.logf("%v stops before its root", p)
	p.freeze(time.Until(w.end))
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

// stopBeforeClaim stops a claimer whose claim has a name that is not durable: the next one claims the number after it, and the storage loses power as that claim lands.
func (p *process) stopBeforeClaim() {
	w := p.w
	if w.hint == hintClaims && w.faulty() && p.gen.Load() == 0 && w.chance(0.5) {
		p.s.suspected.Store(time.Now().UnixNano())
		p.freeze(min(unit+w.duration(4*unit), time.Until(w.end)))
	}
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
