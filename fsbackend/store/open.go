package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Recovery. Invariants:
//
//  1. The newest generation with a durable manifest is where this one starts. (Without one, a generation wrote nothing of account.)
//  2. Files of another generation are read, never written, unless they are inherited. They are synced before what they say counts, and what
//     arrives in them after they were sealed is not looked at: the manifest names root, segments, lengths and checksums.
//  3. The own manifest is durable before any other file is made or written, and the owner is checked after it and before anything is served.

// found is what recovery read.
type found struct {
	manifest Manifest          // to write
	existing []redolog.Segment // of the inherited home; nil otherwise
	mem      *memtable         // records above root
	root     btree.Root        // newest
	last     uint64            // LSN of the newest record
}

// Open recovers the store in opts.Dir for its owner, who may open it once: the newest root, then the log. Old generations' files are sealed. It returns fault.Corrupt when
// durable records are damaged, fault.Stale when ownership is lost meanwhile, fault.NoSpace when there is no room for the first files.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts, log: opts.Logger.With("component", "store"), check: opts.Owner.Check, changed: make(chan struct{})}
	r, err := s.recover(ctx)
	if err != nil {
		return nil, fault.Wrap(openKind(err), err, "store: recover %s", opts.Dir)
	}
	s.home, s.sealed = r.manifest.Home, r.manifest.Sealed
	if opts.Anew {
		err = r.manifest.makeDir(opts.FS, opts.Dir)
	} else {
		err = r.manifest.write(opts.FS, opts.Dir)
	}
	if err != nil {
		return nil, s.openFailed(fault.Wrap(openKind(err), err, "store: write the manifest of generation %d", r.manifest.Generation))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.start(ctx, r); err != nil {
		return nil, s.openFailed(fault.Wrap(openKind(err), err, "store: start in %s", fsbackend.GenerationDir(opts.Dir, s.home)))
	}
	if err := s.check(); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	s.log.Info("store is open", logkey.Generation, r.manifest.Generation, "home", s.home, logkey.LSN, r.last, "root_lsn", r.root.LSN, logkey.Count, r.mem.tree.Len())
	return s, nil
}

// openFailed tells the owner of an error in writing: there must be no clean release. A full file system is no such error.
func (s *Store) openFailed(err error) error {
	if !errors.Is(err, fault.NoSpace) {
		s.opts.Owner.Fail(err)
	}
	return err
}

// openKind keeps the kind of an error that has one; others are Unavailable.
func openKind(err error) fault.Kind {
	if k := fault.KindOf(err); k != fault.Other {
		return k
	}
	if errors.Is(err, fault.NoSpace) {
		return fault.NoSpace
	}
	return fault.Unavailable
}

// start opens tree and log and begins to serve.
func (s *Store) start(ctx context.Context, r *found) (err error) {
	o := &s.opts
	for i := range r.manifest.Sealed { // room for the own first files, also when the file system is full
		if g := r.manifest.Sealed[i].Header.Home; g != s.home {
			if err := s.removeReserve(g); err != nil {
				return err
			}
		}
	}
	s.tree, err = btree.Open(ctx, btree.Options{FS: o.FS, Dir: o.Dir, Home: s.home, Base: r.manifest.Base, CacheBytes: o.CacheBytes, Check: s.check, Keep: o.Anew, Logger: o.Logger})
	if err != nil {
		return err
	}
	if got := s.tree.Root(); got != r.root {
		_ = s.tree.Close()
		return fault.New(fault.Corrupt, "tree is at LSN %d, recovery saw LSN %d", got.LSN, r.root.LSN)
	}
	s.live = s.newTreeRef()
	s.active = r.mem
	s.published = state{lsn: r.last, epoch: r.mem.epoch, tree: s.live}
	if r.mem.tree.Len() > 0 {
		s.published.active = r.mem.tree.Copy()
	}
	s.live.refs.Add(1)
	s.ckpt.kick = make(chan struct{}, 1)
	s.ckpt.stop, s.ckpt.cancel = context.WithCancel(context.Background())
	s.redo, err = redolog.Open(ctx, redolog.Options{FS: o.FS, Dir: fsbackend.GenerationDir(o.Dir, s.home), Home: s.home, Generation: o.Owner.Generation(),
		SegmentBytes: o.SegmentBytes, MaxSegments: int(max(o.LogBytes/o.SegmentBytes, 4)) + 1, Next: r.last + 1, Existing: r.existing, Obsolete: r.root.LSN,
		Mu: &s.mu, OnCut: s.onCut, OnDurable: s.onDurable, OnFail: s.fail, Check: s.check, Logger: o.Logger, MaxDelay: o.MaxDelay, LazyDelay: o.LazyDelay})
	if err != nil {
		s.ckpt.cancel()
		_ = s.tree.Close()
		return err
	}
	if err := s.restoreReserve(); err != nil {
		s.ckpt.cancel()
		_ = s.redo.Close(ctx)
		_ = s.tree.Close()
		return err
	}
	s.mu.Lock()
	s.maybeFreezeLocked()
	if !s.ckpt.reserve {
		s.ckpt.wake()
	}
	s.mu.Unlock()
	s.ckpt.wg.Add(1)
	go s.checkpointLoop()
	return nil
}

// generations returns those that have a directory, ascending.
func generations(fsys fsbackend.FS, dir string) ([]uint64, error) {
	names, err := fsys.List(path.Join(dir, fsbackend.GenDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var gens []uint64
	for _, name := range names {
		if g, err := strconv.ParseUint(name, 10, 64); err == nil && name == fsbackend.GenerationName(g) && g > 0 {
			gens = append(gens, g)
		}
	}
	slices.Sort(gens)
	return gens, nil
}

// newestManifest returns the newest durable manifest below a generation, nil when there is none. One that is damaged does not count when it was torn: its
// generation then made no other file.
func newestManifest(fsys fsbackend.FS, dir string, below uint64) (*Manifest, error) {
	gens, err := generations(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(gens) {
		if g >= below {
			continue
		}
		m, err := ReadManifest(fsys, dir, g)
		if err == nil {
			return m, nil
		}
		damaged := errors.Is(err, fault.Corrupt)
		if !damaged && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		names, listErr := fsys.List(fsbackend.GenerationDir(dir, g))
		if listErr != nil {
			return nil, listErr
		}
		if slices.ContainsFunc(names, writtenAfterManifest) {
			return nil, fault.Wrap(fault.Corrupt, err, "generation %d has files but no valid manifest", g)
		}
	}
	return nil, nil
}

// writtenAfterManifest says whether only a generation with a durable manifest makes a file of this name.
func writtenAfterManifest(name string) bool {
	_, segment := redolog.ParseSegmentName(name)
	return segment || name == rootsName || name == reserveName || strings.HasPrefix(name, "tree-") || strings.HasPrefix(name, "pool-")
}

// recover reads what is there and decides where to go on.
func (s *Store) recover(ctx context.Context) (*found, error) {
	o := &s.opts
	own := o.Owner.Generation()
	r := &found{mem: newMemtable(1), manifest: Manifest{Generation: own, Home: own, First: 1}}
	if o.Anew {
		return r, nil
	}
	prior, err := newestManifest(o.FS, o.Dir, own)
	if err != nil || prior == nil {
		return r, err
	}
	if g, ok := o.Owner.Inherits(); ok && g == prior.Generation {
		if err := s.readHome(ctx, prior, nil, r); err != nil {
			return nil, err
		}
		r.manifest.Home, r.manifest.Base, r.manifest.First = prior.Home, prior.Base, r.last+1
		r.existing, r.manifest.Sealed = splitHome(r.manifest.Sealed, prior.Home)
		known := r.existing
		if r.existing, err = redolog.List(o.FS, fsbackend.GenerationDir(o.Dir, prior.Home), prior.Home); err != nil {
			return nil, err
		}
		for i := range r.existing {
			for j := range known {
				if known[j].Number == r.existing[i].Number {
					r.existing[i] = known[j]
				}
			}
		}
		if r.root.Generation == prior.Home { // the pinned base must not ask for logs that are gone
			r.manifest.Base = r.root
		}
		return r, nil
	}
	if err := s.seal(ctx, prior, r); err != nil {
		return nil, err
	}
	r.manifest.Base, r.manifest.First = r.root, r.last+1
	return r, nil
}

// splitHome separates the segments of a home from older ones.
func splitHome(segs []redolog.Segment, home uint64) (own, older []redolog.Segment) {
	for _, seg := range segs {
		if seg.Header.Home == home {
			own = append(own, seg)
		} else {
			older = append(older, seg)
		}
	}
	return own, older
}

// newestRoot returns the root that counts for a manifest.
func (s *Store) newestRoot(m *Manifest) (btree.Root, error) {
	root, ok, err := btree.NewestRoot(s.opts.FS, s.opts.Dir, m.Home)
	if err != nil {
		return root, err
	}
	if !ok || root.LSN < m.Base.LSN {
		return m.Base, nil
	}
	return root, nil
}

const sealTries = 16

// seal makes what the prior owner left durable and reads it again: accepted is at most what was seen before the sync, and only while the root
// stays the same.
func (s *Store) seal(ctx context.Context, prior *Manifest, r *found) error {
	for range sealTries {
		first := &found{mem: nil, manifest: r.manifest}
		if err := s.readHome(ctx, prior, nil, first); err != nil {
			return err
		}
		if err := s.syncOld(prior.Home); err != nil {
			return err
		}
		limits := make(map[uint64]int64, len(first.manifest.Sealed))
		for _, seg := range first.manifest.Sealed {
			if seg.Header.Home == prior.Home {
				limits[seg.Number] = seg.End
			}
		}
		again := &found{mem: newMemtable(1), manifest: r.manifest}
		if err := s.readHome(ctx, prior, limits, again); err != nil {
			return err
		}
		if again.root == first.root {
			*r = *again
			return nil
		}
	}
	return fault.New(fault.Unavailable, "the root of generation %d keeps changing: its owner is alive", prior.Generation)
}

// syncOld makes every file that a home's owner wrote durable, as far as it arrived.
func (s *Store) syncOld(home uint64) error {
	dir := fsbackend.GenerationDir(s.opts.Dir, home)
	names, err := s.opts.FS.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if !writtenAfterManifest(name) || strings.HasPrefix(name, "pool-") { // pools are sealed by their owner
			continue
		}
		f, err := s.opts.FS.OpenRead(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// readHome reads root and log of a manifest's home into r: root, last, the segments above the root (in r.manifest.Sealed) and, unless r.mem is nil, their
// records. limits, by file number, bounds what counts of the home's own segments; nil = no bounds.
func (s *Store) readHome(ctx context.Context, m *Manifest, limits map[uint64]int64, r *found) (err error) {
	if r.root, err = s.newestRoot(m); err != nil {
		return err
	}
	r.last, r.manifest.Sealed = r.root.LSN, nil
	apply := func(*redolog.Record) error { return nil }
	if r.mem != nil {
		in := newReplayer(s, r.mem)
		defer in.wait()
		apply = func(rec *redolog.Record) error {
			if rec.LSN <= r.root.LSN {
				return nil
			}
			return in.add(rec)
		}
	}
	for _, seg := range m.Sealed {
		if seg.Last <= r.root.LSN {
			continue
		}
		if err := seg.ReadSealed(s.opts.FS, apply); err != nil {
			return err
		}
		r.last = max(r.last, seg.Last)
		r.manifest.Sealed = append(r.manifest.Sealed, seg)
	}
	dir := fsbackend.GenerationDir(s.opts.Dir, m.Home)
	all, err := redolog.List(s.opts.FS, dir, m.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the manifest was all that its generation made
	}
	if err != nil {
		return err
	}
	if len(all) == 0 && r.root == m.Base {
		if err := logLost(s.opts.FS, dir); err != nil {
			return err
		}
	}
	segs, err := redolog.Relevant(all, r.last)
	if err != nil {
		return err
	}
	for i := range segs {
		if _, known := limits[segs[i].Number]; limits != nil && !known { // it appeared after the first look: neither it nor what it says about the end of the one before counts
			segs = segs[:i]
			break
		}
	}
	for i := range segs {
		if err := ctx.Err(); err != nil {
			return err
		}
		seg := &segs[i]
		if err := seg.Read(s.opts.FS, limits[seg.Number], r.root.LSN, apply); err != nil {
			return err
		}
		if i+1 < len(segs) && seg.Last+1 != segs[i+1].Header.First {
			return &fault.Corruption{File: seg.Name(), Offset: seg.End, What: "log segment", Want: "records up to LSN " + strconv.FormatUint(segs[i+1].Header.First-1, 10),
				Got: "up to LSN " + strconv.FormatUint(seg.Last, 10)}
		}
		if seg.Last > r.root.LSN {
			r.manifest.Sealed = append(r.manifest.Sealed, *seg)
			r.last = max(r.last, seg.Last)
		}
	}
	if limits != nil {
		return nil // the first look has done it
	}
	return redolog.CheckUnused(s.opts.FS, all, m.Home, r.last)
}

// logLost returns fault.Corrupt when the directory of a home without a root and without a log has files that are made only while there is a log.
func logLost(fsys fsbackend.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == reserveName || strings.HasPrefix(name, "tree-") || strings.HasPrefix(name, "pool-") {
			return &fault.Corruption{File: path.Join(dir, redolog.SegmentName(1)), What: "log segment", Want: "a log, since there is " + name, Got: "none"}
		}
	}
	return nil
}
