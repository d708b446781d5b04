package sim

import (
	"runtime"
	"strings"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/store"
	"ostor/internal/fault"
)

// The mutants: each is the rules with one switched off.
const (
	ackWithoutCheck     = "a:no deadline check after durability"
	noWait              = "b:no wait"
	waitFromSuspicion   = "c:wait from suspicion, not from the durable claim"
	sharedFiles         = "d:shared files"
	reuseWithoutCheck   = "e:recycling, reuse and unlink without the check"
	deadlineFromEnd     = "f:deadline from the end of the renewal"
	inheritTimeout      = "g:inherit after a timeout"
	noLookUp            = "h:renewal without a look-up"
	clockDrift          = "i:clock rates differ by 25 %"
	inheritBoot         = "j:inherit after a later boot"
	clockStops          = "k:the clock stands still while frozen"
	releaseWithoutDrain = "l:release without draining the I/O"
	serveBeforeManifest = "m:serve before the manifest is durable"
	inheritExit         = "F1:inherit after a seen exit"
	bootDiffers         = "F2:a boot that differs is proof"
	proofOfLastOnly     = "F3:proof asked for the last claim only"
	sealWithoutSync     = "F4:seal without fsync"
	inheritElsewhere    = "F5:another host inherits after a release"
	lookAtNextOnly      = "F6:a renewal looks at g+1 only"
)

// clock is the host's clock as a process's lease sees it.
type clock struct{ p *process }

func (c clock) Now() time.Duration {
	p := c.p
	now := p.h.Now()
	switch p.w.mutant {
	case noWait:
		if caller(2) == "lease.(*Lease).await" {
			now += 1000 * unit
		}
	case waitFromSuspicion:
		if caller(2) == "lease.(*Lease).makeClaim" {
			now -= p.silent
		}
	}
	return now
}

// caller returns the package and function that stands skip frames above it.
func caller(skip int) string {
	pc := make([]uintptr, 1)
	runtime.Callers(skip+1, pc)
	f, _ := runtime.CallersFrames(pc).Next()
	return f.Function[strings.LastIndexByte(f.Function, '/')+1:]
}

// owner is the lease as the store sees it.
type owner struct {
	*lease.Lease
	p *process
}

var _ store.Owner = owner{}

// stillOwner is the deadline check, by the clock that counts for the run.
func (o owner) stillOwner() error {
	if o.p.w.is(deadlineFromEnd) && o.p.renewed.Load() {
		if o.p.h.Now() < time.Duration(o.p.renewedAt.Load())+8*unit {
			return nil
		}
		return fault.New(fault.Stale, "the deadline has passed")
	}
	return o.Lease.Check()
}

func (o owner) Check() error {
	switch o.p.w.mutant {
	case lostGenerationServed:
		if o.p.names != nil && strings.HasSuffix(caller(2), "(*Store).usable") && o.p.serving.Load() {
			return nil
		}
	case ackWithoutCheck, reuseWithoutCheck:
		if reply := strings.HasSuffix(caller(2), "(*Store).usable"); reply == o.p.w.is(ackWithoutCheck) && o.p.serving.Load() {
			return nil
		}
	}
	return o.stillOwner()
}

// Inherits is rule 5, and what becomes of it.
func (o owner) Inherits() (uint64, bool) {
	if prior, ok := o.Lease.Inherits(); ok {
		return prior, true
	}
	p := o.p
	newest := uint64(0)
	for g := p.gen.Load() - 1; g > 0 && newest == 0; g-- {
		if _, err := store.ReadManifest(p.fs, p.s.dir, g); err == nil {
			newest = g
		}
	}
	p.s.mu.Lock()
	prior := p.s.ended[newest]
	p.s.mu.Unlock()
	last := newest == p.gen.Load()-1
	released := prior != nil && prior.released.Load()
	switch p.w.mutant {
	case sharedFiles:
		return newest, newest > 0
	case inheritTimeout:
		return newest, last && p.waited
	case inheritBoot:
		p.h.mu.Lock()
		defer p.h.mu.Unlock()
		return newest, last && prior != nil && !released && !p.waited && prior.h == p.h && prior.boot < p.boot
	case inheritExit:
		return newest, last && prior != nil && !released && !p.waited && prior.h == p.h && prior.boot == p.boot
	case inheritElsewhere:
		return newest, last && released && prior.h != p.h
	}
	return 0, false
}

// mutateNames is what the lease sees of a directory.
func (p *process) mutateNames(dir string, names []string) []string {
	gens := strings.HasSuffix(dir, "/"+fsbackend.GenDir)
	if gens && p.acquired.Load() {
		p.renewedAt.Store(int64(p.h.Now()))
		p.renewed.Store(true)
	}
	switch p.w.mutant {
	case noLookUp, lookAtNextOnly:
		if !gens || !p.acquired.Load() {
			return names
		}
		own := fsbackend.GenerationName(p.gen.Load())
		next := fsbackend.GenerationName(p.gen.Load() + 1)
		var kept []string
		for _, n := range names {
			digits, _, _ := strings.Cut(n, ".")
			if digits <= own || p.w.is(lookAtNextOnly) && digits == next {
				kept = append(kept, n)
			}
		}
		return kept
	case bootDiffers:
		// An old view of the names shows an earlier boot than the claim's, which is a different one.
		if strings.HasPrefix(dir, "control/hosts/") && len(names) > 1 && p.w.faulty() && p.w.chance(0.3) {
			return append(names, "boot-999999.differs")
		}
	}
	return names
}
