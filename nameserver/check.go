package nameserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Invariants of the tables, each of which Check tests:
//
//  1. A key with noncurrent versions has a current one, and that is newer than all of them. (Buckets that are being wiped excepted.)
//  2. At most one version of a key is the null version; the head names it exactly when it is noncurrent.
//  3. No version is of a later generation than the owner's.
//  4. A version of parts has a table: as many parts as it says, ascending, without gaps, together its size. A table without such a version is queued.
//  5. A part belongs to a running upload, or its upload is queued.
//  6. No two versions, table parts and parts of running uploads have the same link, and none of these links is queued. (A queue entry of a late guard excepted: the
//     collector looks before it deletes.)
//  7. The index by owner has exactly the buckets.
//  8. A sealed bucket has no records, unless its removal is queued.
//  9. Every guard is in the index of deadlines.
//  10. Every key and value decodes.

// checker walks a snapshot.
type checker struct {
	s    *Server
	ctx  context.Context
	snap *store.Snapshot

	wiping  map[cluster.BucketID]bool // sealed, with the removal queued
	tables  map[place]bool            // queued
	uploads map[place]bool            // queued
	queued  map[cluster.Link]bool     // but of guards
	live    map[cluster.Link]string   // link -> who holds it
}

// place is a table or an upload: the name's store key after the tag, and the id.
type place struct {
	name string
	id   [16]byte
}

func placeOf(bucket cluster.BucketID, key string, id [16]byte) place {
	return place{string(nameKey(0, bucket, key, 0)[1:]), id}
}

func broken(rule int, format string, args ...any) error {
	return fault.New(fault.Corrupt, "nameserver: invariant %d: %s", rule, fmt.Sprintf(format, args...))
}

// Check verifies every invariant of the tables on a snapshot, and of the store below. It needs memory for every link, about 100 bytes each, and returns an error of
// kind fault.Corrupt for the first violation.
func (s *Server) Check(ctx context.Context) error {
	c := &checker{s: s, ctx: ctx, wiping: map[cluster.BucketID]bool{}, tables: map[place]bool{}, uploads: map[place]bool{}, queued: map[cluster.Link]bool{},
		live: map[cluster.Link]string{}}
	err := s.view(func(snap *store.Snapshot) error {
		c.snap = snap
		for _, step := range []func() error{c.queue, c.names, c.versionsHaveHeads, c.partTables, c.parts, c.buckets, c.seals, c.records} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.checkGuards(ctx); err != nil {
		return err
	}
	return s.store.Check(ctx)
}

func (c *checker) scan(prefix []byte, fn func(k, v []byte) error) error {
	return scan(c.snap, prefix, func(k, v []byte) error {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		return fn(k, v)
	})
}

func (c *checker) queue() error {
	return c.scan([]byte{tagGarbage}, func(k, v []byte) error {
		server, ok := serverOfGarbageKey(k)
		g, err := decodeGarbage(v)
		if !ok || err != nil || (server == 0) != (g.kind != garbageLink) {
			return broken(10, "garbage entry %x", k)
		}
		switch g.kind {
		case garbageBucket:
			c.wiping[g.bucket] = true
		case garbageTable:
			c.tables[placeOf(g.bucket, g.key, g.id)] = true
		case garbageUpload:
			c.uploads[placeOf(g.bucket, g.key, g.id)] = true
		case garbageLink:
			if g.origin != originGuard {
				c.queued[cluster.Link{Server: server, Object: g.id}] = true
			}
		}
		return nil
	})
}

// hold notes that a live record refers to a link.
func (c *checker) hold(bucket cluster.BucketID, l cluster.Link, who string) error {
	if l.IsZero() || c.wiping[bucket] {
		return nil
	}
	if other, twice := c.live[l]; twice {
		return broken(6, "%s and %s both hold object %s", other, who, l.Object)
	}
	if c.queued[l] {
		return broken(6, "%s holds object %s, which is queued for deletion", who, l.Object)
	}
	c.live[l] = who
	return nil
}

// names checks heads with their noncurrent versions.
func (c *checker) names() error {
	return c.scan([]byte{tagHead}, func(k, v []byte) error {
		bucket, key, rest, ok := splitName(k)
		h, err := decodeHead(v)
		if !ok || len(rest) != 0 || err != nil {
			return broken(10, "head %x", k)
		}
		who := fmt.Sprintf("%q of bucket %s", key, bucket)
		newest, nulls := h.entry.version(), 0
		if h.entry.null() {
			nulls++
			if !h.null.IsZero() {
				return broken(2, "%s: the current version is the null version, and %s, too", who, h.null)
			}
		}
		if err := c.version(bucket, key, h.entry, who); err != nil {
			return err
		}
		foundNull := h.null.IsZero()
		prefix := nameKey(tagVersion, bucket, key, 0)
		err = scan(c.snap, prefix, func(vk, vv []byte) error {
			e, err := rawEntryOf(vv)
			if err != nil || !bytes.Equal(vk, versionKey(bucket, key, e.version())) {
				return broken(10, "version %x", vk)
			}
			if e.version().Compare(newest) >= 0 {
				return broken(1, "%s: version %s is not older than %s", who, e.version(), newest)
			}
			newest = e.version()
			if e.null() {
				nulls++
				foundNull = foundNull || e.version() == h.null
				if e.version() != h.null {
					return broken(2, "%s: the head does not know the null version %s", who, e.version())
				}
			}
			return c.version(bucket, key, e, who)
		})
		if err != nil || c.wiping[bucket] {
			return err
		}
		if nulls > 1 || !foundNull {
			return broken(2, "%s has %d null versions, the head names %s", who, nulls, h.null)
		}
		return nil
	})
}

func (c *checker) version(bucket cluster.BucketID, key string, raw rawEntry, who string) error {
	e, err := decodeEntry(raw, key, detailAll)
	if err != nil {
		return broken(10, "%s: %v", who, err)
	}
	if e.Version.Generation > c.s.generation || e.Version.IsZero() {
		return broken(3, "%s: version %s in generation %d", who, e.Version, c.s.generation)
	}
	if e.PartCount == 0 || c.wiping[bucket] {
		return c.hold(bucket, e.Content, who)
	}
	parts, err := tableParts(c.snap, bucket, key, e.Table)
	if err != nil {
		return err
	}
	if len(parts) != int(e.PartCount) {
		return broken(4, "%s has %d parts, its table %d", who, e.PartCount, len(parts))
	}
	var size int64
	for i := range parts {
		if parts[i].Offset != size || i > 0 && parts[i].Number <= parts[i-1].Number {
			return broken(4, "%s: part %d at %d does not follow what ends at %d", who, parts[i].Number, parts[i].Offset, size)
		}
		size += parts[i].Size
		if err := c.hold(bucket, parts[i].Content, fmt.Sprintf("part %d of %s", parts[i].Number, who)); err != nil {
			return err
		}
	}
	if size != e.Size {
		return broken(4, "%s has %d bytes, its parts %d", who, e.Size, size)
	}
	// From here on the table counts as having its version: what is left in partTables must be queued.
	c.tables[placeOf(bucket, key, e.Table)] = true
	return nil
}

func (c *checker) versionsHaveHeads() error {
	return c.scan([]byte{tagVersion}, func(k, _ []byte) error {
		n := nameLen(k)
		if n == 0 || len(k) != n+16 {
			return broken(10, "version %x", k)
		}
		hk := append([]byte{tagHead}, k[1:n]...)
		_, ok, err := c.snap.Get(hk)
		if err == nil && !ok && !c.wiping[cluster.BucketID(binary.BigEndian.Uint64(k[1:]))] {
			err = broken(1, "version %x has no current version", k)
		}
		return err
	})
}

func (c *checker) partTables() error {
	return c.scan([]byte{tagTable}, func(k, v []byte) error {
		bucket, key, rest, ok := splitName(k)
		_, err := decodeChunk(v, nil)
		if !ok || len(rest) != 28 || err != nil {
			return broken(10, "chunk %x", k)
		}
		if !c.wiping[bucket] && !c.tables[placeOf(bucket, key, [16]byte(rest[:16]))] {
			return broken(4, "table %x of %q has no version and is not queued", rest[:16], key)
		}
		return nil
	})
}

func (c *checker) parts() error {
	err := c.scan([]byte{tagUpload}, func(k, v []byte) error {
		_, key, rest, ok := splitName(k)
		if !ok || len(rest) != 16 {
			return broken(10, "upload %x", k)
		}
		_, err := decodeUpload(v, key, cluster.UploadID(rest), detailAll)
		return err
	})
	if err != nil {
		return err
	}
	return c.scan([]byte{tagPart}, func(k, v []byte) error {
		bucket, key, rest, ok := splitName(k)
		p, err := decodePart(v)
		if !ok || len(rest) != 20 || err != nil || p.Number != int32(binary.BigEndian.Uint32(rest[16:])) {
			return broken(10, "part %x", k)
		}
		id := cluster.UploadID(rest[:16])
		_, running, err := c.snap.Get(uploadKey(bucket, key, id))
		switch {
		case err != nil:
			return err
		case running:
			return c.hold(bucket, p.Content, fmt.Sprintf("part %d of upload %s of %q", p.Number, id, key))
		case !c.wiping[bucket] && !c.uploads[placeOf(bucket, key, id)]:
			return broken(5, "part %d of %q: upload %s has ended and is not queued", p.Number, key, id)
		}
		return nil
	})
}

func (c *checker) buckets() error {
	count := 0
	err := c.scan([]byte{tagBucket}, func(k, v []byte) error {
		b, err := decodeBucket(v, string(k[1:]))
		if err != nil {
			return broken(10, "bucket %q", k[1:])
		}
		count++
		_, ok, err := c.snap.Get(ownerKey(b.Owner, b.Name))
		if err == nil && !ok {
			err = broken(7, "bucket %q is not in the index of its owner %s", b.Name, b.Owner)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = c.scan([]byte{tagOwner}, func(k, _ []byte) error {
		count--
		return nil
	})
	if err == nil && count != 0 {
		err = broken(7, "the index by owner has %d entries too few", count)
	}
	return err
}

func (c *checker) seals() error {
	return c.scan([]byte{tagSeal}, func(k, value []byte) error {
		id, rest, ok := cutBucketPrefix(k)
		if !ok || len(rest) != 0 {
			return broken(10, "seal %x", k)
		}
		if v, err := decodeSeal(value); err != nil || !v.closed() {
			return err
		}
		if !c.s.seals.mayHave(id) {
			return broken(8, "the seal of bucket %s is not known in memory", id)
		}
		if c.wiping[id] {
			return nil
		}
		for _, tag := range [...]byte{tagHead, tagVersion, tagUpload} {
			empty, err := isEmpty(c.snap, appendBucketPrefix(nil, tag, id))
			if err != nil {
				return err
			}
			if !empty {
				return broken(8, "sealed bucket %s holds records of table %c and is not queued", id, tag)
			}
		}
		return nil
	})
}

func (c *checker) records() error {
	return c.scan([]byte{tagRecord}, func(k, v []byte) error {
		r, err := decodeRecord(v, string(k[1:]))
		if err == nil && r.Epoch == 0 {
			err = broken(10, "record %q has no epoch", r.Name)
		}
		return err
	})
}

// checkGuards compares the table of guards with the index of deadlines, in a transaction: outside of one they may differ for a moment.
func (s *Server) checkGuards(ctx context.Context) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		return scan(tx, []byte{tagGuard}, func(k, v []byte) error {
			l, ok := linkOfGuardKey(k)
			if _, err := decodeGuard(v); !ok || err != nil {
				return broken(10, "guard %x", k)
			}
			if s.guards.get(l) == nil {
				return broken(9, "guard of object %s is not in the index", l.Object)
			}
			return nil
		})
	})
}
