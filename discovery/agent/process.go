package agent

import (
	"context"
	"time"

	"ostor/discovery"
	"ostor/internal/cluster"
	"ostor/internal/logkey"
)

// Runner starts services as processes of their own.
type Runner interface {
	// Start starts a process. It returns when the process exists, not when it serves.
	Start(s Start) (Process, error)
}

// Start says what to start.
type Start struct {
	Service  cluster.ServiceID
	Takeover bool               // the newest claim is of another host, or unknown: the service waits until that owner cannot reply
	Over     cluster.Generation // the newest claim: if there is another one by now, give up
}

// Process is a running service.
type Process interface {
	// Ready gets the address once, when the process serves; "" when it has none.
	Ready() <-chan string
	// Ended is closed when the process has ended.
	Ended() <-chan struct{}
	// Outcome says how it ended. Only after Ended.
	Outcome() Outcome
	// Ping asks the service for life.
	Ping(ctx context.Context) error
	// Stop asks the process to end cleanly. It does not wait.
	Stop()
	// Kill ends it at once.
	Kill()
}

// Outcome is how a process ended.
type Outcome struct {
	Lost bool   // it lost its ownership, or its storage
	Text string // for people
}

// Restarts, in units of N unless said otherwise.
const (
	firstPauseShare = 4  // the first pause is N/4
	longestPause    = 16 //
	givenUpAfter    = 5  // ends in a row, without having served for long
	givenUpFor      = 40 //
	settledAfter    = 8  // having served for so long, a process that ends is as good as new
)

// job is a service that this agent has. Agent.mu guards it.
type job struct {
	id       cluster.ServiceID
	gateway  bool
	proc     Process // nil: none runs
	serving  bool
	since    time.Duration // when it began to serve
	address  string
	failures int           // in a row
	retry    time.Duration // when to start again; only without a process
	restarts uint64
	stopping bool          // it was asked to stop: forget it when it has ended
	failed   time.Duration // given up until then; 0 = not
}

func (j *job) condition() discovery.Condition {
	switch {
	case j.failed != 0:
		return discovery.Failed
	case j.serving:
		return discovery.Active
	}
	return discovery.Starting
}

// pause returns how long to wait before the next start.
func (j *job) pause(unit time.Duration) time.Duration {
	p := unit / firstPauseShare
	for i := 1; i < j.failures && p < longestPause*unit; i++ {
		p *= 2
	}
	return min(p, longestPause*unit)
}

// launch starts the process of a job, outside the lock.
func (a *Agent) launch(j *job, s Start) {
	p, err := a.opts.Runner.Start(s)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.log.Error("a service cannot be started", logkey.Service, j.id.String(), logkey.Error, err)
		a.fellLocked(j, Outcome{Text: err.Error()})
		return
	}
	j.proc = p
	a.stats.Starts++
	a.work.Go(func() { a.attend(j, p) })
}

// attend waits for what a process does, and for its end.
func (a *Agent) attend(j *job, p Process) {
	ready := p.Ready()
	tick := time.NewTicker(a.opts.Unit)
	defer tick.Stop()
	serving, misses := false, 0
	for {
		select {
		case <-p.Ended():
			a.mu.Lock()
			defer a.mu.Unlock()
			j.proc = nil
			a.fellLocked(j, p.Outcome())
			return
		case addr, ok := <-ready:
			ready = nil
			if !ok {
				continue
			}
			serving = true
			a.mu.Lock()
			j.serving, j.since, j.address = true, a.now(), addr
			a.mu.Unlock()
			a.log.Info("a service serves", logkey.Service, j.id.String(), logkey.Addr, addr)
			a.hurry()
		case <-tick.C:
			if !serving {
				continue // how long that takes is the lease's and recovery's affair
			}
			ctx, cancel := context.WithTimeout(context.Background(), a.opts.Unit)
			err := p.Ping(ctx)
			cancel()
			// Misses, not time: this host may have been asleep, and its services with it.
			if misses++; err == nil {
				misses = 0
			} else if misses >= suspectAfter {
				a.log.Error("a service does not answer and is killed", logkey.Service, j.id.String(), logkey.Count, misses, logkey.Error, err)
				a.count(func(s *Stats) { s.Kills++ })
				serving = false // once
				p.Kill()
			}
		}
	}
}

// fellLocked settles what happens after a process has ended, or could not be started.
func (a *Agent) fellLocked(j *job, o Outcome) {
	now := a.now()
	if j.serving && now-j.since >= settledAfter*a.opts.Unit {
		j.failures = 0
	}
	j.serving, j.address, a.ended[j.id] = false, "", now
	if j.stopping || a.closing {
		delete(a.jobs, j.id)
		a.hurry()
		return
	}
	if o.Lost {
		a.stats.Losses++
	}
	j.failures++
	j.retry = now + j.pause(a.opts.Unit)
	if !j.gateway && j.failures >= givenUpAfter {
		j.failed = now + givenUpFor*a.opts.Unit
		a.log.Error("a service is given up here for a while", logkey.Service, j.id.String(), logkey.Count, j.failures, "outcome", o.Text)
	} else {
		a.log.Warn("a service has ended", logkey.Service, j.id.String(), "outcome", o.Text, "again_in", (j.retry - now).String())
	}
	a.hurry()
}
