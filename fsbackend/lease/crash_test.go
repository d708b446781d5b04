package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/fstest"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

// A power cut at every sync point of one life, with several subsets of what was not synced: the next owner of the host always gets in, above every owner that ever
// served, and inherits only what was released.
func TestCrashAtEverySyncPoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys, local := memfs.New(), memfs.New()
		if err := errors.Join(fsys.MkdirAll(dir), fsys.SyncDir(""), fsys.SyncDir("services")); err != nil {
			t.Fatal(err)
		}
		opts := Options{FS: fsys, Dir: dir, Host: 1, Boot: 1, Local: local, Clock: fakeClock{time.Now().Add(-time.Hour)}}
		served, releasing := uint64(0), false
		points := 0
		at := func(string, string) {
			points++
			for seed := range uint64(6) {
				keep := memfs.Some(seed)
				if seed == 0 {
					keep = memfs.Nothing
				}
				o := opts
				o.FS, o.Local, o.Boot = fsys.CrashClone(keep), local.CrashClone(keep), 2
				l, err := Acquire(context.Background(), o)
				if err != nil {
					t.Errorf("point %d, seed %d: %v", points, seed, err)
					continue
				}
				if l.Generation() <= served {
					t.Errorf("point %d, seed %d: generation %d again, %d has served", points, seed, l.Generation(), served)
				}
				if prior, ok := l.Inherits(); ok && (!releasing || prior != served) {
					t.Errorf("point %d, seed %d: inherits %d without a release", points, seed, prior)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		fsys.BeforeSync(at)
		fsys.OnSync(at)
		for range 3 {
			releasing = served > 0 // the former life ended cleanly
			l, err := Acquire(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			served, releasing = l.Generation(), false
			w := &world{t: t, fs: fsys}
			w.manifest(l)
			releasing = true
			if err := errors.Join(l.Release(t.Context()), l.Close()); err != nil {
				t.Fatal(err)
			}
		}
		fsys.BeforeSync(nil)
		fsys.OnSync(nil)
		t.Logf("%d points", points)
		if points < 40 {
			t.Errorf("only %d points", points)
		}
	})
}

// An error at the n-th I/O for all n: the next owner gets in, and of a failed change Acquire or Release says so.
func TestNthIOFails(t *testing.T) {
	t.Parallel()
	t.Run("all", func(t *testing.T) { nthIOFails(t, faultfs.All, false) })
	t.Run("changes", func(t *testing.T) { nthIOFails(t, faultfs.Changes, true) })
}

func nthIOFails(t *testing.T, ops faultfs.Op, told bool) {
	synctest.Test(t, func(t *testing.T) {
		clock := fakeClock{time.Now().Add(-time.Hour)}
		var under, local *memfs.FS
		hit := faultfs.Each(ops, func() fsbackend.FS {
			under, local = memfs.New(), memfs.New()
			if err := under.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			return under
		}, func(f *faultfs.FS, n int) {
			o := Options{FS: f, Dir: dir, Host: 1, Boot: 1, Local: local, Clock: clock}
			l, err := Acquire(t.Context(), o)
			clean := false
			if err == nil {
				(&world{t: t, fs: under}).manifest(l)
				if err = l.Release(t.Context()); err == nil {
					clean = true
				}
				_ = l.Close()
			}
			if fired := f.Fired() > 0; !fired && err != nil || told && fired && err == nil {
				t.Errorf("operation %d failed: %v, and the caller was told %v", n, fired, err)
			}
			l, err = Acquire(t.Context(), Options{FS: under, Dir: dir, Host: 1, Boot: 1, Local: local, Clock: clock})
			if err != nil {
				t.Errorf("after operation %d failed: %v", n, err)
				return
			}
			if _, ok := l.Inherits(); ok && !clean && !hasRelease(under) {
				t.Errorf("after operation %d failed: inherits", n)
			}
			_ = l.Close()
		})
		if hit < 9 {
			t.Errorf("only %d operations", hit)
		}
	})
}

func hasRelease(f *memfs.FS) bool {
	_, err := f.Stat(dir + "/gen/0000000001.release")
	return err == nil
}

// Hosts claim, freeze, thaw, die and come back at random: never do two of them hold themselves valid, and a claim that is left alone succeeds.
func TestNeverTwoOwners(t *testing.T) {
	t.Parallel()
	base := fstest.Seed(t)
	for i := range uint64(30) {
		seed := base + i
		synctest.Test(t, func(t *testing.T) { neverTwoOwners(t, seed) })
	}
}

func neverTwoOwners(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	fsys := memfs.New()
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	clock := fakeClock{time.Now().Add(-time.Hour)}
	type host struct {
		f     *faultfs.FS
		stuck *faultfs.Stuck
		local *memfs.FS
		busy  bool
		lease *Lease
		stop  context.CancelFunc
	}
	hosts := make([]*host, 3)
	for i := range hosts {
		hosts[i] = &host{f: faultfs.New(fsys, seed), stuck: &faultfs.Stuck{Hang: true}, local: memfs.New()}
	}
	valid := func() (n int) {
		for _, h := range hosts {
			if h.lease != nil && h.lease.Check() == nil {
				n++
			}
		}
		return n
	}
	thaw := func(h *host) { h.f.Clear(); h.stuck.Release() }
	type result struct {
		h *host
		l *Lease
	}
	results := make(chan result, 100)
	for range 400 {
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		synctest.Wait()
		for len(results) > 0 {
			res := <-results
			res.h.busy, res.h.lease = false, res.l
			if res.l != nil {
				(&world{t: t, fs: fsys}).manifest(res.l)
			}
		}
		if n := valid(); n > 1 {
			t.Fatalf("SEED=%d: %d owners", seed, n)
		}
		i := r.IntN(len(hosts))
		h := hosts[i]
		switch action := r.IntN(6); {
		case action <= 1 && !h.busy && h.lease == nil:
			h.busy = true
			ctx, cancel := context.WithCancel(t.Context())
			h.stop = cancel
			o := Options{FS: h.f, Dir: dir, Host: uint64(i + 1), Boot: 1, Local: h.local, Clock: clock, Takeover: true}
			go func() {
				l, err := Acquire(ctx, o)
				if err != nil && !errors.Is(err, fault.Stale) && !errors.Is(err, fault.Unavailable) && !errors.Is(err, context.Canceled) {
					t.Errorf("SEED=%d: acquire: %v", seed, err)
				}
				results <- result{h, l}
			}()
		case action == 2:
			h.f.Add(faultfs.Rule{Ops: faultfs.OpList, Stuck: h.stuck})
		case action == 3:
			thaw(h)
		case action == 4 && h.lease != nil: // exits, cleanly if it can
			thaw(h)
			if r.IntN(2) == 0 {
				_ = h.lease.Release(t.Context())
			}
			_ = h.lease.Close()
			h.lease = nil
		case action == 5 && h.busy:
			thaw(h)
			h.stop()
		}
	}
	for _, h := range hosts { // calm: one claim left alone succeeds
		thaw(h)
		if h.stop != nil {
			h.stop()
		}
		if h.lease != nil {
			_ = h.lease.Close()
		}
	}
	synctest.Wait()
	for len(results) > 0 {
		if res := <-results; res.l != nil {
			_ = res.l.Close()
		}
	}
	l, err := Acquire(t.Context(), Options{FS: fsys, Dir: dir, Host: 1, Boot: 1, Local: hosts[0].local, Clock: clock, Takeover: true})
	if err != nil {
		t.Fatalf("SEED=%d: in the calm: %v", seed, err)
	}
	if err := errors.Join(l.Check(), l.Close()); err != nil {
		t.Errorf("SEED=%d: in the calm: %v", seed, err)
	}
}

// A real process on a real directory is killed: the kernel gives its lock back, and the next owner waits for nothing.
func TestKilledProcess(t *testing.T) {
	if root := os.Getenv("OSTOR_LEASE_CHILD"); root != "" {
		if _, err := Acquire(context.Background(), realOptions(t, root)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("acquired")
		select {}
	}
	t.Parallel()
	root := t.TempDir()
	for _, d := range []string{"mount/" + dir, "local"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), "OSTOR_LEASE_CHILD="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := out.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), "acquired") {
		t.Fatalf("child says %q, %v", b[:n], err)
	}
	o := realOptions(t, root)
	if _, err := Acquire(t.Context(), o); !errors.Is(err, fault.Exists) || !strings.Contains(err.Error(), "a test") {
		t.Errorf("while the child lives: %v, want fault.Exists", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	begin := time.Now()
	l, err := Acquire(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > Default.Wait()/2 || l.Generation() != 2 {
		t.Errorf("generation %d after %v, want 2 without a wait", l.Generation(), took)
	}
	wantInherits(t, l, 0)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func realOptions(t *testing.T, root string) Options {
	mount, err := fsbackend.NewOS(filepath.Join(root, "mount"))
	if err != nil {
		t.Fatal(err)
	}
	local, err := fsbackend.NewOS(filepath.Join(root, "local"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{FS: mount, Dir: dir, Host: 1, Boot: 1, Local: local, Info: "a test"}
}

func BenchmarkCheck(b *testing.B) {
	f := memfs.New()
	if err := f.MkdirAll(dir); err != nil {
		b.Fatal(err)
	}
	l, err := Acquire(b.Context(), Options{FS: f, Dir: dir, Host: 1, Boot: 1, Local: memfs.New()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
