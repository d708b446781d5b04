package discovery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// stopped is a server that can be frozen: then its calls wait for five seconds, as package rpc makes them, and fail. It counts the calls.
type stopped struct {
	cluster.NameServer
	cluster.ObjectServer
	frozen atomic.Bool
	calls  atomic.Int64
	now    atomic.Int64 // calls under way
	most   atomic.Int64
}

const answerWithin = 5 * time.Second

func (s *stopped) answer() error {
	s.calls.Add(1)
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	if s.frozen.Load() {
		time.Sleep(answerWithin)
		return fault.Wrap(fault.Unavailable, os.ErrDeadlineExceeded, "rpc")
	}
	return nil
}

func (s *stopped) Ping(context.Context) error { return nil } // its storage hangs, not its process

func (s *stopped) GetBucket(context.Context, string) (cluster.Bucket, error) {
	return cluster.Bucket{}, s.answer()
}

func (s *stopped) CreateBucket(context.Context, cluster.Bucket) (cluster.Bucket, error) {
	return cluster.Bucket{}, s.answer()
}

func (s *stopped) CreateObject(_ context.Context, _ cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return cluster.ObjectInfo{}, err
	}
	return cluster.ObjectInfo{Size: size}, s.answer()
}

// inSilence makes a volume with one name server and three object servers, all of which are stopped servers, in a bubble.
func inSilence(t *testing.T, run func(t *testing.T, tp *Topology, fsys fsbackend.FS, servers map[cluster.ServiceID]*stopped)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 3)
		servers := map[cluster.ServiceID]*stopped{}
		for _, id := range append(v.Objects(), v.Names...) {
			servers[id] = &stopped{}
			start(t, fsys, id, 1, "tcp:"+id.String())
		}
		tp, err := New(Options{FS: fsys, Volume: v.ID,
			DialName: func(_ context.Context, _ Owner, id cluster.ServiceID) (cluster.NameServer, error) {
				return servers[id], nil
			},
			DialObject: func(_ context.Context, _ Owner, id cluster.ServiceID) (cluster.ObjectServer, error) {
				return servers[id], nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tp.Close() }()
		run(t, tp, fsys, servers)
	})
}

// TestSilentServer freezes a name server under many callers. Those that were on their way wait; after that one at a time tries, and all others are told at once. When it
// wakes up, or another generation answers, all goes on.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]bool{"reads": false, "writes": true} {
		t.Run(name, func(t *testing.T) { silentServer(t, write) })
	}
}

func silentServer(t *testing.T, write bool) {
	inSilence(t, func(t *testing.T, tp *Topology, fsys fsbackend.FS, servers map[cluster.ServiceID]*stopped) {
		id := tp.Volume().Names[0]
		server := servers[id]
		ask := func() (time.Duration, error) {
			ns, err := tp.NameServerOfBucket("b")
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if write {
				_, err = ns.CreateBucket(t.Context(), cluster.Bucket{})
			} else {
				_, err = ns.GetBucket(t.Context(), "b")
			}
			return time.Since(begin), err
		}
		if _, err := ask(); err != nil {
			t.Fatal(err)
		}
		server.frozen.Store(true)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if took, err := ask(); !errors.Is(err, fault.Unavailable) || took > answerWithin+time.Second {
					t.Errorf("on its way when the server froze: %v after %v", err, took)
				}
			})
		}
		wg.Wait()
		before := server.calls.Load()
		server.most.Store(0)
		var quick atomic.Int64
		for range 50 { // 60 s
			for range 20 {
				wg.Go(func() {
					took, err := ask()
					if !errors.Is(err, fault.Unavailable) || took > answerWithin {
						t.Errorf("while it is frozen: %v after %v", err, took)
					}
					if took == 0 {
						quick.Add(1)
					}
				})
			}
			time.Sleep(1200 * time.Millisecond)
		}
		wg.Wait()
		if n := server.calls.Load() - before; n > 12 || n < 8 || server.most.Load() != 1 || quick.Load() != 1000-n {
			t.Errorf("in 60 s %d calls reached the server, %d at a time, and %d of 1000 were answered at once: want about one every 6 s, and all others", n, server.most.Load(), quick.Load())
		}
		server.frozen.Store(false)
		time.Sleep(trialPause)
		for range 10 {
			if took, err := ask(); err != nil || took != 0 {
				t.Errorf("after it woke up: %v after %v", err, took)
			}
		}
		// Frozen once more, and taken over by another process.
		server.frozen.Store(true)
		if _, err := ask(); err == nil {
			t.Fatal("not frozen")
		}
		servers[id] = &stopped{}
		start(t, fsys, id, 2, "tcp:elsewhere")
		time.Sleep(1100 * time.Millisecond)
		if took, err := ask(); err != nil || took != 0 {
			t.Errorf("after the takeover: %v after %v", err, took)
		}
		// A call that was on its way to the old owner ends now: it must not bring the new one into disrepute (found by integration/fuse TestAgents, freeze).
		time.Sleep(trialPause)
		servers[id].frozen.Store(true)
		wg.Go(func() {
			if took, err := ask(); write && err == nil || !write && (err != nil || took != answerWithin) {
				t.Errorf("on its way during the takeover: %v after %v", err, took)
			}
		})
		synctest.Wait()
		servers[id] = &stopped{}
		start(t, fsys, id, 3, "tcp:third")
		time.Sleep(answerWithin + trialPause/5)
		if took, err := ask(); err != nil || took != 0 {
			t.Errorf("after the old owner's silence: %v after %v", err, took)
		}
		wg.Wait()
	})
}

// TestSilentObjectServer freezes one of three object servers: writes go on at the others, though its process answers pings; it is tried once in a while, by one write.
func TestSilentObjectServer(t *testing.T) {
	inSilence(t, func(t *testing.T, tp *Topology, _ fsbackend.FS, servers map[cluster.ServiceID]*stopped) {
		ids := tp.Volume().Objects()
		put := func(key string) (cluster.ServiceID, time.Duration, error) {
			id, err := tp.PlaceObject(1, key, 0)
			if err != nil {
				t.Fatal(err)
			}
			s, err := tp.ObjectServer(id)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			_, err = s.CreateObject(t.Context(), cluster.NewObjectID(), 4, bytes.NewReader([]byte("body")))
			return id, time.Since(begin), err
		}
		servers[ids[1]].frozen.Store(true)
		failed, slow := 0, 0
		for i := range 600 { // a minute
			id, took, err := put(string(rune('a' + i)))
			if err != nil {
				failed++
				if id != ids[1] || took > answerWithin {
					t.Errorf("a write to %s: %v after %v", id, err, took)
				}
				if took > 0 {
					slow++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if failed > 15 || failed == 0 || slow != failed {
			t.Errorf("%d of 600 writes failed, %d of them after a wait: want some that tried the server, and only those", failed, slow)
		}
		servers[ids[1]].frozen.Store(false)
		time.Sleep(6 * time.Second)
		used := false
		for i := range 30 {
			id, _, err := put(string(rune('a' + i)))
			if used = used || id == ids[1]; err != nil {
				t.Error(err)
			}
		}
		if !used {
			t.Error("the server that woke up gets no new objects")
		}
	})
}
