package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLogFileIsRotated moves the file away and removes it: what is written a second later is in a new one, and nothing is lost.
func TestLogFileIsRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := openLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	l.checked = now
	write := func(s string) {
		t.Helper()
		if _, err := l.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n") // it was not looked for yet
	now = now.Add(reopenCheck)
	write("three\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(reopenCheck)
	write("four\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "four\n"} {
		if b, err := os.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, _, err := (&Config{AccessLog: filepath.Join(path, "x")}).accessLog(); err == nil || !strings.Contains(err.Error(), "--access-log") {
		t.Errorf("an impossible file: %v", err)
	}
}
