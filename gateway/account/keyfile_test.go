package account

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

func newMount(t *testing.T) *memfs.FS {
	t.Helper()
	m := memfs.New()
	if err := m.MkdirAll("control"); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir(""); err != nil {
		t.Fatal(err)
	}
	return m
}

const keyName = "control/cluster.key"

func TestKeyFile(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	if _, err := LoadKey(m, keyName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	key, err := LoadOrCreateKey(m, keyName)
	if err != nil || len(key) != KeyBytes || bytes.Equal(key, make([]byte, KeyBytes)) {
		t.Fatalf("got %x, %v", key, err)
	}
	for _, load := range []func(fsbackend.FS, string) ([]byte, error){LoadKey, LoadOrCreateKey} {
		if again, err := load(m, keyName); err != nil || !bytes.Equal(again, key) {
			t.Errorf("again: %x, %v, want %x", again, err, key)
		}
	}
	// Whoever got a key finds it again after a power cut that keeps nothing but what was made durable.
	for seed := range uint64(20) {
		if again, err := LoadKey(m.CrashClone(memfs.Some(seed)), keyName); err != nil || !bytes.Equal(again, key) {
			t.Fatalf("after power cut %d: %x, %v", seed, again, err)
		}
	}
}

// TestKeyFileOfCrash: a file that a crash left short was never used: it is completed. One that is too long is not ours.
func TestKeyFileOfCrash(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, KeyBytes - 1} {
		m := newMount(t)
		writeFile(t, m, make([]byte, n))
		if _, err := LoadKey(m, keyName); !errors.Is(err, fault.Corrupt) {
			t.Errorf("load %d bytes: %v", n, err)
		}
		key, err := LoadOrCreateKey(m, keyName)
		if err != nil || len(key) != KeyBytes {
			t.Errorf("complete %d bytes: %x, %v", n, key, err)
		}
		if again, err := LoadKey(m, keyName); err != nil || !bytes.Equal(again, key) {
			t.Errorf("after that: %x, %v", again, err)
		}
	}
	m := newMount(t)
	writeFile(t, m, make([]byte, KeyBytes+1))
	if _, err := LoadOrCreateKey(m, keyName); !errors.Is(err, fault.Corrupt) {
		t.Errorf("a longer file: %v", err)
	}
	// Another process is at it.
	m = newMount(t)
	f, err := m.Create(keyName)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Lock(); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(m, keyName); !errors.Is(err, fault.Unavailable) {
		t.Errorf("while another one writes it: %v", err)
	}
}

func writeFile(t *testing.T, m *memfs.FS, b []byte) {
	t.Helper()
	f, err := m.Create(keyName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
