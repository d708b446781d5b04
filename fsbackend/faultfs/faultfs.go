// Package faultfs wraps any fsbackend.FS and makes operations fail by explicit rules.
//
// A [Rule] names operations (kinds, a glob over names, which occurrences) and what happens to them: an error, a short or torn write, a delay, bits flipped in what
// was read, success without the deed, or an operation that is stuck and lands when the test says so. What is left to chance comes from the seed.
//
// The n-th operation failing, for all n, is [Each]:
//
//	faultfs.Each(faultfs.Changes, func() fsbackend.FS { return memfs.New() }, func(f *faultfs.FS, n int) { ... })
//
// There are no goroutines. FS.mu guards the rules and is not held during I/O.
package faultfs

import (
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/invariant"
)

// Op is a set of kinds of operations.
type Op uint32

// The kinds, and sets of them.
const (
	OpCreate Op = 1 << iota
	OpOpen      // Open and OpenRead
	OpRename    // matches by either name
	OpRemove
	OpMkdir
	OpList
	OpStat
	OpSyncDir
	OpRead
	OpWrite
	OpDatasync
	OpSync
	OpSize
	OpTruncate
	OpAllocate
	OpPunch
	OpLock
	opEnd

	All     = opEnd - 1
	Syncs   = OpDatasync | OpSync | OpSyncDir
	Changes = OpCreate | OpRename | OpRemove | OpMkdir | OpWrite | OpTruncate | OpAllocate | OpPunch | Syncs
)

// Land says how much of a failing operation takes place before the error is returned.
type Land uint8

// The ways to fail.
const (
	None  Land = iota // nothing happened
	Whole             // it was done all the same
	Short             // of a write, a random number of sectors from its start; otherwise None
	Torn              // of a write, each sector of 512 bytes or not, at random; otherwise None
)

// Rule is one fault. The first rule that fires decides.
type Rule struct {
	Ops  Op     // kinds; 0 = All
	Name string // glob (path.Match) over the whole name, or over its last part when it holds no slash; "" = any name

	Skip  int     // so many matching operations pass first
	Count int     // then so many are hit; 0 = all that follow
	Prob  float64 // of each of these only this share, by the seed; 0 = all

	Err   error         // what the caller gets; nil = EIO, unless one of Delay, Flip, Lie, Stuck says otherwise
	Land  Land          // what happens before that
	Delay time.Duration // wait first; with nothing else set the operation is then done as usual
	Flip  int           // flip so many random bits of what a read returned; no error
	Lie   bool          // report success and do nothing (a write or sync that never was)
	Stuck *Stuck        // hold the operation until Stuck.Release
	Then  func()        // called when the rule fires, after the operation; may be nil
}

// FS is the wrapper. Safe for concurrent use.
type FS struct {
	under fsbackend.FS

	mu     sync.Mutex // guards what follows
	rnd    *rand.Rand
	rules  []*active
	budget int64 // bytes that may still be written; < 0 = no limit
	seen   map[Op]int64
	fired  int64
}

type active struct {
	Rule
	matched int // matching operations so far
}

var (
	_ fsbackend.FS   = (*FS)(nil)
	_ fsbackend.File = (*file)(nil)
)

// New wraps under. Without rules every operation passes.
func New(under fsbackend.FS, seed uint64, rules ...Rule) *FS {
	f := &FS{under: under, rnd: rand.New(rand.NewPCG(seed, 0x6661756c74)), budget: -1, seen: make(map[Op]int64)}
	f.Add(rules...)
	return f
}

// FailNth wraps under so that the n-th operation (from 1) of the kinds fails with EIO, once, and did not take place.
func FailNth(under fsbackend.FS, ops Op, n int) *FS {
	return New(under, uint64(n), Rule{Ops: ops, Skip: n - 1, Count: 1})
}

// Each calls run with a file system of newFS whose n-th operation of the kinds fails, for n = 1, 2, ... until a run meets no failure, and returns
// how many operations it made fail. That last run, without a fault, is counted in neither.
func Each(ops Op, newFS func() fsbackend.FS, run func(f *FS, n int)) int {
	for n := 1; ; n++ {
		f := FailNth(newFS(), ops, n)
		run(f, n)
		if f.Fired() == 0 {
			return n - 1
		}
	}
}

// CountOps returns how many operations of the kinds, on names that match the glob, run does on under.
func CountOps(under fsbackend.FS, ops Op, glob string, run func(fsbackend.FS)) int {
	f := New(under, 0, Rule{Ops: ops, Name: glob, Skip: int(^uint(0) >> 1)})
	run(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rules[0].matched
}

// Add appends rules. It panics on a malformed glob.
func (f *FS) Add(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		_, err := path.Match(r.Name, "")
		invariant.Assert(err == nil, "faultfs: glob %q: %v", r.Name, err)
		if r.Ops == 0 {
			r.Ops = All
		}
		f.rules = append(f.rules, &active{Rule: r})
	}
}

// Clear removes all rules and the budget. Stuck operations stay stuck.
func (f *FS) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.budget = nil, -1
}

// SetBudget makes the file system full after so many more bytes of WriteAt and Allocate: the write that crosses it is done in part and returns ENOSPC. < 0 = no limit.
func (f *FS) SetBudget(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.budget = bytes
}

// Seen returns how many operations of the kinds were asked for, hit or not.
func (f *FS) Seen(ops Op) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	for op, count := range f.seen {
		if op&ops != 0 {
			n += count
		}
	}
	return n
}

// Fired returns how many operations a rule has hit.
func (f *FS) Fired() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// hit counts the operation and returns the rule that fires on it, nil for none.
func (f *FS) hit(op Op, names ...string) *Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[op]++
	var fires *Rule
	for _, r := range f.rules {
		if r.Ops&op == 0 || !r.matches(names) {
			continue
		}
		r.matched++
		if n := r.matched - r.Skip; fires == nil && n > 0 && (r.Count == 0 || n <= r.Count) && (r.Prob == 0 || f.rnd.Float64() < r.Prob) {
			fires = &r.Rule
			f.fired++
		}
	}
	return fires
}

func (r *Rule) matches(names []string) bool {
	if r.Name == "" {
		return true
	}
	for _, name := range names {
		if !strings.Contains(r.Name, "/") {
			name = path.Base(name)
		}
		if ok, _ := path.Match(r.Name, name); ok {
			return true
		}
	}
	return false
}

// failure is what the caller of a hit operation gets.
func (r *Rule) failure(op, name string) error {
	err := r.Err
	if err == nil {
		err = syscall.EIO
	}
	err = &fs.PathError{Op: op, Path: name, Err: err}
	switch r.Err {
	case syscall.ENOSPC, syscall.EDQUOT:
		return &fault.Error{Kind: fault.NoSpace, Err: err}
	case syscall.EOPNOTSUPP:
		return &fault.Error{Kind: fault.NotSupported, Err: err}
	}
	return err
}

// passes reports whether the operation goes on as usual after the delay.
func (r *Rule) passes() bool {
	return r.Err == nil && r.Stuck == nil && !r.Lie && (r.Delay > 0 || r.Flip > 0)
}

// do runs one operation other than a write under the rules. land does the operation.
func (f *FS) do(op Op, verb, name string, land func() error, more ...string) error {
	r := f.hit(op, append(more, name)...)
	if r == nil {
		return land()
	}
	if r.Then != nil {
		defer r.Then()
	}
	if r.Delay > 0 {
		time.Sleep(r.Delay)
	}
	switch {
	case r.passes():
		return land()
	case r.Lie:
		return nil
	case r.Stuck != nil:
		return r.Stuck.hold(r, r.failure(verb, name), land)
	case r.Land == Whole:
		_ = land()
	}
	return r.failure(verb, name)
}
