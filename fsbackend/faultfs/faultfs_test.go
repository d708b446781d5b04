package faultfs_test

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/fstest"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	fstest.Run(t, func(*testing.T) fsbackend.FS { return faultfs.New(memfs.New(), 1) })
}

// setup returns a file of 4096 bytes of '.', the wrapper around it and what lies below.
func setup(t *testing.T, rules ...faultfs.Rule) (*faultfs.FS, fsbackend.File, func() string) {
	t.Helper()
	under := memfs.New()
	f := faultfs.New(under, 1)
	h, err := f.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("."), 4096), 0); err != nil {
		t.Fatal(err)
	}
	f.Add(rules...)
	return f, h, func() string {
		r, err := under.OpenRead("file")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 8192)
		n, err := r.ReadAt(b, 0)
		if err != io.EOF {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

var dots = strings.Repeat(".", 4096)

func TestNthOfKindAndName(t *testing.T) {
	t.Parallel()
	f, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpWrite, Name: "fi*", Skip: 1, Count: 1})
	other, err := f.Create("other")
	if err != nil {
		t.Fatal(err)
	}
	want := []error{nil, syscall.EIO, nil}
	for i, w := range want {
		if _, err := other.WriteAt([]byte("x"), 0); err != nil {
			t.Errorf("another name was hit: %v", err)
		}
		if err := h.Datasync(); err != nil {
			t.Errorf("another kind was hit: %v", err)
		}
		if _, err := h.WriteAt([]byte{byte('0' + i)}, int64(i)); !errors.Is(err, w) {
			t.Errorf("write %d: %v, want %v", i, err, w)
		}
	}
	if got := below()[:4]; got != "0.2." {
		t.Errorf("content %q", got)
	}
	if f.Fired() != 1 || f.Seen(faultfs.OpWrite) != 7 || f.Seen(faultfs.Syncs) != 3 {
		t.Errorf("fired %d, writes %d, syncs %d", f.Fired(), f.Seen(faultfs.OpWrite), f.Seen(faultfs.Syncs))
	}
}

func TestEveryKindFails(t *testing.T) {
	t.Parallel()
	f, h, _ := setup(t)
	file := func(h fsbackend.File, err error) error { return err }
	for op, run := range map[faultfs.Op]func() error{
		faultfs.OpCreate:   func() error { return file(f.Create("new")) },
		faultfs.OpOpen:     func() error { return errors.Join(file(f.Open("file")), file(f.OpenRead("file"))) },
		faultfs.OpRename:   func() error { return f.Rename("file", "file") },
		faultfs.OpRemove:   func() error { return f.Remove("file") },
		faultfs.OpMkdir:    func() error { return f.MkdirAll("d") },
		faultfs.OpList:     func() error { _, err := f.List(""); return err },
		faultfs.OpStat:     func() error { _, err := f.Stat("file"); return err },
		faultfs.OpSyncDir:  func() error { return f.SyncDir("") },
		faultfs.OpRead:     func() error { _, err := h.ReadAt(make([]byte, 1), 0); return err },
		faultfs.OpWrite:    func() error { _, err := h.WriteAt([]byte("x"), 0); return err },
		faultfs.OpDatasync: h.Datasync,
		faultfs.OpSync:     h.Sync,
		faultfs.OpSize:     func() error { _, err := h.Size(); return err },
		faultfs.OpTruncate: func() error { return h.Truncate(0) },
		faultfs.OpAllocate: func() error { return h.Allocate(0, 1) },
		faultfs.OpPunch:    func() error { return h.PunchHole(0, 1) },
		faultfs.OpLock:     h.Lock,
	} {
		f.Clear()
		f.Add(faultfs.Rule{Ops: op})
		if err := run(); !errors.Is(err, syscall.EIO) {
			t.Errorf("kind %b: %v, want EIO", op, err)
		}
	}
	f.Clear()
	if _, err := f.Stat("new"); err == nil {
		t.Error("a failed create made a name")
	}
	if names, err := f.List(""); err != nil || len(names) != 1 {
		t.Errorf("names %q, %v", names, err)
	}
}

func TestEachReachesEveryOperation(t *testing.T) {
	t.Parallel()
	run := func(f fsbackend.FS) error {
		h, err := f.Create("a")
		if err != nil {
			return err
		}
		defer func() { _ = h.Close() }()
		for i := range int64(3) {
			if _, err := h.WriteAt([]byte("x"), i); err != nil {
				return err
			}
		}
		if err := h.Datasync(); err != nil {
			return err
		}
		return f.SyncDir("")
	}
	failed := 0
	hit := faultfs.Each(faultfs.Changes, func() fsbackend.FS { return memfs.New() }, func(f *faultfs.FS, n int) {
		if err := run(f); err != nil {
			failed++
			if !errors.Is(err, syscall.EIO) || n != failed {
				t.Errorf("run %d: %v", n, err)
			}
		}
	})
	if hit != 6 || failed != 6 {
		t.Errorf("%d operations hit, %d runs failed, want 6", hit, failed)
	}
	if got := faultfs.CountOps(memfs.New(), faultfs.OpWrite, "a", func(f fsbackend.FS) { _ = run(f) }); got != 3 {
		t.Errorf("CountOps = %d, want 3", got)
	}
}

func TestLand(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		land  faultfs.Land
		check func(n int, got string) bool
	}{
		{faultfs.None, func(n int, got string) bool { return n == 0 && got == dots }},
		{faultfs.Whole, func(n int, got string) bool { return n == 0 && got == strings.Repeat("x", 4096) }},
		{faultfs.Short, func(n int, got string) bool {
			return n < 4096+1 && n%512 == 0 && got == strings.Repeat("x", n)+dots[n:]
		}},
		{faultfs.Torn, func(n int, got string) bool {
			for i := 0; i < 4096; i += 512 {
				if s := got[i : i+512]; s != dots[:512] && s != strings.Repeat("x", 512) {
					return false
				}
			}
			return n == 0 && strings.Contains(got, "x") && strings.Contains(got, ".")
		}},
	} {
		_, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpWrite, Land: tc.land})
		n, err := h.WriteAt(bytes.Repeat([]byte("x"), 4096), 0)
		if !errors.Is(err, syscall.EIO) || !tc.check(n, below()) {
			t.Errorf("land %d: wrote %d, %v, content %.60q", tc.land, n, err, below())
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	f, h, below := setup(t)
	f.SetBudget(1000)
	if _, err := h.WriteAt(make([]byte, 600), 0); err != nil {
		t.Fatal(err)
	}
	n, err := h.WriteAt(bytes.Repeat([]byte("x"), 600), 0)
	if n != 400 || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, fault.NoSpace) {
		t.Errorf("wrote %d, %v; want 400 and ENOSPC", n, err)
	}
	if got := below(); !strings.HasPrefix(got, strings.Repeat("x", 400)+"\x00") {
		t.Errorf("content %.20q", got)
	}
	if err := h.Allocate(0, 10000); !errors.Is(err, fault.NoSpace) {
		t.Errorf("allocate: %v", err)
	}
	f.SetBudget(-1)
	if _, err := h.WriteAt(make([]byte, 600), 0); err != nil {
		t.Error(err)
	}
}

func TestErrorsAndLies(t *testing.T) {
	t.Parallel()
	f, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpPunch, Err: syscall.EOPNOTSUPP}, faultfs.Rule{Ops: faultfs.OpTruncate, Err: syscall.ENOSPC},
		faultfs.Rule{Ops: faultfs.OpWrite, Lie: true}, faultfs.Rule{Ops: faultfs.OpDatasync, Count: 1}, faultfs.Rule{Ops: faultfs.OpRemove, Land: faultfs.Whole})
	if err := h.PunchHole(0, 1); !errors.Is(err, fault.NotSupported) {
		t.Error(err)
	}
	if err := h.Truncate(0); !errors.Is(err, fault.NoSpace) {
		t.Error(err)
	}
	if n, err := h.WriteAt([]byte("xx"), 0); n != 2 || err != nil || below() != dots {
		t.Errorf("lie: %d, %v", n, err)
	}
	if err := h.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("first sync: %v", err)
	}
	if err := h.Datasync(); err != nil {
		t.Errorf("second sync: %v", err)
	}
	if err := f.Remove("file"); !errors.Is(err, syscall.EIO) {
		t.Errorf("remove: %v", err)
	}
	if _, err := f.Stat("file"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the removal that failed after the deed: %v", err)
	}
}

func TestFlip(t *testing.T) {
	t.Parallel()
	_, h, _ := setup(t, faultfs.Rule{Ops: faultfs.OpRead, Flip: 1, Skip: 1, Count: 1})
	diff := func() int {
		b := make([]byte, 4096)
		if _, err := h.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		d := 0
		for i := range b {
			d += bits.OnesCount8(b[i] ^ '.')
		}
		return d
	}
	if a, b, c := diff(), diff(), diff(); a != 0 || b != 1 || c != 0 {
		t.Errorf("bits flipped: %d %d %d, want 0 1 0", a, b, c)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpWrite, Delay: time.Minute})
		start := time.Now()
		if _, err := h.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != time.Minute || below()[0] != 'x' {
			t.Errorf("the write took %v", d)
		}
	})
}

func TestStuckLandsLate(t *testing.T) {
	t.Parallel()
	stuck := new(faultfs.Stuck)
	f, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpWrite, Count: 1, Stuck: stuck})
	p := []byte("late")
	if _, err := h.WriteAt(p, 0); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	copy(p, "used") // the caller has its buffer back
	if below() != dots || stuck.Held() != 1 {
		t.Fatal("the write has landed")
	}
	h2, err := f.Open("file") // the next owner
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h2.WriteAt([]byte("newer"), 0); err != nil {
		t.Fatal(err)
	}
	if errs := stuck.Release(); len(errs) != 1 || errs[0] != nil {
		t.Fatal(errs)
	}
	if got := below()[:6]; got != "later." {
		t.Errorf("content %q, want the late write over the newer one", got)
	}
}

func TestStuckHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := &faultfs.Stuck{Hang: true}
		_, h, below := setup(t, faultfs.Rule{Ops: faultfs.OpWrite | faultfs.OpDatasync, Count: 2, Stuck: stuck})
		done := make(chan error, 2)
		go func() { _, err := h.WriteAt([]byte("x"), 0); done <- err; done <- h.Datasync() }()
		stuck.Wait(1)
		synctest.Wait()
		if len(done) != 0 || below() != dots {
			t.Fatal("the write has landed")
		}
		stuck.Release()
		if err := <-done; err != nil || below()[0] != 'x' {
			t.Errorf("write: %v", err)
		}
		stuck.Wait(1)
		stuck.Drop(syscall.ENOTCONN)
		if err := <-done; !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("dropped sync: %v", err)
		}
	})
}

func TestProbabilityFollowsSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		f := faultfs.New(memfs.New(), seed, faultfs.Rule{Ops: faultfs.OpList, Prob: 0.5})
		var b strings.Builder
		for range 64 {
			if _, err := f.List(""); err != nil {
				b.WriteByte('x')
			} else {
				b.WriteByte('.')
			}
		}
		return b.String()
	}
	a := run(1)
	if a != run(1) || a == run(2) {
		t.Error("the seed does not decide")
	}
	if n := strings.Count(a, "x"); n < 16 || n > 48 {
		t.Errorf("%d of 64 hit, want about half", n)
	}
}
