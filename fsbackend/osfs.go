package fsbackend

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ostor/internal/fault"
)

// beneath are the rules by which the kernel walks every name: never out of the root, never through a symbolic link, wherever it was planted.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// osFS is an FS on a directory of the operating system.
type osFS struct {
	root *os.File // keeps the directory even if its path is renamed or mounted over
	path string
}

// NewOS returns the FS whose root is an existing directory; root itself may be reached through symbolic links, nothing below it is.
// It returns fs.ErrNotExist when there is none and syscall.ENOTDIR for something else. It needs Linux 5.6 (openat2). The FS holds a descriptor of the root, so that
// the mount is busy, until it is garbage or, as an io.Closer, closed.
func NewOS(root string) (FS, error) {
	fd, err := again(func() (int, error) {
		return unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, wrap("open", root, err)
	}
	o := &osFS{root: os.NewFile(uintptr(fd), root), path: root}
	probe, err := o.openat("", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fault.Wrap(fault.NotSupported, wrap("openat2", root, err), "this kernel cannot refuse symbolic links (openat2, Linux 5.6)")
	}
	_ = unix.Close(probe)
	return o, nil
}

// ValidName reports whether name follows the rules of the package comment.
func ValidName(name string) bool {
	return name == "" || name != "." && fs.ValidPath(name) && strings.IndexByte(name, 0) < 0
}

// again repeats a system call that a signal has interrupted.
func again[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// wrap names operation and object, once, and gives a full disk and a missing feature their kinds.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	pe = &fs.PathError{Op: op, Path: name, Err: err}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &fault.Error{Kind: fault.NoSpace, Err: pe}
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return &fault.Error{Kind: fault.NotSupported, Err: pe}
	}
	return pe
}

// openat opens name below the root by the rules of beneath. The caller closes the descriptor.
func (o *osFS) openat(name string, flags uint64, mode uint64) (int, error) {
	if !ValidName(name) {
		return -1, unix.EINVAL
	}
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Mode: mode, Resolve: beneath}
	defer runtime.KeepAlive(o)
	return again(func() (int, error) { return unix.Openat2(int(o.root.Fd()), name, &how) })
}

// inParent calls do with a descriptor of the directory that holds name, and the last part of name.
func (o *osFS) inParent(name string, do func(dirfd int, base string) error) error {
	if name == "" || !ValidName(name) {
		return unix.EINVAL
	}
	dir, base := path.Split(name)
	fd, err := o.openat(strings.TrimSuffix(dir, "/"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	_, err = again(func() (struct{}, error) { return struct{}{}, do(fd, base) })
	_ = unix.Close(fd)
	return err
}

func (o *osFS) Create(name string) (File, error) {
	if name == "" {
		return nil, wrap("create", name, unix.EINVAL)
	}
	fd, err := o.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return nil, wrap("create", name, err)
	}
	return newOSFile(fd, name)
}

func (o *osFS) Open(name string) (File, error) { return o.openFile(name, unix.O_RDWR) }

func (o *osFS) OpenRead(name string) (File, error) { return o.openFile(name, unix.O_RDONLY) }

// openFile opens a regular file. It opens without blocking and looks before it trusts: a planted FIFO or device is refused, not waited for.
func (o *osFS) openFile(name string, flags uint64) (File, error) {
	fd, err := o.openat(name, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	var st unix.Stat_t
	if _, err = again(func() (struct{}, error) { return struct{}{}, unix.Fstat(fd, &st) }); err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
		case unix.S_IFDIR:
			err = unix.EISDIR
		default:
			err = unix.EINVAL
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, wrap("open", name, err)
	}
	return newOSFile(fd, name)
}

func (o *osFS) Rename(from, to string) error {
	err := o.inParent(from, func(fromDir int, fromBase string) error {
		return o.inParent(to, func(toDir int, toBase string) error {
			return unix.Renameat(fromDir, fromBase, toDir, toBase)
		})
	})
	return wrap("rename to "+to+" of", from, err)
}

func (o *osFS) Remove(name string) error {
	err := o.inParent(name, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err != unix.EISDIR && err != unix.EPERM {
			return err
		}
		if e := unix.Unlinkat(dir, base, unix.AT_REMOVEDIR); e != unix.ENOTDIR {
			return e
		}
		return err
	})
	return wrap("remove", name, err)
}

func (o *osFS) MkdirAll(name string) error {
	if !ValidName(name) {
		return wrap("mkdir", name, unix.EINVAL)
	}
	for i := 0; i <= len(name); i++ {
		if name == "" || i < len(name) && name[i] != '/' {
			continue
		}
		err := o.inParent(name[:i], func(dir int, base string) error { return unix.Mkdirat(dir, base, 0o700) })
		if err != nil && err != unix.EEXIST {
			return wrap("mkdir", name[:i], err)
		}
	}
	fd, err := o.openat(name, unix.O_PATH|unix.O_DIRECTORY, 0) // EEXIST may have been a file
	if err != nil {
		return wrap("mkdir", name, err)
	}
	_ = unix.Close(fd)
	return nil
}

func (o *osFS) List(dir string) ([]string, error) {
	fd, err := o.openat(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, wrap("list", dir, err)
	}
	d := os.NewFile(uintptr(fd), dir)
	names, err := d.Readdirnames(-1)
	_ = d.Close()
	if err != nil {
		return nil, wrap("list", dir, err)
	}
	slices.Sort(names)
	return names, nil
}

func (o *osFS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	var err error
	if name == "" {
		_, err = again(func() (struct{}, error) { return struct{}{}, unix.Fstat(int(o.root.Fd()), &st) })
		runtime.KeepAlive(o)
	} else {
		err = o.inParent(name, func(dir int, base string) error {
			return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		})
	}
	if err != nil {
		return Info{}, wrap("stat", name, err)
	}
	kind := st.Mode & unix.S_IFMT
	in := Info{Size: st.Size, Dir: kind == unix.S_IFDIR, Link: kind == unix.S_IFLNK, Alloc: st.Blocks * 512}
	if in.Dir {
		in.Size = 0
	}
	return in, nil
}

func (o *osFS) SyncDir(dir string) error {
	fd, err := o.openat(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return wrap("sync directory", dir, err)
	}
	_, err = again(func() (struct{}, error) { return struct{}{}, unix.Fsync(fd) })
	_ = unix.Close(fd)
	return wrap("sync directory", dir, err)
}

// Close gives the descriptor of the root back. Open files go on working.
func (o *osFS) Close() error { return wrap("close", o.path, o.root.Close()) }

func (o *osFS) String() string { return fmt.Sprintf("directory %s", o.path) }

// osFile is an open file. os.File guards the descriptor: a Close during another call waits for it, so that call never meets a reused number.
type osFile struct {
	f      *os.File
	raw    syscall.RawConn
	name   string
	direct directFile
}

func newOSFile(fd int, name string) (File, error) {
	f := os.NewFile(uintptr(fd), name)
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, wrap("open", name, err)
	}
	return &osFile{f: f, raw: raw, name: name}, nil
}

// call runs a system call on the descriptor.
func (f *osFile) call(op string, do func(fd int) error) error {
	var err error
	if e := f.raw.Control(func(fd uintptr) {
		_, err = again(func() (struct{}, error) { return struct{}{}, do(int(fd)) })
	}); e != nil {
		err = fs.ErrClosed
	}
	return wrap(op, f.name, err)
}

func (f *osFile) Name() string { return f.name }

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	var pe *fs.PathError
	if err != nil && errors.As(err, &pe) { // io.EOF stays as it is
		err = wrap("read", f.name, err)
	}
	return n, err
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	return n, wrap("write", f.name, err)
}

func (f *osFile) Datasync() error { return f.call("fdatasync", unix.Fdatasync) }

func (f *osFile) Sync() error { return f.call("fsync", unix.Fsync) }

func (f *osFile) Size() (int64, error) {
	var st unix.Stat_t
	err := f.call("stat", func(fd int) error { return unix.Fstat(fd, &st) })
	return st.Size, err
}

func (f *osFile) Truncate(size int64) error {
	return f.call("truncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

func (f *osFile) Allocate(off, length int64) error {
	return f.call("allocate", func(fd int) error { return unix.Fallocate(fd, 0, off, length) })
}

func (f *osFile) PunchHole(off, length int64) error {
	return f.call("punch hole", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
	})
}

// Lock uses flock(2): it belongs to the open file, not to the process, and FUSE servers and network file systems pass it on where they can.
func (f *osFile) Lock() error {
	err := f.call("lock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fault.Wrap(fault.Exists, err, "")
	}
	return err
}

func (f *osFile) Close() error {
	f.direct.close()
	return wrap("close", f.name, f.f.Close())
}
