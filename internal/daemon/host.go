package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Host is the machine that this process runs on.
type Host struct {
	ID    cluster.HostID
	Local fsbackend.FS // host-local directory: locks that show when a process has ended
	Run   string       // path of the directory for unix sockets
}

// OpenHost reads the host's identity from the local directory, or makes it. The run directory is made private to the user.
func OpenHost(c Config) (*Host, error) {
	if err := MakeDir(c.Local); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "make the host-local directory; choose another with --local-dir")
	}
	local, err := fsbackend.NewOS(c.Local)
	if err != nil {
		return nil, err
	}
	id, err := hostID(filepath.Join(c.Local, "host-id"))
	if err != nil {
		return nil, err
	}
	if err := privateDir(c.Run); err != nil {
		return nil, err
	}
	return &Host{ID: id, Local: local, Run: c.Run}, nil
}

// hostID reads the id in a file, or draws one. Several processes may start at once: the file appears whole, by a link that one of them wins.
func hostID(name string) (cluster.HostID, error) {
	for range 3 {
		text, err := os.ReadFile(name)
		if err == nil {
			id, err := cluster.ParseID(strings.TrimSpace(string(text)))
			if err != nil || id == 0 {
				return 0, fault.New(fault.Invalid, "%s does not hold a host id of 16 hex digits: restore it, or remove it to give the host a new identity", name)
			}
			return cluster.HostID(id), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("read the host's identity: %w", err)
		}
		if err := writeOnce(name, []byte(cluster.HostID(cluster.RandomID()).String()+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return 0, fmt.Errorf("write the host's identity: %w", err)
		}
	}
	return 0, fault.New(fault.Unavailable, "%s comes and goes", name)
}

// writeOnce makes a durable file of the host, whole or not at all; fs.ErrExist when it is there.
func writeOnce(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), name)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// privateDir makes a directory that only this user can enter, and refuses one that belongs to another or is open: sockets in it would be too.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "make the directory for sockets; choose another with --run-dir")
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !ownedByUs(st) {
		return fault.New(fault.Invalid, "%s must be a directory of this user with mode 0700; choose another with --run-dir", dir)
	}
	return nil
}
