package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
)

// TestSealWhileOwnerGoesOn: between the two looks of a seal the old owner, who wakes up late, ends a log segment and begins the next one. What it writes does not count, and is no damage. (Found by the simulation,
// seed 4458 of TestOwnership in a campaign from 4242: "want records up to LSN 221, got up to LSN 220".)
func TestSealWhileOwnerGoesOn(t *testing.T) {
	t.Parallel()
	fsys := newFS(t)
	s := mustOpen(t, smallOptions(fsys, &owner{generation: 1}))
	var states []*memfs.FS // after each update
	for i := range 60 {
		mustUpdate(t, s, put(fmt.Sprint("k", i), strings.Repeat("v", 3000)))
		states = append(states, fsys.CrashClone(memfs.Everything))
	}
	s.abandon()
	logs := func(fsys *memfs.FS) map[string]string {
		m := map[string]string{}
		names, err := fsys.List(fsbackend.GenerationDir(testDir, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasPrefix(n, "log-") {
				name := fsbackend.GenerationDir(testDir, 1) + "/" + n
				f, err := fsys.OpenRead(name)
				if err != nil {
					t.Fatal(err)
				}
				size, _ := f.Size()
				b := make([]byte, size)
				_, _ = f.ReadAt(b, 0)
				_ = f.Close()
				m[name] = string(b)
			}
		}
		return m
	}
	for i := 0; i+3 < len(states); i++ {
		at, later := states[i].CrashClone(memfs.Everything), logs(states[i+3])
		once := false
		at.BeforeSync(func(_, name string) { // of the first log file that is sealed: the first look is over
			if once || !strings.Contains(name, "/log-") {
				return
			}
			once = true
			for name, b := range later {
				f, err := at.Open(name)
				if err != nil {
					continue // made later
				}
				_, _ = f.WriteAt([]byte(b), 0)
				_ = f.Close()
			}
		})
		o := smallOptions(at, &owner{generation: 2})
		next, err := Open(context.Background(), o)
		if err != nil {
			t.Fatalf("after update %d: %v", i, err)
		}
		err = next.View(func(sn *Snapshot) error {
			for k := range i + 1 {
				if _, ok, err := sn.Get([]byte(fmt.Sprint("k", k))); err != nil || !ok {
					t.Errorf("after update %d: key %d: %t, %v", i, k, ok, err)
				}
			}
			return nil
		})
		if err != nil || !once {
			t.Errorf("after update %d: %v; the old owner went on: %t", i, err, once)
		}
		next.abandon()
	}
}
