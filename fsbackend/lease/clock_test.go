package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLatestIsNeverEarly runs the cheap clock beside suspensions, settings of the time of day in both directions and slow drifts: it never says less than boot time, and seldom reads that.
func TestLatestIsNeverEarly(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var day, monotonic, boot time.Duration
	reads := 0
	c := &bootClock{read: func() (time.Duration, time.Duration) { return day, monotonic }, boot: func() time.Duration { reads++; return boot }}
	day = 50 * 365 * 24 * time.Hour
	steps := 0
	for range 200_000 {
		d := time.Duration(rng.Int64N(int64(2 * time.Millisecond)))
		day, monotonic, boot = day+d, monotonic+d, boot+d
		disturbed := true
		switch rng.IntN(1000) {
		case 0: // suspended
			s := time.Duration(rng.Int64N(int64(time.Minute)))
			day, boot = day+s, boot+s
		case 1: // the time of day is set
			day += time.Duration(rng.Int64N(int64(time.Hour))) - 30*time.Minute
		case 2: // both, within one look: but not so that one hides the other
			s := 10*time.Millisecond + time.Duration(rng.Int64N(int64(time.Minute)))
			boot += s
			day += s - s/2
		case 3: // suspended for less than the slack, again and again
			s := time.Duration(rng.Int64N(int64(anchorSlack)))
			day, boot = day+s, boot+s
		default:
			disturbed = false
		}
		if disturbed {
			steps++
		}
		if got := c.Latest(); got < boot || got > boot+2*anchorSlack {
			t.Fatalf("latest is %v, boot time %v", got, boot)
		}
	}
	if limit := int(monotonic/anchorLasts) + steps + 10; reads > limit+limit/5 {
		t.Errorf("%d reads of boot time in %v with %d disturbances", reads, monotonic, steps)
	}
}

// TestLatestOfThisMachine: the real clocks agree.
func TestLatestOfThisMachine(t *testing.T) {
	t.Parallel()
	c := newBootClock()
	for range 10_000 {
		before := c.Now()
		if got := c.Latest(); got < before {
			t.Fatalf("latest is %v, after %v", got, before)
		}
	}
}

func BenchmarkLatest(b *testing.B) {
	c := newBootClock()
	for b.Loop() {
		c.Latest()
	}
}

func BenchmarkNow(b *testing.B) {
	c := newBootClock()
	for b.Loop() {
		c.Now()
	}
}
