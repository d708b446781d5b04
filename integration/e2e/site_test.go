// Package e2e drives real S3 clients against real processes: `ostor serve` on a directory, and name servers, object servers and gateways as separate
// processes on a FUSE mount. `make e2e` runs it; contrib/install-e2e-deps.sh installs the clients.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// site is a running ostor.
type site struct {
	name                     string
	endpoint, access, secret string
	dir                      string // the ostor directory, seen through the mount where there is one
	procs                    *procs
}

// procs are the processes of one site; they end with its test, the last started first.
type procs struct {
	t   *testing.T
	bin string
	log string
	mu  sync.Mutex
	all []*exec.Cmd
}

func newProcs(t *testing.T) *procs {
	t.Helper()
	if os.Getenv("OSTOR_E2E") == "" {
		t.Skip("needs Debian's S3 clients and built commands: run `make e2e`")
	}
	bin := os.Getenv("OSTOR_BIN")
	if _, err := os.Stat(filepath.Join(bin, "ostor")); err != nil {
		t.Fatalf("no commands in OSTOR_BIN=%q: run `make e2e`", bin)
	}
	p := &procs{t: t, bin: bin, log: t.TempDir()}
	t.Cleanup(p.stop)
	return p
}

// start runs a command of ours; its standard error goes to a log that is shown when the test fails. ready, when not nil, is matched against lines of
// standard output: start waits for it and returns its submatches.
func (p *procs) start(ready *regexp.Regexp, name string, args ...string) []string {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.mu.Lock()
	logName := filepath.Join(p.log, fmt.Sprintf("%02d-%s.log", len(p.all), name))
	p.mu.Unlock()
	lf, err := os.Create(logName)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = lf.Close()
		if b, err := os.ReadFile(logName); err == nil && p.t.Failed() && len(b) > 0 {
			p.t.Logf("%s:\n%s", filepath.Base(logName), b[max(0, len(b)-4000):])
		}
	})
	cmd.Stderr = lf
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.all = append(p.all, cmd)
	p.mu.Unlock()
	found := make(chan []string, 1)
	go func() {
		defer close(found)
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if m := match(ready, sc.Text()); m != nil {
				found <- m
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	if ready == nil {
		return nil
	}
	select {
	case m, ok := <-found:
		if !ok {
			p.t.Fatalf("%s %s ended before it was ready", name, strings.Join(args, " "))
		}
		return m
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("%s %s was not ready in 2 minutes", name, strings.Join(args, " "))
		return nil
	}
}

func match(re *regexp.Regexp, line string) []string {
	if re == nil {
		return nil
	}
	return re.FindStringSubmatch(line)
}

func (p *procs) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.all) - 1; i >= 0; i-- {
		c := p.all[i]
		_ = c.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(time.Minute, func() {
			p.t.Errorf("%s did not stop in a minute", c.Path)
			_ = c.Process.Kill()
		})
		_ = c.Wait()
		timer.Stop()
	}
	p.all = nil
}

// run runs a command of ours to its end and returns its standard output.
func (p *procs) run(name string, args ...string) string {
	p.t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return out.String()
}

var anyLine = regexp.MustCompile(`(.+)`)

// serveSite is the whole cluster in one process on a local directory.
func serveSite(t *testing.T) *site {
	return serveAt(t, newProcs(t), t.TempDir(), t.TempDir())
}

func serveAt(t *testing.T, p *procs, dir, local string, more ...string) *site {
	t.Helper()
	line := p.start(anyLine, "ostor", append([]string{"serve", dir, "--json", "--listen", "127.0.0.1:0", "--local-dir", local, "--run-dir", filepath.Join(local, "run")}, more...)...)
	var hello struct{ Endpoint, AccessKey, SecretKey string }
	if err := json.Unmarshal([]byte(line[1]), &hello); err != nil {
		t.Fatalf("ostor serve printed %q: %v", line[1], err)
	}
	return &site{name: "serve", endpoint: hello.Endpoint, access: hello.AccessKey, secret: hello.SecretKey, dir: dir, procs: p}
}

// fuseSite is two name servers, three object servers and a gateway, each a process, on a FUSE mount.
func fuseSite(t *testing.T) *site {
	p := newProcs(t)
	source, mount, local := t.TempDir(), t.TempDir(), t.TempDir()
	p.start(regexp.MustCompile(`ready`), "ostor-fuse", "--source", source, mount)
	dir := filepath.Join(mount, "ostor")
	common := []string{"--local-dir", local, "--run-dir", filepath.Join(local, "run"), "--profile", "fast"}
	var made struct {
		Volume        string
		NameServers   []string
		ObjectServers []string
	}
	out := p.run("ostor", append([]string{"init", dir, "--ns", "2", "--os", "3", "--json"}, common...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("ostor init printed %q: %v", out, err)
	}
	ready := regexp.MustCompile(`ready`)
	for _, id := range made.ObjectServers {
		p.start(ready, "ostor-os", append([]string{dir, "--service", id}, common...)...)
	}
	for _, id := range made.NameServers {
		p.start(ready, "ostor-ns", append([]string{dir, "--service", id}, common...)...)
	}
	user := p.run("ostor-s3-admin", "create-user", "-e", "e2e@example.com", "-V", made.Volume, "--mount", dir)
	access := regexp.MustCompile(`S3AccessKeyId:(\S+)`).FindStringSubmatch(user)
	secret := regexp.MustCompile(`S3SecretAccessKey:(\S+)`).FindStringSubmatch(user)
	if access == nil || secret == nil {
		t.Fatalf("create-user printed %q", user)
	}
	gw := p.start(regexp.MustCompile(`ready (http://\S+)`), "ostor-s3gw", append([]string{dir, "--listen", "127.0.0.1:0"}, common...)...)
	return &site{name: "fuse", endpoint: gw[1], access: access[1], secret: secret[1], dir: dir, procs: p}
}

// tool runs a client and returns its standard output; it fails the test when the client does.
func (s *site) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := s.try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join("/usr/bin", name), args...) // Debian's
	// A clean environment: what the machine sets for its own clients (proxies, CA bundles, profiles) must not reach these.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "AWS_ACCESS_KEY_ID=" + s.access, "AWS_SECRET_ACCESS_KEY=" + s.secret,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER="}
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String() + errOut.String(), err
	}
	return out.String(), nil
}

func (s *site) host(t *testing.T) string {
	t.Helper()
	h, ok := strings.CutPrefix(s.endpoint, "http://")
	if !ok {
		t.Fatalf("endpoint %q", s.endpoint)
	}
	return h
}

func httpStatus(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
