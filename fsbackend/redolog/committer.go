package redolog

import (
	"time"

	"ostor/internal/fault"
)

// The committer. Invariants:
//
//  1. One group is in flight at a time, and groups go out in the order of their records, so what is durable is a prefix.
//  2. durable moves only after Datasync returned nil, and before anybody who waits for it is woken.
//  3. A group lies in one segment; the first group of a segment carries the segment's header.

const (
	hurryBytes   = 1 << 20 // lazy records that need more start a commit
	keepBufBytes = 2 << 20 // larger buffers are not kept
	probeEvery   = 8       // plans of which one looks for more writers than were seen

	minQuiet = 500 * time.Microsecond // shortest time without a new writer that ends a wait
)

// gather decides when a commit starts (docs/decisions/0003-group-commit-delay.md). Guarded by Log.mu.
type gather struct {
	maxDelay  time.Duration
	urgent    bool          // somebody waits for what is in the queue
	lazyUntil time.Time     // when lazy records are written at the latest; zero = there are none
	expect    float64       // writers under way, from the recent past
	syncTime  time.Duration // of a write and fdatasync, smoothed
	sleeping  bool          // the committer waits for kick
	target    int           // waiters that end the delay; 0 = not delaying
	rounds    uint32        // plans made
}

func (a *gather) init(o *Options) { a.maxDelay = max(o.MaxDelay, 0) }

// observe learns from a finished commit: waiters is how many it served, queued how many came meanwhile.
func (a *gather) observe(waiters, queued int, took time.Duration) {
	seen := float64(waiters + queued)
	if seen > a.expect {
		a.expect = seen
	} else {
		a.expect -= (a.expect - seen) / 4
	}
	if a.syncTime == 0 {
		a.syncTime = took
	}
	a.syncTime += (took - a.syncTime) / 8
}

// plan returns how many waiters the next commit should have, how long to wait for them at most, and how long when none comes. Now and then it asks for twice as
// many: writers that go round in two groups, each waiting while the other commits, look like half as many, until one wait has merged them.
func (a *gather) plan() (target int, budget, quiet time.Duration) {
	if a.expect < 3 {
		budget = min(a.maxDelay, max(a.syncTime, 100*time.Microsecond))
		return int(a.expect + 0.5), budget, budget
	}
	target = int(a.expect + 0.5)
	if a.rounds++; a.rounds%probeEvery == 0 {
		target *= 2
	}
	return target, a.maxDelay, max(2*a.syncTime, minQuiet)
}

// gatherLocked waits for more writers as planned: until there are as many as expected, or the time is over, or for a while none came. It gives Mu back meanwhile. It reports false when the
// log stopped.
func (l *Log) gatherLocked(timer *time.Timer) bool {
	target, budget, quiet := l.gather.plan()
	n := l.waitersLocked()
	if target <= 1 || budget <= 0 || l.closing || n >= target {
		return true
	}
	l.gather.target = target
	defer func() { l.gather.target = 0 }()
	l.counters.delays.Add(1)
	last := l.opts.now() // when the newest was seen
	for end := last.Add(budget); n < target && !l.closing; {
		now := l.opts.now()
		left := min(end.Sub(now), last.Add(quiet).Sub(now))
		if left <= 0 {
			return true
		}
		if !l.sleepLocked(timer, left) || l.err != nil {
			return false
		}
		if m := l.waitersLocked(); m != n {
			n, last = m, l.opts.now()
		}
	}
	return true
}

// waitersLocked counts queued records that somebody waits for.
func (l *Log) waitersLocked() (n int) {
	for _, g := range l.queue {
		n += g.waiters
	}
	return n
}

// hurryLocked lets a commit begin.
func (l *Log) hurryLocked() {
	l.gather.urgent = true
	if l.gather.sleeping && (l.gather.target == 0 || l.closing || l.waitersLocked() >= l.gather.target) {
		l.kickLocked()
	}
}

// lazyLocked notes that g has a record that nobody waits for.
func (l *Log) lazyLocked(g *group) {
	if l.gather.lazyUntil.IsZero() {
		l.gather.lazyUntil = l.opts.now().Add(l.opts.LazyDelay)
		if l.gather.sleeping && l.gather.target == 0 {
			l.kickLocked() // to set its timer
		}
	}
	if len(g.buf) >= hurryBytes {
		l.hurryLocked()
	}
}

func (l *Log) kickLocked() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// commitLoop is the committer goroutine.
func (l *Log) commitLoop() {
	defer l.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		g := l.nextGroup(timer)
		if g == nil {
			return
		}
		start := l.opts.now()
		if err := l.write(g); err != nil {
			l.fail(err)
			return
		}
		l.finish(g, l.opts.now().Sub(start))
	}
}

// sleepLocked gives Mu back until somebody kicks, d has passed (0 = for ever) or the log stops. It reports false when the log stopped.
func (l *Log) sleepLocked(timer *time.Timer, d time.Duration) bool {
	var expired <-chan time.Time
	if d > 0 {
		timer.Reset(d)
		expired = timer.C
	}
	l.gather.sleeping = true
	l.mu.Unlock()
	ok := true
	select {
	case <-l.kick:
	case <-expired:
	case <-l.stop:
		ok = false
	}
	l.mu.Lock()
	l.gather.sleeping = false
	return ok
}

// nextGroup waits until a commit should begin and returns what it writes; nil when the log stopped.
func (l *Log) nextGroup(timer *time.Timer) *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.err != nil {
			return nil
		}
		if len(l.queue) == 0 {
			l.gather.urgent, l.gather.lazyUntil = false, time.Time{}
		}
		if l.gather.urgent {
			break
		}
		var d time.Duration
		if !l.gather.lazyUntil.IsZero() {
			if d = l.gather.lazyUntil.Sub(l.opts.now()); d <= 0 {
				break
			}
		}
		if !l.sleepLocked(timer, d) {
			return nil
		}
	}
	if !l.gatherLocked(timer) {
		return nil
	}
	g := l.queue[0]
	if !g.cut {
		l.cutLocked()
	}
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		l.queue = nil
		l.gather.urgent, l.gather.lazyUntil = false, time.Time{}
	}
	l.inflight = g
	return g
}

// write makes a group durable.
func (l *Log) write(g *group) error {
	for b := g.buf[g.headerBytes:]; len(b) > 0; {
		b = sealRecord(b, g.seg.seed)
	}
	if _, err := g.seg.file.WriteAt(g.buf, g.off); err != nil {
		return fault.Wrap(fault.Unavailable, err, "redolog: write records %d to %d to %s", g.first, g.last, g.seg.file.Name())
	}
	if err := g.seg.file.Datasync(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "redolog: sync records %d to %d of %s", g.first, g.last, g.seg.file.Name())
	}
	return nil
}

// finish reports a durable group to those who wait for it.
func (l *Log) finish(g *group, took time.Duration) {
	l.counters.commits.Add(1)
	l.counters.writtenBytes.Add(uint64(len(g.buf)))
	l.mu.Lock()
	if l.err != nil { // failed meanwhile: fail has answered
		l.mu.Unlock()
		return
	}
	l.inflight = nil
	l.durable.Store(g.last)
	if cap(g.buf) <= keepBufBytes && len(l.spareBuf) < 4 {
		l.spareBuf = append(l.spareBuf, g.buf)
	}
	g.buf = nil
	l.gather.observe(g.waiters, l.waitersLocked(), took)
	if l.opts.OnDurable != nil {
		l.opts.OnDurable(g.last)
	}
	l.mu.Unlock()
	close(g.done)
}
