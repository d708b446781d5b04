package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

// faultRun opens a store on f twice (the second owner inherits), with updates and checkpoints, and returns the first error.
func faultRun(f fsbackend.FS, h *history, owners *[]*owner) error {
	r := rand.New(rand.NewPCG(7, 7))
	var last *owner
	for g := uint64(2); g <= 3; g++ {
		own := &owner{generation: g}
		if last != nil {
			own.prior = last.generation
		}
		*owners = append(*owners, own)
		s, err := Open(context.Background(), crashOptions(f, own))
		if err != nil {
			return err
		}
		for i := range 24 {
			if err = h.update(s, r, i%5 == 4); err != nil {
				break
			}
			if i%10 == 9 {
				if err = s.Checkpoint(context.Background()); err != nil {
					break
				}
			}
		}
		if err == nil {
			err = s.View(func(sn *Snapshot) error { _, _, err := sn.Get([]byte("n")); return err })
		}
		if err != nil {
			if e := s.Update(context.Background(), put("later", "")); e == nil {
				err = fmt.Errorf("an update went well after %w", err)
			}
		}
		if e := s.Close(context.Background()); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		last = own
	}
	return nil
}

// TestNthIOFails makes each I/O operation of a run fail in turn, first without effect and then with a torn one. Nothing that was acknowledged may be lost, and the owner hears of it.
func TestNthIOFails(t *testing.T) {
	t.Parallel()
	base := func() (*memfs.FS, *history) { // a killed generation 1 to seal
		fsys, h := newFS(t), newHistory()
		s := mustOpen(t, crashOptions(fsys, &owner{generation: 1}))
		r := rand.New(rand.NewPCG(6, 6))
		for range 20 {
			if err := h.update(s, r, false); err != nil {
				t.Fatal(err)
			}
		}
		s.abandon()
		return fsys, h
	}
	for _, land := range []faultfs.Land{faultfs.None, faultfs.Torn, faultfs.Whole} {
		for n := 0; ; n++ {
			if testing.Short() && n%6 != int(land) {
				continue
			}
			under, h := base()
			f := faultfs.New(under, uint64(n), faultfs.Rule{Ops: faultfs.Changes | faultfs.OpRead | faultfs.OpOpen | faultfs.OpList, Skip: n, Count: 1, Land: land})
			var owners []*owner
			err := faultRun(f, h, &owners)
			if f.Fired() == 0 {
				if err != nil {
					t.Fatalf("run without a fault: %v", err)
				}
				t.Logf("land %v: %d operations", land, n)
				break
			}
			what := fmt.Sprintf("land %v, operation %d (%v)", land, n, err)
			for _, keep := range []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(uint64(n))} {
				s, _ := verifyRecovered(t, under.CrashClone(keep), &owner{generation: 9}, h, h.acked.Load(), what)
				s.abandon()
			}
		}
	}
}

// TestFailedSyncIsFinal: after a failed fdatasync nothing is acknowledged, the owner is told, and nothing is tried again.
func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	for _, op := range []faultfs.Op{faultfs.OpDatasync, faultfs.OpWrite} {
		f := faultfs.New(newFS(t), 1)
		own := &owner{generation: 1}
		s := mustOpen(t, smallOptions(f, own))
		mustUpdate(t, s, put("a", "1"))
		for s.Stats().Log.Free < 2 { // the preparer, whose writes are none that a failure should stop, has nothing left to do
			time.Sleep(time.Millisecond)
		}
		f.Add(faultfs.Rule{Ops: op, Name: "log-*", Count: 1})
		if err := s.Update(t.Context(), put("b", "2")); !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Unavailable", err)
		}
		if own.failure() == nil {
			t.Error("the owner was not told")
		}
		before := f.Seen(faultfs.Changes)
		for range 3 {
			if err := s.Update(t.Context(), put("c", "3")); err == nil {
				t.Error("an update went well after the failure")
			}
			if err := s.View(func(*Snapshot) error { return nil }); err == nil {
				t.Error("a view went well after the failure")
			}
		}
		if err := s.Close(t.Context()); err == nil {
			t.Error("close went well after the failure: the lease would be released")
		}
		if got := f.Seen(faultfs.Changes); got != before {
			t.Errorf("%d writes after the failure", got-before)
		}
	}
}

// TestStaleOwner: what was durable in time but not checked in time is not acknowledged.
func TestStaleOwner(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	own := &owner{generation: 1}
	s := mustOpen(t, smallOptions(fsys, own))
	mustUpdate(t, s, put("a", "1"))
	fsys.OnSync(func(op, _ string) {
		if op == "datasync" {
			own.lost.Store(true)
		}
	})
	if err := s.Update(t.Context(), put("a", "2")); !errors.Is(err, fault.Stale) {
		t.Errorf("update: got %v, want Stale", err)
	}
	if err := s.View(func(*Snapshot) error { return nil }); !errors.Is(err, fault.Stale) {
		t.Errorf("view: got %v, want Stale", err)
	}
	if err := s.UpdateLazy(t.Context(), put("a", "3")); !errors.Is(err, fault.Stale) {
		t.Errorf("lazy update: got %v, want Stale", err)
	}
	own.lost.Store(false)
	err := s.View(func(*Snapshot) error { own.lost.Store(true); return nil })
	if !errors.Is(err, fault.Stale) {
		t.Errorf("view that took too long: got %v, want Stale", err)
	}
	s.abandon()
}

// TestNoSpace fills the file system, checks that what was acknowledged stays readable, deletes still pass, and writes work again when there is room, without a restart.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	own := &owner{generation: 1}
	s := mustOpen(t, smallOptions(fsys, own))
	fsys.SetCapacity(fsys.Used() + 300<<10)
	want := map[string]string{}
	var err error
	for i := 0; err == nil; i++ {
		if i > 100_000 {
			t.Fatal("the file system never filled up")
		}
		k, v := fmt.Sprintf("key%07d", i), fmt.Sprintf("%0500d", i)
		if err = s.Update(t.Context(), put(k, v)); err == nil {
			want[k] = v
		}
	}
	if !errors.Is(err, fault.NoSpace) {
		t.Fatalf("got %v, want NoSpace", err)
	}
	if err := own.failure(); err != nil {
		t.Fatalf("a full file system failed the owner: %v", err)
	}
	wantContents(t, s, want)
	mustUpdate(t, s, func(tx *Tx) error { tx.Delete([]byte("key0000000")); return nil })
	delete(want, "key0000000")
	mustUpdate(t, s, func(tx *Tx) error {
		tx.Delete([]byte("key0000001"))
		tx.Put([]byte("queue"), nil)
		tx.Frees()
		return nil
	})
	delete(want, "key0000001")
	want["queue"] = ""
	crash := fsys.CrashClone(memfs.Nothing)
	fsys.SetCapacity(0)
	deadline := time.Now().Add(time.Minute)
	for {
		if err = s.Update(t.Context(), put("again", "1")); err == nil {
			break
		}
		if !errors.Is(err, fault.NoSpace) || time.Now().After(deadline) {
			t.Fatalf("with room again: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // the checkpoint is tried again after retryDelay
	}
	crash.SetCapacity(0)
	s2 := mustOpen(t, smallOptions(crash, &owner{generation: 2}))
	wantContents(t, s2, want)
	mustClose(t, s2)
	want["again"] = "1"
	wantContents(t, s, want)
	mustClose(t, s)
}

// TestCorruptLog: damage inside what was durable is reported, not taken for the end of the log.
func TestCorruptLog(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	s := mustOpen(t, smallOptions(fsys, &owner{generation: 1}))
	for i := range 50 {
		mustUpdate(t, s, put(fmt.Sprintf("key%d", i), "value"))
	}
	s.abandon()
	name := fsbackend.GenerationDir(testDir, 1) + "/log-00000001"
	flips := 0
	for off := int64(0); off < 4096+50*64; off += 37 {
		if off >= 64 && off < 4096 {
			continue // padding of the header
		}
		c := fsys.CrashClone(memfs.Everything)
		f, err := c.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		f.Close()
		s, err := Open(t.Context(), smallOptions(c, &owner{generation: 2}))
		if err == nil {
			got := contents(t, s)
			s.abandon()
			if len(got) != 50 && len(got) != 49 { // only the last record has nothing behind it that tells
				t.Errorf("offset %d: %d keys after damage", off, len(got))
			}
			continue
		}
		flips++
		if !errors.Is(err, fault.Corrupt) {
			t.Errorf("offset %d: got %v, want Corrupt", off, err)
		}
	}
	if flips < 60 {
		t.Errorf("only %d of the flips were noticed", flips)
	}
}

// TestSyncFailsWhileClosing: a checkpoint that Close has given up ends with a failed sync of its root. What is on disk is unknown then, so Close must say so: a clean release would let the
// next owner believe what it reads.
func TestSyncFailsWhileClosing(t *testing.T) {
	t.Parallel()
	f := faultfs.New(newFS(t), 1)
	own := &owner{generation: 1}
	s := mustOpen(t, smallOptions(f, own))
	mustUpdate(t, s, put("a", "1"))
	stuck := faultfs.Stuck{Hang: true}
	f.Add(faultfs.Rule{Ops: faultfs.OpDatasync, Name: rootsName, Count: 1, Stuck: &stuck})
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error)
	go func() { closed <- s.Close(ctx) }()
	stuck.Wait(1)
	cancel()
	<-s.ckpt.stop.Done()
	stuck.Drop(errors.New("the disk is gone"))
	if err := <-closed; err == nil {
		t.Error("close went well after the failure: the lease would be released")
	}
	if own.failure() == nil {
		t.Error("the owner was not told")
	}
}

// TestSyncMeetsFullDisk: a sync that fails for lack of space is a failed sync. It is not tried again, with the space of the reserve or without.
func TestSyncMeetsFullDisk(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tree-*", rootsName} {
		for _, reserve := range []bool{true, false} {
			f := faultfs.New(newFS(t), 1)
			own := &owner{generation: 1}
			s := mustOpen(t, smallOptions(f, own))
			mustUpdate(t, s, put("a", "1"))
			s.mu.Lock()
			s.ckpt.reserve = reserve
			s.mu.Unlock()
			f.Add(faultfs.Rule{Ops: faultfs.OpDatasync, Name: name, Count: 1, Err: fault.NoSpace})
			if err := s.Checkpoint(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s, reserve %v: checkpoint: %v, want unavailable", name, reserve, err)
			}
			if own.failure() == nil {
				t.Errorf("%s, reserve %v: the owner was not told", name, reserve)
			}
			if err := s.Close(t.Context()); err == nil {
				t.Errorf("%s, reserve %v: close went well after the failure: the lease would be released", name, reserve)
			}
		}
	}
}
