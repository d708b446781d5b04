package fusesim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"ostor/fsbackend/faultfs"
)

// sim is what the mounts share. Locks are taken in the order gate, names.mu, inode.mu, and then any one of the others.
type sim struct {
	opts  Options
	root  string // the source
	hosts []*simHost

	gate   sync.RWMutex // held shared by each change of the tree, alone by a power cut
	names  *names       // nil = names are not tracked
	stores *stores      // nil = the source holds the bytes
	calm   atomic.Bool  // no fault is set: nothing to decide

	journal atomic.Int64 // bytes held back for power cuts

	mu     sync.Mutex // guards what follows
	rnd    *rand.Rand
	rules  []*active
	lastID int
	inodes map[inodeKey]*inode
	opened uint64 // numbers inodes in the order of their first use
}

func newSim(o Options, source string) (*sim, error) {
	s := &sim{opts: o, root: source, rnd: rand.New(rand.NewPCG(o.Seed, 0x66757365)), inodes: make(map[inodeKey]*inode)}
	s.calm.Store(true)
	if len(o.Stores) > 0 {
		s.stores = newStores(o.Stores)
	}
	if o.PowerCuts || o.StaleRename > 0 {
		var err error
		if s.names, err = newNames(s); err != nil {
			return nil, err
		}
	}
	for i := range o.Mountpoints {
		s.hosts = append(s.hosts, &simHost{number: i, sim: s, intercept: o.Intercept, files: make(map[*file]struct{})})
	}
	return s, nil
}

// abs returns where a path below the source lies.
func (s *sim) abs(name string) string { return filepath.Join(s.root, name) }

// tracks reports whether file content passes through inodes of ours.
func (s *sim) tracks() bool {
	return s.opts.PowerCuts || s.opts.StaleOverwrite > 0 || len(s.opts.Stores) > 0
}

// fires counts the operation and returns the rule that fires on it.
func (s *sim) fires(host int, op faultfs.Op, names []string) *active {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fires *active
	for _, r := range s.rules {
		if !r.matches(host, op, names) {
			continue
		}
		r.matched++
		if n := r.matched - r.Skip; fires == nil && n > 0 && (r.Count == 0 || n <= r.Count) && (r.Prob == 0 || s.rnd.Float64() < r.Prob) {
			fires = r
			r.fired++
		}
	}
	return fires
}

func (s *sim) intn(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.IntN(n)
}

// settleCalm notes whether any fault is set.
func (s *sim) settleCalm() {
	calm := true
	s.mu.Lock()
	calm = calm && len(s.rules) == 0
	s.mu.Unlock()
	for _, h := range s.hosts {
		h.mu.Lock()
		calm = calm && h.cut == 0 && h.frozen == nil
		h.mu.Unlock()
	}
	s.calm.Store(calm)
}

// inodeKey is the identity of a file of the source.
type inodeKey struct{ dev, ino uint64 }

func keyOf(fd int) (inodeKey, *syscall.Stat_t, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return inodeKey{}, nil, err
	}
	return inodeKey{st.Dev, st.Ino}, &st, nil
}

// inode returns the shared state of the file behind an open descriptor; the caller lets go of it with drop.
func (s *sim) inode(fd int) (*inode, error) {
	key, _, err := keyOf(fd)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	in := s.inodes[key]
	if in == nil {
		s.opened++
		in = &inode{sim: s, key: key, id: s.opened}
		s.inodes[key] = in
	}
	in.refs++
	s.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.c == nil {
		if in.c, err = s.open(fd, key); err != nil {
			in.mu.Unlock()
			in.drop()
			in.mu.Lock()
			return nil, err
		}
	}
	return in, nil
}

// open opens the content of a file once more, for reading and writing whatever the caller may do.
func (s *sim) open(fd int, key inodeKey) (content, error) {
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if os.IsPermission(err) {
		f, err = os.Open(name)
	}
	if err != nil {
		return nil, err
	}
	if len(s.opts.Stores) == 0 {
		return plain{f}, nil
	}
	return s.openCopies(f, key)
}

// drop lets go of an inode. One with changes that are not durable stays.
func (in *inode) drop() {
	in.sim.mu.Lock()
	in.refs--
	unused, many := in.refs == 0, len(in.sim.inodes) > maxInodes
	in.sim.mu.Unlock()
	if unused {
		in.tidy(many)
	}
}

// maxInodes bounds the descriptors of files that are closed and not durable.
const maxInodes = 2048

// tidy closes an inode that nobody needs: not open, and durable or without a name. settle takes it as durable.
func (in *inode) tidy(settle bool) {
	s := in.sim
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.entries) > 0 && in.c != nil {
		if links, err := in.c.Links(); !settle && err == nil && links > 0 {
			return
		}
		in.settle(in.seq)
	}
	s.mu.Lock()
	gone := in.refs == 0 && s.inodes[in.key] == in
	if gone {
		delete(s.inodes, in.key)
	}
	s.mu.Unlock()
	if gone && in.c != nil {
		_ = in.c.Close()
	}
}

// close gives back what the simulator keeps in the source; changes that were not synced stay.
func (s *sim) close() error {
	for _, in := range s.all() {
		in.mu.Lock()
		in.settle(in.seq)
		in.mu.Unlock()
		in.drop()
	}
	return s.names.close()
}
