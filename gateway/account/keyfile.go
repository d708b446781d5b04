package account

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// LoadKey returns the cluster key in a file. It returns fs.ErrNotExist when there is none, fault.Corrupt when it is not a whole key.
func LoadKey(m fsbackend.FS, name string) ([]byte, error) {
	info, err := m.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("account: cluster key: %w", err)
	case info.Dir || info.Link:
		return nil, fault.New(fault.Invalid, "account: cluster key %s is not a regular file", name)
	}
	f, err := m.OpenRead(name)
	if err != nil {
		return nil, fmt.Errorf("account: cluster key: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readKey(f)
}

// readKey reads a file that holds exactly one key. It returns fault.Corrupt for another length.
func readKey(f fsbackend.File) ([]byte, error) {
	b := make([]byte, KeyBytes+1)
	n, err := f.ReadAt(b, 0)
	switch {
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("account: read cluster key: %w", err)
	case n != KeyBytes:
		return nil, fault.New(fault.Corrupt, "account: cluster key file %s has not exactly %d bytes", f.Name(), KeyBytes)
	}
	return b[:KeyBytes], nil
}

// LoadOrCreateKey returns the cluster key in a file of an existing directory, and makes it first when there is none. A key is returned only once it is durable. Two callers on
// one host get the same key; that no two hosts make a volume at once is the caller's care. It returns fault.Unavailable while another caller is writing the file.
func LoadOrCreateKey(m fsbackend.FS, name string) ([]byte, error) {
	key, err := LoadKey(m, name)
	switch {
	case err == nil:
		// The file may be there because its maker is just before its SyncDir.
		if err := m.SyncDir(path.Dir(name)); err != nil {
			return nil, fmt.Errorf("account: cluster key: %w", err)
		}
		return key, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fault.Corrupt):
		return nil, err
	}
	f, err := m.Create(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = m.Open(name)
	}
	if err != nil {
		return nil, fmt.Errorf("account: create cluster key: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Lock(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "account: cluster key %s is being made by another process", name)
	}
	// Under the lock: whole when another caller was faster, short when one crashed before it could use the key.
	switch size, err := f.Size(); {
	case err != nil:
		return nil, fmt.Errorf("account: cluster key: %w", err)
	case size >= KeyBytes:
		if key, err = readKey(f); err != nil {
			return nil, err
		}
	default:
		key = make([]byte, KeyBytes)
		rand.Read(key) // never fails: crypto/rand, Go 1.24
		if _, err := f.WriteAt(key, 0); err != nil {
			return nil, fmt.Errorf("account: write cluster key: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("account: sync cluster key: %w", err)
	}
	if err := m.SyncDir(path.Dir(name)); err != nil {
		return nil, fmt.Errorf("account: sync directory of cluster key: %w", err)
	}
	return key, nil
}
