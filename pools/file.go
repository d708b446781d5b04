package pools

import (
	"errors"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// file is one pool file and the busy set of its blocks.
type file struct {
	id       FileID
	name     string
	geo      Geometry
	writable bool  // in the home generation and whole
	damage   error // not nil: it is missing or another's, and none of its blocks can be read
	head     error // not nil: its system block is damaged; it is never written

	mu      sync.Mutex
	h       fsbackend.File // nil until first used
	busy    []uint64       // one bit per block
	free    uint32         // bits of busy that are 0
	low     int            // no free block below word low
	retired bool           // none becomes busy any more
	idle    int            // passes of Idle that found the file empty
	closed  []uint64       // one bit per block: not to be reserved, its region is being emptied; nil = none

	dirty []uint64 // one bit per region of a writable file: it may have space in the file system

	sync groupSync
}

func newFile(id FileID, name string, geo Geometry) *file {
	n := geo.Blocks()
	f := &file{id: id, name: name, geo: geo, busy: make([]uint64, (n+63)/64), free: n, dirty: make([]uint64, (geo.Regions+63)/64)}
	if n%64 != 0 {
		f.busy[len(f.busy)-1] = ^uint64(0) << (n % 64) // what is no block is never free
	}
	return f
}

// reserve makes the lowest free block busy. ok is false when there is none.
func (f *file) reserve() (block uint32, ok bool) { return f.reserveBelow(f.geo.Blocks()) }

// reserveBelow is reserve for blocks with numbers below limit.
func (f *file) reserveBelow(limit uint32) (block uint32, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free == 0 || f.retired {
		return 0, false
	}
	for ; f.low < len(f.busy); f.low++ { // what is closed counts as busy until Undrain sets low back
		w := f.busy[f.low]
		if f.closed != nil {
			w |= f.closed[f.low]
		}
		if w != ^uint64(0) {
			i := bits.TrailingZeros64(^w)
			if block = uint32(f.low*64 + i); block >= limit {
				return 0, false
			}
			f.busy[f.low] |= 1 << i
			f.free--
			f.idle = 0
			region := block / f.geo.BlocksPerRegion
			f.dirty[region/64] |= 1 << (region % 64)
			return block, true
		}
	}
	return 0, false
}

// mark makes a block busy that the tree says is in use. It reports whether it was free.
func (f *file) mark(block uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if block >= f.geo.Blocks() || f.busy[block/64]>>(block%64)&1 != 0 {
		return false
	}
	f.busy[block/64] |= 1 << (block % 64)
	f.free--
	return true
}

// unmark makes a busy block free. It reports whether it was busy.
func (f *file) unmark(block uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if block >= f.geo.Blocks() || f.busy[block/64]>>(block%64)&1 == 0 {
		return false
	}
	f.busy[block/64] &^= 1 << (block % 64)
	f.free++
	f.low = min(f.low, int(block/64))
	return true
}

func (f *file) isBusy(block uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return block < f.geo.Blocks() && f.busy[block/64]>>(block%64)&1 != 0
}

func (f *file) freeBlocks() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.free
}

func (f *file) busyBlocks() uint32 { return f.geo.Blocks() - f.freeBlocks() }

// handle returns the open file. A file of the home generation is opened for writing.
func (f *file) handle(fs fsbackend.FS) (fsbackend.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h != nil {
		return f.h, nil
	}
	if f.damage != nil {
		return nil, f.damage
	}
	open := fs.OpenRead
	if f.writable {
		open = fs.Open
	}
	h, err := open(f.name)
	if err != nil {
		return nil, err
	}
	f.h = h
	return h, nil
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h == nil {
		return nil
	}
	h := f.h
	f.h = nil
	return h.Close()
}

// groupSync lets callers that need a file durable at the same time share one Datasync.
type groupSync struct {
	mu      sync.Mutex
	done    *sync.Cond
	started uint64 // syncs begun
	ended   uint64 // syncs ended: those up to this number
	running bool
	err     error // of the first that failed: it stays
}

// do returns once a Datasync that began after the call of do has ended. A failed one is never tried again.
func (g *groupSync) do(datasync func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done == nil {
		g.done = sync.NewCond(&g.mu)
	}
	for want := g.started + 1; g.ended < want && g.err == nil; {
		if g.running {
			g.done.Wait()
			continue
		}
		g.running = true
		g.started++
		n := g.started
		g.mu.Unlock()
		err := datasync()
		g.mu.Lock()
		g.running, g.ended = false, n
		if err != nil {
			g.err = err
		}
		g.done.Broadcast()
	}
	return g.err
}

// noSpace reports whether err says that the file system or a quota is full.
func noSpace(err error) bool {
	return errors.Is(err, fault.NoSpace) || errors.Is(err, errENOSPC) || errors.Is(err, errEDQUOT)
}

// readFull reads len(b) bytes. short is true when the file ends before.
func readFull(h fsbackend.File, b []byte, off int64) (short bool, err error) {
	n, err := h.ReadAt(b, off)
	switch {
	case n == len(b):
		return false, nil
	case err == nil, errors.Is(err, io.EOF):
		return true, nil
	}
	return false, err
}

type counters struct {
	preads, pwrites, datasyncs, sweeps atomic.Int64
	readBytes, writtenBytes            atomic.Int64
	filesMade, filesUnlinked, punched  atomic.Int64
}
