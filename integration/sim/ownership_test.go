package sim

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "replay the ownership run of this seed, with a trace")
	clusterFlag = flag.Uint64("cluster-seed", 0, "replay the cluster run of this seed, with a trace")
	mutantFlag  = flag.String("mutant", "", "the mutant to try or to replay, by prefix of its name")
	hintFlag    = flag.Uint("hint", 0, "the hint of a replayed run, or of all runs, by number; 0 = as their seeds say")
	unitsFlag   = flag.Int("units", 120, "length of the faulty time of a replayed run, in N")
)

// budget returns how long a campaign may take: half of SIM_TIME, since there are two kinds, or a long or short default.
func budget(short, longer time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SIM_TIME")); err == nil {
		return d / 2
	}
	if os.Getenv("OSTOR_CRASH") == "long" {
		return longer
	}
	return short
}

// firstSeed returns SEED, or a fresh one.
func firstSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil && n != 0 {
		return n
	}
	return freshSeed()
}

func freshSeed() uint64 { return 1 + rand.Uint64N(1<<40) }

// campaign does runs from a seed on until the time is over, on two goroutines, or until something is wrong.
type campaign struct {
	simulate func(*testing.T, settings) *world
	first    uint64
	limit    time.Duration
	most     int // runs; 0 = any number
	units    int
	mutant   string
	hint     hint // of all runs; hintNone: of one run in three, by its seed

	mu    sync.Mutex
	began time.Time
	runs  int
	sum   counters
	gaps  []time.Duration
	kinds map[string]int // operations that were checked
	seed  uint64         // of the run that went wrong
	bad   []string       // in it
}

func (c *campaign) run(t *testing.T) {
	c.began = time.Now()
	var next atomic.Uint64
	t.Run("runs", func(t *testing.T) {
		for i := range min(2, runtime.GOMAXPROCS(0)) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for time.Since(c.began) < c.limit {
					n := next.Add(1) - 1
					if c.most > 0 && n >= uint64(c.most) || !c.one(t, c.first+n) {
						return
					}
				}
			})
		}
	})
}

// one does the run of a seed, and reports whether to go on.
func (c *campaign) one(t *testing.T, seed uint64) bool {
	w := c.simulate(t, settings{seed: seed, hosts: 3, faults: time.Duration(c.units) * unit, mutant: c.mutant, hint: hintOf(seed, c.hint)})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	c.sum.add(&w.n)
	for _, s := range w.svcs {
		c.gaps = append(c.gaps, s.gaps...)
	}
	if c.kinds == nil {
		c.kinds = make(map[string]int)
	}
	for k, n := range w.kinds {
		c.kinds[k] += n
	}
	if len(w.bad) > 0 && len(c.bad) == 0 {
		c.seed, c.bad = seed, w.bad
	}
	return len(c.bad) == 0
}

// hintOf returns the hint of a run: want, or, where none is wanted, one that follows from the seed.
func hintOf(seed uint64, want hint) hint {
	if want == hintNone && seed%3 == 0 {
		return hint(seed / 3 % uint64(hints))
	}
	return want
}

// report says what a campaign of the real rules has seen.
func (c *campaign) report(t *testing.T, kind string) {
	if len(c.bad) > 0 {
		t.Errorf("%s seed %d (replay with make sim SEED=%d, or with a trace: -%s %d -units %d):\n%s", kind, c.seed, c.seed, map[string]string{"cluster": "cluster-seed", "ownership": "seed"}[kind], c.seed, c.units, strings.Join(c.bad, "\n"))
	}
	hours := float64(c.runs) * float64(c.units+45) * unit.Seconds() / 3600
	if kind == "ownership" {
		t.Logf("from the last reply of one owner to the service of the next: %s", percentiles(c.gaps))
	}
	checked := 0
	for _, n := range c.kinds {
		checked += n
	}
	t.Logf("%s: seeds from %d: %d runs, %.1f simulated hours in %.0f s\nchecked=%d %v\n%v\nviolations=%d seed=%d", kind, c.first, c.runs, hours, time.Since(c.began).Seconds(), checked, c.kinds, &c.sum, len(c.bad), c.first)
}

// TestOwnership: the rules as they are.
func TestOwnership(t *testing.T) {
	if *seedFlag != 0 {
		replay(t)
		return
	}
	if *clusterFlag != 0 {
		t.Skip("replaying a run of another kind")
	}
	c := &campaign{simulate: simulate, first: firstSeed(), limit: budget(5*time.Second, 5*time.Minute), units: 120, hint: hint(*hintFlag)}
	c.run(t)
	c.report(t, "ownership")
}

// replay does one run with a trace.
func replay(t *testing.T) {
	w := simulate(t, settings{seed: *seedFlag, hosts: 3, faults: time.Duration(*unitsFlag) * unit, mutant: mutantNamed(*mutantFlag), hint: hintOf(*seedFlag, hint(*hintFlag)), trace: true})
	fmt.Println(strings.Join(w.tr, "\n"))
	if t.Log(&w.n); len(w.bad) > 0 {
		t.Error(strings.Join(w.bad, "\n"))
	}
}

// mutantNamed returns the mutant whose name begins so, "" for "".
func mutantNamed(prefix string) string {
	for _, m := range mutants {
		if prefix != "" && strings.HasPrefix(m.name, prefix) {
			return m.name
		}
	}
	for _, m := range clusterMutants {
		if prefix != "" && strings.HasPrefix(m.name, prefix) {
			return m.name
		}
	}
	return ""
}

// wantNoticed is the verdict on a mutant.
func (c *campaign) wantNoticed(t *testing.T) {
	if len(c.bad) == 0 {
		t.Errorf("%s: not noticed in %d runs from seed %d: %v", c.mutant, c.runs, c.first, &c.sum)
		return
	}
	t.Logf("noticed after %d runs, %.1f s: seed %d: %s", c.runs, time.Since(c.began).Seconds(), c.seed, strings.TrimSpace(c.bad[0]))
}

// long reports whether everything is to be tried.
func long() bool { return os.Getenv("OSTOR_CRASH") == "long" }

// mutants with what makes them show, how many runs from seed 1 are enough (0 = seen too rarely to insist), and whether ordinary tests try them.
var mutants = []struct {
	name  string
	hint  hint
	runs  int
	quick bool
}{
	{ackWithoutCheck, hintFreezes, 150, false}, {noWait, hintFreezes, 100, true}, {waitFromSuspicion, hintFreezes, 100, true}, {sharedFiles, hintFreezes, 100, false},
	{reuseWithoutCheck, hintThaws, 150, false}, {deadlineFromEnd, hintFreezes, 100, false}, {inheritTimeout, hintFreezes, 150, false}, {noLookUp, hintFreezes, 100, true},
	{clockDrift, hintFreezes, 250, false}, {inheritBoot, hintReboots, 100, false}, {clockStops, hintNone, 150, true}, {releaseWithoutDrain, hintReleases, 200, false},
	{serveBeforeManifest, hintNone, 100, true}, {inheritExit, hintKills, 200, false}, {bootDiffers, hintFreezes, 100, true}, {proofOfLastOnly, hintFreezes, 100, true},
	{sealWithoutSync, hintCuts, 100, false}, {inheritElsewhere, hintReleases, 200, false}, {lookAtNextOnly, hintClaims, 50, true},
}

// TestMutants: a rule that is switched off is noticed, by runs from seed 1 on. Ordinary runs try those that are noticed at once; OSTOR_CRASH=long all of them.
func TestMutants(t *testing.T) {
	if *seedFlag+*clusterFlag != 0 {
		t.Skip("replaying one seed")
	}
	for _, m := range mutants {
		if !m.quick && !long() || *mutantFlag != "" && !strings.HasPrefix(m.name, *mutantFlag) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			c := &campaign{simulate: simulate, first: 1, limit: 10 * time.Minute, most: cmp.Or(m.runs, 300), units: 120, mutant: m.name, hint: m.hint}
			c.run(t)
			if m.runs == 0 && len(c.bad) == 0 {
				t.Logf("%s: not noticed in %d runs", m.name, c.runs)
				return
			}
			c.wantNoticed(t)
		})
	}
}
