package store

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
	"ostor/internal/patient"
)

// Limits.
const (
	MaxKeyBytes      = 3072
	MaxValueBytes    = 64 << 10 // of keys that reach the tree
	MaxVolatileBytes = 1 << 20  // of volatile keys
	MaxBatchBytes    = 8 << 20  // of one Update, encoded; a batch must also fit in a segment
)

// Owner is the right to write: a lease. All methods are safe for concurrent use.
type Owner interface {
	Generation() uint64
	Inherits() (prior uint64, ok bool) // the files of the prior generation may go on being written
	Check() error                      // nil while the right lasts; cheap; asked before each reply
	Fail(err error)                    // an I/O error: the right ends, and there is no release
}

// Options say where a store lies and how much it may use.
type Options struct {
	FS    fsbackend.FS
	Dir   string // service directory, e.g. services/0800000000000000
	Owner Owner

	SegmentBytes  int64 // of one log segment; 0 = LogBytes/8 rounded to 1 MiB, 16 MiB at most
	LogBytes      int64 // bound of the log since the last checkpoint, and so of recovery; 0 = 64 MiB
	MemtableBytes int64 // of one memtable, two may exist; 0 = 32 MiB
	CacheBytes    int64 // of tree pages; 0 = 64 MiB

	// Volatile says which keys live in the log and in memory only: they are never written to the tree. nil = none. It must be cheap, and always give the
	// same answer for a key.
	Volatile func(key []byte) bool

	// Sweep is called by each checkpoint before the tree is written, with the live volatile entries of the frozen memtable in key order (what was put and deleted in it
	// is left out), all of records up to lsn, all durable. When it returns nil, what they stand for is durable elsewhere; after the checkpoint they are gone from the
	// store. It may be called again with the same entries: when a checkpoint met a full file system, and after a crash. Keys and values may be kept, not
	// modified. fault.NoSpace is retried later; any other error fails the store.
	Sweep func(ctx context.Context, lsn uint64, entries iter.Seq2[[]byte, []byte]) error

	// Anew starts from nothing, for a store whose contents are made from elsewhere: what earlier generations left is neither read nor removed. The manifest is written by Adopt and
	// not before, so that what was only half made is never taken for a store: until then an Open of a later generation returns fault.Corrupt, unless it starts anew again.
	Anew bool

	Logger *slog.Logger // nil = slog.Default

	MaxDelay  time.Duration // of a group commit that waits for more writers; 0 = 6 ms, negative = none
	LazyDelay time.Duration // longest time that UpdateLazy's batches stay in memory; 0 = 50 ms
}

// EnsureDefaults sets what is zero.
func (o *Options) EnsureDefaults() {
	if o.LogBytes == 0 {
		o.LogBytes = 64 << 20
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = min(max(o.LogBytes/8&^(1<<20-1), 1<<20), 16<<20)
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 32 << 20
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Validate returns fault.Invalid when something is missing or impossible.
func (o *Options) Validate() error {
	switch {
	case o.FS == nil || o.Owner == nil || o.Dir == "":
		return fault.New(fault.Invalid, "store: FS, Dir and Owner are needed")
	case o.Owner.Generation() == 0:
		return fault.New(fault.Invalid, "store: the owner has no generation")
	case o.SegmentBytes < redolog.MinSegmentBytes || o.LogBytes < 0 || o.MemtableBytes < 0:
		return fault.New(fault.Invalid, "store: segments of %d bytes, log of %d, memtables of %d", o.SegmentBytes, o.LogBytes, o.MemtableBytes)
	}
	return nil
}

// Store is an open store. Safe for concurrent use.
type Store struct {
	opts  Options
	log   *slog.Logger
	redo  *redolog.Log
	tree  *btree.Tree
	home  uint64
	check func() error

	failure  atomic.Pointer[error] // why the store answers no more; nil = it does
	counters counters

	writer patient.Mutex // held by the Update that runs
	tx     Tx            // of that Update
	closed bool          // no more updates

	mu      sync.Mutex        // also the log's
	active  *memtable         // changed with writer held, too
	frozen  *memtable         // nil = no checkpoint runs; set with writer held, too, cleared without
	live    *treeRef          // the tree that active and frozen lie on
	cuts    []state           // states at the ends of groups that are not durable yet, oldest first; without frozen and tree
	sealed  []redolog.Segment // logs of older generations whose records are not in the tree yet
	changed chan struct{}     // closed and replaced when writers that wait should look again
	ckpt    checkpointer

	pub       sync.Mutex
	published state // what readers see
}

// volatile says whether key never reaches the tree.
func (s *Store) volatile(key []byte) bool { return s.opts.Volatile != nil && s.opts.Volatile(key) }

// SealedHome returns the generation whose directory this store writes: its own, or the one that it inherited. Owners of other files follow it.
func (s *Store) SealedHome() uint64 { return s.home }

// errClosed is the answer of a store that was closed.
var errClosed = fault.New(fault.Unavailable, "store: closed")

// fail ends the store for good.
func (s *Store) fail(err error) {
	kind := fault.Unavailable
	if errors.Is(err, fault.Stale) {
		kind = fault.Stale
	}
	wrapped := fault.Wrap(kind, err, "store: failed")
	if !s.failure.CompareAndSwap(nil, &wrapped) {
		return
	}
	s.opts.Owner.Fail(err)
	s.log.Error("store failed", "error", err)
	s.mu.Lock()
	s.signalLocked()
	s.mu.Unlock()
	s.ckpt.cancel()
}

// Err returns why the store answers no more, nil while it does.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// usable returns why no reply may be given now: the store failed, or ownership is lost (fault.Stale).
func (s *Store) usable() error {
	if err := s.Err(); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return fault.Wrap(fault.Stale, err, "store: not the owner")
	}
	return nil
}

// signalLocked wakes writers that wait for room and those who wait for a checkpoint.
func (s *Store) signalLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// onCut keeps the state at the end of a group. mu is held.
func (s *Store) onCut(last uint64) {
	st := state{lsn: last, epoch: s.active.epoch}
	if s.active.tree.Len() > 0 {
		st.active = s.active.tree.Copy()
	}
	s.cuts = append(s.cuts, st)
}

// onDurable publishes the state of a group that is durable. mu is held.
func (s *Store) onDurable(last uint64) {
	for len(s.cuts) > 0 && s.cuts[0].lsn <= last {
		st := s.cuts[0]
		s.cuts[0] = state{}
		s.cuts = s.cuts[1:]
		if s.frozen != nil && st.epoch != s.frozen.epoch {
			st.frozen = s.frozen.tree
		}
		s.publishLocked(st)
	}
	if len(s.cuts) == 0 {
		s.cuts = nil
	}
}

// publishLocked makes st, on the live tree, what readers see.
func (s *Store) publishLocked(st state) {
	st.tree = s.live
	st.tree.refs.Add(1)
	s.pub.Lock()
	old := s.published.tree
	s.published = st
	s.pub.Unlock()
	if old != nil {
		old.release()
	}
}

// Snapshot returns the newest durable state. Whoever replies from it must ask the owner's Check after that, as View does. Close it. After
// Close of the store every read of a snapshot returns fault.Unavailable.
func (s *Store) Snapshot() *Snapshot {
	s.pub.Lock()
	sn := &Snapshot{state: s.published}
	if sn.tree != nil {
		sn.tree.refs.Add(1)
	}
	s.pub.Unlock()
	return sn
}

// View calls fn with the newest durable state and returns its error. When ownership was lost meanwhile it returns fault.Stale instead: what
// fn saw may be old. The snapshot ends with fn.
func (s *Store) View(fn func(*Snapshot) error) error {
	if err := s.Err(); err != nil {
		return err
	}
	sn := s.Snapshot()
	defer sn.Close()
	if sn.tree == nil {
		return errClosed
	}
	err := fn(sn)
	s.counters.views.Add(1)
	if e := s.usable(); e != nil {
		return e
	}
	return err
}
