package fuse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ostor/internal/daemon"
)

// TestAgentd runs one agent on a plain directory: a second one is refused; services that are killed, or stopped so that they do not answer, come back; when the agent itself is killed its services stop
// cleanly, and the next agent has them at once.
func TestAgentd(t *testing.T) {
	t.Parallel()
	a := &agents{site: bare(t), procs: make([]*process, 1), ids: make([]string, 1), gateways: make([]string, 1)}
	if err := os.Mkdir(a.path("host0"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.run("ostor", append([]string{"init"}, a.on(0, "--ns", "1", "--os", "1")...)...)
	a.up(0, "--metrics", "unix:"+a.path("metrics"), "--profile", "default") // kills what does not answer for 10 s: a busy machine must not look so
	all := func(rows []statusRow) bool { return len(rows) == 3 }
	a.settle("begin", all)

	out, err := exec.Command(filepath.Join(a.bin, "ostor-agentd"), a.on(0)...).CombinedOutput()
	if code := exitCode(err); code != daemon.ExitFailed || !strings.Contains(string(out), "runs already") {
		t.Errorf("a second agent of the host: exit code %d, %s", code, out)
	}

	before := a.children(0)
	if len(before) != 3 {
		t.Fatalf("the agent has the children %v, want 3", before)
	}
	_ = syscall.Kill(before[0], syscall.SIGKILL)
	_ = syscall.Kill(before[1], syscall.SIGKILL)
	_ = syscall.Kill(before[2], syscall.SIGSTOP) // does not answer: killed after 4N
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		now := a.children(0)
		if len(now) == 3 && !slices.ContainsFunc(before, func(pid int) bool { return slices.Contains(now, pid) }) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the children were %v and are %v", before, now)
		}
	}
	a.settle("after all were lost", all)
	if n := strings.Count(a.run("ostor-ctl", "agent-status", a.on(0)[0], "--json"), `"restarts": 1`); n != 3 {
		t.Errorf("%d services were restarted once, want 3", n)
	}

	metrics := a.metrics()
	for _, want := range []string{"ostor_agent_services 3", "ostor_agent_restarts_total 3", `ostor_ns_guards{service="0800000000000000"}`, `ostor_os_objects{service="1000000000000000"}`,
		`ostor_s3gw_in_flight{service="80`, "\ngo_goroutines ", `go_goroutines{service="1000000000000000"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not tell of %s", want)
		}
	}

	children := a.children(0)
	_ = a.procs[0].Process.Kill()
	<-a.procs[0].ended
	for end := time.Now().Add(time.Minute); slices.ContainsFunc(children, alive); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("services outlive their agent")
		}
	}
	var rows []statusRow
	if err := json.Unmarshal([]byte(a.run("ostor-ctl", "agent-status", a.on(0)[0], "--json")), &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Type != "S3GW" && r.Status != "STOPPED" {
			t.Errorf("after the agent's death %s is %s, want released", r.ID, r.Status)
		}
	}
	a.up(0, "--profile", "default")
	a.settle("under the next agent", all)
	a.stop(a.procs[0])
	if code := a.procs[0].ProcessState.ExitCode(); code != daemon.ExitOK {
		t.Errorf("after SIGTERM the exit code is %d", code)
	}
}

// metrics returns what the agent's address tells.
func (a *agents) metrics() string {
	a.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", a.path("metrics"))
	}}}
	resp, err := c.Get("http://agent/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		a.t.Fatalf("status %d, %v: %s", resp.StatusCode, err, b)
	}
	return string(b)
}

// alive reports whether there is a process that has not ended.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// exitCode returns how a command ended; -1 when it did not run.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
