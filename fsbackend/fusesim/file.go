package fusesim

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ostor/fsbackend/faultfs"
)

// file is an open file: the library's loopback file, decided for first, and with fdatasync passed on as what it is.
type file struct {
	*fs.LoopbackFile
	host *simHost
	in   *inode // nil when nothing is tracked
	name string // when it was opened
	boot uint64

	append bool
	mu     sync.Mutex // guards end
	end    int64      // with LostAppend: where this host believes the file to end
}

var (
	_ fs.FileReader    = (*file)(nil)
	_ fs.FileWriter    = (*file)(nil)
	_ fs.FileFsyncer   = (*file)(nil)
	_ fs.FileFlusher   = (*file)(nil)
	_ fs.FileReleaser  = (*file)(nil)
	_ fs.FileAllocater = (*file)(nil)
	_ fs.FileSetlker   = (*file)(nil)
	_ fs.FileSetlkwer  = (*file)(nil)
)

// wrap makes the library's open file ours.
func (n *node) wrap(fh fs.FileHandle, flags uint32, boot uint64, name string) (fs.FileHandle, uint32, syscall.Errno) {
	lf := fh.(*fs.LoopbackFile)
	f := &file{LoopbackFile: lf, host: n.host, name: name, boot: boot, append: flags&syscall.O_APPEND != 0}
	var fuseFlags uint32
	if n.host.sim.tracks() || f.append {
		fd, _ := lf.PassthroughFd()
		in, err := n.host.sim.inode(fd)
		if err != nil {
			_ = lf.Release(context.Background())
			return nil, 0, errnoFrom(err)
		}
		f.in = in
	}
	if f.append || n.host.sim.tracks() || n.host.sim.opts.DirectIO {
		fuseFlags = fuse.FOPEN_DIRECT_IO // of an appending file, because the kernel's idea of the end may be old
	}
	if f.append {
		in := f.in
		in.mu.Lock()
		f.end, _ = in.c.Size()
		in.mu.Unlock()
	}
	n.host.mu.Lock()
	n.host.files[f] = struct{}{}
	n.host.mu.Unlock()
	if f.in != nil && flags&syscall.O_TRUNC != 0 {
		if errno := f.in.truncate(n.host.number, 0); errno != fs.OK {
			_ = f.Release(context.Background())
			return nil, 0, errno
		}
	}
	return f, fuseFlags, fs.OK
}

// Release is never refused: there is nobody to tell.
func (f *file) Release(ctx context.Context) syscall.Errno {
	f.host.mu.Lock()
	delete(f.host.files, f)
	f.host.mu.Unlock()
	errno := f.LoopbackFile.Release(ctx)
	if f.in != nil {
		f.in.drop()
	}
	return errno
}

// Flush does nothing, at once: a process that is killed on a frozen host must be able to end.
func (f *file) Flush(context.Context) syscall.Errno { return fs.OK }

func (f *file) Read(ctx context.Context, buf []byte, off int64) (res fuse.ReadResult, errno syscall.Errno) {
	v, errno := f.host.enter(ctx, faultfs.OpRead, nil, f.name)
	switch {
	case errno != fs.OK:
		return nil, errno
	case v.errno != 0:
		return nil, v.errno
	}
	if errno := f.host.alive(f.boot); errno != fs.OK {
		return nil, errno
	}
	if f.in == nil && v.flip == 0 && !f.host.sim.opts.DirectIO {
		return f.LoopbackFile.Read(ctx, buf, off)
	}
	var n int
	if f.in != nil {
		n, errno = f.in.read(f.host.number, buf, off)
	} else {
		fd, _ := f.PassthroughFd()
		var err error
		n, err = syscall.Pread(fd, buf, off)
		errno = fs.ToErrno(err)
	}
	if errno != fs.OK {
		return nil, errno
	}
	for range v.flip {
		if n > 0 {
			buf[f.host.sim.intn(n)] ^= 1 << f.host.sim.intn(8)
		}
	}
	return fuse.ReadResultData(buf[:n]), fs.OK
}

// late returns what lands of a change when the caller is gone. It needs the file's inode, whatever becomes of the handle.
func (f *file) late(change func(in *inode) syscall.Errno) func() syscall.Errno {
	fd, ok := f.PassthroughFd()
	if !ok {
		return func() syscall.Errno { return syscall.EBADF }
	}
	in, err := f.host.sim.inode(fd)
	if err != nil {
		return func() syscall.Errno { return errnoFrom(err) }
	}
	return func() syscall.Errno {
		defer in.drop()
		return f.host.sim.land(func() syscall.Errno { return change(in) })
	}
}

func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	v, errno := f.host.enter(ctx, faultfs.OpWrite, func() func() syscall.Errno {
		kept := bytes.Clone(data)
		return f.late(func(in *inode) syscall.Errno { _, errno := in.write(f.host.number, kept, off); return errno })
	}, f.name)
	switch {
	case errno != fs.OK:
		return 0, errno
	case v.lie:
		return uint32(len(data)), fs.OK
	}
	f.host.sim.gate.RLock()
	defer f.host.sim.gate.RUnlock()
	if errno := f.host.alive(f.boot); errno != fs.OK {
		return 0, errno
	}
	if v.errno != 0 {
		f.part(data, off, v.land)
		return 0, v.errno
	}
	fits := f.host.spend(int64(len(data)))
	if fits == 0 && len(data) > 0 {
		return 0, syscall.ENOSPC
	}
	errno = f.put(data[:fits], off)
	if errno == fs.OK && fits < int64(len(data)) {
		errno = syscall.ENOSPC
	}
	if errno != fs.OK {
		return 0, errno
	}
	return uint32(len(data)), fs.OK
}

// part writes what a failing write leaves behind.
func (f *file) part(data []byte, off int64, land string) {
	switch land {
	case "whole":
		_ = f.put(data, off)
	case "short":
		_ = f.put(data[:min(len(data), f.host.sim.intn(len(data)/sector+1)*sector)], off)
	case "torn":
		for i := 0; i < len(data); {
			to := min(len(data), i+sector-int((off+int64(i))%sector))
			if f.host.sim.intn(2) == 0 {
				_ = f.put(data[i:to], off+int64(i))
			}
			i = to
		}
	}
}

// put writes; an appending file finds its own place.
func (f *file) put(data []byte, off int64) syscall.Errno {
	if f.in == nil {
		fd, ok := f.PassthroughFd()
		if !ok {
			return syscall.EBADF
		}
		for len(data) > 0 {
			n, err := syscall.Pwrite(fd, data, off)
			if err != nil {
				return fs.ToErrno(err)
			}
			data, off = data[n:], off+int64(n)
		}
		runtime.KeepAlive(f)
		return fs.OK
	}
	if !f.append {
		_, errno := f.in.write(f.host.number, data, off)
		return errno
	}
	at := int64(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.host.sim.opts.LostAppend {
		at = f.end
	}
	_, errno := f.in.write(f.host.number, data, at)
	if errno == fs.OK {
		f.end += int64(len(data))
	}
	return errno
}

// fsyncDatasync is the flag of FUSE_FSYNC for fdatasync(2) (fuse.h, FUSE_FSYNC_FDATASYNC).
const fsyncDatasync = 1

func (f *file) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	op, sync := faultfs.OpSync, unix.Fsync
	if flags&fsyncDatasync != 0 {
		op, sync = faultfs.OpDatasync, unix.Fdatasync
	}
	return f.host.run(ctx, f.boot, op, func() syscall.Errno {
		if f.in != nil {
			return f.in.sync(op == faultfs.OpDatasync)
		}
		fd, ok := f.PassthroughFd()
		if !ok {
			return syscall.EBADF
		}
		if f.host.sim.opts.FastSync {
			return fs.OK
		}
		err := sync(fd)
		runtime.KeepAlive(f) // the descriptor is closed with its last user
		return fs.ToErrno(err)
	}, nothing, f.name)
}

func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	op, lacks := faultfs.OpAllocate, f.host.sim.opts.NoFallocate
	if mode&unix.FALLOC_FL_PUNCH_HOLE != 0 {
		op, lacks = faultfs.OpPunch, f.host.sim.opts.NoPunchHole
	}
	if lacks {
		return syscall.EOPNOTSUPP
	}
	return f.host.run(ctx, f.boot, op, func() syscall.Errno {
		if op == faultfs.OpAllocate && f.host.spend(int64(size)) < int64(size) {
			return syscall.ENOSPC
		}
		if f.in != nil {
			return f.in.allocate(f.host.number, mode, int64(off), int64(size))
		}
		return f.LoopbackFile.Allocate(ctx, off, size, mode)
	}, func() func() syscall.Errno {
		return f.late(func(in *inode) syscall.Errno { return in.allocate(f.host.number, mode, int64(off), int64(size)) })
	}, f.name)
}

func (f *file) Setlk(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	if lk.Typ == syscall.F_UNLCK { // also when a process ends: it must not wait
		return f.LoopbackFile.Setlk(ctx, owner, lk, flags)
	}
	return f.host.run(ctx, f.boot, faultfs.OpLock, func() syscall.Errno { return f.LoopbackFile.Setlk(ctx, owner, lk, flags) }, nil, f.name)
}

// Setlkw asks again and again: a wait in the system could not be ended.
func (f *file) Setlkw(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	for {
		errno := f.Setlk(ctx, owner, lk, flags)
		if errno != syscall.EWOULDBLOCK && errno != syscall.EACCES {
			return errno
		}
		select {
		case <-ctx.Done():
			return syscall.EINTR
		case <-time.After(10 * time.Millisecond):
		}
	}
}
