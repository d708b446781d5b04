package store

import (
	"errors"
	"sync/atomic"
	"time"

	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
)

type counters struct {
	updates, views, stalls, checkpoints, checkpointNanos, steps atomic.Uint64
}

// Stats are counts since Open, and the present state.
type Stats struct {
	Updates         uint64
	Views           uint64
	Steps           uint64        // entries that walks stood on or passed, deleted ones too, and their seeks: far more than what was listed tells of long rows of deleted keys
	Stalls          uint64        // times that a writer waited for room
	Checkpoints     uint64        // completed
	CheckpointTime  time.Duration // spent on them
	MemtableBytes   int64         // of the active memtable
	MemtableEntries int
	FrozenBytes     int64         // of the one that is being written to the tree; 0 = none
	FrozenFor       time.Duration // since it was frozen: a checkpoint that is stuck shows here; 0 = none
	NoSpace         bool          // the last checkpoint met a full file system, and is tried again
	Damaged         bool          // the last checkpoint met a damaged page, and is tried again
	Reserve         bool          // the reserve for checkpoints is there; if not, only what gives space back is accepted
	LogBytes        int64         // that a recovery would read
	RootLSN         uint64        // up to which the tree holds everything
	Failed          bool
	Log             redolog.Stats
	Tree            btree.Stats
}

// Stats returns counts and state.
func (s *Store) Stats() Stats {
	c := &s.counters
	st := Stats{Updates: c.updates.Load(), Views: c.views.Load(), Steps: c.steps.Load(), Stalls: c.stalls.Load(), Checkpoints: c.checkpoints.Load(), CheckpointTime: time.Duration(c.checkpointNanos.Load()),
		RootLSN: s.tree.Root().LSN, Failed: s.Err() != nil, Log: s.redo.Stats(), Tree: s.tree.Stats()}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Damaged = errors.Is(s.ckpt.stuck, fault.Corrupt)
	st.MemtableBytes, st.MemtableEntries, st.NoSpace, st.Reserve, st.LogBytes = s.active.bytes, s.active.tree.Len(), errors.Is(s.ckpt.stuck, fault.NoSpace), s.ckpt.reserve, s.logBytesLocked()
	if s.frozen != nil {
		st.FrozenBytes, st.FrozenFor = s.frozen.bytes, time.Since(s.ckpt.started)
	}
	return st
}
