package lease

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ostor/fsbackend/memfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current version anew")

func goldenRecords() map[string]record {
	claim := record{kind: kindClaim, service: 0x0800000000000001, generation: 42, host: 0x1122334455667788, boot: 7, nonce: nonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		n: 2500 * time.Millisecond, wall: time.Unix(1700000000, 123456789).UTC(), info: "ostor-ns pid 4711 on h1"}
	release := claim
	release.kind = kindRelease
	bare := claim
	bare.info = ""
	return map[string]record{"claim": claim, "release": release, "claim-without-info": bare}
}

func TestGolden(t *testing.T) {
	for name, r := range goldenRecords() {
		file := filepath.Join("testdata", "golden", "v1", name)
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, r.encode(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, r.encode()) {
			t.Errorf("%s: encoding differs from the golden file", name)
		}
		got, err := decode(b)
		if err != nil || got != r {
			t.Errorf("%s: decoded %+v, %v; want %+v", name, got, err, r)
		}
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	r := goldenRecords()["claim"]
	b := r.encode()
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if _, err := decode(c); err == nil {
				t.Fatalf("bit %d of byte %d flipped: no error", bit, i)
			}
		}
		if _, err := decode(b[:i]); err == nil {
			t.Fatalf("cut to %d bytes: no error", i)
		}
	}
	if _, err := decode(append(bytes.Clone(b), 0)); err == nil {
		t.Error("a byte too many: no error")
	}
	for name, spoil := range map[string]func(*record){"kind": func(r *record) { r.kind = 3 }, "generation": func(r *record) { r.generation = 0 }, "N": func(r *record) { r.n = 0 }} {
		s := r
		spoil(&s)
		if _, err := decode(s.encode()); err == nil {
			t.Errorf("%s out of range: no error", name)
		}
	}
	long := r
	long.info = strings.Repeat("x", 5000)
	if got, err := decode(long.encode()); err != nil || len(got.info) != maxInfoBytes {
		t.Errorf("long info: %d bytes, %v", len(got.info), err)
	}
}

// A record in another file's place is not taken for that file's.
func TestMisplacedRecord(t *testing.T) {
	f := memfs.New()
	if err := f.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	r := goldenRecords()["claim"]
	if _, err := writeRecord(f, "d/x", &r); err == nil {
		if _, err := readRecord(f, "d/x", kindClaim, r.service, r.generation); err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			kind                uint16
			service, generation uint64
		}{{kindRelease, r.service, r.generation}, {kindClaim, 1, r.generation}, {kindClaim, r.service, 43}} {
			if _, err := readRecord(f, "d/x", c.kind, c.service, c.generation); err == nil {
				t.Errorf("%+v: no error", c)
			}
		}
	} else {
		t.Fatal(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range goldenRecords() {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("decoded %+v encodes differently", r)
		}
	})
}

func TestRegisterBoot(t *testing.T) {
	f := memfs.New()
	if err := f.MkdirAll("h"); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		id   string
		want uint64
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"c", 3}, {"b", 2}, {"c", 3}} {
		if k, err := registerBoot(f, "h", c.id); err != nil || k != c.want {
			t.Errorf("%d: boot %s is %d, %v; want %d", i, c.id, k, err, c.want)
		}
	}
	g := f.CrashClone(memfs.Nothing)
	if names, err := g.List(""); err != nil || len(names) != 0 {
		t.Errorf("names %q, %v", names, err) // h itself was never synced: its maker's duty
	}
	if err := f.SyncDir(""); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.CrashClone(memfs.Nothing).List("h"); len(got) != 3 {
		t.Errorf("durable boots: %q", got)
	}
	for _, id := range []string{"", "a/b", "a.b"} {
		if _, err := registerBoot(f, "h", id); err == nil {
			t.Errorf("id %q: no error", id)
		}
	}
	k1, err1 := RegisterBoot(f, "h")
	k2, err2 := RegisterBoot(f, "h")
	if err1 != nil || err2 != nil || k1 != 4 || k2 != 4 {
		t.Errorf("the kernel's boot: %d, %v; %d, %v", k1, err1, k2, err2)
	}
}
