package nameserver

import (
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Limits of ApplyRecords.
const (
	maxRecordChanges    = 1000
	maxRecordBatchBytes = 1 << 20
)

func checkRecordName(name string) error {
	if len(name) == 0 || len(name) > cluster.MaxKeyBytes {
		return fault.New(fault.Invalid, "record name of %d bytes: want 1 to %d", len(name), cluster.MaxKeyBytes)
	}
	return nil
}

// GetRecord implements [cluster.NameServer].
func (s *Server) GetRecord(_ context.Context, name string) (r cluster.Record, err error) {
	if err := checkRecordName(name); err != nil {
		return r, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		v, ok, err := snap.Get(stringKey(tagRecord, name))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "no record %q", name)
		}
		r, err = decodeRecord(v, name)
		return err
	})
	return r, err
}

// ListRecords implements [cluster.NameServer].
func (s *Server) ListRecords(ctx context.Context, prefix, after string, limit int) (records []cluster.Record, more bool, err error) {
	if limit, err = checkLimit(limit); err != nil {
		return nil, false, err
	}
	if err := checkNames(prefix, after); err != nil {
		return nil, false, err
	}
	lo := stringKey(tagRecord, prefix)
	hi := successor(lo)
	if after >= prefix && after != "" {
		lo = append(stringKey(tagRecord, after), 0)
	}
	if string(lo) >= string(hi) {
		return nil, false, nil
	}
	err = s.view(func(snap *store.Snapshot) error {
		it := snap.Iter(lo, hi)
		defer it.Close()
		for size := 0; it.Next(); size += len(it.Key()) + len(it.Value()) {
			if len(records) == limit || size > maxPageBytes {
				more = true
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := decodeRecord(it.Value(), string(it.Key()[1:]))
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		return it.Err()
	})
	if err != nil {
		return nil, false, err
	}
	return records, more, nil
}

// ApplyRecords implements [cluster.NameServer]. A name may come once; at most 1000 changes of together 1 MiB.
func (s *Server) ApplyRecords(ctx context.Context, changes []cluster.RecordChange) error {
	if len(changes) > maxRecordChanges {
		return fault.New(fault.TooLarge, "%d changes of records: at most %d", len(changes), maxRecordChanges)
	}
	seen, size := make(map[string]bool, len(changes)), 0
	for i := range changes {
		c := &changes[i]
		if err := checkRecordName(c.Name); err != nil {
			return err
		}
		if seen[c.Name] {
			return fault.New(fault.Invalid, "record %q is changed twice", c.Name)
		}
		seen[c.Name] = true
		size += len(c.Name) + len(c.Value)
		if len(c.Value) > MaxEntryBytes || size > maxRecordBatchBytes {
			return fault.New(fault.TooLarge, "record %q: a value has at most %d bytes, all changes %d", c.Name, MaxEntryBytes, maxRecordBatchBytes)
		}
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		for i := range changes {
			c := &changes[i]
			key := stringKey(tagRecord, c.Name)
			v, ok, err := tx.Get(key)
			if err != nil {
				return err
			}
			var old cluster.Epoch
			if ok {
				r, err := decodeRecord(v, c.Name)
				if err != nil {
					return err
				}
				old = r.Epoch
			}
			if c.Expect != cluster.AnyEpoch && c.Expect != old {
				return fault.New(fault.Precondition, "record %q has epoch %d, not %d", c.Name, old, c.Expect)
			}
			switch {
			case c.Value != nil:
				tx.Put(key, newRecord(old+1, c.Value))
			case ok:
				tx.Delete(key)
			}
		}
		return nil
	})
}
