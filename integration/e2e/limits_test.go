package e2e

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestMemory streams more than fits: the whole server stays small. The peak is the kernel's VmHWM of the server process, which starts fresh for each case.
func TestMemory(t *testing.T) {
	for _, tc := range []struct {
		name     string
		uploads  int
		size     int64
		limitMiB int64
	}{
		{"one of 5 GiB", 1, 5 << 30, 256},
		{"16 of 256 MiB at once", 16, 256 << 20, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serveSite(t)
			c := newSDK(s)
			c.makeBucket(t, "big")
			begin := time.Now()
			sums := make([]uint32, tc.uploads)
			parallel(t, tc.uploads, func(i int) (err error) {
				sums[i], err = putStream(t, c, fmt.Sprintf("o%d", i), uint64(i), tc.size)
				return err
			})
			up := time.Since(begin)
			parallel(t, min(tc.uploads, 2), func(i int) error {
				out, err := c.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: ptr("big"), Key: ptr(fmt.Sprintf("o%d", i))})
				if err != nil {
					return err
				}
				defer out.Body.Close()
				h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
				n, err := io.CopyBuffer(struct{ io.Writer }{h}, out.Body, make([]byte, 1<<20))
				if err == nil && (n != tc.size || h.Sum32() != sums[i]) {
					err = fmt.Errorf("object %d: %d bytes came back with CRC32C %08x, want %d with %08x", i, n, h.Sum32(), tc.size, sums[i])
				}
				return err
			})
			peak := peakMiB(t, s)
			t.Logf("%d uploads of %d MiB in %v, downloads in %v; peak memory of the whole process %d MiB", tc.uploads, tc.size>>20, up.Round(time.Second),
				(time.Since(begin) - up).Round(time.Second), peak)
			if peak >= tc.limitMiB {
				t.Errorf("peak memory %d MiB, want below %d", peak, tc.limitMiB)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func parallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// putStream puts size pseudo-random bytes through a presigned URL without holding them, and returns their CRC32C.
func putStream(t *testing.T, c sdk, key string, seed uint64, size int64) (uint32, error) {
	url, err := awss3.NewPresignClient(c.c).PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: ptr("big"), Key: &key})
	if err != nil {
		return 0, err
	}
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), size), h)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url.URL, io.NopCloser(body))
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		msg, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return 0, fmt.Errorf("PUT %s: %s: %s", key, resp.Status, msg)
	}
	return h.Sum32(), nil
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakMiB(t *testing.T, s *site) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.procs.all[0].Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// TestFullDisk fills a small file system: writes get 507, reads and deletes go on, nothing acknowledged is lost, and with room writes work again
// without a restart.
func TestFullDisk(t *testing.T) {
	p := newProcs(t)
	if os.Getuid() != 0 {
		t.Skip("mounting a tmpfs needs root")
	}
	dir, local := t.TempDir(), t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=320m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := serveAt(t, p, filepath.Join(dir, "s3"), local, "--log-size", "16", "--memtable", "4", "--garbage-delay", "100ms")
	c := newSDK(s)
	c.makeBucket(t, "full")
	put := func(key string, n int) (int, error) {
		url, err := awss3.NewPresignClient(c.c).PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: ptr("full"), Key: &key})
		if err != nil {
			return 0, err
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url.URL, bytes.NewReader(bytes.Repeat([]byte(key[:1]), n)))
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		msg, _ := io.ReadAll(resp.Body)
		if resp.StatusCode >= 400 && resp.StatusCode != http.StatusInsufficientStorage {
			return resp.StatusCode, fmt.Errorf("PUT %s: %s: %s", key, resp.Status, msg)
		}
		if resp.StatusCode == http.StatusInsufficientStorage && !strings.Contains(string(msg), "<Code>InsufficientStorage</Code>") {
			return resp.StatusCode, fmt.Errorf("507 with body %s", msg)
		}
		return resp.StatusCode, nil
	}
	var stored []string
	fill := func(prefix string, size int) {
		t.Helper()
		for i := 0; ; i++ {
			key := fmt.Sprintf("%s%05d", prefix, i)
			code, err := put(key, size)
			if err != nil {
				t.Fatal(err)
			}
			if code == http.StatusInsufficientStorage {
				return
			}
			if stored = append(stored, key); i > 40000 {
				t.Fatal("the file system does not fill up")
			}
		}
	}
	fill("big", 4<<20)
	fill("small", 16<<10)
	t.Logf("%d objects until the file system of 320 MiB was full", len(stored))
	read := func(key string) {
		t.Helper()
		out, err := c.c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: ptr("full"), Key: &key})
		if err != nil {
			t.Fatalf("%s while full: %v", key, err)
		}
		defer out.Body.Close()
		b, err := io.ReadAll(out.Body)
		if err != nil || len(b) == 0 || bytes.Count(b, []byte(key[:1])) != len(b) {
			t.Fatalf("%s while full: %d bytes, %v", key, len(b), err)
		}
	}
	for _, k := range stored {
		read(k)
	}
	deadline := time.Now().Add(3 * time.Minute)
	for i, k := range stored[:10] {
		c.remove(t, "full", k)
		_ = i
	}
	stored = stored[10:]
	for {
		code, err := put("again", 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		if code == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("still full 3 minutes after 10 objects of 4 MiB were deleted")
		}
		time.Sleep(200 * time.Millisecond) // garbage collection runs in another process
	}
	for _, k := range append(stored, "again") {
		read(k)
	}
}
