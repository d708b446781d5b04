package fsbackend

import "unsafe"

// DirectAlign is the alignment, in bytes, of memory, offset and length that writing around the page cache needs on every file system we met.
const DirectAlign = 4096

// A direct writer is a file that can write around the page cache. Files that cannot just do not have the method.
type directWriter interface {
	// writeDirectAt is WriteAt. It may be called with any p and off: what is not aligned is written the other way.
	writeDirectAt(p []byte, off int64) (n int, err error)
}

// WriteDirectAt is f.WriteAt, with the same promises, for large pieces that will not be read again soon: where file and mount can, the bytes go to the
// disk without a copy in the page cache. Copying into fresh pages is most of the CPU time of a large buffered write: 16 MiB in pieces of 1 MiB cost 19 to 29 ms of
// CPU buffered and 2 ms direct on ext4 (decision 0006). It pays from about 128 KiB on; p should come from [AlignedBuffer].
func WriteDirectAt(f File, p []byte, off int64) (n int, err error) {
	if d, ok := f.(directWriter); ok {
		return d.writeDirectAt(p, off)
	}
	return f.WriteAt(p, off)
}

// AlignedBuffer returns n zero bytes whose address is a multiple of DirectAlign.
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+DirectAlign)
	skip := (DirectAlign - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%DirectAlign)) % DirectAlign
	return b[skip : skip+n : skip+n]
}

// aligned reports whether p may be written at off around the page cache.
func aligned(p []byte, off int64) bool {
	return len(p) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%DirectAlign == 0 && off%DirectAlign == 0 && len(p)%DirectAlign == 0
}
