package faultfs

import (
	"io/fs"
	"syscall"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

const sector = 512 // what a disk writes whole

// Create implements fsbackend.FS.
func (f *FS) Create(name string) (fsbackend.File, error) {
	return f.open(OpCreate, "create", name, f.under.Create)
}

// Open implements fsbackend.FS.
func (f *FS) Open(name string) (fsbackend.File, error) {
	return f.open(OpOpen, "open", name, f.under.Open)
}

// OpenRead implements fsbackend.FS.
func (f *FS) OpenRead(name string) (fsbackend.File, error) {
	return f.open(OpOpen, "open", name, f.under.OpenRead)
}

func (f *FS) open(op Op, verb, name string, open func(string) (fsbackend.File, error)) (fsbackend.File, error) {
	var h fsbackend.File
	err := f.do(op, verb, name, func() (err error) { h, err = open(name); return err })
	if err == nil && h == nil { // a lie about a descriptor cannot be told
		h, err = open(name)
	}
	if err != nil {
		if h != nil {
			_ = h.Close()
		}
		return nil, err
	}
	return &file{fs: f, under: h}, nil
}

// Rename implements fsbackend.FS.
func (f *FS) Rename(from, to string) error {
	return f.do(OpRename, "rename", from, func() error { return f.under.Rename(from, to) }, to)
}

// Remove implements fsbackend.FS.
func (f *FS) Remove(name string) error {
	return f.do(OpRemove, "remove", name, func() error { return f.under.Remove(name) })
}

// MkdirAll implements fsbackend.FS.
func (f *FS) MkdirAll(name string) error {
	return f.do(OpMkdir, "mkdir", name, func() error { return f.under.MkdirAll(name) })
}

// List implements fsbackend.FS.
func (f *FS) List(dir string) (names []string, err error) {
	err = f.do(OpList, "list", dir, func() (err error) { names, err = f.under.List(dir); return err })
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Stat implements fsbackend.FS.
func (f *FS) Stat(name string) (in fsbackend.Info, err error) {
	err = f.do(OpStat, "stat", name, func() (err error) { in, err = f.under.Stat(name); return err })
	return in, err
}

// SyncDir implements fsbackend.FS.
func (f *FS) SyncDir(dir string) error {
	return f.do(OpSyncDir, "sync directory", dir, func() error { return f.under.SyncDir(dir) })
}

type file struct {
	fs    *FS
	under fsbackend.File
}

func (f *file) Name() string { return f.under.Name() }

func (f *file) Datasync() error {
	return f.fs.do(OpDatasync, "datasync", f.Name(), f.under.Datasync)
}

func (f *file) Sync() error { return f.fs.do(OpSync, "sync", f.Name(), f.under.Sync) }

func (f *file) Size() (n int64, err error) {
	err = f.fs.do(OpSize, "stat", f.Name(), func() (err error) { n, err = f.under.Size(); return err })
	return n, err
}

func (f *file) Truncate(size int64) error {
	return f.fs.do(OpTruncate, "truncate", f.Name(), func() error { return f.under.Truncate(size) })
}

func (f *file) Allocate(off, length int64) error {
	return f.fs.do(OpAllocate, "allocate", f.Name(), func() error {
		if f.fs.spend(length) < length {
			return noSpace("allocate", f.Name())
		}
		return f.under.Allocate(off, length)
	})
}

func (f *file) PunchHole(off, length int64) error {
	return f.fs.do(OpPunch, "punch hole", f.Name(), func() error { return f.under.PunchHole(off, length) })
}

func (f *file) Lock() error { return f.fs.do(OpLock, "lock", f.Name(), f.under.Lock) }

func (f *file) Close() error { return f.under.Close() }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	r := f.fs.hit(OpRead, f.Name())
	if r == nil {
		return f.under.ReadAt(p, off)
	}
	if r.Then != nil {
		defer r.Then()
	}
	if r.Delay > 0 {
		time.Sleep(r.Delay)
	}
	switch {
	case r.Stuck != nil:
		var n int
		err := r.Stuck.hold(r, r.failure("read", f.Name()), func() (err error) {
			if r.Stuck.Hang { // else the caller has its error and its buffer back
				n, err = f.under.ReadAt(p, off)
			}
			return err
		})
		return n, err
	case r.passes() || r.Lie:
		n, err := f.under.ReadAt(p, off)
		f.fs.flip(p[:n], r.Flip)
		return n, err
	}
	n := 0
	if r.Land == Whole || r.Land == Short && len(p) > 0 {
		n, _ = f.under.ReadAt(p, off)
		if r.Land == Short {
			n = f.fs.intn(n + 1)
		}
	}
	return n, r.failure("read", f.Name())
}

// flip flips bits of p at random.
func (f *FS) flip(p []byte, bits int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range bits {
		if len(p) > 0 {
			p[f.rnd.IntN(len(p))] ^= 1 << f.rnd.IntN(8)
		}
	}
}

func (f *FS) intn(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rnd.IntN(n)
}

// spend takes up to n bytes from the budget and returns how many there were.
func (f *FS) spend(n int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.budget < 0 {
		return n
	}
	n = min(n, f.budget)
	f.budget -= n
	return n
}

func noSpace(op, name string) error {
	return &fault.Error{Kind: fault.NoSpace, Err: &fs.PathError{Op: op, Path: name, Err: syscall.ENOSPC}}
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	r := f.fs.hit(OpWrite, f.Name())
	if r == nil {
		return f.write(p, off)
	}
	if r.Then != nil {
		defer r.Then()
	}
	if r.Delay > 0 {
		time.Sleep(r.Delay)
	}
	failure := r.failure("write", f.Name())
	switch {
	case r.passes():
		return f.write(p, off)
	case r.Lie:
		return len(p), nil
	case r.Stuck != nil:
		kept := append([]byte(nil), p...) // the caller may use its buffer again before the write lands
		n := 0
		err := r.Stuck.hold(r, failure, func() error {
			m, err := f.under.WriteAt(kept, off)
			if r.Stuck.Hang {
				n = m
			}
			return err
		})
		return n, err
	}
	n := 0
	switch r.Land {
	case Whole:
		_, _ = f.under.WriteAt(p, off)
	case Short:
		n = min(len(p), f.fs.intn(len(p)/sector+1)*sector)
		_, _ = f.under.WriteAt(p[:n], off)
	case Torn:
		for i := 0; i < len(p); {
			to := min(len(p), i+sector-int((off+int64(i))%sector))
			if f.fs.intn(2) == 0 {
				_, _ = f.under.WriteAt(p[i:to], off+int64(i))
			}
			i = to
		}
	}
	return n, failure
}

// write writes what the budget allows.
func (f *file) write(p []byte, off int64) (int, error) {
	fits := f.fs.spend(int64(len(p)))
	if fits == int64(len(p)) {
		return f.under.WriteAt(p, off)
	}
	n, err := f.under.WriteAt(p[:fits], off)
	if err == nil {
		err = noSpace("write", f.Name())
	}
	return n, err
}
