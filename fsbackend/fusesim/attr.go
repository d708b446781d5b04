package fusesim

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
)

// Attributes of files and directories, as extended attributes user.vstorage.*: replicas=norm[:min], failure-domain, tier. What is made in a directory
// inherits them. They are kept and checked with Options.Stores only; failure-domain and tier are kept and have no effect, as each store is a host of its own
// and of one kind.
const attrPrefix = "user.vstorage."

var attrNames = []string{"replicas", "failure-domain", "tier"}

var (
	_ fs.NodeSetxattrer    = (*node)(nil)
	_ fs.NodeGetxattrer    = (*node)(nil)
	_ fs.NodeListxattrer   = (*node)(nil)
	_ fs.NodeRemovexattrer = (*node)(nil)
)

// redundancy is the attribute replicas.
type redundancy struct {
	norm, least int // copies of a new file; copies that a write needs
}

// oneCopy is what holds without the attribute.
var oneCopy = redundancy{1, 1}

const maxReplicas = 15

// parseRedundancy reads norm[:min]; without min, norm-1 copies are enough to write, at least one.
func parseRedundancy(s string) (redundancy, bool) {
	norm, least, two := strings.Cut(s, ":")
	var r redundancy
	var err error
	if r.norm, err = strconv.Atoi(norm); err != nil || r.norm < 1 || r.norm > maxReplicas {
		return oneCopy, false
	}
	r.least = 1
	if two {
		if r.least, err = strconv.Atoi(least); err != nil || r.least < 1 || r.least > r.norm {
			return oneCopy, false
		}
	}
	return r, true
}

func redundancyOf(fd int) redundancy {
	b := make([]byte, 32)
	n, err := unix.Fgetxattr(fd, attrPrefix+"replicas", b)
	if err != nil {
		return oneCopy
	}
	r, _ := parseRedundancy(string(b[:n]))
	return r
}

// checkAttr refuses values that have no meaning.
func (s *sim) checkAttr(name, value string) syscall.Errno {
	ok := false
	switch strings.TrimPrefix(name, attrPrefix) {
	case "replicas":
		var r redundancy
		if r, ok = parseRedundancy(value); ok && r.norm > len(s.opts.Stores) {
			return syscall.ENOSPC // there are not so many hosts
		}
	case "failure-domain":
		switch value {
		case "disk", "host", "rack", "row", "room", "0", "1", "2", "3", "4":
			ok = true
		}
	case "tier":
		ok = len(value) == 1 && value[0] >= '0' && value[0] <= '3'
	}
	if !ok {
		return syscall.EINVAL
	}
	return fs.OK
}

func (n *node) Setxattr(ctx context.Context, attr string, data []byte, flags uint32) syscall.Errno {
	if !strings.HasPrefix(attr, attrPrefix) {
		return syscall.EOPNOTSUPP
	}
	if errno := n.host.sim.checkAttr(attr, string(data)); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Setxattr(ctx, attr, data, flags)
}

func (n *node) Getxattr(ctx context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(attr, attrPrefix) {
		return 0, syscall.ENODATA
	}
	return n.LoopbackNode.Getxattr(ctx, attr, dest)
}

func (n *node) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return n.LoopbackNode.Listxattr(ctx, dest)
}

func (n *node) Removexattr(ctx context.Context, attr string) syscall.Errno {
	return n.LoopbackNode.Removexattr(ctx, attr)
}

// inherit gives what was made the attributes of its directory.
func (n *node) inherit(name string) {
	s := n.host.sim
	if s.stores == nil {
		return
	}
	for _, a := range attrNames {
		b := make([]byte, 32)
		if l, err := unix.Lgetxattr(s.abs(parentOf(name)), attrPrefix+a, b); err == nil {
			_ = unix.Lsetxattr(s.abs(name), attrPrefix+a, b[:l], 0)
		}
	}
}
