package nameserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

const backupID = cluster.ServiceID(0x0800000000000000)

// contents returns everything in a server.
func contents(t testing.TB, s *Server) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.view(func(snap *store.Snapshot) error {
		it := snap.Iter([]byte{0}, nil)
		defer it.Close()
		for it.Next() {
			all[string(it.Key())] = string(it.Value())
		}
		return it.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameContents(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func backupOf(t testing.TB, s *Server) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Backup(ctxb, backupID, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restore restores into the site, whose server is closed.
func (st *site) restore(b []byte) (BackupReport, error) {
	st.generation++
	st.owner = &testOwner{generation: st.generation}
	o := st.opts
	o.FS, o.Dir, o.Owner, o.Objects = st.fs, testDir, st.owner, st.links
	return Restore(ctxb, o, backupID, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
}

// filled opens a server with names of many kinds.
func filled(t *testing.T, fs *memfs.FS) (*site, *Server) {
	st := newSite(fs)
	st.opts.GarbageDelay = 1 << 50 // nothing is collected meanwhile
	s := st.mustOpen(t, false)
	for i := range 1500 {
		put(t, st, s, 1, fmt.Sprintf("dir%d/key%d\x00", i%7, i%900), cluster.VersioningEnabled)
	}
	id := cluster.NewUploadID()
	part := st.links.Make(1)
	if err := errors.Join(s.CreateUpload(ctxb, 1, cluster.Upload{ID: id, Key: "k", Initiated: when}),
		s.Guard(ctxb, cluster.Guard{Bucket: 1, Key: "k", Content: part, Timeout: 24 * time.Hour}),
		s.ApplyRecords(ctxb, []cluster.RecordChange{{Name: "/u/1", Value: bytes.Repeat([]byte{7}, 50_000)}})); err != nil {
		t.Fatal(err)
	}
	return st, s
}

// TestBackup restores over later changes, and into an empty service.
func TestBackup(t *testing.T) {
	t.Parallel()
	st, s := filled(t, memfs.New())
	want := contents(t, s)
	b := backupOf(t, s)
	for i := range 50 {
		put(t, st, s, 1, fmt.Sprintf("later%d", i), cluster.VersioningEnabled)
		put(t, st, s, 1, fmt.Sprintf("dir0/key%d\x00", i*7), cluster.VersioningEnabled)
	}
	st.kill(s)
	if r, err := st.restore(b); err != nil || r.Entries != int64(len(want)) || r.Generation != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	s = st.mustOpen(t, false)
	if !sameContents(contents(t, s), want) {
		t.Error("what was restored is not what was backed up")
	}
	put(t, st, s, 1, "dir0/key7\x00", cluster.VersioningEnabled) // newer than all that was restored, or Check complains

	empty := newSite(memfs.New())
	empty.opts.GarbageDelay = 1 << 50
	if _, err := empty.restore(b); !errors.Is(err, fault.Stale) { // generation 1 is not later than the backup's
		t.Errorf("into the same generation: %v", err)
	}
	if _, err := empty.restore(b); err != nil {
		t.Fatal(err)
	}
	if e := empty.mustOpen(t, false); !sameContents(contents(t, e), want) {
		t.Error("what was restored into an empty service is not what was backed up")
	}
}

// TestBackupDamage cuts a backup off and flips bits: nothing is changed then.
func TestBackupDamage(t *testing.T) {
	t.Parallel()
	st, s := filled(t, memfs.New())
	want := contents(t, s)
	b := backupOf(t, s)
	st.kill(s)
	try := func(what string, b []byte) {
		t.Helper()
		if _, err := ReadBackup(bytes.NewReader(b), func(_, _ []byte) error { return nil }); !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := 0; i < len(b); i += 1 + len(b)/97 {
		try(fmt.Sprintf("cut at %d", i), b[:i])
		c := bytes.Clone(b)
		c[i] ^= 0x20
		try(fmt.Sprintf("flip at %d", i), c)
	}
	try("more", append(bytes.Clone(b), 0))
	if _, err := st.restore(b[:len(b)-1]); !errors.Is(err, fault.Corrupt) {
		t.Errorf("restore of a torn backup: %v", err)
	}
	if s = st.mustOpen(t, false); !sameContents(contents(t, s), want) {
		t.Error("a backup that was refused changed something")
	}
}

// TestRestoreCrash takes the power away at every sync of a restore: the server is as before, or refuses to start until it is restored again, or is restored.
func TestRestoreCrash(t *testing.T) {
	t.Parallel()
	rng := newRand(t)
	fs := memfs.New()
	st, s := filled(t, fs)
	want := contents(t, s)
	b := backupOf(t, s)
	for i := range 300 {
		put(t, st, s, 1, fmt.Sprintf("later%d", i), cluster.VersioningEnabled)
	}
	before := contents(t, s)
	st.kill(s)
	var mu sync.Mutex // the log syncs from goroutines of its own
	var crashes []*memfs.FS
	seed := rng.Uint64()
	hook := func(_, _ string) {
		mu.Lock()
		defer mu.Unlock()
		n := len(crashes)
		crashes = append(crashes, fs.CrashClone([]memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(seed + uint64(n))}[n%3]))
	}
	fs.OnSync(hook)
	fs.BeforeSync(hook)
	if _, err := st.restore(b); err != nil {
		t.Fatal(err)
	}
	fs.OnSync(nil)
	fs.BeforeSync(nil)
	mu.Lock()
	defer mu.Unlock()
	outcomes := map[string]int{}
	for i, c := range crashes {
		after := newSite(c)
		after.opts, after.generation = st.opts, st.generation
		s, err := after.open(context.Background(), false)
		if errors.Is(err, fault.Unavailable) {
			outcomes["refused"]++
			if _, err := after.restore(b); err != nil {
				t.Fatalf("crash %d: restore again: %v", i, err)
			}
			if s, err = after.open(context.Background(), false); err != nil {
				t.Fatalf("crash %d: %v", i, err)
			}
			if !sameContents(contents(t, s), want) {
				t.Fatalf("crash %d: restored twice, and wrong", i)
			}
		} else if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		} else if got := contents(t, s); sameContents(got, want) {
			outcomes["restored"]++
		} else if sameContents(got, before) {
			outcomes["as before"]++
		} else {
			t.Fatalf("crash %d: neither the old nor the new state", i)
		}
		_ = s.Close(context.Background())
	}
	t.Logf("%d crash points: %v", len(crashes), outcomes)
	if outcomes["refused"] == 0 || outcomes["as before"] == 0 {
		t.Error("the crashes missed the restore")
	}
}

func goldenBackup(t testing.TB) []byte {
	var b bytes.Buffer
	w, err := newBackupWriter(&b, BackupHeader{Service: backupID, Generation: 7, CreatedMs: millis(when)})
	if err == nil {
		err = errors.Join(w.add([]byte("a"), []byte("value")), w.add([]byte("b\x00"), nil), w.flush(0), w.add([]byte("c"), bytes.Repeat([]byte{1}, 300)), w.close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGoldenBackup(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "golden", "v1", "backup")
	if *rewriteFlag {
		if err := os.WriteFile(name, goldenBackup(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(goldenBackup(t), want) {
		t.Error("the encoding changed")
	}
	n := 0
	h, err := ReadBackup(bytes.NewReader(want), func(_, _ []byte) error { n++; return nil })
	if err != nil || n != 3 || h != (BackupHeader{backupID, 7, millis(when)}) || !h.Created().Equal(when) {
		t.Errorf("%+v, %d entries, %v", h, n, err)
	}
}

// FuzzReadBackup sees that no bytes make the reader panic or hand out keys out of order, and that what it takes for whole is.
func FuzzReadBackup(f *testing.F) {
	b := goldenBackup(f)
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add(b[:backupHeaderBytes])
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		var w *backupWriter
		h, err := ReadBackup(bytes.NewReader(b), func(k, v []byte) error {
			if w == nil {
				hh, err := decodeBackupHeader(b[:backupHeaderBytes])
				if err != nil {
					return err
				}
				if w, err = newBackupWriter(&out, hh); err != nil {
					return err
				}
			}
			return w.add(k, v)
		})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.NotSupported {
				t.Fatalf("got %v", err)
			}
			return
		}
		if w == nil {
			return
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		again, err := ReadBackup(&out, func(_, _ []byte) error { return nil })
		if err != nil || again != h {
			t.Fatalf("what was read does not read again: %v", err)
		}
	})
}
