package nameserver

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestDoubtsEnd sees that a verdict that somebody else's call replaced is not given out, and that doubts end by themselves.
func TestDoubtsEnd(t *testing.T) {
	t.Parallel()
	var x doubts
	l := cluster.Link{Server: cluster.NewServiceID(cluster.TypeObject, 1), Object: cluster.NewObjectID()}
	first := x.begin(l.Server, []cluster.ObjectID{l.Object})
	if !x.has(l) {
		t.Error("not in doubt while it is decided")
	}
	second := x.begin(l.Server, []cluster.ObjectID{l.Object})
	if first([]cluster.ObjectID{l.Object}) {
		t.Error("a verdict was given out that nobody keeps")
	}
	if !second([]cluster.ObjectID{l.Object}) || !x.has(l) {
		t.Error("an unknown object is not in doubt after the verdict")
	}
	x.batches[l.Server].until = time.Now().Add(-time.Second)
	if x.has(l) {
		t.Error("in doubt for ever")
	}
	x.begin(l.Server+1, nil)(nil)
	if x.busy.Load() != 0 || len(x.batches) != 0 {
		t.Errorf("%d batches are kept", len(x.batches))
	}
}

// TestUnknownLinksDamaged sees that an entry that cannot be read keeps everything from being called unknown.
func TestUnknownLinksDamaged(t *testing.T) {
	t.Parallel()
	st := newSite(memfs.New())
	s := st.mustOpen(t, false)
	e := put(t, st, s, 1, "k", cluster.Unversioned)
	stray := st.links.Make(1)
	key := nameKey(tagHead, 1, "broken", 0)
	set := func(v []byte) {
		t.Helper()
		if err := s.store.Update(ctxb, func(tx *store.Tx) error { tx.Put(key, v); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	set([]byte{formatHead, 1, 2, 3})
	ids := []cluster.ObjectID{stray.Object, e.Content.Object}
	if ids, err := s.UnknownLinks(ctxb, stray.Server, ids); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v, %v", ids, err)
	}
	if s.doubts.has(stray) {
		t.Error("in doubt without a verdict")
	}
	defer func() { // the check at the end is not about this
		if err := s.store.Update(ctxb, func(tx *store.Tx) error { tx.Delete(key); return nil }); err != nil {
			t.Error(err)
		}
	}()
	if found, err := s.FindLinks(ctxb, e.Content.Server, ids); err != nil || len(found) != 1 || found[0].Key != "k" {
		t.Errorf("beside the damage: %+v, %v", found, err)
	}
}

// BenchmarkUnknownLinks gives the time that one name costs in a search for orphans.
func BenchmarkUnknownLinks(b *testing.B) {
	const names = 20_000
	st := newSite(memfs.New())
	s := st.mustOpen(b, false)
	ids := make([]cluster.ObjectID, names)
	for i := range ids {
		ids[i] = put(b, st, s, 1, fmt.Sprintf("dir%d/key%d", i%100, i), cluster.Unversioned).Content.Object
	}
	if err := s.Flush(ctxb); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		unknown, err := s.UnknownLinks(ctxb, cluster.NewServiceID(cluster.TypeObject, 1), ids)
		if err != nil || len(unknown) > 0 {
			b.Fatal(len(unknown), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/names, "ns/name")
}
