package fsbackend

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// directFile is a second descriptor of a file, for writes around the page cache; opened at the first of them. Where that is not possible it stays closed and
// everything is written through the cache.
type directFile struct {
	open atomic.Pointer[os.File]
	mu   sync.Mutex
	off  atomic.Bool // closed, or not possible here
}

// writeDirectAt implements directWriter. A mount that refuses a direct write (EINVAL) gets it the other way, this one and all others of the file.
func (f *osFile) writeDirectAt(p []byte, off int64) (int, error) {
	if !aligned(p, off) {
		return f.WriteAt(p, off)
	}
	d := f.direct.get(f)
	if d == nil {
		return f.WriteAt(p, off)
	}
	n, err := d.WriteAt(p, off)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, os.ErrClosed) {
		f.direct.off.Store(true)
		return f.WriteAt(p, off) // the whole piece: the same bytes to the same place
	}
	return n, wrap("write", f.name, err)
}

// get returns the descriptor, nil when there is none. It is opened through the descriptor that is held already, so that nothing is looked up by name again.
func (d *directFile) get(f *osFile) *os.File {
	if h := d.open.Load(); h != nil || d.off.Load() {
		return h
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.open.Load(); h != nil || d.off.Load() {
		return h
	}
	fd := -1
	err := f.call("open direct", func(held int) (err error) {
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", held), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		d.off.Store(true)
		return nil
	}
	h := os.NewFile(uintptr(fd), f.name)
	d.open.Store(h)
	return h
}

func (d *directFile) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off.Store(true)
	if h := d.open.Swap(nil); h != nil {
		_ = h.Close()
	}
}
