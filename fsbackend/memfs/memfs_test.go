package memfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/fstest"
	"ostor/internal/fault"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	fstest.Run(t, func(*testing.T) fsbackend.FS { return New() })
}

// A clone of a crash is a whole file system.
func TestConformanceClone(t *testing.T) {
	t.Parallel()
	fstest.Run(t, func(*testing.T) fsbackend.FS { return New().CrashClone(Some(1)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, f *FS, name string) fsbackend.File {
	t.Helper()
	h, err := f.Create(name)
	must(t, err)
	return h
}

func write(t *testing.T, h fsbackend.File, off int64, s string) {
	t.Helper()
	_, err := h.WriteAt([]byte(s), off)
	must(t, err)
}

// read returns the content of a file, or "-" when there is none.
func read(t *testing.T, f *FS, name string) string {
	t.Helper()
	h, err := f.OpenRead(name)
	if errors.Is(err, syscall.ENOENT) {
		return "-"
	}
	must(t, err)
	size, err := h.Size()
	must(t, err)
	b := make([]byte, size)
	if _, err := h.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	must(t, h.Close())
	return string(b)
}

// outcomes returns every content of name that crashes with many seeds leave behind.
func outcomes(t *testing.T, f *FS, name string) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for seed := range uint64(300) {
		got[read(t, f.CrashClone(Some(seed)), name)]++
	}
	return got
}

func wantOutcomes(t *testing.T, got map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("no crash left %.30q", w)
		}
		delete(got, w)
	}
	for g := range got {
		t.Errorf("a crash left %.30q", g)
	}
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	f := New()
	h := create(t, f, "a")
	write(t, h, 0, "one")
	must(t, h.Datasync())
	wantOutcomes(t, outcomes(t, f, "a"), "-", "one") // content is durable, the name is not
	must(t, f.SyncDir(""))
	wantOutcomes(t, outcomes(t, f, "a"), "one")
	write(t, h, 0, "two")
	wantOutcomes(t, outcomes(t, f, "a"), "one", "two")
	if got := read(t, f.CrashClone(Nothing), "a"); got != "one" {
		t.Errorf("Nothing kept %q", got)
	}
	if got := read(t, f.CrashClone(Everything), "a"); got != "two" {
		t.Errorf("Everything kept %q", got)
	}
	must(t, h.Sync())
	wantOutcomes(t, outcomes(t, f, "a"), "two")
}

func TestCrashKeepsAnySubset(t *testing.T) {
	t.Parallel()
	f := New()
	h := create(t, f, "a")
	write(t, h, 0, "....")
	must(t, h.Datasync())
	must(t, f.SyncDir(""))
	write(t, h, 0, "A")
	write(t, h, 2, "B")
	write(t, h, 0, "C")
	wantOutcomes(t, outcomes(t, f, "a"), "....", "A...", "..B.", "C...", "A.B.", "C.B.")
	must(t, h.Datasync())
	must(t, h.Truncate(2))
	must(t, h.Truncate(4))
	wantOutcomes(t, outcomes(t, f, "a"), "C.B.", "C.", "C.\x00\x00")
}

func TestCrashTearsAtSectors(t *testing.T) {
	t.Parallel()
	f := New()
	h := create(t, f, "a")
	old, new := strings.Repeat("o", 2048), strings.Repeat("n", 1536)
	write(t, h, 0, old)
	must(t, h.Datasync())
	must(t, f.SyncDir(""))
	write(t, h, 256, new) // touches sectors 0 to 3; the middle ones whole
	torn := 0
	for got := range outcomes(t, f, "a") {
		if len(got) != len(old) {
			t.Fatalf("length %d, want %d", len(got), len(old))
		}
		pieces := []string{got[:256], got[256:512], got[512:1024], got[1024:1536], got[1536:1792], got[1792:]}
		for i, p := range pieces {
			if p != strings.Repeat("o", len(p)) && (p != strings.Repeat("n", len(p)) || i == 0 || i == 5) {
				t.Fatalf("piece %d was torn inside a sector or changed outside the write: %.20q", i, p)
			}
		}
		if s := got[256:1792]; strings.Contains(s, "o") && strings.Contains(s, "n") {
			torn++
		}
	}
	if torn < 5 {
		t.Errorf("only %d ways of tearing seen", torn)
	}
}

func TestCrashNames(t *testing.T) {
	t.Parallel()
	f := New()
	must(t, f.MkdirAll("d/e"))
	h := create(t, f, "d/e/a")
	write(t, h, 0, "x")
	must(t, h.Sync())
	must(t, f.SyncDir("d/e"))
	wantOutcomes(t, outcomes(t, f, "d/e/a"), "-", "x") // the parents' names are not durable
	must(t, f.SyncDir("d"))
	must(t, f.SyncDir(""))
	wantOutcomes(t, outcomes(t, f, "d/e/a"), "x")
	must(t, f.Remove("d/e/a"))
	wantOutcomes(t, outcomes(t, f, "d/e/a"), "-", "x")
	must(t, f.SyncDir("d/e"))
	wantOutcomes(t, outcomes(t, f, "d/e/a"), "-")
}

// A rename is atomic, and nothing else: the old state, the new one, never none.
func TestCrashRename(t *testing.T) {
	t.Parallel()
	f := New()
	for _, name := range []string{"a", "b"} {
		h := create(t, f, name)
		write(t, h, 0, name)
		must(t, h.Sync())
	}
	must(t, f.SyncDir(""))
	must(t, f.Rename("a", "b"))
	got := make(map[string]int)
	for seed := range uint64(100) {
		g := f.CrashClone(Some(seed))
		got[read(t, g, "a")+read(t, g, "b")]++
	}
	wantOutcomes(t, got, "ab", "-a")
	must(t, f.SyncDir(""))
	wantOutcomes(t, outcomes(t, f, "a"), "-")
}

func TestCrashSameSeedSameResult(t *testing.T) {
	t.Parallel()
	f := New()
	for i := range 50 {
		h := create(t, f, fmt.Sprint(i))
		write(t, h, 0, strings.Repeat(fmt.Sprint(i), 3000))
	}
	dump := func(g *FS) string {
		names, err := g.List("")
		must(t, err)
		var b strings.Builder
		for _, n := range names {
			b.WriteString(n + "=" + read(t, g, n) + ";")
		}
		return b.String()
	}
	first := dump(f.CrashClone(Some(7)))
	if again := dump(f.CrashClone(Some(7))); again != first {
		t.Error("one seed gave two results")
	}
	if other := dump(f.CrashClone(Some(8))); other == first {
		t.Error("two seeds gave one result")
	}
}

func TestCloneIsApart(t *testing.T) {
	t.Parallel()
	f := New()
	h := create(t, f, "a")
	write(t, h, 0, strings.Repeat("x", 9000))
	must(t, h.Sync())
	must(t, f.SyncDir(""))
	must(t, h.Lock())
	g := f.CrashClone(Nothing)
	gh, err := g.Open("a")
	must(t, err)
	must(t, gh.Lock()) // locks do not survive
	write(t, gh, 4000, "clone")
	write(t, h, 8000, "origin")
	must(t, h.Truncate(8500))
	if a := read(t, f, "a"); strings.Contains(a, "clone") || len(a) != 8500 {
		t.Error("the clone's write shows in the origin")
	}
	if b := read(t, g, "a"); strings.Contains(b, "origin") || len(b) != 9000 {
		t.Error("the origin's write shows in the clone")
	}
	if g2 := g.CrashClone(Nothing); read(t, g2, "a") != strings.Repeat("x", 9000) {
		t.Error("the clone of a clone has lost what was durable")
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	f := New()
	var log []string
	note := func(when string) func(op, name string) {
		return func(op, name string) {
			log = append(log, fmt.Sprintf("%s %s %q %s", when, op, name, read(t, f.CrashClone(Nothing), "a")))
		}
	}
	f.BeforeSync(note("before"))
	f.OnSync(note("after"))
	h := create(t, f, "a")
	must(t, f.SyncDir(""))
	write(t, h, 0, "1")
	must(t, h.Datasync())
	write(t, h, 1, "2")
	must(t, h.Sync())
	f.BeforeSync(nil)
	f.OnSync(nil)
	must(t, h.Sync())
	want := []string{`before syncdir "" -`, `after syncdir "" `, `before datasync "a" `, `after datasync "a" 1`, `before sync "a" 1`, `after sync "a" 12`}
	if fmt.Sprint(log) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", log, want)
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	f := New()
	f.SetCapacity(64 << 10)
	h := create(t, f, "a")
	write(t, h, 0, strings.Repeat("x", 60<<10))
	_, err := h.WriteAt(make([]byte, 8<<10), 60<<10)
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, fault.NoSpace) {
		t.Errorf("write over the capacity: %v", err)
	}
	if err := h.Allocate(0, 128<<10); !errors.Is(err, fault.NoSpace) {
		t.Errorf("allocate over the capacity: %v", err)
	}
	write(t, h, 0, strings.Repeat("y", 60<<10)) // what is there can be overwritten
	must(t, h.PunchHole(0, 32<<10))
	write(t, h, 60<<10, strings.Repeat("z", 8<<10))
	if got := f.Used(); got != 36<<10 {
		t.Errorf("used %d, want %d", got, 36<<10)
	}
	must(t, f.Remove("a"))
	if got := f.Used(); got != 36<<10 {
		t.Errorf("an open file was given back: used %d", got)
	}
	must(t, h.Close())
	if got := f.Used(); got != 0 {
		t.Errorf("used %d after the last file went", got)
	}
}

// What a file that is never synced holds back is bounded, and nothing of it is lost for readers.
func TestFold(t *testing.T) {
	t.Parallel()
	f := New()
	h := create(t, f, "a")
	p := bytes.Repeat([]byte("p"), 1<<20)
	for i := range int64(80) {
		_, err := h.WriteAt(p, i<<20)
		must(t, err)
	}
	if n := f.root.names["a"].bytes; n > maxSinceBytes {
		t.Errorf("%d bytes held back, want at most %d", n, maxSinceBytes)
	}
	if got := read(t, f.CrashClone(Everything), "a"); len(got) != 80<<20 || strings.Trim(got, "p") != "" {
		t.Error("content differs")
	}
}

// Used agrees with a count of the pages, whatever happens.
func TestUsedProperty(t *testing.T) {
	t.Parallel()
	seed := fstest.Seed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	f := New()
	f.SetCapacity(1 << 20)
	open := map[string]fsbackend.File{}
	for range 3000 {
		name := fmt.Sprint(r.IntN(5))
		h := open[name]
		if h == nil {
			open[name] = create(t, f, name)
			continue
		}
		off, n := r.Int64N(300<<10), 1+r.Int64N(64<<10)
		switch r.IntN(6) {
		case 0, 1:
			_, _ = h.WriteAt(make([]byte, n), off)
		case 2:
			_ = h.Allocate(off, n)
		case 3:
			must(t, h.PunchHole(off, n))
		case 4:
			must(t, h.Truncate(off))
		case 5:
			_ = h.Datasync()
			if r.IntN(4) == 0 {
				must(t, h.Close())
				must(t, f.Remove(name))
				delete(open, name)
			}
		}
		var want int64
		for name := range open {
			in, err := f.Stat(name)
			must(t, err)
			want += in.Alloc
		}
		if got := f.Used(); got != want || got > 1<<20 {
			t.Fatalf("SEED=%d: used %d, the files occupy %d", seed, got, want)
		}
	}
}

func BenchmarkWriteSync(b *testing.B) {
	f := New()
	h, err := f.Create("log")
	if err != nil {
		b.Fatal(err)
	}
	_ = h.Allocate(0, 64<<20)
	p := make([]byte, 512)
	b.ReportAllocs()
	for i := range b.N {
		_, _ = h.WriteAt(p, int64(i%(64<<11))*512)
		_ = h.Datasync()
	}
}
