package nameserver

import (
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func notFound(key string) error { return fault.New(fault.NotFound, "no object %q", key) }

// CreateEntry implements [cluster.NameServer].
func (s *Server) CreateEntry(ctx context.Context, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	e := r.Entry
	if err := checkCreate(&r, &e); err != nil {
		return cluster.Entry{}, err
	}
	encoded := newHead(&e)
	null := r.Versioning != cluster.VersioningEnabled
	var used *guardItem
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, r.Bucket); err != nil {
			return err
		}
		n, err := s.openName(tx, r.Bucket, e.Key)
		if err != nil {
			return err
		}
		if !e.Content.IsZero() {
			if used, err = s.useGuard(tx, e.Content, r.Bucket, e.Key); err != nil {
				return err
			}
		}
		if err := checkConditions(&r.Condition, n.current()); err != nil {
			return err
		}
		e.Version, err = n.add(encoded, null)
		return err
	})
	if err != nil {
		return cluster.Entry{}, err
	}
	s.guards.remove(used)
	e.Null, e.Latest = null, true
	e.Modified = fromMillis(millis(e.Modified))
	return e, nil
}

func checkCreate(r *cluster.CreateEntryRequest, e *cluster.Entry) error {
	if err := checkName(r.Bucket, e.Key); err != nil {
		return err
	}
	if err := checkVersioning(r.Versioning); err != nil {
		return err
	}
	if e.DeleteMarker || e.PartCount != 0 || !e.Table.IsZero() {
		return fault.New(fault.Invalid, "a create makes neither delete markers nor objects of parts")
	}
	if err := checkContent(e.Size, e.Content, cluster.MaxPutBytes); err != nil {
		return err
	}
	if err := checkCondition(&r.Condition); err != nil {
		return err
	}
	e.Version, e.Null, e.Latest = cluster.VersionID{}, false, false
	return checkMetadata(e)
}

func checkLookup(r *cluster.LookupRequest) error {
	if err := checkName(r.Bucket, r.Key); err != nil {
		return err
	}
	if r.Null && !r.Version.IsZero() {
		return fault.New(fault.Invalid, "both a version and the null version are asked for")
	}
	return nil
}

// Lookup implements [cluster.NameServer].
func (s *Server) Lookup(_ context.Context, r cluster.LookupRequest) (e cluster.Entry, err error) {
	if err := checkLookup(&r); err != nil {
		return e, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, r.Bucket); err != nil {
			return err
		}
		h, exists, err := getHead(snap, nameKey(tagHead, r.Bucket, r.Key, 0))
		if err != nil {
			return err
		}
		raw, latest, err := findVersion(snap, r.Bucket, r.Key, h, exists, r.Version, r.Null)
		if err != nil {
			return err
		}
		if raw == nil {
			return notFound(r.Key)
		}
		if e, err = decodeEntry(raw, r.Key, detailAll); err != nil {
			return err
		}
		e.Latest = latest
		return nil
	})
	if err != nil {
		return cluster.Entry{}, err
	}
	return e, nil
}

// UpdateEntry implements [cluster.NameServer]. A delete marker has no attributes: fault.NotFound for the current one, fault.MethodNotAllowed for one asked for by
// its version.
func (s *Server) UpdateEntry(ctx context.Context, r cluster.UpdateEntryRequest) (e cluster.Entry, err error) {
	if err := checkLookup(&r.LookupRequest); err != nil {
		return e, err
	}
	set, err := sortedAttrs(r.Set)
	if err != nil {
		return e, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, r.Bucket); err != nil {
			return err
		}
		n, err := s.openName(tx, r.Bucket, r.Key)
		if err != nil {
			return err
		}
		raw, latest, err := n.find(r.Version, r.Null)
		switch {
		case err != nil:
			return err
		case raw == nil, raw.deleteMarker() && r.Version.IsZero() && !r.Null:
			return notFound(r.Key)
		case raw.deleteMarker():
			return fault.New(fault.MethodNotAllowed, "version %s of %q is a delete marker", raw.version(), r.Key)
		}
		if e, err = decodeEntry(raw, r.Key, detailAll); err != nil {
			return err
		}
		if err := cluster.CheckRetention(e.Attrs, set, fromMillis(s.now()), r.Bypass); err != nil {
			return err
		}
		e.Attrs, e.Latest = mergeAttrs(e.Attrs, set), latest
		if entryBytes(&e) > MaxEntryBytes {
			return fault.New(fault.TooLarge, "metadata of more than %d bytes", MaxEntryBytes)
		}
		encoded := newHead(&e)
		if latest {
			stampHead(encoded, n.head.null)
			tx.Put(n.hkey, encoded)
		} else {
			tx.Put(versionKey(r.Bucket, r.Key, e.Version), encoded[headPrefixBytes:])
		}
		return nil
	})
	if err != nil {
		return cluster.Entry{}, err
	}
	for i := range e.Attrs { // the caller owns the reply, and Set was the caller's before
		e.Attrs[i].Value = append([]byte{}, e.Attrs[i].Value...)
	}
	return e, nil
}

// mergeAttrs returns old with set in it; both are sorted, and so is the result. A nil value removes one.
func mergeAttrs(old, set []cluster.Attribute) (out []cluster.Attribute) {
	for len(old) > 0 || len(set) > 0 {
		switch {
		case len(set) == 0 || len(old) > 0 && old[0].ID < set[0].ID:
			out = append(out, old[0])
			old = old[1:]
			continue
		case len(old) > 0 && old[0].ID == set[0].ID:
			old = old[1:]
		}
		if set[0].Value != nil {
			out = append(out, set[0])
		}
		set = set[1:]
	}
	return out
}

// DeleteEntry implements [cluster.NameServer]. A condition on an object that is not there gives fault.NotFound; with a version it is about that one.
func (s *Server) DeleteEntry(ctx context.Context, r cluster.DeleteEntryRequest) (d cluster.Deleted, err error) {
	if err := checkLookup(&r.LookupRequest); err != nil {
		return d, err
	}
	if err := checkVersioning(r.Versioning); err != nil {
		return d, err
	}
	if err := checkTime(r.Modified); err != nil {
		return d, err
	}
	if err := checkCondition(&r.Condition); err != nil {
		return d, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkOpen(tx, r.Bucket); err != nil {
			return err
		}
		n, err := s.openName(tx, r.Bucket, r.Key)
		if err != nil {
			return err
		}
		raw, latest, err := n.find(r.Version, r.Null)
		if err != nil {
			return err
		}
		if err := checkConditions(&r.Condition, raw); err != nil {
			return err
		}
		tx.Frees()
		byVersion := !r.Version.IsZero() || r.Null
		if !byVersion && (r.Versioning != cluster.Unversioned || raw != nil && !raw.null()) {
			return n.mark(&r, &d)
		}
		if raw == nil {
			return nil
		}
		if err := n.checkRemoval(raw, r.Bypass); err != nil {
			return err
		}
		d = cluster.Deleted{Found: true, DeleteMarker: raw.deleteMarker(), Version: raw.version(), Null: raw.null()}
		return n.remove(raw, latest)
	})
	if err != nil {
		return cluster.Deleted{}, err
	}
	return d, nil
}

// mark adds a delete marker: a new version where versioning is enabled, else the null version.
func (n *name) mark(r *cluster.DeleteEntryRequest, d *cluster.Deleted) (err error) {
	d.Found = n.exists && !n.head.entry.deleteMarker()
	d.DeleteMarker = true
	d.Null = r.Versioning != cluster.VersioningEnabled
	e := cluster.Entry{DeleteMarker: true, Modified: r.Modified, Owner: r.Owner}
	d.Version, err = n.add(newHead(&e), d.Null)
	return err
}
