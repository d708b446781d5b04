// Package fstest says the contract of fsbackend.FS in code. Every implementation passes [Run], and so does a mount.
//
// What only a crash shows (that Datasync is what makes content durable) is tested where crashes can be made, in memfs.
package fstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ostor/fsbackend"
)

// Run checks the file system that newFS returns: an empty one for each call. A failure of a randomised part prints the value of SEED that repeats it.
func Run(t *testing.T, newFS func(t *testing.T) fsbackend.FS) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, f fsbackend.FS)
	}{
		{"create", testCreate},
		{"create has one winner", testCreateRace},
		{"open", testOpen},
		{"names", testNames},
		{"directories", testDirectories},
		{"list", testList},
		{"list while creating", testListConcurrent},
		{"rename", testRename},
		{"remove", testRemove},
		{"stat", testStat},
		{"sync", testSync},
		{"read", testRead},
		{"write", testWrite},
		{"truncate", testTruncate},
		{"allocate", testAllocate},
		{"punch hole", testPunchHole},
		{"sparse", testSparse},
		{"lock", testLock},
		{"closed", testClosed},
		{"disjoint writers", testDisjoint},
		{"against a model", testModel},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, newFS(t))
		})
	}
}

// Seed returns the seed of a randomised test: the environment's SEED or a new one, and logs it.
func Seed(t testing.TB) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED=%q: %v", s, err)
		}
		seed = v
	}
	t.Logf("SEED=%d", seed)
	return seed
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantIs(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("got error %v, want %v", err, w)
		}
	}
}

func create(t *testing.T, f fsbackend.FS, name, content string) fsbackend.File {
	t.Helper()
	h, err := f.Create(name)
	must(t, err)
	t.Cleanup(func() { _ = h.Close() })
	if content != "" {
		n, err := h.WriteAt([]byte(content), 0)
		must(t, err)
		if n != len(content) {
			t.Fatalf("WriteAt returned %d without an error, want %d", n, len(content))
		}
	}
	return h
}

// content reads the whole file through a descriptor of its own.
func content(t *testing.T, f fsbackend.FS, name string) string {
	t.Helper()
	h, err := f.OpenRead(name)
	must(t, err)
	defer func() { must(t, h.Close()) }()
	size, err := h.Size()
	must(t, err)
	b := make([]byte, size)
	n, err := h.ReadAt(b, 0)
	if err != nil && (err != io.EOF || n != len(b)) {
		t.Fatalf("read %s: %d of %d bytes, %v", name, n, size, err)
	}
	return string(b)
}

func wantContent(t *testing.T, f fsbackend.FS, name, want string) {
	t.Helper()
	if got := content(t, f, name); got != want {
		t.Errorf("content of %s: got %.40q (%d bytes), want %.40q (%d bytes)", name, got, len(got), want, len(want))
	}
}

func wantList(t *testing.T, f fsbackend.FS, dir string, want ...string) {
	t.Helper()
	got, err := f.List(dir)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("List(%q) = %q, want %q", dir, got, want)
	}
}

func testCreate(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "one")
	if h.Name() != "a" {
		t.Errorf("Name() = %q, want a", h.Name())
	}
	b := make([]byte, 3) // open for both
	_, err := h.ReadAt(b, 0)
	must(t, err)
	_, err = f.Create("a")
	wantIs(t, err, fs.ErrExist)
	wantContent(t, f, "a", "one")
	_, err = f.Create("none/a")
	wantIs(t, err, fs.ErrNotExist)
	must(t, f.MkdirAll("d"))
	_, err = f.Create("d")
	wantIs(t, err, fs.ErrExist)
}

func testCreateRace(t *testing.T, f fsbackend.FS) {
	must(t, f.MkdirAll("gen"))
	for round := range 20 {
		name := fmt.Sprintf("gen/%d", round)
		var wins, losses atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				h, err := f.Create(name)
				switch {
				case err == nil:
					wins.Add(1)
					_ = h.Close()
				case errors.Is(err, fs.ErrExist):
					losses.Add(1)
				default:
					t.Errorf("create: %v", err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 || losses.Load() != 7 {
			t.Fatalf("%d winners and %d losers of one name", wins.Load(), losses.Load())
		}
	}
}

func testOpen(t *testing.T, f fsbackend.FS) {
	for _, open := range []func(string) (fsbackend.File, error){f.Open, f.OpenRead} {
		_, err := open("a")
		wantIs(t, err, fs.ErrNotExist)
		_, err = open("")
		if err == nil {
			t.Error("the root was opened as a file")
		}
	}
	create(t, f, "a", "one")
	h, err := f.Open("a")
	must(t, err)
	_, err = h.WriteAt([]byte("X"), 1)
	must(t, err)
	must(t, h.Close())
	wantContent(t, f, "a", "oXe")
	r, err := f.OpenRead("a")
	must(t, err)
	if _, err := r.WriteAt([]byte("Y"), 0); err == nil {
		t.Error("a write to a file of OpenRead succeeded")
	}
	if err := r.Truncate(0); err == nil {
		t.Error("Truncate of a file of OpenRead succeeded")
	}
	must(t, r.Close())
	wantContent(t, f, "a", "oXe")
	must(t, f.MkdirAll("d"))
	for _, open := range []func(string) (fsbackend.File, error){f.Open, f.OpenRead} {
		_, err := open("d")
		wantIs(t, err, syscall.EISDIR)
		_, err = open("a/b")
		wantIs(t, err, syscall.ENOTDIR)
	}
}

func testNames(t *testing.T, f fsbackend.FS) {
	for _, name := range []string{"/a", "a/", "a//b", ".", "./a", "..", "../a", "a/../b", "a/.", "a\x00b"} {
		if h, err := f.Create(name); err == nil {
			_ = h.Close()
			t.Errorf("Create(%q) succeeded", name)
		}
		if h, err := f.Open(name); err == nil {
			_ = h.Close()
			t.Errorf("Open(%q) succeeded", name)
		}
		_, statErr := f.Stat(name)
		_, listErr := f.List(name)
		for op, err := range map[string]error{"MkdirAll": f.MkdirAll(name), "Remove": f.Remove(name), "SyncDir": f.SyncDir(name), "Stat": statErr, "List": listErr} {
			if err == nil {
				t.Errorf("%s(%q) succeeded", op, name)
			}
		}
	}
	wantList(t, f, "")
	if err := f.Remove(""); err == nil {
		t.Error("the root was removed")
	}
	in, err := f.Stat("")
	must(t, err)
	if !in.Dir {
		t.Error("the root is no directory")
	}
}

func testDirectories(t *testing.T, f fsbackend.FS) {
	must(t, f.MkdirAll("a/b/c"))
	must(t, f.MkdirAll("a/b/c"))
	must(t, f.MkdirAll(""))
	create(t, f, "a/b/c/f", "x")
	if err := f.MkdirAll("a/b/c/f"); err == nil {
		t.Error("MkdirAll over a file succeeded")
	}
	if err := f.MkdirAll("a/b/c/f/g"); err == nil {
		t.Error("MkdirAll below a file succeeded")
	}
	wantList(t, f, "a", "b")
	for _, d := range []string{"", "a", "a/b", "a/b/c"} {
		must(t, f.SyncDir(d))
	}
	wantIs(t, f.SyncDir("none"), fs.ErrNotExist)
}

func testList(t *testing.T, f fsbackend.FS) {
	wantList(t, f, "")
	_, err := f.List("none")
	wantIs(t, err, fs.ErrNotExist)
	must(t, f.MkdirAll("d/sub"))
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("file-%04d", (i*7919)%300))
	}
	for _, name := range want {
		must(t, create(t, f, "d/"+name, "").Close())
	}
	want = append(want, "sub")
	slices.Sort(want)
	wantList(t, f, "d", want...)
	_, err = f.List("d/file-0001")
	wantIs(t, err, syscall.ENOTDIR)
}

func testListConcurrent(t *testing.T, f fsbackend.FS) {
	must(t, f.MkdirAll("gen"))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				name := fmt.Sprintf("%d-%d", w, i)
				h, err := f.Create("gen/" + name)
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				_ = h.Close()
				names, err := f.List("gen")
				if err != nil || !slices.Contains(names, name) {
					t.Errorf("List after Create(%s) does not show it (%v)", name, err)
				}
			}
		})
	}
	wg.Wait()
}

func testRename(t *testing.T, f fsbackend.FS) {
	wantIs(t, f.Rename("a", "b"), fs.ErrNotExist)
	must(t, f.MkdirAll("d"))
	create(t, f, "a", "one")
	old := create(t, f, "d/b", "two")
	must(t, f.Rename("a", "d/b"))
	wantContent(t, f, "d/b", "one")
	wantList(t, f, "", "d")
	b := make([]byte, 3)
	_, err := old.ReadAt(b, 0)
	must(t, err)
	if string(b) != "two" {
		t.Errorf("the replaced file reads %q through its descriptor, want two", b)
	}
	must(t, f.SyncDir(""))
	must(t, f.SyncDir("d"))
	wantIs(t, f.Rename("d/b", "none/x"), fs.ErrNotExist)
	wantContent(t, f, "d/b", "one")
}

func testRemove(t *testing.T, f fsbackend.FS) {
	wantIs(t, f.Remove("a"), fs.ErrNotExist)
	must(t, f.MkdirAll("d"))
	h := create(t, f, "d/a", "one")
	wantIs(t, f.Remove("d"), syscall.ENOTEMPTY)
	must(t, f.Remove("d/a"))
	_, err := f.Open("d/a")
	wantIs(t, err, fs.ErrNotExist)
	_, err = h.WriteAt([]byte("two"), 3)
	must(t, err)
	b := make([]byte, 6)
	_, err = h.ReadAt(b, 0)
	must(t, err)
	if string(b) != "onetwo" {
		t.Errorf("a removed file reads %q through its descriptor, want onetwo", b)
	}
	must(t, h.Datasync())
	size, err := h.Size()
	must(t, err)
	if size != 6 {
		t.Errorf("a removed file has %d bytes through its descriptor, want 6", size)
	}
	must(t, h.Close())
	create(t, f, "d/a", "new")
	wantContent(t, f, "d/a", "new")
	must(t, f.Remove("d/a"))
	must(t, f.Remove("d"))
	wantList(t, f, "")
}

func testStat(t *testing.T, f fsbackend.FS) {
	_, err := f.Stat("a")
	wantIs(t, err, fs.ErrNotExist)
	must(t, f.MkdirAll("d"))
	in, err := f.Stat("d")
	must(t, err)
	if !in.Dir || in.Link || in.Size != 0 {
		t.Errorf("Stat of a directory: %+v", in)
	}
	h := create(t, f, "d/a", string(bytes.Repeat([]byte("x"), 10000)))
	must(t, h.Sync()) // some file systems allocate late
	in, err = f.Stat("d/a")
	must(t, err)
	if in.Dir || in.Link || in.Size != 10000 || in.Alloc < 10000 {
		t.Errorf("Stat of a file of 10000 bytes: %+v", in)
	}
	size, err := h.Size()
	must(t, err)
	if size != 10000 {
		t.Errorf("Size() = %d, want 10000", size)
	}
}

func testSync(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "")
	must(t, h.Datasync())
	must(t, h.Sync())
	var wg sync.WaitGroup
	for w := range 4 { // one call may serve several writers, and several may run at once
		wg.Go(func() {
			for i := range 10 {
				if _, err := h.WriteAt([]byte{byte('a' + w)}, int64(w*10+i)); err != nil {
					t.Error(err)
				}
				if err := h.Datasync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, f.SyncDir(""))
	wantContent(t, f, "a", "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd")
}
