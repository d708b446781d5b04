package memfs

import (
	"bytes"
	"testing"
)

func TestSmoke(t *testing.T) {
	f := New()
	if err := f.MkdirAll("a/b"); err != nil {
		t.Fatal(err)
	}
	h, err := f.Create("a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("x"), 10000), 4<<30); err != nil {
		t.Fatal(err)
	}
	if err := h.Datasync(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"", "a", "a/b"} {
		if err := f.SyncDir(d); err != nil {
			t.Fatal(err)
		}
	}
	g := f.CrashClone(Nothing)
	in, err := g.Stat("a/b/c")
	if err != nil || in.Size != 4<<30+10000 || in.Alloc != 3*4096 {
		t.Fatal(in, err)
	}
}
