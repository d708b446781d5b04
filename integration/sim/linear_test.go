package sim

import (
	"cmp"
	"math"
	"slices"
	"testing"
)

// linearizable decides whether the operations of one key fit a sequential model, by walking along the history with all states that the key may be in. It is made for
// histories with many writes that were not answered: such a write may have taken effect at any time since, or never. porcupine, which must place them all, needs exponential time there.
//
// At each return of an operation it must have taken effect: where it has not, those that are under way, and the unanswered, are tried before it, in any order. A read that fits takes effect at
// once: that cannot hurt. Of two ways to the same state, the one that used fewer unanswered writes stays.
type linearizable struct {
	step func(state any, o *s3op) (ok bool, next any)
	lazy bool // take unanswered writes only where nothing fits without: fast, but what does not fit then may fit all the same

	open    [64]*s3op // under way; its bit in done says that it has taken effect
	slots   uint64    // of open that are in use
	unsure  []*s3op   // without a reply, called so far: at most 64; bits of used
	configs []config
}

type config struct {
	state      any
	done, used uint64
}

// maxConfigs bounds the work: what needs more stays undecided.
const maxConfigs = 20_000

type verdict uint8

const (
	fits verdict = iota
	doesNotFit
	tooHard
)

// check returns the verdict, and the operation at whose return nothing fits.
func (l *linearizable) check(initial any, ops []*s3op) (verdict, *s3op) {
	type event struct {
		at int64
		o  *s3op
	}
	var events []event
	for _, o := range ops {
		events = append(events, event{o.call, o})
		if o.ret != math.MaxInt64 {
			events = append(events, event{o.ret, o})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	l.configs = []config{{state: initial}}
	slot := make(map[*s3op]int)
	for _, e := range events {
		i, called := slot[e.o]
		switch {
		case !called && e.o.ret == math.MaxInt64:
			slot[e.o] = -1
			if len(l.unsure) == 64 {
				return tooHard, e.o
			}
			l.unsure = append(l.unsure, e.o)
		case !called:
			for i = 0; l.slots>>i&1 != 0; {
				if i++; i == 64 {
					return tooHard, e.o
				}
			}
			l.slots |= 1 << i
			l.open[i], slot[e.o] = e.o, i
		default:
			switch ok := l.settle(i); {
			case !ok:
				return tooHard, e.o
			case len(l.configs) == 0:
				return doesNotFit, e.o
			}
			l.slots &^= 1 << i
			for n := range l.configs {
				l.configs[n].done &^= 1 << i
			}
			l.configs = fewest(l.configs)
		}
	}
	return fits, nil
}

// settle keeps the ways in which operation i has taken effect. ok is false when there are too many.
func (l *linearizable) settle(i int) (ok bool) {
	var kept []config
	reached := make(map[place][]uint64)
	work, tried := []config(nil), 0
	push := func(c config) {
		p := place{c.state, c.done}
		if !slices.ContainsFunc(reached[p], func(u uint64) bool { return u&^c.used == 0 }) {
			reached[p] = append(reached[p], c.used)
			work = append(work, c)
		}
	}
	for _, c := range l.configs {
		push(c)
	}
	for level := 0; len(work) > 0; level++ { // each with one more of the unsure
		var after []config
		for n := 0; n < len(work); n++ {
			if tried++; tried > maxConfigs {
				return false
			}
			c := l.read(work[n])
			if c.done>>i&1 != 0 {
				kept = append(kept, c)
				continue
			}
			after = append(after, c)
			for j := range l.open {
				if l.slots>>j&1 == 0 || c.done>>j&1 != 0 || l.open[j].kind.reads() {
					continue
				}
				if fits, next := l.step(c.state, l.open[j]); fits {
					push(config{next, c.done | 1<<j, c.used})
				}
			}
		}
		if l.lazy && len(kept) > 0 {
			break
		}
		work = nil
		for _, c := range after {
			for j, o := range l.unsure {
				if c.used>>j&1 == 0 {
					if fits, next := l.step(c.state, o); fits && next != c.state {
						push(config{next, c.done, c.used | 1<<j})
					}
				}
			}
		}
	}
	l.configs = fewest(kept)
	return true
}

// place is what two ways may have in common.
type place struct {
	state any
	done  uint64
}

// read lets the reads take effect that fit.
func (l *linearizable) read(c config) config {
	for j, o := range l.open {
		if l.slots>>j&1 != 0 && c.done>>j&1 == 0 && o.kind.reads() {
			if ok, _ := l.step(c.state, o); ok {
				c.done |= 1 << j
			}
		}
	}
	return c
}

// fewest leaves out the ways to a state that another one reaches having done as much, with fewer of the unanswered writes.
func fewest(all []config) (kept []config) {
	best := make(map[place][]uint64)
	for _, c := range all {
		p := place{c.state, c.done}
		if !slices.ContainsFunc(best[p], func(u uint64) bool { return u&^c.used == 0 }) {
			best[p] = append(slices.DeleteFunc(best[p], func(u uint64) bool { return c.used&^u == 0 }), c.used)
		}
	}
	for p, useds := range best {
		for _, u := range useds {
			kept = append(kept, config{p.state, p.done, u})
		}
	}
	return kept
}

func (k s3kind) reads() bool { return k == s3Get || k == s3Seen || k == s3NotSeen || k == s3GetVersion }

// TestLinearizable: the checker itself.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	open := int64(math.MaxInt64)
	for _, tc := range []struct {
		name string
		ops  []s3op
		want verdict
	}{
		{"put, get", []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Get, out: 1, call: 3, ret: 4}}, fits},
		{"lost", []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Get, out: 0, call: 3, ret: 4}}, doesNotFit},
		{"resurrected", []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Delete, id: 2, call: 3, ret: 4}, {kind: s3Get, out: 1, call: 5, ret: 6}}, doesNotFit},
		{"two at a time", []s3op{{kind: s3Put, id: 1, call: 1, ret: 4}, {kind: s3Put, id: 2, call: 2, ret: 3}, {kind: s3Get, out: 1, call: 5, ret: 6}, {kind: s3Get, out: 1, call: 7, ret: 8}}, fits},
		{"flapping", []s3op{{kind: s3Put, id: 1, call: 1, ret: 4}, {kind: s3Put, id: 2, call: 2, ret: 3}, {kind: s3Get, out: 1, call: 5, ret: 6}, {kind: s3Get, out: 2, call: 7, ret: 8}}, doesNotFit},
		{"late without a reply", []s3op{{kind: s3Put, id: 1, call: 1, ret: open}, {kind: s3Put, id: 2, call: 2, ret: 3}, {kind: s3Get, out: 2, call: 4, ret: 5}, {kind: s3Get, out: 1, call: 6, ret: 7}}, fits},
		{"and back", []s3op{{kind: s3Put, id: 1, call: 1, ret: open}, {kind: s3Put, id: 2, call: 2, ret: 3}, {kind: s3Get, out: 1, call: 4, ret: 5}, {kind: s3Get, out: 2, call: 6, ret: 7}}, doesNotFit},
		{"two winners", []s3op{{kind: s3PutNew, id: 1, call: 1, ret: 3}, {kind: s3PutNew, id: 2, call: 2, ret: 4}}, doesNotFit},
		{"one winner", []s3op{{kind: s3PutNew, id: 1, call: 1, ret: 3}, {kind: s3PutNew, id: 2, call: 2, ret: 4, refused: true}}, fits},
		{"refused by what nobody saw", []s3op{{kind: s3Put, id: 1, call: 1, ret: open}, {kind: s3PutNew, id: 2, call: 2, ret: 4, refused: true}}, fits},
		{"refused by nothing", []s3op{{kind: s3PutNew, id: 2, call: 2, ret: 4, refused: true}}, doesNotFit},
		{"ghost in a list", []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Delete, id: 2, call: 3, ret: 4}, {kind: s3Seen, out: 7, call: 5, ret: 6}}, doesNotFit},
		{"copy of it", []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Seen, out: 7, call: 5, ret: 6}}, fits},
	} {
		h := &s3history{contents: map[int64]int64{1: 7, 2: 8}}
		var ops []*s3op
		for i := range tc.ops {
			ops = append(ops, &tc.ops[i])
		}
		if got, _ := (&linearizable{step: h.plain}).check(int64(0), ops); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.name, got, tc.want)
		}
	}
	h := &s3history{contents: map[int64]int64{1: 7, 2: 8}}
	back := []s3op{{kind: s3Put, id: 1, call: 1, ret: 2}, {kind: s3Delete, id: 3, call: 3, ret: 4}, {kind: s3Put, id: 2, call: 5, ret: 6}, {kind: s3DeleteVersion, arg: 2, call: 7, ret: 8},
		{kind: s3Get, out: 0, call: 9, ret: 10}, {kind: s3GetVersion, arg: 1, out: 1, call: 11, ret: 12}, {kind: s3GetVersion, arg: 2, out: 0, call: 13, ret: 14}}
	var ops []*s3op
	for i := range back {
		ops = append(ops, &back[i])
	}
	if got, o := (&linearizable{step: h.versioned}).check("", ops); got != fits {
		t.Errorf("versions: got %d at %v", got, o)
	}
}
