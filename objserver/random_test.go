package objserver

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
)

// TestRandom compares random operations, restarts and deaths with a model.
func TestRandom(t *testing.T) {
	t.Parallel()
	seed := testSeed(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := newFS(t)
	generation := uint64(1)
	s := open(t, testOptions(fs, &owner{generation: generation}))
	type object struct{ seed, size int }
	model := map[cluster.ObjectID]object{}
	pick := func() (cluster.ObjectID, object, bool) {
		for id, o := range model {
			return id, o, true
		}
		return cluster.ObjectID{}, object{}, false
	}
	for i := range 1200 {
		switch n := rng.IntN(100); {
		case n < 45:
			o := object{i, 1 + rng.IntN(1<<(1+rng.IntN(19)))}
			model[create(t, s, content(o.seed, o.size))] = o
		case n < 75:
			if id, o, ok := pick(); ok {
				from := rng.IntN(o.size)
				length := 1 + rng.IntN(o.size-from)
				var b bytes.Buffer
				if err := s.ReadObject(t.Context(), id, int64(from), int64(length), &b); err != nil || !bytes.Equal(b.Bytes(), content(o.seed, o.size)[from:from+length]) {
					t.Fatalf("step %d: read %d at %d of %+v: %v", i, length, from, o, err)
				}
			}
		case n < 92:
			var ids []cluster.ObjectID
			for id := range model {
				if ids = append(ids, id); rng.IntN(3) > 0 {
					break
				}
			}
			if err := s.DeleteObjects(t.Context(), ids); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			for _, id := range ids {
				delete(model, id)
			}
		case n < 94:
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		case n < 96:
			if err := s.Collect(t.Context()); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		case n < 97:
			check(t, s)
		case n < 98: // a clean restart on the same host
			if err := s.Close(t.Context()); err != nil {
				t.Fatalf("step %d: close: %v", i, err)
			}
			s = open(t, testOptions(fs, &owner{generation: generation + 1, prior: generation}))
			generation++
		case n < 99: // a restart that inherits nothing
			if err := s.Close(t.Context()); err != nil {
				t.Fatalf("step %d: close: %v", i, err)
			}
			generation++
			s = open(t, testOptions(fs, &owner{generation: generation}))
		default: // death of the machine
			fs = fs.CrashClone(memfs.Some(seed + uint64(i)))
			generation++
			s = open(t, testOptions(fs, &owner{generation: generation}))
		}
	}
	for id, o := range model {
		wantBytes(t, s, id, content(o.seed, o.size))
	}
	if st := s.Stats(); st.Objects != int64(len(model)) {
		t.Errorf("%d objects, the model has %d", st.Objects, len(model))
	}
	check(t, s)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects in the end, generation %d", len(model), generation)
}
