package fuse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ostor/fsbackend/fusesim"
)

// commands builds what the tests start, once, unless OSTOR_BIN names a directory that has it.
var commands = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("OSTOR_BIN"); bin != "" {
		return bin, nil
	}
	args := []string{"build", "-ldflags=-s -w", "-o", binDir + "/"} // without symbols it links in half the time
	for _, name := range []string{"ostor", "ostor-fuse", "ostor-ns", "ostor-os", "ostor-s3gw", "ostor-s3-admin", "ostor-agentd", "ostor-ctl"} {
		args = append(args, "ostor/cmd/"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binDir, nil
})

var binDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ostor-fuse-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // most of the time they wait
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// site is a simulated cluster: a simulator, three hosts, a name server on host 0, an object server on host 1 and a gateway on host 2.
type site struct {
	t        *testing.T
	bin      string
	root     string // short: unix sockets lie below it
	ctl      *fusesim.Client
	name     string // id of the name server
	object   string // id of the object server
	access   string
	secret   string
	s3       *awss3.Client
	services map[string]*process // by id: who serves it, or did
}

// process is one of our commands.
type process struct {
	*exec.Cmd
	what  string
	ready chan string   // the line that says so
	ended chan struct{} // closed when it has ended
	log   bytes.Buffer  // readable once it has ended
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := newMounts(t)
	s.volume()
	return s
}

// shortTemp makes a directory for a test. t.TempDir's names are too long for the unix sockets below.
func shortTemp(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "of")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	return root
}

// bare returns a site on which nothing runs.
func bare(t *testing.T) *site {
	t.Helper()
	bin, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, bin: bin, root: shortTemp(t), services: map[string]*process{}}
}

// newMounts starts the simulator with three hosts.
func newMounts(t *testing.T, more ...string) *site {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs FUSE and root")
	}
	s := bare(t)
	args := append([]string{"--source", s.path("source"), "--control", s.path("control"), "--fast-sync"}, more...)
	for _, d := range []string{"source", "host0", "host1", "host2"} {
		if err := os.Mkdir(s.path(d), 0o700); err != nil {
			t.Fatal(err)
		}
		if d != "source" {
			args = append(args, s.path(d))
		}
	}
	sim := s.start("ostor-fuse", args...)
	t.Cleanup(func() { s.stop(sim) }) // last of all
	s.await(sim, time.Minute)
	var err error
	if s.ctl, err = fusesim.DialControl(s.path("control")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // nothing may hang
		s.do(fusesim.Request{Do: "boot", Host: fusesim.AllHosts})
		s.do(fusesim.Request{Do: "heal", Host: fusesim.AllHosts})
		_ = s.ctl.Close()
	})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.root, name) }

// on returns the arguments of a command that runs on a host.
func (s *site) on(host int, args ...string) []string {
	local := s.path(fmt.Sprint("local", host))
	return append([]string{filepath.Join(s.path(fmt.Sprint("host", host)), "ostor"), "--local-dir", local, "--run-dir", filepath.Join(local, "run"), "--profile", "fast"}, args...)
}

// volume makes the volume, its user and bucket, and starts everything.
func (s *site) volume() {
	s.t.Helper()
	var made struct {
		Volume                     string
		NameServers, ObjectServers []string
	}
	out := s.run("ostor", append([]string{"init"}, s.on(2, "--ns", "1", "--os", "1", "--json")...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		s.t.Fatalf("ostor init printed %q: %v", out, err)
	}
	s.name, s.object = made.NameServers[0], made.ObjectServers[0]
	s.await(s.serve(1, s.object), time.Minute)
	s.await(s.serve(0, s.name), time.Minute)
	s.user(made.Volume, 2)
	gw := s.start("ostor-s3gw", s.on(2, "--listen", "127.0.0.1:0")...)
	s.t.Cleanup(func() { s.stop(gw) })
	s.s3 = s.client(strings.TrimPrefix(s.await(gw, time.Minute), "ready "))
	if _, err := s.s3.CreateBucket(s.t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		s.t.Fatal(err)
	}
}

// user makes a user, whose keys the clients have, by a command on a host.
func (s *site) user(volume string, host int) {
	s.t.Helper()
	user := s.run("ostor-s3-admin", "create-user", "-e", "fuse@example.com", "-V", volume, "--mount", s.on(host)[0])
	access := regexp.MustCompile(`S3AccessKeyId:(\S+)`).FindStringSubmatch(user)
	secret := regexp.MustCompile(`S3SecretAccessKey:(\S+)`).FindStringSubmatch(user)
	if access == nil || secret == nil {
		s.t.Fatalf("create-user printed %q", user)
	}
	s.access, s.secret = access[1], secret[1]
}

// client returns an S3 client of a gateway.
func (s *site) client(endpoint string) *awss3.Client {
	return awss3.New(awss3.Options{BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(s.access, s.secret, ""), HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}})
}

var bucket = "hosts"

// serve starts a service on a host.
func (s *site) serve(host int, id string, more ...string) *process {
	s.t.Helper()
	name := "ostor-ns"
	if id == s.object {
		name = "ostor-os"
	}
	p := s.start(name, s.on(host, append([]string{"--service", id}, more...)...)...)
	s.services[id] = p
	s.t.Cleanup(func() { s.stop(p) })
	return p
}

func (s *site) start(name string, args ...string) *process {
	s.t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(s.bin, name), args...), what: name, ready: make(chan string, 1), ended: make(chan struct{})}
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			p.ready <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
		_ = p.Wait()
	}()
	return p
}

// await returns the line by which a process says that it is ready.
func (s *site) await(p *process, patience time.Duration) string {
	s.t.Helper()
	select {
	case line := <-p.ready:
		return line
	case <-p.ended:
		s.t.Fatalf("%s ended before it was ready: %s", p.what, p.log.String())
	case <-time.After(patience):
		s.t.Fatalf("%s was not ready in %v", p.what, patience)
	}
	return ""
}

// stop ends a process that may have ended already.
func (s *site) stop(p *process) {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		s.t.Errorf("%s does not stop", p.what)
		_ = p.Process.Kill()
		<-p.ended
	}
	if s.t.Failed() {
		s.t.Logf("%s: %v\n%s", p.what, p.ProcessState, p.log.String())
	}
}

func (s *site) run(name string, args ...string) string {
	s.t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, log.String())
	}
	return out.String()
}

func (s *site) do(q fusesim.Request) {
	s.t.Helper()
	if err := s.ctl.Do(q, nil); err != nil {
		s.t.Errorf("%s: %v", q.Do, err)
	}
}

// get returns the content of a key, nil for none.
func (s *site) get(ctx context.Context, key string) ([]byte, error) {
	out, err := s.s3.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Body.Close() }()
	return io.ReadAll(out.Body)
}

// status returns the HTTP status of an error of the client, 0 when there was no reply.
func status(err error) int {
	var re interface{ HTTPStatusCode() int }
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}
