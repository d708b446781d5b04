package redolog

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current version anew")

// goldenSegment is a segment of two records, encoded.
func goldenSegment() []byte {
	h := SegmentHeader{Home: 1, Number: 3, Sequence: 7, SizeBytes: MinSegmentBytes, Generation: 2, First: 41}
	b := h.append(nil)
	b = append(b, make([]byte, HeaderBytes-len(b))...)
	for i, p := range [][]byte{[]byte("first record"), []byte("second")} {
		start := len(b)
		b = append(b, make([]byte, recordHeaderSize)...)
		putRecordHeader(b[start:], &Record{LSN: 41 + uint64(i), Generation: 2, Durable: 40, Lazy: i == 1}, len(p))
		b = append(b, p...)
		b = append(b, make([]byte, recordSize(len(p))-recordHeaderSize-len(p))...)
		sealRecord(b[start:], h.seed())
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "golden", "v1", "segment")
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, goldenSegment(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := goldenSegment(); !bytes.Equal(got, want) {
		t.Errorf("the encoding changed: %d bytes, golden %d", len(got), len(want))
	}
	fsys := newFS(t)
	putSegment(t, fsys, 3, want, MinSegmentBytes)
	var got []Record
	s, err := Inspect(fsys, testDir, SegmentName(3), 1, func(r *Record) error {
		c := *r
		c.Payload = bytes.Clone(r.Payload)
		got = append(got, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Header.Sequence != 7 || s.Last != 42 || s.End != int64(len(want)) || len(got) != 2 || string(got[0].Payload) != "first record" || got[0].Lazy ||
		string(got[1].Payload) != "second" || !got[1].Lazy || got[1].Durable != 40 || got[1].Generation != 2 {
		t.Errorf("got %+v %+v", s, got)
	}
}

func putSegment(t testing.TB, fsys *memfs.FS, n uint64, content []byte, size int64) {
	t.Helper()
	f, err := fsys.Create(testDir + "/" + SegmentName(n))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBits: a flipped bit anywhere in header or records is never read as something else.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	golden := goldenSegment()
	for off := range golden {
		if off == segmentHeaderSize {
			continue
		}
		b := bytes.Clone(golden)
		b[off] ^= 1 << (off % 8)
		fsys := newFS(t)
		putSegment(t, fsys, 3, b, MinSegmentBytes)
		n := 0
		s, err := Inspect(fsys, testDir, SegmentName(3), 1, func(r *Record) error {
			if p := string(r.Payload); p != "first record" && p != "second" {
				t.Errorf("offset %d: payload %q", off, p)
			}
			n++
			return nil
		})
		inHeader := off < segmentHeaderSize
		inRecord := off >= HeaderBytes && off != HeaderBytes+52 && (off < HeaderBytes+52 || off >= HeaderBytes+56) && off < HeaderBytes+56+46
		switch {
		case err != nil && !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported):
			t.Errorf("offset %d: %v", off, err)
		case inHeader && s.Valid:
			t.Errorf("offset %d: a damaged header is valid", off)
		case inRecord && err == nil && n > 1:
			t.Errorf("offset %d: %d records after damage", off, n)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(goldenSegment()[HeaderBytes:], uint64(7))
	f.Fuzz(func(t *testing.T, b []byte, sequence uint64) {
		h := SegmentHeader{Home: 1, Number: 3, Sequence: sequence}
		r, size, ok := decodeRecord(b, h.seed())
		if ok && (size > len(b) || size < recordHeaderSize+len(r.Payload) || r.LSN == 0 || r.Durable >= r.LSN) {
			t.Errorf("impossible record %+v of %d bytes in %d", r, size, len(b))
		}
		if !ok {
			return
		}
		again := make([]byte, recordSize(len(r.Payload)))
		putRecordHeader(again, &r, len(r.Payload))
		copy(again[recordHeaderSize:], r.Payload)
		sealRecord(again, h.seed())
		if n := recordHeaderSize + len(r.Payload); !bytes.Equal(again[:n], b[:n]) {
			t.Error("encoding the decoded record gives other bytes")
		}
	})
}

func FuzzSegment(f *testing.F) {
	f.Add(goldenSegment())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		fsys := newFS(t)
		putSegment(t, fsys, 3, b, max(MinSegmentBytes, int64(len(b))))
		last := uint64(0)
		_, err := Inspect(fsys, testDir, SegmentName(3), 1, func(r *Record) error {
			if last != 0 && r.LSN != last+1 {
				t.Errorf("record %d follows %d", r.LSN, last)
			}
			last = r.LSN
			return nil
		})
		if err != nil && !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported) {
			t.Errorf("got %v", err)
		}
	})
}
