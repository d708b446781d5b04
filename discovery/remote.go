package discovery

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Bounds of what a remote server does in the background.
const (
	resolveTimeout = 10 * time.Second // reading the owner and dialling it
	pingTimeout    = 2 * time.Second
	firstBackoff   = 10 * time.Millisecond
	maxBackoff     = 250 * time.Millisecond
	silence        = time.Second            // a timeout after less says nothing about the server: the caller was in a hurry
	trialPause     = 500 * time.Millisecond // between a failed trial of a silent server and the next
)

// NotExecuted reports whether err says that the call was certainly not executed: an error in its chain has a method NotExecuted that returns true. Servers that Options.DialName
// and DialObject return mark errors so when the connection could not be made or the server refused the request before it looked at it.
func NotExecuted(err error) bool {
	e, ok := errors.AsType[interface {
		error
		NotExecuted() bool
	}](err)
	return ok && e.NotExecuted()
}

// remote finds one service and keeps a connection to its present owner. S is cluster.NameServer or cluster.ObjectServer.
type remote[S any] struct {
	t    *Topology
	id   cluster.ServiceID
	dial func(context.Context, Owner, cluster.ServiceID) (S, error)

	// When the present failing began and was last seen, in nanoseconds of the topology's age plus 1; 0 = the last call was answered.
	failingSince atomic.Int64
	failedLast   atomic.Int64

	// A silent server is one whose last call ran into a timeout. One call at a time tries it again; the others fail at once, instead of each waiting as long.
	silent atomic.Bool
	trying atomic.Bool

	current atomic.Pointer[session[S]] // nil: not connected; written under mu
	pinging atomic.Bool

	mu      sync.Mutex
	highest cluster.Generation // seen so far: an older one is never dialled
	pending *attempt[S]        // nil: nobody resolves
	closed  bool
}

// session is a connection to one generation.
type session[S any] struct {
	server     S
	generation cluster.Generation
}

// attempt is a resolution under way. session and err are set before done is closed.
type attempt[S any] struct {
	done    chan struct{}
	session *session[S]
	err     error
}

// connect returns the present session, or makes one. Of several callers one resolves, all wait, for at most the topology's RetryFor: the mount and the network may hang.
func (r *remote[S]) connect(ctx context.Context) (*session[S], error) {
	if s := r.current.Load(); s != nil {
		return s, nil
	}
	a, err := r.resolve()
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(r.t.opts.RetryFor)
	defer patience.Stop()
	select {
	case <-a.done:
		return a.session, a.err
	case <-patience.C:
		return nil, fault.Wrap(fault.Unavailable, os.ErrDeadlineExceeded, "discovery: find and reach service %s", r.id)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// resolve begins to look for the owner, or joins who does.
func (r *remote[S]) resolve() (*attempt[S], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending != nil {
		return r.pending, nil
	}
	if r.closed || r.dial == nil {
		return nil, fault.New(fault.Unavailable, "discovery: service %s cannot be reached from here", r.id)
	}
	a := &attempt[S]{done: make(chan struct{})}
	r.pending = a
	r.t.work.Go(func() {
		// The mount and the network may hang: not under mu, and not in the caller's goroutine, whose deadline must hold.
		ctx, cancel := context.WithTimeout(r.t.ctx, resolveTimeout)
		defer cancel()
		a.session, a.err = r.find(ctx)
		r.mu.Lock()
		r.pending = nil
		old := r.current.Load()
		if a.err == nil {
			r.highest = a.session.generation
			r.current.Store(a.session)
			r.silent.Store(false) // somebody has answered
		}
		r.mu.Unlock()
		close(a.done)
		if a.err == nil {
			r.t.log.Info("service found", logkey.Service, r.id.String(), logkey.Generation, uint64(a.session.generation))
			closeSession(old)
		}
	})
	return a, nil
}

// find reads who owns the service and dials it. Every error is fault.Unavailable: what is wrong with a service is not wrong with the caller's request.
func (r *remote[S]) find(ctx context.Context) (*session[S], error) {
	o, err := ReadOwner(r.t.opts.FS, ServiceDir(r.id))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "find service %s", r.id)
	}
	r.mu.Lock()
	highest := r.highest
	r.mu.Unlock()
	if o.Generation < highest {
		return nil, fault.New(fault.Unavailable, "find service %s: its newest owner is of generation %s, but %s was seen before", r.id, o.Generation, highest)
	}
	s, err := r.dial(ctx, o, r.id)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "reach service %s", r.id)
	}
	return &session[S]{server: s, generation: o.Generation}, nil
}

// drop forgets a session that does not answer, so that the next call looks for the owner again.
func (r *remote[S]) drop(s *session[S]) {
	r.mu.Lock()
	dropped := r.current.CompareAndSwap(s, nil)
	r.mu.Unlock()
	if dropped {
		closeSession(s)
	}
}

func closeSession[S any](s *session[S]) {
	if s == nil {
		return
	}
	if c, ok := any(s.server).(io.Closer); ok {
		_ = c.Close() // nothing is lost with a connection
	}
}

// stop refuses new resolutions.
func (r *remote[S]) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// close ends the connection. Nothing resolves any more.
func (r *remote[S]) close() { closeSession(r.current.Swap(nil)) }

// poll looks for a newer claim and asks the owner for life.
func (r *remote[S]) poll() {
	s := r.current.Load()
	if s == nil {
		_, _ = r.resolve() // whoever calls next finds a session, or waits for this
		return
	}
	if g, err := highestClaim(r.t.opts.FS, ServiceDir(r.id)); err == nil && g > s.generation {
		// The old session stays until the new owner answers: until it is fenced, the old owner's replies count.
		_, _ = r.resolve()
		return
	}
	p, ok := any(s.server).(Pinger)
	if !ok || !r.pinging.CompareAndSwap(false, true) {
		return
	}
	r.t.work.Go(func() {
		defer r.pinging.Store(false)
		ctx, cancel := context.WithTimeout(r.t.ctx, pingTimeout)
		defer cancel()
		switch err := p.Ping(ctx); {
		case err == nil:
			if !r.silent.Load() { // a server whose storage hangs answers pings too
				r.succeeded()
			}
		case r.t.ctx.Err() == nil:
			r.failed()
			if NotExecuted(err) {
				r.drop(s)
			}
		}
	})
}

// failed notes that the service did not answer, and returns until when calls should wait for it.
func (r *remote[S]) failed() time.Time {
	now := r.t.age()
	r.failedLast.Store(now)
	if r.failingSince.CompareAndSwap(0, now) {
		r.t.log.Warn("service does not answer", logkey.Service, r.id.String())
	}
	return r.t.began.Add(time.Duration(r.failingSince.Load()) + r.t.opts.RetryFor)
}

func (r *remote[S]) succeeded() {
	r.silent.Store(false)
	if r.failingSince.Load() != 0 {
		r.failingSince.Store(0)
		r.t.log.Info("service answers again", logkey.Service, r.id.String())
	}
}

// healthy reports whether the service answered last time, or nobody has asked for a while.
func (r *remote[S]) healthy() bool {
	return r.failingSince.Load() == 0 || r.t.age()-r.failedLast.Load() > int64(r.t.opts.SkipFor) && !r.trying.Load()
}

// admit refuses a call to a silent server unless it is the one that tries again. end must be called after the call, if there was no error.
func (r *remote[S]) admit() (end func(), err error) {
	if !r.silent.Load() {
		return func() {}, nil
	}
	if r.t.age()-r.failedLast.Load() < int64(trialPause) || !r.trying.CompareAndSwap(false, true) {
		return nil, fault.New(fault.Unavailable, "discovery: service %s does not answer", r.id)
	}
	return func() { r.trying.Store(false) }, nil
}

// timedOut reports whether err is that of a call that waited for long and in vain.
func timedOut(err error, waited time.Duration) bool {
	return waited >= silence && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded))
}

// age is the time since New in nanoseconds, at least 1.
func (t *Topology) age() int64 { return int64(time.Since(t.began)) + 1 }

// mode says which failed calls may be repeated.
type mode uint8

const (
	once       mode = iota // only when it was certainly not executed
	repeatable             // always: it reads, or doing it twice is as good as once
)

// call runs f on the service's present owner, again after a failure as the mode allows, within ctx and the topology's RetryFor.
func call[S, T any](ctx context.Context, r *remote[S], m mode, f func(S) (T, error)) (T, error) {
	var zero T
	for pause := time.Duration(0); ; pause = min(max(2*pause, firstBackoff), maxBackoff) {
		end, err := r.admit()
		if err != nil {
			return zero, err
		}
		v, until, err := try(ctx, r, m, f)
		end()
		if err == nil || until.IsZero() || !sleep(ctx, pause, until) {
			return v, err
		}
	}
}

// try runs f once. After an error, until is the time up to which it is worth trying again; zero when it is not.
func try[S, T any](ctx context.Context, r *remote[S], m mode, f func(S) (T, error)) (v T, until time.Time, err error) {
	begin := time.Now()
	s, err := r.connect(ctx)
	again := true
	if err == nil {
		v, err = f(s.server)
		if err == nil {
			r.succeeded()
			return v, until, nil
		}
		kind := fault.KindOf(err)
		refused := NotExecuted(err)
		if kind != fault.Unavailable && kind != fault.Stale || kind == fault.Stale && m == once && !refused {
			r.succeeded() // it is an answer
			return v, until, err
		}
		if ctx.Err() == nil && (refused || kind == fault.Stale) {
			r.drop(s)
		}
		again = m != once || refused
	}
	if errors.Is(ctx.Err(), context.Canceled) { // a caller that hung up says nothing about the server
		return v, until, err
	}
	if now := r.current.Load(); s != nil && now != nil && now != s { // somebody else owns the service by now, and has said nothing wrong
		if again {
			until = time.Now().Add(r.t.opts.RetryFor)
		}
		return v, until, err
	}
	if timedOut(err, time.Since(begin)) {
		r.silent.Store(true)
	}
	if tried := r.failed(); again {
		until = tried
	}
	return v, until, err
}

// sleep waits for d and reports whether there was time: neither ctx nor until ends before. The first time, with d = 0, there always is unless ctx has ended.
func sleep(ctx context.Context, d time.Duration, until time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	if d == 0 {
		return true
	}
	end := time.Now().Add(d)
	if dl, ok := ctx.Deadline(); end.After(until) || ok && end.After(dl) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
