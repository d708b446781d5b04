package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const localDir = "lease" // in the host-local directory

// Acquire claims the next generation of a service and returns when no older owner can reply any more: at once if the end of all that matter is proven, after
// Profile.Wait otherwise. It returns
//
//   - fault.Exists, naming the holder, when a process on this host has the service;
//   - fault.Unavailable when an owner on another host is not proven dead and Takeover is not set, or it won the race for the same number, or is
//     not the one that Over names;
//   - fs.ErrNotExist when there is no such service directory;
//   - fault.Stale when a higher claim appeared while waiting; the context's error when it ended.
//
// What follows is the caller's: seal the older files, write a durable manifest, Check, and only then serve.
func Acquire(ctx context.Context, o Options) (_ *Lease, err error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &Lease{opts: o, done: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = closeAll(l.files)
			if fault.KindOf(err) == fault.Other {
				err = fmt.Errorf("lease: acquire %s: %w", o.Dir, err)
			}
		}
	}()
	if err := o.Local.MkdirAll(localDir); err != nil {
		return nil, err
	}
	if _, err := o.FS.Stat(o.Dir); err != nil {
		return nil, err
	}
	if err := o.FS.MkdirAll(o.gen()); err != nil {
		return nil, err
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return nil, err
	}
	s, claimed, err := l.claimNext(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.start(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if err := l.await(ctx, s, claimed); err != nil {
		return nil, err
	}
	if last := len(s.old) - 1; last >= 0 {
		prior := s.old[last]
		manifest, err := o.settleManifest(prior.generation)
		if err != nil {
			return nil, err
		}
		l.inherits = manifest && o.wasReleased(prior) && prior.claim.host == o.Host // rule 5
	}
	o.forget(s)
	if err := l.Check(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return nil, l.ended
	}
	l.onLost = o.OnLost
	o.Logger.Info("acquired", logkey.Generation, l.claim.generation, "inherits", l.inherits)
	return l, nil
}

// survey looks at gen/ until its newest claim is readable, for at most N: it may be just in the making, or on its way from another host. After that it counts as taken by
// somebody unknown.
func (o *Options) survey(ctx context.Context) (survey, error) {
	until := o.Clock.Now() + o.Profile.N
	for {
		s, err := o.look()
		if err != nil || len(s.old) == 0 || s.old[len(s.old)-1].readable || o.Clock.Now() >= until {
			return s, err
		}
		if err := sleep(ctx, o.Profile.N/10); err != nil {
			return survey{}, err
		}
	}
}

// sleep returns after d, or earlier with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// claimNext claims the generation after all there are, if that is permitted, and returns what there was and when the claim was durable. Who loses the race for a
// number looks again, and may not claim over the winner unless that has ended.
func (l *Lease) claimNext(ctx context.Context) (survey, time.Duration, error) {
	takeover := l.opts.Takeover
	for {
		s, err := l.opts.survey(ctx)
		if err != nil {
			return s, 0, err
		}
		if over := l.opts.Over; over != 0 && s.highest != over {
			return s, 0, fault.New(fault.Unavailable, "lease: %s was to be taken after generation %d, but there is generation %d", l.opts.Dir, over, s.highest)
		}
		if err := l.opts.permit(s, takeover); err != nil {
			return s, 0, err
		}
		if err := ctx.Err(); err != nil {
			return s, 0, err
		}
		claimed, err := l.makeClaim(s.highest + 1)
		if !errors.Is(err, fs.ErrExist) {
			return s, claimed, err
		}
		takeover = false
	}
}

// permit refuses to claim from an owner that lives here, or may live elsewhere.
func (o *Options) permit(s survey, takeover bool) error {
	for _, f := range s.old {
		p, err := o.prove(f)
		if err != nil {
			return err
		}
		switch {
		case p == heldHere:
			return fault.New(fault.Exists, "lease: %s is held by %s: stop it first", o.Dir, f.holder())
		case p == unproven && f.readable && f.claim.host != o.Host && !takeover:
			return fault.New(fault.Unavailable, "lease: %s belongs to %s, which left no sign of its end: stop it there, or start with takeover here (it waits %v)",
				o.Dir, f.holder(), s.wait(o.Profile))
		}
	}
	return nil
}

// wait returns how long owners without proof may still reply after a durable claim: by the largest N of those concerned.
func (s survey) wait(p Profile) time.Duration {
	for _, f := range s.old {
		if f.readable {
			p.N = max(p.N, f.claim.n)
		}
	}
	return p.Wait()
}

// makeClaim makes the claim of generation g durable and returns the time after that; fs.ErrExist when the number is taken. The host-local lock is there before the name is, so that a claim of this host without
// its lock never means that the process lives.
func (l *Lease) makeClaim(g uint64) (time.Duration, error) {
	o := &l.opts
	l.claim = record{kind: kindClaim, service: serviceID(o.Dir), generation: g, host: o.Host, boot: o.Boot, n: o.Profile.N, wall: time.Now(), info: o.Info}
	rand.Read(l.claim.nonce[:]) // never fails
	lock, err := o.Local.Create(lockName(l.claim.nonce))
	if err != nil {
		return 0, err
	}
	l.files = append(l.files, lock)
	if err := lock.Lock(); err != nil {
		return 0, err
	}
	h, err := writeRecord(o.FS, o.claimName(g), &l.claim)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			l.files = l.files[:len(l.files)-1]
			_, _ = lock.Close(), o.Local.Remove(lock.Name()) // of a claim that never was
		}
		return 0, err
	}
	l.files = append(l.files, h)
	// Defence in depth only: on many mounts such a lock reaches this host alone, and a dead client's lock may stay for a while.
	if err := h.Lock(); err != nil && !errors.Is(err, fault.NotSupported) {
		o.Logger.Warn("claim could not be locked", logkey.Generation, g, logkey.Error, err)
	}
	return o.Clock.Now(), nil
}

// start makes the first renewal and lets the others follow.
func (l *Lease) start() error {
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	l.deadline.Store(int64(l.opts.Clock.Now() + l.opts.Profile.Validity()))
	l.mu.Lock()
	l.watchdog = time.AfterFunc(l.opts.Profile.Validity(), l.bark)
	l.mu.Unlock()
	if err := l.renew(); err != nil {
		close(l.done)
		_ = l.Close()
		return err
	}
	go l.keep(ctx)
	return nil
}

// await returns when every older owner is proven dead, or cannot reply any more because the wait since the claim is over.
func (l *Lease) await(ctx context.Context, s survey, claimed time.Duration) error {
	o := &l.opts
	until := claimed + s.wait(o.Profile)
	alive := s.old
	for {
		var rest []former
		for _, f := range alive {
			p, err := o.prove(f)
			if err != nil {
				return err
			}
			if p == unproven || p == heldHere {
				rest = append(rest, f)
			} else {
				o.Logger.Debug("former owner has ended", logkey.Generation, f.generation, "proof", p.String())
			}
		}
		alive = rest
		if err := l.Check(); err != nil {
			return err
		}
		left := until - o.Clock.Now()
		if len(alive) == 0 || left <= 0 {
			return nil
		}
		if rest != nil && left > o.Profile.Wait()-o.Profile.N {
			o.Logger.Info("waiting until a former owner cannot reply any more", logkey.Generation, alive[len(alive)-1].generation, logkey.Duration, left.String())
		}
		if err := sleep(ctx, min(left, o.Profile.N)); err != nil {
			return err
		}
	}
}
