package fuse

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ostor/fsbackend/fusesim"
)

var seed = flag.Uint64("seed", 0, "replay the choices of this seed (0 = a fresh one)")

// leaseUnit is N of the profile that the services run with: fast.
const leaseUnit = time.Second

// noise is what a machine that does other things too adds to the time that something takes.
const noise = 20 * time.Second

// killed is the exit code of a process that SIGKILL ended.
const killed = -1

// The fault of a host, and how its service ends.
type ending struct {
	name  string
	fault func(s *site, host int, p *process)
	heal  func(s *site, host int)
	exit  int // of the old owner
}

func endings() []ending {
	boot := func(s *site, host int) { s.do(fusesim.Request{Do: "boot", Host: host}) }
	heal := func(s *site, host int) { s.do(fusesim.Request{Do: "heal", Host: host}) }
	kill := func(p *process) { _ = p.Process.Signal(syscall.SIGKILL) }
	return []ending{
		{"kill", func(_ *site, _ int, p *process) { kill(p) }, heal, killed},
		{"freeze", func(s *site, host int, _ *process) {
			s.do(fusesim.Request{Do: "freeze", Host: host, Locks: "drop"})
		}, heal, 3},
		{"partition", func(s *site, host int, _ *process) { s.do(fusesim.Request{Do: "partition", Host: host}) }, heal, 3},
		{"power cut", func(s *site, host int, p *process) {
			s.do(fusesim.Request{Do: "power", Host: host, Keep: fusesim.KeepSome, Seed: *seed})
			kill(p)
		}, boot, killed},
	}
}

// client writes keys of its own, each of which it knows.
type client struct {
	id     int
	s3     *awss3.Client
	wait   time.Duration // for a reply
	rng    *rand.Rand
	next   int
	values map[string][][]byte // by key: what it may hold; the first is what was acknowledged last, nil for nothing
	open   map[string]bool     // keys with a request that had no answer: they are not written again
	acks   []time.Time
	odd    []string // errors that a client should not see
	busy   int      // replies 503
	silent int      // no reply in time
}

func newClient(id int, s3 *awss3.Client) *client {
	return &client{id: id, s3: s3, wait: 12 * time.Second, rng: rand.New(rand.NewPCG(*seed, uint64(id))), values: map[string][][]byte{}, open: map[string]bool{}}
}

// work writes until ctx ends. A request that is on its way then is finished.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		key := fmt.Sprintf("c%d/k%d", c.id, c.next/3) // each key is overwritten twice
		c.next++
		if c.open[key] {
			continue
		}
		value := make([]byte, 1+c.rng.IntN(30<<10))
		for i := range value {
			value[i] = byte(c.rng.Uint32())
		}
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.wait)
		_, err := c.s3.PutObject(rctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(value)})
		cancel()
		switch code := status(err); {
		case err == nil:
			c.values[key] = [][]byte{value}
			c.acks = append(c.acks, time.Now())
			time.Sleep(20 * time.Millisecond) // a load that leaves the machine to the others
			continue
		case code == http.StatusServiceUnavailable:
			c.busy++
		case code == 0:
			c.silent++
		default:
			c.odd = append(c.odd, err.Error())
		}
		c.open[key] = true
		if len(c.values[key]) == 0 {
			c.values[key] = [][]byte{nil}
		}
		c.values[key] = append(c.values[key], value)
		time.Sleep(50 * time.Millisecond)
	}
}

// check reads every key back.
func (c *client) check(ctx context.Context, t *testing.T, s *site, when string) (checked int) {
	t.Helper()
	for key, allowed := range c.values {
		got, err := s.get(ctx, key)
		if err != nil {
			t.Errorf("%s: get %s: %v", when, key, err)
			continue
		}
		checked++
		if !slices.ContainsFunc(allowed, func(v []byte) bool { return (v == nil) == (got == nil) && bytes.Equal(v, got) }) {
			t.Errorf("%s: %s holds %d bytes, which is neither what was acknowledged (%d bytes) nor one of %d requests without an answer", when, key, len(got), len(allowed[0]), len(allowed)-1)
		}
	}
	return checked
}

// TestLossOfAHost takes the host of the name server or of the object server away in each way, under load.
func TestLossOfAHost(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for leases")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d replays the choices of the workload and of the power cut", *seed)
	for i, e := range endings() {
		victims := []int{i % 2} // host 0 has the name server, host 1 the object server
		if os.Getenv("OSTOR_CRASH") == "long" {
			victims = []int{0, 1}
		}
		for _, victim := range victims {
			t.Run(fmt.Sprintf("%s of %s", e.name, []string{"name server", "object server"}[victim]), func(t *testing.T) {
				t.Parallel()
				loseHost(t, e, victim)
			})
		}
	}
}

func loseHost(t *testing.T, e ending, victim int) {
	s := newSite(t)
	id := []string{s.name, s.object}[victim]
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	load, stop := context.WithCancel(ctx)
	defer stop()
	var clients []*client
	var wg sync.WaitGroup
	for i := range 3 {
		c := newClient(i, s.s3)
		clients = append(clients, c)
		wg.Go(func() { c.work(load) })
	}
	time.Sleep(500 * time.Millisecond) // some load before

	old, begin := s.services[id], time.Now()
	e.fault(s, victim, old)
	heir := s.serve(2, id, "--takeover")
	s.await(heir, 2*time.Minute)
	taken := time.Since(begin)
	time.Sleep(time.Second) // some load after
	stop()
	wg.Wait()

	outage, acks := longestGap(clients, begin)
	busy, silent, keys := 0, 0, 0
	for _, c := range clients {
		busy, silent, keys = busy+c.busy, silent+c.silent, keys+len(c.values)
		for _, odd := range c.odd {
			t.Errorf("a client saw %s", odd)
		}
		c.check(ctx, t, s, "after the takeover")
	}
	e.heal(s, victim)
	waitEnd(t, e, old)
	for _, c := range clients {
		if n := c.check(ctx, t, s, "after the heal"); n == 0 {
			t.Errorf("client %d wrote nothing: the test tried nothing", c.id)
		}
	}
	t.Logf("taken over after %.1fN; no write for %.1fN; %d acknowledged writes of %d keys, %d of them after the fault; %d replies 503, %d requests without a reply",
		units(taken), units(outage), total(clients), keys, acks, busy, silent)
	if silent > 0 {
		t.Errorf("%d requests had no reply within 12 s: want 503 after 5 s at most", silent)
	}
	if outage > 13*leaseUnit+noise || acks == 0 {
		t.Errorf("no write for %v, then %d: want writes again after about 13N", outage, acks)
	}
	if outage < 4*leaseUnit {
		t.Errorf("no write for %v only: the old owner cannot have been waited for", outage)
	}
}

func units(d time.Duration) float64 { return float64(d) / float64(leaseUnit) }

func total(clients []*client) (n int) {
	for _, c := range clients {
		n += len(c.acks)
	}
	return n
}

// longestGap returns the longest time without an acknowledgement after the fault, and how many came after that.
func longestGap(clients []*client, begin time.Time) (gap time.Duration, after int) {
	var acks []time.Time
	for _, c := range clients {
		acks = append(acks, c.acks...)
	}
	slices.SortFunc(acks, time.Time.Compare)
	last := begin
	for i, at := range acks {
		if at.Before(begin) {
			continue
		}
		if d := at.Sub(last); d > gap {
			gap, after = d, len(acks)-i
		}
		last = at
	}
	return gap, after
}

// waitEnd sees that the old owner has ended, and how.
func waitEnd(t *testing.T, e ending, old *process) {
	t.Helper()
	select {
	case <-old.ended:
	case <-time.After(time.Minute):
		t.Fatal("the old owner is still there")
	}
	if got := old.ProcessState.ExitCode(); got != e.exit && !(e.exit == killed && got == 3) { // it may notice the loss of its mount before the signal
		t.Errorf("the old owner ended with %v (code %d), want code %d: %s", old.ProcessState, got, e.exit, old.log.String())
	}
}
