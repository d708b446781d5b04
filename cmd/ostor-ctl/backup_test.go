package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
	"ostor/nameserver"
)

// ctl runs a command on a directory whose services were killed, on the host that ran them.
func ctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	local := t.TempDir()
	if err := os.CopyFS(filepath.Join(local, "local"), os.DirFS(fixtureLocal)); err != nil {
		t.Fatal(err)
	}
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--profile", "safe", "--local-dir", filepath.Join(local, "local"), "--run-dir", filepath.Join(local, "run")))
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

// TestBackupOfRunning backs a name server up that runs in this process, as ostor-ctl finds it by its directory, and once more when it has stopped.
func TestBackupOfRunning(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "ostor")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := daemon.Config{Local: filepath.Join(tmp, "local"), Run: filepath.Join(tmp, "run"), Profile: "safe", Names: 1, Objects: 1, Cache: 4, Memtable: 2, LogBytes: 16}
	e, _, err := daemon.OpenEnv(c, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v, err := daemon.InitVolume(e.FS, c)
	if err != nil {
		t.Fatal(err)
	}
	top, err := e.Topology(v)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	s, err := daemon.StartName(t.Context(), e, v.Names[0], top)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Name.ApplyRecords(t.Context(), []cluster.RecordChange{{Name: "/u/1", Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	backup := func(name string) (string, []byte) {
		t.Helper()
		file := filepath.Join(tmp, name)
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{"backup", dir, "--service", v.Names[0].String(), "--output", file, "--profile", "safe", "--local-dir", c.Local, "--run-dir", c.Run})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return out.String(), b
	}
	entries := func(b []byte) (keys []string) {
		t.Helper()
		if _, err := nameserver.ReadBackup(bytes.NewReader(b), func(k, v []byte) error { keys = append(keys, string(k)+"="+string(v)); return nil }); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	out, live := backup("live.bak")
	if !strings.Contains(out, "of the running name server") {
		t.Errorf("said: %s", out)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, stopped := backup("stopped.bak")
	if !strings.Contains(out, "of the stopped name server") {
		t.Errorf("said: %s", out)
	}
	if l, s := entries(live), entries(stopped); len(l) == 0 || !slices.Equal(l, s) {
		t.Errorf("running: %q, stopped: %q", l, s)
	}
}
