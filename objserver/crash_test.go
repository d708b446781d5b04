package objserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// fate is what a history knows of an object.
type fate uint8

const (
	creating fate = iota // may be there whole, or not at all
	live                 // acknowledged
	deleting             // may be there whole, or not at all
	gone                 // acknowledged
)

type past struct {
	seed, size int
	fate       fate
}

// history is what clients were told. Safe for concurrent use.
type history struct {
	mu      sync.Mutex
	objects map[cluster.ObjectID]past
}

func newHistory() *history { return &history{objects: map[cluster.ObjectID]past{}} }

func (h *history) set(id cluster.ObjectID, p past) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.objects[id] = p
}

func (h *history) now() map[cluster.ObjectID]past {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.objects)
}

// step does one random operation. It returns the error of the server.
func (h *history) step(s *Server, rng *rand.Rand, n int) error {
	ctx := context.Background()
	pick := func() (cluster.ObjectID, past, bool) {
		for id, p := range h.now() {
			if p.fate == live {
				return id, p, true
			}
		}
		return cluster.ObjectID{}, past{}, false
	}
	switch k := rng.IntN(20); {
	case k < 12:
		p := past{n, 1 + rng.IntN(1<<(1+rng.IntN(18))), creating}
		id := cluster.NewObjectID()
		h.set(id, p)
		if _, err := s.CreateObject(ctx, id, int64(p.size), bytes.NewReader(content(p.seed, p.size))); err != nil {
			return err
		}
		p.fate = live
		h.set(id, p)
	case k < 16:
		id, p, ok := pick()
		if !ok {
			return nil
		}
		p.fate = deleting
		h.set(id, p)
		if err := s.DeleteObjects(ctx, []cluster.ObjectID{id}); err != nil {
			return err
		}
		p.fate = gone
		h.set(id, p)
	case k < 18:
		id, p, ok := pick()
		if !ok {
			return nil
		}
		var b bytes.Buffer
		if err := s.ReadObject(ctx, id, 0, int64(p.size), &b); err != nil {
			return err
		}
		if !bytes.Equal(b.Bytes(), content(p.seed, p.size)) {
			return fmt.Errorf("object %d: wrong bytes", p.seed)
		}
	case k < 19:
		return s.Checkpoint(ctx)
	default:
		return s.Collect(ctx)
	}
	return nil
}

// verify asserts that a server has what clients were told, and that it is consistent.
func verify(t *testing.T, s *Server, objects map[cluster.ObjectID]past, what string) {
	t.Helper()
	for id, p := range objects {
		var b bytes.Buffer
		err := s.ReadObject(context.Background(), id, 0, int64(p.size), &b)
		missing := errors.Is(err, fault.NotFound)
		switch {
		case err == nil && bytes.Equal(b.Bytes(), content(p.seed, p.size)) && p.fate != gone:
		case missing && p.fate != live:
		default:
			t.Fatalf("%s: object of %d bytes, fate %d: %d bytes, %v", what, p.size, p.fate, b.Len(), err)
		}
	}
	if check(t, s); t.Failed() {
		t.Fatalf("%s: not consistent", what)
	}
}

func crashOptions(fs fsbackend.FS, o *owner) Options {
	opts := testOptions(fs, o)
	opts.MemtableBytes = 64 << 10
	opts.SmallBytes = 16 << 10
	opts.SegmentBytes, opts.LogBytes = 256<<10, 1<<20
	return opts
}

// TestCrashEverywhere takes the power away before and after every sync point of a run, keeps what was synced and none, all or some of the rest, and recovers: once as
// the next generation after a death, and again from there.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	type crash struct {
		fs      *memfs.FS
		objects map[cluster.ObjectID]past
		what    string
	}
	var (
		mu      sync.Mutex
		crashes []crash
		points  int
		fs      = newFS(t)
		h       = newHistory()
	)
	hook := func(when string) func(op, name string) {
		return func(op, name string) {
			mu.Lock()
			defer mu.Unlock()
			h.mu.Lock() // the server syncs beside its clients too: no delete may begin between the history and the clone
			defer h.mu.Unlock()
			points++
			keep := []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(seed + uint64(points))}[points%3]
			crashes = append(crashes, crash{fs.CrashClone(keep), maps.Clone(h.objects), fmt.Sprintf("point %d, %s %s %s", points, when, op, name)})
		}
	}
	fs.OnSync(hook("after"))
	fs.BeforeSync(hook("before"))
	s := open(t, crashOptions(fs, &owner{generation: 1}))
	rng := rand.New(rand.NewPCG(seed, 1))
	steps := 90
	if testing.Short() {
		steps = 30
	}
	for i := range steps {
		if err := h.step(s, rng, i); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	fs.OnSync(nil)
	fs.BeforeSync(nil)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range crashes {
		s := open(t, crashOptions(c.fs, &owner{generation: 2}))
		verify(t, s, c.objects, c.what)
		if i%4 > 0 {
			_ = s.Close(t.Context())
			continue
		}
		// Go on working, die again, recover again; then a clean restart.
		h := &history{objects: maps.Clone(c.objects)}
		for id, p := range h.objects { // settle what was open
			if p.fate == live || p.fate == gone {
				continue
			}
			p.fate = live
			if _, err := s.StatObject(t.Context(), id); err != nil {
				p.fate = gone
			}
			h.objects[id] = p
		}
		for n := range 12 {
			if err := h.step(s, rng, 10_000+n); err != nil {
				t.Fatalf("%s, second life: %v", c.what, err)
			}
		}
		again := c.fs.CrashClone(memfs.Some(seed ^ uint64(i)))
		_ = s.Close(t.Context())
		s = open(t, crashOptions(again, &owner{generation: 3}))
		verify(t, s, h.now(), c.what+", second crash")
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = open(t, crashOptions(again, &owner{generation: 4, prior: 3}))
		verify(t, s, h.now(), c.what+", inherited")
		_ = s.Close(t.Context())
	}
	t.Logf("%d crash points, %d objects", points, len(h.objects))
}

// TestFailEverywhere makes the n-th change of the file system fail, for every n: the server may fail for good, but what it acknowledged is there after a restart.
func TestFailEverywhere(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	for _, land := range []faultfs.Land{faultfs.None, faultfs.Torn} {
		stride := 1 // every operation
		if land == faultfs.Torn || testing.Short() {
			stride = 7
		}
		fired := 0
		for n := 1; ; n += stride {
			mem := newFS(t)
			ffs := faultfs.New(mem, uint64(n), faultfs.Rule{Ops: faultfs.Changes, Skip: n - 1, Count: 1, Land: land})
			h := newHistory()
			o := &owner{generation: 1}
			rng := rand.New(rand.NewPCG(seed, 2))
			s, err := Open(t.Context(), crashOptions(ffs, o))
			for i := 0; err == nil && i < 60; i++ {
				err = h.step(s, rng, i)
			}
			if s != nil {
				if e := s.Close(t.Context()); err == nil {
					err = e
				}
			}
			if ffs.Fired() == 0 {
				if err != nil {
					t.Fatalf("operation %d: nothing failed, but %v", n, err)
				}
				break
			}
			fired++
			if err != nil && o.failed.Load() == nil && s != nil && s.pools.Err() == nil && s.store.Err() == nil {
				t.Logf("operation %d: passing error %v", n, err)
			}
			for i, keep := range []memfs.Keep{memfs.Everything, memfs.Some(seed + uint64(n))} {
				clone := mem.CrashClone(keep)
				s := open(t, crashOptions(clone, &owner{generation: 2}))
				verify(t, s, h.now(), fmt.Sprintf("operation %d failed, landing %d, keep %d", n, land, i))
				_ = s.Close(t.Context())
			}
		}
		t.Logf("landing %d: %d operations failed", land, fired)
	}
}

// TestReadErrors makes reads of pool files fail now and then: the call fails, the server goes on.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	ffs := faultfs.New(newFS(t), 1)
	s := openChecked(t, testOptions(ffs, &owner{generation: 1}))
	id := create(t, s, content(1, 3<<20))
	ffs.Add(faultfs.Rule{Ops: faultfs.OpRead, Name: "pool-*", Skip: 1, Count: 1})
	var b bytes.Buffer
	err := s.ReadObject(t.Context(), id, 0, 3<<20, &b)
	if !errors.Is(err, fault.Unavailable) || !errors.Is(err, syscall.EIO) || !bytes.Equal(b.Bytes(), content(1, 3<<20)[:b.Len()]) {
		t.Errorf("got %v after %d bytes", err, b.Len())
	}
	wantBytes(t, s, id, content(1, 3<<20))
	// Bits that flip on the way are damage, never wrong bytes.
	ffs.Add(faultfs.Rule{Ops: faultfs.OpRead, Name: "pool-*", Count: 1, Flip: 1})
	b.Reset()
	if err := s.ReadObject(t.Context(), id, 0, 1<<20, &b); !errors.Is(err, fault.Corrupt) || b.Len() > 0 {
		t.Errorf("got %v after %d bytes", err, b.Len())
	}
	wantBytes(t, s, id, content(1, 3<<20))
}

// TestFailedSync: a server whose sync failed answers nothing more, and has told its owner.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	for _, rule := range []faultfs.Rule{
		{Ops: faultfs.OpDatasync, Name: "pool-*", Count: 1, Land: faultfs.Whole},
		{Ops: faultfs.OpDatasync, Name: "pool-*", Count: 1, Err: syscall.ENOSPC},
		{Ops: faultfs.OpWrite, Name: "pool-*", Count: 1},
	} {
		mem := newFS(t)
		ffs := faultfs.New(mem, 1)
		o := &owner{generation: 1}
		s := open(t, testOptions(ffs, o))
		kept := create(t, s, content(1, 2<<20))
		ffs.Add(rule)
		id := cluster.NewObjectID()
		_, err := s.CreateObject(t.Context(), id, 2<<20, bytes.NewReader(content(2, 2<<20)))
		if !errors.Is(err, fault.Unavailable) || o.failed.Load() == nil {
			t.Errorf("create: %v, owner told %v", err, o.failed.Load())
		}
		ffs.Clear()
		if err := s.ReadObject(t.Context(), kept, 0, 10, &bytes.Buffer{}); !errors.Is(err, fault.Unavailable) {
			t.Errorf("read: %v", err)
		}
		if err := s.Close(t.Context()); err == nil {
			t.Error("close reported success: the lease would be released")
		}
		s = openChecked(t, testOptions(mem, &owner{generation: 2}))
		wantBytes(t, s, kept, content(1, 2<<20))
		if _, err := s.StatObject(t.Context(), id); !errors.Is(err, fault.NotFound) {
			t.Errorf("failed create: %v", err)
		}
	}
}

// TestFullDisk: a full file system refuses writes clearly, serves reads, takes deletes, and works again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	o := &owner{generation: 1}
	s := openChecked(t, crashOptions(fs, o))
	ctx := t.Context()
	var kept, extra []cluster.ObjectID
	for i := range 20 {
		kept = append(kept, create(t, s, content(i, 1+i*1000)))
	}
	if err := s.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(fs.Used() + 2<<20)
	for _, size := range []int{300_000, 3000} { // direct, then logged
		full := false
		for i := 0; i < 5000 && !full; i++ {
			id := cluster.NewObjectID()
			_, err := s.CreateObject(ctx, id, int64(size), bytes.NewReader(content(1000+i, size)))
			switch {
			case err == nil:
				extra = append(extra, id)
			case errors.Is(err, fault.NoSpace):
				full = true
				if _, err := s.StatObject(ctx, id); !errors.Is(err, fault.NotFound) {
					t.Errorf("refused object: %v", err)
				}
			default:
				t.Fatalf("size %d, create %d: %v", size, i, err)
			}
		}
		if !full {
			t.Fatalf("size %d: never full", size)
		}
		for i, id := range kept {
			wantBytes(t, s, id, content(i, 1+i*1000))
		}
	}
	if err := s.DeleteObjects(ctx, extra[:len(extra)/2]); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	fs.SetCapacity(0)
	if o.failed.Load() != nil {
		t.Fatalf("a full disk failed the server: %v", *o.failed.Load())
	}
	err := s.Checkpoint(ctx)
	for deadline := time.Now().Add(time.Minute); errors.Is(err, fault.NoSpace) && time.Now().Before(deadline); {
		err = s.Checkpoint(ctx) // what it met before there was room; the next try will see
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		kept = append(kept, create(t, s, content(20+i, 1+(20+i)*1000)))
	}
	for i, id := range kept {
		wantBytes(t, s, id, content(i, 1+i*1000))
	}
	for _, id := range extra[:len(extra)/2] {
		if _, err := s.StatObject(ctx, id); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted object: %v", err)
		}
	}
}

// TestLateWrites: a frozen server wakes up after its service was taken over and lets its last writes land in its files. The new owner never wrote there, and what it accepted stays right.
func TestLateWrites(t *testing.T) {
	t.Parallel()
	mem := newFS(t)
	stuck := &faultfs.Stuck{}
	ffs := faultfs.New(mem, 1)
	o1 := &owner{generation: 1}
	opts := crashOptions(ffs, o1)
	noCheckpoints(&opts)
	s1 := open(t, opts)
	var ids []cluster.ObjectID
	for i := range 30 {
		ids = append(ids, create(t, s1, content(i, 1+i*500)))
	}
	ffs.Add(faultfs.Rule{Ops: faultfs.OpWrite, Name: "pool-*", Stuck: stuck})
	var swept atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s1.Checkpoint(context.Background())
		swept.Store(true)
	}()
	stuck.Wait(1) // the sweep hangs in its first write
	s2 := openChecked(t, crashOptions(mem, &owner{generation: 2}))
	if err := s2.DeleteObjects(t.Context(), ids[:10]); err != nil {
		t.Fatal(err)
	}
	var more []cluster.ObjectID
	for i := range 30 {
		more = append(more, create(t, s2, content(100+i, 1+i*700)))
	}
	o1.lost.Store(true)
	ffs.Clear()
	stuck.Release()
	<-done
	_ = s1.Close(t.Context())
	if err := s2.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s2.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids[10:] {
		wantBytes(t, s2, id, content(i+10, 1+(i+10)*500))
	}
	for i, id := range more {
		wantBytes(t, s2, id, content(100+i, 1+i*700))
	}
}
