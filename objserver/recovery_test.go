package objserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
)

// TestRecoveryTime measures how long a killed object server with a million objects and a full log of 1 GiB takes from its start to its first reply: `make recovery`, or OSTOR_RECOVERY=1. A child
// process fills the server and is killed; OSTOR_RECOVERY_OBJECTS changes how many objects there are. The lease, which waits for nothing after a kill on the same host, is not part of it.
func TestRecoveryTime(t *testing.T) {
	if os.Getenv("OSTOR_RECOVERY") == "" {
		t.Skip("set OSTOR_RECOVERY=1: it takes minutes and gigabytes")
	}
	for _, memtable := range []int64{32 << 20, 512 << 20} {
		t.Run(fmt.Sprintf("memtable %d MiB", memtable>>20), func(t *testing.T) { recoveryTime(t, memtable) })
	}
}

const recoveryLog = 1 << 30

func recoveryOptions(t testing.TB, dir string, generation uint64, memtable int64) Options {
	t.Helper()
	fs, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Options{FS: fs, Dir: testDir, Owner: &owner{generation: generation}, ID: testID, LogBytes: recoveryLog, MemtableBytes: memtable, JanitorEvery: -1, ScrubEvery: -1, Logger: quiet()}
}

func recoveryTime(t *testing.T, memtable int64) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/"+testDir+"/"+fsbackend.GenDir, 0o700); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRecoveryChild$", "-test.v", "-test.timeout=30m") //nolint:gosec // this program
	child.Env = append(os.Environ(), "OSTOR_RECOVERY_DIR="+dir, "OSTOR_RECOVERY_MEMTABLE="+strconv.FormatInt(memtable, 10))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var last cluster.ObjectID
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "full "); ok {
			if last, err = cluster.ParseObjectID(id); err != nil {
				t.Fatal(err)
			}
			break
		}
		t.Log(lines.Text())
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if last.IsZero() {
		t.Fatal("the child did not fill the server")
	}
	opts := recoveryOptions(t, dir, 2, memtable)
	begin, cpu := time.Now(), cpuTime(t)
	s := open(t, opts)
	if _, err := s.StatObject(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	took, used := time.Since(begin), cpuTime(t)-cpu
	st := s.Stats()
	t.Logf("%d objects, %d MiB of log to recover: first reply after %v, with %v of processor time", st.Objects, st.Store.LogBytes>>20, took.Round(time.Millisecond), used.Round(time.Millisecond))
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestRecoveryChild is the child process of TestRecoveryTime.
func TestRecoveryChild(t *testing.T) {
	dir := os.Getenv("OSTOR_RECOVERY_DIR")
	if dir == "" {
		t.Skip("of TestRecoveryTime")
	}
	memtable, err := strconv.ParseInt(os.Getenv("OSTOR_RECOVERY_MEMTABLE"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	objects := int64(1_000_000)
	if v := os.Getenv("OSTOR_RECOVERY_OBJECTS"); v != "" {
		if objects, err = strconv.ParseInt(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, recoveryOptions(t, dir, 1, memtable))
	var n atomic.Int64
	var full atomic.Bool
	var mu sync.Mutex
	var last cluster.ObjectID
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for !full.Load() {
				i := n.Add(1)
				data := content(int(i), 200+int(i%300))
				id := cluster.NewObjectID()
				if _, err := s.CreateObject(context.Background(), id, int64(len(data)), bytes.NewReader(data)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				last = id
				mu.Unlock()
				if i < objects || i%500 != 0 {
					continue
				}
				// Full: a checkpoint is about to begin, or runs and the other memtable is full, too.
				if st := s.Stats().Store; st.MemtableBytes >= memtable*9/10 || st.LogBytes >= recoveryLog*45/100 {
					full.Store(true)
				}
			}
		})
	}
	wg.Wait()
	st := s.Stats().Store
	fmt.Printf("%d objects made, log %d MiB, memtables %d and %d MiB of %d, %d checkpoints\n", n.Load(), st.LogBytes>>20, st.MemtableBytes>>20, st.FrozenBytes>>20, memtable>>20, st.Checkpoints)
	fmt.Printf("full %s\n", last)
	time.Sleep(time.Hour) // until the parent kills this process
}

// cpuTime returns what this process has used of the processors: unlike the time that passes, it does not depend on what else the machine does.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
