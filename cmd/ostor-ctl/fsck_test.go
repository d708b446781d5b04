package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/pools"
)

// fsckOf runs the command on a copy of the fixture, whose services were killed.
func fsckOf(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return ctl(t, append([]string{"fsck", dir}, args...)...)
}

func copyOfFixture(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ostor")
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFsck(t *testing.T) {
	t.Parallel()
	dir := copyOfFixture(t)
	out, err := fsckOf(t, dir, "--payloads")
	if err != nil || !strings.Contains(out, ": 0 problems, 0 repaired") || !strings.Contains(out, "2 services") {
		t.Fatalf("%v\n%s", err, out)
	}
	// A byte in the middle of a payload.
	files, err := filepath.Glob(filepath.Join(dir, "services", osID, "gen", "*", "pool-05.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pool file of the large object: %v", err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := pools.DefaultGeometry(5).BlockOffset(5, 0) + 4096
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err = fsckOf(t, dir, "--payloads")
	if !errors.Is(err, fault.Corrupt) || !strings.Contains(out, "pool-05.000001+") {
		t.Fatalf("damage in %s: %v\n%s", files[0], err, out)
	}
}

func TestFsckUsage(t *testing.T) {
	t.Parallel()
	if out, err := fsckOf(t, t.TempDir()); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := fsckOf(t, copyOfFixture(t), "--orphan-age", "-1s"); !errors.Is(err, fault.Invalid) {
		t.Errorf("%v\n%s", err, out)
	}
	// A check that did not come to its end has no result.
	dir := copyOfFixture(t)
	if err := os.RemoveAll(filepath.Join(dir, "services", osID)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--json"}} {
		if out, err := fsckOf(t, dir, args...); !errors.Is(err, fault.NotFound) || strings.Contains(out, "0 problems") || strings.Contains(out, "summary") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestFsckRebuild runs the command on an empty volume of its own; package fsck tests what it does to a full one.
func TestFsckRebuild(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "ostor")
	for _, d := range []string{"control", "volumes", "services"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := discovery.CreateVolume(fs, discovery.VolumeSpec{Names: 1, Objects: 1})
	if err != nil {
		t.Fatal(err)
	}
	fsck := func(args ...string) (string, error) {
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"fsck", dir, "--profile", "safe", "--local-dir", filepath.Join(tmp, "local"), "--run-dir", filepath.Join(tmp, "run")}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := fsck(); err != nil { // makes the first files
		t.Fatalf("%v\n%s", err, out)
	}
	id := v.Objects()[0].String()
	files, err := filepath.Glob(filepath.Join(dir, "services", id, "gen", "*", "manifest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifest: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args []string
		kind error
		want []string
	}{
		{nil, fault.Corrupt, []string{"cannot be opened"}},
		{[]string{"--object-server", id}, fault.Invalid, nil},
		{[]string{"--skip-unreadable"}, fault.Invalid, nil},
		{[]string{"--rebuild", "--object-server", v.Names[0].String()}, fault.Invalid, nil},
		{[]string{"--rebuild", "--json"}, nil, []string{`"kind":"rebuilt"`, `"lost":0`, `"kind":"summary"`, `"problems":0`}},
		{[]string{"--payloads"}, nil, []string{": 0 problems"}},
		{[]string{"--rebuild", "--object-server", id}, nil, []string{"rebuilt\t" + id}},
	} {
		out, err := fsck(tc.args...)
		if !errors.Is(err, tc.kind) || (err == nil) != (tc.kind == nil) {
			t.Errorf("fsck %v: %v\n%s", tc.args, err, out)
		}
		for _, w := range tc.want {
			if !strings.Contains(out, w) {
				t.Errorf("fsck %v does not say %q:\n%s", tc.args, w, out)
			}
		}
	}
}
