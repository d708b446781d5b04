package discovery_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/nameserver/namerpc"
)

// place answers GetBucket and CreateBucket with where it is.
type place struct {
	cluster.NameServer
	name string
}

func (p place) GetBucket(context.Context, string) (cluster.Bucket, error) {
	return cluster.Bucket{Location: p.name}, nil
}

func (p place) CreateBucket(context.Context, cluster.Bucket) (cluster.Bucket, error) {
	return cluster.Bucket{Location: p.name}, nil
}

// run starts generation g of a service as its process would: claim, listen, publish. stop ends it as kill -9 would: without a word on the mount.
func run(t *testing.T, fsys fsbackend.FS, id cluster.ServiceID, g uint64, addr, name string) (stop func()) {
	t.Helper()
	dir := discovery.ServiceDir(id)
	if err := fsys.MkdirAll(dir + "/" + fsbackend.GenDir); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create(dir + "/" + fsbackend.GenDir + "/" + fsbackend.GenerationName(g) + ".claim")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	s := rpc.NewServer(rpc.ServerOptions{})
	if err := s.Register(rpc.Service{ID: uint64(id), Generation: g, Handler: namerpc.Handler(place{name: name})}); err != nil {
		t.Fatal(err)
	}
	l, err := rpc.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	if addr[:4] == "tcp:" {
		addr = "tcp:" + l.Addr().String()
	}
	if err := discovery.PublishOwner(fsys, dir, discovery.Owner{Service: id, Host: 1, Generation: cluster.Generation(g), Addresses: []string{addr}}); err != nil {
		t.Fatal(err)
	}
	return func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx)
	}
}

// A gateway goes on while its name server is killed and started again, over real sockets: on another address, on the same address, and over TCP.
func TestRestartOverRPC(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	v, err := discovery.CreateVolume(fsys, discovery.VolumeSpec{Names: 1, Objects: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := v.Names[0]
	tp, err := discovery.New(discovery.Options{FS: fsys, Volume: v.ID, PollEvery: time.Hour, RetryFor: 10 * time.Second,
		DialName: func(ctx context.Context, o discovery.Owner, id cluster.ServiceID) (cluster.NameServer, error) {
			return namerpc.Dial(ctx, rpc.ClientOptions{Address: o.Addresses[0], Service: uint64(id), Generation: uint64(o.Generation)})
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	ns, err := tp.NameServerOfBucket("b")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	shared := "unix:" + filepath.Join(dir, "shared")
	for g, addr := range []string{"unix:" + filepath.Join(dir, "first"), shared, shared, "tcp:127.0.0.1:0"} {
		name := string(rune('a' + g))
		stop := run(t, fsys, id, uint64(g+1), addr, name)
		// A write: repeated only because the refusal says that it was not executed.
		if b, err := ns.CreateBucket(t.Context(), cluster.Bucket{}); err != nil || b.Location != name {
			t.Fatalf("generation %d: got %+v, %v", g+1, b, err)
		}
		if b, err := ns.GetBucket(t.Context(), ""); err != nil || b.Location != name {
			t.Fatalf("generation %d: got %+v, %v", g+1, b, err)
		}
		stop()
	}
	// Nobody is there: the caller's deadline holds, and the error says that it may be tried again.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := ns.GetBucket(ctx, ""); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	// It comes back while a call waits.
	timer := time.AfterFunc(50*time.Millisecond, func() { t.Cleanup(run(t, fsys, id, 9, shared, "back")) })
	defer timer.Stop()
	if b, err := ns.CreateBucket(t.Context(), cluster.Bucket{}); err != nil || b.Location != "back" {
		t.Errorf("got %+v, %v", b, err)
	}
	// An owner record that points at a server of another generation is refused there, and the call ends as unavailable.
	if _, err := namerpc.Dial(t.Context(), rpc.ClientOptions{Address: shared, Service: uint64(id), Generation: 2}); !errors.Is(err, fault.Stale) || !discovery.NotExecuted(err) {
		t.Errorf("stale generation: got %v", err)
	}
}
