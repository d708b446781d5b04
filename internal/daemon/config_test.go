package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// load runs a command with flags and returns what it was told.
func load(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	cmd := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true}
	config := CommandConfig(cmd, "listen", "ns", "profile", "domain", "garbage-delay", "log")
	var c Config
	var err error
	cmd.RunE = func(*cobra.Command, []string) error { c, err = config(); return nil }
	cmd.SetArgs(args)
	if e := cmd.Execute(); e != nil {
		t.Fatal(e)
	}
	return c, err
}

// Flags win over the environment, that over the file, that over the default.
func TestConfigPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ostor.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:1\nns: 3\nprofile: safe\ndomain: [a.example, b.example]\nos: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OSTOR_LISTEN", "127.0.0.1:2")
	t.Setenv("OSTOR_GARBAGE_DELAY", "3s")
	t.Setenv("OSTOR_NS", "4")
	c, err := load(t, "--config", file, "--ns", "5")
	if err != nil {
		t.Fatal(err)
	}
	if c.Names != 5 || c.Listen != "127.0.0.1:2" || c.Profile != "safe" || c.Garbage.Seconds() != 3 || c.Region != "us-east-1" || strings.Join(c.Domains, " ") != "a.example b.example" {
		t.Errorf("got %+v", c)
	}
	if c.Objects != 7 {
		t.Errorf("a key of another command in a shared file is ignored here: os = %d, want 7", c.Objects)
	}
	if c.Local != "" {
		t.Errorf("a command without --local-dir looked for a home directory: %q", c.Local)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no such file", "no such file", []string{"--config", filepath.Join(dir, "none.yaml")}},
		{"no such file, of no type", "no such file", []string{"--config", filepath.Join(dir, "none")}},
		{"not YAML", "read the configuration file", []string{"--config", write("bad.yaml", "a: [")}},
		{"unknown key", `unknown key "lissten"`, []string{"--config", write("typo.yaml", "lissten: x\n")}},
		{"no such profile", "--profile", []string{"--profile", "wild"}},
		{"too few", "--ns is 0", []string{"--ns", "0"}},
		{"negative time", "--garbage-delay", []string{"--garbage-delay", "-1s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(t, tc.args...)
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an invalid configuration that says %q", err, tc.want)
			}
		})
	}
}

// A host has one identity, however many processes start at once, and a damaged one is an error, not a new host.
func TestHostID(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "host-id")
	ids := make([]cluster.HostID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], err = hostID(name); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == 0 {
			t.Fatalf("one host got the identities %v", ids)
		}
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.WriteFile(name, []byte("not an id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := hostID(name); !errors.Is(err, fault.Invalid) {
		t.Errorf("a damaged identity gave %v, %v", id, err)
	}
}

func TestPrivateDir(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	if err := privateDir(filepath.Join(base, "new", "run")); err != nil {
		t.Errorf("a new directory: %v", err)
	}
	open := filepath.Join(base, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(filepath.Join(base, "new"), link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, link} {
		if err := privateDir(dir); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s was taken for sockets: %v", dir, err)
		}
	}
}

func TestEmptyOrOurs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		files []string
		ok    bool
	}{
		{"empty", nil, true},
		{"begun", []string{"control", "services"}, true},
		{"a volume beside other files", []string{"volumes", "notes.txt"}, true},
		{"somebody's", []string{"Documents"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, f := range tc.files {
				if err := os.Mkdir(filepath.Join(dir, f), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := emptyOrOurs(dir); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSnake(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"LSN": "lsn", "CheckpointBytes": "checkpoint_bytes", "DurableLSN": "durable_lsn", "LSNGap": "lsn_gap", "Reads": "reads"} {
		if got := snake(in); got != want {
			t.Errorf("snake(%q) = %q, want %q", in, got, want)
		}
	}
}
