package lease

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock tells the time since a fixed moment of the past. It must count suspension, and must not be set.
type Clock interface{ Now() time.Duration }

// latester is a Clock that can say more cheaply at most how late it is: never less than what Now would have said before the call.
type latester interface{ Latest() time.Duration }

// bootClock is CLOCK_BOOTTIME (clock_gettime(2)). Go's own monotonic time stands still while the machine is suspended.
//
// A read of it is a system call, a microsecond on some virtual machines, and each reply asks for one: Latest goes without (docs/decisions/0010-cheap-deadline-checks.md). The time of day and the monotonic
// time are read without a system call. A suspension moves the first and not the second, by the same steps of the kernel that move CLOCK_BOOTTIME (timekeeping_resume): as long as both have moved by the same
// since the last read of CLOCK_BOOTTIME, it has, too. When they have not (a suspension, or somebody set the time of day), or that read is anchorLasts old, it is read again.
type bootClock struct {
	read   func() (day, monotonic time.Duration)
	boot   func() time.Duration
	anchor atomic.Pointer[anchor]
}

// anchor is one reading of all three, that of boot time last.
type anchor struct{ day, monotonic, boot time.Duration }

const (
	// anchorLasts bounds how long a suspension could be hidden by somebody who sets the time of day back by just as much: to both within this time.
	anchorLasts = 50 * time.Millisecond
	// anchorSlack is what the two may differ by; it is added to what Latest says.
	anchorSlack = time.Millisecond
)

func newBootClock() *bootClock {
	base := time.Now()
	return &bootClock{boot: bootTime, read: func() (day, monotonic time.Duration) {
		now := time.Now()
		return time.Duration(now.UnixNano()), now.Sub(base)
	}}
}

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("lease: clock_gettime(CLOCK_BOOTTIME): %v", err)) // since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Now implements Clock, exactly.
func (c *bootClock) Now() time.Duration { return c.boot() }

// Latest returns a time that is not before now, and at most anchorSlack and the time of a read after it.
func (c *bootClock) Latest() time.Duration {
	day, monotonic := c.read()
	if a := c.anchor.Load(); a != nil {
		passed := monotonic - a.monotonic
		if off := day - a.day - passed; passed >= 0 && passed < anchorLasts && off > -anchorSlack && off < anchorSlack {
			return a.boot + passed + anchorSlack
		}
	}
	now := c.boot()
	c.anchor.Store(&anchor{day, monotonic, now})
	return now + anchorSlack
}
