package objserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// eachFile calls fn for every file of every generation.
func eachFile(t testing.TB, fs *memfs.FS, fn func(dir, name string)) {
	t.Helper()
	root := testDir + "/" + fsbackend.GenDir
	gens, err := fs.List(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gens {
		names, err := fs.List(root + "/" + g)
		if err != nil {
			continue // a note
		}
		for _, n := range names {
			fn(root+"/"+g, n)
		}
	}
}

// destroy removes files of the service whose names begin with one of prefixes.
func destroy(t testing.TB, fs *memfs.FS, prefixes ...string) {
	t.Helper()
	eachFile(t, fs, func(dir, name string) {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				if err := fs.Remove(dir + "/" + name); err != nil {
					t.Fatal(err)
				}
				if err := fs.SyncDir(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// flip changes one byte of a file.
func flip(t testing.TB, fs *memfs.FS, name string, off int64) {
	t.Helper()
	if err := fs.Flip(name, off, 0x55); err != nil {
		t.Fatal(err)
	}
}

// wantedOf returns what name servers would say of the objects of a history.
func wantedOf(objects map[cluster.ObjectID]past) map[cluster.ObjectID]int64 {
	m := map[cluster.ObjectID]int64{}
	for id, p := range objects {
		switch p.fate {
		case live:
			m[id] = int64(p.size)
		case creating:
			m[id] = 0 // guarded
		}
	}
	return m
}

func rebuildOf(t testing.TB, fs fsbackend.FS, generation uint64, wanted map[cluster.ObjectID]int64) RebuildReport {
	t.Helper()
	r, err := Rebuild(t.Context(), RebuildOptions{Options: crashOptions(fs, &owner{generation: generation}), Wanted: wanted})
	if err != nil {
		t.Fatalf("rebuild in generation %d: %v", generation, err)
	}
	return r
}

// lived gives a server several lives: objects of all sizes, deleted and moved ones, files of several generations, payloads in the log only. It ends with a kill.
func lived(t testing.TB, fs *memfs.FS, seed uint64, steps int, sizes ...int) (h *history, next uint64) {
	t.Helper()
	h = newHistory()
	rng := rand.New(rand.NewPCG(seed, 7))
	var s *Server
	for next = 1; next <= 3; next++ {
		s = open(t, crashOptions(fs, &owner{generation: next}))
		for i := range steps {
			if err := h.step(s, rng, int(next)*1_000_000+i); err != nil {
				t.Fatal(err)
			}
		}
		for i, size := range sizes {
			p := past{int(next)*1_000_000 + steps + i, size, live}
			h.set(create(t, s, content(p.seed, p.size)), p)
		}
		if next < 3 {
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Collect(t.Context()); err != nil { // moves what is in sparse files of earlier generations
		t.Fatal(err)
	}
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // in the log only: together less than a memtable
		p := past{9_000_000 + i, 1 + rng.IntN(1<<10), live}
		h.set(create(t, s, content(p.seed, p.size)), p)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return h, next
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	steps := 1000
	if testing.Short() {
		steps = 200
	}
	origin := newFS(t)
	h, next := lived(t, origin, seed, steps, 3<<20+5, 8<<20+1, 200_000) // blocks of many sizes
	objects := h.now()
	for _, tc := range []struct {
		name    string
		destroy []string
	}{
		{"tree and ring", []string{"tree-", "roots"}},
		{"tree, ring and manifest", []string{"tree-", "roots", "manifest"}},
		{"manifest", []string{"manifest"}},
		{"nothing", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fs := origin.CrashClone(memfs.Some(seed))
			destroy(t, fs, tc.destroy...)
			if len(tc.destroy) > 0 {
				s, err := Open(t.Context(), crashOptions(fs, &owner{generation: next}))
				if err == nil || !NoTree(err) {
					_ = s.Close(t.Context())
					t.Fatalf("opens without %v: %v", tc.destroy, err)
				}
			}
			r := rebuildOf(t, fs, next+1, wantedOf(objects))
			if len(r.Lost) > 0 || len(r.Damaged) > 0 || r.Unnamed == 0 || r.Logged == 0 {
				t.Fatalf("%+v", r)
			}
			s := open(t, crashOptions(fs, &owner{generation: next + 2, prior: next + 1}))
			verify(t, s, objects, "after the rebuild")
			// It goes on living: what is free is used again, old files are emptied, and it restarts.
			more := &history{objects: maps.Clone(objects)}
			rng := rand.New(rand.NewPCG(seed, 8))
			for i := range 100 {
				if err := more.step(s, rng, 20_000_000+i); err != nil {
					t.Fatal(err)
				}
			}
			verify(t, s, more.now(), "later")
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			s = openChecked(t, crashOptions(fs, &owner{generation: next + 3}))
			verify(t, s, more.now(), "next generation")
		})
	}
}

// TestRebuildWithoutLog loses log and tree after everything reached its blocks.
func TestRebuildWithoutLog(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	fs := newFS(t)
	h := newHistory()
	s := open(t, crashOptions(fs, &owner{generation: 1}))
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range 400 {
		if err := h.step(s, rng, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	destroy(t, fs, "tree-", "roots", "log-", "reserve")
	if s, err := Open(t.Context(), crashOptions(fs, &owner{generation: 2})); err == nil {
		_ = s.Close(t.Context())
		t.Fatal("a service whose log and tree are gone opens, as if it were empty")
	}
	if r := rebuildOf(t, fs, 3, wantedOf(h.now())); len(r.Lost) > 0 || r.Logged > 0 {
		t.Fatalf("%+v", r)
	}
	verify(t, openChecked(t, crashOptions(fs, &owner{generation: 4, prior: 3})), h.now(), "after the rebuild")
}

// TestRebuildCrash takes the power away at every sync of a rebuild, and repeats it.
func TestRebuildCrash(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	fs := newFS(t)
	h, next := lived(t, fs, seed, 20, 200_000)
	objects := h.now()
	fs = fs.CrashClone(memfs.Nothing)
	destroy(t, fs, "tree-", "roots", "manifest")
	type crash struct {
		fs   *memfs.FS
		what string
	}
	var mu sync.Mutex
	var crashes []crash
	points, stride := 0, 5
	if os.Getenv("OSTOR_CRASH") == "long" {
		stride = 1
	}
	hook := func(when string) func(op, name string) {
		return func(op, name string) {
			mu.Lock()
			defer mu.Unlock()
			if name == testDir+"/"+fsbackend.GenDir || strings.HasSuffix(name, fsbackend.GenerationName(next)) || strings.HasSuffix(name, "manifest") {
				points += stride - 1 - points%stride // always
			}
			if points++; points%stride != 0 {
				return
			}
			keep := []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(seed + uint64(points))}[len(crashes)%3]
			crashes = append(crashes, crash{fs.CrashClone(keep), fmt.Sprintf("point %d, %s %s %s", points, when, op, name)})
		}
	}
	fs.OnSync(hook("after"))
	fs.BeforeSync(hook("before"))
	rebuildOf(t, fs, next, wantedOf(objects))
	fs.OnSync(nil)
	fs.BeforeSync(nil)
	adopted := 0
	for i, c := range crashes {
		s, err := Open(t.Context(), crashOptions(c.fs, &owner{generation: next + 1}))
		switch {
		case err == nil:
			adopted++
			verify(t, s, objects, c.what)
			_ = s.Close(t.Context())
		case !NoTree(err):
			t.Fatalf("%s: %v", c.what, err)
		}
		if i%3 > 0 && err == nil {
			continue
		}
		if r := rebuildOf(t, c.fs, next+2, wantedOf(objects)); len(r.Lost) > 0 {
			t.Fatalf("%s, rebuilt again: %+v", c.what, r)
		}
		s = open(t, crashOptions(c.fs, &owner{generation: next + 3, prior: next + 2}))
		verify(t, s, objects, c.what+", rebuilt again")
		_ = s.Close(t.Context())
	}
	if adopted == 0 || adopted == len(crashes) {
		t.Fatalf("%d of %d crashes were after the rebuild", adopted, len(crashes))
	}
	t.Logf("%d crashes, %d of them after the point of no return", len(crashes), adopted)
}

// TestRebuildDamage: a damaged header, a damaged payload and a damaged log record (in a segment whose header is damaged, too) each cost the object that they belong to, and no other.
func TestRebuildDamage(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	opts := crashOptions(fs, &owner{generation: 1})
	s := open(t, opts)
	var ids []cluster.ObjectID
	wanted := map[cluster.ObjectID]int64{}
	add := func(size int) {
		id := create(t, s, content(len(ids), size))
		ids = append(ids, id)
		wanted[id] = int64(size)
	}
	for range 20 {
		add(40_000) // 32 KiB and 8 KiB
	}
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		add(2000) // in the log: together less than a memtable
	}
	header, payload := blocksOf(t, s, ids[3])[1], blocksOf(t, s, ids[7])[0]
	crashed := fs.CrashClone(memfs.Nothing)
	_ = s.Close(t.Context())
	geo := tiny(0)
	flip(t, crashed, header.Name(testDir), geo.HeaderOffset(header.Pool, header.Block)+5)
	flip(t, crashed, payload.Name(testDir), geo.BlockOffset(payload.Pool, payload.Block)+31_000)
	marker := content(25, 2000)
	damaged := false
	eachFile(t, crashed, func(dir, name string) {
		if !strings.HasPrefix(name, "log-") {
			return
		}
		f, err := crashed.OpenRead(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		if i := bytes.Index(b, marker); i >= 0 {
			flip(t, crashed, dir+"/"+name, int64(i)+100)
			flip(t, crashed, dir+"/"+name, 17) // the segment's header: of which use its records are has to be guessed
			damaged = true
		}
	})
	if !damaged {
		t.Fatal("the payload is in no log")
	}
	destroy(t, crashed, "tree-", "roots", "manifest")
	r := rebuildOf(t, crashed, 2, wanted)
	lost := map[cluster.ObjectID]string{}
	for _, l := range r.Lost {
		lost[l.Object] = l.Err.Error()
	}
	if len(lost) != 3 || !strings.Contains(lost[ids[3]], "no header names it") || !strings.Contains(lost[ids[7]], payload.Name(testDir)) || lost[ids[25]] == "" {
		t.Errorf("lost: %v", lost)
	}
	var c *fault.Corruption
	if len(r.Damaged) != 1 || !errors.As(r.Damaged[0], &c) || c.Offset != geo.HeaderOffset(header.Pool, header.Block) {
		t.Errorf("damaged headers: %v", r.Damaged)
	}
	s = openChecked(t, crashOptions(crashed, &owner{generation: 3, prior: 2}))
	for i, id := range ids {
		if lost[id] == "" {
			wantBytes(t, s, id, content(i, int(wanted[id])))
		} else if _, err := s.StatObject(t.Context(), id); !errors.Is(err, fault.NotFound) {
			t.Errorf("lost object %d: %v", i, err)
		}
	}
}

func blocksOf(t testing.TB, s *Server, id cluster.ObjectID) (addrs []pools.Addr) {
	t.Helper()
	err := s.store.View(func(sn *store.Snapshot) error {
		o, _, err := load(sn, id)
		if err != nil {
			return err
		}
		list, err := o.all()
		for _, e := range list {
			addrs = append(addrs, e.Addr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// TestRebuildConflict puts two different payloads under one object id: it is lost, not mixed. A copy of a block is no conflict.
func TestRebuildConflict(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	opts := crashOptions(fs, &owner{generation: 1})
	opts.SmallBytes = -1
	s := open(t, opts)
	wanted := map[cluster.ObjectID]int64{}
	var ids []cluster.ObjectID
	for i := range 2 {
		ids = append(ids, create(t, s, content(i, 5000)))
		wanted[ids[i]] = 5000
	}
	for i, id := range ids {
		a, err := s.pools.Reserve(1)
		if err != nil {
			t.Fatal(err)
		}
		data := content(i*7, 5000) // of the first the same, of the second another
		item := pools.Payload{Data: data, Located: pools.Located{Addr: a, Header: pools.Header{Object: id, SizeBytes: 5000, Length: 5000, CRC: checksum.CRC32C(data)}}}
		if err := s.pools.Sweep(t.Context(), []pools.Payload{item}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := rebuildOf(t, fs, 2, wanted)
	if r.Conflicts != 1 || len(r.Lost) != 1 || r.Lost[0].Object != ids[1] || r.Objects != 1 || r.Spare != 1 {
		t.Fatalf("%+v", r)
	}
	s = openChecked(t, crashOptions(fs, &owner{generation: 3, prior: 2}))
	wantBytes(t, s, ids[0], content(0, 5000))
}
