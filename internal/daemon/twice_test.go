package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestTwoInstancesOnOneDirectory starts the services of a directory a second time while they run: on the same host, and as another host, which has local files of its own. The second one is refused, and
// says by whom; the first one goes on as if nothing had happened, and after it has ended the second one finds everything.
func TestTwoInstancesOnOneDirectory(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "s3")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	env := func(local string) *Env {
		t.Helper()
		c := Config{Local: filepath.Join(tmp, local), Run: filepath.Join(tmp, local+".run"), Profile: "default", Names: 1, Objects: 1, Cache: 4, Memtable: 2, LogBytes: 16}
		e, _, err := OpenEnv(c, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := env("one")
	v, err := InitVolume(first.FS, first.Config)
	if err != nil {
		t.Fatal(err)
	}
	start := func(e *Env) (running []*Service, err error) {
		top, err := e.Topology(v)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = top.Close() })
		n, err := StartName(t.Context(), e, v.Names[0], top)
		if err != nil {
			return nil, err
		}
		o, err := StartObject(t.Context(), e, v.Objects()[0])
		if err != nil {
			return nil, errors.Join(err, n.Stop(context.Background()))
		}
		return []*Service{n, o}, nil
	}
	running, err := start(first)
	if err != nil {
		t.Fatal(err)
	}
	record := func(n int) cluster.RecordChange {
		return cluster.RecordChange{Name: fmt.Sprintf("/u/%d", n), Value: []byte("x")}
	}
	for n, e := range []*Env{env("one"), env("two"), env("one")} {
		if second, err := start(e); err == nil {
			_ = StopAll(context.Background(), second)
			t.Fatalf("instance %d starts beside the first", n+2)
		} else if k := fault.KindOf(err); k != fault.Exists && k != fault.Unavailable && k != fault.Precondition {
			t.Errorf("instance %d: %v", n+2, err)
		} else {
			t.Logf("instance %d: %v", n+2, err)
		}
		for _, s := range running {
			if err := s.lease.Check(); err != nil {
				t.Fatalf("the first instance after instance %d tried: %v", n+2, err)
			}
		}
		if err := running[0].Name.ApplyRecords(t.Context(), []cluster.RecordChange{record(n)}); err != nil {
			t.Fatalf("the first instance after instance %d tried: %v", n+2, err)
		}
	}
	if err := StopAll(context.Background(), running); err != nil {
		t.Fatal(err)
	}
	running, err = start(env("two"))
	if err != nil {
		t.Fatalf("after the first instance has ended: %v", err)
	}
	if list, _, err := running[0].Name.ListRecords(t.Context(), "/u/", "", 10); err != nil || len(list) != 3 {
		t.Errorf("%d records, %v", len(list), err)
	}
	if err := StopAll(context.Background(), running); err != nil {
		t.Fatal(err)
	}
}
