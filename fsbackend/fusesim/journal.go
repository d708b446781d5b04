package fusesim

import (
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const sector = 512 // what a disk writes whole

// maxJournalBytes bounds what is held back for power cuts, over all files. What is older is taken as written: a crash may keep it anyway.
const maxJournalBytes = 256 << 20

// inode is a file that is open somewhere, or that a power cut would change. Its content is changed at once, seen by all, and what was there before is kept until
// a sync: a power cut puts it back.
type inode struct {
	sim  *sim
	key  inodeKey
	id   uint64
	refs int // handles, guarded by sim.mu

	mu      sync.Mutex // guards what follows, and orders changes
	c       content
	entries []entry // changes that no sync made durable, oldest first
	seq     uint64
	recent  []entry // overwrites that other hosts do not see yet
}

type changeKind uint8

const (
	didWrite changeKind = iota
	didTruncate
	didAllocate
)

// entry is one change of content and how to undo it.
type entry struct {
	kind changeKind
	host int
	seq  uint64
	off  int64
	end  int64  // of a truncation, the new size
	mode uint32 // of an allocation
	more int64  // of an allocation, its length
	size int64  // before
	old  []byte // what stood at off before, as far as the file reached
	at   time.Time
}

// before reads what a change of [off, end) replaces. in.mu must be held.
func (in *inode) before(off, end, size int64) ([]byte, error) {
	n := min(end, size) - off
	if n <= 0 {
		return nil, nil
	}
	if n > maxJournalBytes/4 {
		return nil, unix.EFBIG
	}
	b := make([]byte, n)
	return b, in.readFull(b, off)
}

// readFull reads zeroes past the end of the file.
func (in *inode) readFull(p []byte, off int64) error {
	n, err := in.c.ReadAt(p, off)
	clear(p[n:])
	if err == io.EOF {
		return nil
	}
	return err
}

// note begins a change: it remembers what is needed to undo it. in.mu must be held.
func (in *inode) note(e entry) (entry, error) {
	var err error
	if e.size, err = in.c.Size(); err != nil {
		return e, err
	}
	journal, stale := in.sim.opts.PowerCuts, in.sim.opts.StaleOverwrite > 0 && e.kind == didWrite
	if !journal && !stale {
		return e, nil
	}
	from, to := e.off, e.end
	if e.kind == didTruncate {
		from, to = e.end, e.size
	}
	e.off = from
	e.old, err = in.before(from, to, e.size)
	if err == unix.EFBIG { // too much to hold back: as if it had been synced
		in.settle(in.seq)
		return e, nil
	}
	if err != nil {
		return e, err
	}
	in.seq++
	e.seq, e.at = in.seq, time.Now()
	if stale && len(e.old) > 0 {
		in.recent = append(in.recent, e)
	}
	if journal {
		in.entries = append(in.entries, e)
		if in.sim.journal.Add(e.cost()) > maxJournalBytes {
			in.settle(in.entries[len(in.entries)/2].seq)
		}
	}
	return e, nil
}

func (e entry) cost() int64 { return int64(len(e.old)) + 100 }

// settle makes the changes up to seq durable. in.mu must be held.
func (in *inode) settle(seq uint64) {
	i := 0
	for i < len(in.entries) && in.entries[i].seq <= seq {
		in.sim.journal.Add(-in.entries[i].cost())
		i++
	}
	in.entries = slices.Delete(in.entries, 0, i)
}

// write writes at off, or at the end for off < 0, and returns where it began.
func (in *inode) write(host int, p []byte, off int64) (int64, syscall.Errno) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if off < 0 {
		var err error
		if off, err = in.c.Size(); err != nil {
			return 0, errnoFrom(err)
		}
	}
	if _, err := in.note(entry{kind: didWrite, host: host, off: off, end: off + int64(len(p))}); err != nil {
		return off, errnoFrom(err)
	}
	_, err := in.c.WriteAt(p, off)
	return off, errnoFrom(err)
}

func (in *inode) truncate(host int, size int64) syscall.Errno {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, err := in.note(entry{kind: didTruncate, host: host, end: size}); err != nil {
		return errnoFrom(err)
	}
	return errnoFrom(in.c.Truncate(size))
}

func (in *inode) allocate(host int, mode uint32, off, length int64) syscall.Errno {
	in.mu.Lock()
	defer in.mu.Unlock()
	e := entry{kind: didAllocate, host: host, off: off, end: off + length, mode: mode, more: length}
	if mode&^unix.FALLOC_FL_KEEP_SIZE == 0 {
		e.end = off // it changes no byte that is there
	}
	if _, err := in.note(e); err != nil {
		return errnoFrom(err)
	}
	return errnoFrom(in.c.Allocate(mode, off, length))
}

// read reads what the host sees: its own writes and, of the overwrites of others, those that have reached it.
func (in *inode) read(host int, p []byte, off int64) (int, syscall.Errno) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, err := in.c.ReadAt(p, off)
	if n < len(p) && err != nil && err != io.EOF {
		return 0, errnoFrom(err)
	}
	if len(in.recent) > 0 {
		in.recent = slices.DeleteFunc(in.recent, func(e entry) bool { return time.Since(e.at) > in.sim.opts.StaleOverwrite })
		for _, e := range slices.Backward(in.recent) {
			if from, to := max(off, e.off), min(off+int64(n), e.off+int64(len(e.old))); e.host != host && from < to {
				copy(p[from-off:to-off], e.old[from-e.off:])
			}
		}
	}
	return n, 0
}

// sync makes everything that was written before the call durable.
func (in *inode) sync(dataOnly bool) syscall.Errno {
	in.mu.Lock()
	seq, c := in.seq, in.c
	in.mu.Unlock()
	if !in.sim.opts.FastSync {
		if err := c.Sync(dataOnly); err != nil {
			return errnoFrom(err)
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.settle(seq)
	return 0
}

// Keep says what of the changes that were not synced a power cut keeps.
type Keep string

// The kinds of power cuts.
const (
	KeepNothing    Keep = "nothing"
	KeepEverything Keep = "everything"
	KeepSome       Keep = "some" // a subset that the seed picks, writes torn at 512 bytes
)

// revert loses power: the changes of the hosts that failed are taken back as keep says. It returns how many changes were lost, in whole or in part.
// sim.gate must be held alone.
func (in *inode) revert(failed func(host int) bool, keep Keep, rnd *rand.Rand) (lost int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !slices.ContainsFunc(in.entries, func(e entry) bool { return failed(e.host) }) {
		return 0, nil
	}
	entries, written := slices.Clone(in.entries), make([][]byte, len(in.entries))
	for i, e := range slices.Backward(entries) {
		if e.kind == didWrite {
			written[i] = make([]byte, e.end-e.off)
			if err := in.readFull(written[i], e.off); err != nil {
				return lost, err
			}
		}
		if err := in.undo(e); err != nil {
			return lost, err
		}
	}
	in.settle(in.seq)
	in.recent = nil
	for i, e := range entries {
		kept, torn := true, false
		if failed(e.host) {
			switch keep {
			case KeepNothing:
				kept = false
			case KeepSome:
				fate := rnd.IntN(3)
				kept, torn = fate > 0, fate == 2 && e.kind == didWrite
			}
		}
		if !kept || torn {
			lost++
		}
		if !kept {
			continue
		}
		if err := in.redo(e, written[i], torn, rnd); err != nil {
			return lost, err
		}
	}
	in.settleOf(failed)
	return lost, nil
}

// settleOf takes what is left of the failed hosts as durable: it is what their disks hold. in.mu must be held.
func (in *inode) settleOf(failed func(host int) bool) {
	in.entries = slices.DeleteFunc(in.entries, func(e entry) bool {
		if failed(e.host) {
			in.sim.journal.Add(-e.cost())
			return true
		}
		return false
	})
}

func (in *inode) undo(e entry) error {
	if len(e.old) > 0 {
		if _, err := in.c.WriteAt(e.old, e.off); err != nil {
			return err
		}
	}
	return in.c.Truncate(e.size)
}

// redo does a change once more, of a torn write only some sectors.
func (in *inode) redo(e entry, written []byte, torn bool, rnd *rand.Rand) error {
	again := entry{kind: e.kind, host: e.host, off: e.off, end: e.end, mode: e.mode, more: e.more}
	if _, err := in.note(again); err != nil {
		return err
	}
	switch {
	case e.kind == didTruncate:
		return in.c.Truncate(e.end)
	case e.kind == didAllocate:
		return in.c.Allocate(e.mode, e.off, e.more)
	case !torn:
		_, err := in.c.WriteAt(written, e.off)
		return err
	}
	for at := e.off; at < e.end; {
		to := min(e.end, (at/sector+1)*sector)
		if rnd.IntN(2) == 0 {
			if _, err := in.c.WriteAt(written[at-e.off:to-e.off], at); err != nil {
				return err
			}
		}
		at = to
	}
	return nil
}
