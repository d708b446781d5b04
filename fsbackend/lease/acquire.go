package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const localDir = "lease" // in the host-local directory

// Acquire claims the next generation of a service and returns when no older owner can reply any more: at once if the end of all that matter is proven, after
// Profile.Wait otherwise. It returns
//
//   - fault.Exists, naming the holder, when a process on this host has the service;
//   - fault.Unavailable when an owner on another host is not proven dead and Takeover is not set, and when somebody else claimed at the same time;
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
	if err := l.lockService(); err != nil {
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
	s, err := o.look()
	if err != nil {
		return nil, err
	}
	if err := o.permit(s); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	claimed, err := l.makeClaim(s.highest + 1)
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

// lockService takes the host-local lock of the service: of the processes of one host only one at a time looks and claims.
func (l *Lease) lockService() error {
	o := &l.opts
	if err := o.Local.MkdirAll(localDir); err != nil {
		return err
	}
	name := localDir + "/" + strings.ReplaceAll(o.Dir, "/", "-") + ".lock"
	h, err := o.Local.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if h, err = o.Local.Create(name); errors.Is(err, fs.ErrExist) {
			h, err = o.Local.Open(name)
		}
	}
	if err != nil {
		return err
	}
	if err := h.Lock(); err != nil {
		_ = h.Close()
		if !errors.Is(err, fault.Exists) {
			return err
		}
		holder := "another process of this host"
		if s, err := o.look(); err == nil && len(s.old) > 0 {
			if f := s.old[len(s.old)-1]; f.readable && f.claim.host == o.Host {
				holder = f.holder()
			}
		}
		return fault.New(fault.Exists, "lease: %s is held by %s: stop it first", o.Dir, holder)
	}
	l.files = append(l.files, h)
	return nil
}

// permit refuses to claim from an owner that lives here, or may live elsewhere.
func (o *Options) permit(s survey) error {
	for _, f := range s.old {
		p, err := o.prove(f)
		if err != nil {
			return err
		}
		switch {
		case p == heldHere:
			return fault.New(fault.Exists, "lease: %s is held by %s: stop it first", o.Dir, f.holder())
		case p == unproven && f.readable && f.claim.host != o.Host && !o.Takeover:
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

// makeClaim makes the claim of generation g durable and returns the time after that. The host-local lock is there before the name is, so that a claim of this host without
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
	if errors.Is(err, fs.ErrExist) {
		_ = o.Local.Remove(lock.Name()) // of a claim that never was
		return 0, fault.New(fault.Unavailable, "lease: another host has claimed generation %d of %s at the same time", g, o.Dir)
	}
	if err != nil {
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
		timer := time.NewTimer(min(left, o.Profile.N))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
