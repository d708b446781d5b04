package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Options of New. FS, Host, Boot, Unit and Runner are required.
type Options struct {
	FS        fsbackend.FS // the mount; control/hosts/<Host> must exist
	Host      cluster.HostID
	Boot      uint64
	Unit      time.Duration // N of the lease's profile
	Runner    Runner
	Gateways  []cluster.ServiceID // to run here, whatever happens elsewhere
	Hostname  string              // for people
	Addresses []string            // where Answer is served to the agents of other hosts
	// Ping asks another host's agent for its last heartbeat; nil: the mount is all there is.
	Ping   func(ctx context.Context, last discovery.Heartbeat) (discovery.Heartbeat, error)
	Logger *slog.Logger // default: none
}

// Stats are counters since New, and what is the case now.
type Stats struct {
	Heartbeats        int64 // published
	HeartbeatFailures int64 // could not be published
	LookFailures      int64 // of looks at hosts and services
	LateNames         int64 // heartbeats that an agent says are durable and the mount does not show: the mount is not safe
	Suspicions        int64 // of hosts
	Starts            int64 // of processes
	Restarts          int64 // after one had ended
	Takeovers         int64 // begun, of services whose newest claim was another host's
	Yields            int64 // services that turned out to be another host's
	Losses            int64 // processes that lost their ownership or storage
	Kills             int64 // processes that did not answer
	Handovers         int64 // of services, for balance
	Hosts             int64 // that live
	Services          int64 // active here, gateways too
}

// Agent runs the services of a host. Make it with New, then call Run once.
type Agent struct {
	opts  Options
	log   *slog.Logger
	epoch time.Time
	wake  chan struct{} // capacity 1: decide now
	beat  chan struct{} // capacity 1: publish a heartbeat now
	work  sync.WaitGroup

	mu       sync.Mutex
	judge    *judge
	jobs     map[cluster.ServiceID]*job
	ended    map[cluster.ServiceID]time.Duration // when the last process ended
	last     discovery.Heartbeat                 // newest durable
	lastAt   time.Duration                       // when its writing began
	services []standing                          // of the last look; nil = none yet
	lookAt   time.Duration                       // when that look began
	closing  bool
	stats    Stats
}

// New returns an agent that does nothing yet. It returns fault.Invalid when a required option is missing.
func New(o Options) (*Agent, error) {
	if o.FS == nil || o.Host == 0 || o.Boot == 0 || o.Unit <= 0 || o.Runner == nil {
		return nil, fault.New(fault.Invalid, "agent: FS, Host, Boot, Unit and Runner are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{opts: o, log: o.Logger.With("component", "agent"), epoch: time.Now(), wake: make(chan struct{}, 1), beat: make(chan struct{}, 1), jobs: map[cluster.ServiceID]*job{},
		ended: map[cluster.ServiceID]time.Duration{}}
	a.judge = newJudge(o.Host, o.Unit, a.now())
	for _, id := range o.Gateways {
		a.jobs[id] = &job{id: id, gateway: true}
	}
	return a, nil
}

// now is the time since New, at least 1.
func (a *Agent) now() time.Duration { return time.Since(a.epoch) + 1 }

// hurry makes the loop decide and the heartbeat go out soon.
func (a *Agent) hurry() {
	for _, c := range []chan struct{}{a.wake, a.beat} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (a *Agent) count(f func(*Stats)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.stats)
}

// Stats returns counters.
func (a *Agent) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Suspicions, s.Hosts = int64(a.judge.suspicions), int64(len(a.judge.living()))
	for _, j := range a.jobs {
		if j.serving {
			s.Services++
		}
	}
	return s
}

// Answer is what a ping of another agent gets: the last heartbeat, if it is durable since at most 3N. Otherwise fault.Unavailable: an agent without the mount is no sign of life.
func (a *Agent) Answer() (discovery.Heartbeat, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.Seq == 0 || a.now()-a.lastAt > 3*a.opts.Unit {
		return discovery.Heartbeat{}, fault.New(fault.Unavailable, "agent: no heartbeat has reached the mount lately")
	}
	return a.last, nil
}

// Run works until ctx ends, then stops all services cleanly, says that the host leaves, and returns. stop ends the patience with processes that do not stop: they are killed. It returns an error when
// something did not end as it should.
func (a *Agent) Run(ctx, stop context.Context) error {
	side, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	beats, looks := make(chan struct{}), make(chan struct{})
	go func() { defer close(beats); a.keepBeating(side) }()
	go func() { defer close(looks); a.keepLooking(side) }()
	tick := time.NewTicker(a.opts.Unit / 2)
	defer tick.Stop()
	for ctx.Err() == nil {
		a.step()
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-a.wake:
		}
	}
	err := a.stopAll(stop)
	cancel()
	return errors.Join(err, a.within(beats, "heartbeat"), a.within(looks, "look"))
}

// within waits for a goroutine that may hang in the mount.
func (a *Agent) within(done chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-time.After(2 * a.opts.Unit):
		return fault.New(fault.Unavailable, "agent: the %s hangs, in the mount most likely", what)
	}
}

// step decides what should be done, and begins it.
func (a *Agent) step() {
	type launch struct {
		j *job
		s Start
	}
	var begin []launch
	a.mu.Lock()
	now := a.now()
	if a.services != nil {
		d := a.judge.decide(now, a.lookAt, a.services, a.heldLocked)
		for _, h := range d.suspected {
			a.log.Warn("a host is silent", logkey.Host, h.String())
		}
		for _, s := range d.take {
			if a.ended[s.id] >= a.lookAt { // this look does not know how our last process left it
				continue
			}
			j := &job{id: s.id}
			a.jobs[s.id] = j
			begin = append(begin, launch{j, a.startLocked(s)})
			j.retry = forever
		}
		if j := a.jobs[d.give]; j != nil && j.proc != nil {
			a.log.Info("handing a service over to another host, for balance", logkey.Service, d.give.String())
			a.stats.Handovers++
			j.stopping = true
			j.proc.Stop()
		}
	}
	for _, j := range a.jobs {
		if s, again := a.againLocked(now, j); again {
			begin = append(begin, launch{j, s})
			j.retry = forever
		}
	}
	a.mu.Unlock()
	for _, l := range begin {
		a.launch(l.j, l.s)
	}
	if len(begin) > 0 {
		a.hurry()
	}
}

// forever is the retry time of a job whose process is being started.
const forever = time.Duration(math.MaxInt64)

func (a *Agent) heldLocked(id cluster.ServiceID) discovery.Condition {
	if j := a.jobs[id]; j != nil {
		return j.condition()
	}
	return ""
}

// startLocked describes the start of a service with the standing s.
func (a *Agent) startLocked(s standing) Start {
	foreign := s.generation != 0 && s.host != a.opts.Host
	if foreign {
		a.stats.Takeovers++
	}
	a.log.Info("starting a service", logkey.Service, s.id.String(), "after", uint64(s.generation), "of", s.host.String(), "released", s.released)
	return Start{Service: s.id, Takeover: foreign, Over: s.generation}
}

// againLocked decides about a job without a process: whether it should be started again, and how. It forgets jobs that are another host's by now, or were given up long enough.
func (a *Agent) againLocked(now time.Duration, j *job) (Start, bool) {
	if j.proc != nil || j.retry == forever || now < j.retry {
		return Start{}, false
	}
	if j.gateway {
		if a.ended[j.id] != 0 {
			j.restarts++
			a.stats.Restarts++
		}
		return Start{Service: j.id}, true
	}
	if j.failed != 0 {
		if now >= j.failed {
			delete(a.jobs, j.id)
		}
		return Start{}, false
	}
	if a.lookAt <= a.ended[j.id] { // who owns it now shows in a look that began after the end
		return Start{}, false
	}
	at, found := slices.BinarySearchFunc(a.services, j.id, func(s standing, id cluster.ServiceID) int { return cmp.Compare(s.id, id) })
	if !found || a.services[at].host != a.opts.Host && a.services[at].generation != 0 {
		a.log.Info("a service is another host's now", logkey.Service, j.id.String())
		a.stats.Yields++
		delete(a.jobs, j.id)
		return Start{}, false
	}
	j.restarts++
	a.stats.Restarts++
	return a.startLocked(a.services[at]), true
}

// stopAll stops every process: gateways first, so that what they do is finished, then the rest.
func (a *Agent) stopAll(patience context.Context) (err error) {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	for _, gateways := range []bool{true, false} {
		var wait []Process
		a.mu.Lock()
		for id, j := range a.jobs {
			switch {
			case j.gateway != gateways:
			case j.proc == nil:
				delete(a.jobs, id)
			default:
				j.proc.Stop()
				wait = append(wait, j.proc)
			}
		}
		a.mu.Unlock()
		for _, p := range wait {
			select {
			case <-p.Ended():
			case <-patience.Done():
				err = fault.New(fault.Unavailable, "agent: a service did not stop in time and was killed")
				p.Kill()
			}
		}
	}
	ended := make(chan struct{})
	go func() { defer close(ended); a.work.Wait() }()
	return errors.Join(err, a.within(ended, "end of a killed process"))
}
