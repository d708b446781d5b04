package fsck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/nameserver"
	"ostor/objserver"
	"ostor/pools"
)

// owner is a lease that is never lost; each start is the next generation of its service, clean when the one before was released.
type owner struct {
	st         *site
	id         cluster.ServiceID
	generation uint64
	prior      uint64
}

func (o *owner) Generation() uint64       { return o.generation }
func (o *owner) Inherits() (uint64, bool) { return o.prior, o.prior != 0 }
func (o *owner) Check() error             { return nil }
func (o *owner) Fail(error)               {}
func (o *owner) Close() error             { return nil }
func (o *owner) Release(context.Context) error {
	o.st.released[o.id] = o.generation
	return nil
}

// site is a volume of two name servers and one object server, all stopped.
type site struct {
	*testing.T
	fs       *memfs.FS
	volume   discovery.Volume
	last     map[cluster.ServiceID]uint64
	released map[cluster.ServiceID]uint64
	held     cluster.ServiceID // by somebody else
	links    []cluster.Link    // of the objects, by key k0, k1, ...
	orphan   cluster.Link
}

func (st *site) own(_ context.Context, id cluster.ServiceID) (Owner, error) {
	if id == st.held {
		return nil, fault.New(fault.Exists, "held by another process")
	}
	st.last[id]++
	o := &owner{st: st, id: id, generation: st.last[id]}
	if st.released[id] == st.last[id]-1 {
		o.prior = st.released[id]
	}
	return o, nil
}

func objectOptions() objserver.Options {
	return objserver.Options{SmallBytes: -1, SegmentBytes: 1 << 20, LogBytes: 8 << 20, Geometry: func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }}
}

func (st *site) no(err error) {
	st.Helper()
	if err != nil {
		st.Fatal(err)
	}
}

func newSite(t *testing.T) *site { return newSiteOf(t, 20, false) }

// newSiteOf makes a site with n names, stopped or killed.
func newSiteOf(t *testing.T, n int, killed bool) *site {
	st := &site{T: t, fs: memfs.New(), last: map[cluster.ServiceID]uint64{}, released: map[cluster.ServiceID]uint64{}}
	for _, d := range []string{"control", "volumes", "services"} {
		st.no(st.fs.MkdirAll(d))
	}
	var err error
	st.volume, err = discovery.CreateVolume(st.fs, discovery.VolumeSpec{Names: 2, Objects: 1})
	st.no(err)
	r := &run{o: Options{FS: st.fs, Volume: st.volume, Own: st.own, Objects: objectOptions}, report: func(p Problem) { t.Error(p.Err) },
		objects: map[cluster.ServiceID]*object{}, names: map[cluster.ServiceID]*name{}}
	ctx := context.Background()
	st.no(r.openNames(ctx))
	st.no(r.openObjects(ctx))
	os := r.objects[st.volume.Objects()[0]]
	put := func(key string, ns *nameserver.Server) cluster.Link {
		l := cluster.Link{Server: st.volume.Objects()[0], Object: cluster.NewObjectID()}
		data := []byte(strings.Repeat(key, 3000))
		_, err := os.CreateObject(ctx, l.Object, int64(len(data)), bytes.NewReader(data))
		st.no(err)
		if ns != nil {
			st.no(ns.Guard(ctx, cluster.Guard{Bucket: 1, Key: key, Content: l, Timeout: time.Hour}))
			_, err = ns.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: 1, Entry: cluster.Entry{Key: key, Modified: time.Now(), Size: int64(len(data)), ETag: "x", Content: l}})
			st.no(err)
		}
		return l
	}
	for i := range n {
		st.links = append(st.links, put(fmt.Sprintf("k%d", i), r.names[st.volume.Names[i%2]].Server))
	}
	st.orphan = put("orphan", nil)
	if killed {
		running := r
		t.Cleanup(func() { _ = running.close(ctx) })
		st.fs = st.fs.CrashClone(memfs.Everything)
		return st
	}
	st.no(r.close(ctx))
	return st
}

// check runs and returns what was reported, one line each.
func (st *site) check(o Options) (Summary, []string) {
	st.Helper()
	o.FS, o.Volume, o.Own, o.Objects = st.fs, st.volume, st.own, objectOptions
	var got []string
	s, err := Run(context.Background(), o, func(p Problem) {
		got = append(got, fmt.Sprintf("%v %s %v", p.Repaired, p.Service, p.Err))
	})
	st.no(err)
	if int(s.Problems) != len(got) {
		st.Errorf("%d problems are counted, %d were reported", s.Problems, len(got))
	}
	return s, got
}

// change changes the store of a stopped service.
func (st *site) change(id cluster.ServiceID, fn func(tx *store.Tx) error) {
	st.Helper()
	o, err := st.own(context.Background(), id)
	st.no(err)
	s, err := store.Open(context.Background(), store.Options{FS: st.fs, Dir: discovery.ServiceDir(id), Owner: o})
	st.no(err)
	st.no(s.Update(context.Background(), fn))
	st.no(s.Close(context.Background()))
	st.no(o.Release(context.Background()))
}

const old = -time.Minute // every object is old enough for an orphan

func TestClean(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	s, got := st.check(Options{Payloads: true})
	if len(got) > 0 || s.Services != 3 || s.Links != 20 || s.Objects != 21 {
		t.Errorf("%+v, %q", s, got)
	}
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	if s, got := st.check(Options{OrphanAge: old}); len(got) != 1 || s.Repaired != 0 || s.Orphans.Kept != 1 {
		t.Errorf("%+v, %q", s, got)
	}
	if s, got := st.check(Options{OrphanAge: old, Repair: true}); len(got) != 1 || s.Repaired != 1 || s.Orphans.Freed != 1 {
		t.Errorf("%+v, %q", s, got)
	}
	if s, got := st.check(Options{OrphanAge: old, Payloads: true}); len(got) != 0 || s.Objects != 20 || s.Links != 20 {
		t.Errorf("after the repair: %+v, %q", s, got)
	}
}

// TestMasks breaks region records: one is lost, as if its blocks were free, one has a block too many.
func TestMasks(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	st.change(st.volume.Objects()[0], func(tx *store.Tx) error {
		it := tx.Iter([]byte{'R'}, []byte{'S'})
		defer it.Close()
		n := 0
		for ; it.Next() && n < 2; n++ {
			key := bytes.Clone(it.Key())
			if n == 0 {
				tx.Delete(key)
				continue
			}
			r, err := pools.DecodeRegionRecord(bytes.Clone(it.Value()))
			if err != nil {
				return err
			}
			r.Mask[0] ^= 0x80
			tx.Put(key, r.Append(nil))
		}
		if n < 2 {
			return errors.New("too few regions")
		}
		return it.Err()
	})
	if s, got := st.check(Options{}); len(got) < 2 || s.Repaired != 0 {
		t.Errorf("%+v, %q", s, got)
	}
	if s, got := st.check(Options{Repair: true}); len(got) < 2 || int(s.Repaired) != len(got) {
		t.Errorf("repair: %+v, %q", s, got)
	}
	if s, got := st.check(Options{Payloads: true}); len(got) != 0 || s.Links != 20 {
		t.Errorf("after the repair: %+v, %q", s, got)
	}
}

// TestLostBytes deletes an object that has a name, and makes another one shorter than its name says.
func TestLostBytes(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	st.change(st.volume.Objects()[0], func(tx *store.Tx) error {
		tx.Delete(append([]byte{'O'}, st.links[4].Object[:]...))
		return nil
	})
	for _, repair := range []bool{false, true} { // no repair brings bytes back, but that of the masks is one
		s, got := st.check(Options{Repair: repair})
		all := strings.Join(got, "\n")
		if !strings.Contains(all, `key "k4"`) || !strings.Contains(all, "its bytes are lost") || s.Problems == s.Repaired {
			t.Errorf("repair %v: %+v\n%s", repair, s, all)
		}
	}
	if s, got := st.check(Options{}); len(got) != 1 || s.Links != 20 {
		t.Errorf("after the repair of the masks: %+v, %q", s, got)
	}
}

// TestNameServerLost sees that nothing is taken for an orphan when a name server cannot be opened, or is held by somebody.
func TestNameServerLost(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	st.held = st.volume.Names[1]
	_, err := Run(t.Context(), Options{FS: st.fs, Volume: st.volume, Own: st.own, Objects: objectOptions, Repair: true, OrphanAge: old, BelieveOrphans: true}, func(Problem) {})
	if !errors.Is(err, fault.Exists) {
		t.Fatalf("got %v", err)
	}
	st.held = 0
	dir := discovery.ServiceDir(st.volume.Names[1]) + "/gen"
	names, err := st.fs.List(dir)
	st.no(err)
	for _, g := range names {
		files, err := st.fs.List(dir + "/" + g)
		if err != nil {
			continue
		}
		for _, f := range files {
			if strings.HasPrefix(f, "manifest") || strings.Contains(f, "root") {
				h, err := st.fs.Open(dir + "/" + g + "/" + f)
				st.no(err)
				_, err = h.WriteAt(bytes.Repeat([]byte{0xaa}, 4096), 0)
				st.no(errors.Join(err, h.Close()))
			}
		}
	}
	s, got := st.check(Options{Repair: true, OrphanAge: old, BelieveOrphans: true})
	all := strings.Join(got, "\n")
	if s.Orphans.Freed != 0 || !strings.Contains(all, "cannot be opened") {
		t.Errorf("%+v\n%s", s, all)
	}
	os, err := objserver.Open(t.Context(), func() objserver.Options {
		o := objectOptions()
		own, _ := st.own(nil, st.volume.Objects()[0]) //nolint:staticcheck // the site needs no context
		o.FS, o.Dir, o.Owner, o.ID, o.JanitorEvery, o.ScrubEvery = st.fs, discovery.ServiceDir(st.volume.Objects()[0]), own, st.volume.Objects()[0], -1, -1
		return o
	}())
	st.no(err)
	if n := os.Stats().Objects; n != 21 {
		t.Errorf("%d objects are left of 21", n)
	}
	st.no(os.Close(t.Context()))
}

// TestRebuild loses the log and tree of the object server: every name reads back, what was deleted or never named stays away, a damaged header costs its object, which is named.
func TestRebuild(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	os, gone := st.volume.Objects()[0], st.links[6]
	st.no(st.with(st.volume.Names[0], func(ns *nameserver.Server) error { // k6: of the even ones
		_, err := ns.DeleteEntry(t.Context(), cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k6"}})
		return err
	}))
	if s, got := st.check(Options{}); s.Links != 19 {
		t.Fatalf("%+v, %q", s, got)
	}
	st.spoil(os, func(name string) bool {
		return strings.HasPrefix(name, "tree-") || strings.HasPrefix(name, "log-") || name == "roots"
	})
	if _, got := st.check(Options{Repair: true}); len(got) != 1 || !strings.Contains(got[0], "cannot be opened") {
		t.Fatalf("without the object tree: %q", got)
	}
	var r objserver.RebuildReport
	o := Options{Rebuild: true, Payloads: true, Rebuilt: func(_ cluster.ServiceID, got objserver.RebuildReport) { r = got }}
	if s, got := st.check(o); len(got) != 0 || s.Objects != 19 || s.Links != 19 || r.Objects != 19 || r.Unnamed == 0 {
		t.Fatalf("%+v, %+v, %q", s, r, got)
	}
	if s, got := st.check(Options{Payloads: true}); len(got) != 0 || s.Objects != 19 {
		t.Fatalf("after the rebuild: %+v, %q", s, got)
	}
	// Again, though it can be opened, and with a header that is damaged.
	st.header(os, st.links[4].Object)
	o.Only = []cluster.ServiceID{os}
	s, got := st.check(o)
	if len(got) != 1 || !strings.Contains(got[0], `key "k4"`) || !strings.Contains(got[0], "no header names it") || len(r.Damaged) != 1 || s.Objects != 18 {
		t.Errorf("with a damaged header: %+v, %+v, %q", s, r, got)
	}
	for _, l := range r.Lost {
		if l.Object == gone.Object {
			t.Error("a deleted object is wanted")
		}
	}
	o.Only = []cluster.ServiceID{st.volume.Names[0]}
	o.FS, o.Volume, o.Own = st.fs, st.volume, st.own
	if _, err := Run(t.Context(), o, func(Problem) {}); !errors.Is(err, fault.Invalid) {
		t.Errorf("rebuild of a name server: %v", err)
	}
}

// TestRebuildNeedsNames: without a name server nobody knows what is wanted, and nothing is done.
func TestRebuildNeedsNames(t *testing.T) {
	t.Parallel()
	st := newSite(t)
	os := st.volume.Objects()[0]
	st.spoil(os, func(name string) bool { return name == "manifest" })
	st.spoil(st.volume.Names[1], func(name string) bool { return name == "manifest" })
	o := Options{Rebuild: true, FS: st.fs, Volume: st.volume, Own: st.own, Objects: objectOptions}
	if _, err := Run(t.Context(), o, func(Problem) {}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), st.volume.Names[1].String()) {
		t.Errorf("got %v", err)
	}
}

// with opens a name server and closes it again.
func (st *site) with(id cluster.ServiceID, fn func(*nameserver.Server) error) error {
	o, err := st.own(st.Context(), id)
	st.no(err)
	ns, err := nameserver.Open(st.Context(), nameserver.Options{FS: st.fs, Dir: discovery.ServiceDir(id), Owner: o, Objects: nobody{}})
	st.no(err)
	err = fn(ns)
	st.no(ns.Close(st.Context()))
	st.no(o.Release(st.Context()))
	return err
}

// spoil removes files of a service.
func (st *site) spoil(id cluster.ServiceID, which func(name string) bool) {
	st.Helper()
	dir := discovery.ServiceDir(id) + "/gen"
	gens, err := st.fs.List(dir)
	st.no(err)
	for _, g := range gens {
		files, err := st.fs.List(dir + "/" + g)
		if err != nil {
			continue
		}
		for _, f := range files {
			if which(f) {
				st.no(st.fs.Remove(dir + "/" + g + "/" + f))
			}
		}
	}
}

// header damages the header of the first block of an object.
func (st *site) header(id cluster.ServiceID, object cluster.ObjectID) {
	st.Helper()
	dir := discovery.ServiceDir(id) + "/gen"
	gens, err := st.fs.List(dir)
	st.no(err)
	for _, g := range gens {
		files, err := st.fs.List(dir + "/" + g)
		if err != nil {
			continue
		}
		for _, f := range files {
			if !strings.HasPrefix(f, "pool-") {
				continue
			}
			name := dir + "/" + g + "/" + f
			at := int64(0)
			sys, err := pools.Inspect(st.Context(), st.fs, name, false, func(in pools.Inspected) error {
				if in.Header.Object == object && in.Header.Part == 0 {
					at = int64(in.Block) + 1
				}
				return nil
			})
			st.no(err)
			if at == 0 {
				continue
			}
			h, err := st.fs.Open(name)
			st.no(err)
			_, err = h.WriteAt([]byte{0xff}, sys.Geometry.HeaderOffset(sys.File.Pool, uint32(at-1))+20)
			st.no(errors.Join(err, h.Close()))
			return
		}
	}
	st.Fatal("the object has no header")
}
