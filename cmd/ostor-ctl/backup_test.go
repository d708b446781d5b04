package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ostor/internal/fault"
)

// ctl runs a command on a directory whose services were killed on another host.
func ctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	local := t.TempDir()
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--profile", "test", "--takeover", "--local-dir", filepath.Join(local, "local"), "--run-dir", filepath.Join(local, "run")))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestBackupRestore backs a name server up, loses its whole directory, and restores it into an empty one: fsck finds every name with its bytes.
func TestBackupRestore(t *testing.T) {
	t.Parallel()
	dir := copyOfFixture(t)
	file := filepath.Join(t.TempDir(), "ns.bak")
	must := func(want string, args ...string) {
		t.Helper()
		if out, err := ctl(t, args...); err != nil || !strings.Contains(out, want) {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	must("entries", "backup", dir, "--service", nsID, "--output", file)
	if out, err := ctl(t, "backup", dir, "--service", nsID, "--output", file); !errors.Is(err, fault.Exists) {
		t.Errorf("a second backup to the same file: %v\n%s", err, out)
	}
	lost := filepath.Join(dir, "services", nsID, "gen")
	if err := errors.Join(os.RemoveAll(lost), os.Mkdir(lost, 0o700)); err != nil {
		t.Fatal(err)
	}
	out, err := ctl(t, "fsck", dir)
	if err != nil || !strings.Contains(out, " 0 names with bytes") { // it is empty, and believed
		t.Fatalf("fsck of the empty name server: %v\n%s", err, out)
	}
	must("is as of", "restore", dir, "--service", nsID, "--input", file)
	must("80 names with bytes, 80 objects, 0 without a name were freed: 0 problems", "fsck", dir, "--payloads")

	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "torn.bak")
	if err := os.WriteFile(torn, b[:len(b)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := ctl(t, "restore", dir, "--service", nsID, "--input", torn); !errors.Is(err, fault.Corrupt) {
		t.Errorf("a torn backup: %v\n%s", err, out)
	}
	must("80 names with bytes", "fsck", dir)
	if out, err := ctl(t, "backup", dir, "--service", osID, "--output", torn+"2"); !errors.Is(err, fault.Invalid) {
		t.Errorf("of an object server: %v\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Dir(file) + "/*.part-*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
