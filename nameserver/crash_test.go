package nameserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
	"ostor/internal/invariant"
)

// crashPoint is what a power cut at some moment leaves.
type crashPoint struct {
	fs     fsbackend.FS
	links  *clustertest.Links
	clock  time.Time
	acked  int // steps acknowledged by then
	next   uint64
	origin string
}

// recoverAndCompare opens what a crash or a failure left, and compares it with the models before and after the step that was under way.
func recoverAndCompare(t *testing.T, p crashPoint, d *driver, models []*clustertest.Names) {
	t.Helper()
	st := newSite(p.fs)
	st.links, st.generation, st.opts = p.links, p.next, d.st.opts
	st.clock.now = p.clock
	s, err := st.open(ctxb, false)
	if err != nil {
		t.Fatalf("%s: open: %v", p.origin, err)
	}
	if err := s.Check(ctxb); err != nil {
		t.Fatalf("%s: %v", p.origin, err)
	}
	entries := read(t, s, d.bucket)
	got, matched := dump(t, entries), false
	for _, m := range models[p.acked:min(p.acked+2, len(models))] {
		matched = matched || dump(t, modelEntries(m)) == got
	}
	if !matched {
		t.Fatalf("%s: after %d acknowledged steps got\n%swant\n%s", p.origin, p.acked, got, dump(t, modelEntries(models[p.acked])))
	}
	// Whatever has a name has its bytes, and keeps them when everything due was collected.
	st.clock.Advance(3 * time.Hour)
	if err := s.CollectNow(ctxb); err != nil {
		t.Fatalf("%s: collect: %v", p.origin, err)
	}
	for _, l := range linksOf(t, s, d.bucket, entries) {
		if !st.links.Has(l) {
			t.Fatalf("%s: object %s has a name and was deleted", p.origin, l.Object)
		}
	}
	// It serves, closes, and opens again.
	put(t, st, s, d.bucket, "after", 1)
	if err := s.Check(ctxb); err != nil {
		t.Fatalf("%s: after work: %v", p.origin, err)
	}
	if err := s.Close(ctxb); err != nil {
		t.Fatalf("%s: close: %v", p.origin, err)
	}
	s = st.mustOpen(t, true)
	if again := read(t, s, d.bucket); len(again) != len(entries)+1 {
		t.Fatalf("%s: %d versions after a clean restart, want %d", p.origin, len(again), len(entries)+1)
	}
	if err := s.Close(ctxb); err != nil {
		t.Fatalf("%s: second close: %v", p.origin, err)
	}
}

// TestCrashAtEverySync cuts the power before and after every sync of a random run, with nothing, all and random parts of what was not synced kept.
func TestCrashAtEverySync(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	steps := 40
	if testing.Short() || invariant.Enabled {
		steps = 10
	}
	mem := memfs.New()
	st := newSite(mem)
	st.opts.GarbageDelay = 30 * time.Minute // but the clock moves
	st.opts.SegmentBytes, st.opts.LogBytes, st.opts.MemtableBytes = 256<<10, 1<<20, 16<<10
	d := &driver{st: st, r: r, bucket: 5}
	models := []*clustertest.Names{{}}
	var (
		mu     sync.Mutex // held while the state is copied: the store syncs beside the steps too, and none may be acknowledged meanwhile
		acked  int
		points []crashPoint
		seed   = r.Uint64()
	)
	hook := func(when string) func(op, name string) {
		return func(op, name string) {
			mu.Lock()
			defer mu.Unlock()
			keep := [...]memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(seed + uint64(len(points)))}
			for i := range keep {
				points = append(points, crashPoint{fs: mem.CrashClone(keep[i]), links: st.links.Clone(), clock: st.clock.Now(), acked: acked, next: st.generation,
					origin: fmt.Sprintf("%s %s of %s keeping %d", when, op, name, i)})
			}
		}
	}
	s := st.mustOpen(t, false)
	mem.BeforeSync(hook("before"))
	mem.OnSync(hook("after"))
	for i := range steps {
		next := d.next(models[len(models)-1])
		v, err := next.do(s)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i, next.name, err)
		}
		m := models[len(models)-1].Clone()
		next.apply(m, v)
		models = append(models, m)
		mu.Lock()
		acked++
		mu.Unlock()
		if i%10 == 9 {
			st.clock.Advance(20 * time.Minute)
			if err := s.Flush(ctxb); err != nil {
				t.Fatal(err)
			}
		}
	}
	mem.BeforeSync(nil)
	mem.OnSync(nil)
	for _, p := range points {
		recoverAndCompare(t, p, d, models)
	}
	t.Logf("%d crash points", len(points))
}

// TestEveryIOError makes the n-th operation on the file system fail, for all n: what was acknowledged is there after a restart.
func TestEveryIOError(t *testing.T) {
	t.Parallel()
	seed := newRand(t).Uint64()
	n := faultfs.Each(faultfs.Changes|faultfs.OpRead|faultfs.OpOpen|faultfs.OpList, func() fsbackend.FS { return memfs.New() }, func(f *faultfs.FS, n int) {
		st := newSite(f)
		st.opts.SegmentBytes, st.opts.LogBytes, st.opts.MemtableBytes = 256<<10, 1<<20, 16<<10
		d := &driver{st: st, r: rand.New(rand.NewPCG(seed, 2)), bucket: 5}
		models, acked := []*clustertest.Names{{}}, 0
		if s, err := st.open(ctxb, false); err == nil {
			for range 8 {
				next := d.next(models[acked])
				v, err := next.do(s)
				m := models[acked].Clone()
				models = append(models, m)
				if err != nil { // it may have taken place all the same
					next.apply(m, newestEver)
					break
				}
				next.apply(m, v)
				acked++
			}
			_ = s.Flush(ctxb)
			st.kill(s)
		}
		f.Clear()
		recoverAndCompare(t, crashPoint{fs: f, links: st.links, clock: st.clock.Now(), acked: acked, next: st.generation, origin: fmt.Sprintf("operation %d", n)}, d, models)
	})
	t.Logf("%d operations failed in turn", n)
}

// TestFullDisk fills the file system: writes are refused with a clear error, reads go on, and it works again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	mem := memfs.New()
	st := newSite(mem)
	st.opts.SegmentBytes, st.opts.LogBytes, st.opts.MemtableBytes = 256<<10, 1<<20, 128<<10
	s := st.mustOpen(t, false)
	put(t, st, s, 1, "first", 0)
	mem.SetCapacity(mem.Used() + 1<<20)
	var made []string
	for i := 0; ; i++ {
		key := fmt.Sprintf("%0500d", i)
		_, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Entry: cluster.Entry{Key: key, Modified: when}})
		if errors.Is(err, fault.NoSpace) {
			break
		}
		if err != nil || i > 100_000 {
			t.Fatalf("after %d names: %v", i, err)
		}
		made = append(made, key)
	}
	check := func() {
		t.Helper()
		for _, key := range append([]string{"first"}, made...) {
			if _, err := s.Lookup(ctxb, cluster.LookupRequest{Bucket: 1, Key: key}); err != nil {
				t.Fatalf("lookup of %.8s: %v", key, err)
			}
		}
	}
	check()
	mem.SetCapacity(0)
	for i := 0; ; i++ { // the store looks again after a while
		_, err := s.CreateEntry(ctxb, cluster.CreateEntryRequest{Bucket: 1, Entry: cluster.Entry{Key: "room", Modified: when}})
		if err == nil {
			break
		}
		if !errors.Is(err, fault.NoSpace) || i > 6000 {
			t.Fatalf("with room again: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // no event tells of space: poll, bounded above
	}
	check()
	st.kill(s)
	s = st.mustOpen(t, false)
	made = append(made, "room")
	check()
	t.Logf("%d names fitted", len(made))
}
