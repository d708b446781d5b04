package store

import (
	"context"
	"slices"

	"ostor/internal/fault"
)

// Update runs fn alone: it sees the newest state, durable or not, and its changes become one atomic batch. Keep fn short; it does no I/O of its own.
// Update returns nil once the batch is durable and the owner was checked after that.
//
// When fn returns an error nothing changes, and Update returns that error, but only when everything that fn could have read is durable. An fn
// without changes waits likewise. When ctx ends while waiting for durability, Update returns its error and the outcome is unknown: the batch still commits.
// It returns fault.NoSpace when the log is full because the file system is, fault.TooLarge and fault.Invalid for impossible changes, fault.Stale when
// ownership is lost, fault.Unavailable when the store has failed or is closed.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	lsn, verdict, err := s.run(ctx, fn, false)
	if err != nil {
		return err
	}
	if err := s.settle(ctx, lsn); err != nil {
		return err
	}
	return verdict
}

// UpdateLazy is Update for changes whose loss in a power cut does no harm: it does not wait for their durability, nor hurry it. They become durable with the next
// batch that somebody waits for, at the latest after Options.LazyDelay, and always before whatever is updated later. When fn returns an error, UpdateLazy waits as Update does.
func (s *Store) UpdateLazy(ctx context.Context, fn func(tx *Tx) error) error {
	lsn, verdict, err := s.run(ctx, fn, true)
	if err != nil {
		return err
	}
	if verdict == nil {
		return s.usable()
	}
	if err := s.settle(ctx, lsn); err != nil {
		return err
	}
	return verdict
}

// Submit is Update in two halves, for callers that give up their own locks in between: when it returns, fn has run and its changes have their place in the order of
// all batches; wait then does what is left of Update, and must be called. An error of fn is returned by wait; err is any other error, and then there is nothing to wait for.
func (s *Store) Submit(fn func(tx *Tx) error) (wait func(ctx context.Context) error, err error) {
	lsn, verdict, err := s.run(context.Background(), fn, false)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := s.settle(ctx, lsn); err != nil {
			return err
		}
		return verdict
	}, nil
}

// settle waits until lsn is durable and asks the owner.
func (s *Store) settle(ctx context.Context, lsn uint64) error {
	if err := s.redo.Wait(ctx, lsn); err != nil {
		if e := s.Err(); e != nil {
			return e
		}
		return err
	}
	return s.usable()
}

// run calls fn and appends its batch. lsn is the newest record that fn could have seen, its own included. verdict is what fn returned.
func (s *Store) run(ctx context.Context, fn func(tx *Tx) error, lazy bool) (lsn uint64, verdict, err error) {
	if err := s.usable(); err != nil {
		return 0, nil, err
	}
	if err := s.gate(ctx); err != nil {
		return 0, nil, err
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return 0, nil, errClosed
	}
	tx := &s.tx
	s.beginTx()
	defer s.endTx()
	s.counters.updates.Add(1)
	verdict = fn(tx)
	if verdict == nil {
		if tx.err != nil {
			return 0, nil, tx.err
		}
		if n := tx.PayloadBytes(); n > MaxBatchBytes {
			return 0, nil, fault.New(fault.TooLarge, "store: batch of %d bytes, the limit is %d", n, MaxBatchBytes)
		}
		if len(tx.ops) > 0 {
			lsn, err = s.commit(ctx, tx, lazy)
			return lsn, nil, err
		}
	}
	s.mu.Lock()
	lsn = s.redo.LastLocked()
	s.mu.Unlock()
	return lsn, verdict, nil
}

func (s *Store) beginTx() {
	tx := &s.tx
	tx.s, tx.active, tx.frozen = s, s.active.tree, nil
	s.mu.Lock()
	if s.frozen != nil {
		tx.frozen = s.frozen.tree
	}
	tx.tree = s.live
	tx.tree.refs.Add(1)
	s.mu.Unlock()
}

func (s *Store) endTx() {
	s.tx.tree.release()
	ops := s.tx.ops
	if cap(ops) > 256 {
		ops = nil
	}
	clear(ops)
	s.tx = Tx{ops: ops[:0]}
}

// commit appends the batch and applies it. writer is held.
func (s *Store) commit(ctx context.Context, tx *Tx, lazy bool) (lsn uint64, err error) {
	entries := slices.Clone(tx.ops)
	s.mu.Lock()
	defer s.mu.Unlock()
	for givesBack := tx.givesBack(); !s.roomLocked(tx.PayloadBytes(), givesBack); {
		if err := s.waitRoomLocked(ctx, givesBack); err != nil {
			return 0, err
		}
	}
	if lsn, err = s.redo.Append(tx, lazy); err != nil {
		if e := s.Err(); e != nil {
			return 0, e
		}
		return 0, err
	}
	for i := range entries {
		s.active.set(&entries[i])
	}
	s.active.last = lsn
	s.maybeFreezeLocked()
	return lsn, nil
}
