package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/objserver"
	"ostor/pools"
)

// The tests of this file run whole object servers, so that every kind of file is there: log, tree, roots, reserve, manifest, pools, claim, release, owner.

const objectService = cluster.ServiceID(0x1000000000000001)

var objectDir = discovery.ServiceDir(objectService)

// keepOpen is a file system whose files stay open: what is under way lands though its process has ended.
type keepOpen struct{ fsbackend.FS }

type openFile struct{ fsbackend.File }

func (openFile) Close() error { return nil }

func keep(f fsbackend.File, err error) (fsbackend.File, error) {
	if err != nil {
		return nil, err
	}
	return openFile{f}, nil
}

func (k keepOpen) Create(name string) (fsbackend.File, error)   { return keep(k.FS.Create(name)) }
func (k keepOpen) Open(name string) (fsbackend.File, error)     { return keep(k.FS.Open(name)) }
func (k keepOpen) OpenRead(name string) (fsbackend.File, error) { return keep(k.FS.OpenRead(name)) }

// bubbleClock is the clock of a bubble.
type bubbleClock struct{ since time.Time }

func (c bubbleClock) Now() time.Duration { return time.Since(c.since) }

// site is one object service on a mount that several hosts share.
type site struct {
	t      *testing.T
	mount  *memfs.FS
	clock  bubbleClock
	local  map[uint64]*memfs.FS
	want   map[cluster.ObjectID][]byte // acknowledged
	gone   []cluster.ObjectID          // deleted, or never acknowledged and not seen by a later owner
	number int
}

func newSite(t *testing.T) *site {
	s := &site{t: t, mount: memfs.New(), clock: bubbleClock{time.Now()}, local: make(map[uint64]*memfs.FS), want: make(map[cluster.ObjectID][]byte)}
	for _, d := range []string{"", "control", "control/hosts", "services", objectDir, objectDir + "/" + fsbackend.GenDir} {
		if err := errors.Join(s.mount.MkdirAll(d), s.mount.SyncDir(parent(d))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// server is a process with the service.
type server struct {
	*objserver.Server
	lease *lease.Lease
	fs    fsbackend.FS
}

// start takes the service on a host whose mount is fsys.
func (s *site) start(host uint64, fsys fsbackend.FS) (*server, error) {
	if s.local[host] == nil {
		s.local[host] = memfs.New()
	}
	l, err := lease.Acquire(s.t.Context(), lease.Options{FS: fsys, Dir: objectDir, Host: host, Boot: 1, Local: s.local[host], Profile: lease.Fast, Clock: s.clock,
		Takeover: true, Logger: quiet})
	if err != nil {
		return nil, err
	}
	srv, err := objserver.Open(s.t.Context(), objserver.Options{FS: fsys, Dir: objectDir, Owner: l, ID: objectService, SegmentBytes: 256 << 10, LogBytes: 2 << 20, MemtableBytes: 256 << 10,
		CacheBytes: 1 << 20, JanitorEvery: -1, Logger: quiet, Geometry: func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }})
	if err == nil {
		err = discovery.PublishOwner(fsys, objectDir, discovery.Owner{Service: objectService, Host: cluster.HostID(host), Generation: cluster.Generation(l.Generation()),
			Addresses: []string{fmt.Sprintf("tcp:10.0.0.%d:1", host)}})
	}
	if err != nil {
		if srv != nil {
			_ = srv.Close(s.t.Context())
		}
		_ = l.Close()
		return nil, err
	}
	return &server{srv, l, fsys}, nil
}

func (s *site) mustStart(host uint64, fsys fsbackend.FS) *server {
	s.t.Helper()
	srv, err := s.start(host, fsys)
	if err != nil {
		s.t.Fatalf("start on host %d: %v", host, err)
	}
	return srv
}

// die ends a server as an error does: nothing is released.
func (s *site) die(srv *server) {
	srv.lease.Fail(errors.New("test"))
	_ = srv.lease.Close()
	_ = srv.Close(context.Background())
}

// stop ends a server in order.
func (s *site) stop(srv *server) {
	s.t.Helper()
	if err := errors.Join(srv.Close(s.t.Context()), srv.lease.Release(s.t.Context()), srv.lease.Close()); err != nil {
		s.t.Fatal("stop:", err)
	}
}

func (s *site) create(srv *server, size int) (cluster.ObjectID, error) {
	s.number++
	id := cluster.NewObjectID()
	data := bytes.Repeat(fmt.Appendf(nil, "object %d %x ", s.number, id), size/30+1)[:size]
	_, err := srv.CreateObject(s.t.Context(), id, int64(size), bytes.NewReader(data))
	if err == nil {
		s.want[id] = data
	}
	return id, err
}

// fill creates small and large objects, deletes some, and makes a checkpoint in between.
func (s *site) fill(srv *server) {
	s.t.Helper()
	for i, size := range []int{1, 100, 5000, 70_000, 200_000, 3_000_000, 300, 130_000} {
		id, err := s.create(srv, size)
		if err != nil {
			s.t.Fatal(err)
		}
		if i%3 == 1 {
			if err := srv.DeleteObjects(s.t.Context(), []cluster.ObjectID{id}); err != nil {
				s.t.Fatal(err)
			}
			delete(s.want, id)
			s.gone = append(s.gone, id)
		}
		if i == 4 {
			if err := srv.Checkpoint(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// verify reads everything and scrubs.
func (s *site) verify(srv *server, when string) {
	s.t.Helper()
	ctx := s.t.Context()
	for id, want := range s.want {
		var b bytes.Buffer
		if err := srv.ReadObject(ctx, id, 0, int64(len(want)), &b); err != nil || !bytes.Equal(b.Bytes(), want) {
			s.t.Errorf("%s: object %v of %d bytes: got %d bytes, equal %v, %v", when, id, len(want), b.Len(), bytes.Equal(b.Bytes(), want), err)
		}
	}
	for _, id := range s.gone {
		if _, err := srv.StatObject(ctx, id); !errors.Is(err, fault.NotFound) {
			s.t.Errorf("%s: object %v was deleted, or gone before: got %v", when, id, err)
		}
	}
	if err := srv.Scrub(ctx); err != nil {
		s.t.Errorf("%s: scrub: %v", when, err)
	}
	if err := srv.lease.Check(); err != nil {
		s.t.Errorf("%s: %v", when, err)
	}
}

// TestLateWriteAfterTakeover: the dead owner's writes to one kind of file are stuck; its process ends; another host takes over and works; then they land. Nothing changes, neither for
// the new owner nor for those that follow it, after a crash or not.
func TestLateWriteAfterTakeover(t *testing.T) {
	t.Parallel()
	type kind struct {
		name, glob string
		ops        faultfs.Op
		provoke    func(s *site, srv *server) // makes such writes; nil = starting does
	}
	create := func(size int) func(*site, *server) {
		return func(s *site, srv *server) {
			for range 3 {
				id, err := s.create(srv, size)
				if err == nil {
					t.Errorf("a create of %d bytes was acknowledged though its write is stuck", size)
				}
				s.gone = append(s.gone, id)
			}
		}
	}
	checkpoint := func(s *site, srv *server) {
		if err := srv.Checkpoint(s.t.Context()); err == nil {
			t.Error("a checkpoint succeeded though its write is stuck")
		}
	}
	stop := func(s *site, srv *server) {
		if err := errors.Join(srv.Close(s.t.Context()), srv.lease.Release(s.t.Context())); err == nil {
			t.Error("a release succeeded though its write is stuck")
		}
	}
	writes := faultfs.OpWrite | faultfs.OpTruncate | faultfs.OpAllocate | faultfs.OpPunch
	for _, k := range []kind{
		{"log", "log-*", writes, create(100)},
		{"tree", "tree-*", writes, checkpoint},
		{"roots", "roots", writes, checkpoint},
		{"pool", "pool-*", writes, create(400_000)},
		{"pool in a sweep", "pool-*", writes, checkpoint},
		{"release", "*.release", writes | faultfs.OpCreate, stop},
		{"unlink", "*", faultfs.OpRemove, nil},
		{"claim", "*.claim", writes, nil},
		{"manifest", "manifest", writes, nil},
		{"owner", "owner", writes, nil},
		{"reserve", "reserve", writes, nil},
		{"first log segment", "log-*", writes | faultfs.OpCreate, nil},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				stuck := new(faultfs.Stuck)
				rule := faultfs.Rule{Ops: k.ops, Name: k.glob, Stuck: stuck}
				old := faultfs.New(keepOpen{s.mount}, 1)
				first := s.mustStart(1, old)
				s.fill(first)
				if k.provoke != nil {
					old.Add(rule)
					k.provoke(s, first)
				}
				s.die(first)
				if k.provoke == nil { // the second owner gets stuck as it starts
					old.Add(rule)
					srv, err := s.start(1, old)
					if err == nil {
						if k.ops != faultfs.OpRemove {
							t.Error("a server started though its write is stuck")
						}
						if _, err := s.create(srv, 100); err != nil {
							t.Error(err)
						}
						_ = srv.Checkpoint(t.Context()) // the first one is followed by the removal of old files
						synctest.Wait()
						s.die(srv)
					}
				}
				if stuck.Held() == 0 {
					t.Fatal("nothing is stuck: the test tests nothing")
				}

				second := s.mustStart(2, s.mount)
				s.verify(second, "after the takeover")
				s.fill(second)
				land := stuck.Release()
				for _, err := range land {
					if err != nil && !errors.Is(err, fault.Exists) {
						t.Logf("a late operation did not land: %v", err)
					}
				}
				s.verify(second, "after the late writes")
				s.fill(second)
				if err := second.Checkpoint(t.Context()); err != nil {
					t.Error("checkpoint:", err)
				}
				s.verify(second, "after a checkpoint")

				for _, keep := range []memfs.Keep{memfs.Nothing, memfs.Everything} { // power cuts
					third := *s
					third.mount, third.local = s.mount.CrashClone(keep), make(map[uint64]*memfs.FS)
					srv := third.mustStart(3, third.mount)
					third.verify(srv, "after a power cut")
					third.stop(srv)
				}
				s.stop(second)
				again := s.mustStart(2, s.mount) // inherits
				s.verify(again, "after a clean restart")
				s.stop(again)
				t.Logf("%d operations landed late", len(land))
			})
		})
	}
}

// TestWallClockJumps: ownership passes between a process of today and one whose wall clock, a bubble's, shows the year 2000: forth and back, by waiting, by a seen exit and by a release.
func TestWallClockJumps(t *testing.T) {
	t.Parallel()
	mount, local := memfs.New(), map[uint64]*memfs.FS{1: memfs.New(), 2: memfs.New()}
	const dir = "services/0800000000000001"
	if err := errors.Join(mount.MkdirAll(dir), mount.MkdirAll("control/hosts")); err != nil {
		t.Fatal(err)
	}
	acquire := func(t *testing.T, host uint64, clock lease.Clock) *lease.Lease {
		t.Helper()
		l, err := lease.Acquire(t.Context(), lease.Options{FS: mount, Dir: dir, Host: host, Boot: 1, Local: local[host], Profile: lease.Fast, Clock: clock, Takeover: true, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
		return l
	}
	serve := func(t *testing.T, l *lease.Lease) { // leaves a manifest: older generations matter no more
		t.Helper()
		st, err := store.Open(t.Context(), store.Options{FS: mount, Dir: dir, Owner: l, SegmentBytes: 64 << 10, LogBytes: 512 << 10, MemtableBytes: 64 << 10, CacheBytes: 64 << 10, Logger: quiet})
		if err == nil {
			err = st.Close(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := acquire(t, 1, nil) // today
	serve(t, first)
	_ = first.Close() // an exit that host 2 cannot see
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if began.Year() != 2000 {
			t.Fatalf("the bubble shows %v", began)
		}
		second := acquire(t, 2, bubbleClock{began})
		if waited, want := time.Since(began), lease.Fast.Wait(); waited < want || waited > want+lease.Fast.N {
			t.Errorf("taken over after %v, want %v", waited, want)
		}
		serve(t, second)
		time.Sleep(100 * lease.Fast.N) // fifty renewals
		if err := second.Check(); err != nil {
			t.Error(err)
		}
		_ = second.Close()
		now := time.Now()
		third := acquire(t, 2, bubbleClock{began})
		if took := time.Since(now); took > lease.Fast.N {
			t.Errorf("after a seen exit the takeover took %v", took)
		}
		serve(t, third)
		if err := errors.Join(third.Release(t.Context()), third.Close()); err != nil {
			t.Error(err)
		}
	})
	now := bootTime(t)
	fourth := acquire(t, 1, nil)
	defer fourth.Close()
	if took := bootTime(t) - now; took > lease.Fast.Validity() { // the wait is longer
		t.Errorf("after a release in the past the takeover took %v", took)
	}
	if got := fourth.Generation(); got != 4 {
		t.Errorf("generation %d, want 4", got)
	}
	if _, ok := fourth.Inherits(); ok {
		t.Error("another host inherits")
	}
}

// bootTime is CLOCK_BOOTTIME.
func bootTime(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
