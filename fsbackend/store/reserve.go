package store

import (
	"errors"
	"io/fs"
	"path"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// The reserve is space that only a checkpoint may use. When one meets a full file system the file is removed and the checkpoint tried again at once, so that the log can be emptied and what
// gives space back can go on. Until the reserve is whole again, other updates get fault.NoSpace.

// reserveName is its file in the home's directory.
const reserveName = "reserve"

// maxReserveBytes bounds it: a checkpoint of a full memtable needs about as much as the memtable, twice with the pages above.
const maxReserveBytes = 16 << 20

// makeReserve makes the reserve unless it is there. It returns fault.NoSpace when there is no room for it.
func (s *Store) makeReserve() (err error) {
	fsys, dir := s.opts.FS, fsbackend.GenerationDir(s.opts.Dir, s.home)
	name := path.Join(dir, reserveName)
	size := min(s.opts.MemtableBytes, maxReserveBytes)
	info, err := fsys.Stat(name)
	if err == nil && info.Size == size {
		return nil
	}
	if err == nil { // an earlier try was cut short, or another size
		if err := fsys.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = fsys.Remove(name)
		}
	}()
	err = f.Allocate(0, size)
	if errors.Is(err, fault.NotSupported) {
		err = nil
		zeroes := make([]byte, 256<<10)
		for off := int64(0); off < size && err == nil; off += int64(len(zeroes)) {
			_, err = f.WriteAt(zeroes[:min(int64(len(zeroes)), size-off)], off)
		}
	}
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// restoreReserve brings the reserve back where there is room, and notes whether it is there. The error is any but fault.NoSpace.
func (s *Store) restoreReserve() error {
	err := s.makeReserve()
	full := errors.Is(err, fault.NoSpace)
	s.mu.Lock()
	changed := s.ckpt.reserve == full
	s.ckpt.reserve = !full && err == nil
	s.signalLocked()
	s.mu.Unlock()
	if full {
		if changed {
			s.log.Warn("the file system is full: only what gives space back is accepted", logkey.Error, err)
		}
		return nil
	}
	if err != nil {
		return fault.Wrap(openKind(err), err, "store: make the reserve")
	}
	return nil
}

// useReserve gives the reserve to the checkpoint that met a full file system, and reports whether there was one.
func (s *Store) useReserve() (bool, error) {
	s.mu.Lock()
	had := s.ckpt.reserve
	s.ckpt.reserve = false
	s.mu.Unlock()
	if !had {
		return false, nil
	}
	if err := s.removeReserve(s.home); err != nil {
		return false, err
	}
	s.log.Warn("the file system is full: a checkpoint uses the reserve")
	return true, nil
}

// removeReserve removes the reserve of a generation, if it has one.
func (s *Store) removeReserve(g uint64) error {
	dir := fsbackend.GenerationDir(s.opts.Dir, g)
	err := s.opts.FS.Remove(path.Join(dir, reserveName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.opts.FS.SyncDir(dir)
	}
	return fault.Wrap(fault.Unavailable, err, "store: remove the reserve of generation %d", g)
}
