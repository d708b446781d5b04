package fusesim

import (
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ostor/fsbackend/faultfs"
	"ostor/internal/fault"
)

// AllHosts stands for every host where a host number is asked for.
const AllHosts = -1

// Rule is one fault of a host's operations, as it travels through the control socket. The first rule that fires decides.
type Rule struct {
	Host  int     `json:"host"`            // AllHosts = any
	Ops   string  `json:"ops,omitempty"`   // names of kinds, comma-separated (see PROTOCOL.md); "" = all
	Name  string  `json:"name,omitempty"`  // glob over the path below the source, or over its last part when it holds no slash; "" = any
	Skip  int     `json:"skip,omitempty"`  // so many matching operations pass first
	Count int     `json:"count,omitempty"` // then so many are hit; 0 = all that follow
	Prob  float64 `json:"prob,omitempty"`  // of each of these only this share, by the seed; 0 = all

	Errno   string `json:"errno,omitempty"`   // what the caller gets: "EIO" (default unless another effect is given), "ENOSPC", ...
	Land    string `json:"land,omitempty"`    // what of the operation happens before that: "none" (default), "whole"; of writes "short", "torn"
	DelayMS int64  `json:"delayMs,omitempty"` // wait first
	Flip    int    `json:"flip,omitempty"`    // flip so many random bits of what a read returns
	Lie     bool   `json:"lie,omitempty"`     // report success and do nothing
	Stuck   string `json:"stuck,omitempty"`   // "error": fail now and land at release; "hang": wait for release
}

// opNames are the kinds and sets of Rule.Ops.
var opNames = map[string]faultfs.Op{"create": faultfs.OpCreate, "open": faultfs.OpOpen, "rename": faultfs.OpRename, "remove": faultfs.OpRemove,
	"mkdir": faultfs.OpMkdir, "list": faultfs.OpList, "stat": faultfs.OpStat, "syncdir": faultfs.OpSyncDir, "read": faultfs.OpRead, "write": faultfs.OpWrite,
	"datasync": faultfs.OpDatasync, "sync": faultfs.OpSync, "truncate": faultfs.OpTruncate, "allocate": faultfs.OpAllocate, "punch": faultfs.OpPunch,
	"lock": faultfs.OpLock, "all": faultfs.All, "syncs": faultfs.Syncs, "changes": faultfs.Changes}

func parseOps(s string) (faultfs.Op, error) {
	if s == "" {
		return faultfs.All, nil
	}
	var ops faultfs.Op
	for _, name := range strings.Split(s, ",") {
		op, ok := opNames[strings.TrimSpace(name)]
		if !ok {
			return 0, fault.New(fault.Invalid, "fusesim: there is no operation %q", name)
		}
		ops |= op
	}
	return ops, nil
}

func errnoOf(name string) (syscall.Errno, error) {
	for e := syscall.Errno(1); e < 140; e++ {
		if unix.ErrnoName(e) == name {
			return e, nil
		}
	}
	return 0, fault.New(fault.Invalid, "fusesim: there is no error %q: want a name such as EIO", name)
}

// active is a rule at work; the fields below Rule are guarded by sim.mu.
type active struct {
	Rule
	id      int
	ops     faultfs.Op
	errno   syscall.Errno
	matched int
	fired   int64
}

func (r Rule) compile(hosts int) (*active, error) {
	a := &active{Rule: r}
	var err error
	if a.ops, err = parseOps(r.Ops); err != nil {
		return nil, err
	}
	if _, err := path.Match(r.Name, ""); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "fusesim: name %q", r.Name)
	}
	if r.Errno != "" {
		if a.errno, err = errnoOf(r.Errno); err != nil {
			return nil, err
		}
	} else if r.DelayMS == 0 && r.Flip == 0 && !r.Lie && r.Stuck != "hang" {
		a.errno = syscall.EIO
	}
	switch {
	case r.Host < AllHosts || r.Host >= hosts:
		return nil, fault.New(fault.Invalid, "fusesim: there is no host %d", r.Host)
	case r.Skip < 0 || r.Count < 0 || r.Prob < 0 || r.Prob > 1 || r.DelayMS < 0 || r.DelayMS > time.Hour.Milliseconds() || r.Flip < 0 || r.Flip > 1<<20:
		return nil, fault.New(fault.Invalid, "fusesim: a number of the rule is out of range")
	case r.Land != "" && r.Land != "none" && r.Land != "whole" && r.Land != "short" && r.Land != "torn":
		return nil, fault.New(fault.Invalid, "fusesim: land %q: want none, whole, short or torn", r.Land)
	case r.Stuck != "" && r.Stuck != "error" && r.Stuck != "hang":
		return nil, fault.New(fault.Invalid, "fusesim: stuck %q: want error or hang", r.Stuck)
	}
	return a, nil
}

func (a *active) matches(host int, op faultfs.Op, names []string) bool {
	if a.ops&op == 0 || a.Host != AllHosts && a.Host != host {
		return false
	}
	if a.Name == "" {
		return true
	}
	for _, name := range names {
		if !strings.Contains(a.Name, "/") {
			name = path.Base(name)
		}
		if ok, _ := path.Match(a.Name, name); ok {
			return true
		}
	}
	return false
}
