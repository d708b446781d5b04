// Package kill ends whole servers with SIGKILL under load, again and again, and checks that everything they acknowledged is there and whole, that every
// acknowledged delete stays deleted, that a restart serves within two seconds, and that the files pass every check.
package kill

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
)

var seed = flag.Uint64("seed", 0, "replay the run of this seed (0 = a fresh one)")

// TestMain is also the server: the tests start their own binary with OSTOR_KILL_DIR set, so that there is a process to kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("OSTOR_KILL_DIR"); dir != "" {
		serve(dir)
	}
	flag.Parse()
	os.Exit(m.Run())
}

func config(dir string) daemon.Config {
	return daemon.Config{Local: dir + ".local", Run: dir + ".run", Profile: "safe", Listen: "127.0.0.1:0", Region: "us-east-1", Names: 2, Objects: 2, RPC: "unix",
		Garbage: 50 * time.Millisecond, Cache: 4, Memtable: 2, LogBytes: 16, Log: "warn"}
}

func serve(dir string) {
	c := config(dir)
	log, err := c.Logger(os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cl, err := daemon.Serve(context.Background(), c, dir, log, daemon.ExitOnLoss)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode([]string{cl.Endpoint, cl.AccessKey, cl.SecretKey}); err != nil {
		os.Exit(1)
	}
	select {}
}

// server is the child process.
type server struct {
	cmd *exec.Cmd
	s3  *awss3.Client
	out io.Closer
}

func start(t *testing.T, dir string) (*server, time.Duration) {
	t.Helper()
	begin := time.Now()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "OSTOR_KILL_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var hello []string
	if err := json.NewDecoder(out).Decode(&hello); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the server did not start: %v\n%s", err, stderr.String())
	}
	s3 := awss3.New(awss3.Options{BaseEndpoint: &hello[0], Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(hello[1], hello[2], ""), HTTPClient: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}})
	return &server{cmd, s3, out}, time.Since(begin)
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.out.Close()
}

// worker owns some keys: it alone writes them, so it knows what each must hold.
type worker struct {
	id    int
	rng   *rand.Rand
	state map[string]*value
	acked int
}

// value is what a key may hold: the acknowledged state, or, when the last request on it got no answer, that request's outcome.
type value struct {
	acked   []byte // nil = absent
	pending *[]byte
}

func (w *worker) body() []byte {
	var n int
	switch w.rng.IntN(20) {
	case 0:
		n = 0
	case 1:
		n = 1<<20 + w.rng.IntN(3<<20)
	case 2, 3, 4:
		n = 64<<10 + w.rng.IntN(200<<10)
	default:
		n = 1 + w.rng.IntN(20<<10)
	}
	b := make([]byte, n)
	var s [32]byte
	for i := range s {
		s[i] = byte(w.rng.Uint32())
	}
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

// step does one request and notes its outcome. An error leaves the outcome open; the worker stops then, because the server is dead or dying.
func (w *worker) step(ctx context.Context, c *awss3.Client) error {
	key := fmt.Sprintf("w%d/k%d", w.id, w.rng.IntN(12))
	v := w.state[key]
	if v == nil {
		v = &value{}
		w.state[key] = v
	}
	var next []byte
	var err error
	switch op := w.rng.IntN(10); {
	case op < 6:
		next = w.body()
		v.pending = &next
		_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(next)})
	case op < 8:
		v.pending = &next
		_, err = c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	case op < 9:
		next, err = w.multipart(ctx, c, key, v)
	default:
		return w.read(ctx, c, key)
	}
	if err != nil {
		return err
	}
	v.acked, v.pending = next, nil
	w.acked++
	return nil
}

func (w *worker) multipart(ctx context.Context, c *awss3.Client, key string, v *value) ([]byte, error) {
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	whole := append(bytes.Repeat([]byte{byte(w.rng.Uint32())}, 5<<20), w.body()...)
	var parts []types.CompletedPart
	for i, p := range [][]byte{whole[:5<<20], whole[5<<20:]} {
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(p)})
		if err != nil {
			return nil, err
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	v.pending = &whole
	_, err = c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return whole, err
}

// read compares a key with what it must hold.
func (w *worker) read(ctx context.Context, c *awss3.Client, key string) error {
	v := w.state[key]
	got, err := get(ctx, c, key)
	if err != nil {
		return err
	}
	if equal(got, v.acked) {
		v.pending = nil
		return nil
	}
	if v.pending != nil && equal(got, *v.pending) {
		v.acked, v.pending = *v.pending, nil
		return nil
	}
	return &lost{fmt.Sprintf("%s holds %s, want %s (pending: %v)", key, describe(got), describe(v.acked), v.pending != nil)}
}

type lost struct{ what string }

func (l *lost) Error() string { return l.what }

// equal tells an absent object (nil) from an empty one.
func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func describe(b []byte) string {
	if b == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d bytes with MD5 %x", len(b), md5.Sum(b))
}

func get(ctx context.Context, c *awss3.Client, key string) ([]byte, error) {
	out, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

var bucket = "kill"

func TestKillUnderLoad(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d replays the choices of the workload (not the moments of the kills)", *seed)
	rounds := 6
	if os.Getenv("OSTOR_CRASH") == "long" {
		rounds = 60
	}
	if testing.Short() {
		rounds = 2
	}
	dir := filepath.Join(t.TempDir(), "s3")
	rng := rand.New(rand.NewPCG(*seed, 1))
	var workers []*worker
	for i := range 12 {
		workers = append(workers, &worker{id: i, rng: rand.New(rand.NewPCG(*seed, uint64(i)+2)), state: map[string]*value{}})
	}
	srv, _ := start(t, dir)
	defer func() { srv.kill() }()
	if _, err := srv.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	quickest := time.Hour
	for round := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wg sync.WaitGroup
		for _, w := range workers {
			wg.Go(func() {
				for {
					if err := w.step(ctx, srv.s3); err != nil {
						var l *lost
						if errors.As(err, &l) {
							t.Errorf("round %d, while serving: %v", round, l)
						}
						return
					}
				}
			})
		}
		timer := time.AfterFunc(time.Duration(100+rng.IntN(900))*time.Millisecond, func() { _ = srv.cmd.Process.Kill() })
		wg.Wait()
		cancel()
		timer.Stop()
		srv.kill()
		var took time.Duration
		srv, took = start(t, dir)
		slowest, quickest = max(slowest, took), min(quickest, took)
		verify(t, round, srv, workers)
		if t.Failed() {
			return
		}
	}
	acked := 0
	for _, w := range workers {
		acked += w.acked
	}
	for range 20 { // a busy machine is measured again, without load from here
		if quickest <= 2*time.Second {
			break
		}
		srv.kill()
		var took time.Duration
		srv, took = start(t, dir)
		slowest, quickest = max(slowest, took), min(quickest, took)
	}
	t.Logf("%d kills, %d acknowledged writes, restarts took %v to %v", rounds, acked, quickest, slowest)
	if quickest > 2*time.Second && !testing.Short() {
		t.Errorf("the quickest restart took %v, want at most 2 s", quickest)
	}
	if slowest > lease.Safe.Validity() { // to wait for a lease takes longer
		t.Errorf("a restart took %v: it waited for the lease of a process that was dead", slowest)
	}
	if acked == 0 {
		t.Error("nothing was acknowledged: the test tried nothing")
	}
	srv.kill()
	checkFiles(t, dir)
}

// verify reads every key and lists the bucket: both must show exactly what was acknowledged.
func verify(t *testing.T, round int, srv *server, workers []*worker) {
	t.Helper()
	want := map[string]bool{}
	for _, w := range workers {
		for key, v := range w.state {
			if err := w.read(t.Context(), srv.s3, key); err != nil {
				t.Errorf("round %d, after the restart: %v", round, err)
			}
			if v.acked != nil {
				want[key] = true
			}
		}
	}
	for p := awss3.NewListObjectsV2Paginator(srv.s3, &awss3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(7)}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if !want[*o.Key] {
				t.Errorf("round %d: the listing shows %s, which is not there", round, *o.Key)
			}
			delete(want, *o.Key)
		}
	}
	for key := range want {
		t.Errorf("round %d: the listing lacks %s", round, key)
	}
}

// checkFiles opens everything once more in this process and verifies every invariant.
func checkFiles(t *testing.T, dir string) {
	t.Helper()
	cl, err := daemon.Serve(t.Context(), config(dir), dir, slog.New(slog.DiscardHandler), func(id cluster.ServiceID, err error) {
		t.Errorf("service %s lost: %v", id, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := cl.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestSecondServer: a directory that is served is refused to a second process, which says who holds it and exits 1.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "s3")
	srv, _ := start(t, dir)
	defer srv.kill()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "OSTOR_KILL_DIR="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("the second server ended with %v, want exit code 1; it said %s", err, out)
	}
	if want := fmt.Sprintf("pid %d", srv.cmd.Process.Pid); !bytes.Contains(out, []byte(want)) {
		t.Errorf("the second server said %q: it does not name the holder, %s", out, want)
	}
	if _, err := srv.s3.ListBuckets(t.Context(), &awss3.ListBucketsInput{}); err != nil {
		t.Errorf("the first server no longer answers: %v", err)
	}
}
