package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ostor/internal/fault"
	"ostor/pools"
)

// fsckOf runs the command on a copy of the fixture, whose services were killed.
func fsckOf(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	local := t.TempDir()
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"fsck", dir, "--profile", "test", "--takeover", "--local-dir", filepath.Join(local, "local"), "--run-dir", filepath.Join(local, "run")}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
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
}
