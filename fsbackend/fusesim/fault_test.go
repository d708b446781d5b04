package fusesim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// world is a simulated cluster under test, with its control socket.
type world struct {
	t     *testing.T
	hosts []fsbackend.FS
	root  string
	ctl   *Client
}

func newWorld(t *testing.T, hosts int, o Options) *world {
	t.Helper()
	o.FastSync = true
	fss, source := mount(t, hosts, o)
	ctl, err := DialControl(filepath.Join(filepath.Dir(source), "control"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, fss, filepath.Dir(source), ctl}
	t.Cleanup(func() { // before the file systems are closed: nothing may hang
		w.do(Request{Do: "clear", Host: AllHosts})
		w.do(Request{Do: "heal", Host: AllHosts})
		w.do(Request{Do: "release", Host: AllHosts, Drop: true})
		_ = ctl.Close()
	})
	return w
}

func (w *world) do(q Request) {
	w.t.Helper()
	if err := w.ctl.Do(q, nil); err != nil {
		w.t.Fatalf("%s: %v", q.Do, err)
	}
}

func (w *world) rule(r Rule) { w.t.Helper(); w.do(Request{Do: "fail", Rule: &r}) }

func (w *world) power(host int, keep Keep, seed uint64) Lost {
	w.t.Helper()
	var lost Lost
	if err := w.ctl.Do(Request{Do: "power", Host: host, Keep: keep, Seed: seed}, &lost); err != nil {
		w.t.Fatal(err)
	}
	w.do(Request{Do: "boot", Host: host})
	return lost
}

// file makes a durable file of the given content.
func (w *world) file(host int, name, content string) fsbackend.File {
	w.t.Helper()
	h := write(w.t, w.hosts[host], name, content)
	w.must(h.Sync(), w.hosts[host].SyncDir(parentOf(name)))
	return h
}

func (w *world) must(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(h fsbackend.File, content string, off int64) {
	w.t.Helper()
	_, err := h.WriteAt([]byte(content), off)
	w.must(err)
}

func (w *world) want(host int, name, content string) {
	w.t.Helper()
	if got := read(w.t, w.hosts[host], name); got != content {
		w.t.Errorf("host %d reads %.80q of %s, want %.80q", host, got, name, content)
	}
}

func TestPowerCutDropsWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{PowerCuts: true})
	f := w.hosts[0]
	h := w.file(0, "kept", "durable")
	w.put(h, "DUR", 0)
	w.must(h.Truncate(5), h.Allocate(0, 8192), h.PunchHole(0, 4096))
	w.put(h, "tail", 8192)
	other := w.file(1, "other", "abc")
	w.put(other, "unsynced of host 1", 1)

	w.file(0, "removed", "comes back")
	w.file(0, "from", "renamed")
	w.file(0, "target", "replaced")
	w.must(f.Remove("removed"), f.Rename("from", "target"), f.MkdirAll("dir/sub"))
	write(t, f, "dir/sub/file", "x")
	write(t, f, "new", "never synced")
	synced := write(t, f, "new-synced-file", "the file is durable, its name is not")
	w.must(synced.Sync())

	lost := w.power(0, KeepNothing, 1)
	if lost.Files < 1 || lost.Names < 7 {
		t.Errorf("lost %+v, want at least a file and 7 names", lost)
	}
	for _, host := range []int{0, 1} {
		w.want(host, "kept", "durable")
		w.want(host, "removed", "comes back")
		w.want(host, "from", "renamed")
		w.want(host, "target", "replaced")
		w.want(host, "other", "aunsynced of host 1")
		names, err := w.hosts[host].List("")
		if want := "from kept other removed target"; err != nil || strings.Join(names, " ") != want {
			t.Errorf("host %d lists %q, %v, want %s", host, names, err, want)
		}
	}
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a descriptor from before the power cut: %v, want ESTALE", err)
	}
	if err := h.Datasync(); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("datasync of it: %v, want ESTALE", err)
	}
	w.power(1, KeepNothing, 1)
	w.want(0, "other", "abc")

	// After the boot all goes on.
	h = w.file(0, "after", "1")
	w.put(h, "2", 0)
	w.must(h.Datasync())
	w.power(AllHosts, KeepNothing, 1)
	w.want(1, "after", "2")
	var st Status
	w.must(w.ctl.Do(Request{Do: "status"}, &st))
	if st.JournalBytes != 0 || st.Unsynced != 0 || st.UnsyncedOps != 0 {
		t.Errorf("after a power cut of all the journal holds %+v", st)
	}
}

func TestPowerCutWithoutPower(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{PowerCuts: true})
	w.file(0, "f", "x")
	w.do(Request{Do: "power", Host: 0})
	if _, err := w.hosts[0].Stat("f"); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a host without power: %v, want ENOTCONN", err)
	}
	w.want(1, "f", "x")
	w.do(Request{Do: "boot", Host: 0})
	w.want(0, "f", "x")
}

// A seed picks which writes survive, and of which sectors; the same seed on the same history picks the same.
func TestPowerCutOfSome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{PowerCuts: true})
	run := func(dir string, seed uint64) (shape string) {
		w.must(w.hosts[0].MkdirAll(dir))
		w.must(w.hosts[0].SyncDir(""))
		h := w.file(0, dir+"/f", strings.Repeat("0", 32*sector))
		for i := range 8 {
			w.put(h, strings.Repeat(fmt.Sprint(i+1), 4*sector), int64(i)*4*sector)
		}
		for i := range 8 {
			write(t, w.hosts[0], fmt.Sprint(dir, "/n", i), "")
		}
		w.power(AllHosts, KeepSome, seed)
		b, err := os.ReadFile(filepath.Join(w.root, "source", dir, "f"))
		w.must(err)
		for i := 0; i < len(b); i += sector {
			if s := b[i:min(i+sector, len(b))]; bytes.Count(s, s[:1]) != sector || s[0] != '0' && s[0] != byte('1'+i/sector/4) {
				t.Errorf("sector %d is torn or of another write", i/sector)
			}
			shape += string(b[i])
		}
		names, err := w.hosts[0].List(dir)
		w.must(err)
		return shape + " " + strings.Join(names, " ")
	}
	a, again, b := run("a", 7), run("b", 7), run("c", 8)
	if a != again {
		t.Errorf("one seed, two outcomes:\n%s\n%s", a, again)
	}
	if a == b {
		t.Error("two seeds, one outcome")
	}
	whole, torn, none := 0, 0, 0
	for _, s := range []string{a, b} {
		for i := range 8 {
			switch part := s[i*4 : i*4+4]; {
			case part == "0000":
				none++
			case !strings.Contains(part, "0"):
				whole++
			default:
				torn++
			}
		}
	}
	if whole == 0 || torn == 0 || none == 0 {
		t.Errorf("of 16 writes %d survived whole, %d torn, %d not: want some of each", whole, torn, none)
	}
}

func TestPartitionAndHeal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{})
	h := w.file(0, "f", "x")
	w.do(Request{Do: "partition", Host: 0, Errno: "ETIMEDOUT"})
	_, err := h.WriteAt([]byte("y"), 0)
	_, serr := w.hosts[0].Stat("f")
	for what, err := range map[string]error{"write": err, "sync": h.Datasync(), "stat": serr, "remove": w.hosts[0].Remove("f")} {
		if !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("%s on the host that is cut off: %v", what, err)
		}
	}
	w.want(1, "f", "x")
	w.do(Request{Do: "heal", Host: 0})
	w.put(h, "y", 0)
	w.want(1, "f", "y")
}

// What a frozen host issued lands after the other host has written, and its locks may be gone by then: the late write of a dead owner.
func TestFreezeLandsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{PowerCuts: true})
	h := w.file(0, "f", "owner A")
	w.must(h.Lock())
	hb, err := w.hosts[1].Open("f")
	w.must(err)
	t.Cleanup(func() { _ = hb.Close() })
	if err := hb.Lock(); !errors.Is(err, fault.Exists) {
		t.Fatalf("lock of host 0 seen from host 1: %v", err)
	}
	w.do(Request{Do: "freeze", Host: 0, Locks: "drop"})
	w.must(hb.Lock())
	done := make(chan error, 1)
	go func() { _, err := h.WriteAt([]byte("late"), 0); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("a write on a frozen host returned: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	w.put(hb, "owner B", 0)
	w.must(hb.Datasync())
	w.want(1, "f", "owner B")
	w.do(Request{Do: "heal", Host: 0})
	w.must(<-done)
	w.want(1, "f", "later B")
}

// A process that is killed while its host is frozen can end; its write is on its way all the same.
func TestKilledOnFrozenHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{})
	w.file(1, "f", "......")
	name := filepath.Join(w.root, "host0", "f")
	cmd := command(t, "sh", "-c", `exec 3<>"$1"; echo open; read x; printf late >&3`, "sh", name)
	cmd.expect("open")
	w.do(Request{Do: "freeze", Host: 0})
	cmd.say("go")
	await := func(what string, seen func(HostStatus) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			var st Status
			if w.must(w.ctl.Do(Request{Do: "status"}, &st)); seen(st.Hosts[0]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no write %s: %+v", what, st.Hosts[0])
			}
		}
	}
	await("waits", func(h HostStatus) bool { return h.Waiting > 0 })
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	w.want(1, "f", "......")
	var n landed
	await("is stuck", func(h HostStatus) bool { return h.Stuck > 0 })
	w.must(w.ctl.Do(Request{Do: "heal", Host: 0}, &n))
	if n.Landed == 0 {
		t.Error("nothing landed late")
	}
	w.want(1, "f", "late..")
}

func TestFailTheNth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{})
	h := w.file(0, "f", "")
	hb, err := w.hosts[1].Open("f")
	w.must(err)
	t.Cleanup(func() { _ = hb.Close() })
	w.rule(Rule{Host: 0, Ops: "write", Name: "f", Skip: 1, Count: 1, Errno: "EIO"})
	w.rule(Rule{Host: AllHosts, Ops: "datasync", Count: 1, Errno: "EDQUOT"})
	for i, want := range []error{nil, syscall.EIO, nil} {
		w.put(hb, "b", 10)
		if _, err := h.WriteAt([]byte("x"), int64(i)); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i, err, want)
		}
	}
	if err := hb.Datasync(); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("first datasync: %v", err)
	}
	w.must(h.Datasync())
	w.want(1, "f", "x\x00x\x00\x00\x00\x00\x00\x00\x00b")
	var st Status
	w.must(w.ctl.Do(Request{Do: "status"}, &st))
	if len(st.Rules) != 2 || st.Rules[0].Fired != 1 || st.Rules[1].Fired != 1 {
		t.Errorf("rules %+v, want two that fired once", st.Rules)
	}
}

// A failing write may leave all, a part or nothing behind.
func TestFailingWriteLands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{Seed: 3})
	zero := strings.Repeat(".", 16*sector)
	for land, ok := range map[string]func(n int) bool{
		"none":  func(n int) bool { return n == 0 },
		"whole": func(n int) bool { return n == 16 },
		"torn":  func(n int) bool { return n > 0 && n < 16 },
		"short": func(n int) bool { return n <= 16 },
	} {
		h := w.file(0, land, zero)
		w.rule(Rule{Host: 0, Ops: "write", Name: land, Count: 1, Land: land})
		if _, err := h.WriteAt([]byte(strings.Repeat("x", 16*sector)), 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", land, err)
		}
		b, err := os.ReadFile(filepath.Join(w.root, "source", land))
		w.must(err)
		n := bytes.Count(b, []byte("x"))
		if n%sector != 0 || !ok(n/sector) || len(b) != len(zero) {
			t.Errorf("%s: %d bytes of the write are there", land, n)
		}
		if land == "short" && n > 0 && !bytes.HasPrefix(b, bytes.Repeat([]byte("x"), n)) {
			t.Error("a short write is not from its beginning")
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{})
	h, hb := w.file(0, "a", ""), w.file(1, "b", "")
	w.do(Request{Do: "budget", Host: 0, Bytes: 10})
	w.put(h, "12345678", 0)
	if _, err := h.WriteAt([]byte("90abc"), 8); !errors.Is(err, fault.NoSpace) {
		t.Errorf("over the budget: %v, want fault.NoSpace", err)
	}
	w.want(1, "a", "1234567890") // the write that crosses it is done in part
	w.put(hb, "another host has its own", 0)
	if err := h.Allocate(0, 100); !errors.Is(err, fault.NoSpace) {
		t.Errorf("allocate over the budget: %v", err)
	}
	w.do(Request{Do: "budget", Host: AllHosts, Bytes: 3})
	w.put(h, "ab", 0)
	if _, err := hb.WriteAt([]byte("cd"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("over the common budget: %v", err)
	}
	w.do(Request{Do: "clear", Host: AllHosts})
	w.put(hb, "there is room again", 0)
}

func TestDelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{})
	h := w.file(0, "f", "x")
	w.rule(Rule{Ops: "datasync", DelayMS: 80})
	start := time.Now()
	w.must(h.Datasync())
	if d := time.Since(start); d < 80*time.Millisecond {
		t.Errorf("datasync took %v, want at least 80 ms", d)
	}
}

// Stuck operations of every kind land when they are released, in their order, or never.
func TestStuckLandsAtRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{})
	h := w.file(0, "f", "........")
	w.file(0, "gone", "x")
	w.rule(Rule{Host: 0, Ops: "write,create,remove,rename,truncate,mkdir", Stuck: "error", Errno: "ETIMEDOUT"})
	_, werr := h.WriteAt([]byte("late"), 0)
	_, cerr := w.hosts[0].Create("claim")
	for what, err := range map[string]error{"write": werr, "create": cerr, "remove": w.hosts[0].Remove("gone"), "truncate": h.Truncate(6), "mkdir": w.hosts[0].MkdirAll("dir")} {
		if !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("%s: %v, want ETIMEDOUT", what, err)
		}
	}
	w.want(1, "f", "........")
	w.want(1, "gone", "x")
	for _, name := range []string{"claim", "dir"} {
		if _, err := w.hosts[1].Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there already: %v", name, err)
		}
	}
	var n landed
	w.must(w.ctl.Do(Request{Do: "release", Host: 0}, &n))
	if n.Landed != 5 {
		t.Errorf("%d landed, want 5", n.Landed)
	}
	w.want(1, "f", "late..")
	names, err := w.hosts[1].List("")
	if w.must(err); strings.Join(names, " ") != "claim dir f" {
		t.Errorf("names %q", names)
	}
	_, _ = h.WriteAt([]byte("never"), 0)
	w.do(Request{Do: "release", Host: 0, Drop: true})
	w.want(1, "f", "late..")
}

func TestStuckHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{})
	h := w.file(0, "f", "..")
	w.rule(Rule{Ops: "write", Stuck: "hang", Count: 1})
	done := make(chan error, 1)
	go func() { _, err := h.WriteAt([]byte("x"), 0); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("it returned: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	w.do(Request{Do: "release", Host: 0})
	w.must(<-done)
	w.want(0, "f", "x.")
}

func TestFlipAndLie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{})
	clean := strings.Repeat(".", 900)
	h := w.file(0, "f", clean)
	w.rule(Rule{Ops: "read", Flip: 1, Count: 1})
	got, d := read(t, w.hosts[0], "f"), 0
	for i := range got {
		d += bits.OnesCount8(got[i] ^ '.')
	}
	if d != 1 {
		t.Errorf("%d bits flipped, want 1", d)
	}
	w.want(0, "f", clean)
	w.rule(Rule{Ops: "write", Lie: true, Count: 1})
	w.put(h, "never", 0)
	if b, err := os.ReadFile(filepath.Join(w.root, "source", "f")); err != nil || string(b) != clean {
		t.Errorf("a write that was a lie has changed the file: %v", err)
	}
	w.do(Request{Do: "flip", Name: "f", Bits: 3, Off: 10, Len: 5, Seed: 1})
	b, err := os.ReadFile(filepath.Join(w.root, "source", "f"))
	w.must(err)
	changed := 0
	for i := range b {
		if n := bits.OnesCount8(b[i] ^ '.'); n > 0 && (i < 10 || i >= 15) {
			t.Errorf("byte %d was to be left alone", i)
		} else {
			changed += n
		}
	}
	if changed != 3 {
		t.Errorf("%d bits changed, want 3", changed)
	}
}

func TestLocalLocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{LocalLocks: true})
	h := w.file(0, "f", "x")
	same, err := w.hosts[0].Open("f")
	w.must(err)
	other, err := w.hosts[1].Open("f")
	w.must(err)
	t.Cleanup(func() { _, _ = same.Close(), other.Close() })
	w.must(h.Lock(), other.Lock())
	if err := same.Lock(); !errors.Is(err, fault.Exists) {
		t.Errorf("a lock of the same host: %v, want fault.Exists", err)
	}
}

func TestStaleOverwrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{StaleOverwrite: 300 * time.Millisecond})
	h := w.file(0, "f", "one")
	w.want(1, "f", "one") // a new file is seen at once
	start := time.Now()
	w.put(h, "two+", 0)
	got := read(t, w.hosts[1], "f")
	if time.Since(start) < 250*time.Millisecond && got != "one+" {
		t.Errorf("right after the overwrite the other host reads %q, want the old bytes and the new length", got)
	}
	w.want(0, "f", "two+")
	time.Sleep(350 * time.Millisecond) // the write is over: it shows 300 ms later at most
	w.want(1, "f", "two+")
}

func TestStaleRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Options{StaleRename: 300 * time.Millisecond})
	w.file(0, "f", "old")
	w.file(0, "new", "new!")
	start := time.Now()
	w.must(w.hosts[0].Rename("new", "f"))
	w.want(0, "f", "new!")
	got := read(t, w.hosts[1], "f")
	if time.Since(start) < 250*time.Millisecond && got != "old" {
		t.Errorf("right after the rename the other host reads %q", got)
	}
	time.Sleep(350 * time.Millisecond) // since the rename has returned
	w.want(1, "f", "new!")
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost=%v", lost), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, Options{LostAppend: lost})
			var fds []*os.File
			for i := range 2 {
				f, err := os.OpenFile(filepath.Join(w.root, fmt.Sprint("host", i), "f"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
				w.must(err)
				t.Cleanup(func() { _ = f.Close() })
				fds = append(fds, f)
			}
			for range 5 {
				for i, f := range fds {
					_, err := fmt.Fprint(f, i)
					w.must(err)
				}
			}
			if want := map[bool]string{false: "0101010101", true: "11111"}[lost]; read(t, w.hosts[0], "f") != want {
				t.Errorf("content %q, want %q", read(t, w.hosts[0], "f"), want)
			}
		})
	}
}

func TestNoFallocateNoPunchHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{NoFallocate: true, NoPunchHole: true})
	h := w.file(0, "f", "x")
	for what, err := range map[string]error{"allocate": h.Allocate(0, 4096), "punch hole": h.PunchHole(0, 4096)} {
		if !errors.Is(err, fault.NotSupported) {
			t.Errorf("%s: %v, want fault.NotSupported", what, err)
		}
	}
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Options{})
	for name, q := range map[string]Request{
		"unknown request":    {Do: "dance"},
		"unknown host":       {Do: "freeze", Host: 1},
		"negative host":      {Do: "heal", Host: -2},
		"power, not tracked": {Do: "power"},
		"unknown errno":      {Do: "partition", Errno: "EPERHAPS"},
		"unknown locks":      {Do: "freeze", Locks: "keep"},
		"no rule":            {Do: "fail"},
		"unknown operation":  {Do: "fail", Rule: &Rule{Ops: "dance"}},
		"bad glob":           {Do: "fail", Rule: &Rule{Name: "["}},
		"bad probability":    {Do: "fail", Rule: &Rule{Prob: 2}},
		"bad land":           {Do: "fail", Rule: &Rule{Land: "softly"}},
		"bad stuck":          {Do: "fail", Rule: &Rule{Stuck: "up"}},
		"flip of no file":    {Do: "flip", Name: "none", Bits: 1},
		"flip outside":       {Do: "flip", Name: "../x", Bits: 1},
		"no such store":      {Do: "lose", Store: 3},
	} {
		if err := w.ctl.Do(q, nil); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", name, err)
		}
	}
	conn, err := DialControl(filepath.Join(w.root, "control"))
	w.must(err)
	defer func() { _ = conn.Close() }()
	for line, want := range map[string]string{"nonsense\n": "invalid", `{"v":9,"do":"status"}` + "\n": "not supported"} {
		if _, err := conn.conn.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		var r Reply
		if err := conn.dec.Decode(&r); err != nil || r.OK || !strings.Contains(r.Kind, want) {
			t.Errorf("%q: %+v, %v", line, r, err)
		}
	}
	if _, err := w.hosts[0].Stat(""); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// child is a process that uses a mount and talks to the test.
type child struct {
	*exec.Cmd
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

func command(t *testing.T, name string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(name, args...), t: t}
	var err error
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) expect(want string) {
	c.t.Helper()
	if line, err := c.out.ReadString('\n'); strings.TrimSpace(line) != want {
		c.t.Fatalf("the process says %q, %v", line, err)
	}
}

func (c *child) say(line string) {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}
