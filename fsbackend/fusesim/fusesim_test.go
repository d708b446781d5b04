package fusesim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/fstest"
	"ostor/internal/fault"
)

// The mounts of a test are served by a process of their own: this test binary, started again. It ends when its standard input does.
func TestMain(m *testing.M) {
	if dirs := os.Getenv("OSTOR_FUSESIM_SERVE"); dirs != "" {
		serve(strings.Split(dirs, ":"))
		return
	}
	os.Exit(m.Run())
}

func serve(dirs []string) {
	o := Options{Source: dirs[0], Mountpoints: dirs[1:], Intercept: intercept}
	if more := os.Getenv("OSTOR_FUSESIM_OPTIONS"); more != "" {
		o = Options{}
		if err := json.Unmarshal([]byte(more), &o); err != nil {
			fmt.Printf("error %v\n", err)
			os.Exit(1)
		}
	}
	c, err := Mount(o)
	if err != nil {
		fmt.Printf("error %v\n", err)
		os.Exit(1)
	}
	control, err := c.Control(filepath.Join(filepath.Dir(dirs[0]), "control"))
	if err != nil {
		fmt.Printf("error %v\n", err)
		os.Exit(1)
	}
	defer func() { _ = control.Close() }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := c.Unmount(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// intercept fails what the name asks for: "fail-<kind>" fails on every host, and host 1 is cut off from "only-0".
func intercept(host int, op faultfs.Op, name string) syscall.Errno {
	base := path.Base(name)
	kinds := map[string]faultfs.Op{"fail-create": faultfs.OpCreate, "fail-open": faultfs.OpOpen, "fail-write": faultfs.OpWrite, "fail-read": faultfs.OpRead,
		"fail-datasync": faultfs.OpDatasync, "fail-sync": faultfs.OpSync, "fail-syncdir": faultfs.OpSyncDir, "fail-list": faultfs.OpList, "fail-remove": faultfs.OpRemove,
		"fail-mkdir": faultfs.OpMkdir, "fail-rename": faultfs.OpRename, "fail-truncate": faultfs.OpTruncate, "fail-allocate": faultfs.OpAllocate,
		"fail-punch": faultfs.OpPunch, "fail-lock": faultfs.OpLock}
	if kinds[base]&op != 0 {
		return syscall.EIO
	}
	if host == 1 && base == "only-0" {
		return syscall.ENOTCONN
	}
	return 0
}

// mount returns the file systems of n hosts over one new directory, and that directory.
func mount(t *testing.T, n int, opts ...Options) ([]fsbackend.FS, string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	root := t.TempDir()
	dirs := []string{filepath.Join(root, "source")}
	for i := range n {
		dirs = append(dirs, filepath.Join(root, fmt.Sprint("host", i)))
	}
	for _, d := range dirs {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "OSTOR_FUSESIM_SERVE="+strings.Join(dirs, ":"))
	for _, o := range opts {
		o.Source, o.Mountpoints = dirs[0], dirs[1:]
		for i, name := range o.Stores {
			o.Stores[i] = filepath.Join(root, name)
			if err := os.Mkdir(o.Stores[i], 0o700); err != nil {
				t.Fatal(err)
			}
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "OSTOR_FUSESIM_OPTIONS="+string(b))
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if strings.TrimSpace(line) != "ready" {
		_ = cmd.Wait()
		if strings.Contains(line, "operation not permitted") {
			t.Skipf("may not mount here: %s", line)
		}
		t.Fatalf("server says %q, %v", line, err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server of the mounts: %v", err)
		}
	})
	hosts := make([]fsbackend.FS, n)
	for i := range hosts {
		if hosts[i], err = fsbackend.NewOS(dirs[i+1]); err != nil {
			t.Fatal(err)
		}
		closeFS(t, hosts[i])
	}
	return hosts, dirs[0]
}

// closeFS lets go of the mount at the end of the test.
func closeFS(t *testing.T, f fsbackend.FS) {
	t.Cleanup(func() {
		if err := f.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestConformance uses one mount for all parts, a directory each, in every mode.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"plain":  {DirectIO: true},
		"power":  {PowerCuts: true, FastSync: true},
		"stores": {PowerCuts: true, FastSync: true, Stores: []string{"s0", "s1", "s2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosts, source := mount(t, 1, o)
			if len(o.Stores) > 0 {
				setReplicas(t, filepath.Join(filepath.Dir(source), "host0"), "3")
			}
			var n atomic.Int32
			fstest.Run(t, func(t *testing.T) fsbackend.FS {
				sub := fmt.Sprint("part", n.Add(1))
				if err := hosts[0].MkdirAll(sub); err != nil {
					t.Fatal(err)
				}
				f, err := fsbackend.NewOS(filepath.Join(filepath.Dir(source), "host0", sub))
				if err != nil {
					t.Fatal(err)
				}
				closeFS(t, f)
				return f
			})
		})
	}
}

func write(t *testing.T, f fsbackend.FS, name, content string) fsbackend.File {
	t.Helper()
	h, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if _, err := h.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return h
}

func read(t *testing.T, f fsbackend.FS, name string) string {
	t.Helper()
	h, err := f.OpenRead(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	b := make([]byte, 1000)
	n, err := h.ReadAt(b, 0)
	if err != io.EOF {
		t.Fatal(err)
	}
	return string(b[:n])
}

// What the design needs of other hosts: new names and their content are seen at once, removals too, one creator wins, and reopening shows overwrites.
func TestTwoHosts(t *testing.T) {
	hosts, _ := mount(t, 2)
	a, b := hosts[0], hosts[1]
	for i := range 50 {
		name := fmt.Sprint("beat-", i)
		if _, err := b.Stat(name); !errors.Is(err, fs.ErrNotExist) { // a cached "no such name" must not last
			t.Fatal(err)
		}
		write(t, a, name, name)
		if names, err := b.List(""); err != nil || len(names) != 1 || names[0] != name {
			t.Fatalf("the other host lists %q, %v", names, err)
		}
		if got := read(t, b, name); got != name {
			t.Fatalf("the other host reads %q", got)
		}
		if _, err := b.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("the other host creates it again: %v", err)
		}
		if err := b.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the removed name is still there: %v", err)
		}
	}
	h := write(t, a, "x", "one")
	if got := read(t, b, "x"); got != "one" {
		t.Errorf("read %q", got)
	}
	if _, err := h.WriteAt([]byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "x"); got != "two" {
		t.Errorf("after an overwrite the other host reopens and reads %q", got)
	}
	hb, err := b.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hb.Close() }()
	if err := h.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := hb.Lock(); !errors.Is(err, fault.Exists) {
		t.Errorf("lock held by the other host: %v, want fault.Exists", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() { // the system tells the file system of a close after it has returned
		if err = hb.Lock(); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Errorf("lock given back by the other host: %v", err)
	}
}

func TestCreateRaceOfHosts(t *testing.T) {
	hosts, _ := mount(t, 3)
	for round := range 30 {
		var wins atomic.Int32
		var wg sync.WaitGroup
		for _, f := range hosts {
			for range 2 {
				wg.Go(func() {
					h, err := f.Create(fmt.Sprint("claim-", round))
					if err == nil {
						wins.Add(1)
						_ = h.Close()
					} else if !errors.Is(err, fs.ErrExist) {
						t.Errorf("create: %v", err)
					}
				})
			}
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d winners", wins.Load())
		}
	}
}

// Every operation passes the interceptor, and what it returns is what the caller gets.
func TestIntercept(t *testing.T) {
	hosts, source := mount(t, 2)
	f := hosts[0]
	made := func(name string) fsbackend.File {
		t.Helper()
		if err := os.WriteFile(filepath.Join(source, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	for _, d := range []string{"fail-list", "fail-syncdir"} {
		if err := os.Mkdir(filepath.Join(source, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"fail-open", "only-0"} {
		if err := os.WriteFile(filepath.Join(source, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ops := map[string]func() error{
		"create":   func() error { _, err := f.Create("fail-create"); return err },
		"open":     func() error { _, err := f.Open("fail-open"); return err },
		"mkdir":    func() error { return f.MkdirAll("fail-mkdir") },
		"list":     func() error { _, err := f.List("fail-list"); return err },
		"syncdir":  func() error { return f.SyncDir("fail-syncdir") },
		"write":    func() error { _, err := made("fail-write").WriteAt([]byte("x"), 0); return err },
		"read":     func() error { _, err := made("fail-read").ReadAt(make([]byte, 3), 0); return err },
		"datasync": func() error { h := made("fail-datasync"); return errors.Join(h.Sync(), h.Datasync()) },
		"sync":     func() error { h := made("fail-sync"); return errors.Join(h.Datasync(), h.Sync()) },
		"truncate": func() error { return made("fail-truncate").Truncate(1) },
		"allocate": func() error { return made("fail-allocate").Allocate(0, 4096) },
		"punch":    func() error { return made("fail-punch").PunchHole(0, 4096) },
		"lock":     func() error { return made("fail-lock").Lock() },
		"remove":   func() error { made("fail-remove"); return f.Remove("fail-remove") },
		"rename":   func() error { made("fail-rename"); return f.Rename("fail-rename", "to") },
	}
	for name, op := range ops {
		if err := op(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v, want EIO", name, err)
		}
	}
	if _, err := hosts[0].Stat("only-0"); err != nil {
		t.Errorf("host 0: %v", err)
	}
	if _, err := hosts[1].Stat("only-0"); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("host 1: %v, want ENOTCONN", err)
	}
}

func TestMountRefusesBadDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"no source":      {Source: filepath.Join(dir, "none"), Mountpoints: []string{t.TempDir()}},
		"file as source": {Source: file, Mountpoints: []string{t.TempDir()}},
		"no mount point": {Source: dir},
		"missing point":  {Source: dir, Mountpoints: []string{filepath.Join(t.TempDir(), "none")}},
		"point inside":   {Source: dir, Mountpoints: []string{inner}},
		"source inside":  {Source: inner, Mountpoints: []string{dir}},
	} {
		if _, err := os.Stat("/dev/fuse"); err != nil {
			t.Skipf("no FUSE here: %v", err)
		}
		if c, err := Mount(o); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", name, err)
			if err == nil {
				_ = c.Unmount()
			}
		}
	}
}
