package objserver

import (
	"bytes"
	"errors"
	"testing"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

func TestCorruptBlock(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	s := open(t, testOptions(fs, &owner{generation: 1}))
	small, large := create(t, s, content(1, 3000)), create(t, s, content(2, 3<<20))
	other := create(t, s, content(3, 3<<20))
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	flip := func(id cluster.ObjectID, at int64) string {
		t.Helper()
		sn := s.store.Snapshot()
		defer sn.Close()
		o, ok, err := load(sn, id)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		list, err := o.all()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if at < e.Offset+e.Length {
				f, err := fs.Open(e.Addr.Name(testDir))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				off := tiny(0).BlockOffset(e.Addr.Pool, e.Addr.Block) + at - e.Offset
				var b [1]byte
				if _, err := f.ReadAt(b[:], off); err != nil {
					t.Fatal(err)
				}
				b[0] ^= 0x10
				if _, err := f.WriteAt(b[:], off); err != nil {
					t.Fatal(err)
				}
				return e.Addr.Name(testDir)
			}
		}
		t.Fatal("no such byte")
		return ""
	}
	for _, tc := range []struct {
		id   cluster.ObjectID
		n    int
		size int
		at   int64
	}{{small, 1, 3000, 2999}, {large, 2, 3 << 20, 2<<20 + 5}} {
		file := flip(tc.id, tc.at)
		var b bytes.Buffer
		err := s.ReadObject(t.Context(), tc.id, 0, int64(tc.size), &b)
		c, ok := errors.AsType[*fault.Corruption](err)
		if !ok || c.File != file || !errors.Is(err, fault.Corrupt) {
			t.Errorf("object of %d bytes: %v, want corruption of %s", tc.size, err, file)
		}
		if want := content(tc.n, tc.size); !bytes.Equal(b.Bytes(), want[:b.Len()]) || int64(b.Len()) > tc.at {
			t.Errorf("object of %d bytes: %d bytes were handed out, wrong ones among them", tc.size, b.Len())
		}
		if err := s.Scrub(t.Context()); !errors.Is(err, fault.Corrupt) {
			t.Errorf("scrub: %v", err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("check reads no payload: %v", err)
		}
	}
	wantBytes(t, s, other, content(3, 3<<20))
	// Ranges that do not touch the damaged chunk are served.
	var b bytes.Buffer
	if err := s.ReadObject(t.Context(), large, 0, 2<<20, &b); err != nil || !bytes.Equal(b.Bytes(), content(2, 3<<20)[:2<<20]) {
		t.Errorf("range before the damage: %v", err)
	}
	if got := s.Stats().Corrupt; got != 2 {
		t.Errorf("%d reads met damage, want 2", got)
	}
	// A damaged object can be deleted.
	if err := s.DeleteObjects(t.Context(), []cluster.ObjectID{small, large}); err != nil {
		t.Error(err)
	}
	check(t, s)
}

// TestDamagedRecord: an object whose record cannot be read stays, others of the same call are deleted.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	s := open(t, testOptions(newFS(t), &owner{generation: 1}))
	ids := []cluster.ObjectID{create(t, s, content(1, 3000)), create(t, s, content(2, 100_000)), create(t, s, content(3, 3000))}
	err := s.store.Update(t.Context(), func(tx *store.Tx) error {
		tx.Put(appendObjectKey(nil, ids[1]), []byte{1, 2, 3})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteObjects(t.Context(), ids); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("delete: %v", err)
	}
	for i, want := range []fault.Kind{fault.NotFound, fault.Corrupt, fault.NotFound} {
		if _, err := s.StatObject(t.Context(), ids[i]); fault.KindOf(err) != want {
			t.Errorf("object %d: %v, want %v", i, err, want)
		}
	}
	if err := s.Check(t.Context()); !errors.Is(err, fault.Corrupt) {
		t.Errorf("check: %v", err)
	}
}
