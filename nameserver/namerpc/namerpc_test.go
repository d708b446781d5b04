package namerpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
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
	return serveHandler(t, namerpc.Handler(srv))
}

func serveHandler(t testing.TB, h rpc.Handler) (*namerpc.Client, *rpc.Client) {
	t.Helper()
	s := rpc.NewServer(rpc.ServerOptions{})
	if err := s.Register(rpc.Service{ID: uint64(id), Generation: 1, Handler: h}); err != nil {
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

// counting writes numbered records until stopped: record i of a writer only after its record i-1 is acknowledged, and record i of a later writer only after that of the one before.
type counting struct {
	ns    cluster.NameServer
	acked [3]atomic.Int64 // records that are acknowledged
}

func (c *counting) run(t *testing.T, w int, stop <-chan struct{}) {
	for i := int64(0); ; i++ {
		for w > 0 && c.acked[w-1].Load() <= i {
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
		select {
		case <-stop:
			return
		default:
		}
		name := fmt.Sprintf("/%c/%08d", 'a'+w, i)
		if err := c.ns.ApplyRecords(context.Background(), []cluster.RecordChange{{Name: name, Value: bytes.Repeat([]byte{byte(i)}, 100)}}); err != nil {
			t.Error(err)
			return
		}
		c.acked[w].Store(i + 1)
	}
}

// TestLiveBackup backs a name server up over a socket while three writers work, and restores it elsewhere: what is there is a state that was durable at one moment between the beginning and the end.
func TestLiveBackup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	newServer := func(fs *memfs.FS, o store.Owner) nameserver.Options {
		return nameserver.Options{FS: fs, Dir: "services/0800000000000000", Owner: o, Objects: clustertest.NewLinks(), SegmentBytes: 1 << 20, LogBytes: 4 << 20, MemtableBytes: 128 << 10}
	}
	fs := memfs.New()
	if err := fs.MkdirAll("services/0800000000000000/gen"); err != nil {
		t.Fatal(err)
	}
	srv, err := nameserver.Open(ctx, newServer(fs, owner{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close(context.Background()) })
	c, rc := serveHandler(t, namerpc.WithBackup(namerpc.Handler(srv), func(ctx context.Context, w io.Writer) error {
		_, err := srv.Backup(ctx, id, w)
		return err
	}))
	work := &counting{ns: c}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range work.acked {
		wg.Go(func() { work.run(t, w, stop) })
	}
	type taken struct {
		before, after [3]int64
		bytes         []byte
	}
	var backups []taken
	for len(backups) < 4 && !t.Failed() {
		var b taken
		for w := range work.acked {
			b.before[w] = work.acked[w].Load()
		}
		if n := int64(len(backups)); b.before[2] < 100*n { // some work between two
			runtime.Gosched()
			continue
		}
		var buf bytes.Buffer
		if err := c.Backup(ctx, &buf); err != nil {
			t.Fatal(err)
		}
		for w := range work.acked {
			b.after[w] = work.acked[w].Load()
		}
		b.bytes = buf.Bytes()
		backups = append(backups, b)
	}
	close(stop)
	wg.Wait()
	if _, err := rc.Call(ctx, wire.OpBackup, []byte("x"), nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("a request that is not empty: %v", err)
	}
	for n, b := range backups {
		elsewhere := memfs.New()
		if err := elsewhere.MkdirAll("services/0800000000000000/gen"); err != nil {
			t.Fatal(err)
		}
		opts := newServer(elsewhere, later{})
		if _, err := nameserver.Restore(ctx, opts, id, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.bytes)), nil }); err != nil {
			t.Fatalf("backup %d: %v", n, err)
		}
		opts.Owner = latest{}
		s, err := nameserver.Open(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		var got [3]int64
		for w := range got {
			prefix := fmt.Sprintf("/%c/", 'a'+w)
			after := ""
			for more := true; more; {
				var list []cluster.Record
				if list, more, err = s.ListRecords(ctx, prefix, after, 1000); err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					if want := fmt.Sprintf("%s%08d", prefix, got[w]); r.Name != want {
						t.Fatalf("backup %d: %s, want %s", n, r.Name, want)
					}
					got[w]++
					after = r.Name
				}
			}
			if got[w] < b.before[w] || got[w] > b.after[w]+1 { // one may be durable and not acknowledged
				t.Errorf("backup %d: writer %d has %d records, at the beginning %d were acknowledged, at the end %d", n, w, got[w], b.before[w], b.after[w])
			}
		}
		if got[1] > got[0] || got[2] > got[1] {
			t.Errorf("backup %d: %v: a record is there without one that was acknowledged before it was sent", n, got)
		}
		if err := errors.Join(s.Check(ctx), s.Close(ctx)); err != nil {
			t.Error(err)
		}
	}
}

// TestBackupNotSupported: a server without backups says so.
func TestBackupNotSupported(t *testing.T) {
	t.Parallel()
	c, _ := serveHandler(t, namerpc.Handler(nil))
	if err := c.Backup(t.Context(), io.Discard); !errors.Is(err, fault.NotSupported) {
		t.Errorf("got %v", err)
	}
}

type later struct{ owner }

func (later) Generation() uint64 { return 2 }

type latest struct{ owner }

func (latest) Generation() uint64 { return 3 }
