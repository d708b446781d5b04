package lease

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

const dir = "services/0800000000000001"

// fakeClock is the time of a synctest bubble.
type fakeClock struct{ start time.Time }

func (c fakeClock) Now() time.Duration { return time.Since(c.start) }

// world is a mount and the hosts on it. Time is that of the bubble.
type world struct {
	t     *testing.T
	fs    *memfs.FS
	local map[uint64]*memfs.FS
	clock fakeClock
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, run func(t *testing.T, w *world)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, fs: memfs.New(), local: map[uint64]*memfs.FS{1: memfs.New(), 2: memfs.New(), 3: memfs.New()}, clock: fakeClock{time.Now().Add(-time.Hour)}}
		if err := w.fs.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		run(t, w)
	})
}

func (w *world) options(host uint64) Options {
	return Options{FS: w.fs, Dir: dir, Host: host, Boot: 1, Local: w.local[host], Clock: w.clock, Info: fmt.Sprintf("ostor-ns pid %d on h%d", host*100, host)}
}

// acquire acquires and closes at the end of the test.
func (w *world) acquire(o Options) *Lease {
	w.t.Helper()
	l, err := Acquire(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	return l
}

// took acquires and returns how long that took.
func (w *world) took(o Options) (*Lease, time.Duration) {
	w.t.Helper()
	begin := time.Now()
	l := w.acquire(o)
	return l, time.Since(begin)
}

// manifest does what the store does: the durable manifest of a generation.
func (w *world) manifest(l *Lease) {
	w.t.Helper()
	d := fsbackend.GenerationDir(dir, l.Generation())
	h, err := w.fs.Create(d + "/" + fsbackend.ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		if err = w.fs.MkdirAll(d); err == nil {
			h, err = w.fs.Create(d + "/" + fsbackend.ManifestName)
		}
	}
	if err = errors.Join(err, h.Sync(), h.Close(), w.fs.SyncDir(d), w.fs.SyncDir(dir+"/gen")); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exists(name string) bool { _, err := w.fs.Stat(name); return err == nil }

func check(t *testing.T, l *Lease, want error) {
	t.Helper()
	if err := l.Check(); !errors.Is(err, want) {
		t.Errorf("Check of generation %d: %v, want %v", l.Generation(), err, want)
	}
}

func wantInherits(t *testing.T, l *Lease, want uint64) {
	t.Helper()
	if prior, ok := l.Inherits(); prior != want || ok != (want != 0) {
		t.Errorf("generation %d: Inherits() = %d, %v; want %d", l.Generation(), prior, ok, want)
	}
}

// freezable returns a way to the mount that can hang, so that its owner neither renews nor sees anything, and come back.
func (w *world) freezable() (f *faultfs.FS, freeze, thaw func()) {
	stuck := &faultfs.Stuck{Hang: true}
	f = faultfs.New(w.fs, 1)
	return f, func() { f.Add(faultfs.Rule{Stuck: stuck}) }, func() { f.Clear(); stuck.Release() }
}

const wait = 23500 * time.Millisecond // 8N*1.05+N of the default profile

func TestFirstOwner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, took := w.took(w.options(1))
		if l.Generation() != 1 || took != 0 {
			t.Errorf("generation %d after %v, want 1 at once", l.Generation(), took)
		}
		wantInherits(t, l, 0)
		check(t, l, nil)
		time.Sleep(time.Hour) // renewals keep it
		check(t, l, nil)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		check(t, l, fault.Stale)
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestSecondProcessOfTheHostIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		for _, takeover := range []bool{false, true} {
			o := w.options(1)
			o.Takeover = takeover
			_, err := Acquire(t.Context(), o)
			if !errors.Is(err, fault.Exists) || !strings.Contains(fmt.Sprint(err), "ostor-ns pid 100 on h1") || !strings.Contains(fmt.Sprint(err), "generation 1, since") {
				t.Errorf("got %v, want fault.Exists naming the holder", err)
			}
		}
		check(t, l, nil)
		if w.exists(dir + "/gen/0000000002.claim") {
			t.Error("the refused one has claimed")
		}
	})
}

// Two clusters may give their services the same ids, and share a host and its local directory.
func TestClustersShareAHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.acquire(w.options(1))
		o := w.options(1)
		o.FS = memfs.New()
		if err := o.FS.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		check(t, w.acquire(o), nil)
		check(t, l, nil)
	})
}

// raceOf lets processes acquire at once, on the hosts given, and returns how many hold the lease in the end.
func (w *world) raceOf(hosts ...uint64) (valid int) {
	var wg sync.WaitGroup
	leases := make([]*Lease, len(hosts))
	for i, host := range hosts {
		wg.Go(func() {
			l, err := Acquire(w.t.Context(), w.options(host))
			if err != nil && !errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.Exists) && !errors.Is(err, fault.Stale) {
				w.t.Errorf("acquire: %v", err)
			}
			leases[i] = l
		})
	}
	wg.Wait()
	time.Sleep(Default.Wait())
	synctest.Wait()
	for _, l := range leases {
		if l != nil {
			if l.Check() == nil {
				valid++
			}
			_ = l.Close()
		}
	}
	return valid
}

func TestClaimRaceHasOneWinner(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if n := w.raceOf(1, 2, 3); n != 1 {
			t.Errorf("%d winners of three hosts", n)
		}
	})
}

func TestClaimRaceOfOneHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if n := w.raceOf(1, 1, 1, 1); n != 1 {
			t.Errorf("%d winners of four processes", n)
		}
	})
}

// A claim in the making is waited for, not claimed over.
func TestHalfWrittenClaim(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := faultfs.New(w.fs, 1)
		f.Add(faultfs.Rule{Ops: faultfs.OpWrite, Name: "*.claim", Delay: time.Second}) // the name is there, the content is not
		o := w.options(1)
		o.FS = f
		first := make(chan *Lease, 1)
		go func() { first <- w.acquire(o) }()
		synctest.Wait()
		if _, err := Acquire(t.Context(), w.options(1)); !errors.Is(err, fault.Exists) {
			t.Errorf("got %v, want fault.Exists", err)
		}
		check(t, <-first, nil)
	})
}

// The loser of the exclusive create learns it, and the winner is not disturbed.
func TestLostClaim(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var other *Lease
		f := faultfs.New(w.fs, 1)
		f.Add(faultfs.Rule{Ops: faultfs.OpList, Name: "gen", Count: 1, Delay: time.Nanosecond, Then: func() { other = w.acquire(w.options(2)) }})
		o := w.options(1)
		o.FS, o.Takeover = f, true // even so: the winner is alive
		if _, err := Acquire(t.Context(), o); !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want fault.Unavailable", err)
		}
		check(t, other, nil)
		time.Sleep(time.Minute)
		check(t, other, nil)
	})
}

func TestRenewalSeesHigherClaim(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o := w.options(1)
		var told []error
		o.OnLost = func(err error) { told = append(told, err) }
		l := w.acquire(o)
		w.manifest(l)
		o2 := w.options(2)
		o2.Takeover = true
		l2, took := w.took(o2)
		if took != wait || l2.Generation() != 2 {
			t.Errorf("generation %d after %v, want 2 after %v", l2.Generation(), took, wait)
		}
		check(t, l, fault.Stale)
		check(t, l2, nil)
		wantInherits(t, l2, 0)
		synctest.Wait()
		if len(told) != 1 || !errors.Is(told[0], fault.Stale) || !strings.Contains(told[0].Error(), "superseded by generation 2") {
			t.Errorf("OnLost was told %v", told)
		}
		if err := l.Release(t.Context()); !errors.Is(err, fault.Stale) {
			t.Errorf("Release of a superseded owner: %v", err)
		}
	})
}

// The deadline counts from the beginning of the last renewal, and nobody has to ask for it to pass.
func TestDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f, freeze, thaw := w.freezable()
		defer thaw()
		o := w.options(1)
		o.FS = f
		var told atomic.Int32
		o.OnLost = func(error) { told.Add(1) }
		l := w.acquire(o)
		time.Sleep(5 * time.Second) // one renewal, at 2N
		synctest.Wait()
		freeze()
		time.Sleep(20*time.Second - 1)
		check(t, l, nil)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if told.Load() != 1 {
			t.Errorf("OnLost was called %d times without anybody asking, want 1", told.Load())
		}
		check(t, l, fault.Stale)
		thaw() // the mount comes back: too late
		time.Sleep(time.Minute)
		check(t, l, fault.Stale)
		if told.Load() != 1 {
			t.Errorf("OnLost was called %d times", told.Load())
		}
	})
}

func TestRenewalErrorsAreNotTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := faultfs.New(w.fs, 1)
		o := w.options(1)
		o.FS = f
		l := w.acquire(o)
		f.Add(faultfs.Rule{Ops: faultfs.OpList, Count: 5})
		time.Sleep(time.Minute)
		check(t, l, nil)
		if f.Fired() != 5 {
			t.Errorf("%d renewals failed, want 5", f.Fired())
		}
		f.Add(faultfs.Rule{Ops: faultfs.OpList})
		time.Sleep(20 * time.Second)
		check(t, l, fault.Stale)
	})
}

func TestOptions(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for name, spoil := range map[string]func(*Options){
			"no fs": func(o *Options) { o.FS = nil }, "no local": func(o *Options) { o.Local = nil }, "no dir": func(o *Options) { o.Dir = "" },
			"bad dir": func(o *Options) { o.Dir = "../x" }, "no host": func(o *Options) { o.Host = 0 }, "no boot": func(o *Options) { o.Boot = 0 },
			"negative N": func(o *Options) { o.Profile.N = -1 },
		} {
			o := w.options(1)
			spoil(&o)
			if _, err := Acquire(t.Context(), o); !errors.Is(err, fault.Invalid) {
				t.Errorf("%s: %v, want fault.Invalid", name, err)
			}
		}
		o := w.options(1)
		o.Dir = "services/none"
		if _, err := Acquire(t.Context(), o); !errors.Is(err, fs.ErrNotExist) || w.exists(o.Dir) {
			t.Errorf("missing directory: %v, want fs.ErrNotExist", err)
		}
	})
}
