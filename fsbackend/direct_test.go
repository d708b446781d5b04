package fsbackend

import (
	"bytes"
	"os"
	"testing"
	"unsafe"
)

// What was written around the page cache is what everybody reads, beside and over what went through it.
func TestWriteDirectAt(t *testing.T) {
	t.Parallel()
	fsys, err := NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	counted, n := Count(fsys)
	f, err := counted.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64<<10)
	put := func(write func([]byte, int64) (int, error), b []byte, off int) {
		t.Helper()
		if n, err := write(b, int64(off)); n != len(b) || err != nil {
			t.Fatalf("write of %d bytes at %d: %d, %v", len(b), off, n, err)
		}
		copy(want[off:], b)
	}
	direct := func(b []byte, off int64) (int, error) { return WriteDirectAt(f, b, off) }
	big := AlignedBuffer(32 << 10)
	if a := uintptr(unsafe.Pointer(&big[0])); a%DirectAlign != 0 {
		t.Fatalf("AlignedBuffer gave address %#x", a)
	}
	fill := func(b []byte, v byte) []byte { return append(b[:0], bytes.Repeat([]byte{v}, len(b))...) }
	put(f.WriteAt, fill(make([]byte, 64<<10), 1), 0)
	put(direct, fill(big, 2), 8<<10)
	put(f.WriteAt, fill(make([]byte, 5000), 3), 20<<10) // through the cache, over it
	put(direct, fill(big[:4096], 4), 20<<10)
	put(direct, fill(big[1:4000], 5), 50<<10) // not aligned: memory, length
	put(direct, fill(big[:4096], 6), 100)     // nor offset
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the same descriptor reads other bytes (%v)", err)
	}
	if got, err = os.ReadFile(fsys.(*osFS).path + "/f"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another descriptor reads other bytes (%v)", err)
	}
	if n.Writes.Load() != 6 {
		t.Errorf("%d writes were counted, want 6", n.Writes.Load())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := direct(big, 0); err == nil {
		t.Error("a closed file took a direct write")
	}
}
