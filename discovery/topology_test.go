package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// refused is an error that says that the call was not executed.
type refused struct{ error }

func (r refused) Unwrap() error   { return r.error }
func (refused) NotExecuted() bool { return true }

// network is where fake servers listen.
type network struct {
	mu    sync.Mutex
	names map[string]*fakeName
	objs  map[string]*fakeObject
	dials atomic.Int64
}

func (n *network) options(fsys fsbackend.FS) Options {
	return Options{FS: fsys, Volume: vol1,
		DialName: func(_ context.Context, o Owner, _ cluster.ServiceID) (cluster.NameServer, error) {
			n.dials.Add(1)
			n.mu.Lock()
			defer n.mu.Unlock()
			if s := n.names[o.Addresses[0]]; s != nil {
				return s, nil
			}
			return nil, refused{fault.New(fault.Unavailable, "connection refused")}
		},
		DialObject: func(_ context.Context, o Owner, _ cluster.ServiceID) (cluster.ObjectServer, error) {
			n.dials.Add(1)
			n.mu.Lock()
			defer n.mu.Unlock()
			if s := n.objs[o.Addresses[0]]; s != nil {
				return s, nil
			}
			return nil, refused{fault.New(fault.Unavailable, "connection refused")}
		}}
}

// fakeName answers GetBucket and CreateBucket with its name as the location, or with err.
type fakeName struct {
	cluster.NameServer
	name  string
	calls atomic.Int64
	err   atomic.Pointer[error]
}

func (f *fakeName) GetBucket(context.Context, string) (cluster.Bucket, error) {
	f.calls.Add(1)
	if e := f.err.Load(); e != nil {
		return cluster.Bucket{}, *e
	}
	return cluster.Bucket{Location: f.name}, nil
}

func (f *fakeName) CreateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	return f.GetBucket(ctx, b.Name)
}

// fakeObject keeps nothing: it reads bodies, and sends bytes until fail.
type fakeObject struct {
	cluster.ObjectServer
	err       atomic.Pointer[error]
	sendAtMax int64 // bytes sent before err
	readBody  bool
}

func (f *fakeObject) Ping(context.Context) error {
	if e := f.err.Load(); e != nil {
		return *e
	}
	return nil
}

func (f *fakeObject) CreateObject(_ context.Context, _ cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	if e := f.err.Load(); e != nil && !f.readBody {
		return cluster.ObjectInfo{}, *e
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return cluster.ObjectInfo{}, err
	}
	if e := f.err.Load(); e != nil {
		return cluster.ObjectInfo{}, *e
	}
	return cluster.ObjectInfo{Size: size}, nil
}

func (f *fakeObject) ReadObject(_ context.Context, _ cluster.ObjectID, offset, length int64, w io.Writer) error {
	e := f.err.Load()
	for i := range length {
		if e != nil && i == f.sendAtMax {
			return *e
		}
		if _, err := w.Write([]byte{byte(offset + i)}); err != nil {
			return err
		}
	}
	return nil
}

func fail(p *atomic.Pointer[error], err error) { p.Store(&err) }

func start(t *testing.T, fsys fsbackend.FS, id cluster.ServiceID, g uint64, addr string) {
	t.Helper()
	claim(t, fsys, id, g)
	if err := PublishOwner(fsys, ServiceDir(id), Owner{Service: id, Host: 1, Generation: cluster.Generation(g), Addresses: []string{addr}}); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) *Topology {
	t.Helper()
	tp, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tp.Close() })
	return tp
}

func TestLocalServers(t *testing.T) { // not parallel: it counts allocations
	fsys := memfs.New()
	v := mustCreate(t, fsys, 2, 2)
	local := map[cluster.ServiceID]cluster.NameServer{v.Names[0]: &fakeName{name: "a"}, v.Names[1]: &fakeName{name: "b"}}
	obj := &fakeObject{}
	tp := open(t, Options{FS: fsys, Volume: v.ID, LocalNames: local, LocalObjects: map[cluster.ServiceID]cluster.ObjectServer{v.Objects()[0]: obj}})
	all, err := tp.NameServers()
	if err != nil || len(all) != 2 || all[0] != local[v.Names[0]] || all[1] != local[v.Names[1]] {
		t.Errorf("got %v, %v", all, err)
	}
	seen := map[cluster.NameServer]int{}
	for i := range 1000 {
		s, err := tp.NameServerFor(9, fmt.Sprintf("dir%d/key", i))
		if err != nil {
			t.Fatal(err)
		}
		other, _ := tp.NameServerFor(9, fmt.Sprintf("dir%d/other", i))
		if s != other {
			t.Fatal("one directory is on two servers")
		}
		seen[s]++
	}
	if n := seen[all[0]]; n < 400 || n > 600 {
		t.Errorf("%d of 1000 directories are on the first of two servers", n)
	}
	if s, err := tp.ObjectServer(v.Objects()[0]); err != nil || s != cluster.ObjectServer(obj) {
		t.Errorf("got %v, %v, want the server itself", s, err)
	}
	for _, id := range []cluster.ServiceID{os0 + 99, ns0, 0} {
		if _, err := tp.ObjectServer(id); !errors.Is(err, fault.Unavailable) {
			t.Errorf("object server %v: got %v", id, err)
		}
	}
	late := &fakeName{name: "late"}
	tp.SetLocalName(v.Names[0], late)
	if all, _ := tp.NameServers(); all[0] != cluster.NameServer(late) {
		t.Error("SetLocalName has no effect")
	}
	allocs := testing.AllocsPerRun(100, func() {
		_, _ = tp.NameServerFor(9, "some/directory/key")
		_, _ = tp.PlaceObject(9, "some/directory/key", 0)
	})
	if allocs != 0 {
		t.Errorf("resolving allocates %v times", allocs)
	}
}

// A service restarts with a new generation at a new address: the next call finds it, without waiting for the poll.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 1)
		first, second := &fakeName{name: "first"}, &fakeName{name: "second"}
		n := &network{names: map[string]*fakeName{"a1": first, "a2": second}}
		o := n.options(fsys)
		o.PollEvery = time.Hour
		tp, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		start(t, fsys, v.Names[0], 1, "a1")
		s, _ := tp.NameServerOfBucket("b")
		if b, err := s.GetBucket(t.Context(), "b"); err != nil || b.Location != "first" {
			t.Fatalf("got %+v, %v", b, err)
		}
		began := time.Now()
		start(t, fsys, v.Names[0], 2, "a2")
		fail(&first.err, refused{fault.New(fault.Stale, "generation 1 ended")})
		// A write too: it was certainly not executed.
		if b, err := s.CreateBucket(t.Context(), cluster.Bucket{}); err != nil || b.Location != "second" {
			t.Fatalf("after the restart: got %+v, %v", b, err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v, want at once", d)
		}
		if n.dials.Load() != 2 {
			t.Errorf("%d dials, want 2", n.dials.Load())
		}
		// The third generation comes up half a second after the second died: calls wait for it.
		fail(&second.err, refused{fault.New(fault.Unavailable, "connection refused")})
		time.AfterFunc(500*time.Millisecond, func() {
			start(t, fsys, v.Names[0], 3, "a3")
			n.mu.Lock()
			n.names["a3"] = &fakeName{name: "third"}
			n.mu.Unlock()
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if b, err := s.CreateBucket(t.Context(), cluster.Bucket{}); err != nil || b.Location != "third" {
					t.Errorf("while it starts: got %+v, %v", b, err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// What may be repeated, and for how long.
func TestRepetition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 1)
		srv := &fakeName{name: "x"}
		o := (&network{names: map[string]*fakeName{"a": srv}}).options(fsys)
		o.PollEvery = time.Hour
		tp, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		start(t, fsys, v.Names[0], 1, "a")
		s, _ := tp.NameServerOfBucket("b")
		lost := fault.New(fault.Unavailable, "connection reset")
		fail(&srv.err, lost)
		// A write whose fate is unknown is not repeated.
		if _, err := s.CreateBucket(t.Context(), cluster.Bucket{}); !errors.Is(err, lost) || srv.calls.Load() != 1 {
			t.Errorf("write: got %v after %d calls", err, srv.calls.Load())
		}
		// A stale epoch is an answer, not a lost owner.
		fail(&srv.err, fault.New(fault.Stale, "epoch"))
		if _, err := s.CreateBucket(t.Context(), cluster.Bucket{}); !errors.Is(err, fault.Stale) || srv.calls.Load() != 2 {
			t.Errorf("stale epoch: got %v after %d calls", err, srv.calls.Load())
		}
		// A read is, until RetryFor has passed since the service was lost.
		fail(&srv.err, lost)
		began := time.Now()
		if _, err := s.GetBucket(t.Context(), ""); !errors.Is(err, lost) {
			t.Errorf("read: got %v", err)
		}
		if d := time.Since(began); d < 2*time.Second || d > 3*time.Second {
			t.Errorf("it took %v, want just under RetryFor", d)
		}
		// Then calls fail fast.
		time.Sleep(time.Second)
		began = time.Now()
		if _, err := s.GetBucket(t.Context(), ""); !errors.Is(err, lost) || time.Since(began) > 0 {
			t.Errorf("read of a service that is down for long: got %v after %v", err, time.Since(began))
		}
		// Other answers are given back as they are, at once.
		fail(&srv.err, fault.New(fault.NoBucket, "none"))
		calls := srv.calls.Load()
		if _, err := s.GetBucket(t.Context(), ""); !errors.Is(err, fault.NoBucket) || srv.calls.Load() != calls+1 {
			t.Errorf("got %v", err)
		}
		// The caller's deadline holds.
		fail(&srv.err, lost)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := s.GetBucket(ctx, ""); err == nil || time.Since(began) > 100*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 1)
		n := &network{names: map[string]*fakeName{"a1": {name: "first"}, "a2": {name: "second"}, "b": {name: "other"}}}
		tp, err := New(n.options(fsys))
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		start(t, fsys, v.Names[0], 1, "a1")
		s, _ := tp.NameServerOfBucket("b")
		if b, err := s.GetBucket(t.Context(), ""); err != nil || b.Location != "first" {
			t.Fatalf("got %+v, %v", b, err)
		}
		// The old owner still answers, but a newer one has published itself.
		start(t, fsys, v.Names[0], 2, "a2")
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if b, err := s.GetBucket(t.Context(), ""); err != nil || b.Location != "second" {
			t.Errorf("after a poll: got %+v, %v", b, err)
		}
		// A new epoch of the volume moves all slots to a new server.
		next := v
		next.Epoch, next.Names = 2, append(next.Names[:1:1], ns0+1)
		next.Slots = bytes2slots(1)
		if err := PublishVolume(fsys, next); err != nil {
			t.Fatal(err)
		}
		start(t, fsys, ns0+1, 1, "b")
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		s, _ = tp.NameServerOfBucket("b")
		if b, err := s.GetBucket(t.Context(), ""); err != nil || b.Location != "other" {
			t.Errorf("after the volume changed: got %+v, %v", b, err)
		}
		if tp.Volume().Epoch != 2 {
			t.Errorf("epoch %d", tp.Volume().Epoch)
		}
	})
}

func bytes2slots(server uint16) []uint16 {
	s := make([]uint16, Slots)
	for i := range s {
		s[i] = server
	}
	return s
}

// An object server that is down gets no new objects, and all of its share goes on being written elsewhere.
func TestPlacement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 3)
		n := &network{objs: map[string]*fakeObject{}}
		for i, id := range v.Objects() {
			n.objs[fmt.Sprint(i)] = &fakeObject{}
			start(t, fsys, id, 1, fmt.Sprint(i))
		}
		tp, err := New(n.options(fsys))
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		count := func() map[cluster.ServiceID]int {
			m := map[cluster.ServiceID]int{}
			for i := range 3000 {
				id, err := tp.PlaceObject(1, fmt.Sprintf("key%d", i), 0)
				if err != nil {
					t.Fatal(err)
				}
				m[id]++
			}
			return m
		}
		before := count()
		for _, id := range v.Objects() {
			if before[id] < 850 || before[id] > 1150 {
				t.Errorf("server %v gets %d of 3000", id, before[id])
			}
		}
		down := n.objs["1"]
		s, _ := tp.ObjectServer(v.Objects()[1])
		if _, err := s.CreateObject(t.Context(), cluster.ObjectID{1}, 1, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		down.readBody = true
		fail(&down.err, fault.New(fault.Unavailable, "I/O error"))
		if _, err := s.CreateObject(t.Context(), cluster.ObjectID{1}, 1, bytes.NewReader([]byte("x"))); err == nil {
			t.Fatal("no error")
		}
		after := count()
		if after[v.Objects()[1]] != 0 || after[v.Objects()[0]] <= before[v.Objects()[0]] || after[v.Objects()[2]] <= before[v.Objects()[2]] {
			t.Errorf("before %v, after %v", before, after)
		}
		// Pings keep it out for as long as it is down, and let it in again.
		time.Sleep(20 * time.Second)
		if m := count(); m[v.Objects()[1]] != 0 {
			t.Errorf("still down: %v", m)
		}
		down.err.Store(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if m := count(); m[v.Objects()[1]] != before[v.Objects()[1]] {
			t.Errorf("up again: %v, before %v", m, before)
		}
		// All down: still an answer.
		for _, o := range n.objs {
			fail(&o.err, fault.New(fault.Unavailable, "down"))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if m := count(); len(m) != 3 {
			t.Errorf("all down: %v", m)
		}
	})
}

func TestObjectRepetition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		v := mustCreate(t, fsys, 1, 1)
		id := v.Objects()[0]
		first := &fakeObject{sendAtMax: 10}
		n := &network{objs: map[string]*fakeObject{"1": first, "2": {}}}
		o := n.options(fsys)
		o.PollEvery = time.Hour
		tp, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer tp.Close()
		start(t, fsys, id, 1, "1")
		s, _ := tp.ObjectServer(id)
		if err := s.ReadObject(t.Context(), cluster.ObjectID{1}, 0, 1, io.Discard); err != nil {
			t.Fatal(err)
		}
		// A read goes on where the lost server was.
		fail(&first.err, fault.New(fault.Stale, "lost the lease"))
		start(t, fsys, id, 2, "2")
		var w bytes.Buffer
		if err := s.ReadObject(t.Context(), cluster.ObjectID{1}, 5, 100, &w); err != nil {
			t.Fatal(err)
		}
		for i, b := range w.Bytes() {
			if int(b) != 5+i {
				t.Fatalf("byte %d is %d", i, b)
			}
		}
		if w.Len() != 100 {
			t.Errorf("%d bytes", w.Len())
		}
		// The writer's own error ends it, whatever its kind.
		own := fault.New(fault.Unavailable, "the client hung up")
		if err := s.ReadObject(t.Context(), cluster.ObjectID{1}, 0, 100, failWriter{own}); !errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
		// A create is repeated only with an untouched body.
		third := &fakeObject{}
		n.mu.Lock()
		n.objs["3"] = third
		n.mu.Unlock()
		second := n.objs["2"]
		fail(&second.err, refused{fault.New(fault.Unavailable, "refused")})
		start(t, fsys, id, 3, "3")
		if _, err := s.CreateObject(t.Context(), cluster.ObjectID{2}, 1, bytes.NewReader([]byte("x"))); err != nil {
			t.Errorf("untouched body: %v", err)
		}
		third.readBody = true
		fail(&third.err, refused{fault.New(fault.Unavailable, "refused late")})
		began := time.Now()
		if _, err := s.CreateObject(t.Context(), cluster.ObjectID{3}, 1, bytes.NewReader([]byte("x"))); !errors.Is(err, fault.Unavailable) || time.Since(began) > 0 {
			t.Errorf("body was read: got %v after %v", err, time.Since(began))
		}
	})
}

type failWriter struct{ err error }

func (f failWriter) Write([]byte) (int, error) { return 0, f.err }
