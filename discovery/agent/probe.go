package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// Finding is what Probe found out about one property of a mount.
type Finding struct {
	What     string // the property
	Required bool   // ostor is not safe without it
	Err      error  // nil: the mount has it
	Without  string // what that means
}

// Probe tries, in a directory that exists, what ostor asks of a mount; name must be this host's own there. It leaves nothing behind. Whether other hosts see
// new names shows later, when agents ask each other.
func Probe(fsys fsbackend.FS, dir, name string) []Finding {
	file := dir + "/" + name
	_, _ = fsys.Remove(file), fsys.Remove(file+".2") // of an earlier probe that was cut off
	defer func() { _, _ = fsys.Remove(file), fsys.Remove(file+".2") }()
	f, err := fsys.Create(file)
	if err != nil {
		return []Finding{{"making a file", true, err, "nothing can be kept here"}}
	}
	defer func() { _ = f.Close() }()
	return []Finding{
		{"exclusive creation (O_EXCL)", true, probeExclusive(fsys, file), "two owners of one service would be possible"},
		{"visible new names", true, probeNewName(fsys, dir, name), "owners would not see each other"},
		{"fdatasync and fsync of directories", true, errors.Join(probeSync(f), fsys.SyncDir(dir)), "what is acknowledged could be lost"},
		{"renames", true, errors.Join(fsys.Rename(file, file+".2"), fsys.Rename(file+".2", file)), "the host of a service cannot be shown"},
		{"file locks", false, probeLocks(fsys, f, file), "one line of defence less; ownership does not rest on it"},
		{"preallocation (fallocate)", false, f.Allocate(0, 1<<20), "zeroes are written instead"},
		{"punching holes", false, f.PunchHole(0, 1<<16), "space of deleted objects comes back by moving and unlinking whole files"},
	}
}

func probeExclusive(fsys fsbackend.FS, file string) error {
	f, err := fsys.Create(file)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(fault.New(fault.NotSupported, "a file that exists was created again"), f.Close())
	}
	return err
}

func probeNewName(fsys fsbackend.FS, dir, name string) error {
	names, err := fsys.List(dir)
	if err == nil && !slices.Contains(names, name) {
		err = fault.New(fault.NotSupported, "a new name does not show in its directory")
	}
	return err
}

func probeSync(f fsbackend.File) error {
	want, got := []byte("ostor"), make([]byte, 5)
	if _, err := f.WriteAt(want, 4096); err != nil {
		return err
	}
	if err := errors.Join(f.Datasync(), f.Sync()); err != nil {
		return err
	}
	if _, err := f.ReadAt(got, 4096); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("read %q back, want %q: %w", got, want, err)
	}
	return nil
}

func probeLocks(fsys fsbackend.FS, f fsbackend.File, file string) error {
	if err := f.Lock(); err != nil {
		return err
	}
	second, err := fsys.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = second.Close() }()
	switch err := second.Lock(); {
	case errors.Is(err, fault.Exists):
		return nil
	case err == nil:
		return fault.New(fault.NotSupported, "two open files have the same lock")
	default:
		return err
	}
}
