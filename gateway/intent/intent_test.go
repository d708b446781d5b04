package intent

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ostor/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current format")

func golden() Record {
	return Record{Op: DeleteBucket, Forced: true, Bucket: 0xb0c4e7, Name: "photos.example", Attempt: 0x1234, Begun: time.UnixMilli(1700000000123).UTC(), Claims: 3}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	r := golden()
	file := filepath.Join("testdata", "golden", "v1", "delete-bucket")
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, r.encode(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.encode(), want) {
		t.Errorf("encodes as %x, the golden file has %x", r.encode(), want)
	}
	got, err := decodeRecord(r.name(), want)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v; want %+v", got, err, r)
	}
}

// TestDecodeRefuses: every damaged byte and every shorter record is damage; what a newer gateway writes is not.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	r := golden()
	whole := r.encode()
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x40
		if _, err := decodeRecord(r.name(), b); !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := decodeRecord(r.name(), whole[:i]); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, err := decodeRecord(bucketPrefix+"0000000000000001-0000000000001234", whole); !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "belongs") {
		t.Errorf("under another bucket's name: %v", err)
	}
	next := golden()
	next.Op = 9
	if _, err := decodeRecord(next.name(), next.encode()); !errors.Is(err, fault.NotSupported) {
		t.Errorf("an operation of the future: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := golden()
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeRecord(r.name(), b)
		if err != nil {
			return
		}
		if !bytes.Equal(got.encode(), b) {
			t.Errorf("%x decodes to %+v, which encodes as %x", b, got, got.encode())
		}
	})
}
