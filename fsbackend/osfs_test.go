package fsbackend_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/fstest"
	"ostor/internal/fault"
)

func newOS(t *testing.T) (fsbackend.FS, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func TestConformance(t *testing.T) {
	t.Parallel()
	fstest.Run(t, func(t *testing.T) fsbackend.FS { f, _ := newOS(t); return f })
}

func TestConformanceCounted(t *testing.T) {
	t.Parallel()
	fstest.Run(t, func(t *testing.T) fsbackend.FS {
		f, _ := newOS(t)
		f, _ = fsbackend.Count(f)
		return f
	})
}

func TestNewOSNeedsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := fsbackend.NewOS(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing root: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fsbackend.NewOS(file); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as root: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := fsbackend.NewOS(link); err != nil {
		t.Errorf("a link to the root: %v", err)
	}
}

// A symbolic link planted anywhere in our directories is neither followed nor damaged.
func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	f, dir := newOS(t)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "real", "secret"), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"file": secret, "dir": outside, "inside": "real", "up": "../..", "dangling": filepath.Join(outside, "new"), "proc": "/proc/self/root"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "dir", "inside", "up", "dangling", "proc", "dir/secret", "inside/secret", "dir/made"} {
		if h, err := f.Open(name); err == nil {
			_ = h.Close()
			t.Errorf("Open(%s) followed a link", name)
		}
		if h, err := f.OpenRead(name); err == nil {
			_ = h.Close()
			t.Errorf("OpenRead(%s) followed a link", name)
		}
		if h, err := f.Create(name); err == nil {
			_ = h.Close()
			t.Errorf("Create(%s) followed a link", name)
		}
		if _, err := f.List(name); err == nil {
			t.Errorf("List(%s) followed a link", name)
		}
		if err := f.SyncDir(name); err == nil {
			t.Errorf("SyncDir(%s) followed a link", name)
		}
		if err := f.MkdirAll(name + "/x"); err == nil {
			t.Errorf("MkdirAll(%s/x) followed a link", name)
		}
	}
	for _, name := range []string{"dir/secret", "inside/secret"} {
		if err := f.Remove(name); err == nil {
			t.Errorf("Remove(%s) followed a link", name)
		}
		if err := f.Rename("real/secret", name); err == nil {
			t.Errorf("Rename to %s followed a link", name)
		}
	}
	in, err := f.Stat("file")
	if err != nil || !in.Link || in.Dir {
		t.Errorf("Stat of a link: %+v, %v", in, err)
	}
	if err := f.Remove("file"); err != nil { // the link itself can go
		t.Error(err)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: %q, %v", b, err)
	}
	if names, err := os.ReadDir(outside); err != nil || len(names) != 1 {
		t.Errorf("the directory outside: %v, %v", names, err)
	}
}

// A FIFO in the way is refused, not waited for.
func TestPlantedFIFO(t *testing.T) {
	t.Parallel()
	f, dir := newOS(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := f.OpenRead("fifo"); err == nil {
		t.Error("OpenRead of a FIFO succeeded")
	}
	if _, err := f.Open("fifo"); err == nil {
		t.Error("Open of a FIFO succeeded")
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	f, dir := newOS(t)
	if err := f.MkdirAll("a/b"); err != nil {
		t.Fatal(err)
	}
	h, err := f.Create("a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for name, want := range map[string]fs.FileMode{"a": fs.ModeDir | 0o700, "a/b": fs.ModeDir | 0o700, "a/b/c": 0o600} {
		in, err := os.Stat(filepath.Join(dir, name))
		if err != nil || in.Mode() != want {
			t.Errorf("mode of %s: %v (%v), want %v", name, in.Mode(), err, want)
		}
	}
}

// A full file system has its kind and its errno, seen on a mount of 64 KiB.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	f, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	h, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	_, err = h.WriteAt(make([]byte, 1<<20), 0)
	if !errors.Is(err, fault.NoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write to a full file system: %v", err)
	}
	if err := h.Allocate(0, 1<<20); !errors.Is(err, fault.NoSpace) {
		t.Errorf("allocate on a full file system: %v", err)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	under, _ := newOS(t)
	f, c := fsbackend.Count(under)
	h, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = h.WriteAt(make([]byte, 100), 0)
	_, _ = h.WriteAt(make([]byte, 50), 100)
	_, _ = h.ReadAt(make([]byte, 1000), 0)
	_ = h.Datasync()
	_ = h.Sync()
	_ = f.SyncDir("")
	_ = h.Close()
	_ = h.Datasync()
	for name, v := range map[string][2]int64{"reads": {c.Reads.Load(), 1}, "read bytes": {c.ReadBytes.Load(), 150}, "writes": {c.Writes.Load(), 2},
		"written bytes": {c.WrittenBytes.Load(), 150}, "datasyncs": {c.Datasyncs.Load(), 2}, "syncs": {c.Syncs.Load(), 1},
		"directory syncs": {c.DirSyncs.Load(), 1}, "opens": {c.Opens.Load(), 1}, "errors": {c.Errors.Load(), 1}} {
		if v[0] != v[1] {
			t.Errorf("%s: got %d, want %d", name, v[0], v[1])
		}
	}
}
