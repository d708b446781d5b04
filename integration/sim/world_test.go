package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
)

const unit = time.Second // N of all leases

// settings say what a run is.
type settings struct {
	seed   uint64
	hosts  int
	faults time.Duration // how long there are faults; 45N of calm follow
	mutant string        // the rule that is switched off; "" = none
	hint   hint          // what happens more often than by chance
	trace  bool
}

const calm = 45 * unit

// hint is a kind of run: some faults or requests are more frequent, so that what they meet is met soon. The real rules are tried with every hint, too.
type hint uint8

const (
	hintNone       hint = iota
	hintUploads         // of a cluster: completions race with aborts
	hintConditions      // of a cluster: conditional writes of few keys
	hintDeletes         // of a cluster
	hintWrites          // of a cluster: writes while the storage loses power
	hintBreaks          // of a cluster: connections break
	hintCuts            // owners that live are suspected by two at once, and the storage loses power as a claim lands
	hintReleases        // services are stopped cleanly and move to another host
	hintFreezes         // owners stop in the middle of checkpoints and as claims land
	hintKills           // processes are killed
	hintReboots         // hosts crash and are back at once
	hintThaws           // owners stop before a root is written, and go on once the next owner serves, which ends soon
	hintClaims          // two claim one after the other, the first stops before its claim is durable, and the storage loses power as the second claim lands
	hintSleeps          // of a cluster: hosts of name servers stop until they are taken over, and find no mount when they go on
	hintLate            // of a cluster: guards are short, and what names an object comes late
	hints
)

// counters of a run.
type counters struct {
	ops, acked, failovers, inherited, late, lateAfter, cuts, stale, checkpoints, waits, failed, unchecked, broken, observed, orphans, full, short atomic.Int64
}

// add sums up runs.
func (c *counters) add(o *counters) {
	for _, p := range [...][2]*atomic.Int64{{&c.ops, &o.ops}, {&c.acked, &o.acked}, {&c.failovers, &o.failovers}, {&c.inherited, &o.inherited}, {&c.late, &o.late},
		{&c.lateAfter, &o.lateAfter}, {&c.cuts, &o.cuts}, {&c.stale, &o.stale}, {&c.checkpoints, &o.checkpoints}, {&c.waits, &o.waits}, {&c.failed, &o.failed}, {&c.unchecked, &o.unchecked},
		{&c.broken, &o.broken}, {&c.observed, &o.observed}, {&c.orphans, &o.orphans}, {&c.full, &o.full}, {&c.short, &o.short}} {
		p[0].Add(p[1].Load())
	}
}

func (c *counters) String() string {
	return fmt.Sprintf("operations=%d replies=%d failovers=%d inherited=%d waited=%d checkpoints=%d late_io=%d of_them_after_takeover=%d power_cuts=%d full=%d short_writes=%d stale_reads=%d connections_broken=%d "+
		"keys_seen_in_lists=%d orphans_freed=%d not_decided=%d", c.ops.Load(), c.acked.Load(), c.failovers.Load(), c.inherited.Load(), c.waits.Load(), c.checkpoints.Load(), c.late.Load(), c.lateAfter.Load(),
		c.cuts.Load(), c.full.Load(), c.short.Load(), c.stale.Load(), c.broken.Load(), c.observed.Load(), c.orphans.Load(), c.unchecked.Load())
}

// percentiles says how the gaps lie, in N.
func percentiles(gaps []time.Duration) string {
	if len(gaps) == 0 {
		return "none"
	}
	slices.Sort(gaps)
	at := func(p int) float64 { return float64(gaps[(len(gaps)-1)*p/100]) / float64(unit) }
	return fmt.Sprintf("half within %.1fN, 90 %% within %.1fN, 99 %% within %.1fN, the longest %.1fN", at(50), at(90), at(99), at(100))
}

// world is one run.
type world struct {
	settings
	storage *storage
	hosts   []*host
	svcs    []*service
	wild    float64                   // fault intensity of this run
	endAt   atomic.Pointer[time.Time] // see end
	start   time.Time
	hist    history
	n       counters
	net     *network       // of a cluster
	site    *volume        // of a cluster
	wg      sync.WaitGroup // every goroutine of the run
	stop    chan struct{}  // closed when the run ends

	kinds map[string]int // operations that were checked

	mu   sync.Mutex // guards what follows
	rnd  *rand.Rand
	bad  []string
	tr   []string
	stay bool
}

// service is a service's directory and who runs it.
type service struct {
	w      *world
	id     int
	sid    cluster.ServiceID // in a cluster; 0 = a store or an object server without others
	dir    string
	newest atomic.Uint64 // generation that served last

	claimer   atomic.Pointer[process] // that was stopped last before its claim was durable; of runs with hintClaims
	suspected atomic.Int64            // when an owner that lives was last suspected, in nanoseconds since 1970

	mu      sync.Mutex
	procs   []*process          // that live, in order of start
	ended   map[uint64]*process // by generation
	replyAt time.Time           // last reply
	acked   time.Time           // last acknowledged write
	gaps    []time.Duration     // between the last reply of one process and the service of the next
	objects []object            // that clients know of
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x72656164)) }

func (w *world) is(mutant string) bool { return w.mutant == mutant }

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.Float64() < p
}

func (w *world) below(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.IntN(n)
}

// duration returns one below limit, mostly short.
func (w *world) duration(limit time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rnd.IntN(2) == 0 {
		limit /= 6
	}
	return time.Duration(w.rnd.Int64N(int64(limit)))
}

// faulty reports whether there are faults now.
// end is when the faulty time ends.
func (w *world) end() time.Time { return *w.endAt.Load() }

func (w *world) setEnd(t time.Time) { w.endAt.Store(&t) }

func (w *world) faulty() bool { return time.Now().Before(w.end()) }

// fault returns how long a fault lasts that begins now.
func (w *world) fault(limit time.Duration) time.Duration {
	return min(w.duration(limit), max(time.Until(w.end()), 0))
}

// violation notes that a promise was broken.
func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := fmt.Sprintf("%8.3fs ", time.Since(w.start).Seconds()) + fmt.Sprintf(format, args...)
	w.bad = append(w.bad, s)
	w.tr = append(w.tr, "*** "+s)
	if !w.stay {
		w.stay = true
		close(w.stop) // the run has done its work
	}
}

func (w *world) logf(format string, args ...any) {
	if !w.trace {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tr = append(w.tr, fmt.Sprintf("%8.3fs ", time.Since(w.start).Seconds())+fmt.Sprintf(format, args...))
}

// latency returns how long an operation takes to land.
func (w *world) latency(h *host) time.Duration {
	slow := w.faulty() && time.Now().Before(h.slowUntil())
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r := w.rnd.Float64(); {
	case slow && r < 0.5:
		return time.Duration(w.rnd.Int64N(int64(unit)))
	case r < 0.004 && time.Now().Before(w.end()):
		return time.Duration(w.rnd.Int64N(int64(16 * unit)))
	case r < 0.3:
		return time.Duration(w.rnd.Int64N(int64(unit / 20)))
	}
	return time.Duration(1 + w.rnd.Int64N(int64(unit/500)))
}

// sleep returns false when the run has ended.
func (w *world) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stop:
		return false
	}
}

func (w *world) spawn(f func()) {
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		f()
	}()
}

var quiet = slog.New(slog.DiscardHandler)

// simulate does one run and returns it, with what it saw checked.
func simulate(t *testing.T, s settings) *world {
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(s)
		w.run(t.Context())
	})
	if len(w.bad) == 0 || s.mutant == "" {
		bad, unchecked := w.hist.check()
		w.bad = append(w.bad, bad...)
		w.n.unchecked.Add(int64(unchecked))
	}
	w.kinds = make(map[string]int)
	for i := range w.hist.ops {
		if o := &w.hist.ops[i]; !o.void {
			w.kinds[kindNames[o.kind]]++
		}
	}
	return w
}

func newWorld(s settings) *world {
	w := &world{settings: s, stop: make(chan struct{}), start: time.Now(), rnd: rand.New(rand.NewPCG(s.seed, 0x6c65617365))}
	w.setEnd(w.start.Add(s.faults))
	w.wild = [...]float64{0.5, 1, 2, 4}[w.below(4)]
	if w.hint == hintClaims {
		w.wild /= 8 // the owner that is suspected must live on
	}
	w.storage = &storage{fs: memfs.New(), over: make(map[string][]overwrite), ids: make(map[string]uint64)}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dirs := []string{"", "control", "control/hosts", "services"}
	for i := range s.hosts {
		h := &host{w: w, id: uint64(i + 1), touched: make(map[string]time.Time), up: true, local: memfs.New(), procs: make(map[*service]*process), seen: make(map[*service]time.Time)}
		h.rate = 1
		if d := 0.04; w.chance(0.5) {
			if w.is(clockDrift) {
				d = 0.25
			}
			h.rate += d * float64(1-2*w.below(2)) // the extremes matter most
		}
		h.base = time.Duration(w.below(1000)) * time.Hour
		w.hosts = append(w.hosts, h)
		dirs = append(dirs, h.dir())
	}
	for i := range 1 + w.below(2) {
		sv := &service{w: w, id: i, dir: fmt.Sprintf("services/08%014x", i+1), ended: make(map[uint64]*process)}
		w.svcs = append(w.svcs, sv)
		dirs = append(dirs, sv.dir, sv.dir+"/"+fsbackend.GenDir)
	}
	for _, d := range dirs {
		must(w.storage.fs.MkdirAll(d))
	}
	for _, d := range dirs {
		must(w.storage.fs.SyncDir(d))
	}
	for _, h := range w.hosts {
		h.registerBoot()
	}
	return w
}

// run lets everything happen and ends it.
func (w *world) run(ctx context.Context) {
	for _, h := range w.hosts {
		for _, s := range w.svcs {
			w.spawn(func() { h.agent(ctx, s) })
		}
	}
	for _, s := range w.svcs {
		for range 4 {
			w.spawn(func() { s.client(ctx) })
		}
	}
	w.inject()
	if w.sleep(w.faults + calm) {
		for _, s := range w.svcs {
			s.checkProgress(ctx)
		}
		w.halt()
	}
	w.killAll()
}

// halt ends what goes on until the end of the run.
func (w *world) halt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stay {
		w.stay = true
		close(w.stop)
	}
}

// killAll ends every process, and waits for all that the run has begun.
func (w *world) killAll() {
	for _, s := range w.svcs {
		for _, p := range s.living() {
			p.kill("the run ends")
		}
	}
	w.wg.Wait()
}

// checkProgress: long after the last fault there is one owner, it has acknowledged something lately, and its store is whole.
func (s *service) checkProgress(ctx context.Context) {
	var owners []*process
	for _, p := range s.living() {
		if p.serving.Load() && p.valid() {
			owners = append(owners, p)
		}
	}
	s.mu.Lock()
	ago := time.Since(s.acked)
	s.mu.Unlock()
	switch {
	case len(owners) != 1:
		s.w.violation("service %d: %d owners serve %v after the faults stopped", s.id, len(owners), calm)
	case ago > 5*unit:
		s.w.violation("service %d: the last acknowledged write is %v old, %v after the faults stopped", s.id, ago, calm)
	default:
		p := owners[0]
		if !p.enter() {
			return
		}
		defer p.leave()
		err := p.engine.Checkpoint(ctx) // none runs beside the check
		if err == nil {
			err = p.engine.Check(ctx)
		}
		if err != nil {
			s.w.violation("service %d: check of generation %d: %v", s.id, p.gen.Load(), err)
		}
	}
}

func (s *service) living() []*process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*process(nil), s.procs...)
}

// checkOwners: never two valid owners.
func (s *service) checkOwners() {
	var first *process
	for _, p := range s.living() {
		if !p.acquired.Load() || !p.valid() {
			continue
		}
		if first != nil {
			s.w.violation("service %d: generation %d on host %d and generation %d on host %d are both valid owners", s.id, first.gen.Load(), first.h.id, p.gen.Load(), p.h.id)
			return
		}
		first = p
	}
}
