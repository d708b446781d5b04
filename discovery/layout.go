package discovery

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Directories below the root of the mount's FS.
const (
	servicesDir = "services"
	volumesDir  = "volumes"
)

const (
	claimSuffix  = ".claim" // names are made by package lease
	hostName     = "host"
	volumeName   = "volume"
	maxFileBytes = 1 << 20 // no file read here is larger
)

// ServiceDir returns the directory of a service: services/<16hex>.
func ServiceDir(id cluster.ServiceID) string { return servicesDir + "/" + id.String() }

// VolumeDir returns the directory of a volume's descriptors: volumes/<16hex>.
func VolumeDir(id cluster.ServiceID) string { return volumesDir + "/" + id.String() }

// Services returns the ids of all service directories, ascending; nil when there are none.
func Services(fsys fsbackend.FS) ([]cluster.ServiceID, error) { return listIDs(fsys, servicesDir) }

// VolumeOf returns the volume that a service belongs to. It returns fault.NotFound when the service does not exist.
func VolumeOf(fsys fsbackend.FS, id cluster.ServiceID) (cluster.ServiceID, error) {
	b, err := readFile(fsys, ServiceDir(id)+"/"+volumeName)
	if err != nil {
		return 0, fmt.Errorf("discovery: volume of service %s: %w", id, err)
	}
	v, err := cluster.ParseID(strings.TrimSuffix(string(b), "\n"))
	if err != nil || cluster.ServiceID(v).Type() != cluster.TypeVolume {
		return 0, fault.New(fault.Corrupt, "discovery: %s/%s does not hold a volume id", ServiceDir(id), volumeName)
	}
	return cluster.ServiceID(v), nil
}

// PublishHost writes the host that runs the service in dir, as 16 hex digits and a newline. It is there for people and tools: other mounts may see the former
// content for some seconds, and nothing is decided by it.
func PublishHost(fsys fsbackend.FS, dir string, host cluster.HostID) error {
	name, want := dir+"/"+hostName, host.String()+"\n"
	if b, err := readFile(fsys, name); err == nil && string(b) == want {
		return nil
	}
	tmp := name + "." + host.String()
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discovery: publish host: %w", err)
	}
	if err := createFile(fsys, tmp, []byte(want)); err != nil {
		return fmt.Errorf("discovery: publish host: %w", err)
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return fmt.Errorf("discovery: publish host: %w", err)
	}
	return fsys.SyncDir(dir)
}

// ReadHost returns the host that last published itself for the service in dir. It returns fault.NotFound when none did.
func ReadHost(fsys fsbackend.FS, dir string) (cluster.HostID, error) {
	b, err := readFile(fsys, dir+"/"+hostName)
	if err != nil {
		return 0, fmt.Errorf("discovery: host of %s: %w", dir, err)
	}
	h, err := cluster.ParseID(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return 0, fault.Wrap(fault.Corrupt, err, "discovery: %s/%s", dir, hostName)
	}
	return cluster.HostID(h), nil
}

// listIDs returns the 16-digit hex names in a directory as ids, ascending. Other names are not ours and are skipped.
func listIDs(fsys fsbackend.FS, dir string) ([]cluster.ServiceID, error) {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("discovery: list %s: %w", dir, err)
	}
	var ids []cluster.ServiceID
	for _, n := range names {
		if v, err := cluster.ParseID(n); err == nil && cluster.ServiceID(v).String() == n {
			ids = append(ids, cluster.ServiceID(v))
		}
	}
	return ids, nil
}

// numbers returns the decimal numbers among names with the suffix cut off, and the highest of them (0: none).
func numbers(names []string, suffix string) (list []uint64, highest uint64) {
	for _, n := range names {
		d, ok := strings.CutSuffix(n, suffix)
		if !ok {
			continue
		}
		// Canonical names only: "+1" or "01" could be a second name for a number that exists already.
		v, err := strconv.ParseUint(d, 10, 64)
		if err != nil || v == 0 || fsbackend.GenerationName(v) != d {
			continue
		}
		list = append(list, v)
		highest = max(highest, v)
	}
	return list, highest
}

// readFile returns the content of a small file. It returns fault.NotFound when there is none, and fault.Denied when the file or a directory above it is a symbolic link.
func readFile(fsys fsbackend.FS, name string) ([]byte, error) {
	if err := refuseLinks(fsys, name); err != nil {
		return nil, err
	}
	f, err := fsys.OpenRead(name)
	if err != nil {
		return nil, kinded(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxFileBytes {
		return nil, fault.New(fault.Corrupt, "%s is %d bytes long: want at most %d", name, size, maxFileBytes)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// createFile makes a file that did not exist, with its content and name durable. It returns an fs.ErrExist when the name is taken.
func createFile(fsys fsbackend.FS, name string, content []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	return finish(fsys, f, path.Dir(name), content)
}

// finish writes the content of a new file in dir and makes it and its name durable. f is closed.
func finish(fsys fsbackend.FS, f fsbackend.File, dir string, content []byte) error {
	_, err := f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	return err
}

// makeDir makes a directory two or more levels below the root, its names durable.
func makeDir(fsys fsbackend.FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for d := path.Dir(dir); ; d = path.Dir(d) {
		if d == "." {
			return fsys.SyncDir("")
		}
		if err := fsys.SyncDir(d); err != nil {
			return err
		}
	}
}

// refuseLinks returns fault.Denied when name or a directory above it is a symbolic link: one planted by somebody with access to the mount
// could make us read or send requests anywhere.
func refuseLinks(fsys fsbackend.FS, name string) error {
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := fsys.Stat(name[:i])
		if err != nil {
			return kinded(err)
		}
		if info.Link {
			return fault.New(fault.Denied, "%s is a symbolic link: refused", name[:i])
		}
		if info.Dir != (i < len(name)) {
			return fault.New(fault.Corrupt, "%s is not what it should be: directory %t", name[:i], info.Dir)
		}
	}
	return nil
}

// kinded gives errors of the file system their fault kind.
func kinded(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.NotFound, err, "")
	}
	return err
}
