package fusesim

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ostor/fsbackend/faultfs"
)

// node is a file or directory of a mount: the library's loopback node, with every operation decided by the host first and noted by the simulator.
type node struct {
	*fs.LoopbackNode
	host  *simHost
	grave string // of a file that a rename replaced and this host still sees: where it lies
}

var (
	_ fs.NodeWrapChilder    = (*node)(nil)
	_ fs.NodeLookuper       = (*node)(nil)
	_ fs.NodeCreater        = (*node)(nil)
	_ fs.NodeOpener         = (*node)(nil)
	_ fs.NodeMkdirer        = (*node)(nil)
	_ fs.NodeMknoder        = (*node)(nil)
	_ fs.NodeLinker         = (*node)(nil)
	_ fs.NodeSymlinker      = (*node)(nil)
	_ fs.NodeTmpfiler       = (*node)(nil)
	_ fs.NodeUnlinker       = (*node)(nil)
	_ fs.NodeRmdirer        = (*node)(nil)
	_ fs.NodeRenamer        = (*node)(nil)
	_ fs.NodeOpendirHandler = (*node)(nil)
	_ fs.NodeGetattrer      = (*node)(nil)
	_ fs.NodeSetattrer      = (*node)(nil)
)

// WrapChild makes the library's new nodes ours.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	if own, ok := ops.(*node); ok {
		return own
	}
	return &node{LoopbackNode: ops.(*fs.LoopbackNode), host: n.host}
}

// name returns the path of the node below the source, or of a child of it.
func (n *node) name(child ...string) string {
	return path.Join(append([]string{n.Path(n.Root())}, child...)...)
}

func (n *node) abs(child ...string) string {
	if n.grave != "" {
		return n.grave
	}
	return filepath.Join(n.host.sim.root, n.name(child...))
}

// ask runs an operation by name that never lands late.
func (n *node) ask(ctx context.Context, op faultfs.Op, do func() syscall.Errno, name string) syscall.Errno {
	return n.host.run(ctx, n.host.boot.Load(), op, do, nil, name)
}

// change runs an operation that changes names. late does the same by absolute names, when the request is over; the error is of package syscall.
func (n *node) change(ctx context.Context, op faultfs.Op, do func() syscall.Errno, late func() error, names ...string) syscall.Errno {
	noted := func(do func() syscall.Errno) func() syscall.Errno {
		return func() syscall.Errno { return n.host.sim.changeNames(n.host.number, do, names...) }
	}
	stuck := n.host.sim.later(noted(func() syscall.Errno { return fs.ToErrno(late()) }))
	return n.host.run(ctx, n.host.boot.Load(), op, noted(do), stuck, names...)
}

// changeNames does an operation on names, tracked where the options ask for it.
func (s *sim) changeNames(host int, do func() syscall.Errno, names ...string) syscall.Errno {
	if s.names == nil {
		return do()
	}
	return s.names.change(host, do, names...)
}

func (n *node) hidden(name string) bool { return name == graveyard && n.IsRoot() }

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	if n.hidden(name) {
		return nil, syscall.ENOENT
	}
	full := n.name(name)
	errno = n.ask(ctx, faultfs.OpStat, func() (errno syscall.Errno) {
		if at, stale := n.host.sim.names.see(n.host.number, full); stale {
			inode, errno = n.lookGrave(ctx, at, out)
			return errno
		}
		if inode, errno = n.LoopbackNode.Lookup(ctx, name, out); errno == fs.OK {
			n.host.sim.occupied(&out.Attr, inode.StableAttr().Ino)
		}
		return errno
	}, full)
	if errno != fs.OK {
		return nil, errno
	}
	return inode, fs.OK
}

// staleGen tells a node for a replaced file from that of the file under its own name.
const staleGen = 1 << 62

func (n *node) lookGrave(ctx context.Context, at string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	var st syscall.Stat_t
	if err := syscall.Lstat(at, &st); err != nil {
		return nil, fs.ToErrno(err)
	}
	out.FromStat(&st)
	child := &node{LoopbackNode: &fs.LoopbackNode{RootData: n.RootData}, host: n.host, grave: at}
	return n.NewInode(ctx, child, fs.StableAttr{Mode: st.Mode, Ino: st.Ino, Gen: staleGen}), fs.OK
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	if n.hidden(name) {
		return nil, nil, 0, syscall.EACCES
	}
	full, boot := n.name(name), n.host.boot.Load()
	keep := flags
	if n.host.sim.tracks() {
		keep &^= syscall.O_TRUNC
	}
	create := func() syscall.Errno {
		return n.host.sim.changeNames(n.host.number, func() (errno syscall.Errno) {
			inode, fh, _, errno = n.LoopbackNode.Create(ctx, name, keep, mode, out)
			return errno
		}, full)
	}
	late := func() syscall.Errno {
		return n.host.sim.changeNames(n.host.number, func() syscall.Errno {
			f, err := os.OpenFile(filepath.Join(n.host.sim.root, full), os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(mode&0o777))
			if err == nil {
				err = f.Close()
			}
			return errnoFrom(err)
		}, full)
	}
	errno = n.host.run(ctx, boot, faultfs.OpCreate, create, n.host.sim.later(late), full)
	if errno == fs.OK && fh == nil { // a lie about a descriptor cannot be told
		errno = create()
	}
	if errno == fs.OK {
		n.inherit(full)
		fh, fuseFlags, errno = n.wrap(fh, flags, boot, full)
	} else if fh != nil {
		_ = fh.(*fs.LoopbackFile).Release(ctx)
	}
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	return inode, fh, fuseFlags, fs.OK
}

func (n *node) Open(ctx context.Context, flags uint32) (fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	boot, full := n.host.boot.Load(), n.name()
	keep := flags
	if n.host.sim.tracks() {
		keep &^= syscall.O_TRUNC
	}
	errno = n.ask(ctx, faultfs.OpOpen, func() (errno syscall.Errno) {
		if n.grave != "" {
			fd, err := syscall.Open(n.grave, int(keep)&^(syscall.O_APPEND|fuse.FMODE_EXEC)|syscall.O_CLOEXEC, 0)
			if err != nil {
				return fs.ToErrno(err)
			}
			fh = fs.NewLoopbackFile(fd)
			return fs.OK
		}
		fh, _, errno = n.LoopbackNode.Open(ctx, keep)
		return errno
	}, full)
	if errno == fs.OK {
		fh, fuseFlags, errno = n.wrap(fh, flags, boot, full)
	} else if fh != nil {
		_ = fh.(*fs.LoopbackFile).Release(ctx)
	}
	if errno != fs.OK {
		return nil, 0, errno
	}
	return fh, fuseFlags, fs.OK
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	if n.hidden(name) {
		return nil, syscall.EACCES
	}
	full := n.name(name)
	errno = n.change(ctx, faultfs.OpMkdir, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	}, func() error { return syscall.Mkdir(n.host.sim.abs(full), mode) }, full)
	return n.made(inode, errno, full)
}

// made ends an operation that made a name.
func (n *node) made(inode *fs.Inode, errno syscall.Errno, full string) (*fs.Inode, syscall.Errno) {
	switch {
	case errno != fs.OK:
		return nil, errno
	case inode == nil: // a lie about an inode cannot be told
		return nil, syscall.EIO
	}
	n.inherit(full)
	return inode, fs.OK
}

func (n *node) Mknod(ctx context.Context, name string, mode, rdev uint32, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	full := n.name(name)
	errno = n.change(ctx, faultfs.OpCreate, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Mknod(ctx, name, mode, rdev, out)
		return errno
	}, func() error { return syscall.Mknod(n.host.sim.abs(full), mode, int(rdev)) }, full)
	return n.made(inode, errno, full)
}

func (n *node) Link(ctx context.Context, to fs.InodeEmbedder, name string, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	target, ok := to.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	full, from := n.name(name), target.abs()
	errno = n.change(ctx, faultfs.OpCreate, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Link(ctx, to, name, out)
		return errno
	}, func() error { return syscall.Link(from, n.host.sim.abs(full)) }, full)
	if errno != fs.OK || inode == nil {
		return nil, errno
	}
	return inode, fs.OK
}

func (n *node) Symlink(ctx context.Context, to, name string, out *fuse.EntryOut) (inode *fs.Inode, errno syscall.Errno) {
	full := n.name(name)
	to = strings.Clone(to) // it may outlive the request
	errno = n.change(ctx, faultfs.OpCreate, func() (errno syscall.Errno) {
		inode, errno = n.LoopbackNode.Symlink(ctx, to, name, out)
		return errno
	}, func() error { return syscall.Symlink(to, n.host.sim.abs(full)) }, full)
	if errno != fs.OK || inode == nil {
		return nil, errno
	}
	return inode, fs.OK
}

// Tmpfile is not offered, as on most cluster file systems.
func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EOPNOTSUPP
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	full := n.name(name)
	return n.change(ctx, faultfs.OpRemove, func() syscall.Errno {
		return n.host.sim.unlinking(filepath.Join(n.host.sim.root, full), func() syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) })
	}, func() error {
		return n.host.sim.unlinking(n.host.sim.abs(full), func() syscall.Errno { return fs.ToErrno(syscall.Unlink(n.host.sim.abs(full))) })
	}, full)
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	full := n.name(name)
	return n.change(ctx, faultfs.OpRemove, func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) },
		func() error { return syscall.Rmdir(n.host.sim.abs(full)) }, full)
}

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	from, full := n.name(name), to.name(newName)
	return n.change(ctx, faultfs.OpRename, func() syscall.Errno {
		return n.host.sim.unlinking(filepath.Join(n.host.sim.root, full), func() syscall.Errno { return n.LoopbackNode.Rename(ctx, name, to.LoopbackNode, newName, flags) })
	}, func() error {
		return unix.Renameat2(unix.AT_FDCWD, n.host.sim.abs(from), unix.AT_FDCWD, n.host.sim.abs(full), uint(flags))
	}, from, full)
}

func (n *node) Getattr(ctx context.Context, fh fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.ask(ctx, faultfs.OpStat, func() syscall.Errno {
		if n.grave != "" && fh == nil {
			var st syscall.Stat_t
			if err := syscall.Lstat(n.grave, &st); err != nil {
				return fs.ToErrno(err)
			}
			out.FromStat(&st)
			return fs.OK
		}
		errno := n.LoopbackNode.Getattr(ctx, fh, out)
		if errno == fs.OK {
			n.host.sim.occupied(&out.Attr, out.Ino)
		}
		return errno
	}, n.name())
}

func (n *node) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	boot := n.host.boot.Load()
	if f, ok := fh.(*file); ok {
		boot = f.boot
	}
	size, sized := in.GetSize()
	truncate := func(in *inode) syscall.Errno { return in.truncate(n.host.number, int64(size)) }
	var late func() func() syscall.Errno
	if sized {
		late = func() func() syscall.Errno {
			in, errno := n.inode(fh)
			return func() syscall.Errno {
				if errno != fs.OK {
					return errno
				}
				defer in.drop()
				return n.host.sim.land(func() syscall.Errno { return truncate(in) })
			}
		}
	}
	return n.host.run(ctx, boot, faultfs.OpTruncate, func() syscall.Errno {
		if sized && n.host.sim.tracks() {
			inode, errno := n.inode(fh)
			if errno != fs.OK {
				return errno
			}
			defer inode.drop()
			if errno := truncate(inode); errno != fs.OK {
				return errno
			}
			in.Valid &^= fuse.FATTR_SIZE
		}
		return n.LoopbackNode.Setattr(ctx, fh, in, out)
	}, late, n.name())
}

// inode returns the shared state of the file, open or not, with a reference.
func (n *node) inode(fh fs.FileHandle) (*inode, syscall.Errno) {
	if f, ok := fh.(*file); ok && f.in != nil {
		n.host.sim.mu.Lock()
		f.in.refs++ // the handle has one, so it is alive
		n.host.sim.mu.Unlock()
		return f.in, fs.OK
	}
	opened, err := os.OpenFile(n.abs(), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errnoFrom(err)
	}
	defer func() { _ = opened.Close() }()
	in, err := n.host.sim.inode(int(opened.Fd()))
	return in, errnoFrom(err)
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fh fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	boot := n.host.boot.Load()
	errno = n.ask(ctx, faultfs.OpList, func() (errno syscall.Errno) {
		fh, fuseFlags, errno = n.LoopbackNode.OpendirHandle(ctx, flags)
		return errno
	}, n.name())
	if errno != fs.OK {
		return nil, 0, errno
	}
	return &dir{stream: fh.(dirStream), n: n, boot: boot}, fuseFlags, fs.OK
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
	boot   uint64
}

func (d *dir) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	e, errno := d.stream.Readdirent(ctx)
	if errno == fs.OK && e != nil && d.n.hidden(e.Name) {
		return d.stream.Readdirent(ctx)
	}
	return e, errno
}

func (d *dir) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	return d.stream.Seekdir(ctx, off)
}

func (d *dir) Releasedir(ctx context.Context, flags uint32) { d.stream.Releasedir(ctx, flags) }

func (d *dir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	name := d.n.name()
	return d.n.host.run(ctx, d.boot, faultfs.OpSyncDir, func() syscall.Errno {
		s := d.n.host.sim
		if !s.opts.FastSync {
			if errno := d.stream.Fsyncdir(ctx, flags); errno != fs.OK {
				return errno
			}
		}
		if s.names != nil {
			s.names.syncDir(name)
		}
		return fs.OK
	}, nothing, name)
}
