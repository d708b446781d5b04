package nameserver

import (
	"bytes"
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
)

// versionWalk is a walk over heads and noncurrent versions at once: both tables have the same order of names.
type versionWalk struct {
	*listing
	heads, olds *store.Iter
	oldOK       bool // olds stands on an entry
	page        *cluster.ListPage
}

// ListVersions implements [cluster.NameServer]. For the size of a page see List.
func (s *Server) ListVersions(ctx context.Context, r cluster.ListVersionsRequest) (page cluster.ListPage, err error) {
	l, err := newListing(r.Bucket, r.Prefix, r.Delimiter, r.KeyMarker, r.Limit)
	if err != nil {
		return page, err
	}
	err = s.view(func(snap *store.Snapshot) error {
		if err := s.checkOpen(snap, r.Bucket); err != nil {
			return err
		}
		headLo, headHi := l.bounds(tagHead, r.KeyMarker)
		oldLo, oldHi := l.bounds(tagVersion, r.KeyMarker)
		within := !r.VersionMarker.IsZero() && l.within(r.KeyMarker) // the page begins inside the versions of a key
		if within {
			headLo = appendName(nil, tagHead, r.Bucket, r.KeyMarker)
			oldLo = append(versionKey(r.Bucket, r.KeyMarker, r.VersionMarker), 0)
		}
		if bytes.Compare(headLo, headHi) >= 0 {
			return nil
		}
		w := versionWalk{listing: l, heads: snap.Iter(headLo, headHi), olds: snap.Iter(oldLo, oldHi), page: &page}
		defer w.heads.Close()
		defer w.olds.Close()
		w.oldOK = w.olds.Next()
		ok := w.heads.Next()
		for n := 1; ok; n++ {
			if n%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			_, key, _, valid := splitName(w.heads.Key())
			if !valid {
				return errShort
			}
			if cp := l.commonPrefix(key); cp != "" {
				if l.full() {
					page.More = true
					return nil
				}
				page.Prefixes, page.Next, page.NextVersion = append(page.Prefixes, cp), cp, cluster.VersionID{}
				l.add(len(cp))
				ok = seekNext(w.heads, l.pastPrefix(tagHead, cp))
				if past := l.pastPrefix(tagVersion, cp); w.oldOK && bytes.Compare(w.olds.Key(), past) < 0 {
					w.oldOK = seekNext(w.olds, past)
				}
				continue
			}
			h, err := decodeHead(w.heads.Value())
			if err != nil {
				return err
			}
			if !within || key != r.KeyMarker || h.entry.version().Compare(r.VersionMarker) < 0 {
				if done, err := w.emit(h.entry, key, true); done || err != nil {
					return err
				}
			}
			if done, err := w.emitOlds(ctx, key); done || err != nil {
				return err
			}
			ok = w.heads.Next()
		}
		if err := w.olds.Err(); err != nil {
			return err
		}
		return w.heads.Err()
	})
	return finish(page, err)
}

// within reports whether a marker is a name that a page lists by itself.
func (l *listing) within(marker string) bool {
	return len(marker) >= len(l.prefix) && marker[:len(l.prefix)] == l.prefix && marker != "" && l.commonPrefix(marker) == ""
}

// emit adds a version to the page; done when the page is full without it.
func (w *versionWalk) emit(raw rawEntry, key string, latest bool) (done bool, err error) {
	if w.full() {
		w.page.More = true
		return true, nil
	}
	e, err := decodeEntry(raw, key, detailList)
	if err != nil {
		return false, err
	}
	e.Latest = latest
	w.page.Entries, w.page.Next, w.page.NextVersion = append(w.room(w.page.Entries), e), key, e.Version
	w.add(listedBytes(&e))
	return false, nil
}

// emitOlds adds the noncurrent versions of the name that heads stands on.
func (w *versionWalk) emitOlds(ctx context.Context, key string) (done bool, err error) {
	name := w.heads.Key()[1:]
	for n := 1; w.oldOK; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		k := w.olds.Key()[1:]
		if !bytes.HasPrefix(k, name) {
			if bytes.Compare(k, name) > 0 {
				return false, nil
			}
			w.oldOK = w.olds.Next()
			continue
		}
		raw, err := rawEntryOf(w.olds.Value())
		if err != nil {
			return false, err
		}
		if done, err := w.emit(raw, key, false); done || err != nil {
			return done, err
		}
		w.oldOK = w.olds.Next()
	}
	return false, nil
}
