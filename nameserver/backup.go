package nameserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// BackupReport counts what is in a backup.
type BackupReport struct {
	BackupHeader
	Entries int64
	Bytes   int64 // of keys and values
}

// Backup writes everything that the server keeps, as of one durable state, to w. Other calls may run meanwhile; the state is held until it ends. service is the server's own id. A
// backup is whole when Backup returned nil and w's bytes are durable, which is the caller's to see to.
func (s *Server) Backup(ctx context.Context, service cluster.ServiceID, w io.Writer) (r BackupReport, err error) {
	r.BackupHeader = BackupHeader{Service: service, Generation: s.generation, CreatedMs: s.now()}
	err = s.view(func(snap *store.Snapshot) error {
		bw, err := newBackupWriter(w, r.BackupHeader)
		if err != nil {
			return err
		}
		it := snap.Iter([]byte{0}, nil)
		defer it.Close()
		for ; it.Next(); r.Entries++ {
			if r.Entries%checkLinksEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := bw.add(it.Key(), it.Value()); err != nil {
				return err
			}
		}
		r.Bytes = int64(bw.bytes)
		if err := it.Err(); err != nil {
			return err
		}
		return bw.close()
	})
	if err != nil {
		return r, fmt.Errorf("nameserver: backup: %w", err)
	}
	return r, nil
}

const (
	restoreBatchBytes   = 512 << 10
	restoreBatchEntries = 1000
)

// Restore replaces everything that the name server in opts.Dir keeps by a backup. open returns the backup's bytes from the beginning: it is called twice, since nothing is changed before all of the
// backup has been verified. The server must not be open. The owner's generation must be later than the backup's: versions are ordered by it.
//
// While a restore is under way a mark in the store makes Open refuse: after a crash, restore again. Everything that was named after the backup is gone; so are the bytes of what was
// deleted after it.
func Restore(ctx context.Context, opts Options, service cluster.ServiceID, open func() (io.ReadCloser, error)) (r BackupReport, err error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return r, err
	}
	err = readBackupOf(open, func(k, v []byte) error {
		r.Entries++
		r.Bytes += int64(len(k) + len(v))
		if k[0] == tagRestore {
			return fault.New(fault.Corrupt, "the backup is of a restore that was not ended")
		}
		return ctx.Err()
	}, &r.BackupHeader)
	if err != nil {
		return r, fmt.Errorf("nameserver: restore: %w", err)
	}
	switch {
	case r.Service != service:
		return r, fault.New(fault.Invalid, "nameserver: restore: the backup is of name server %s, not %s", r.Service, service)
	case r.Generation >= opts.Owner.Generation():
		return r, fault.New(fault.Stale, "nameserver: restore: the backup is of generation %d, the owner's is %d", r.Generation, opts.Owner.Generation())
	}
	st, err := store.Open(ctx, store.Options{FS: opts.FS, Dir: opts.Dir, Owner: opts.Owner, SegmentBytes: opts.SegmentBytes, LogBytes: opts.LogBytes,
		MemtableBytes: opts.MemtableBytes, CacheBytes: opts.CacheBytes, Logger: opts.Logger})
	if err != nil {
		return r, fmt.Errorf("nameserver: restore: %w", err)
	}
	err = replaceAll(ctx, st, open)
	if cerr := st.Close(context.WithoutCancel(ctx)); err == nil {
		err = cerr
	}
	if err != nil {
		return r, fmt.Errorf("nameserver: restore: %w", err)
	}
	return r, nil
}

func readBackupOf(open func() (io.ReadCloser, error), fn func(k, v []byte) error, h *BackupHeader) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := ReadBackup(f, fn)
	if h != nil {
		*h = got
	}
	return err
}

// replaceAll sets the mark, empties the store, fills it, and takes the mark away.
func replaceAll(ctx context.Context, st *store.Store, open func() (io.ReadCloser, error)) error {
	mark := []byte{tagRestore}
	if err := st.Update(ctx, func(tx *store.Tx) error { tx.Put(mark, []byte{formatRestore}); return nil }); err != nil {
		return err
	}
	for more := true; more; {
		err := st.Update(ctx, func(tx *store.Tx) error {
			tx.Frees()
			it := tx.Iter([]byte{0}, nil)
			defer it.Close()
			n := 0
			for more = false; it.Next(); n++ {
				if n == restoreBatchEntries {
					more = true
					break
				}
				if k := bytes.Clone(it.Key()); !bytes.Equal(k, mark) {
					tx.Delete(k)
				}
			}
			return it.Err()
		})
		if err != nil {
			return err
		}
	}
	var keys, values [][]byte
	size := 0
	flush := func() error {
		ks, vs := keys, values
		keys, values, size = nil, nil, 0
		return st.Update(ctx, func(tx *store.Tx) error {
			for i := range ks {
				tx.Put(ks[i], vs[i])
			}
			return nil
		})
	}
	err := readBackupOf(open, func(k, v []byte) error {
		keys, values = append(keys, bytes.Clone(k)), append(values, append([]byte{}, v...))
		if size += len(k) + len(v); size >= restoreBatchBytes || len(keys) >= restoreBatchEntries {
			return flush()
		}
		return nil
	}, nil)
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return st.Update(ctx, func(tx *store.Tx) error { tx.Delete(mark); return nil })
}

// checkRestored returns fault.Unavailable when a restore was begun and not ended.
func checkRestored(r reader) error {
	_, marked, err := r.Get([]byte{tagRestore})
	if err == nil && marked {
		err = fault.New(fault.Unavailable, "a restore of this name server was not ended: restore it again")
	}
	return err
}

// Created returns when the backup was made.
func (h BackupHeader) Created() time.Time { return time.UnixMilli(h.CreatedMs).UTC() }
