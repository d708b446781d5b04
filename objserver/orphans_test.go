package objserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/nameserver"
)

const nameDir = "services/0800000000000001"

// onlyServer finds one object server.
type onlyServer struct{ s *Server }

func (o onlyServer) ObjectServer(cluster.ServiceID) (cluster.ObjectServer, error) { return o.s, nil }

// openNames opens a real name server on fs.
func openNames(t testing.TB, fs *memfs.FS, generation uint64, objects cluster.ObjectServers) *nameserver.Server {
	t.Helper()
	if err := errors.Join(fs.MkdirAll(nameDir), fs.SyncDir(""), fs.SyncDir("services")); err != nil {
		t.Fatal(err)
	}
	ns, err := nameserver.Open(context.Background(), nameserver.Options{FS: fs, Dir: nameDir, Owner: &owner{generation: generation}, Objects: objects,
		SegmentBytes: 1 << 20, LogBytes: 8 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close(context.Background()) })
	return ns
}

// orphanSite is an object server with real name servers.
type orphanSite struct {
	t     testing.TB
	fs    *memfs.FS
	s     *Server
	names []cluster.NameServer
	on    []*memfs.FS // of the name servers
}

// orphanOptions take every object for old.
func orphanOptions(fs *memfs.FS, generation uint64) Options {
	o := testOptions(fs, &owner{generation: generation})
	o.OrphanAge, o.OrphanEvery = -time.Minute, -1
	return o
}

func newOrphanSite(t testing.TB, names int) *orphanSite {
	st := &orphanSite{t: t, fs: newFS(t)}
	opts := orphanOptions(st.fs, 1)
	opts.Names = func() ([]cluster.NameServer, error) { return st.names, nil }
	st.s = openChecked(t, opts)
	for range names {
		fs := memfs.New()
		st.on = append(st.on, fs)
		st.names = append(st.names, openNames(t, fs, 1, onlyServer{st.s}))
	}
	return st
}

// upload stores an object as a gateway does, and names it.
func upload(ctx context.Context, s *Server, ns cluster.NameServer, key string, data []byte) (cluster.ObjectID, error) {
	l := cluster.Link{Server: testID, Object: cluster.NewObjectID()}
	if err := ns.Guard(ctx, cluster.Guard{Bucket: 1, Key: key, Content: l, Timeout: time.Hour}); err != nil {
		return l.Object, err
	}
	if _, err := s.CreateObject(ctx, l.Object, int64(len(data)), bytes.NewReader(data)); err != nil {
		return l.Object, err
	}
	_, err := ns.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: 1, Entry: cluster.Entry{Key: key, Modified: time.Now(), Size: int64(len(data)), ETag: "x", Content: l}})
	return l.Object, err
}

func (st *orphanSite) upload(n int, key string) cluster.ObjectID {
	st.t.Helper()
	id, err := upload(context.Background(), st.s, st.names[n%len(st.names)], key, content(n, 5000+n))
	if err != nil {
		st.t.Fatal(err)
	}
	return id
}

func (st *orphanSite) free(dry bool) OrphanReport {
	st.t.Helper()
	r, err := st.s.FreeOrphans(context.Background(), dry)
	if err != nil {
		st.t.Fatal(err)
	}
	return r
}

func exists(t testing.TB, s *Server, id cluster.ObjectID) bool {
	t.Helper()
	_, err := s.StatObject(context.Background(), id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	st := newOrphanSite(t, 2)
	var named []cluster.ObjectID
	for i := range 20 {
		named = append(named, st.upload(i, "k"+string(rune('a'+i))))
	}
	guarded := cluster.Link{Server: testID, Object: create(t, st.s, content(50, 100))}
	if err := st.names[1].Guard(t.Context(), cluster.Guard{Bucket: 1, Key: "g", Content: guarded, Timeout: time.Hour}); err != nil {
		t.Fatal(err)
	}
	orphans := []cluster.ObjectID{create(t, st.s, content(51, 10)), create(t, st.s, content(52, 200_000))}
	if r := st.free(true); r != (OrphanReport{Examined: 23, Kept: 2}) {
		t.Errorf("dry run: %+v", r)
	}
	if !exists(t, st.s, orphans[0]) {
		t.Fatal("a dry run deleted an object")
	}
	if r := st.free(false); r != (OrphanReport{Examined: 23, Freed: 2, FreedBytes: 200_010}) {
		t.Errorf("got %+v", r)
	}
	for _, id := range orphans {
		if exists(t, st.s, id) {
			t.Errorf("orphan %v is still there", id)
		}
	}
	for i, id := range named {
		wantBytes(t, st.s, id, content(i, 5000+i))
	}
	if !exists(t, st.s, guarded.Object) {
		t.Error("an upload in flight lost its bytes")
	}
	if s := st.s.Stats(); s.OrphansFreed != 2 || s.OrphanBytes != 200_010 || s.OrphansKept != 2 {
		t.Errorf("stats: %+v", s)
	}
}

// TestOrphansYoung sees that what was made a moment ago is not even asked about.
func TestOrphansYoung(t *testing.T) {
	t.Parallel()
	st := newOrphanSite(t, 1)
	st.s.opts.OrphanAge = time.Hour
	id := create(t, st.s, content(1, 10))
	if r := st.free(false); r.Examined != 0 || !exists(t, st.s, id) {
		t.Errorf("got %+v", r)
	}
}

// refusing is a name server of which a call fails or something happens after it.
type refusing struct {
	cluster.NameServer
	err   error
	after func()
}

func (r *refusing) UnknownLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.ObjectID, error) {
	if r.err != nil {
		return nil, r.err
	}
	unknown, err := r.NameServer.UnknownLinks(ctx, server, ids)
	if r.after != nil {
		r.after()
	}
	return unknown, err
}

// TestOrphansDoubt sees that nothing is deleted when one name server is away, when the volume changes, and when too much is unknown.
func TestOrphansDoubt(t *testing.T) {
	t.Parallel()
	st := newOrphanSite(t, 2)
	id := create(t, st.s, content(1, 10))
	whole := st.names
	for _, tc := range []struct {
		name string
		last *refusing
		few  int
		want fault.Kind
	}{
		{"a server is away", &refusing{NameServer: whole[1], err: fault.New(fault.Unavailable, "away")}, 1000, fault.Unavailable},
		{"a server joins", &refusing{NameServer: whole[1], after: func() { st.names = append(slices.Clone(st.names), whole[0]) }}, 1000, fault.Unavailable},
		{"too many", &refusing{NameServer: whole[1]}, -1, fault.Precondition},
	} {
		st.names = []cluster.NameServer{whole[0], tc.last}
		st.s.opts.OrphanFew = tc.few
		if r, err := st.s.FreeOrphans(t.Context(), false); !errors.Is(err, tc.want) || r.Freed != 0 || !exists(t, st.s, id) {
			t.Errorf("%s: got %+v, %v", tc.name, r, err)
		}
	}
	st.names = nil
	if _, err := st.s.FreeOrphans(t.Context(), false); !errors.Is(err, fault.Unavailable) || !exists(t, st.s, id) {
		t.Errorf("without name servers: %v", err)
	}
}

// TestOrphansRace uploads, overwrites and deletes while passes run that take every object for old: nothing acknowledged is lost.
func TestOrphansRace(t *testing.T) {
	t.Parallel()
	st := newOrphanSite(t, 2)
	rng := rand.New(rand.NewPCG(testSeed(t), 3))
	seeds := []uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
	var wg sync.WaitGroup
	for w, seed := range seeds {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for i := range 30 {
				key := "w" + string(rune('a'+w)) + string(rune('a'+rng.IntN(5)))
				ns := st.names[(w+int(key[2]))%2]
				data := content(w*100+i, 1+rng.IntN(9000))
				id, err := upload(context.Background(), st.s, ns, key, data)
				if errors.Is(err, fault.GuardGone) || errors.Is(err, fault.NotFound) {
					continue // given up between the guard and the name: the client is told
				}
				if err != nil {
					t.Errorf("upload: %v", err)
					return
				}
				var b bytes.Buffer
				if err := st.s.ReadObject(context.Background(), id, 0, int64(len(data)), &b); err != nil || !bytes.Equal(b.Bytes(), data) {
					t.Errorf("acknowledged object %v: %v", id, err)
				}
			}
		})
	}
	stop := make(chan struct{})
	go func() { wg.Wait(); close(stop) }()
	for running := true; running; {
		select {
		case <-stop:
			running = false
		default:
		}
		if _, err := st.s.FreeOrphans(context.Background(), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, ns := range st.names {
		page, err := ns.List(context.Background(), cluster.ListRequest{Bucket: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			if !exists(t, st.s, e.Content.Object) {
				t.Errorf("%q has no bytes", e.Key)
			}
		}
	}
}

// TestOrphansCrash cuts the power after the name servers' verdict and after the deletion: names keep their bytes, and the next pass frees what is left. The orphan is made as
// in decision 0002: the power cut takes the guard, not the bytes.
func TestOrphansCrash(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	for _, late := range []bool{false, true} {
		st := newOrphanSite(t, 1)
		id := st.upload(3, "kept")
		lost := cluster.Link{Server: testID, Object: create(t, st.s, content(9, 300_000))}
		clone := func(fs *memfs.FS) *memfs.FS { return fs.CrashClone(memfs.Some(seed)) }
		var objects, names *memfs.FS
		hook := &refusing{NameServer: st.names[0], after: func() { objects, names = clone(st.fs), clone(st.on[0]) }}
		whole := st.names
		st.names = []cluster.NameServer{hook}
		if r := st.free(false); r.Freed != 1 {
			t.Fatalf("got %+v", r)
		}
		if late {
			objects, names = clone(st.fs), clone(st.on[0])
		}
		st.names = whole
		after := &orphanSite{t: t, fs: objects}
		opts := orphanOptions(objects, 2)
		opts.Names = func() ([]cluster.NameServer, error) { return after.names, nil }
		after.s = openChecked(t, opts)
		after.names = []cluster.NameServer{openNames(t, names, 2, onlyServer{after.s})}
		want := int64(1)
		if late {
			want = 0
		}
		if r := after.free(false); r.Freed != want || exists(t, after.s, lost.Object) {
			t.Errorf("late %v: after the crash %+v", late, r)
		}
		wantBytes(t, after.s, id, content(3, 5003))
	}
}
