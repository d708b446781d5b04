package nameserver

import (
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// CompleteUpload implements [cluster.NameServer]. The table of parts has the id of the upload: so a repeated call finds what the first one made.
func (s *Server) CompleteUpload(ctx context.Context, r cluster.CompleteUploadRequest) (e cluster.Entry, err error) {
	if err := checkComplete(&r); err != nil {
		return e, err
	}
	null := r.Versioning != cluster.VersioningEnabled
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, r.Bucket); err != nil {
			return err
		}
		n, err := s.openName(tx, r.Bucket, r.Key)
		if err != nil {
			return err
		}
		u, err := getUpload(tx, r.Bucket, r.Key, r.ID)
		if fault.KindOf(err) == fault.NoUpload {
			e, err = n.completed(&r, err)
			return err
		}
		if err != nil {
			return err
		}
		parts, err := chooseParts(tx, &r)
		if err != nil {
			return err
		}
		if err := checkConditions(&r.Condition, n.current()); err != nil {
			return err
		}
		e = u.Template
		e.Key, e.Modified, e.ETag, e.Checksum = r.Key, fromMillis(millis(r.Modified)), r.ETag, r.Checksum
		last := parts[len(parts)-1]
		e.Size, e.PartCount, e.Table = last.Offset+last.Size, int32(len(parts)), cluster.ObjectID(r.ID)
		if entryBytes(&e) > MaxEntryBytes {
			return fault.New(fault.TooLarge, "metadata of more than %d bytes", MaxEntryBytes)
		}
		putTable(tx, r.Bucket, r.Key, e.Table, parts)
		s.endUpload(tx, r.Bucket, r.Key, r.ID)
		e.Null, e.Latest = null, true
		e.Version, err = n.add(newHead(&e), null)
		return err
	})
	if err != nil {
		return cluster.Entry{}, err
	}
	return e, nil
}

func checkComplete(r *cluster.CompleteUploadRequest) error {
	if err := checkUpload(r.Bucket, r.Key, r.ID); err != nil {
		return err
	}
	if err := checkVersioning(r.Versioning); err != nil {
		return err
	}
	if err := checkCondition(&r.Condition); err != nil {
		return err
	}
	if err := checkTime(r.Modified); err != nil {
		return err
	}
	if err := checkDigest(r.ETag, r.Checksum); err != nil {
		return err
	}
	if len(r.Parts) == 0 {
		return fault.New(fault.Invalid, "complete names no part")
	}
	if len(r.Parts) > cluster.MaxParts {
		return fault.New(fault.Invalid, "complete names %d parts: at most %d", len(r.Parts), cluster.MaxParts)
	}
	for i := 1; i < len(r.Parts); i++ {
		if r.Parts[i].Number <= r.Parts[i-1].Number {
			return fault.New(fault.PartOrder, "part %d comes after part %d", r.Parts[i].Number, r.Parts[i-1].Number)
		}
	}
	return nil
}

// matches reports whether a recorded part is the one that complete names.
func matches(want *cluster.CompletePart, p *cluster.Part) bool {
	c := &want.Checksum
	return want.ETag == p.ETag && (c.Algorithm == cluster.ChecksumNone || c.Algorithm == p.Checksum.Algorithm && string(c.Value) == string(p.Checksum.Value))
}

// chooseParts returns the parts that complete names, with their offsets.
func chooseParts(tx *store.Tx, r *cluster.CompleteUploadRequest) ([]cluster.Part, error) {
	it := tx.Iter(partKey(r.Bucket, r.Key, r.ID, 0), partKey(r.Bucket, r.Key, r.ID, cluster.MaxParts+1))
	defer it.Close()
	parts := make([]cluster.Part, 0, len(r.Parts))
	for i := range r.Parts {
		want := &r.Parts[i]
		invalid := fault.InvalidPart
		var p cluster.Part
		for p.Number < want.Number {
			if !it.Next() {
				if err := it.Err(); err != nil {
					return nil, err
				}
				return nil, fault.New(invalid, "part %d was not uploaded", want.Number)
			}
			var err error
			if p, err = decodePart(it.Value()); err != nil {
				return nil, err
			}
		}
		if p.Number != want.Number {
			return nil, fault.New(invalid, "part %d was not uploaded", want.Number)
		}
		if !matches(want, &p) {
			return nil, fault.New(invalid, "part %d has another ETag or checksum", want.Number)
		}
		if i > 0 {
			last := &parts[i-1]
			if last.Size < cluster.MinPartBytes {
				return nil, fault.New(fault.PartTooSmall, "part %d has %d bytes: all but the last need %d", last.Number, last.Size, cluster.MinPartBytes)
			}
			p.Offset = last.Offset + last.Size
		}
		if p.Offset+p.Size > cluster.MaxObjectBytes {
			return nil, fault.New(fault.TooLarge, "the object would have more than %d bytes", int64(cluster.MaxObjectBytes))
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func putTable(tx *store.Tx, bucket cluster.BucketID, key string, table cluster.ObjectID, parts []cluster.Part) {
	for index := uint32(0); len(parts) > 0; index++ {
		chunk := parts[:min(chunkParts, len(parts))]
		last := &chunk[len(chunk)-1]
		tx.Put(chunkKey(bucket, key, table, last.Offset+last.Size, index), newChunk(chunk))
		parts = parts[len(chunk):]
	}
}

// completed answers a repeated call: with the current version if this upload with these parts made it, else with noUpload.
func (n *name) completed(r *cluster.CompleteUploadRequest, noUpload error) (e cluster.Entry, err error) {
	cur := n.current()
	if cur == nil || !cur.hasParts() || cur.table() != cluster.ObjectID(r.ID) || int(cur.partCount()) != len(r.Parts) {
		return e, noUpload
	}
	parts, err := tableParts(n.tx, r.Bucket, r.Key, cur.table())
	if err != nil {
		return e, err
	}
	for i := range r.Parts {
		if i >= len(parts) || parts[i].Number != r.Parts[i].Number || !matches(&r.Parts[i], &parts[i]) {
			return e, noUpload
		}
	}
	if e, err = decodeEntry(cur, r.Key, detailAll); err != nil {
		return e, err
	}
	e.Latest = true
	return e, nil
}

func tablePrefix(bucket cluster.BucketID, key string, table cluster.ObjectID) []byte {
	return append(nameKey(tagTable, bucket, key, 16), table[:]...)
}

// tableParts returns all parts of a table: at most MaxParts, about 1.5 MB.
func tableParts(r reader, bucket cluster.BucketID, key string, table cluster.ObjectID) (parts []cluster.Part, err error) {
	err = scan(r, tablePrefix(bucket, key, table), func(_, v []byte) error {
		parts, err = decodeChunk(v, parts)
		return err
	})
	return parts, err
}

// Parts implements [cluster.NameServer]. It returns fault.NotFound when there is no such table, no part when offset is at or past the end. With offset 0
// it begins with the first part, also when that is empty.
func (s *Server) Parts(ctx context.Context, bucket cluster.BucketID, key string, table cluster.ObjectID, offset int64, limit int) (parts []cluster.Part, err error) {
	if err := checkName(bucket, key); err != nil {
		return nil, err
	}
	if limit, err = checkLimit(limit); err != nil {
		return nil, err
	}
	if offset < 0 || offset > cluster.MaxObjectBytes {
		return nil, fault.New(fault.Invalid, "offset %d is not within an object", offset)
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, bucket); err != nil {
			return err
		}
		prefix := tablePrefix(bucket, key, table)
		lo, hi := prefix, successor(prefix)
		if offset > 0 {
			lo = chunkKey(bucket, key, table, offset+1, 0)
		}
		it := snap.Iter(lo, hi)
		defer it.Close()
		for len(parts) < limit && it.Next() {
			if parts, err = decodeChunk(it.Value(), parts); err != nil {
				return err
			}
			skip := 0
			for offset > 0 && skip < len(parts) && parts[skip].Offset+parts[skip].Size <= offset {
				skip++
			}
			parts, offset = parts[skip:], 0
		}
		if err := it.Err(); err != nil {
			return err
		}
		if len(parts) == 0 {
			empty, err := isEmpty(snap, prefix)
			if err == nil && empty {
				err = fault.New(fault.NotFound, "no part table %s of %q", table, key)
			}
			return err
		}
		parts = parts[:min(limit, len(parts))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parts, ctx.Err()
}
