package fuse

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend/fusesim"
)

// TestCtl uses the commands as an administrator would: mounts, faults by ostor-fuse ctl, exit codes.
func TestCtl(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs FUSE and root")
	}
	s := bare(t)
	for _, d := range []string{"source", "host0", "host1"} {
		if err := os.Mkdir(s.path(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sim := s.start("ostor-fuse", "--source", s.path("source"), "--control", s.path("control"), "--no-punch-hole", s.path("host0"), s.path("host1"))
	t.Cleanup(func() { s.stop(sim) })
	if line := s.await(sim, 20*time.Second); line != "ready "+s.path("host0")+" "+s.path("host1") {
		t.Errorf("it says %q", line)
	}
	ctl := func(args ...string) string {
		t.Helper()
		return s.run("ostor-fuse", append([]string{"ctl", "--control", s.path("control")}, args...)...)
	}
	name := filepath.Join(s.path("host0"), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ctl("fail", "--host", "0", "--ops", "write", "--errno", "ENOSPC", "--count", "1")
	if _, err := f.WriteString("x"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v, want ENOSPC", err)
	}
	var st fusesim.Status
	if err := json.Unmarshal([]byte(ctl("status")), &st); err != nil || len(st.Hosts) != 2 || len(st.Rules) != 1 || st.Rules[0].Fired != 1 || st.UnsyncedOps != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	if out := ctl("power", "--host", "all"); !strings.Contains(out, `"names": 1`) {
		t.Errorf("power says %s", out)
	}
	ctl("boot", "--host", "all")
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file whose name was not synced: %v", err)
	}
	for want, args := range map[int][]string{
		1: {"ctl", "--control", s.path("control"), "freeze", "--host", "7"},
		2: {"ctl", "--control", s.path("control"), "dance", "--host", "0"},
	} {
		var exit *exec.ExitError
		if out, err := exec.Command(filepath.Join(s.bin, "ostor-fuse"), args...).CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%v: %v, want exit code %d; it says %s", args, err, want, out)
		}
	}
}
