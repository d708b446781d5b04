package namerpc_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/cluster/clustertest"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/internal/wire"
	"ostor/nameserver"
	"ostor/nameserver/namerpc"
)

const id = cluster.ServiceID(0x0800000000000000)

type owner struct{}

func (owner) Generation() uint64       { return 1 }
func (owner) Inherits() (uint64, bool) { return 0, false }
func (owner) Fail(error)               {}
func (owner) Check() error             { return nil }

// serve returns a client of srv, connected by a socket.
func serve(t testing.TB, srv cluster.NameServer) (*namerpc.Client, *rpc.Client) {
	t.Helper()
	s := rpc.NewServer(rpc.ServerOptions{})
	if err := s.Register(rpc.Service{ID: uint64(id), Generation: 1, Handler: namerpc.Handler(srv)}); err != nil {
		t.Fatal(err)
	}
	addr := "unix:" + filepath.Join(t.TempDir(), "s")
	l, err := rpc.Listen(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	rc, err := rpc.Dial(context.Background(), rpc.ClientOptions{Address: addr, Service: uint64(id), Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := namerpc.New(rc)
	t.Cleanup(func() {
		_ = c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c, rc
}

// clock is moved by the suite.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

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

// TestConformance runs the contract's suite through a socket.
func TestConformance(t *testing.T) {
	t.Parallel()
	clustertest.NameServer(t, func(t *testing.T) clustertest.NameServerSetup {
		fsys, links, ck := memfs.New(), clustertest.NewLinks(), &clock{now: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}
		dir := "services/" + id.String()
		if err := fsys.MkdirAll(dir + "/gen"); err != nil {
			t.Fatal(err)
		}
		srv, err := nameserver.Open(context.Background(), nameserver.Options{FS: fsys, Dir: dir, Owner: owner{}, Objects: links, GarbageDelay: -1, Clock: ck.Now,
			SegmentBytes: 1 << 20, LogBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := srv.Check(context.Background()); err != nil {
				t.Errorf("check: %v", err)
			}
			if err := srv.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		c, _ := serve(t, srv)
		return clustertest.NameServerSetup{Server: c, Links: links, Advance: ck.Advance, Collect: srv.CollectNow}
	})
}

// fixed answers LOOKUP, LIST and CREATE_BUCKET with what it holds.
type fixed struct {
	cluster.NameServer
	entry  cluster.Entry
	page   cluster.ListPage
	bucket cluster.Bucket
	err    error
}

func (f *fixed) Lookup(context.Context, cluster.LookupRequest) (cluster.Entry, error) {
	return f.entry, f.err
}
func (f *fixed) List(context.Context, cluster.ListRequest) (cluster.ListPage, error) {
	return f.page, f.err
}
func (f *fixed) CreateBucket(context.Context, cluster.Bucket) (cluster.Bucket, error) {
	return f.bucket, f.err
}

func TestErrors(t *testing.T) {
	t.Parallel()
	f := &fixed{bucket: cluster.Bucket{Name: "taken", ID: 9, Created: time.UnixMilli(5).UTC()}, err: fault.New(fault.Exists, "bucket is taken")}
	c, raw := serve(t, f)
	// The contract returns the existing bucket with the error.
	if b, err := c.CreateBucket(t.Context(), cluster.Bucket{Name: "taken"}); !errors.Is(err, fault.Exists) || !reflect.DeepEqual(b, f.bucket) {
		t.Errorf("got %+v, %v", b, err)
	}
	f.err = fault.New(fault.Precondition, "ETag differs")
	if _, err := c.Lookup(t.Context(), cluster.LookupRequest{}); !errors.Is(err, fault.Precondition) || err.Error() != "LOOKUP: ETag differs" {
		t.Errorf("got %v", err)
	}
	// Garbage and unknown operations from a client are refused without a panic, and the connection goes on.
	for op := range uint16(60) {
		if op == wire.OpDropGuard || op == wire.OpApplyRecords {
			continue // 0xff is no valid request for any of the others
		}
		_, err := raw.Call(t.Context(), op, []byte{0xff}, nil)
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.NotSupported {
			t.Errorf("operation %d: got %v", op, err)
		}
	}
}

// A page that is longer than one frame arrives whole.
func TestLargePage(t *testing.T) {
	t.Parallel()
	f := &fixed{}
	for i := range 1000 {
		f.page.Entries = append(f.page.Entries, cluster.Entry{Key: string(make([]byte, 1024)), Size: int64(i), UserMeta: []cluster.Header{{Name: "m", Value: string(make([]byte, 2000))}}})
	}
	c, _ := serve(t, f)
	got, err := c.List(t.Context(), cluster.ListRequest{})
	if err != nil || !reflect.DeepEqual(got, f.page) {
		t.Errorf("got %d entries, %v", len(got.Entries), err)
	}
}

func BenchmarkLookup(b *testing.B) {
	f := &fixed{entry: cluster.Entry{Key: "photos/2026/11/img_0001.jpg", ETag: "9e107d9d372bb6826bd81d3542a419d6", Size: 4096, Content: cluster.Link{Server: 1, Object: cluster.ObjectID{1}},
		Headers: []cluster.Header{{Name: "content-type", Value: "image/jpeg"}}}}
	c, _ := serve(b, f)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Lookup(b.Context(), cluster.LookupRequest{Bucket: 1, Key: f.entry.Key}); err != nil {
			b.Fatal(err)
		}
	}
}
