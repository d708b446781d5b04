package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
)

// Inspected is what Inspect found of the store of a service.
type Inspected struct {
	Manifest *Manifest         // newest that is valid; nil when there is none
	Root     btree.Root        // that counts
	Last     uint64            // LSN of the last record
	Segments []redolog.Segment // with records above the root, oldest first
	Files    []redolog.Segment // all segments of the home
}

// Inspect looks at a service's directory as recovery does, without writing: newest manifest, newest root, then the records above it in order, which it hands to fn (may be
// nil). Damage goes to damage, and Inspect goes on where it can. Nobody need own the service; while somebody does, what it sees may be
// halfway.
func Inspect(ctx context.Context, fsys fsbackend.FS, dir string, fn func(*redolog.Record) error, damage func(error)) (in Inspected, err error) {
	gens, err := generations(fsys, dir)
	if err != nil {
		return in, err
	}
	for _, g := range slices.Backward(gens) {
		m, err := ReadManifest(fsys, dir, g)
		if err == nil {
			in.Manifest = m
			break
		}
		names, lerr := fsys.List(fsbackend.GenerationDir(dir, g))
		if lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
			return in, lerr
		}
		if slices.ContainsFunc(names, madeByStore) {
			damage(fault.Wrap(fault.Corrupt, err, "generation %d has files but no valid manifest", g))
		}
	}
	if in.Manifest == nil {
		return in, nil
	}
	return in, in.read(ctx, fsys, dir, fn, damage)
}

// madeByStore says whether a file needs the manifest of its generation: log, ring and reserve go before it when a generation is cleaned up.
func madeByStore(name string) bool {
	_, segment := redolog.ParseSegmentName(name)
	return segment || name == rootsName || name == reserveName
}

// read reads root and log of the home.
func (in *Inspected) read(ctx context.Context, fsys fsbackend.FS, dir string, fn func(*redolog.Record) error, damage func(error)) error {
	m := in.Manifest
	root, ok, err := btree.NewestRoot(fsys, dir, m.Home)
	if err != nil {
		return err
	}
	if in.Root = m.Base; ok && root.LSN >= m.Base.LSN {
		in.Root = root
	}
	in.Last = in.Root.LSN
	apply := func(rec *redolog.Record) error {
		if rec.LSN <= in.Root.LSN || fn == nil {
			return nil
		}
		return fn(rec)
	}
	for _, seg := range m.Sealed {
		if seg.Last <= in.Root.LSN {
			continue
		}
		if err := seg.ReadSealed(fsys, apply); err != nil {
			damage(err)
			continue
		}
		in.Last = max(in.Last, seg.Last)
		in.Segments = append(in.Segments, seg)
	}
	in.Files, err = redolog.List(fsys, fsbackend.GenerationDir(dir, m.Home), m.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		damage(err)
		return nil
	}
	if len(in.Files) == 0 && in.Root == m.Base {
		if err := logLost(fsys, fsbackend.GenerationDir(dir, m.Home)); err != nil {
			damage(err)
		}
	}
	segs, err := redolog.Relevant(in.Files, in.Last)
	if err != nil {
		damage(err)
		return nil
	}
	for i := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		seg := &segs[i]
		if err := seg.Read(fsys, 0, in.Root.LSN, apply); err != nil {
			if !errors.Is(err, fault.Corrupt) {
				return err
			}
			damage(err)
			return nil
		}
		if i+1 < len(segs) && seg.Last+1 != segs[i+1].Header.First {
			damage(&fault.Corruption{File: seg.Name(), Offset: seg.End, What: "log segment", Want: "records up to LSN " + strconv.FormatUint(segs[i+1].Header.First-1, 10),
				Got: "up to LSN " + strconv.FormatUint(seg.Last, 10)})
			return nil
		}
		if seg.Last > in.Root.LSN {
			in.Segments = append(in.Segments, *seg)
			in.Last = max(in.Last, seg.Last)
		}
	}
	if err := redolog.CheckUnused(fsys, in.Files, m.Home, in.Last); err != nil {
		damage(err)
	}
	return nil
}
