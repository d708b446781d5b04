package fusesim

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// content is where the bytes of a file lie: the file of the source itself, or copies in stores.
type content interface {
	io.ReaderAt // short at the end of the file, with io.EOF
	io.WriterAt
	Truncate(size int64) error
	Allocate(mode uint32, off, length int64) error
	Size() (int64, error)
	Sync(dataOnly bool) error
	Links() (int, error) // names of the file
	Close() error
}

// plain is a file of the source.
type plain struct{ *os.File }

func (p plain) Size() (int64, error) {
	in, err := p.Stat()
	if err != nil {
		return 0, err
	}
	return in.Size(), nil
}

func (p plain) Links() (int, error) {
	_, st, err := keyOf(int(p.Fd()))
	if err != nil {
		return 0, err
	}
	return int(st.Nlink), nil
}

func (p plain) Allocate(mode uint32, off, length int64) error {
	return unix.Fallocate(int(p.Fd()), mode, off, length)
}

func (p plain) Sync(dataOnly bool) error {
	if dataOnly {
		return unix.Fdatasync(int(p.Fd()))
	}
	return p.File.Sync()
}

// errnoFrom finds the errno in an error of package os.
func errnoFrom(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	}
	return syscall.EIO
}
