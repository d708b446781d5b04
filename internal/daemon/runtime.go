package daemon

import (
	"math"
	"os"
	"runtime/debug"
)

// TuneHeap sets the collector to run rarely while the heap is small (decision 0007) and to hold the soft limit of the configuration: a server allocates little per request, so a
// heap of some tens of MiB between collections costs memory that the limit allows and saves CPU. GOGC and GOMEMLIMIT win when they are set.
func (c *Config) TuneHeap() {
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(math.MaxInt64)
		if c.Memory > 0 {
			limit = c.Memory << 20
		}
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}
