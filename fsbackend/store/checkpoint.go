package store

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"ostor/fsbackend/btree"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Checkpoints. Invariants:
//
//  1. Only a frozen memtable whose records are all durable is swept or written to the tree.
//  2. A log record is given up only when the root that contains it is durable and the owner was checked after that.
//  3. At most one memtable is frozen. While the active one is full too, writers wait.
//  4. A checkpoint that meets a full file system, or a damaged page of the tree, changes nothing that counts, and is tried again. What was logged stays in the log and in memory,
//     reads go on, and so do writes until both are full.

// checkpointer is the state of the checkpoint goroutine.
type checkpointer struct {
	kick   chan struct{} // capacity 1
	stop   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Guarded by Store.mu.
	stuck   error     // what the last try met: fault.NoSpace or fault.Corrupt; nil = nothing
	reserve bool      // the reserve is there (reserve.go)
	done    uint64    // epoch of the last memtable that reached the tree
	started time.Time // of the frozen memtable's first try; zero = none runs
}

// retryDelay is how long a checkpoint waits after it met a full file system.
const retryDelay = 200 * time.Millisecond

// damagedDelay is how long it waits after it met damage, which seldom passes.
const damagedDelay = 30 * time.Second

// stuckKind returns the kind of an error with which a checkpoint is tried again, Other for one that fails the store. The outermost kind counts: a sync that failed, for lack of space or not, is
// fault.Unavailable.
func stuckKind(err error) fault.Kind {
	if k := openKind(err); k == fault.NoSpace || k == fault.Corrupt {
		return k
	}
	return fault.Other
}

// freezeLocked hands the active memtable to the checkpointer. writer and mu are held, nothing is frozen, and the active one is not empty.
func (s *Store) freezeLocked() {
	s.frozen = s.active
	s.active = newMemtable(s.frozen.epoch + 1)
	s.ckpt.started = time.Now()
	s.ckpt.wake()
}

// maybeFreezeLocked freezes the active memtable when it, or the log, is large enough. writer and mu are held.
func (s *Store) maybeFreezeLocked() {
	if s.frozen != nil || s.active.last == 0 {
		return
	}
	if s.active.bytes >= s.opts.MemtableBytes || s.logBytesLocked() > s.opts.LogBytes/2 {
		s.freezeLocked()
	}
}

// logBytesLocked returns the bytes of log that a recovery would read.
func (s *Store) logBytesLocked() int64 {
	n := s.redo.UsedBytesLocked()
	for i := range s.sealed {
		n += s.sealed[i].End
	}
	return n
}

// gate makes writers wait, before they queue up for the writer lock, while both memtables are full.
func (s *Store) gate(ctx context.Context) error {
	s.mu.Lock()
	for s.frozen != nil && s.active.bytes >= s.opts.MemtableBytes && s.ckpt.stuck == nil && s.Err() == nil {
		s.counters.stalls.Add(1)
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return s.Err()
}

// roomLocked says whether a batch of n bytes may be appended now. A batch that gives space back may use what is in reserve: the last free
// segment, and more of memory. mu is held.
func (s *Store) roomLocked(n int, givesBack bool) bool {
	keep, limit := 1, s.opts.MemtableBytes
	if givesBack {
		keep, limit = 0, 2*s.opts.MemtableBytes
	}
	if s.ckpt.stuck != nil && s.active.bytes >= limit || !s.ckpt.reserve && !givesBack {
		return false
	}
	return s.redo.FitsLocked(n, keep)
}

// waitRoomLocked waits for a free log segment. writer and mu are held; mu is given up while it waits. It returns fault.NoSpace when a full file system is the reason that there is none.
func (s *Store) waitRoomLocked(ctx context.Context, givesBack bool) error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.frozen == nil && s.active.last != 0 {
		s.freezeLocked() // what it came from is what can be recycled
	}
	room, full := s.redo.RoomLocked()
	if err := s.ckpt.stuck; err != nil && (stuckKind(err) != fault.Corrupt || s.active.bytes >= s.opts.MemtableBytes || !s.redo.GrowsLocked()) {
		return fault.Wrap(stuckKind(err), err, "store: the log is full and cannot be emptied")
	}
	if !s.ckpt.reserve && !givesBack {
		return fault.New(fault.NoSpace, "store: the file system is full: only what gives space back is accepted")
	}
	if full != nil && s.frozen == nil {
		return fault.Wrap(fault.NoSpace, full, "store: the log is full")
	}
	s.counters.stalls.Add(1)
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-room:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (c *checkpointer) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// checkpointLoop is the checkpoint goroutine.
func (s *Store) checkpointLoop() {
	defer s.ckpt.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.ckpt.stop.Done():
			return
		case <-s.ckpt.kick:
		case <-timer.C:
		}
		err := s.checkpointOrReserve(s.ckpt.stop)
		s.mu.Lock()
		again := !s.ckpt.reserve
		s.ckpt.stuck = nil
		if stuckKind(err) != fault.Other {
			s.ckpt.stuck = err
		}
		s.signalLocked()
		s.mu.Unlock()
		switch {
		case err == nil && again:
			timer.Reset(retryDelay)
		case err == nil:
		case s.ckpt.stop.Err() != nil && (errors.Is(err, context.Canceled) || stuckKind(err) != fault.Other):
			return // given up, not failed: a write or sync that fails meanwhile still ends the store
		case stuckKind(err) == fault.NoSpace:
			s.log.Warn("checkpoint met a full file system; it will be tried again", logkey.Error, err)
			timer.Reset(retryDelay)
		case stuckKind(err) == fault.Corrupt:
			s.log.Error("checkpoint met a damaged page; it will be tried again, and until it succeeds the log grows", logkey.Error, err)
			timer.Reset(damagedDelay)
		default:
			s.fail(err)
			return
		}
	}
}

// checkpointOrReserve is checkpointFrozen, a second time with the space of the reserve where the file system is full. It brings the reserve back where it is missing.
func (s *Store) checkpointOrReserve(ctx context.Context) error {
	err := s.checkpointFrozen(ctx)
	if stuckKind(err) == fault.NoSpace {
		used, e := s.useReserve()
		if e != nil {
			return e
		}
		if used {
			err = s.checkpointFrozen(ctx)
		}
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	whole := s.ckpt.reserve
	s.mu.Unlock()
	if whole {
		return nil
	}
	return s.restoreReserve()
}

// checkpointFrozen brings the frozen memtable, if there is one, to the tree and recycles its log.
func (s *Store) checkpointFrozen(ctx context.Context) error {
	s.mu.Lock()
	m := s.frozen
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	start := time.Now()
	if err := s.redo.Wait(ctx, m.last); err != nil {
		return err
	}
	if s.opts.Sweep != nil {
		if err := s.opts.Sweep(ctx, m.last, m.liveVolatile()); err != nil {
			return fault.Wrap(fault.KindOf(err), err, "store: sweep up to LSN %d", m.last)
		}
	}
	if err := s.tree.Apply(ctx, m.last, m.treeChanges()); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "store: write the tree up to LSN %d", m.last)
	}
	if err := s.check(); err != nil {
		return err
	}
	s.switchTree(m)
	if err := s.redo.Recycle(m.last); err != nil {
		return err
	}
	if err := s.dropSealed(m.last); err != nil {
		return err
	}
	s.counters.checkpoints.Add(1)
	s.counters.checkpointNanos.Add(uint64(time.Since(start)))
	s.log.Debug("checkpoint", logkey.LSN, m.last, logkey.Count, m.tree.Len(), logkey.Duration, time.Since(start))
	return nil
}

// switchTree makes the tree that contains m what readers and writers look at, instead of m. It does not take the writer lock: the update that has it may be waiting for the room that this
// checkpoint makes, and sees through its Tx what it saw when it began.
func (s *Store) switchTree(m *memtable) {
	ref := s.newTreeRef()
	s.mu.Lock()
	old := s.live
	s.live, s.frozen = ref, nil
	s.ckpt.done, s.ckpt.started = m.epoch, time.Time{}
	s.pub.Lock()
	st := s.published
	s.pub.Unlock()
	if st.epoch <= m.epoch { // a copy of m itself, at its last record: the tree says the same
		st.active, st.epoch = nil, m.epoch+1
	}
	st.frozen = nil
	s.publishLocked(st)
	s.signalLocked()
	s.mu.Unlock()
	old.release()
}

// liveVolatile yields the volatile entries that were not deleted, in key order.
func (m *memtable) liveVolatile() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		m.tree.Scan(func(e *entry) bool { return !e.volatile || e.deleted || yield(e.key, e.value) })
	}
}

// treeChanges yields what is not volatile, in key order.
func (m *memtable) treeChanges() iter.Seq[btree.Change] {
	return func(yield func(btree.Change) bool) {
		m.tree.Scan(func(e *entry) bool {
			return e.volatile || yield(btree.Change{Key: e.key, Value: e.value, Delete: e.deleted})
		})
	}
}

// Checkpoint brings everything that was updated before the call to the tree. It returns fault.NoSpace when a full file system prevents that, fault.Corrupt when a damaged page does; it
// will be tried again by itself.
func (s *Store) Checkpoint(ctx context.Context) error {
	target, err := s.freeze(ctx)
	if err != nil {
		return err
	}
	return s.waitCheckpoint(ctx, target)
}

// freeze freezes the active memtable and returns the epoch that a checkpoint must reach to contain what was updated before the call.
func (s *Store) freeze(ctx context.Context) (epoch uint64, err error) {
	for {
		s.writer.Lock()
		s.mu.Lock()
		var before uint64
		switch {
		case s.active.last == 0 && s.frozen == nil:
			epoch = s.ckpt.done
		case s.active.last == 0:
			epoch = s.frozen.epoch
			s.ckpt.wake()
		case s.frozen == nil:
			s.freezeLocked()
			epoch = s.frozen.epoch
		default:
			before = s.frozen.epoch
			s.ckpt.wake()
		}
		s.mu.Unlock()
		s.writer.Unlock()
		if before == 0 {
			return epoch, nil
		}
		if err := s.waitCheckpoint(ctx, before); err != nil {
			return 0, err
		}
	}
}

// waitCheckpoint waits until the memtable of an epoch is in the tree, or a try failed.
func (s *Store) waitCheckpoint(ctx context.Context, epoch uint64) error {
	for {
		s.mu.Lock()
		done, stuck, changed := s.ckpt.done >= epoch, s.ckpt.stuck, s.changed
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case s.Err() != nil:
			return s.Err()
		case stuck != nil:
			return stuck
		}
		select {
		case <-changed:
		case <-s.ckpt.stop.Done():
			if err := s.Err(); err != nil {
				return err
			}
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
