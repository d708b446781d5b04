package pools

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

var (
	rewrite  = flag.Bool("rewrite", false, "write the golden files of the current version anew")
	seedFlag = flag.Uint64("seed", 0, "seed of randomised tests; 0 takes env SEED or a random one")
)

// testSeed returns the seed of a randomised test, which a failed run prints.
func testSeed(t testing.TB) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed, _ = strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return seed
}

const testService = cluster.ServiceID(0x1000000000000007)

func goldenSystem() System {
	return System{testService, FileID{42, 5, 3}, DefaultGeometry(5), 1_700_000_000_123}
}

func goldenHeader() (Header, Addr) {
	id, _ := cluster.ParseObjectID("00112233445566778899aabbccddeeff")
	return Header{Object: id, SizeBytes: 10_000_000, Offset: 8 << 20, Part: 1, Length: 100_000, CRC: 0xdeadbeef}, Addr{FileID{42, 5, 3}, 777}
}

func goldenRecord() RegionRecord {
	return RegionRecord{Objects: 2, LiveBytes: 300_000, Mask: []byte{0b101, 0, 0x80, 1}}
}

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "golden", "v1", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: encoded bytes differ from the golden file", name)
	}
	return want
}

func TestGolden(t *testing.T) {
	sys, err := DecodeSystem(golden(t, "system", goldenSystem().Encode()))
	if err != nil || sys != goldenSystem() {
		t.Errorf("system: got %+v, %v", sys, err)
	}
	h, a := goldenHeader()
	b := make([]byte, headerBytes)
	h.encode(b, testService, a)
	got, ok, err := decodeHeader(golden(t, "header", b), testService, a)
	if err != nil || !ok || got != h {
		t.Errorf("header: got %+v, %v, %v", got, ok, err)
	}
	r, err := DecodeRegionRecord(golden(t, "region", goldenRecord().Append(nil)))
	if err != nil || r.Objects != 2 || r.LiveBytes != 300_000 || r.Used() != 4 || !r.Has(0) || r.Has(1) || !r.Has(24) || r.Has(9999) {
		t.Errorf("region: got %+v, %v", r, err)
	}
}

// TestDamage flips every bit of every structure: no decoder takes it.
func TestDamage(t *testing.T) {
	h, a := goldenHeader()
	hb := make([]byte, headerBytes)
	h.encode(hb, testService, a)
	for i := range len(hb) * 8 {
		b := bytes.Clone(hb)
		b[i/8] ^= 1 << (i % 8)
		if _, ok, err := decodeHeader(b, testService, a); ok || !errors.Is(err, fault.Corrupt) {
			t.Fatalf("header with bit %d flipped: %v, %v", i, ok, err)
		}
	}
	sb := goldenSystem().Encode()
	for i := range len(sb) * 8 {
		b := bytes.Clone(sb)
		b[i/8] ^= 1 << (i % 8)
		if _, err := DecodeSystem(b); !errors.Is(err, fault.Corrupt) {
			t.Fatalf("system block with bit %d flipped: %v", i, err)
		}
	}
	others := map[string]Addr{"block": {a.FileID, 776}, "file": {FileID{42, 5, 4}, 777}, "pool": {FileID{42, 4, 3}, 777}, "generation": {FileID{41, 5, 3}, 777}}
	for what, o := range others {
		if _, ok, err := decodeHeader(hb, testService, o); ok || !errors.Is(err, fault.Corrupt) {
			t.Errorf("header read at another %s: %v, %v", what, ok, err)
		}
	}
	if _, ok, err := decodeHeader(hb, testService+1, a); ok || !errors.Is(err, fault.Corrupt) {
		t.Errorf("header of another service: %v, %v", ok, err)
	}
	if _, ok, err := decodeHeader(make([]byte, headerBytes), testService, a); ok || err != nil {
		t.Errorf("header of zeroes: %v, %v", ok, err)
	}
}

func TestGeometry(t *testing.T) {
	for k := range Pool(PoolCount) {
		g := DefaultGeometry(k)
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
		end := int64(systemBytes)
		for b := range g.Blocks() {
			h, off := g.HeaderOffset(k, b), g.BlockOffset(k, b)
			if b%g.BlocksPerRegion == 0 && h < end {
				t.Fatalf("%v: header table of block %d at %d begins before %d", k, b, h, end)
			}
			if off%min(k.BlockBytes(), 1<<20) != 0 || off < h+headerBytes || off < end {
				t.Fatalf("%v: block %d at %d, header at %d, end so far %d", k, b, off, h, end)
			}
			end = off + k.BlockBytes()
		}
		if got := g.FileBytes(k); got != end {
			t.Fatalf("%v: FileBytes %d, last block ends at %d", k, got, end)
		}
		if payload := int64(g.Blocks()) * k.BlockBytes(); float64(end) > 1.03*float64(payload) || payload > maxFilePayloadBytes {
			t.Errorf("%v: a file of %d bytes for %d of payload", k, end, payload)
		}
		if len(RegionRecord{Mask: make([]byte, (g.BlocksPerRegion+7)/8)}.Append(nil)) > MaxRegionRecordBytes {
			t.Errorf("%v: region record too long", k)
		}
	}
}

func TestFileNames(t *testing.T) {
	id := FileID{42, 5, 3}
	if got, ok := parseFileName(42, id.base()); !ok || got != id {
		t.Errorf("got %v, %v", got, ok)
	}
	for _, bad := range []string{"pool-12.000001", "pool-1.000001", "pool-01.1", "pool-01.000000", "pool-01", "tree-000001", "pool-01.00000a", "pool-01.9999999999999"} {
		if id, ok := parseFileName(1, bad); ok {
			t.Errorf("%q read as %v", bad, id)
		}
	}
	if id, ok := parseFileName(1, "pool-01.1234567"); !ok || id.Number != 1234567 {
		t.Errorf("seven digits: got %v, %v", id, ok)
	}
}

func TestAppendChunkCRC(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t), 3))
	for range 50 {
		b := make([]byte, rng.IntN(4*ChunkBytes))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		var got uint32
		for i := 0; i < len(b); i += ChunkBytes {
			c := b[i:min(i+ChunkBytes, len(b))]
			got = AppendChunkCRC(got, checksum.CRC32C(c), c)
		}
		if want := checksum.CRC32C(b); got != want {
			t.Fatalf("%d bytes: got %08x, want %08x", len(b), got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	h, a := goldenHeader()
	b := make([]byte, headerBytes)
	h.encode(b, testService, a)
	f.Add(b)
	f.Add(goldenSystem().Encode())
	f.Add(goldenRecord().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeSystem(b); err == nil && !bytes.Equal(s.Encode(), b) {
			t.Errorf("system block %+v encodes to other bytes", s)
		}
		if h, ok, err := decodeHeader(b, testService, a); err == nil && ok {
			c := make([]byte, headerBytes)
			if h.encode(c, testService, a); !bytes.Equal(b, c) {
				t.Errorf("header %+v encodes to other bytes", h)
			}
		}
		if r, err := DecodeRegionRecord(b); err == nil && !bytes.Equal(r.Append(nil), b) {
			t.Errorf("region record %+v encodes to other bytes", r)
		}
	})
}
