package redolog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 = from the clock")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// bytesPayload is a payload of plain bytes.
type bytesPayload []byte

func (p bytesPayload) PayloadBytes() int             { return len(p) }
func (p bytesPayload) AppendPayload(b []byte) []byte { return append(b, p...) }

const testDir = "gen/0000000001"

func newFS(t testing.TB) *memfs.FS {
	fsys := memfs.New()
	if err := fsys.MkdirAll(testDir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "gen"} {
		if err := fsys.SyncDir(d); err != nil {
			t.Fatal(err)
		}
	}
	return fsys
}

func testOptions(fsys fsbackend.FS) Options {
	return Options{FS: fsys, Dir: testDir, Home: 1, Generation: 1, SegmentBytes: 16 << 10, MaxSegments: 4, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *Log) add(p []byte, lazy bool) (LSN, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Append(bytesPayload(p), lazy)
}

// payload is what record n holds in these tests.
func payload(n LSN) []byte { return fmt.Appendf(nil, "record %d %0*d", n, int(n*7%300), 0) }

// readAllRecords reads what a new owner would, above after.
func readAllRecords(t testing.TB, fsys fsbackend.FS, after LSN) (last LSN, err error) {
	t.Helper()
	all, err := List(fsys, testDir, 1)
	if err != nil {
		return 0, err
	}
	segs, err := Relevant(all, after)
	if err != nil {
		return 0, err
	}
	last = after
	for i := range segs {
		err := segs[i].Read(fsys, 0, after, func(r *Record) error {
			if want := payload(r.LSN); string(r.Payload) != string(want) {
				return fmt.Errorf("record %d: got %q, want %q", r.LSN, r.Payload, want)
			}
			last = max(last, r.LSN)
			return nil
		})
		if err != nil {
			return 0, err
		}
		if i+1 < len(segs) && segs[i].Last+1 != segs[i+1].Header.First {
			return 0, fmt.Errorf("%s ends at %d, the next begins at %d: %w", segs[i].Name(), segs[i].Last, segs[i+1].Header.First, fault.Corrupt)
		}
	}
	return last, CheckUnused(fsys, all, 1, last)
}

// TestCrashAtEverySync: whatever a power cut leaves at any sync point, the log reads back as a prefix that holds everything that was durable; segments are recycled all the while.
func TestCrashAtEverySync(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	fsys := newFS(t)
	type crash struct {
		fsys           *memfs.FS
		durable, after LSN
	}
	var mu sync.Mutex
	var crashes []crash
	var l *Log
	var recycled LSN
	keep := rand.New(rand.NewPCG(r.Uint64(), 1)) // guarded by mu: the log's goroutines sync, this one draws from r
	fsys.OnSync(func(op, name string) {
		mu.Lock()
		defer mu.Unlock()
		for _, k := range []memfs.Keep{memfs.Nothing, memfs.Everything, memfs.Some(keep.Uint64()), memfs.Some(keep.Uint64())} {
			var durable LSN
			if l != nil {
				durable = l.Durable()
			}
			crashes = append(crashes, crash{fsys.CrashClone(k), durable, recycled})
		}
	})
	o := testOptions(fsys)
	opened := mustOpen(t, o)
	mu.Lock()
	l = opened
	mu.Unlock()
	var last LSN
	for last < 600 {
		lsn, err := l.add(payload(last+1), r.IntN(3) == 0)
		if errors.Is(err, fault.NoSpace) {
			if err := l.Wait(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			recycled = last
			mu.Unlock()
			if err := l.Recycle(last); err != nil {
				t.Fatal(err)
			}
			waitRoom(t, l)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if lsn != last+1 {
			t.Fatalf("got LSN %d, want %d", lsn, last+1)
		}
		last = lsn
		if r.IntN(2) == 0 {
			if err := l.Wait(t.Context(), lsn); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.Durable(); got != last {
		t.Errorf("durable after close: got %d, want %d", got, last)
	}
	fsys.OnSync(nil)
	t.Logf("%d crashes, %+v", len(crashes), l.Stats())
	for i, c := range crashes {
		got, err := readAllRecords(t, c.fsys, c.after)
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		if got < c.durable {
			t.Fatalf("crash %d: read up to %d, durable was %d", i, got, c.durable)
		}
	}
}

// waitRoom returns when a segment is free.
func waitRoom(t testing.TB, l *Log) {
	t.Helper()
	for {
		l.mu.Lock()
		ok := l.FitsLocked(0, 0) && len(l.free) > 0
		room, _ := l.RoomLocked()
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-room:
		case <-time.After(time.Minute):
			t.Fatal("no segment became free")
		}
	}
}

func TestLazyRidesWithNext(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	o := testOptions(fsys)
	o.LazyDelay = time.Hour
	l := mustOpen(t, o)
	for range 5 {
		if _, err := l.add([]byte("lazy"), true); err != nil {
			t.Fatal(err)
		}
	}
	if s := l.Stats(); s.Commits != 0 || s.Durable != 0 {
		t.Errorf("lazy records were committed: %+v", s)
	}
	lsn, err := l.add([]byte("urgent"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(t.Context(), lsn); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Commits != 1 || s.Durable != 6 {
		t.Errorf("got %+v, want one commit of 6 records", s)
	}
	if lsn, err = l.add([]byte("lazy"), true); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(t.Context(), lsn); err != nil { // to wait is to hurry
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLazyIsBounded(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	synced := make(chan struct{}, 16)
	o := testOptions(fsys)
	o.LazyDelay = 5 * time.Millisecond
	l := mustOpen(t, o)
	fsys.OnSync(func(op, _ string) {
		if op == "datasync" {
			synced <- struct{}{}
		}
	})
	if _, err := l.add([]byte("lazy"), true); err != nil {
		t.Fatal(err)
	}
	select {
	case <-synced:
	case <-time.After(time.Minute):
		t.Fatal("a lazy record stayed in memory")
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAppendErrors(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	l := mustOpen(t, testOptions(fsys))
	if _, err := l.add(make([]byte, 16<<10), false); !errors.Is(err, fault.TooLarge) {
		t.Errorf("too large: got %v", err)
	}
	lsn, err := l.add(make([]byte, 16<<10-HeaderBytes-recordHeaderSize), false)
	if err != nil || lsn != 1 {
		t.Errorf("largest record: got %d, %v", lsn, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Wait(ctx, lsn); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.add([]byte("x"), false); !errors.Is(err, fault.Unavailable) {
		t.Errorf("append after close: got %v", err)
	}
	if err := l.Wait(t.Context(), lsn); err != nil {
		t.Errorf("wait for a durable record after close: %v", err)
	}
}

// TestManyWriters checks order and durability with concurrent writers, and that commits are shared.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	const tries = 10 // how many commits are shared depends on who runs when: the best counts
	for try := 1; ; try++ {
		s := manyWriters(t)
		if s.Commits <= s.Records/4 {
			return
		}
		if try == tries {
			t.Fatalf("%d commits for %d records in the last of %d tries", s.Commits, s.Records, tries)
		}
	}
}

func manyWriters(t *testing.T) Stats {
	t.Helper()
	fsys := newFS(t)
	o := testOptions(fsys)
	o.SegmentBytes = 1 << 20
	var cuts, durables []LSN
	o.OnCut = func(last LSN) { cuts = append(cuts, last) }
	o.OnDurable = func(last LSN) { durables = append(durables, last) }
	l := mustOpen(t, o)
	const writers, each = 16, 200
	var wg sync.WaitGroup
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				l.mu.Lock()
				lsn, err := l.Append(bytesPayload(payload(l.LastLocked()+1)), false)
				l.mu.Unlock()
				if err == nil {
					err = l.Wait(context.Background(), lsn)
				}
				if err != nil || l.Durable() < lsn {
					t.Errorf("record %d: %v, durable %d", lsn, err, l.Durable())
				}
			}
		}()
	}
	wg.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := l.Stats()
	if s.Records != writers*each {
		t.Errorf("%d records by %d writers", s.Records, writers)
	}
	if fmt.Sprint(cuts) != fmt.Sprint(durables) || cuts[len(cuts)-1] != writers*each {
		t.Errorf("cuts and durable states differ: %d and %d", len(cuts), len(durables))
	}
	if last, err := readAllRecords(t, fsys, 0); err != nil || last != writers*each {
		t.Errorf("read back %d, %v", last, err)
	}
	return s
}
