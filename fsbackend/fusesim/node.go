package fusesim

import (
	"context"
	"path"
	"runtime"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ostor/fsbackend/faultfs"
)

// simHost is one mount.
type simHost struct {
	number    int
	intercept func(host int, op faultfs.Op, name string) syscall.Errno
}

func (h *simHost) ask(op faultfs.Op, name string) syscall.Errno {
	if h.intercept == nil {
		return fs.OK
	}
	return h.intercept(h.number, op, name)
}

// node is a file or directory of a mount: the library's loopback node, with every operation asked for first.
type node struct {
	*fs.LoopbackNode
	host *simHost
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
)

// WrapChild makes the library's new nodes ours.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: ops.(*fs.LoopbackNode), host: n.host}
}

// name returns the path of the node below the source, or of a child of it.
func (n *node) name(child ...string) string {
	return path.Join(append([]string{n.Path(n.Root())}, child...)...)
}

// ask asks for an operation on the node or on a child of it.
func (n *node) ask(op faultfs.Op, child ...string) syscall.Errno {
	if n.host.intercept == nil {
		return fs.OK // without the cost of the name
	}
	return n.host.ask(op, n.name(child...))
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.ask(faultfs.OpStat, name); errno != fs.OK {
		return nil, errno
	}
	return n.LoopbackNode.Lookup(ctx, name, out)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.ask(faultfs.OpCreate, name); errno != fs.OK {
		return nil, nil, 0, errno
	}
	inode, fh, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	return inode, n.wrap(fh, name), fuseFlags, fs.OK
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.ask(faultfs.OpOpen); errno != fs.OK {
		return nil, 0, errno
	}
	fh, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	return n.wrap(fh), fuseFlags, fs.OK
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.ask(faultfs.OpMkdir, name); errno != fs.OK {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.ask(faultfs.OpRemove, name); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	if errno := n.ask(faultfs.OpRemove, name); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Rmdir(ctx, name)
}

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.ask(faultfs.OpRename, name); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, newParent, newName, flags)
}

func (n *node) Getattr(ctx context.Context, fh fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.ask(faultfs.OpStat); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Getattr(ctx, fh, out)
}

func (n *node) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.ask(faultfs.OpTruncate); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Setattr(ctx, fh, in, out)
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.ask(faultfs.OpList); errno != fs.OK {
		return nil, 0, errno
	}
	fh, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	return &dir{stream: fh.(dirStream), n: n}, fuseFlags, fs.OK
}

// dirStream is what the library's directory handle can do.
type dirStream interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
	fs.FileFsyncdirer
}

// dir is an open directory.
type dir struct {
	stream dirStream
	n      *node
}

func (d *dir) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	return d.stream.Readdirent(ctx)
}

func (d *dir) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	return d.stream.Seekdir(ctx, off)
}

func (d *dir) Releasedir(ctx context.Context, flags uint32) { d.stream.Releasedir(ctx, flags) }

func (d *dir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if errno := d.n.ask(faultfs.OpSyncDir); errno != fs.OK {
		return errno
	}
	return d.stream.Fsyncdir(ctx, flags)
}

// file is an open file: the library's loopback file, asked for first, and with fdatasync passed on as what it is.
type file struct {
	*fs.LoopbackFile
	host *simHost
	name string // when it was opened
}

var (
	_ fs.FileReader    = (*file)(nil)
	_ fs.FileWriter    = (*file)(nil)
	_ fs.FileFsyncer   = (*file)(nil)
	_ fs.FileAllocater = (*file)(nil)
	_ fs.FileSetlker   = (*file)(nil)
)

func (n *node) wrap(fh fs.FileHandle, child ...string) fs.FileHandle {
	f := &file{LoopbackFile: fh.(*fs.LoopbackFile), host: n.host}
	if n.host.intercept != nil {
		f.name = n.name(child...)
	}
	return f
}

func (f *file) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.host.ask(faultfs.OpRead, f.name); errno != fs.OK {
		return nil, errno
	}
	return f.LoopbackFile.Read(ctx, buf, off)
}

func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := f.host.ask(faultfs.OpWrite, f.name); errno != fs.OK {
		return 0, errno
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

// fsyncDatasync is the flag of FUSE_FSYNC for fdatasync(2) (fuse.h, FUSE_FSYNC_FDATASYNC).
const fsyncDatasync = 1

func (f *file) Fsync(_ context.Context, flags uint32) syscall.Errno {
	op, sync := faultfs.OpSync, unix.Fsync
	if flags&fsyncDatasync != 0 {
		op, sync = faultfs.OpDatasync, unix.Fdatasync
	}
	if errno := f.host.ask(op, f.name); errno != fs.OK {
		return errno
	}
	fd, ok := f.PassthroughFd()
	if !ok {
		return syscall.EBADF
	}
	err := sync(fd)
	runtime.KeepAlive(f) // the descriptor is closed with its last user
	return fs.ToErrno(err)
}

func (f *file) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	op := faultfs.OpAllocate
	if mode&unix.FALLOC_FL_PUNCH_HOLE != 0 {
		op = faultfs.OpPunch
	}
	if errno := f.host.ask(op, f.name); errno != fs.OK {
		return errno
	}
	return f.LoopbackFile.Allocate(ctx, off, size, mode)
}

func (f *file) Setlk(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	if errno := f.host.ask(faultfs.OpLock, f.name); errno != fs.OK {
		return errno
	}
	return f.LoopbackFile.Setlk(ctx, owner, lk, flags)
}
