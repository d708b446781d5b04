package store

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"ostor/fsbackend/btree"
	"ostor/fsbackend/redolog"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current version anew")

func goldenManifest() *Manifest {
	m := &Manifest{Generation: 9, Home: 8, First: 1051, Base: btree.Root{Generation: 5, TxID: 3, LSN: 1000}}
	for i := range uint64(2) {
		m.Sealed = append(m.Sealed, redolog.Segment{Number: 4 + i, SizeBytes: 1 << 20, Valid: true, End: 8192, Last: 1020 + 30*i, CRC: 0xabcdef01,
			Header: redolog.SegmentHeader{Home: 5 + i, Number: 4 + i, Sequence: 12, SizeBytes: 1 << 20, Generation: 6, First: 1001 + 20*i}})
	}
	return m
}

func goldenBatch() []entry {
	return []entry{{key: []byte("a key"), value: []byte("a value")}, {key: []byte{0, 255}, value: []byte{}}, {key: []byte("gone"), deleted: true},
		{key: bytes.Repeat([]byte("k"), 200), value: bytes.Repeat([]byte("v"), 300)}}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "golden", "v1")
	for name, encoded := range map[string][]byte{"manifest": goldenManifest().Append(nil), "batch": appendBatch(nil, goldenBatch())} {
		file := filepath.Join(dir, name)
		if *rewrite {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, encoded, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoded, want) {
			t.Errorf("%s: the encoding changed", name)
		}
		switch name {
		case "manifest":
			m, err := DecodeManifest(want)
			if err != nil || !reflect.DeepEqual(m, goldenManifest()) {
				t.Errorf("manifest: got %+v, %v", m, err)
			}
			for i := range want {
				b := bytes.Clone(want)
				b[i] ^= 1 << (i % 8)
				if _, err := DecodeManifest(b); !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported) {
					t.Errorf("flipped byte %d: got %v", i, err)
				}
				if _, err := DecodeManifest(want[:i]); !errors.Is(err, fault.Corrupt) {
					t.Errorf("first %d bytes: got %v", i, err)
				}
			}
		case "batch":
			ops, err := decodeBatch(want)
			if err != nil || !reflect.DeepEqual(ops, goldenBatch()) {
				t.Errorf("batch: got %+v, %v", ops, err)
			}
			for i := range want {
				if _, err := decodeBatch(want[:i]); !errors.Is(err, fault.Corrupt) {
					t.Errorf("first %d bytes of the batch: got %v", i, err)
				}
			}
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(appendBatch(nil, goldenBatch()))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := decodeBatch(b)
		if err != nil {
			if !errors.Is(err, fault.Corrupt) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := decodeBatch(appendBatch(nil, ops))
		if err != nil || !reflect.DeepEqual(ops, again) {
			t.Errorf("encoded again: %v", err)
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(goldenManifest().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 24 { // let the fuzzer pass the checksum and the length
			b = bytes.Clone(b)
			copy(b, manifestMagic[:])
			le32(b[8:], manifestVersion)
			le32(b[16:], uint32(len(b)))
			le32(b[20:], 0)
			le32(b[12:], checksum.CRC32C(b[16:]))
		}
		m, err := DecodeManifest(b)
		if err != nil {
			if !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported) {
				t.Errorf("got %v", err)
			}
			return
		}
		if !bytes.Equal(m.Append(nil), b) {
			t.Error("encoding the decoded manifest gives other bytes")
		}
	})
}

func le32(b []byte, v uint32) { b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24) }
