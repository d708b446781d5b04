package redolog

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
)

// put appends a record and waits until it is durable.
func (l *Log) put(t testing.TB) {
	lsn, err := l.add([]byte("record"), false)
	if err == nil {
		err = l.Wait(context.Background(), lsn)
	}
	if err != nil {
		t.Error(err)
	}
	_ = l.Recycle(lsn)
}

// puts lets n writers put rounds records each, with some work in between, and returns the commits that it took.
func (l *Log) puts(t testing.TB, n, rounds int, work func(writer int) time.Duration) uint64 {
	before := l.Stats().Commits
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for range rounds {
				time.Sleep(work(w))
				l.put(t)
			}
		})
	}
	wg.Wait()
	return l.Stats().Commits - before
}

// syncTime is how long an fdatasync takes in a bubble. While it runs others queue, which is how the log learns how many there are.
const syncTime = 300 * time.Microsecond

// slowFS is a disk whose fdatasync takes syncTime.
type slowFS struct{ fsbackend.FS }

func (s slowFS) Create(name string) (fsbackend.File, error) { return slow(s.FS.Create(name)) }
func (s slowFS) Open(name string) (fsbackend.File, error)   { return slow(s.FS.Open(name)) }

func slow(f fsbackend.File, err error) (fsbackend.File, error) { return slowFile{f}, err }

type slowFile struct{ fsbackend.File }

func (f slowFile) Datasync() error {
	time.Sleep(syncTime)
	return f.File.Datasync()
}

func bubble(t *testing.T, f func(l *Log)) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, testOptions(slowFS{newFS(t)}))
		f(l)
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestLoneWriterIsNotDelayed(t *testing.T) {
	bubble(t, func(l *Log) {
		start := time.Now()
		l.puts(t, 1, 100, func(int) time.Duration { return time.Millisecond })
		if took := time.Since(start); took != 100*(time.Millisecond+syncTime) {
			t.Errorf("100 puts with a millisecond of work and an fdatasync of %v each took %v", syncTime, took)
		}
	})
}

// TestWritersShareCommits: writers whose work takes different times, all shorter than a quiet moment apart, end up in the same groups.
func TestWritersShareCommits(t *testing.T) {
	bubble(t, func(l *Log) {
		const writers, rounds = 16, 50
		commits := l.puts(t, writers, rounds, func(w int) time.Duration { return time.Duration(100+w*100) * time.Microsecond })
		if commits > rounds*3/2 {
			t.Errorf("%d commits for %d rounds of %d writers", commits, rounds, writers)
		}
	})
}

// TestWaitEndsWhenNobodyComes: an estimate that is too high costs quiet moments, not the longest wait, and is soon forgotten.
func TestWaitEndsWhenNobodyComes(t *testing.T) {
	bubble(t, func(l *Log) {
		l.puts(t, 64, 5, func(int) time.Duration { return 0 })
		start := time.Now()
		l.put(t)
		if took := time.Since(start); took > 2*max(minQuiet, 2*syncTime)+syncTime {
			t.Errorf("the first put after many writers have gone took %v", took)
		}
		l.puts(t, 1, 40, func(int) time.Duration { return 0 })
		start = time.Now()
		l.put(t)
		if took := time.Since(start); took != syncTime {
			t.Errorf("a lone writer waits %v after 40 puts, its fdatasync takes %v", took, syncTime)
		}
	})
}
