package lease

import (
	"errors"
	"testing"

	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

// TestLook sees a service through its life, with and without the result of the look before.
func TestLook(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var known Standing
		look := func(when string, want Standing) {
			t.Helper()
			for _, k := range []Standing{{}, known} {
				if got, err := Look(w.fs, dir, k); err != nil || got != want {
					t.Errorf("%s, knowing %+v: %+v, %v; want %+v", when, k, got, err, want)
				}
			}
			known = want
		}
		if _, err := Look(memfs.New(), dir, Standing{}); !errors.Is(err, fault.NotFound) {
			t.Errorf("no such service: got %v", err)
		}
		look("never claimed", Standing{})
		l := w.acquire(w.options(1))
		look("claimed", Standing{1, 1, false})
		w.manifest(l)
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		look("released", Standing{1, 1, true})
		w.acquire(w.options(2))
		look("claimed by another", Standing{2, 2, false})
		// A claim in the making, or damaged: taken, by somebody unknown.
		h, err := w.fs.Create(dir + "/gen/0000000003.claim")
		if err != nil {
			t.Fatal(err)
		}
		_ = h.Close()
		look("an empty claim", Standing{3, 0, false})
	})
}

// TestOver sees that who comes late does not take a service from who was first.
func TestOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.manifest(w.acquire(w.options(1)))
		second := w.options(2)
		second.Takeover, second.Over = true, 1
		l, took := w.took(second)
		if took != wait {
			t.Errorf("took %v, want the wait %v", took, wait)
		}
		late := w.options(3)
		late.Takeover, late.Over = true, 1
		if _, err := Acquire(t.Context(), late); !errors.Is(err, fault.Unavailable) {
			t.Errorf("over generation 1 again: got %v", err)
		}
		if w.exists(dir + "/gen/0000000003.claim") {
			t.Error("who came late has claimed")
		}
		check(t, l, nil)
	})
}
