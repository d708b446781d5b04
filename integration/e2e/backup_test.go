package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restic backs a tree up twice, checks all data, restores both snapshots, forgets the first and prunes what only that one held.
func restic(t *testing.T, s *site) {
	tree, cache := makeTree(t), t.TempDir()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("not a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		return s.tool(t, "restic", append([]string{"--repo", "s3:" + s.endpoint + "/restic", "--password-file", secret, "--cache-dir", cache, "--quiet"}, args...)...)
	}
	restored := func(snapshot, want string) {
		t.Helper()
		back := t.TempDir()
		run("restore", snapshot, "--target", back)
		s.tool(t, "diff", "-r", want, filepath.Join(back, tree))
	}
	run("init")
	run("backup", "--tag", "first", tree)
	before := filepath.Join(t.TempDir(), "before")
	s.tool(t, "cp", "-r", tree, before)
	for i := range 40 { // a fortieth of the tree goes, something else comes
		if err := os.RemoveAll(filepath.Join(tree, fmt.Sprintf("pkg%02d", i), "sub 1")); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte{byte(i)})
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("new %d", i)), sum[:], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("backup", "--tag", "second", tree)
	run("check", "--read-data")
	if n := strings.Count(run("snapshots", "--json"), `"short_id"`); n != 2 {
		t.Errorf("%d snapshots, want 2", n)
	}
	restored("latest", tree)
	first := run("snapshots", "--tag", "first", "--json")
	_, id, _ := strings.Cut(first, `"short_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	restored(id, before)
	run("forget", "--keep-last", "1", "--prune")
	run("check", "--read-data")
	if n := strings.Count(run("snapshots", "--json"), `"short_id"`); n != 1 {
		t.Errorf("%d snapshots after forget, want 1", n)
	}
	restored("latest", tree)
	if locks := strings.Fields(run("list", "locks")); len(locks) != 0 {
		t.Errorf("locks are left: %q", locks)
	}
}
