package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// s3fs mounts a bucket with Debian's s3fs and copies a tree there and back; renames and removals go through the mount too.
func s3fs(t *testing.T, s *site) {
	if _, err := os.Stat("/dev/fuse"); errors.Is(err, os.ErrNotExist) {
		t.Skip("needs /dev/fuse")
	}
	c := newSDK(s)
	c.makeBucket(t, "s3fs")
	tree, mount := t.TempDir(), t.TempDir()
	const files = 60
	for i := range files {
		dir := filepath.Join(tree, fmt.Sprintf("d%d", i%3), "sub dir ü")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d", i)), bytes.Repeat([]byte{byte(i)}, i*500), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "big"), bytes.Repeat([]byte("0123456789abcde\n"), 30<<20/16), 0o644); err != nil { // s3fs uploads it in parts
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(secret, []byte(s.access+":"+s.secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tool(t, "s3fs", "s3fs", mount, "-o", "url="+s.endpoint, "-o", "use_path_request_style", "-o", "passwd_file="+secret, "-o", "endpoint=us-east-1", "-o", "sigv4")
	mounted := true
	unmount := func() {
		if !mounted {
			return
		}
		mounted = false
		if out, err := exec.Command("fusermount3", "-u", mount).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
			_ = syscall.Unmount(mount, syscall.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	s.tool(t, "cp", "-r", tree, filepath.Join(mount, "tree"))
	s.tool(t, "mv", filepath.Join(mount, "tree", "d0"), filepath.Join(mount, "tree", "moved"))
	s.tool(t, "mv", filepath.Join(mount, "tree", "moved"), filepath.Join(mount, "tree", "d0"))
	s.tool(t, "diff", "-r", tree, filepath.Join(mount, "tree"))
	unmount()

	// Without the mount: what s3fs stored are the files.
	back := filepath.Join(t.TempDir(), "back")
	for _, name := range []string{"big", "d1/sub dir ü/f58", "d0/sub dir ü/f3"} {
		c.download(t, "s3fs", "tree/"+name, back)
		want, err1 := os.ReadFile(filepath.Join(tree, name))
		got, err2 := os.ReadFile(back)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
	if n := c.count(t, "s3fs", "tree/"); n != files+1+6+1 { // and an object for each directory
		t.Errorf("%d objects below tree/, want %d files and 7 directories", n, files+1)
	}
}
