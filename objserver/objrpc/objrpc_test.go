package objrpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/objserver"
	"ostor/objserver/objrpc"
)

const id = cluster.ServiceID(0x1000000000000001)

type owner struct{}

func (owner) Generation() uint64       { return 1 }
func (owner) Inherits() (uint64, bool) { return 0, false }
func (owner) Fail(error)               {}
func (owner) Check() error             { return nil }

// serve returns a client of srv, connected by a socket of the kind.
func serve(t testing.TB, srv cluster.ObjectServer, network string) *objrpc.Client {
	t.Helper()
	s := rpc.NewServer(rpc.ServerOptions{})
	if err := s.Register(rpc.Service{ID: uint64(id), Generation: 1, Handler: objrpc.Handler(srv)}); err != nil {
		t.Fatal(err)
	}
	addr := "tcp:127.0.0.1:0"
	if network == "unix" {
		addr = "unix:" + filepath.Join(t.TempDir(), "s")
	}
	l, err := rpc.Listen(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	c, err := objrpc.Dial(context.Background(), rpc.ClientOptions{Address: network + ":" + l.Addr().String(), Service: uint64(id), Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func newServer(t testing.TB) *objserver.Server {
	t.Helper()
	fsys := memfs.New()
	dir := "services/" + id.String()
	if err := fsys.MkdirAll(dir + "/gen"); err != nil {
		t.Fatal(err)
	}
	srv, err := objserver.Open(context.Background(), objserver.Options{FS: fsys, Dir: dir, Owner: owner{}, ID: id, SegmentBytes: 1 << 20, LogBytes: 8 << 20, MemtableBytes: 1 << 20,
		CacheBytes: 1 << 20, JanitorEvery: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return srv
}

// TestConformance runs the contract's suite through sockets.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			clustertest.RunObjectServer(t, func(t *testing.T) cluster.ObjectServer { return serve(t, newServer(t), network) })
		})
	}
}

var errBody = errors.New("the gateway's client hung up")

// A body that fails in the gateway stores nothing at the server.
func TestBodyFails(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	c := serve(t, srv, "unix")
	for _, n := range []int{0, 1, 300_000} {
		oid := cluster.NewObjectID()
		body := io.MultiReader(bytes.NewReader(make([]byte, n)), failing{})
		if _, err := c.CreateObject(t.Context(), oid, 400_000, body); !errors.Is(err, errBody) {
			t.Errorf("after %d bytes: got %v", n, err)
		}
		// The same id again succeeds once the server has seen the end of the first attempt.
		if _, err := c.StatObject(t.Context(), oid); !errors.Is(err, fault.NotFound) {
			t.Errorf("after %d bytes: stat says %v", n, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBody }

// A server that sends too little, or too much, is not believed.
func TestWrongLength(t *testing.T) {
	t.Parallel()
	c := serve(t, liar{}, "unix")
	for _, n := range []int64{5, 15} {
		var w bytes.Buffer
		if err := c.ReadObject(t.Context(), cluster.ObjectID{1}, 0, n, &w); !errors.Is(err, fault.Unavailable) || int64(w.Len()) > n {
			t.Errorf("asked for %d, it sends 10: got %v and %d bytes", n, err, w.Len())
		}
	}
	if err := c.DeleteObjects(t.Context(), nil); err != nil { // no call at all
		t.Error(err)
	}
}

type liar struct{ cluster.ObjectServer }

func (liar) ReadObject(_ context.Context, _ cluster.ObjectID, _, _ int64, w io.Writer) error {
	_, err := w.Write(make([]byte, 10))
	return err
}

// null reads bodies and sends zeroes.
type null struct{ cluster.ObjectServer }

var zeroes [1 << 20]byte

func (null) CreateObject(_ context.Context, _ cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	buf := make([]byte, 4096)
	for {
		if _, err := body.Read(buf); err == io.EOF {
			return cluster.ObjectInfo{Size: size}, nil
		} else if err != nil {
			return cluster.ObjectInfo{}, err
		}
	}
}

func (null) ReadObject(_ context.Context, _ cluster.ObjectID, _, length int64, w io.Writer) error {
	for length > 0 {
		n, err := w.Write(zeroes[:min(length, 1<<20)])
		if err != nil {
			return err
		}
		length -= int64(n)
	}
	return nil
}

func BenchmarkSmall(b *testing.B) {
	c := serve(b, null{}, "unix")
	b.Run("create 4 KiB", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.CreateObject(b.Context(), cluster.ObjectID{}, 4096, bytes.NewReader(zeroes[:4096])); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read 4 KiB", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.ReadObject(b.Context(), cluster.ObjectID{}, 0, 4096, io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}
