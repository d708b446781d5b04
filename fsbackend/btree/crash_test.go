package btree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

// workload is a few Applies with their models: puts with long values, overwrites, deletes, emptying.
func workload(steps int) (batches []map[string]*string, after []model) {
	m := model{}
	after = append(after, maps.Clone(m))
	for step := range steps {
		edits := make(map[string]*string)
		for i := range 120 {
			k := fmt.Sprintf("bucket/%04d", (i*7+step*31)%400)
			v := fmt.Sprintf("%d.%d", step, i) + strings.Repeat("x", i*3)
			if i%37 == 5 {
				v += strings.Repeat("y", 9000)
			}
			edits[k] = &v
			if (i+step)%5 == 0 {
				edits[k] = nil
			}
		}
		if step == steps-1 {
			for k := range m {
				edits[k] = nil
			}
		}
		m.edit(edits)
		batches, after = append(batches, edits), append(after, maps.Clone(m))
	}
	return batches, after
}

// mustBe opens a file system, finds the tree checked and equal to one of the states lo..hi, and applies one more batch.
func mustBe(t *testing.T, fs fsbackend.FS, after []model, lo, hi int) {
	t.Helper()
	tr, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Home: 1, FileBytes: 1 << 20})
	if err != nil {
		t.Fatalf("open after crash: %v", err)
	}
	defer func() { _ = tr.Close() }()
	at := int(tr.Root().LSN)
	if at < lo || at > hi {
		t.Fatalf("tree is at LSN %d, want %d to %d", at, lo, hi)
	}
	if err := tr.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := tr.Snapshot()
	equal(t, s, after[at])
	s.Release()
	v := "after"
	if err := tr.Apply(t.Context(), uint64(at)+1, sorted(map[string]*string{"later": &v})); err != nil {
		t.Fatalf("apply after crash: %v", err)
	}
	if err := tr.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, s *Snapshot, m model) {
	t.Helper()
	n := 0
	c := s.Cursor()
	for ok := c.First(); ok; ok = c.Next() {
		if want, ok := m[string(c.Key())]; !ok || want != string(c.Value()) {
			t.Fatalf("key %q: unexpected or with another value (%v)", c.Key(), c.Err())
		}
		n++
	}
	if c.Err() != nil || n != len(m) {
		t.Fatalf("tree has %d entries, want %d (%v)", n, len(m), c.Err())
	}
}

// After each sync point, and just before it, the power goes; of what was not synced nothing, all or some is left.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	rng := seededRand(t)
	batches, after := workload(7)
	fs := newFS(t)
	if err := errors.Join(fs.SyncDir(""), fs.SyncDir(testDir)); err != nil {
		t.Fatal(err)
	}
	acked, crashes := 0, 0
	crash := func(string, string) {
		for _, keep := range []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(rng.Uint64()), memfs.Some(rng.Uint64())} {
			crashes++
			mustBe(t, fs.CrashClone(keep), after, acked, acked+1)
		}
	}
	tr := openTree(t, fs, nil)
	fs.OnSync(crash)
	fs.BeforeSync(crash)
	for i, b := range batches {
		if err := tr.Apply(t.Context(), uint64(i)+1, sorted(b)); err != nil {
			t.Fatal(err)
		}
		acked = i + 1
	}
	fs.OnSync(nil)
	fs.BeforeSync(nil)
	if crashes < 7*4*4 {
		t.Errorf("only %d crashes", crashes)
	}
}

// failFS makes the n-th operation fail, counted over all kinds that match.
type failFS struct {
	fsbackend.FS
	n     atomic.Int64 // operations until the failure; negative: none
	match func(op string) bool
	tear  bool // a failing write leaves its first half
	err   error
	hit   atomic.Pointer[string]
}

func (f *failFS) fail(op string) error {
	if f.match(op) && f.n.Add(-1) == 0 {
		f.hit.Store(&op)
		return f.err
	}
	return nil
}

func (f *failFS) wrap(h fsbackend.File, err error) (fsbackend.File, error) {
	if err != nil {
		return nil, err
	}
	return &failFile{h, f}, nil
}

func (f *failFS) Create(n string) (fsbackend.File, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(n))
}
func (f *failFS) Open(n string) (fsbackend.File, error)     { return f.wrap(f.FS.Open(n)) }
func (f *failFS) OpenRead(n string) (fsbackend.File, error) { return f.wrap(f.FS.OpenRead(n)) }
func (f *failFS) SyncDir(n string) error {
	if err := f.fail("syncdir"); err != nil {
		return err
	}
	return f.FS.SyncDir(n)
}

type failFile struct {
	fsbackend.File
	fs *failFS
}

func (f *failFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fail("read"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *failFile) WriteAt(p []byte, off int64) (int, error) {
	op := "write"
	if strings.HasSuffix(f.Name(), RootsName) {
		op = "write root"
	}
	if err := f.fs.fail(op); err != nil {
		n := 0
		if f.fs.tear {
			n, _ = f.File.WriteAt(p[:len(p)/2], off)
		}
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *failFile) Datasync() error {
	if err := f.fs.fail("datasync"); err != nil {
		return err
	}
	return f.File.Datasync()
}

// The n-th operation fails, for all n: the tree stays at its old root, goes on when the failure was no failed sync, and is whole after a crash.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	batches, after := workload(6)
	seen := make(map[string]int)
	for n := 1; ; n++ {
		mem := newFS(t)
		if err := errors.Join(mem.SyncDir(""), mem.SyncDir(testDir)); err != nil {
			t.Fatal(err)
		}
		fs := &failFS{FS: mem, err: syscall.EIO, match: func(string) bool { return true }, tear: n%2 == 0}
		if n%3 == 0 {
			fs.err = syscall.ENOSPC
		}
		fs.n.Store(-1)
		tr, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Home: 1, FileBytes: 1 << 20, CacheBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		fs.n.Store(int64(n))
		failedOnce := false
		for i := 0; i < len(batches); i++ {
			err := tr.Apply(t.Context(), uint64(i)+1, sorted(batches[i]))
			if err == nil {
				continue
			}
			op := fs.hit.Load()
			if failedOnce || op == nil || !errors.Is(err, fs.err) {
				t.Fatalf("n=%d: apply: %v", n, err)
			}
			failedOnce = true
			seen[*op]++
			if got := tr.Root().LSN; got != uint64(i) {
				t.Fatalf("n=%d: root moved to LSN %d by a failed apply", n, got)
			}
			s := tr.Snapshot()
			equal(t, s, after[i])
			s.Release()
			mustBe(t, mem.CrashClone(memfs.Everything), after, i, i+1)
			mustBe(t, mem.CrashClone(memfs.Some(uint64(n))), after, i, i+1)
			if *op == "datasync" || *op == "syncdir" {
				if err := tr.Apply(t.Context(), uint64(i)+1, sorted(batches[i])); !errors.Is(err, fault.Unavailable) {
					t.Fatalf("n=%d: apply after a failed %s: %v, want unavailable", n, *op, err)
				}
				break
			}
			i-- // again
		}
		fs.n.Store(-1)
		if tr.failed == nil {
			if err := tr.Check(t.Context()); err != nil {
				t.Fatalf("n=%d: %v", n, err)
			}
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		if fs.hit.Load() == nil {
			t.Logf("%d operations failed: %v", n-1, seen)
			break
		}
	}
	for _, op := range []string{"create", "write", "write root", "datasync", "syncdir", "read"} {
		if seen[op] == 0 {
			t.Errorf("no %s failed", op)
		}
	}
}

// A full disk refuses one Apply after the other; when there is room again everything goes on.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	tr := openTree(t, fs, nil)
	v := strings.Repeat("v", 1000)
	put := func(i int) error {
		edits := make(map[string]*string)
		for j := range 200 {
			edits[fmt.Sprintf("%06d", i*200+j)] = &v
		}
		return tr.Apply(context.Background(), uint64(i), sorted(edits))
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(fs.Used() + 1<<16)
	for range 5 {
		if err := put(2); !errors.Is(err, fault.NoSpace) {
			t.Fatalf("apply on a full disk: %v, want no space", err)
		}
	}
	if err := tr.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(0)
	if err := put(2); err != nil {
		t.Fatal(err)
	}
	if got := tr.Root().Entries; got != 400 {
		t.Errorf("%d entries, want 400", got)
	}
}

// One bit of each page in turn is flipped: whoever reads there gets a located corruption, everybody else right data.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	rng := seededRand(t)
	fs := newFS(t)
	batches, after := workload(4)
	tr := openTree(t, fs, nil)
	for i, b := range batches[:3] {
		if err := tr.Apply(t.Context(), uint64(i)+1, sorted(b)); err != nil {
			t.Fatal(err)
		}
	}
	root, m := tr.Root(), after[3]
	name := root.Directory.file().name(testDir)
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	caught := 0
	for i := range tr.space.files[0].live.count() * 3 {
		if i >= tr.space.perFile || !tr.space.files[0].live.has(i) {
			continue
		}
		off := int64(i)*PageBytes + rng.Int64N(PageBytes)
		flip := []byte{0}
		if _, err := f.ReadAt(flip, off); err != nil {
			t.Fatal(err)
		}
		whole := flip[0]
		flip[0] ^= 1 << rng.IntN(8)
		if _, err := f.WriteAt(flip, off); err != nil {
			t.Fatal(err)
		}
		_, err := Inspect(t.Context(), fs, testDir, root)
		var bad *fault.Corruption
		if !errors.As(err, &bad) || bad.File != name || bad.Offset != int64(i)*PageBytes && !strings.HasPrefix(bad.What, "overflow") {
			t.Fatalf("page %d flipped at %d: check returned %v", i, off, err)
		}
		caught++
		s := &Snapshot{g: newPager(fs, testDir, noHome, 1<<20), root: root}
		for k, want := range m {
			v, ok, err := s.Get([]byte(k))
			if err == nil && (!ok || string(v) != want) || err != nil && !errors.Is(err, fault.Corrupt) {
				t.Fatalf("page %d flipped: get %q: %v %v", i, k, ok, err)
			}
		}
		_ = s.g.close()
		if _, err := f.WriteAt([]byte{whole}, off); err != nil {
			t.Fatal(err)
		}
	}
	if caught < 20 {
		t.Errorf("only %d pages tried", caught)
	}
	if _, err := Inspect(t.Context(), fs, testDir, root); err != nil {
		t.Fatalf("after restoring: %v", err)
	}
}

// A file that an attempt began, and that only a later one uses, has its name on disk before the root that needs it.
func TestFileOfFailedAttempt(t *testing.T) {
	t.Parallel()
	mem := newFS(t)
	if err := mem.SyncDir(""); err != nil {
		t.Fatal(err)
	}
	f := faultfs.New(mem, 1)
	tr := openTree(t, f, nil)
	v := "v"
	f.Add(faultfs.Rule{Ops: faultfs.OpWrite, Name: "tree-*", Count: 1, Err: fault.NoSpace})
	if err := tr.Apply(t.Context(), 1, sorted(map[string]*string{"k": &v})); !errors.Is(err, fault.NoSpace) {
		t.Fatalf("apply on a full disk: %v, want no space", err)
	}
	if err := tr.Apply(t.Context(), 1, sorted(map[string]*string{"k": &v})); err != nil {
		t.Fatal(err)
	}
	after := openTree(t, mem.CrashClone(memfs.Nothing), nil)
	s := after.Snapshot()
	defer s.Release()
	equal(t, s, model{"k": v})
}
