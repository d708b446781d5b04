package memfs

import (
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
)

// file is an open file.
type file struct {
	fs       *FS
	n        *node
	name     string
	writable bool
	closed   atomic.Bool
}

func (f *file) Name() string { return f.name }

// usable is asked first by every operation.
func (f *file) usable(op string, toWrite bool, off, length int64) error {
	switch {
	case f.closed.Load():
		return pathError(op, f.name, fs.ErrClosed)
	case toWrite && !f.writable:
		return pathError(op, f.name, syscall.EBADF)
	case off < 0 || length < 0 || off+length < 0:
		return pathError(op, f.name, syscall.EINVAL)
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read", false, off, int64(len(p))); err != nil {
		return 0, err
	}
	f.fs.gate.RLock()
	defer f.fs.gate.RUnlock()
	f.n.mu.RLock()
	defer f.n.mu.RUnlock()
	if len(p) == 0 {
		return 0, nil
	}
	n := int(min(int64(len(p)), max(0, f.n.now.size-off)))
	f.n.now.read(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable("write", true, off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	return len(p), f.apply("write", fileOp{kind: opWrite, off: off, end: off + int64(len(p)), data: append([]byte(nil), p...)})
}

func (f *file) Truncate(size int64) error {
	if err := f.usable("truncate", true, size, 0); err != nil {
		return err
	}
	return f.apply("truncate", fileOp{kind: opTruncate, end: size})
}

func (f *file) Allocate(off, length int64) error {
	if err := f.usable("allocate", true, off, length); err != nil {
		return err
	}
	if length == 0 {
		return pathError("allocate", f.name, syscall.EINVAL)
	}
	return f.apply("allocate", fileOp{kind: opAllocate, off: off, end: off + length})
}

func (f *file) PunchHole(off, length int64) error {
	if err := f.usable("punch hole", true, off, length); err != nil {
		return err
	}
	if length == 0 {
		return pathError("punch hole", f.name, syscall.EINVAL)
	}
	return f.apply("punch hole", fileOp{kind: opPunch, off: off, end: off + length})
}

// apply changes the content and remembers the change until the next sync.
func (f *file) apply(op string, o fileOp) error {
	f.fs.gate.RLock()
	defer f.fs.gate.RUnlock()
	n := f.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if o.kind == opWrite || o.kind == opAllocate {
		more := n.now.missing(o.off, o.end-o.off)
		if err := f.fs.grow(more); err != nil {
			return pathError(op, f.name, err)
		}
		defer func(before int64) { f.fs.used.Add(n.now.pages - before - more) }(n.now.pages)
	} else {
		defer func(before int64) { f.fs.used.Add(n.now.pages - before) }(n.now.pages)
	}
	o.apply(n.now)
	n.since = append(n.since, o)
	n.bytes += int64(len(o.data))
	n.fold()
	return nil
}

func (f *file) Datasync() error { return f.sync("datasync") }

func (f *file) Sync() error { return f.sync("sync") }

func (f *file) sync(op string) error {
	if err := f.usable(op, false, 0, 0); err != nil {
		return err
	}
	call(&f.fs.beforeSync, op, f.name)
	f.settle()
	call(&f.fs.onSync, op, f.name)
	return nil
}

func (f *file) settle() {
	f.fs.gate.RLock()
	defer f.fs.gate.RUnlock()
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if len(f.n.since) > 0 {
		f.n.durable = f.n.now.snapshot()
		clear(f.n.since)
		f.n.since, f.n.bytes = f.n.since[:0], 0
	}
}

func (f *file) Size() (int64, error) {
	if err := f.usable("stat", false, 0, 0); err != nil {
		return 0, err
	}
	f.n.mu.RLock()
	defer f.n.mu.RUnlock()
	return f.n.now.size, nil
}

func (f *file) Lock() error {
	if err := f.usable("lock", false, 0, 0); err != nil {
		return err
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if f.n.lock != nil && f.n.lock != f {
		return pathError("lock", f.name, syscall.EWOULDBLOCK)
	}
	f.n.lock = f
	return nil
}

func (f *file) Close() error {
	if f.closed.Swap(true) {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if f.n.lock == f {
		f.n.lock = nil
	}
	f.n.opens--
	f.fs.free(f.n)
	return nil
}
