package fstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

func testRead(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "0123456789")
	for _, tc := range []struct {
		off  int64
		n    int
		want string
		eof  bool
	}{
		{0, 10, "0123456789", false},
		{0, 11, "0123456789", true},
		{3, 4, "3456", false},
		{9, 1, "9", false},
		{9, 2, "9", true},
		{10, 1, "", true},
		{1 << 40, 5, "", true},
	} {
		b := make([]byte, tc.n)
		n, err := h.ReadAt(b, tc.off)
		if string(b[:n]) != tc.want {
			t.Errorf("ReadAt(%d bytes, %d) read %q, want %q", tc.n, tc.off, b[:n], tc.want)
		}
		// io.ReaderAt leaves it open whether a full read that ends at the end of the file says io.EOF.
		if tc.eof && err != io.EOF || !tc.eof && err != nil && err != io.EOF {
			t.Errorf("ReadAt(%d bytes, %d): error %v, want io.EOF: %v", tc.n, tc.off, err, tc.eof)
		}
	}
	if _, err := h.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt at a negative offset: %v", err)
	}
}

func testWrite(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "0123456789")
	for _, w := range []struct {
		off  int64
		p    string
		want string
	}{
		{2, "AB", "01AB456789"},
		{9, "XY", "01AB45678XY"},
		{13, "Z", "01AB45678XY\x00\x00Z"},
		{0, "", "01AB45678XY\x00\x00Z"},
	} {
		n, err := h.WriteAt([]byte(w.p), w.off)
		must(t, err)
		if n != len(w.p) {
			t.Errorf("WriteAt returned %d, want %d", n, len(w.p))
		}
		wantContent(t, f, "a", w.want)
	}
	if _, err := h.WriteAt([]byte("x"), -1); err == nil {
		t.Error("WriteAt at a negative offset succeeded")
	}
	b := bytes.Repeat([]byte("abcdefg"), 1<<19) // more than one request of any mount
	_, err := h.WriteAt(b, 5)
	must(t, err)
	clear(b[:7]) // the buffer is the caller's again
	got := content(t, f, "a")
	if want := "01AB4" + strings.Repeat("abcdefg", 1<<19); got != want {
		t.Errorf("a large write reads back differently: %d bytes, want %d", len(got), len(want))
	}
}

func testTruncate(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", strings.Repeat("x", 10000))
	must(t, h.Truncate(5000))
	wantContent(t, f, "a", strings.Repeat("x", 5000))
	must(t, h.Truncate(9000)) // what was cut off must not come back
	wantContent(t, f, "a", strings.Repeat("x", 5000)+strings.Repeat("\x00", 4000))
	must(t, h.Truncate(0))
	wantContent(t, f, "a", "")
	if err := h.Truncate(-1); err == nil {
		t.Error("Truncate to a negative size succeeded")
	}
	must(t, h.Sync())
}

func testAllocate(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "one")
	err := h.Allocate(0, 1<<20)
	if errors.Is(err, fault.NotSupported) {
		t.Skipf("not on this file system: %v", err)
	}
	must(t, err)
	wantContent(t, f, "a", "one"+strings.Repeat("\x00", 1<<20-3))
	in, err := f.Stat("a")
	must(t, err)
	if in.Alloc < 1<<20 {
		t.Errorf("%d bytes are allocated, want at least 1 MiB", in.Alloc)
	}
	must(t, h.Allocate(0, 4096)) // what is there stays
	wantContent(t, f, "a", "one"+strings.Repeat("\x00", 1<<20-3))
	for _, bad := range [][2]int64{{-1, 10}, {0, -1}, {0, 0}} {
		if err := h.Allocate(bad[0], bad[1]); err == nil {
			t.Errorf("Allocate(%d, %d) succeeded", bad[0], bad[1])
		}
	}
}

func testPunchHole(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", strings.Repeat("x", 1<<20))
	must(t, h.Sync())
	before, err := f.Stat("a")
	must(t, err)
	err = h.PunchHole(64<<10, 512<<10)
	if errors.Is(err, fault.NotSupported) {
		t.Skipf("not on this file system: %v", err)
	}
	must(t, err)
	must(t, h.PunchHole(1<<20-10, 5))
	must(t, h.PunchHole(1<<20, 4096)) // behind the end: the size stays
	want := []byte(strings.Repeat("x", 1<<20))
	clear(want[64<<10 : 576<<10])
	clear(want[1<<20-10 : 1<<20-5])
	wantContent(t, f, "a", string(want))
	must(t, h.Sync())
	after, err := f.Stat("a")
	must(t, err)
	if before.Alloc-after.Alloc < 512<<10 {
		t.Errorf("a hole of 512 KiB gave %d bytes back", before.Alloc-after.Alloc)
	}
	_, err = h.WriteAt([]byte("again"), 70<<10)
	must(t, err)
	copy(want[70<<10:], "again")
	wantContent(t, f, "a", string(want))
}

func testSparse(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "")
	const far = 4 << 30
	_, err := h.WriteAt([]byte("end"), far)
	must(t, err)
	size, err := h.Size()
	must(t, err)
	if size != far+3 {
		t.Errorf("size %d, want %d", size, int64(far+3))
	}
	b := make([]byte, 4096)
	_, err = h.ReadAt(b, far/2)
	must(t, err)
	if !bytes.Equal(b, make([]byte, 4096)) {
		t.Error("a range never written does not read as zeroes")
	}
	_, err = h.ReadAt(b[:3], far)
	if err != nil && err != io.EOF || string(b[:3]) != "end" {
		t.Errorf("read %q, %v", b[:3], err)
	}
}

func testLock(t *testing.T, f fsbackend.FS) {
	h1 := create(t, f, "lock", "")
	h2, err := f.Open("lock")
	must(t, err)
	defer func() { _ = h2.Close() }()
	if err := h1.Lock(); errors.Is(err, fault.NotSupported) {
		t.Skipf("not on this file system: %v", err)
	} else {
		must(t, err)
	}
	must(t, h1.Lock()) // it is ours already
	wantIs(t, h2.Lock(), fault.Exists)
	_, err = h2.WriteAt([]byte("x"), 0) // advisory
	must(t, err)
	must(t, h1.Close())
	err = h2.Lock()
	for deadline := time.Now().Add(5 * time.Second); errors.Is(err, fault.Exists) && time.Now().Before(deadline); err = h2.Lock() {
		runtime.Gosched() // a FUSE file system hears of a close after it has returned
	}
	must(t, err)
	h3, err := f.Open("lock")
	must(t, err)
	defer func() { _ = h3.Close() }()
	wantIs(t, h3.Lock(), fault.Exists)
}

func testClosed(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "one")
	must(t, h.Close())
	_, readErr := h.ReadAt(make([]byte, 1), 0)
	_, writeErr := h.WriteAt([]byte("x"), 0)
	_, sizeErr := h.Size()
	for op, err := range map[string]error{"ReadAt": readErr, "WriteAt": writeErr, "Size": sizeErr, "Datasync": h.Datasync(), "Sync": h.Sync(),
		"Truncate": h.Truncate(0), "Lock": h.Lock(), "Close": h.Close()} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s of a closed file: %v, want %v", op, err, fs.ErrClosed)
		}
	}
	wantContent(t, f, "a", "one")
}

func testDisjoint(t *testing.T, f fsbackend.FS) {
	h := create(t, f, "a", "")
	const writers, part = 8, 777 // parts share sectors and pages
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte('a' + w)}, part)
			for i := range 16 {
				off := int64(i*writers+w) * part
				if _, err := h.WriteAt(p, off); err != nil {
					t.Errorf("write: %v", err)
				}
				got := make([]byte, part)
				if _, err := h.ReadAt(got, off); err != nil && err != io.EOF || !bytes.Equal(got, p) {
					t.Errorf("own write at %d reads back differently (%v)", off, err)
				}
			}
		})
	}
	wg.Wait()
	got := content(t, f, "a")
	for i := range 16 * writers {
		if want := strings.Repeat(string(rune('a'+i%writers)), part); got[i*part:(i+1)*part] != want {
			t.Fatalf("part %d was disturbed", i)
		}
	}
}

// testModel does random operations on one file and on a byte slice and compares.
func testModel(t *testing.T, f fsbackend.FS) {
	seed := Seed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	h := create(t, f, "a", "")
	var model []byte
	extend := func(to int) {
		if to > len(model) {
			model = append(model, make([]byte, to-len(model))...)
		}
	}
	const limit = 100_000
	for step := range 400 {
		off := r.IntN(limit)
		length := 1 + r.IntN([]int{16, 4096, 20000}[r.IntN(3)])
		var err error
		op := ""
		switch r.IntN(8) {
		case 0, 1, 2:
			op = "write"
			p := bytes.Repeat([]byte{byte(step)}, length)
			extend(off + length)
			copy(model[off:], p)
			_, err = h.WriteAt(p, int64(off))
		case 3:
			op = "truncate"
			if off < len(model) {
				model = model[:off:off]
			}
			extend(off)
			err = h.Truncate(int64(off))
		case 4:
			op = "punch"
			if err = h.PunchHole(int64(off), int64(length)); err == nil && off < len(model) {
				clear(model[off:min(off+length, len(model))])
			}
		case 5:
			op = "allocate"
			if err = h.Allocate(int64(off), int64(length)); err == nil {
				extend(off + length)
			}
		case 6:
			op = "sync"
			err = h.Datasync()
		case 7:
			op = "reopen"
			if err = h.Close(); err == nil {
				h, err = f.Open("a")
			}
		}
		if err != nil && !errors.Is(err, fault.NotSupported) {
			t.Fatalf("step %d: %s: %v", step, op, err)
		}
		if step%8 == 0 || step == 399 {
			if got := content(t, f, "a"); got != string(model) {
				t.Fatalf("SEED=%d: step %d, after %s(%d, %d): content differs from the model (%d bytes, want %d)", seed, step, op, off, length, len(got), len(model))
			}
		}
	}
	must(t, h.Close())
}
