package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

func TestSeenExitNeedsNoWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		_ = l.Close() // as the kernel does for a killed process
		l2, took := w.took(w.options(1))
		if took != 0 || l2.Generation() != 2 {
			t.Errorf("generation %d after %v, want 2 at once", l2.Generation(), took)
		}
		wantInherits(t, l2, 0)
	})
}

func TestReleaseOnTheSameHostInherits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, l, fault.Stale)
		if err := l.Release(t.Context()); !errors.Is(err, fault.Stale) {
			t.Errorf("second release: %v", err)
		}
		_ = l.Close()
		l2, took := w.took(w.options(1))
		if took != 0 {
			t.Errorf("took %v", took)
		}
		wantInherits(t, l2, 1)
		_ = l2.Close() // no manifest, no release: generation 1 still has the newest manifest, but is not the last claim
		wantInherits(t, w.acquire(w.options(1)), 0)
	})
}

func TestReleaseOnAnotherHostOnlyShortensTheWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		l2, took := w.took(w.options(2))
		if took != 0 {
			t.Errorf("took %v", took)
		}
		wantInherits(t, l2, 0)
	})
}

func TestInheritNeedsTheManifest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		wantInherits(t, w.acquire(w.options(1)), 0)
	})
}

func TestOtherHostWithoutProof(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		_ = l.Close() // seen on host 1 only
		_, err := Acquire(t.Context(), w.options(2))
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(err), "host 0000000000000001") || !strings.Contains(fmt.Sprint(err), "takeover") {
			t.Errorf("got %v, want fault.Unavailable that names the host and the remedy", err)
		}
		if w.exists(dir + "/gen/0000000002.claim") {
			t.Error("the refused one has claimed")
		}
		o := w.options(2)
		o.Takeover = true
		if _, took := w.took(o); took != wait {
			t.Errorf("took %v, want %v", took, wait)
		}
	})
}

// A note that appears while waiting ends the wait.
func TestReleaseDuringTheWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		time.AfterFunc(4*time.Second, func() { _ = l.Release(context.Background()) })
		o := w.options(2)
		o.Takeover = true
		if _, took := w.took(o); took < 4*time.Second || took > 4*time.Second+Default.N {
			t.Errorf("took %v, want 4 s and at most N more", took)
		}
	})
}

func TestWaitFollowsTheLargestN(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.options(1)
		o.Profile = Safe
		w.manifest(w.acquire(o))
		o = w.options(2)
		o.Profile, o.Takeover = Test, true
		if _, took := w.took(o); took != 47*time.Second {
			t.Errorf("took %v, want the wait of the patient owner, 47 s", took)
		}
	})
}

func TestUnreadableClaimCountsAsTaken(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "torn": "OSTLEASE\x01\x00\x01\x00"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if err := w.fs.MkdirAll(dir + "/gen"); err != nil {
					t.Fatal(err)
				}
				h, err := w.fs.Create(dir + "/gen/0000000007.claim")
				if err != nil {
					t.Fatal(err)
				}
				_, _ = h.WriteAt([]byte(content), 0)
				l, took := w.took(w.options(1))
				if l.Generation() != 8 || took != wait+Default.N {
					t.Errorf("generation %d after %v, want 8 after %v", l.Generation(), took, wait+Default.N)
				}
			})
		})
	}
}

func TestFailedOwnerLeavesNoRelease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.options(1)
		var told atomic.Int32
		o.OnLost = func(error) { told.Add(1) }
		l := w.acquire(o)
		w.manifest(l)
		l.Fail(syscall.EIO)
		l.Fail(syscall.EIO)
		check(t, l, fault.Stale)
		check(t, l, syscall.EIO)
		if err := l.Release(t.Context()); !errors.Is(err, fault.Stale) {
			t.Errorf("release: %v", err)
		}
		_ = l.Close()
		synctest.Wait()
		if told.Load() != 1 {
			t.Errorf("OnLost was called %d times", told.Load())
		}
		if w.exists(dir + "/gen/0000000001.release") {
			t.Error("there is a release")
		}
		wantInherits(t, w.acquire(w.options(1)), 0)
	})
}

// A release is one of its own claim only: a claim's name can vanish with a power cut and be taken again.
func TestReleaseOfAnotherNonce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		note := l.claim
		note.kind, note.nonce = kindRelease, nonce{1}
		if _, err := writeRecord(w.fs, dir+"/gen/0000000001.release", &note); err != nil {
			t.Fatal(err)
		}
		o := w.options(2)
		if _, err := Acquire(t.Context(), o); !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want fault.Unavailable", err)
		}
	})
}

func TestMissingLockFileProvesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		w.manifest(l)
		_ = l.Close()
		w.local[1] = memfs.New() // somebody emptied the local directory
		if _, took := w.took(w.options(1)); took != wait {
			t.Errorf("took %v, want %v", took, wait)
		}
	})
}

func TestLaterBootIsProof(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.fs.MkdirAll("control/hosts/0000000000000001"); err != nil {
			t.Fatal(err)
		}
		boot := func(id string) uint64 {
			k, err := registerBoot(w.fs, "control/hosts/0000000000000001", id)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		o := w.options(1)
		o.Boot = boot("one")
		l := w.acquire(o)
		w.manifest(l)
		_ = l.Close()
		if _, err := Acquire(t.Context(), w.options(2)); !errors.Is(err, fault.Unavailable) { // the claim's own boot proves nothing
			t.Errorf("got %v, want fault.Unavailable", err)
		}
		k := boot("two")
		l2, took := w.took(w.options(2)) // another host sees the later boot
		if took != 0 {
			t.Errorf("took %v", took)
		}
		w.manifest(l2)
		if err := l2.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		l3 := w.acquire(o)
		w.manifest(l3)
		_ = l3.Close()
		w.local[1] = memfs.New()
		o = w.options(1)
		o.Boot = k
		l4, took := w.took(o) // so does the host itself, without its local directory
		if took != 0 {
			t.Errorf("took %v", took)
		}
		wantInherits(t, l4, 0)
	})
}

// Flaw F3 of the model: the end of the last claimer says nothing about the owner before it.
func TestProofCoversEveryGeneration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f, freeze, thaw := w.freezable()
		defer thaw()
		o := w.options(1)
		o.FS = f
		w.manifest(w.acquire(o))
		freeze()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		o = w.options(2)
		o.Takeover = true
		if _, err := Acquire(ctx, o); !errors.Is(err, context.Canceled) { // claims, waits, is killed
			t.Fatal(err)
		}
		l, took := w.took(o) // sees the exit of generation 2, knows nothing of 1
		if took != wait || l.Generation() != 3 {
			t.Errorf("generation %d after %v, want 3 after %v", l.Generation(), took, wait)
		}
		w.manifest(l)
		_ = l.Close()
		if _, took = w.took(o); took != 0 { // the newest manifest is that of 3: nobody asks for 1 and 2 any more
			t.Errorf("took %v", took)
		}
	})
}

func TestHigherClaimEndsTheWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.manifest(w.acquire(w.options(1)))
		o := w.options(2)
		o.Takeover = true
		done := make(chan error, 1)
		go func() { _, err := Acquire(t.Context(), o); done <- err }()
		time.Sleep(time.Second)
		o3 := w.options(3)
		o3.Takeover = true
		l := w.acquire(o3)
		if err := <-done; !errors.Is(err, fault.Stale) {
			t.Errorf("the earlier claimer got %v, want fault.Stale", err)
		}
		check(t, l, nil)
	})
}

func TestVanishedClaimEndsTheOwner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		if err := w.fs.Remove(dir + "/gen/0000000001.claim"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Default.Renewal())
		synctest.Wait()
		check(t, l, fault.Stale)
	})
}

// A number stays taken as long as anything in gen/ speaks of it.
func TestDirectoryWithoutClaimCountsAsTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.fs.MkdirAll(dir + "/gen/0000000004"); err != nil {
			t.Fatal(err)
		}
		l, took := w.took(w.options(1))
		if l.Generation() != 5 || took != wait+Default.N {
			t.Errorf("generation %d after %v", l.Generation(), took)
		}
	})
}

func TestOldLockFilesAreRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 10 {
			l := w.acquire(w.options(1))
			w.manifest(l)
			if err := errors.Join(l.Release(t.Context()), l.Close()); err != nil {
				t.Fatal(err)
			}
		}
		names, err := w.local[1].List("lease")
		if err != nil || len(names) > 2 { // the last and the one before
			t.Errorf("host-local files: %q, %v", names, err)
		}
	})
}
