package nameserver

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
)

var when = time.Date(2024, 2, 29, 12, 30, 15, 123e6, time.UTC)

func fullEntry() cluster.Entry {
	return cluster.Entry{Key: "dir/key", Version: cluster.VersionID{Generation: 3, Sequence: 258}, Null: true, Modified: when, Owner: 0x1122334455667788, Size: 1 << 33,
		ETag: "5d41402abc4b2a76b9719d911017c592", Content: cluster.Link{Server: 0x1000000000000002, Object: cluster.ObjectID{1, 2, 3, 15: 16}}, StorageClass: 2,
		Headers:  []cluster.Header{{Name: "cache-control", Value: ""}, {Name: "content-type", Value: "text/plain"}},
		UserMeta: []cluster.Header{{Name: "colour", Value: "\u00fcber"}}, Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC64NVME, Value: []byte("12345678")},
		Attrs: []cluster.Attribute{{ID: cluster.AttrACL, Value: []byte("acl")}, {ID: 700, Value: []byte{}}}}
}

func partsEntry() cluster.Entry {
	e := fullEntry()
	e.Content, e.PartCount, e.Table, e.ETag, e.Null = cluster.Link{}, 10000, cluster.ObjectID{9}, e.ETag+"-10000", false
	e.Checksum.Composite = true
	return e
}

func markerEntry() cluster.Entry {
	return cluster.Entry{Key: "dir/key", Version: cluster.VersionID{Generation: 1, Sequence: 1}, DeleteMarker: true, Modified: when, Owner: 5}
}

func testParts() []cluster.Part {
	return []cluster.Part{{Number: 1, Size: cluster.MinPartBytes, Content: cluster.Link{Server: 1, Object: cluster.ObjectID{1}}, ETag: "5d41402abc4b2a76b9719d911017c592", Modified: when},
		{Number: 10000, Offset: cluster.MinPartBytes, ETag: "odd", Modified: when, Checksum: cluster.Checksum{Algorithm: cluster.ChecksumSHA256, Value: bytes.Repeat([]byte{7}, 32)}}}
}

// formats are all values that reach the disk: an example each, encoded, and what decodes it.
func formats() map[string]struct {
	encoded []byte
	decoded any
	decode  func([]byte) (any, error)
} {
	type format = struct {
		encoded []byte
		decoded any
		decode  func([]byte) (any, error)
	}
	full, parts, marker, ps := fullEntry(), partsEntry(), markerEntry(), testParts()
	entry := func(b []byte) (any, error) { return decodeEntry(b, "dir/key", detailAll) }
	bucket := cluster.Bucket{Name: "photos", ID: 1, Owner: 2, Created: when, Epoch: 3, Versioning: cluster.VersioningSuspended, Location: "eu-1",
		Attrs: []cluster.Attribute{{ID: cluster.AttrPolicy, Value: []byte("{}")}}}
	template := full
	template.Key, template.Content, template.Size = "", cluster.Link{}, 0
	upload := cluster.Upload{ID: cluster.UploadID{4}, Key: "dir/key", Initiated: when, Owner: 6, Template: template}
	g := guard{deadline: millis(when), bucket: 3, key: "a\x00b"}
	q := garbage{kind: garbageTable, origin: originVersion, due: millis(when), bucket: 1, id: [16]byte{5}, version: cluster.VersionID{Generation: 1, Sequence: 2}, key: "k"}
	head := promotedHead(appendEntry(nil, &full), cluster.VersionID{Generation: 2, Sequence: 9})
	return map[string]format{
		"entry":        {appendEntry(nil, &full), full, entry},
		"entry-parts":  {appendEntry(nil, &parts), parts, entry},
		"entry-marker": {appendEntry(nil, &marker), marker, entry},
		"head": {head, head, func(b []byte) (any, error) {
			h, err := decodeHead(b)
			if err != nil {
				return nil, err
			}
			return promotedHead(h.entry, h.null), nil
		}},
		"part":    {newPart(&ps[1]), ps[1], func(b []byte) (any, error) { return decodePart(b) }},
		"chunk":   {newChunk(ps), ps, func(b []byte) (any, error) { return decodeChunk(b, nil) }},
		"upload":  {newUpload(&upload), upload, func(b []byte) (any, error) { return decodeUpload(b, "dir/key", cluster.UploadID{4}, detailAll) }},
		"bucket":  {newBucket(&bucket), bucket, func(b []byte) (any, error) { return decodeBucket(b, "photos") }},
		"guard":   {g.encode(), g, func(b []byte) (any, error) { return decodeGuard(b) }},
		"garbage": {q.encode(), q, func(b []byte) (any, error) { return decodeGarbage(b) }},
		"record":  {newRecord(4, []byte("value")), cluster.Record{Name: "/u/1", Value: []byte("value"), Epoch: 4}, func(b []byte) (any, error) { return decodeRecord(b, "/u/1") }},
		"seal":    {[]byte{1, 1}, seal{state: sealedForced}, func(b []byte) (any, error) { return decodeSeal(b) }},
		"seal-2":  {seal{opened, 7}.encode(), seal{opened, 7}, func(b []byte) (any, error) { return decodeSeal(b) }},
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, f := range formats() {
		t.Run(name, func(t *testing.T) {
			got, err := f.decode(f.encoded)
			if err != nil || !reflect.DeepEqual(got, f.decoded) {
				t.Fatalf("got %+v, %v\nwant %+v", got, err, f.decoded)
			}
			for n := range f.encoded { // a short one is refused, or means something else: it never panics
				if short, err := f.decode(f.encoded[:n]); err == nil && reflect.DeepEqual(short, f.decoded) {
					t.Errorf("the first %d of %d bytes decode to the same", n, len(f.encoded))
				}
			}
		})
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, f := range formats() {
		file := filepath.Join("testdata", "golden", "v1", name)
		if *rewriteFlag {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, f.encoded, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, f.encoded) {
			t.Errorf("%s: encodes as\n%x, the golden file has\n%x", name, f.encoded, golden)
		}
		if got, err := f.decode(golden); err != nil || !reflect.DeepEqual(got, f.decoded) {
			t.Errorf("%s: the golden file decodes to %+v, %v", name, got, err)
		}
	}
}

func TestListDetail(t *testing.T) {
	t.Parallel()
	e := fullEntry()
	got, err := decodeEntry(appendEntry(nil, &e), e.Key, detailList)
	e.Headers, e.UserMeta, e.Attrs = nil, nil, e.Attrs[:1]
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, e)
	}
}

func TestEntryBytesIsABound(t *testing.T) {
	t.Parallel()
	for _, e := range []cluster.Entry{fullEntry(), partsEntry(), markerEntry(), {ETag: strings.Repeat("x", maxETagBytes), Checksum: cluster.Checksum{Algorithm: 1, Value: make([]byte, maxChecksumBytes)}}} {
		if n := len(appendEntry(nil, &e)); n > entryBytes(&e) {
			t.Errorf("entry of %d bytes, the bound is %d", n, entryBytes(&e))
		}
	}
}

// FuzzDecode gives any bytes to every decoder: none panics, and what one accepts it decodes again from its own encoding.
func FuzzDecode(f *testing.F) {
	for _, v := range formats() {
		f.Add(v.encoded)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range formats() {
			_, _ = v.decode(b)
		}
		if e, err := decodeEntry(b, "k", detailAll); err == nil {
			again, err := decodeEntry(appendEntry(nil, &e), "k", detailAll)
			if err != nil || !reflect.DeepEqual(again, e) {
				t.Fatalf("got %+v, %v\nwant %+v", again, err, e)
			}
			if _, err := decodeEntry(b, "k", detailList); err != nil {
				t.Fatalf("valid in full, but not for a listing: %v", err)
			}
		}
		if ps, err := decodeChunk(b, nil); err == nil && len(ps) > 0 {
			if again, err := decodeChunk(newChunk(ps), nil); err != nil || !reflect.DeepEqual(again, ps) {
				t.Fatalf("got %+v, %v\nwant %+v", again, err, ps)
			}
		}
		if g, err := decodeGarbage(b); err == nil && !bytes.Equal(g.encode(), b) {
			t.Fatalf("%x encodes as %x", b, g.encode())
		}
		for _, tag := range "bBgopqrstuv" {
			_, _ = Describe(append([]byte{byte(tag)}, b...), b)
			_, _ = Describe(append(nameKey(byte(tag), 1, "k", 0), b...), b)
		}
	})
}
