package fusesim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ostor/fsbackend"
)

func setReplicas(t *testing.T, dir, value string) {
	t.Helper()
	if err := unix.Setxattr(dir, attrPrefix+"replicas", []byte(value), 0); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("no extended attributes below the test's directory")
		}
		t.Fatal(err)
	}
}

// storeWorld has a directory "d" with the given replicas, and returns how many copies lie in the stores.
func storeWorld(t *testing.T, n int, replicas string) (*world, func() int) {
	t.Helper()
	o := Options{PowerCuts: true}
	for i := range n {
		o.Stores = append(o.Stores, fmt.Sprint("store", i))
	}
	w := newWorld(t, n, o)
	w.must(w.hosts[0].MkdirAll("d"))
	setReplicas(t, filepath.Join(w.root, "host0", "d"), replicas)
	w.must(w.hosts[0].SyncDir(""))
	return w, func() int {
		all, err := filepath.Glob(filepath.Join(w.root, "store*", "*"))
		w.must(err)
		return len(all)
	}
}

func TestThreeCopiesSurviveTheLossOfTwo(t *testing.T) {
	t.Parallel()
	w, count := storeWorld(t, 4, "3:1")
	content := strings.Repeat("three copies ", 50)
	w.must(w.hosts[0].MkdirAll("d/sub")) // inherits
	h := w.file(0, "d/sub/f", content)
	if got := count(); got != 3 {
		t.Fatalf("%d copies, want 3", got)
	}
	var holds []int
	for i := range 4 {
		if m, _ := filepath.Glob(filepath.Join(w.root, fmt.Sprint("store", i), "*")); len(m) == 1 {
			holds = append(holds, i)
		}
	}
	if b, err := os.ReadFile(filepath.Join(w.root, "source", "d/sub/f")); err != nil || bytes.ContainsRune(b, 't') {
		t.Errorf("the source holds bytes of the file: %v", err)
	}
	w.do(Request{Do: "lose", Store: holds[0]})
	w.do(Request{Do: "lose", Store: holds[1]})
	w.want(1, "d/sub/f", content)
	w.put(h, "THREE", 0)
	w.must(h.Datasync())
	content = "THREE" + content[5:]
	w.want(2, "d/sub/f", content)

	var m mended
	w.must(w.ctl.Do(Request{Do: "mend", Store: holds[0]}, &m))
	if m.Copies != 2 || m.Lost != 0 { // to the new store, and to the one that had none
		t.Errorf("mended %+v, want 2 copies", m)
	}
	w.do(Request{Do: "lose", Store: holds[2]})
	w.want(3, "d/sub/f", content)
	w.put(h, "again", 0) // descriptors go on
	w.want(0, "d/sub/f", "again"+content[5:])

	w.must(h.Close(), w.hosts[0].Remove("d/sub/f"), w.hosts[0].SyncDir("d/sub"))
	for deadline := time.Now().Add(time.Minute); count() > 0; { // the system closes files a little later
		if time.Now().After(deadline) {
			t.Fatalf("%d copies of a removed file are left", count())
		}
	}
}

func TestLossOfEveryCopyIsAnError(t *testing.T) {
	t.Parallel()
	w, _ := storeWorld(t, 3, "2:2")
	h := w.file(0, "d/f", "x")
	one := write(t, w.hosts[0], "single", "one copy") // the root has no attribute
	w.do(Request{Do: "lose", Store: 0})
	w.do(Request{Do: "lose", Store: 1})
	if _, err := h.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("a write with fewer than two copies: %v, want EIO", err)
	}
	w.do(Request{Do: "lose", Store: 2})
	for _, f := range []fsbackend.File{h, one} {
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("a read without any copy: %v, want EIO", err)
		}
	}
	var m mended
	w.must(w.ctl.Do(Request{Do: "mend", Store: 0}, &m))
	if m.Lost != 2 {
		t.Errorf("mend found %d files without a copy, want 2", m.Lost)
	}
}

// A read heals a damaged copy from the two good ones; of two copies that differ nobody can say which is right.
func TestReadRepairs(t *testing.T) {
	t.Parallel()
	w, _ := storeWorld(t, 3, "3")
	clean := strings.Repeat("c", 900)
	w.file(0, "d/f", clean)
	w.do(Request{Do: "flip", Name: "d/f", Store: 1, Bits: 5, Seed: 2})
	copyOf := func(store int) string {
		m, err := filepath.Glob(filepath.Join(w.root, fmt.Sprint("store", store), "*"))
		w.must(err)
		b, err := os.ReadFile(m[0])
		w.must(err)
		return string(b)
	}
	if copyOf(1) == clean {
		t.Fatal("the copy is not damaged")
	}
	w.want(2, "d/f", clean)
	if copyOf(1) != clean {
		t.Error("the read did not repair the copy")
	}
	var st Status
	w.must(w.ctl.Do(Request{Do: "status"}, &st))
	if len(st.Stores) != 3 || st.Stores[0].Repaired == 0 {
		t.Errorf("status of the stores: %+v", st.Stores)
	}
	w.do(Request{Do: "lose", Store: 0})
	w.do(Request{Do: "flip", Name: "d/f", Store: 1, Bits: 5, Seed: 2})
	h, err := w.hosts[0].OpenRead("d/f")
	w.must(err)
	defer func() { _ = h.Close() }()
	if _, err := h.ReadAt(make([]byte, 900), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("two copies that differ: %v, want EIO", err)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	w, _ := storeWorld(t, 3, "2")
	dir := filepath.Join(w.root, "host1", "d")
	for value, want := range map[string]error{"replicas=3:2": nil, "replicas=4": syscall.ENOSPC, "replicas=0": syscall.EINVAL, "replicas=2:3": syscall.EINVAL, "replicas=x": syscall.EINVAL,
		"failure-domain=host": nil, "failure-domain=planet": syscall.EINVAL, "tier=0": nil, "tier=4": syscall.EINVAL, "color=red": syscall.EINVAL} {
		name, v, _ := strings.Cut(value, "=")
		if err := unix.Setxattr(dir, attrPrefix+name, []byte(v), 0); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", value, err, want)
		}
	}
	w.must(w.hosts[0].MkdirAll("d/x"))
	for name, want := range map[string]string{"replicas": "3:2", "failure-domain": "host", "tier": "0"} {
		b := make([]byte, 20)
		n, err := unix.Getxattr(filepath.Join(w.root, "host2", "d/x"), attrPrefix+name, b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("inherited %s is %q, %v, want %q", name, b[:max(n, 0)], err, want)
		}
	}
}

// A power cut takes back what was not synced from every copy.
func TestPowerCutWithStores(t *testing.T) {
	t.Parallel()
	w, _ := storeWorld(t, 3, "3")
	h := w.file(0, "d/f", "durable")
	w.put(h, "volatile", 3)
	w.power(AllHosts, KeepNothing, 1)
	w.want(0, "d/f", "durable")
}
