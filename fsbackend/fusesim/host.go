package fusesim

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ostor/fsbackend/faultfs"
)

// simHost is one mount.
type simHost struct {
	number    int
	sim       *sim
	intercept func(host int, op faultfs.Op, name string) syscall.Errno

	boot    atomic.Uint64 // counts power cuts: what was opened before the last one is stale. Changed with sim.gate held alone.
	off     atomic.Bool   // without power
	waiting atomic.Int32  // callers in wait

	mu     sync.Mutex // guards what follows
	cut    syscall.Errno
	frozen chan struct{} // closed by heal; nil = not frozen
	held   []heldOp      // issued and not landed, in order
	wake   chan struct{} // closed by release; what hangs by a rule waits for it
	lost   bool          // what hangs was dropped instead
	budget *budget       // nil = no limit
	files  map[*file]struct{}
}

// heldOp is an operation that lands late.
type heldOp struct {
	land func() syscall.Errno
}

// budget is what may still be written, by one host or by several.
type budget struct {
	mu   sync.Mutex
	left int64
}

// take takes up to n bytes.
func (b *budget) take(n int64) int64 {
	if b == nil {
		return n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.left)
	b.left -= n
	return n
}

func (h *simHost) spend(n int64) int64 {
	h.mu.Lock()
	b := h.budget
	h.mu.Unlock()
	return b.take(n)
}

// verdict is what a rule says about an operation.
type verdict struct {
	errno syscall.Errno
	land  string
	flip  int
	lie   bool
}

// ended reports whether the operation is over without a look at the file system.
func (v verdict) ended() bool { return v.errno != 0 && v.land != "whole" }

// enter waits and decides before an operation. late, if not nil, returns a copy of the operation that can land when the caller is gone. An errno other than 0 ends it.
func (h *simHost) enter(ctx context.Context, op faultfs.Op, late func() func() syscall.Errno, names ...string) (verdict, syscall.Errno) {
	if h.intercept != nil {
		if errno := h.intercept(h.number, op, names[0]); errno != fs.OK {
			return verdict{}, errno
		}
	}
	if h.off.Load() {
		return verdict{}, syscall.ENOTCONN
	}
	if h.sim.calm.Load() {
		return verdict{}, fs.OK
	}
	r := h.sim.fires(h.number, op, names)
	h.mu.Lock()
	cut, frozen := h.cut, h.frozen
	h.mu.Unlock()
	if cut != 0 {
		return verdict{}, cut
	}
	if frozen != nil {
		if errno := h.wait(ctx, frozen, late); errno != fs.OK {
			return verdict{}, errno
		}
	}
	if r == nil {
		return verdict{}, fs.OK
	}
	if r.DelayMS > 0 {
		time.Sleep(time.Duration(r.DelayMS) * time.Millisecond)
	}
	switch r.Stuck {
	case "hang":
		h.mu.Lock()
		if h.wake == nil {
			h.wake = make(chan struct{})
		}
		wake := h.wake
		h.mu.Unlock()
		errno := h.wait(ctx, wake, late)
		h.mu.Lock()
		if errno == fs.OK && h.lost {
			errno = syscall.EIO
		}
		h.mu.Unlock()
		return verdict{}, errno
	case "error":
		h.hold(late)
		return verdict{}, r.errno
	}
	v := verdict{errno: r.errno, land: r.Land, flip: r.Flip, lie: r.Lie}
	if v.errno != 0 && (v.land == "" || v.land == "none") {
		return verdict{}, v.errno
	}
	return v, fs.OK
}

// wait waits for the channel. A caller that is killed goes away, and what it issued stays on its way; other signals, which a Go program sends itself all the time, change nothing.
func (h *simHost) wait(ctx context.Context, until chan struct{}, late func() func() syscall.Errno) syscall.Errno {
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	interrupted := ctx.Done()
	var again <-chan time.Time
	for {
		select {
		case <-until:
			if h.off.Load() {
				return syscall.ENOTCONN
			}
			return fs.OK
		case <-interrupted:
			interrupted = nil // it tells once only
		case <-again:
		}
		if caller, ok := fuse.FromContext(ctx); !ok || killed(caller.Pid) {
			h.hold(late)
			return syscall.EINTR
		}
		again = time.After(killPoll)
	}
}

// killPoll is how often a waiting operation looks whether its interrupted caller is dying.
const killPoll = 20 * time.Millisecond

// killed reports whether a thread is gone or has SIGKILL pending: it waits for us to end.
func killed(tid uint32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(b)) {
		if mask, ok := strings.CutPrefix(line, "SigPnd:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err != nil || n&(1<<(uint(syscall.SIGKILL)-1)) != 0
		}
	}
	return true
}

func (h *simHost) hold(late func() func() syscall.Errno) {
	if late == nil {
		return
	}
	land := late()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, heldOp{land})
}

// release lets everything that is stuck land, in the order of issue, or forgets it, and returns how many operations these were.
func (h *simHost) release(drop bool) int {
	h.mu.Lock()
	held, wake := h.held, h.wake
	h.held, h.wake, h.lost = nil, nil, drop
	h.mu.Unlock()
	if !drop {
		for _, op := range held {
			_ = op.land() // nobody waits for it any more
		}
	}
	if wake != nil {
		close(wake)
	}
	return len(held)
}

// heal ends partition and freeze; what was issued meanwhile lands first. It returns how many operations that were.
func (h *simHost) heal() int {
	h.mu.Lock()
	held, frozen := h.held, h.frozen
	h.held, h.frozen, h.cut = nil, nil, 0
	h.mu.Unlock()
	for _, op := range held {
		_ = op.land()
	}
	if frozen != nil {
		close(frozen)
	}
	return len(held)
}

// run runs an operation that was begun with the given boot and returns nothing but its errno. late returns what lands when the caller is gone, and
// must use nothing that belongs to the request; nil for nothing.
func (h *simHost) run(ctx context.Context, boot uint64, op faultfs.Op, do func() syscall.Errno, late func() func() syscall.Errno, names ...string) syscall.Errno {
	v, errno := h.enter(ctx, op, late, names...)
	switch {
	case errno != fs.OK:
		return errno
	case v.lie && late != nil: // a lie about a descriptor cannot be told
		return fs.OK
	case v.ended():
		return v.errno
	}
	h.sim.gate.RLock()
	defer h.sim.gate.RUnlock()
	if errno := h.alive(boot); errno != fs.OK {
		return errno
	}
	if errno := do(); errno != fs.OK {
		return errno
	}
	return v.errno
}

// nothing is what lands late of a sync: who asked for it is gone.
func nothing() func() syscall.Errno { return func() syscall.Errno { return fs.OK } }

// later is the late form of an operation that needs no preparation.
func (s *sim) later(do func() syscall.Errno) func() func() syscall.Errno {
	return func() func() syscall.Errno { return func() syscall.Errno { return s.land(do) } }
}

// land does what was stuck.
func (s *sim) land(do func() syscall.Errno) syscall.Errno {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return do()
}

// alive refuses what was begun before a power cut. sim.gate must be held.
func (h *simHost) alive(boot uint64) syscall.Errno {
	switch {
	case h.off.Load():
		return syscall.ENOTCONN
	case h.boot.Load() != boot:
		return syscall.ESTALE
	}
	return fs.OK
}
