package objserver

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
	"ostor/pools"
)

var seedFlag = flag.Uint64("seed", 0, "seed of randomised tests; 0 takes env SEED or a random one")

// testSeed returns the seed of a randomised test, which a failed run prints.
func testSeed(t testing.TB) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed, _ = strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return seed
}

const (
	testID  = cluster.ServiceID(0x1000000000000001)
	testDir = "services/1000000000000001"
)

// owner is a lease under the test's control.
type owner struct {
	generation, prior uint64 // prior != 0: inherits
	lost              atomic.Bool
	failed            atomic.Pointer[error]
}

func (o *owner) Generation() uint64       { return o.generation }
func (o *owner) Inherits() (uint64, bool) { return o.prior, o.prior != 0 }
func (o *owner) Fail(err error)           { o.failed.CompareAndSwap(nil, &err) }
func (o *owner) Check() error {
	if o.lost.Load() || o.failed.Load() != nil {
		return fault.New(fault.Stale, "lease lost")
	}
	return nil
}

func newFS(t testing.TB) *memfs.FS {
	t.Helper()
	fs := memfs.New()
	dir := testDir + "/" + fsbackend.GenDir
	if err := fs.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "services", testDir, dir} {
		if err := fs.SyncDir(d); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// tiny lays pool files out so that tests fill several: 2 regions of 8 blocks.
func tiny(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// testOptions are those of a small server: checkpoints are frequent and files full soon.
func testOptions(fs fsbackend.FS, o *owner) Options {
	return Options{FS: fs, Dir: testDir, Owner: o, ID: testID, SegmentBytes: 1 << 20, LogBytes: 4 << 20, MemtableBytes: 256 << 10, CacheBytes: 1 << 20,
		JanitorEvery: -1, Geometry: tiny, Logger: quiet()}
}

func open(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("open generation %d: %v", opts.Owner.Generation(), err)
	}
	return s
}

// openChecked opens a server that is checked and closed when the test ends.
func openChecked(t testing.TB, opts Options) *Server {
	s := open(t, opts)
	t.Cleanup(func() {
		ctx := context.Background()
		check(t, s)
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// check asserts that an idle server is consistent and has not leaked anything.
func check(t testing.TB, s *Server) {
	t.Helper()
	if err := s.Scrub(context.Background()); err != nil {
		t.Errorf("check: %v", err)
	}
	st := s.Stats()
	if st.Pools.DeferredBlocks > 0 { // a checkpoint is sweeping: wait for it
		_ = s.Checkpoint(context.Background())
		st = s.Stats()
	}
	var want int64
	var objects, live int64
	err := s.Objects(context.Background(), cluster.ObjectID{}, func(_ cluster.ObjectID, size, _ int64) bool {
		want += pools.SplitBytes(size)
		objects++
		live += size
		return true
	})
	if err != nil {
		t.Errorf("list objects: %v", err)
	}
	if st.Allocated != want || st.Objects != objects || st.LiveBytes != live || st.Pinned != 0 {
		t.Errorf("%d objects of %d bytes in %d; stats say %d of %d in %d, %d pinned", objects, live, want, st.Objects, st.LiveBytes, st.Allocated, st.Pinned)
	}
}

// content is what object n consists of.
func content(n, size int) []byte {
	b := make([]byte, size)
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 24)
	}
	return b
}

func create(t testing.TB, s *Server, data []byte) cluster.ObjectID {
	t.Helper()
	id := cluster.NewObjectID()
	if _, err := s.CreateObject(t.Context(), id, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatalf("create %d bytes: %v", len(data), err)
	}
	return id
}

func wantBytes(t testing.TB, s *Server, id cluster.ObjectID, want []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := s.ReadObject(context.Background(), id, 0, int64(len(want)), &b); err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("read object %v of %d bytes: got %d, equal %v, %v", id, len(want), b.Len(), bytes.Equal(b.Bytes(), want), err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		small int64
	}{{"small payloads logged", 0}, {"all payloads direct", -1}} {
		t.Run(tc.name, func(t *testing.T) {
			clustertest.RunObjectServer(t, func(t *testing.T) cluster.ObjectServer {
				opts := testOptions(newFS(t), &owner{generation: 1})
				opts.SmallBytes, opts.Geometry, opts.MemtableBytes = tc.small, nil, 1<<20
				return openChecked(t, opts)
			})
		})
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	s := open(t, testOptions(fs, &owner{generation: 1}))
	sizes := []int{1, 4096, 5000, 64 << 10, 129 << 10, 3 << 20, 17<<20 + 3}
	var ids []cluster.ObjectID
	for i, size := range sizes {
		ids = append(ids, create(t, s, content(i, size)))
	}
	gone := create(t, s, content(99, 70_000))
	if err := s.DeleteObjects(t.Context(), []cluster.ObjectID{gone}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StatObject(t.Context(), ids[0]); !errors.Is(err, fault.Unavailable) {
		t.Errorf("after close: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close again: %v", err)
	}
	verify := func(o *owner) *Server {
		t.Helper()
		s := open(t, testOptions(fs, o))
		for i, size := range sizes {
			wantBytes(t, s, ids[i], content(i, size))
		}
		if _, err := s.StatObject(t.Context(), gone); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted object: %v", err)
		}
		check(t, s)
		return s
	}
	s = verify(&owner{generation: 2, prior: 1}) // inherits
	a := create(t, s, content(7, 100_000))
	if s.home != 1 {
		t.Errorf("home is %d, want the inherited 1", s.home)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = verify(&owner{generation: 3}) // does not: reads only
	wantBytes(t, s, a, content(7, 100_000))
	if s.home != 3 {
		t.Errorf("home is %d, want 3", s.home)
	}
	create(t, s, content(8, 100_000))
	check(t, s)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestStrays: small payloads that were logged, but not swept, when the process died. The next generation has them in its tree at first and moves them to its own blocks.
func TestStrays(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	opts := testOptions(fs, &owner{generation: 1})
	noCheckpoints(&opts)
	s := open(t, opts)
	const n = 300
	var ids []cluster.ObjectID
	for i := range n {
		ids = append(ids, create(t, s, content(i, 1+i*97%20_000)))
	}
	ids = append(ids, create(t, s, content(n, 64<<10)))
	size := func(i int) int {
		if i == n {
			return 64 << 10
		}
		return 1 + i*97%20_000
	}
	for g := uint64(2); g <= 4; g++ { // three deaths in a row, none before a checkpoint
		fs = fs.CrashClone(memfs.Some(g))
		opts = testOptions(fs, &owner{generation: g})
		noCheckpoints(&opts)
		s = open(t, opts)
		for i, id := range ids {
			wantBytes(t, s, id, content(i, size(i)))
		}
		check(t, s)
	}
	if err := s.DeleteObjects(t.Context(), ids[:50]); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(t.Context()); err != nil { // strays go to the tree
		t.Fatal(err)
	}
	check(t, s)
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().Moved; got != int64(len(ids)-50) {
		t.Errorf("moved %d objects, want %d", got, len(ids)-50)
	}
	check(t, s)
	for k, ps := range s.Stats().Pools.Pools {
		if ps.OldFiles != 0 {
			t.Errorf("pool %d: %d files of earlier generations are left", k, ps.OldFiles)
		}
	}
	fs = fs.CrashClone(memfs.Keep{})
	s = openChecked(t, testOptions(fs, &owner{generation: 9}))
	for i, id := range ids[50:] {
		wantBytes(t, s, id, content(i+50, size(i+50)))
	}
}

// TestEvacuate: sparse files of a dead generation are emptied and unlinked; their space comes back.
func TestEvacuate(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	s := open(t, testOptions(fs, &owner{generation: 1}))
	var ids []cluster.ObjectID
	for i := range 40 {
		ids = append(ids, create(t, s, content(i, 1<<20)))
	}
	big := create(t, s, content(100, 75<<20))
	if err := s.DeleteObjects(t.Context(), ids[3:]); err != nil {
		t.Fatal(err)
	}
	fs = fs.CrashClone(memfs.Keep{})
	used := fs.Used()
	s = openChecked(t, testOptions(fs, &owner{generation: 2}))
	for range 6 {
		if err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, s)
	}
	for i, id := range ids[:3] {
		wantBytes(t, s, id, content(i, 1<<20))
	}
	wantBytes(t, s, big, content(100, 75<<20))
	if ps := s.Stats().Pools.Pools[8]; ps.OldFiles != 0 {
		t.Errorf("%d old files of 1 MiB blocks are left", ps.OldFiles)
	}
	if got := fs.Used(); got > used-30<<20 {
		t.Errorf("%d bytes are used after the deletion of 37 MiB, %d before", got, used)
	}
}

// TestSpaceComesBack fills and deletes for many rounds: pool files do not grow, and in the end are gone.
func TestSpaceComesBack(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	s := openChecked(t, testOptions(fs, &owner{generation: 1}))
	var after [2]int64
	for round := range 12 {
		var ids []cluster.ObjectID
		for i := range 30 {
			ids = append(ids, create(t, s, content(i, 1+(i*7919)%200_000)))
		}
		if err := s.DeleteObjects(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		after[min(round/2, 1)] = s.Stats().Pools.FilesMade
	}
	if after[1] > after[0]+12 {
		t.Errorf("%d files were made by the second round, %d by the last", after[0], after[1])
	}
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := s.Stats().Pools
	for k, ps := range st.Pools {
		if ps.Files != 0 {
			t.Errorf("pool %d still has %d files", k, ps.Files)
		}
	}
	before := st.FilesMade
	create(t, s, content(1, 100))
	if s.Stats().Pools.FilesMade != before+1 {
		t.Error("no new file was made")
	}
}

// TestPins: a delete waits for reads that came before it, not for those that come after.
func TestPins(t *testing.T) {
	t.Parallel()
	p := newPins()
	id := cluster.NewObjectID()
	freed := 0
	p.after(id, func() { freed++ })
	if freed != 1 {
		t.Error("nobody reads: free at once")
	}
	a, b := p.acquire(id), p.acquire(id)
	p.after(id, func() { freed++ })
	c := p.acquire(id)
	p.after(id, func() { freed += 10 })
	p.release(id, a)
	if freed != 1 {
		t.Error("freed although a reader is left")
	}
	p.release(id, b)
	if freed != 2 {
		t.Error("not freed after the last reader from before")
	}
	p.release(id, c)
	if freed != 12 || p.count() != 0 {
		t.Errorf("freed %d, %d groups left", freed, p.count())
	}
}

// TestPinsLateLookUp: a reader pins an object, the object is moved, the reader looks it up and reads the blocks that it was moved to; then the object is deleted. (A scrub
// reported damage in healthy objects: the blocks had become another's while it read them.)
func TestPinsLateLookUp(t *testing.T) {
	t.Parallel()
	p := newPins()
	id := cluster.NewObjectID()
	var freed []string
	free := func(what string) func() { return func() { freed = append(freed, what) } }
	want := func(want ...string) {
		t.Helper()
		if !slices.Equal(freed, want) {
			t.Errorf("freed %v, want %v", freed, want)
		}
	}
	early := p.acquire(id)
	p.after(id, free("moved"))
	later := p.acquire(id)
	p.after(id, free("moved again"))
	p.after(id, free("deleted"))
	latest := p.acquire(id)
	want()
	p.release(id, later)
	want()
	p.release(id, early)
	want("moved", "moved again", "deleted")
	p.after(id, free("made anew and deleted"))
	p.release(id, latest)
	want("moved", "moved again", "deleted", "made anew and deleted")
	if n := p.count(); n != 0 {
		t.Errorf("%d objects are still pinned", n)
	}
}

func TestStaleOwner(t *testing.T) {
	t.Parallel()
	o := &owner{generation: 1}
	s := open(t, testOptions(newFS(t), o))
	id := create(t, s, content(1, 5000))
	o.lost.Store(true)
	if _, err := s.StatObject(t.Context(), id); !errors.Is(err, fault.Stale) {
		t.Errorf("stat: %v", err)
	}
	var b bytes.Buffer
	if err := s.ReadObject(t.Context(), id, 0, 10, &b); !errors.Is(err, fault.Stale) || b.Len() > 0 {
		t.Errorf("read: %v, %d bytes", err, b.Len())
	}
	for _, size := range []int{10, 100_000} {
		if _, err := s.CreateObject(t.Context(), cluster.NewObjectID(), int64(size), bytes.NewReader(content(2, size))); !errors.Is(err, fault.Stale) {
			t.Errorf("create %d: %v", size, err)
		}
	}
	if err := s.DeleteObjects(t.Context(), []cluster.ObjectID{id}); !errors.Is(err, fault.Stale) {
		t.Errorf("delete: %v", err)
	}
}

func TestManyExtents(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("stores 490 MiB in memory")
	}
	fs := newFS(t)
	opts := testOptions(fs, &owner{generation: 1})
	opts.Geometry = nil
	s := openChecked(t, opts)
	const size = 490<<20 + 77
	id := cluster.NewObjectID()
	if _, err := s.CreateObject(t.Context(), id, size, io.LimitReader(&pattern{}, size)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 479<<20 + 1<<20 - 5, 480 << 20, 489 << 20, size - 10} {
		var b bytes.Buffer
		before := s.Stats().Pools
		if err := s.ReadObject(t.Context(), id, at, 10, &b); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 10)
		_, _ = (&pattern{at}).Read(want)
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("at %d: got %x, want %x", at, b.Bytes(), want)
		}
		if st := s.Stats().Pools; st.Preads-before.Preads > 2 || st.ReadBytes-before.ReadBytes > 2*pools.ChunkBytes {
			t.Errorf("10 bytes took %d reads of %d bytes", st.Preads-before.Preads, st.ReadBytes-before.ReadBytes)
		}
	}
	w := &patternChecker{t: t}
	if err := s.ReadObject(t.Context(), id, 0, size, w); err != nil || w.at != size {
		t.Errorf("read %d bytes: %v", w.at, err)
	}
	if err := s.DeleteObjects(t.Context(), []cluster.ObjectID{id}); err != nil {
		t.Fatal(err)
	}
}

// pattern is an endless body whose byte at i depends on i.
type pattern struct{ at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = patternByte(p.at + int64(i))
	}
	p.at += int64(len(b))
	return len(b), nil
}

func patternByte(i int64) byte { return byte(i) ^ byte(i>>8) ^ byte(i>>16)*3 ^ byte(i>>24)*7 }

type patternChecker struct {
	t  *testing.T
	at int64
}

func (w *patternChecker) Write(b []byte) (int, error) {
	for i, c := range b {
		if c != patternByte(w.at+int64(i)) {
			return 0, fmt.Errorf("wrong byte at %d", w.at+int64(i))
		}
	}
	w.at += int64(len(b))
	return len(b), nil
}

// noCheckpoints makes everything fit into one log segment and one memtable: no checkpoint begins by itself.
func noCheckpoints(o *Options) { o.MemtableBytes, o.LogBytes, o.SegmentBytes = 32<<20, 64<<20, 8<<20 }
