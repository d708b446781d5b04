package nameserver

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "seed of the random tests; 0 = from the clock")
	rewriteFlag = flag.Bool("rewrite", false, "write the golden files of the current formats")
)

// newRand returns a source whose seed a failed test prints.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

const testDir = "services/0800000000000000"

// testOwner is an owner that ends when told.
type testOwner struct {
	generation, prior uint64
	lost              atomic.Bool
}

func (o *testOwner) Generation() uint64       { return o.generation }
func (o *testOwner) Inherits() (uint64, bool) { return o.prior, o.prior != 0 }
func (o *testOwner) Fail(error)               { o.lost.Store(true) }
func (o *testOwner) Check() error {
	if o.lost.Load() {
		return fault.New(fault.Stale, "lost")
	}
	return nil
}

// clock is moved by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// site is a name server's surroundings, which outlive it.
type site struct {
	fs         fsbackend.FS
	links      *clustertest.Links
	clock      *clock
	generation uint64
	owner      *testOwner
	opts       Options
}

// newSite makes the service's directory durable, as whoever adds a service does.
func newSite(fs fsbackend.FS) *site {
	_ = fs.MkdirAll(testDir) // where this fails, Open does
	_ = fs.SyncDir("")
	_ = fs.SyncDir("services")
	return &site{fs: fs, links: clustertest.NewLinks(), clock: newClock(), opts: Options{SegmentBytes: 1 << 20, LogBytes: 8 << 20, GarbageDelay: -1}}
}

// open starts the next generation; clean says that the one before was closed.
func (st *site) open(ctx context.Context, clean bool) (*Server, error) {
	prior := st.generation
	st.generation++
	st.owner = &testOwner{generation: st.generation}
	if clean {
		st.owner.prior = prior
	}
	o := st.opts
	o.FS, o.Dir, o.Owner, o.Objects, o.Clock, o.Logger = st.fs, testDir, st.owner, st.links, st.clock.Now, slog.New(slog.DiscardHandler)
	return Open(ctx, o)
}

// mustOpen opens, checks at the end of the test that every invariant holds, and closes.
func (st *site) mustOpen(t testing.TB, clean bool) *Server {
	t.Helper()
	s, err := st.open(context.Background(), clean)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil && fault.KindOf(err) != fault.Unavailable && fault.KindOf(err) != fault.Stale { // closed, or killed
			t.Errorf("check: %v", err)
		}
		_ = s.Close(context.Background())
	})
	return s
}

// kill ends a server as kill -9 does: nothing of it may be written or answered from now on.
func (st *site) kill(s *Server) {
	st.owner.lost.Store(true)
	_ = s.Close(context.Background())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	clustertest.NameServer(t, func(t *testing.T) clustertest.NameServerSetup {
		st := newSite(memfs.New())
		s := st.mustOpen(t, false)
		return clustertest.NameServerSetup{Server: s, Links: st.links, Advance: st.clock.Advance, Collect: s.CollectNow}
	})
}

// put makes an object of one byte.
func put(t testing.TB, st *site, s *Server, bucket cluster.BucketID, key string, v cluster.Versioning) cluster.Entry {
	t.Helper()
	ctx := context.Background()
	l := st.links.Make(1)
	if err := s.Guard(ctx, cluster.Guard{Bucket: bucket, Key: key, Content: l, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	e, err := s.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: bucket, Versioning: v, Entry: cluster.Entry{Key: key, Modified: st.clock.Now(), Size: 1, Content: l, ETag: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
