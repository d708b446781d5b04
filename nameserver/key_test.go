package nameserver

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"ostor/internal/cluster"
)

// randomKey favours the bytes that escaping is about.
func randomKey(r *rand.Rand, maxBytes int) string {
	b := make([]byte, r.IntN(maxBytes+1))
	for i := range b {
		b[i] = [...]byte{0, 0, 1, 2, 0xfe, 0xff, '/', 'a', 'b'}[r.IntN(9)]
	}
	return string(b)
}

func TestNameKeysKeepOrder(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	for range 20000 {
		a, b := randomKey(r, 6), randomKey(r, 6)
		ka, kb := nameKey(tagHead, 7, a, 0), nameKey(tagHead, 7, b, 0)
		if got, want := bytes.Compare(ka, kb), strings.Compare(a, b); got != want {
			t.Fatalf("%q and %q compare as %d, their store keys as %d", a, b, want, got)
		}
		// Whatever follows a name does not change the order of names.
		va, vb := versionKey(7, a, cluster.VersionID{Generation: r.Uint64(), Sequence: r.Uint64()}), versionKey(7, b, cluster.VersionID{Generation: r.Uint64()})
		if got, want := bytes.Compare(va, vb), strings.Compare(a, b); want != 0 && got != want {
			t.Fatalf("%q and %q compare as %d, their versions as %d", a, b, want, got)
		}
		prefix := appendNamePrefix(nil, tagHead, 7, b)
		if got, want := bytes.HasPrefix(ka, prefix), strings.HasPrefix(a, b); got != want {
			t.Fatalf("%q has prefix %q: %t, in the store %t", a, b, want, got)
		}
		if in := bytes.Compare(ka, prefix) >= 0 && bytes.Compare(ka, successor(prefix)) < 0; in != strings.HasPrefix(a, b) {
			t.Fatalf("%q is in the range of prefix %q: %t", a, b, in)
		}
		bucket, key, rest, ok := splitName(va)
		if bucket != 7 || key != a || len(rest) != 16 || !ok || nameLen(va) != len(va)-16 || nameLen(ka) != len(ka) {
			t.Fatalf("%x does not split into %q", va, a)
		}
	}
}

func TestVersionKeysAreNewestFirst(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	for range 1000 {
		v, w := cluster.VersionID{Generation: r.Uint64N(3), Sequence: r.Uint64N(3)}, cluster.VersionID{Generation: r.Uint64N(3), Sequence: r.Uint64N(3)}
		if got, want := bytes.Compare(versionKey(1, "k", v), versionKey(1, "k", w)), -v.Compare(w); got != want {
			t.Fatalf("keys of %s and %s compare as %d, want %d", v, w, got, want)
		}
	}
}

func TestLongestKeysFit(t *testing.T) {
	t.Parallel()
	longest := string(make([]byte, cluster.MaxKeyBytes))
	for _, k := range [][]byte{versionKey(1, longest, cluster.VersionID{}), chunkKey(1, longest, cluster.ObjectID{}, 0, 0), partKey(1, longest, cluster.UploadID{}, 1)} {
		if len(k) > 3072 { // store.MaxKeyBytes
			t.Errorf("key of %d bytes", len(k))
		}
	}
}

func FuzzSplitName(f *testing.F) {
	f.Add(nameKey(tagHead, 1, "a\x00b", 0))
	f.Add(versionKey(1, "\xff", cluster.VersionID{Generation: 1}))
	f.Fuzz(func(t *testing.T, k []byte) {
		bucket, key, rest, ok := splitName(k)
		if n := nameLen(k); ok != (n > 0) && !(n > 0 && bytes.Contains(k[bucketPrefixBytes:n], []byte{0})) {
			t.Fatalf("%x splits: %t, but the name's length is %d", k, ok, n)
		}
		if ok && !bytes.Equal(append(nameKey(k[0], bucket, key, 0), rest...), k) {
			t.Fatalf("%x splits into %q and %x", k, key, rest)
		}
	})
}
