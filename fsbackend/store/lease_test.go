package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

var _ Owner = (*lease.Lease)(nil)

// TestWithLease runs a store under real leases: a clean stop is inherited, a release after a failure is refused, and a kill leads to a new home.
func TestWithLease(t *testing.T) {
	t.Parallel()
	fsys, local := newFS(t), memfs.New()
	acquire := func() *lease.Lease {
		t.Helper()
		l, err := lease.Acquire(t.Context(), lease.Options{FS: fsys, Dir: testDir, Host: 1, Boot: 1, Local: local, Profile: lease.Profile{N: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	want := map[string]string{}
	run := func(l *lease.Lease, wantHome uint64) *Store {
		t.Helper()
		o := smallOptions(fsys, l)
		s := mustOpen(t, o)
		if s.SealedHome() != wantHome {
			t.Errorf("generation %d: home %d, want %d", l.Generation(), s.SealedHome(), wantHome)
		}
		wantContents(t, s, want)
		k := fmt.Sprintf("written by %d", l.Generation())
		mustUpdate(t, s, put(k, "x"))
		want[k] = "x"
		return s
	}
	l := acquire()
	s := run(l, 1)
	mustClose(t, s)
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()

	l = acquire() // inherits
	s = run(l, 1)
	_ = l.Close() // without release, as an exit
	s.abandon()

	l = acquire()
	s = run(l, 3)
	mustClose(t, s)
	l.Fail(errors.New("test"))
	if err := s.View(func(*Snapshot) error { return nil }); !errors.Is(err, fault.Stale) && !errors.Is(err, fault.Unavailable) {
		t.Errorf("view of a closed store without ownership: got %v", err)
	}
	_ = l.Close()

	l = acquire()
	s = run(l, 4)
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s) // the checkpoint counts before it has cleaned up
	if _, err := fsys.Stat(fsbackend.GenerationDir(testDir, 3) + "/log-00000001"); err == nil {
		t.Error("the log of generation 3 is still there after a checkpoint of generation 4")
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
