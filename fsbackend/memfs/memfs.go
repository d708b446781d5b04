// Package memfs is a file system in memory whose crashes are under the test's control.
//
// It remembers for each file what was durable at the last sync and every change since, and for each directory which names were durable.
// [FS.CrashClone] returns what a machine might find after losing power now: everything that was synced, and of the rest nothing, all, or a
// subset that a seed picks, with writes torn at 512 bytes and names that were not made durable by SyncDir present or not. [FS.OnSync] and
// [FS.BeforeSync] let a test take such a clone at every sync point.
//
// Files are sparse arrays of pages: one of terabytes costs what was written to it. There are no goroutines. Locks are taken in the order FS.gate,
// FS.mu, node.mu; hooks run with none held.
package memfs

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

var (
	_ fsbackend.FS   = (*FS)(nil)
	_ fsbackend.File = (*file)(nil)
)

// FS is a file system in memory. Safe for concurrent use.
type FS struct {
	gate sync.RWMutex // held shared by every operation, alone by CrashClone: a crash sees each operation whole or not at all

	mu      sync.RWMutex // guards the names below
	root    *node
	pending []nameOp // changes of names, in order, that SyncDir did not make durable yet

	used     atomic.Int64 // pages that files occupy now
	capacity atomic.Int64 // bytes; 0 = no limit

	onSync     atomic.Pointer[func(op, name string)]
	beforeSync atomic.Pointer[func(op, name string)]
}

// node is a file or a directory.
type node struct {
	names map[string]*node // of a directory, guarded by FS.mu; nil for a file
	kept  map[string]*node // of a directory, guarded by FS.mu: the durable names

	mu      sync.RWMutex
	now     *view    // of a file: its content
	durable *view    // of a file: its content at the last sync
	since   []fileOp // changes after that, in order
	bytes   int64    // payload held by since
	lock    *file    // holder of the advisory lock
	dead    bool     // no name leads here and no descriptor is open: its pages are counted no more
	links   int      // names: 0 or 1; 2 after a crash in a rename
	opens   int      // open descriptors
}

func newDir() *node {
	return &node{names: make(map[string]*node), kept: make(map[string]*node)}
}

func newFileNode() *node { return &node{now: newView(), durable: newView(), links: 1} }

func (n *node) isDir() bool { return n.names != nil }

// New returns an empty file system without a capacity limit.
func New() *FS { return &FS{root: newDir()} }

// SetCapacity limits what the files may occupy, in bytes rounded down to pages of 4096; 0 = no limit. Writes and Allocate over it fail with ENOSPC (fault.NoSpace);
// what is there stays, even if it is more.
func (f *FS) SetCapacity(bytes int64) { f.capacity.Store(bytes) }

// Used returns how many bytes files occupy, in whole pages.
func (f *FS) Used() int64 { return f.used.Load() * pageBytes }

// OnSync makes fn be called after each sync point has taken effect, in the goroutine that synced: op is "datasync", "sync" or "syncdir", name
// the file or directory. It may call any method of f but must not sync. nil removes it.
func (f *FS) OnSync(fn func(op, name string)) { setHook(&f.onSync, fn) }

// BeforeSync is OnSync for the moment before a sync point takes effect: everything it would make durable may still be lost.
func (f *FS) BeforeSync(fn func(op, name string)) { setHook(&f.beforeSync, fn) }

func setHook(at *atomic.Pointer[func(op, name string)], fn func(op, name string)) {
	if fn == nil {
		at.Store(nil)
		return
	}
	at.Store(&fn)
}

func call(at *atomic.Pointer[func(op, name string)], op, name string) {
	if fn := at.Load(); fn != nil {
		(*fn)(op, name)
	}
}

// grow takes pages from the capacity, or returns ENOSPC.
func (f *FS) grow(pages int64) error {
	limit := f.capacity.Load()
	if used := f.used.Add(pages); pages > 0 && limit > 0 && used*pageBytes > limit {
		f.used.Add(-pages)
		return syscall.ENOSPC
	}
	return nil
}

func pathError(op, name string, err error) error {
	pe := &fs.PathError{Op: op, Path: name, Err: err}
	switch err {
	case syscall.ENOSPC:
		return &fault.Error{Kind: fault.NoSpace, Err: pe}
	case syscall.EWOULDBLOCK:
		return &fault.Error{Kind: fault.Exists, Err: pe}
	}
	return pe
}

// lookup walks to name. f.mu must be held.
func (f *FS) lookup(name string) (*node, error) {
	if !fsbackend.ValidName(name) {
		return nil, syscall.EINVAL
	}
	n := f.root
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		if n = n.names[part]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

// parent walks to the directory that holds name. f.mu must be held.
func (f *FS) parent(name string) (dir *node, base string, err error) {
	if name == "" || !fsbackend.ValidName(name) {
		return nil, "", syscall.EINVAL
	}
	at := strings.LastIndexByte(name, '/')
	if dir, err = f.lookup(name[:max(at, 0)]); err != nil {
		return nil, "", err
	}
	if !dir.isDir() {
		return nil, "", syscall.ENOTDIR
	}
	return dir, name[at+1:], nil
}

// Create implements fsbackend.FS.
func (f *FS) Create(name string) (fsbackend.File, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parent(name)
	if err == nil && dir.names[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return nil, pathError("create", name, err)
	}
	n := newFileNode()
	f.change(nameChange{dir, base, n})
	return f.open(n, name, true), nil
}

// Open implements fsbackend.FS.
func (f *FS) Open(name string) (fsbackend.File, error) { return f.openExisting(name, true) }

// OpenRead implements fsbackend.FS.
func (f *FS) OpenRead(name string) (fsbackend.File, error) { return f.openExisting(name, false) }

func (f *FS) openExisting(name string, writable bool) (fsbackend.File, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.lookup(name)
	if err == nil && n.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return f.open(n, name, writable), nil
}

func (f *FS) open(n *node, name string, writable bool) *file {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opens++
	return &file{fs: f, n: n, name: name, writable: writable}
}

// Rename implements fsbackend.FS.
func (f *FS) Rename(from, to string) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.rename(from, to); err != nil {
		return pathError("rename to "+to+" of", from, err)
	}
	return nil
}

func (f *FS) rename(from, to string) error {
	n, err := f.lookup(from)
	if err != nil {
		return err
	}
	fromDir, fromBase, err := f.parent(from)
	if err != nil {
		return err
	}
	toDir, toBase, err := f.parent(to)
	if err != nil {
		return err
	}
	old := toDir.names[toBase]
	switch {
	case old == n:
		return nil
	case n.isDir() && strings.HasPrefix(to+"/", from+"/"):
		return syscall.EINVAL
	case old == nil:
	case old.isDir() && !n.isDir():
		return syscall.EISDIR
	case !old.isDir() && n.isDir():
		return syscall.ENOTDIR
	case old.isDir() && len(old.names) > 0:
		return syscall.ENOTEMPTY
	}
	f.change(nameChange{fromDir, fromBase, nil}, nameChange{toDir, toBase, n})
	if old != nil {
		f.unlink(old)
	}
	return nil
}

// Remove implements fsbackend.FS.
func (f *FS) Remove(name string) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parent(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	n := dir.names[base]
	switch {
	case n == nil:
		return pathError("remove", name, syscall.ENOENT)
	case n.isDir() && len(n.names) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	f.change(nameChange{dir, base, nil})
	f.unlink(n)
	return nil
}

// unlink takes a name from a node; f.mu must be held.
func (f *FS) unlink(n *node) {
	if n.isDir() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links--
	f.free(n)
}

// free gives the space of a file back once nothing leads to it. n.mu must be held.
func (f *FS) free(n *node) {
	if n.links == 0 && n.opens == 0 && !n.dead {
		n.dead = true
		f.used.Add(-n.now.pages)
	}
}

// MkdirAll implements fsbackend.FS.
func (f *FS) MkdirAll(name string) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fsbackend.ValidName(name) {
		return pathError("mkdir", name, syscall.EINVAL)
	}
	n := f.root
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		next := n.names[part]
		if next == nil {
			next = newDir()
			f.change(nameChange{n, part, next})
		}
		if n = next; !n.isDir() {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// List implements fsbackend.FS.
func (f *FS) List(dir string) ([]string, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.lookup(dir)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	names := make([]string, 0, len(n.names))
	for name := range n.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements fsbackend.FS.
func (f *FS) Stat(name string) (fsbackend.Info, error) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.lookup(name)
	if err != nil {
		return fsbackend.Info{}, pathError("stat", name, err)
	}
	if n.isDir() {
		return fsbackend.Info{Dir: true}, nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return fsbackend.Info{Size: n.now.size, Alloc: n.now.pages * pageBytes}, nil
}

// SyncDir implements fsbackend.FS.
func (f *FS) SyncDir(dir string) error {
	call(&f.beforeSync, "syncdir", dir)
	if err := f.syncDir(dir, nil); err != nil {
		return err
	}
	call(&f.onSync, "syncdir", dir)
	return nil
}

// SyncNames is a SyncDir, without its hooks, that need not reach all names: those for which which returns false stay as durable as they were. So it is on mounts where each client makes durable what it did itself.
func (f *FS) SyncNames(dir string, which func(name string) bool) error { return f.syncDir(dir, which) }

func (f *FS) syncDir(dir string, which func(string) bool) error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookup(dir)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return pathError("sync directory", dir, err)
	}
	f.settle(n, which)
	return nil
}
