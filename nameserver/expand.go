package nameserver

import (
	"bytes"
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	expandBatch  = 512 // records per transaction
	expandChunks = 8   // chunks of part tables per transaction
	expandPage   = 64  // entries of the queue looked at in one go
)

// expandDue replaces entries that stand for many links, a table, an ended upload or a sealed bucket, by entries of the links. Each step is one batch that removes the
// records and queues their links, so it goes on where it stopped, also after a restart.
func (s *Server) expandDue(ctx context.Context) (n int, err error) {
	for {
		var due []queued
		err := s.view(func(snap *store.Snapshot) (err error) {
			due, err = s.dueOf(snap, 0, expandPage)
			return err
		})
		if err != nil || len(due) == 0 {
			return n, err
		}
		for i := range due {
			q := &due[i]
			switch q.kind {
			case garbageTable:
				err = s.expandTable(ctx, q)
			case garbageUpload:
				err = s.expandUpload(ctx, q)
			case garbageBucket:
				err = s.expandBucket(ctx, q)
			default:
				err = fault.New(fault.Corrupt, "entry of kind %d in the queue of many links", q.kind)
			}
			if err != nil {
				return n, err
			}
			n++
		}
	}
}

// spare drops an entry whose subject is in use.
func (s *Server) spare(tx *store.Tx, q *queued) {
	s.counters.spared.Add(1)
	s.log.Error("queued record is in use and kept", logkey.Bucket, q.bucket.String(), logkey.Object, cluster.ObjectID(q.id).String())
	tx.Delete(q.qkey)
}

// repeat runs one step after the other, each in a batch of its own, until it is done.
func (s *Server) repeat(ctx context.Context, step func(tx *store.Tx) (done bool, err error)) error {
	for done := false; !done; {
		err := s.store.Update(ctx, func(tx *store.Tx) (err error) {
			tx.Frees()
			done, err = step(tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) expandTable(ctx context.Context, q *queued) error {
	prefix := tablePrefix(q.bucket, q.key, q.id)
	lo := prefix
	return s.repeat(ctx, func(tx *store.Tx) (bool, error) {
		used, err := versionHolds(tx, q.bucket, q.key, q.version, func(e rawEntry) bool { return e.hasParts() && e.table() == q.id })
		if err != nil {
			return false, err
		}
		if used {
			s.spare(tx, q)
			return true, nil
		}
		var done bool
		lo, done, err = s.sweep(tx, tagTable, lo, successor(prefix), expandChunks, func(cluster.Link) bool { return true })
		if done {
			tx.Delete(q.qkey)
		}
		return done, err
	})
}

func (s *Server) expandUpload(ctx context.Context, q *queued) error {
	id := cluster.UploadID(q.id)
	chosen := make(map[cluster.Link]struct{})
	err := s.view(func(snap *store.Snapshot) error {
		parts, err := tableParts(snap, q.bucket, q.key, q.id)
		for i := range parts {
			chosen[parts[i].Content] = struct{}{}
		}
		return err
	})
	if err != nil {
		return err
	}
	lo, hi := partKey(q.bucket, q.key, id, 0), partKey(q.bucket, q.key, id, cluster.MaxParts+1)
	return s.repeat(ctx, func(tx *store.Tx) (bool, error) {
		if _, running, err := tx.Get(uploadKey(q.bucket, q.key, id)); running || err != nil {
			if running {
				s.spare(tx, q)
			}
			return true, err
		}
		var done bool
		lo, done, err = s.sweep(tx, tagPart, lo, hi, expandBatch, func(l cluster.Link) bool {
			_, kept := chosen[l]
			return !kept
		})
		if done {
			tx.Delete(q.qkey)
		}
		return done, err
	})
}

// sweep removes up to max records of a table in [lo, hi), queues those of their links that free allows, and returns where to go on.
func (s *Server) sweep(tx *store.Tx, tag byte, lo, hi []byte, max int, free func(cluster.Link) bool) (next []byte, done bool, err error) {
	it := tx.Iter(lo, hi)
	defer it.Close()
	now := s.now()
	var keys [][]byte
	for it.Next() {
		if len(keys) == max {
			next = bytes.Clone(it.Key())
			break
		}
		bucket, key, _, ok := splitName(it.Key())
		if !ok {
			return nil, false, errShort
		}
		g := garbage{kind: garbageLink, origin: originPart, due: now, bucket: bucket, key: key}
		if tag == tagHead || tag == tagVersion {
			g.origin = originVersion
		}
		err := linksOfValue(tag, it.Value(), func(l cluster.Link) {
			if !l.IsZero() && free(l) {
				g.id = l.Object
				s.enqueue(tx, l.Server, g)
			}
		})
		if err != nil {
			return nil, false, err
		}
		keys = append(keys, bytes.Clone(it.Key()))
	}
	if err := it.Err(); err != nil {
		return nil, false, err
	}
	for _, k := range keys {
		tx.Delete(k)
	}
	return next, next == nil, nil
}

// wipe is how far the removal of a sealed bucket's records has come. It is kept in memory only: records that are gone are not found again.
type wipe struct {
	table int // index of wipeOrder
	next  []byte
}

// wipeOrder has uploads first, so that an upload never shows without its parts.
var wipeOrder = [...]byte{tagUpload, tagPart, tagTable, tagVersion, tagHead}

// wipeBucket removes a batch of a sealed bucket's records. The caller has seen the seal in tx.
func (s *Server) wipeBucket(tx *store.Tx, bucket cluster.BucketID, at *wipe) (done bool, err error) {
	tag := wipeOrder[at.table]
	prefix := appendBucketPrefix(nil, tag, bucket)
	lo, max := at.next, expandBatch
	if lo == nil {
		lo = prefix
	}
	if tag == tagTable {
		max = expandChunks
	}
	next, empty, err := s.sweep(tx, tag, lo, successor(prefix), max, func(cluster.Link) bool { return true })
	if err != nil {
		return false, err
	}
	if at.next = next; empty {
		at.table++
	}
	return at.table == len(wipeOrder), nil
}

func (s *Server) expandBucket(ctx context.Context, q *queued) error {
	var at wipe
	return s.repeat(ctx, func(tx *store.Tx) (bool, error) {
		v, err := getSeal(tx, q.bucket)
		if err != nil {
			return false, err
		}
		done := true // unsealed: whoever did it has emptied the bucket
		if v.closed() {
			if done, err = s.wipeBucket(tx, q.bucket, &at); err != nil {
				return false, err
			}
		}
		if done {
			tx.Delete(q.qkey)
		}
		return done, nil
	})
}
