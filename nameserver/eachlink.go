package nameserver

import (
	"context"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// EachLink calls fn for every object that a version, a part table or a running upload holds, in one durable state, with its name and its size; not for what is queued as garbage. It ends with the
// first error of fn. Entries that do not decode are passed over: Check reports them.
func (s *Server) EachLink(ctx context.Context, fn func(server cluster.ServiceID, h cluster.LinkHolder, size int64) error) error {
	n := 0
	return s.view(func(snap *store.Snapshot) error {
		ended, err := endedUploads(snap)
		if err != nil {
			return err
		}
		for _, tag := range [...]byte{tagHead, tagVersion, tagTable, tagPart} {
			err := scan(snap, []byte{tag}, func(k, v []byte) error {
				if n++; n%checkLinksEvery == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				bucket, key, rest, ok := splitName(k)
				if !ok {
					return nil
				}
				if v, err := getSeal(snap, bucket); err != nil || v.closed() {
					return err // being wiped
				}
				if tag == tagPart && len(rest) == 20 && ended[placeOf(bucket, key, [16]byte(rest[:16]))] {
					return nil
				}
				return eachOfValue(tag, v, func(l cluster.Link, version cluster.VersionID, part int32, size int64) error {
					return fn(l.Server, cluster.LinkHolder{Object: l.Object, Bucket: bucket, Key: key, Version: version, Part: part}, size)
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EachGuarded calls fn for every object that a guard holds, in one durable state: its upload may not have ended, so it may not be whole.
func (s *Server) EachGuarded(ctx context.Context, fn func(cluster.Link) error) error {
	n := 0
	return s.view(func(snap *store.Snapshot) error {
		return scan(snap, []byte{tagGuard}, func(k, _ []byte) error {
			if n++; n%checkLinksEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			l, ok := linkOfGuardKey(k)
			if !ok {
				return errShort
			}
			return fn(l)
		})
	})
}

// endedUploads returns the uploads and tables whose parts are on the garbage queue.
func endedUploads(r reader) (map[place]bool, error) {
	ended := map[place]bool{}
	err := scan(r, garbagePrefix(0), func(_, v []byte) error {
		if g, err := decodeGarbage(v); err == nil && g.kind == garbageUpload {
			ended[placeOf(g.bucket, g.key, g.id)] = true
		}
		return nil
	})
	return ended, err
}

// eachOfValue calls fn for the links of a value that are not zero.
func eachOfValue(tag byte, v []byte, fn func(l cluster.Link, version cluster.VersionID, part int32, size int64) error) error {
	var e rawEntry
	var parts []cluster.Part
	var err error
	switch tag {
	case tagHead:
		var h head
		h, err = decodeHead(v)
		e = h.entry
	case tagVersion:
		e, err = rawEntryOf(v)
	case tagTable:
		parts, err = decodeChunk(v, nil)
	case tagPart:
		parts = make([]cluster.Part, 1)
		parts[0], err = decodePart(v)
	}
	if fault.KindOf(err) == fault.Corrupt {
		return nil
	}
	if err != nil {
		return err
	}
	if e != nil {
		if l := e.content(); !l.IsZero() {
			return fn(l, e.version(), 0, e.size())
		}
	}
	for i := range parts {
		if p := &parts[i]; !p.Content.IsZero() {
			if err := fn(p.Content, cluster.VersionID{}, p.Number, p.Size); err != nil {
				return err
			}
		}
	}
	return nil
}
