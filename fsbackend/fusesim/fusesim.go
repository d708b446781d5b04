// Package fusesim simulates a cluster file system on one machine: several FUSE mounts over one directory, each of them a "host" with its own
// kernel caches.
//
// The mounts behave as cluster file systems do at best: a new name, and the removal of one, is seen on every other mount at once, exclusive creation has one winner
// over all of them, locks reach all of them, and a file that is opened shows what was written on another mount before. What was read through an open
// descriptor may stay in that mount's page cache. Nothing is written back late: a write has left the kernel when it returns, and durability is what fsync and
// fdatasync of the directory below say.
//
// Options make it worse, and faults happen through the control socket (PROTOCOL.md, docs/simulator.md): power cuts that take back what was not synced, hosts that are cut off or
// frozen, operations that fail, wait, lie or land late, full disks, damaged bits, lost copies. Every operation asks Options.Intercept before all that.
//
// # Power cuts
//
// Changes go to the source at once. An inode keeps, per file, what its changes since the last sync replaced (journal.go), and names keeps the same for directories,
// with hidden links to removed files (names.go). Cluster.Power undoes all of it and does again what survives.
//
// # Goroutines and locks
//
// Each mount has the goroutines of its FUSE server, which end when it is unmounted; Cluster.Unmount waits for them. A Control has one per connection, and Close waits for them. Locks are
// taken in the order sim.gate, names.mu, inode.mu, stores.mu, then one of the others. An operation decides and waits (simHost.enter) with no lock held, and changes the tree with gate
// held shared; a power cut and a mend hold it alone. I/O happens under gate, names.mu and inode.mu: they order it, which is what they are for. A process that uses a mount should not serve it
// too: the kernel may then wait for itself. The command ostor-fuse serves mounts in a process of their own.
package fusesim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ostor/fsbackend/faultfs"
	"ostor/internal/fault"
)

// maxWriteBytes is the largest request that Linux sends.
const maxWriteBytes = 1 << 20

// Options describe a simulated cluster.
type Options struct {
	Source      string   // existing directory with the cluster's files
	Mountpoints []string // existing directories, at least one: a host each, numbered from 0

	// Intercept is asked before each operation of a host: name is the path below Source ("" for the root). An errno other than 0 is what the caller on that host
	// gets, and the operation does not take place. It may wait. It is called concurrently. nil = nothing is intercepted.
	Intercept func(host int, op faultfs.Op, name string) syscall.Errno `json:"-"`

	// Seed decides what rules leave to chance.
	Seed uint64

	// PowerCuts keeps what every change since the last sync replaced, so that Cluster.Power can put it back: at most 256 MiB, older changes count as written.
	PowerCuts bool

	// FastSync makes fsync and fdatasync end without asking the disk below: fit for power cuts that are simulated, not for real ones.
	FastSync bool

	// DirectIO takes the kernel's cache out of the way of file content: every read and write comes here. With PowerCuts, StaleOverwrite and Stores it is always so.
	// Without it the kernel may, rarely, show a host an old version of a page that two of its threads write parts of at once.
	DirectIO bool

	// LocalLocks keeps file locks on the host that took them, as some mounts do.
	LocalLocks bool

	// StaleOverwrite is how long other hosts go on reading what an overwrite replaced, even by opening the file anew. New files and appended bytes are seen at once.
	StaleOverwrite time.Duration

	// StaleRename is how long other hosts see the old file at a name after a rename over it.
	StaleRename time.Duration

	// LostAppend lets O_APPEND write where this host believes the end to be since it opened the file: two hosts overwrite one another.
	LostAppend bool

	// NoFallocate and NoPunchHole make fallocate(2) fail with EOPNOTSUPP.
	NoFallocate, NoPunchHole bool

	// Stores are existing directories that hold the bytes of files, each standing for a host's disks; Source then holds names and sizes only. See stores.go.
	Stores []string
}

// Cluster is a set of mounts.
type Cluster struct {
	sim     *sim
	points  []string
	servers []*fuse.Server
}

// Mount mounts all hosts. When one cannot be mounted it unmounts the others. It returns fault.Invalid for directories that cannot be used, and fault.NotSupported
// where this process may not mount.
func Mount(o Options) (*Cluster, error) {
	source, err := directory(o.Source)
	if err != nil {
		return nil, err
	}
	if len(o.Mountpoints) == 0 {
		return nil, fault.New(fault.Invalid, "fusesim: no mount point is given")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, fault.Wrap(fault.NotSupported, err, "fusesim: this machine has no FUSE (modprobe fuse, or run the container with --device /dev/fuse)")
	}
	if err := o.validate(source); err != nil {
		return nil, err
	}
	shared, err := newSim(o, source)
	if err != nil {
		return nil, fmt.Errorf("fusesim: %w", err)
	}
	c := &Cluster{sim: shared}
	for host, p := range o.Mountpoints {
		server, point, err := shared.mount(shared.hosts[host], p)
		if err != nil {
			return nil, errors.Join(err, c.Unmount())
		}
		c.points, c.servers = append(c.points, point), append(c.servers, server)
	}
	return c, nil
}

// directory returns the absolute name of an existing directory.
func directory(name string) (string, error) {
	in, err := os.Stat(name)
	switch {
	case errors.Is(err, syscall.ENOTCONN):
		return "", fault.New(fault.Invalid, "fusesim: %s is a mount whose server has died: run fusermount3 -uz %s first", name, name)
	case err != nil:
		return "", fault.Wrap(fault.Invalid, err, "fusesim")
	case !in.IsDir():
		return "", fault.New(fault.Invalid, "fusesim: %s is not a directory", name)
	}
	abs, err := filepath.Abs(name)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	return abs, err
}

// validate makes paths absolute and refuses what makes no sense.
func (o *Options) validate(source string) error {
	if o.StaleOverwrite < 0 || o.StaleRename < 0 {
		return fault.New(fault.Invalid, "fusesim: a time is negative")
	}
	stores := make([]string, len(o.Stores))
	for i, s := range o.Stores {
		abs, err := directory(s)
		if err != nil {
			return err
		}
		if inside(abs, source) || inside(source, abs) {
			return fault.New(fault.Invalid, "fusesim: store %s and source %s contain one another", abs, source)
		}
		stores[i] = abs
	}
	o.Stores = stores
	return nil
}

func (s *sim) mount(h *simHost, at string) (*fuse.Server, string, error) {
	source := s.root
	point, err := directory(at)
	if err != nil {
		return nil, "", err
	}
	if inside(point, source) || inside(source, point) {
		return nil, "", fault.New(fault.Invalid, "fusesim: mount point %s and source %s contain one another", point, source)
	}
	loop, err := fs.NewLoopbackRoot(source)
	if err != nil {
		return nil, "", fmt.Errorf("fusesim: %s: %w", source, err)
	}
	root := &node{LoopbackNode: loop.(*fs.LoopbackNode), host: h}
	root.RootData.RootNode = root

	none := time.Duration(0) // another mount's changes must show at once
	asRoot := os.Geteuid() == 0
	server, err := fs.Mount(point, root, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, NegativeTimeout: &none,
		MountOptions: fuse.MountOptions{
			FsName: source, Name: "ostor", AllowOther: asRoot, DirectMountStrict: asRoot,
			MaxWrite: maxWriteBytes, MaxBackground: 64, DisableSplice: s.opts.DirectIO || s.tracks(), EnableLocks: !s.opts.LocalLocks, DisableXAttrs: len(s.opts.Stores) == 0,
			DisabledCapabilities: fuse.CAP_PASSTHROUGH, // it would go around us
		},
	})
	if err != nil {
		return nil, "", fault.Wrap(fault.NotSupported, err, "fusesim: mount %s", point)
	}
	return server, point, nil
}

func inside(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// Mountpoints returns the absolute names of the mount points, one per host.
func (c *Cluster) Mountpoints() []string { return c.points }

// Wait returns when every mount has ended, however.
func (c *Cluster) Wait() {
	for _, s := range c.servers {
		s.Wait()
	}
}

// unmountPatience is how long Unmount waits for files that are still open.
const unmountPatience = 3 * time.Second

// Unmount ends all mounts. One that stays busy for some seconds is detached: it leaves the tree at once and ends with its last open file; that is an error.
func (c *Cluster) Unmount() error {
	var errs []error
	for _, h := range c.sim.hosts {
		h.off.Store(false)
		h.heal()
		h.release(true)
	}
	c.sim.settleCalm()
	for i, s := range c.servers {
		errs = append(errs, unmount(s, c.points[i]))
	}
	return errors.Join(append(errs, c.sim.close())...)
}

func unmount(s *fuse.Server, point string) error {
	var err error
	for deadline := time.Now().Add(unmountPatience); ; time.Sleep(50 * time.Millisecond) {
		if err = s.Unmount(); err == nil {
			s.Wait()
			return nil
		}
		if time.Now().After(deadline) {
			break
		}
	}
	if e := unix.Unmount(point, unix.MNT_DETACH); e != nil {
		return fmt.Errorf("fusesim: unmount %s: %w", point, errors.Join(err, e))
	}
	return fault.New(fault.Unavailable, "fusesim: %s was busy and has been detached: processes still use it", point)
}
