package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/invariant"
	"ostor/internal/logkey"
)

// Profile is how patient an owner and its successors are.
type Profile struct {
	N time.Duration // the unit of all deadlines
}

// The profiles. Every host of a cluster should use the same one.
var (
	Test    = Profile{50 * time.Millisecond}
	Fast    = Profile{time.Second}
	Default = Profile{2500 * time.Millisecond}
	Safe    = Profile{5 * time.Second}
)

// Renewal is the time between two renewals.
func (p Profile) Renewal() time.Duration { return 2 * p.N }

// Validity is how long an owner may reply after the beginning of its last renewal.
func (p Profile) Validity() time.Duration { return 8 * p.N }

// Wait is how long a claimer waits for owners that are not proven dead: 8N*1.05+N.
func (p Profile) Wait() time.Duration { return p.Validity()*105/100 + p.N }

// Options say what to own and how.
type Options struct {
	FS   fsbackend.FS // the mount
	Dir  string       // the service's directory: services/<16hex>; must exist
	Host uint64       // id of this host
	Boot uint64       // number of this boot, from RegisterBoot

	Local   fsbackend.FS // host-local directory whose locks work between processes
	Hosts   string       // directory of the hosts' boots on the mount; default control/hosts
	Profile Profile      // default Default
	Clock   Clock        // default CLOCK_BOOTTIME

	// Takeover allows a claim while an owner on another host is not proven dead: the claimer then waits until it cannot reply any more. Without it Acquire refuses.
	Takeover bool

	// Over is the generation that the caller means to follow: when another claim has come meanwhile, Acquire returns fault.Unavailable and claims nothing. So of several who decided
	// to take the same service over, those who come late do not take it from the one who was first. 0: whichever is the last.
	Over uint64

	Info   string       // who we are, for messages: command, pid, host name; at most 1024 bytes
	Logger *slog.Logger // default: none

	// OnLost is called once, in a goroutine of its own, when ownership has ended by itself: a higher claim, a deadline, Fail. The process should then exit
	// without flushing anything. It is not called for Release and Close. May be nil.
	OnLost func(error)
}

// ensureDefaults fills in what was left zero.
func (o *Options) ensureDefaults() {
	if o.Profile.N == 0 {
		o.Profile = Default
	}
	if o.Clock == nil {
		o.Clock = newBootClock()
	}
	if o.Hosts == "" {
		o.Hosts = "control/hosts"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("component", "lease")
}

func (o *Options) validate() error {
	switch {
	case o.FS == nil || o.Local == nil:
		return fault.New(fault.Invalid, "lease: FS and Local must be given")
	case o.Dir == "" || !fsbackend.ValidName(o.Dir):
		return fault.New(fault.Invalid, "lease: %q is no service directory", o.Dir)
	case o.Host == 0 || o.Boot == 0:
		return fault.New(fault.Invalid, "lease: host %016x and boot %d must not be 0", o.Host, o.Boot)
	case o.Profile.N <= 0 || o.Profile.N > time.Hour:
		return fault.New(fault.Invalid, "lease: N is %v: want more than 0 and at most an hour", o.Profile.N)
	}
	return nil
}

func (o *Options) gen() string { return o.Dir + "/" + fsbackend.GenDir }
func (o *Options) claimName(g uint64) string {
	return o.gen() + "/" + fsbackend.GenerationName(g) + claimSuffix
}
func (o *Options) releaseName(g uint64) string {
	return o.gen() + "/" + fsbackend.GenerationName(g) + releaseSuffix
}

// Lease is the ownership of a service by one generation. Safe for concurrent use.
type Lease struct {
	opts     Options
	claim    record
	inherits bool

	deadline atomic.Int64 // nanoseconds on the clock; the lease is valid before it, math.MinInt64 once it has ended

	mu       sync.Mutex
	ended    error       // why ownership ended; nil while it lasts
	failed   bool        // by Fail: no release
	watchdog *time.Timer // notices the deadline when nobody asks
	onLost   func(error) // set when Acquire succeeds
	files    []fsbackend.File
	closed   bool

	cancel context.CancelFunc
	done   chan struct{} // closed when the renewal goroutine has returned
}

const endedAt = math.MinInt64

var (
	errReleased = fault.New(fault.Stale, "the lease was released")
	errClosed   = fault.New(fault.Stale, "the lease was closed")
)

// Generation returns the number that the claim made: the home of everything this owner writes is fsbackend.GenerationDir(Dir, Generation()).
func (l *Lease) Generation() uint64 { return l.claim.generation }

// Inherits reports whether this owner may go on writing the files of generation prior, by rule 5. If not, files of older generations may be read only.
func (l *Lease) Inherits() (prior uint64, ok bool) {
	if !l.inherits {
		return 0, false
	}
	return l.claim.generation - 1, true
}

// Check returns nil while this owner may reply, and fault.Stale, with the reason, from the moment on when it may not. Ask after what the reply reflects is durable, right
// before replying; never keep the answer. It costs two atomic loads and a read of the clock that is no system call.
func (l *Lease) Check() error {
	if int64(l.latest()) < l.deadline.Load() {
		return nil
	}
	return l.stale()
}

// latest returns a time on the clock that is not before now.
func (l *Lease) latest() time.Duration {
	if c, ok := l.opts.Clock.(latester); ok {
		return c.Latest()
	}
	return l.opts.Clock.Now()
}

// stale is the rare end of Check.
func (l *Lease) stale() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		// Between Check's look and here a renewal may have begun anew only before the deadline, so look again.
		if int64(l.opts.Clock.Now()) < l.deadline.Load() {
			return nil
		}
		l.endLocked(fault.New(fault.Stale, "lease: generation %d of %s was not renewed in time: its deadline has passed", l.claim.generation, l.opts.Dir), true)
	}
	return l.ended
}

// Fail ends ownership at once, because of an I/O error: what was written is unknown, so there will be no release and the next owner reads what is really there.
func (l *Lease) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = true
	if l.ended == nil {
		l.endLocked(fault.Wrap(fault.Stale, err, "lease: generation %d of %s has failed", l.claim.generation, l.opts.Dir), true)
	}
}

// endLocked ends ownership; mu must be held and ended must be nil.
func (l *Lease) endLocked(err error, tell bool) {
	invariant.Assert(err != nil && l.ended == nil, "lease ended twice or without a reason")
	l.deadline.Store(endedAt)
	l.ended = err
	if l.watchdog != nil {
		l.watchdog.Stop()
	}
	if tell {
		l.opts.Logger.Error("ownership has ended", logkey.Generation, l.claim.generation, logkey.Error, err)
		if l.onLost != nil {
			go l.onLost(err)
		}
	}
}

// renew is rule 1. It returns an error when the lease has ended, and when gen/ could not be read (the lease then lasts until its deadline).
func (l *Lease) renew() error {
	t0 := l.opts.Clock.Now()
	names, err := l.opts.FS.List(l.opts.gen())
	if err != nil {
		return fmt.Errorf("lease: renew generation %d of %s: %w", l.claim.generation, l.opts.Dir, err)
	}
	highest, own := uint64(0), false
	for _, name := range names {
		if g, ok := generationOf(name); ok {
			highest = max(highest, g)
			own = own || g == l.claim.generation
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
	case highest > l.claim.generation:
		l.endLocked(fault.New(fault.Stale, "lease: generation %d of %s was superseded by generation %d", l.claim.generation, l.opts.Dir, highest), true)
	case !own:
		l.endLocked(fault.New(fault.Stale, "lease: the claim of generation %d of %s has vanished from the mount", l.claim.generation, l.opts.Dir), true)
	case int64(l.opts.Clock.Now()) >= l.deadline.Load():
		l.endLocked(fault.New(fault.Stale, "lease: generation %d of %s was not renewed in time: its deadline has passed", l.claim.generation, l.opts.Dir), true)
	default:
		l.deadline.Store(int64(t0 + l.opts.Profile.Validity()))
		l.watchdog.Reset(l.opts.Profile.Validity())
		return nil
	}
	return l.ended
}

// keep renews until the lease ends.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.done)
	next := l.opts.Profile.Renewal()
	for {
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		begin := l.opts.Clock.Now()
		next = l.opts.Profile.Renewal()
		if err := l.renew(); errors.Is(err, fault.Stale) {
			return
		} else if err != nil {
			l.opts.Logger.Warn("renewal did not succeed, trying again", logkey.Generation, l.claim.generation, logkey.Error, err)
			next = l.opts.Profile.N / 2
		}
		next = max(next-(l.opts.Clock.Now()-begin), 0)
	}
}

// bark is called when the deadline should have passed.
func (l *Lease) bark() {
	if l.Check() == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ended == nil {
			l.watchdog.Reset(max(time.Duration(l.deadline.Load())-l.opts.Clock.Now(), time.Millisecond))
		}
	}
}

// Release ends ownership and leaves a note of that, durably, so that the next owner on this host inherits and others need not wait. All issued I/O must have
// returned without error and all replies must have been sent. It returns fault.Stale, and leaves no note, when ownership had ended or failed before. Release at most
// once, then Close.
func (l *Lease) Release(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.Check(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.ended != nil || l.failed {
		defer l.mu.Unlock()
		return l.ended
	}
	l.endLocked(errReleased, false)
	l.mu.Unlock()

	note := l.claim
	note.kind, note.wall = kindRelease, time.Now()
	h, err := writeRecord(l.opts.FS, l.opts.releaseName(note.generation), &note)
	if err != nil {
		return fmt.Errorf("lease: release generation %d of %s: %w", note.generation, l.opts.Dir, err)
	}
	l.opts.Logger.Info("released", logkey.Generation, note.generation)
	return h.Close()
}

// Close ends ownership without a note, stops the renewals and gives the host-local locks back, which tells the next owner on this host that this one has ended: nothing
// of the service may run any more. It waits for a running renewal, at most for the time the lease is valid. Closing twice is no error.
func (l *Lease) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	if l.ended == nil {
		l.endLocked(errClosed, false)
	}
	files := l.files
	l.files = nil
	l.mu.Unlock()

	l.cancel()
	var err error
	select {
	case <-l.done:
	case <-time.After(l.opts.Profile.Validity()):
		err = fault.New(fault.Unavailable, "lease: a renewal of %s hangs in the mount", l.opts.Dir)
	}
	return errors.Join(err, closeAll(files))
}

// closeAll closes the last one first: the lock that shows us alive goes when all else is over.
func closeAll(files []fsbackend.File) error {
	var err error
	for _, h := range slices.Backward(files) {
		err = errors.Join(err, h.Close())
	}
	return err
}
