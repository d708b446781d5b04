package store

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"ostor/fsbackend"
	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// dropSealed removes what generations before the home left and nobody needs any more, once a root of the home holds every record up to upTo: their logs, rings of roots and
// manifests, and their directories when nothing else is in them. Claims, notes, and files of other packages (tree-, pool-) are not its business.
//
// The own manifest still names the removed logs; recovery does not read those that lie below the newest root.
func (s *Store) dropSealed(upTo uint64) error {
	if s.opts.Anew {
		return nil
	}
	s.mu.Lock()
	first := s.ckpt.done <= 1 // the first checkpoint since Open
	sealed := s.sealed
	s.mu.Unlock()
	if len(sealed) > 0 && sealed[len(sealed)-1].Last > upTo {
		return nil
	}
	if !first && len(sealed) == 0 {
		return nil
	}
	gens, err := generations(s.opts.FS, s.opts.Dir)
	if err != nil {
		return fault.Wrap(openKind(err), err, "store: list generations of %s", s.opts.Dir)
	}
	if root := s.tree.Root(); root.Generation != s.home || root.LSN < upTo { // the ring of the home must be what counts
		return nil
	}
	own := s.opts.Owner.Generation()
	for _, g := range gens {
		if g >= own || g == s.home {
			continue
		}
		if err := s.check(); err != nil {
			return err
		}
		if err := s.removeGeneration(g); err != nil {
			return fault.Wrap(openKind(err), err, "store: clean up generation %d", g)
		}
	}
	s.mu.Lock()
	s.sealed = nil
	s.mu.Unlock()
	return nil
}

// removeGeneration removes the engine's files of an old generation, and its directory when it is empty then. The manifest goes last, so that a crash in between leaves
// a directory that still explains itself.
func (s *Store) removeGeneration(g uint64) error {
	dir := fsbackend.GenerationDir(s.opts.Dir, g)
	names, err := s.opts.FS.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mine := func(name string) bool {
		_, segment := redolog.ParseSegmentName(name)
		return segment || name == rootsName || name == reserveName
	}
	removed := 0
	for _, name := range names {
		if mine(name) {
			if err := s.opts.FS.Remove(path.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			removed++
		}
	}
	if removed > 0 {
		if err := s.opts.FS.SyncDir(dir); err != nil {
			return err
		}
		s.log.Info("removed logs of an old generation", logkey.Generation, g, logkey.Count, removed)
	}
	rest := slices.DeleteFunc(names, func(name string) bool {
		return mine(name) || name == fsbackend.ManifestName || name == fsbackend.OwnerName
	})
	if len(rest) > 0 {
		return nil
	}
	for _, name := range [...]string{fsbackend.OwnerName, fsbackend.ManifestName} {
		if err := s.opts.FS.Remove(path.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.opts.FS.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Debug("directory of an old generation stays", logkey.Generation, g, logkey.Error, err) // somebody made a file in it: not ours
		return nil
	}
	return s.opts.FS.SyncDir(path.Join(s.opts.Dir, fsbackend.GenDir))
}

// rootsName is the file of a tree's ring of roots (package btree).
const rootsName = "roots"
