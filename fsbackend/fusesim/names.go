package fusesim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// graveyard is the directory of the source, hidden from all mounts, where links keep removed files that a power cut may bring back.
const graveyard = ".ostor-fuse-graveyard"

// names remembers the changes of names that no sync of their directory made durable, and how to undo them. Hard links, symbolic links and renames of directories are
// durable at once: nothing of ours relies on them being lost.
type names struct {
	sim *sim
	dir string // absolute name of the graveyard

	mu      sync.Mutex // guards what follows, and orders changes of names
	ops     []nameOp   // oldest first
	graves  map[inodeKey]*grave
	buried  uint64
	renamed map[string]staleName // by path: what other hosts still see there
}

// target is what a name leads to.
type target struct {
	grave *grave      // a file
	mode  os.FileMode // of a directory; 0 with no grave = there is no such name
}

// grave is a hidden link of a file. It is counted by those who may need it.
type grave struct {
	key  inodeKey
	name string
	refs int
}

// nameOp is one operation: one name that changed, or the two of a rename.
type nameOp struct {
	host    int
	changes []nameChange
}

type nameChange struct {
	name          string // path below the source
	before, after target
}

// staleName is what other hosts see at a name after a rename over it.
type staleName struct {
	host  int
	old   *grave
	until time.Time
}

func newNames(s *sim) (*names, error) {
	n := &names{sim: s, dir: filepath.Join(s.root, graveyard), graves: make(map[inodeKey]*grave), renamed: make(map[string]staleName)}
	if err := os.RemoveAll(n.dir); err != nil {
		return nil, err
	}
	return n, os.Mkdir(n.dir, 0o700)
}

func (n *names) abs(name string) string { return filepath.Join(n.sim.root, name) }

// look finds what a name leads to now, and takes a reference. n.mu must be held.
func (n *names) look(name string) (target, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(n.abs(name), &st)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return target{}, nil
	case err != nil:
		return target{}, err
	case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return target{mode: os.ModeDir | os.FileMode(st.Mode&0o777)}, nil
	}
	key := inodeKey{st.Dev, st.Ino}
	g := n.graves[key]
	if g == nil {
		n.buried++
		g = &grave{key: key, name: filepath.Join(n.dir, fmt.Sprint(n.buried))}
		if err := os.Link(n.abs(name), g.name); err != nil {
			return target{}, err
		}
		n.graves[key] = g
	}
	g.refs++
	return target{grave: g}, nil
}

// unref lets go of a target. n.mu must be held.
func (n *names) unref(ts ...target) {
	for _, t := range ts {
		if t.grave == nil {
			continue
		}
		if t.grave.refs--; t.grave.refs == 0 {
			delete(n.graves, t.grave.key)
			_ = os.Remove(t.grave.name)
			n.sim.forgotten(t.grave.key)
		}
	}
}

// change does an operation on names and remembers it. Files among the names are kept as long as somebody may need them.
func (n *names) change(host int, do func() syscall.Errno, touched ...string) syscall.Errno {
	n.mu.Lock()
	defer n.mu.Unlock()
	op := nameOp{host: host}
	for _, name := range touched {
		t, err := n.look(name)
		if err != nil {
			n.unrefOp(op)
			return errnoFrom(err)
		}
		op.changes = append(op.changes, nameChange{name: name, before: t})
	}
	if errno := do(); errno != 0 {
		n.unrefOp(op)
		return errno
	}
	for i := range op.changes {
		c := &op.changes[i]
		t, err := n.look(c.name)
		if err != nil {
			n.unrefOp(op)
			return errnoFrom(err)
		}
		c.after = t
	}
	if len(touched) == 2 && n.sim.opts.StaleRename > 0 {
		n.hide(host, op.changes[1])
	}
	dirMoved := len(touched) == 2 && op.changes[0].before.mode != 0
	op.changes = slices.DeleteFunc(op.changes, func(c nameChange) bool {
		if same := c.before == c.after; same || dirMoved || !n.sim.opts.PowerCuts {
			n.unref(c.before, c.after)
			return true
		}
		return false
	})
	if dirMoved { // paths have changed: what is below counts as durable
		n.settle(func(name string) bool { return inside(name, touched[0]) || inside(name, touched[1]) })
	}
	if len(op.changes) > 0 {
		n.ops = append(n.ops, op)
	}
	return 0
}

func (n *names) unrefOp(op nameOp) {
	for _, c := range op.changes {
		n.unref(c.before, c.after)
	}
}

// settle makes changes of the names that match durable. n.mu must be held.
func (n *names) settle(match func(name string) bool) {
	for i := range n.ops {
		n.ops[i].changes = slices.DeleteFunc(n.ops[i].changes, func(c nameChange) bool {
			if match(c.name) {
				n.unref(c.before, c.after)
				return true
			}
			return false
		})
	}
	n.ops = slices.DeleteFunc(n.ops, func(op nameOp) bool { return len(op.changes) == 0 })
}

// syncDir makes the changes in a directory durable.
func (n *names) syncDir(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle(func(name string) bool { return parentOf(name) == dir })
}

func parentOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// hide lets other hosts see what a rename replaced for a while. n.mu must be held.
func (n *names) hide(host int, c nameChange) {
	if c.before.grave == nil {
		return
	}
	if old, ok := n.renamed[c.name]; ok {
		n.unref(target{grave: old.old})
	}
	c.before.grave.refs++
	n.renamed[c.name] = staleName{host, c.before.grave, time.Now().Add(n.sim.opts.StaleRename)}
}

// see returns the absolute name of what a host sees at a path: the source's, or the grave of what was there before a rename.
func (n *names) see(host int, name string) (at string, stale bool) {
	if n == nil || n.sim.opts.StaleRename == 0 {
		return "", false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	old, ok := n.renamed[name]
	if !ok {
		return "", false
	}
	if time.Now().After(old.until) {
		delete(n.renamed, name)
		n.unref(target{grave: old.old})
		return "", false
	}
	return old.old.name, old.host != host
}

// revert loses power: the changes of names by the hosts that failed are taken back as keep says. sim.gate must be held alone.
func (n *names) revert(failed func(host int) bool, keep Keep, rnd *rand.Rand) (lost int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := make(map[string]target) // what the names that changed lead to afterwards
	var rest []nameOp
	for _, op := range n.ops {
		kept := !failed(op.host) || keep == KeepEverything || keep == KeepSome && rnd.IntN(2) == 0
		if !kept {
			lost++
		}
		for _, c := range op.changes {
			if _, ok := want[c.name]; !ok {
				want[c.name] = c.before
			}
			if kept {
				want[c.name] = c.after
			}
		}
		if !failed(op.host) {
			rest = append(rest, op)
		}
	}
	sorted := make([]string, 0, len(want))
	for name := range want {
		sorted = append(sorted, name)
	}
	slices.SortFunc(sorted, func(a, b string) int { // parents first
		if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range sorted {
		err = errors.Join(err, n.put(name, want[name]))
	}
	for _, op := range n.ops {
		if failed(op.host) {
			n.unrefOp(op)
		}
	}
	n.ops = rest
	return lost, err
}

// put makes a name lead to a target again. n.mu must be held.
func (n *names) put(name string, t target) error {
	at := n.abs(name)
	var parent syscall.Stat_t
	if syscall.Lstat(filepath.Dir(at), &parent) != nil {
		return nil // the directory is lost, and all below it
	}
	now, err := n.look(name)
	if err != nil {
		return err
	}
	defer n.unref(now)
	if now == t || now.mode != 0 && t.mode != 0 {
		return nil
	}
	if now != (target{}) {
		if err := os.RemoveAll(at); err != nil {
			return err
		}
	}
	switch {
	case t.grave != nil:
		return os.Link(t.grave.name, at)
	case t.mode != 0:
		return os.Mkdir(at, t.mode.Perm())
	}
	return nil
}

// close gives the graveyard back.
func (n *names) close() error {
	if n == nil {
		return nil
	}
	return os.RemoveAll(n.dir)
}
