package fuse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ostor/fsbackend/fusesim"
)

// patience is the longest that a client may wait for an answer about a service that has just frozen: a timeout of 5 s, and what a loaded machine adds. Without the timeout it was two minutes.
const patience = 30 * time.Second

// atOnce is less than the timeout: who is told within it was not made to wait for a frozen service.
const atOnce = 4 * time.Second

// newProcesses starts a name server, two object servers and a gateway by hand on a plain directory: no mount, no agents, so nothing helps a frozen process.
func newProcesses(t *testing.T) (s *site, objects []*process) {
	t.Helper()
	s = bare(t)
	if err := os.Mkdir(s.path("host0"), 0o700); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Volume                     string
		NameServers, ObjectServers []string
	}
	safe := func(args ...string) []string { return append(s.on(0, args...), "--profile", "safe") } // leases outlast the test's pauses
	if err := json.Unmarshal([]byte(s.run("ostor", append([]string{"init"}, safe("--ns", "1", "--os", "2", "--json")...)...)), &made); err != nil {
		t.Fatal(err)
	}
	s.name = made.NameServers[0]
	begin := func(name string, args ...string) *process {
		p := s.start(name, safe(args...)...)
		t.Cleanup(func() {
			_ = p.Process.Signal(syscall.SIGCONT)
			s.stop(p)
		})
		return p
	}
	for _, id := range made.ObjectServers {
		objects = append(objects, begin("ostor-os", "--service", id))
	}
	s.services[s.name] = begin("ostor-ns", "--service", s.name)
	for _, p := range append(objects, s.services[s.name]) {
		s.await(p, time.Minute)
	}
	s.user(made.Volume, 0)
	gw := begin("ostor-s3gw", "--listen", "127.0.0.1:0")
	s.s3 = s.client(strings.TrimPrefix(s.await(gw, time.Minute), "ready "))
	if _, err := s.s3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return s, objects
}

// timed sends a request and returns how long the answer took. An answer that is an error must be a 503 that says when to come again, and come within the patience.
func (s *site) timed(what string, request func(ctx context.Context) error) (took time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	begin := time.Now()
	err := request(ctx)
	took = time.Since(begin)
	if took > patience {
		s.t.Errorf("%s took %v", what, took)
	}
	var re *smithyhttp.ResponseError
	if err != nil && (!errors.As(err, &re) || re.HTTPStatusCode() != http.StatusServiceUnavailable || re.Response.Header.Get("Retry-After") == "") {
		s.t.Errorf("%s: %v, want 503 with Retry-After", what, err)
	}
	return took, err == nil
}

func (s *site) timedPut(key string, size int) (time.Duration, bool) {
	return s.timed("PUT "+key, func(ctx context.Context) error {
		_, err := s.s3.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(make([]byte, size))})
		return err
	})
}

func (s *site) timedGet(key string) (time.Duration, bool) {
	return s.timed("GET "+key, func(ctx context.Context) error {
		out, err := s.s3.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err == nil {
			err = out.Body.Close()
		}
		return err
	})
}

// TestFrozenObjectServer stops one of two object servers (SIGSTOP). A gateway used to be silent for two minutes then. Now reads from it are refused, first after a timeout and then at once, and
// writes go on at the other one.
func TestFrozenObjectServer(t *testing.T) {
	t.Parallel()
	s, objects := newProcesses(t)
	const keys = 16
	for i := range keys {
		if _, ok := s.timedPut(fmt.Sprint("before/", i), 100+i*20_000); !ok {
			t.Fatal("all is well, and a write failed")
		}
	}
	freeze(t, objects[0])
	// All at once, so that all are on their way before anybody knows.
	var mu sync.Mutex
	var wg sync.WaitGroup
	var lost []string
	for i := range keys {
		wg.Go(func() {
			if _, ok := s.timedGet(fmt.Sprint("before/", i)); !ok {
				mu.Lock()
				defer mu.Unlock()
				lost = append(lost, fmt.Sprint("before/", i))
			}
		})
	}
	wg.Wait()
	if len(lost) == 0 || len(lost) == keys {
		t.Fatalf("%d of %d reads failed: want those of one of two servers", len(lost), keys)
	}
	written, quick, slow := 0, 0, time.Duration(0)
	for i := range 40 {
		took, ok := s.timedPut(fmt.Sprint("during/", i), 100+i%4*100_000) // some ride in the log, some stream
		slow = max(slow, took)
		if ok {
			written++
		}
	}
	for _, key := range append(lost, lost...) {
		if took, ok := s.timedGet(key); ok {
			t.Errorf("%s was read from a frozen server", key)
		} else if took < atOnce {
			quick++
		}
	}
	t.Logf("%d of %d keys on the frozen server; %d of 40 writes succeeded, the slowest in %v; %d of %d later reads were refused at once", len(lost), keys, written, slow, quick, 2*len(lost))
	if written < 38 || quick < len(lost) {
		t.Errorf("want writes to go on, and most reads to be refused at once")
	}
	_ = objects[0].Process.Signal(syscall.SIGCONT)
	s.again(lost)
}

// freeze stops a process and returns once all its threads stand still: kill(2) does not wait for those that run, and one of them can still answer a request.
func freeze(t *testing.T, p *process) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Process.Pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("no threads of process %d: %v", p.Process.Pid, err)
		}
		stopped := 0
		for _, name := range threads {
			b, _ := os.ReadFile(name) // one that has ended is gone
			if i := bytes.LastIndexByte(b, ')'); len(b) == 0 || i > 0 && bytes.HasPrefix(b[i:], []byte(") T")) {
				stopped++
			}
		}
		if stopped == len(threads) {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d of %d threads stopped", stopped, len(threads))
		}
	}
}

// again waits until all keys can be read.
func (s *site) again(keys []string) {
	s.t.Helper()
	begin := time.Now()
	for _, key := range keys {
		for {
			if _, ok := s.timedGet(key); ok {
				break
			}
			if time.Since(begin) > time.Minute {
				s.t.Fatalf("%s cannot be read a minute after the server woke up", key)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	s.t.Logf("all read again after %v", time.Since(begin))
}

// TestFrozenNameServer stops the name server: every request is refused, first after a timeout and then at once.
func TestFrozenNameServer(t *testing.T) {
	t.Parallel()
	s, _ := newProcesses(t)
	if _, ok := s.timedPut("k", 100); !ok {
		t.Fatal("all is well, and a write failed")
	}
	freeze(t, s.services[s.name])
	var wg sync.WaitGroup
	requests := []func() (time.Duration, bool){
		func() (time.Duration, bool) { return s.timedPut("k", 100) },
		func() (time.Duration, bool) { return s.timedPut("k", 300_000) },
		func() (time.Duration, bool) { return s.timedGet("k") },
		func() (time.Duration, bool) {
			return s.timed("LIST", func(ctx context.Context) error {
				_, err := s.s3.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &bucket})
				return err
			})
		},
		func() (time.Duration, bool) {
			return s.timed("DELETE", func(ctx context.Context) error {
				key := "k"
				_, err := s.s3.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key})
				return err
			})
		},
		func() (time.Duration, bool) {
			return s.timed("create an upload", func(ctx context.Context) error {
				key := "u"
				_, err := s.s3.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
				return err
			})
		},
	}
	for _, r := range requests {
		wg.Go(func() {
			if _, ok := r(); ok {
				t.Error("a request succeeded without its name server")
			}
		})
	}
	wg.Wait()
	quick := 0
	for range 3 {
		for _, r := range requests {
			if took, _ := r(); took < atOnce {
				quick++
			}
		}
	}
	if quick < len(requests)*2 {
		t.Errorf("%d of %d later requests were refused at once", quick, 3*len(requests))
	}
	_ = s.services[s.name].Process.Signal(syscall.SIGCONT)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if _, ok := s.timedPut("k", 100); ok {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("no write a minute after the name server woke up")
		}
	}
}

// TestThreeCopies runs the whole store on three copies (user.vstorage.replicas=3) and loses the disks of two hosts: everything is read back, and writes go on.
func TestThreeCopies(t *testing.T) {
	t.Parallel()
	root := shortTemp(t)
	var stores []string
	for i := range 3 {
		dir := fmt.Sprintf("%s/store%d", root, i)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		stores = append(stores, "--store", dir)
	}
	s := newMounts(t, stores...)
	if err := os.Mkdir(s.on(0)[0], 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setxattr(s.on(0)[0], "user.vstorage.replicas", []byte("3:1"), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	s.volume()
	put := func(key string) {
		t.Helper()
		if _, err := s.s3.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(strings.Repeat(key, 3000))}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		put(fmt.Sprint("before", i))
	}
	for _, store := range []int{0, 2} {
		s.do(fusesim.Request{Do: "lose", Store: store})
	}
	for i := range 20 {
		put(fmt.Sprint("after", i))
	}
	for _, when := range []string{"before", "after"} {
		for i := range 20 {
			key := fmt.Sprint(when, i)
			if got, err := s.get(t.Context(), key); err != nil || string(got) != strings.Repeat(key, 3000) {
				t.Errorf("%s: %d bytes, %v", key, len(got), err)
			}
		}
	}
}
