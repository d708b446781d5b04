package fusesim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"ostor/internal/fault"
)

// Lost says what a power cut took.
type Lost struct {
	Files   int `json:"files"`   // with changes that are gone, in whole or in part
	Changes int `json:"changes"` // of content
	Names   int `json:"names"`   // operations on names
}

// Power cuts the power of a host, or of all with AllHosts: what they changed and did not sync is lost as keep says, their locks end, and every operation of theirs fails
// with ENOTCONN until Boot. What was open is stale for ever. Operations that are stuck (freeze, Rule.Stuck) are on their way already: they land when released.
// The same seed on the same history takes the same.
func (c *Cluster) Power(host int, keep Keep, seed uint64) (Lost, error) {
	s := c.sim
	switch {
	case !s.opts.PowerCuts:
		return Lost{}, fault.New(fault.Invalid, "fusesim: the mounts do not track what was synced: start them with PowerCuts (--control does)")
	case keep != KeepNothing && keep != KeepEverything && keep != KeepSome:
		return Lost{}, fault.New(fault.Invalid, "fusesim: keep %q: want nothing, everything or some", keep)
	}
	hosts, err := c.pick(host)
	if err != nil {
		return Lost{}, err
	}
	failed := func(h int) bool { return host == AllHosts || h == host }
	rnd := rand.New(rand.NewPCG(seed, 0x706f776572))

	for _, h := range hosts {
		h.off.Store(true) // what waits to begin will not
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	for _, h := range hosts {
		h.boot.Add(1)
		h.dropLocks()
	}
	var lost Lost
	inodes := s.all()
	for _, in := range inodes {
		n, e := in.revert(failed, keep, rnd)
		if err = errors.Join(err, e); n > 0 {
			lost.Files++
			lost.Changes += n
		}
	}
	n, e := s.names.revert(failed, keep, rnd)
	lost.Names, err = n, errors.Join(err, e)
	for _, in := range inodes {
		in.drop()
	}
	return lost, err
}

// Boot gives a host its power back.
func (c *Cluster) Boot(host int) error {
	hosts, err := c.pick(host)
	for _, h := range hosts {
		h.off.Store(false)
	}
	return err
}

func (c *Cluster) pick(host int) ([]*simHost, error) {
	switch {
	case host == AllHosts:
		return c.sim.hosts, nil
	case host < 0 || host >= len(c.sim.hosts):
		return nil, fault.New(fault.Invalid, "fusesim: there is no host %d: have 0 to %d", host, len(c.sim.hosts)-1)
	}
	return c.sim.hosts[host : host+1], nil
}

// all returns the inodes in the order of their first use, each with a reference.
func (s *sim) all() []*inode {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*inode
	for _, in := range s.inodes {
		in.refs++
		all = append(all, in)
	}
	slices.SortFunc(all, func(a, b *inode) int { return int(int64(a.id) - int64(b.id)) })
	return all
}

// forgotten looks after a file that may have lost its last name.
func (s *sim) forgotten(key inodeKey) {
	s.mu.Lock()
	in := s.inodes[key]
	if in != nil {
		in.refs++
	}
	s.mu.Unlock()
	if in != nil {
		in.drop()
	}
}

// dropLocks ends the locks of a host, as a cluster does with a client that is gone.
func (h *simHost) dropLocks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.files {
		fd, ok := f.PassthroughFd()
		if !ok {
			continue
		}
		_ = unix.Flock(fd, unix.LOCK_UN)
		_ = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: syscall.F_UNLCK})
	}
}
