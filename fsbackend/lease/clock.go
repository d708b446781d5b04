package lease

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Clock tells the time since a fixed moment of the past. It must count suspension, and must not be set.
type Clock interface{ Now() time.Duration }

// bootClock is CLOCK_BOOTTIME (clock_gettime(2)). Go's own monotonic time stands still while the machine is suspended.
type bootClock struct{}

func (bootClock) Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("lease: clock_gettime(CLOCK_BOOTTIME): %v", err)) // since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}
