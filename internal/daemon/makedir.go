package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"ostor/internal/fault"
)

// MakeDir makes a directory (0700) and its missing parents, their names durable: what is kept below would be lost with them in a power cut.
func MakeDir(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Invalid, err, "make the directory")
	}
	// Also when it is there: who made it may have been cut off before this.
	d, err := os.Open(parent)
	if errors.Is(err, fs.ErrPermission) {
		return nil // then it was made by somebody else, for us
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
