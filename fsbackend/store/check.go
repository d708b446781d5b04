package store

import (
	"bytes"
	"context"
	"fmt"

	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
)

// Check verifies every invariant of the store: the tree with all its pages, that all layers are ordered and within their limits, that no volatile key is in the
// tree, and the log's bookkeeping. It may run beside everything else. It returns fault.Corrupt for damage on disk and fault.Internal for a broken
// invariant of memory.
func (s *Store) Check(ctx context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	sn := s.Snapshot()
	defer sn.Close()
	if sn.tree == nil {
		return errClosed
	}
	if err := s.tree.Check(ctx); err != nil {
		return fmt.Errorf("store: check: %w", err)
	}
	if err := s.checkSnapshot(ctx, sn); err != nil {
		return err
	}
	return s.checkMemory()
}

func (s *Store) checkSnapshot(ctx context.Context, sn *Snapshot) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Internal, "store: check: "+format, args...)
	}
	var last []byte
	cursor := sn.tree.snap.Cursor()
	for ok := cursor.Seek(nil); ok; ok = cursor.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := cursor.Key()
		if last != nil && bytes.Compare(last, k) >= 0 || len(k) == 0 || len(k) > MaxKeyBytes || len(cursor.Value()) > MaxValueBytes || s.volatile(k) {
			return bad("tree has key %q with %d bytes of value behind %q", k, len(cursor.Value()), last)
		}
		last = append(last[:0], k...)
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("store: check: %w", err)
	}
	for _, t := range [...]*memTree{sn.active, sn.frozen} {
		if t == nil {
			continue
		}
		var prev *entry
		var err error
		t.Scan(func(e *entry) bool {
			if prev != nil && bytes.Compare(prev.key, e.key) >= 0 || len(e.key) == 0 || len(e.key) > MaxKeyBytes || e.volatile != s.volatile(e.key) {
				err = bad("memtable entry %q", e.key)
			}
			prev = e
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	it := sn.Iter(nil, nil)
	defer it.Close()
	last = last[:0]
	for n := 0; it.Next(); n++ {
		if n > 0 && bytes.Compare(last, it.Key()) >= 0 {
			return bad("iterator shows %q behind %q", it.Key(), last)
		}
		last = append(last[:0], it.Key()...)
	}
	return it.Err()
}

// checkMemory compares the books of the memtables with what is in them.
func (s *Store) checkMemory() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := func(format string, args ...any) error {
		return fault.New(fault.Internal, "store: check: "+format, args...)
	}
	for _, m := range [...]*memtable{s.active, s.frozen} {
		if m == nil {
			continue
		}
		var n int64
		m.tree.Scan(func(e *entry) bool { n += e.bytes(); return true })
		if n != m.bytes {
			return bad("memtable has %d bytes, books say %d", n, m.bytes)
		}
		if m.last > s.redo.LastLocked() || (m.tree.Len() > 0) != (m.last > 0) {
			return bad("memtable with %d entries ends at LSN %d, the log at %d", m.tree.Len(), m.last, s.redo.LastLocked())
		}
	}
	s.pub.Lock()
	lsn := s.published.lsn
	s.pub.Unlock()
	if lsn != s.redo.Durable() {
		return bad("readers see LSN %d, durable is %d", lsn, s.redo.Durable())
	}
	if root := s.tree.Root(); root.LSN > s.redo.Durable() {
		return bad("root is at LSN %d, durable is %d", root.LSN, s.redo.Durable())
	}
	return nil
}

// DumpBatch calls fn for each change of a log record's payload, for inspection: value is nil for a removed key. It returns fault.Corrupt for a payload that is no batch.
func DumpBatch(r *redolog.Record, fn func(key, value []byte, deleted bool)) error {
	ops, err := decodeBatch(r.Payload)
	if err != nil {
		return fault.Wrap(fault.Corrupt, err, "record of LSN %d", r.LSN)
	}
	for i := range ops {
		fn(ops[i].key, ops[i].value, ops[i].deleted)
	}
	return nil
}
