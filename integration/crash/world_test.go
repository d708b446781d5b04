package crash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/nameserver"
	"ostor/objserver"
	"ostor/pools"
)

const (
	nameServers, objectServers = 1, 2

	hostID    = cluster.HostID(0x5eed)
	userEmail = "alice@example.com"
)

// long reports whether everything is to be enumerated.
func long() bool { return os.Getenv("OSTOR_CRASH") == "long" }

// testSeed returns SEED, or a random number, and has it printed when the test fails.
func testSeed(t testing.TB) uint64 {
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with SEED=%d", seed)
		}
	})
	return seed
}

// machine is what a cluster runs on: the mount, the host-local directory and the number of the boot.
type machine struct {
	mount fsbackend.FS
	local fsbackend.FS
	boot  uint64
}

// worldOptions are what tests vary.
type worldOptions struct {
	clock func() time.Time // of the name servers; nil = time.Now
	unit  time.Duration    // of the leases
	lazy  bool             // no background janitors: tests call collect
}

// world is a running cluster.
type world struct {
	log      *logSink
	names    []*nameserver.Server
	objects  []*objserver.Server
	leases   []*lease.Lease
	topology *discovery.Topology
	accounts *account.Accounts
	gateway  *gateway.Gateway
}

// newMachine returns a machine with an empty volume on its mount.
func newMachine(t testing.TB) (machine, *memfs.FS) {
	t.Helper()
	fs := memfs.New()
	if _, err := discovery.CreateVolume(fs, discovery.VolumeSpec{Names: nameServers, Objects: objectServers}); err != nil {
		t.Fatal(err)
	}
	return machine{fs, memfs.New(), 1}, fs
}

// tiny makes files fill up, so that they are made and removed all the time.
func tiny(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 4} }

// start runs the cluster on m. What was started is stopped again when it returns an error.
func start(ctx context.Context, m machine, o worldOptions) (w *world, err error) {
	w = &world{log: &logSink{}}
	logger := slog.New(w.log)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.log.problem())
			_ = w.kill()
			w = nil
		}
	}()
	all, err := discovery.Volumes(m.mount)
	if err != nil || len(all) != 1 {
		return w, fmt.Errorf("%d volumes: %w", len(all), err)
	}
	v, err := discovery.LoadVolume(m.mount, all[0])
	if err != nil {
		return w, err
	}
	if w.topology, err = discovery.New(discovery.Options{FS: m.mount, Volume: v.ID, PollEvery: time.Hour, RetryFor: time.Millisecond}); err != nil {
		return w, err
	}
	own := func(id cluster.ServiceID) (*lease.Lease, error) {
		l, err := lease.Acquire(ctx, lease.Options{FS: m.mount, Dir: discovery.ServiceDir(id), Host: uint64(hostID), Boot: m.boot, Local: m.local,
			Profile: lease.Profile{N: o.unit}, Logger: logger})
		if err == nil {
			w.leases = append(w.leases, l)
		}
		return l, err
	}
	for _, id := range v.Objects() {
		l, err := own(id)
		if err != nil {
			return w, err
		}
		janitor := 50 * time.Millisecond
		if o.lazy {
			janitor = -1
		}
		s, err := objserver.Open(ctx, objserver.Options{FS: m.mount, Dir: discovery.ServiceDir(id), Owner: l, ID: id, JanitorEvery: janitor, Geometry: tiny,
			SegmentBytes: 256 << 10, LogBytes: 1 << 20, MemtableBytes: 128 << 10, CacheBytes: 1 << 20, Logger: logger})
		if err != nil {
			return w, err
		}
		w.objects = append(w.objects, s)
		w.topology.SetLocalObject(id, s)
		if err := publish(m.mount, id, l); err != nil {
			return w, err
		}
	}
	for _, id := range v.Names {
		l, err := own(id)
		if err != nil {
			return w, err
		}
		s, err := nameserver.Open(ctx, nameserver.Options{FS: m.mount, Dir: discovery.ServiceDir(id), Owner: l, Objects: w.topology, GarbageDelay: -1, Clock: o.clock,
			SegmentBytes: 256 << 10, LogBytes: 1 << 20, MemtableBytes: 16 << 10, CacheBytes: 1 << 20, Logger: logger})
		if err != nil {
			return w, err
		}
		w.names = append(w.names, s)
		w.topology.SetLocalName(id, s)
		if err := publish(m.mount, id, l); err != nil {
			return w, err
		}
	}
	if w.accounts, err = account.New(account.Options{Topology: w.topology, Key: make([]byte, account.KeyBytes)}); err != nil {
		return w, err
	}
	w.gateway, err = gateway.New(gateway.Options{Topology: w.topology, Accounts: w.accounts, Logger: logger, ServiceID: cluster.NewServiceID(cluster.TypeGateway, 1)})
	return w, err
}

func publish(fs fsbackend.FS, id cluster.ServiceID, l *lease.Lease) error {
	dir := discovery.ServiceDir(id)
	return errors.Join(discovery.PublishHost(fs, dir, hostID),
		discovery.PublishOwner(fs, dir, discovery.Owner{Service: id, Host: hostID, Generation: cluster.Generation(l.Generation()), Addresses: []string{"unix:/nowhere"}}))
}

// user returns the test's user, who is made when there is none.
func (w *world) user(ctx context.Context) (account.User, error) {
	u, err := w.accounts.FindEmail(ctx, userEmail)
	if errors.Is(err, fault.NotFound) {
		u, err = w.accounts.Create(ctx, account.CreateOptions{Email: userEmail})
	}
	return u, err
}

// check verifies every invariant of all services.
func (w *world) check(ctx context.Context) (err error) {
	for i, n := range w.names {
		if e := n.Check(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("check of name server %d: %w", i, e))
		}
	}
	for i, o := range w.objects {
		if e := o.Check(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("check of object server %d: %w", i, e))
		}
	}
	return errors.Join(err, w.log.problem())
}

// collect expires guards, empties the garbage queues, brings small objects to their blocks and lets the janitors work.
func (w *world) collect(ctx context.Context) error {
	var err error
	for range 2 { // what the first round expands, a second one deletes
		for _, n := range w.names {
			err = errors.Join(err, n.CollectNow(ctx))
		}
	}
	for _, o := range w.objects {
		err = errors.Join(err, o.Checkpoint(ctx), o.Collect(ctx))
	}
	return err
}

// usage is what the object servers hold.
type usage struct{ objects, live, allocated int64 }

func (w *world) usage() (u usage) {
	for _, o := range w.objects {
		s := o.Stats()
		u.objects, u.live, u.allocated = u.objects+s.Objects, u.live+s.LiveBytes, u.allocated+s.Allocated
	}
	return u
}

// end stops the cluster; clean says whether the leases are released, so that the next owners inherit. Without it nobody may rely on its errors: it is there to free what a
// killed process would not hold.
func (w *world) end(clean bool) (err error) {
	ctx := context.Background()
	if w.topology != nil {
		err = w.topology.Close()
	}
	for _, n := range w.names {
		err = errors.Join(err, n.Close(ctx))
	}
	for _, o := range w.objects {
		err = errors.Join(err, o.Close(ctx))
	}
	for _, l := range w.leases {
		if clean && err == nil {
			err = errors.Join(err, l.Release(ctx))
		}
		err = errors.Join(err, l.Close())
	}
	return err
}

func (w *world) kill() error { return w.end(false) }

// logSink keeps what a test must fail for: panics.
type logSink struct {
	mu   sync.Mutex
	last []string
	bad  []string
}

func (l *logSink) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *logSink) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logSink) WithGroup(string) slog.Handler                    { return l }

func (l *logSink) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last = append(l.last, line); len(l.last) > 12 {
		l.last = l.last[1:]
	}
	if strings.Contains(line, "panic") {
		l.bad = append(l.bad, line)
	}
	return nil
}

// problem returns an error when a panic was logged.
func (l *logSink) problem() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bad) > 0 {
		return fmt.Errorf("logged: %s", strings.Join(l.bad, "\n"))
	}
	return nil
}

// tail returns the last warnings.
func (l *logSink) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}
