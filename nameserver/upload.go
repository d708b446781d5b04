package nameserver

import (
	"bytes"
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func noUpload(id cluster.UploadID) error { return fault.New(fault.NoUpload, "no upload %s", id) }

func checkUpload(bucket cluster.BucketID, key string, id cluster.UploadID) error {
	if err := checkName(bucket, key); err != nil {
		return err
	}
	if id.IsZero() {
		return noUpload(id)
	}
	return nil
}

// CreateUpload implements [cluster.NameServer]. It returns fault.Exists when the id is taken.
func (s *Server) CreateUpload(ctx context.Context, bucket cluster.BucketID, u cluster.Upload) error {
	if err := checkName(bucket, u.Key); err != nil {
		return err
	}
	if u.ID.IsZero() {
		return fault.New(fault.Invalid, "upload without an id")
	}
	if err := checkTime(u.Initiated); err != nil {
		return err
	}
	if err := checkMetadata(&u.Template); err != nil {
		return err
	}
	t := &u.Template
	t.Key, t.Version, t.Null, t.Latest, t.DeleteMarker = "", cluster.VersionID{}, false, false, false
	t.Size, t.ETag, t.Content, t.PartCount, t.Table = 0, "", cluster.Link{}, 0, cluster.ObjectID{}
	key, value := uploadKey(bucket, u.Key, u.ID), newUpload(&u)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, bucket); err != nil {
			return err
		}
		if _, taken, err := tx.Get(key); taken || err != nil {
			if err == nil {
				err = fault.New(fault.Exists, "upload %s exists", u.ID)
			}
			return err
		}
		// An id that has ended leaves its parts or its table for a while; a second life would be mixed up with it.
		for _, tag := range [...]byte{tagPart, tagTable} {
			empty, err := isEmpty(tx, append(appendName(nil, tag, bucket, u.Key), u.ID[:]...))
			if err != nil {
				return err
			}
			if !empty {
				return fault.New(fault.Exists, "upload %s was used before", u.ID)
			}
		}
		tx.Put(key, value)
		return nil
	})
}

func getUpload(r reader, bucket cluster.BucketID, key string, id cluster.UploadID) (cluster.Upload, error) {
	v, ok, err := r.Get(uploadKey(bucket, key, id))
	if err != nil {
		return cluster.Upload{}, err
	}
	if !ok {
		return cluster.Upload{}, noUpload(id)
	}
	return decodeUpload(v, key, id, detailAll)
}

// GetUpload implements [cluster.NameServer].
func (s *Server) GetUpload(_ context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) (u cluster.Upload, err error) {
	if err := checkUpload(bucket, key, id); err != nil {
		return u, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, bucket); err != nil {
			return err
		}
		u, err = getUpload(snap, bucket, key, id)
		return err
	})
	return u, err
}

// PutPart implements [cluster.NameServer].
func (s *Server) PutPart(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, p cluster.Part) error {
	if err := checkUpload(bucket, key, id); err != nil {
		return err
	}
	if p.Number < 1 || p.Number > cluster.MaxParts {
		return fault.New(fault.Invalid, "part number %d: want 1 to %d", p.Number, cluster.MaxParts)
	}
	if err := checkContent(p.Size, p.Content, cluster.MaxPutBytes); err != nil {
		return err
	}
	if err := checkTime(p.Modified); err != nil {
		return err
	}
	if err := checkDigest(p.ETag, p.Checksum); err != nil {
		return err
	}
	p.Offset = 0
	pkey, value := partKey(bucket, key, id, p.Number), newPart(&p)
	var used *guardItem
	err := s.store.Update(ctx, func(tx *store.Tx) (err error) {
		if err := s.checkOpen(tx, bucket); err != nil {
			return err
		}
		if _, ok, err := tx.Get(uploadKey(bucket, key, id)); !ok || err != nil {
			if err == nil {
				err = noUpload(id)
			}
			return err
		}
		if !p.Content.IsZero() {
			if used, err = s.useGuard(tx, p.Content, bucket, key); err != nil {
				return err
			}
		}
		v, replaces, err := tx.Get(pkey)
		if err != nil {
			return err
		}
		if replaces {
			old, err := decodePart(v)
			if err != nil {
				return err
			}
			s.discardPart(tx, bucket, key, &old, s.delay())
		}
		tx.Put(pkey, value)
		return nil
	})
	if err == nil {
		s.guards.remove(used)
	}
	return err
}

// discardPart queues the bytes of a part.
func (s *Server) discardPart(tx *store.Tx, bucket cluster.BucketID, key string, p *cluster.Part, delayMs int64) {
	if !p.Content.IsZero() {
		s.enqueue(tx, p.Content.Server, garbage{kind: garbageLink, origin: originPart, due: s.now() + delayMs, bucket: bucket, id: p.Content.Object, key: key})
	}
}

// ListParts implements [cluster.NameServer].
func (s *Server) ListParts(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, after int32, limit int) (parts []cluster.Part, more bool, err error) {
	if err := checkUpload(bucket, key, id); err != nil {
		return nil, false, err
	}
	if limit, err = checkLimit(limit); err != nil {
		return nil, false, err
	}
	after = max(0, min(after, cluster.MaxParts))
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, bucket); err != nil {
			return err
		}
		if _, ok, err := snap.Get(uploadKey(bucket, key, id)); !ok || err != nil {
			if err == nil {
				err = noUpload(id)
			}
			return err
		}
		it := snap.Iter(partKey(bucket, key, id, after+1), partKey(bucket, key, id, cluster.MaxParts+1))
		defer it.Close()
		for it.Next() {
			if len(parts) == limit {
				more = true
				return nil
			}
			p, err := decodePart(it.Value())
			if err != nil {
				return err
			}
			parts = append(parts, p)
		}
		return it.Err()
	})
	if err != nil {
		return nil, false, err
	}
	return parts, more, ctx.Err()
}

// AbortUpload implements [cluster.NameServer].
func (s *Server) AbortUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) error {
	if err := checkUpload(bucket, key, id); err != nil {
		return err
	}
	ukey := uploadKey(bucket, key, id)
	return s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, bucket); err != nil {
			return err
		}
		if _, ok, err := tx.Get(ukey); !ok || err != nil {
			if err == nil {
				err = noUpload(id)
			}
			return err
		}
		tx.Frees()
		s.endUpload(tx, bucket, key, id)
		return nil
	})
}

// endUpload removes an upload. Its parts, up to 10,000, are worked off by the collector: those that a table of the same id does not hold are freed.
func (s *Server) endUpload(tx *store.Tx, bucket cluster.BucketID, key string, id cluster.UploadID) {
	tx.Delete(uploadKey(bucket, key, id))
	s.enqueue(tx, 0, garbage{kind: garbageUpload, origin: originPart, due: s.now() + s.delay(), bucket: bucket, id: id, key: key})
}

// ListUploads implements [cluster.NameServer]. Uploads of a key are in the order of their ids, which begin with the time of their making.
func (s *Server) ListUploads(ctx context.Context, r cluster.ListUploadsRequest) (page cluster.UploadPage, err error) {
	l, err := newListing(r.Bucket, r.Prefix, r.Delimiter, r.KeyMarker, r.Limit)
	if err != nil {
		return page, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, r.Bucket); err != nil {
			return err
		}
		lo, hi := l.bounds(tagUpload, r.KeyMarker)
		if !r.UploadMarker.IsZero() && l.within(r.KeyMarker) {
			lo = append(uploadKey(r.Bucket, r.KeyMarker, r.UploadMarker), 0)
		}
		if bytes.Compare(lo, hi) >= 0 {
			return nil
		}
		it := snap.Iter(lo, hi)
		defer it.Close()
		ok := it.Next()
		for n := 1; ok; n++ {
			if n%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if l.full() {
				page.More = true
				return nil
			}
			_, key, rest, valid := splitName(it.Key())
			if !valid || len(rest) != 16 {
				return errShort
			}
			if cp := l.commonPrefix(key); cp != "" {
				page.Prefixes, page.NextKey, page.NextUpload = append(page.Prefixes, cp), cp, cluster.UploadID{}
				l.add(len(cp))
				ok = seekNext(it, l.pastPrefix(tagUpload, cp))
				continue
			}
			id := cluster.UploadID(rest)
			u, err := decodeUpload(it.Value(), key, id, detailList)
			if err != nil {
				return err
			}
			u.Template = cluster.Entry{Owner: u.Template.Owner, StorageClass: u.Template.StorageClass, Checksum: u.Template.Checksum}
			page.Uploads, page.NextKey, page.NextUpload = append(page.Uploads, u), key, id
			l.add(len(key))
			ok = it.Next()
		}
		return it.Err()
	})
	if err != nil {
		return cluster.UploadPage{}, err
	}
	if !page.More {
		page.NextKey, page.NextUpload = "", cluster.UploadID{}
	}
	return page, nil
}
