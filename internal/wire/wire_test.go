package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

var (
	seed    = flag.Uint64("seed", 0, "replay the random values of this seed (0: a new one)")
	rewrite = flag.Bool("rewrite", false, "write the golden file anew")
)

// message is a codec with its type taken away.
type message struct {
	name   string
	zero   func() any                   // pointer to a zero value
	encode func(b []byte, v any) []byte // v: pointer
	decode func(b []byte) (any, error)  // pointer
}

func codec[T any](name string, enc func([]byte, *T) []byte, dec func([]byte) (T, error)) message {
	return message{name, func() any { return new(T) },
		func(b []byte, v any) []byte { return enc(b, v.(*T)) },
		func(b []byte) (any, error) { v, err := dec(b); return &v, err }}
}

// byValue makes codecs of slices and strings look like the others.
func byValue[T any](enc func([]byte, T) []byte) func([]byte, *T) []byte {
	return func(b []byte, v *T) []byte { return enc(b, *v) }
}

// messages in the order of the golden file: append only.
var messages = []message{
	codec("Lookup", AppendLookup, DecodeLookup),
	codec("Entry", AppendEntry, DecodeEntry),
	codec("Guard", AppendGuard, DecodeGuard),
	codec("Links", byValue(AppendLinks), DecodeLinks),
	codec("CreateEntry", AppendCreateEntry, DecodeCreateEntry),
	codec("UpdateEntry", AppendUpdateEntry, DecodeUpdateEntry),
	codec("DeleteEntry", AppendDeleteEntry, DecodeDeleteEntry),
	codec("Deleted", AppendDeleted, DecodeDeleted),
	codec("ListRequest", AppendListRequest, DecodeListRequest),
	codec("ListVersionsRequest", AppendListVersionsRequest, DecodeListVersionsRequest),
	codec("ListPage", AppendListPage, DecodeListPage),
	codec("Name", byValue(AppendName), DecodeName),
	codec("Bucket", AppendBucket, DecodeBucket),
	codec("BucketCreated", AppendBucketCreated, DecodeBucketCreated),
	codec("BucketRef", AppendBucketRef, DecodeBucketRef),
	codec("ListBucketsRequest", AppendListBucketsRequest, DecodeListBucketsRequest),
	codec("BucketPage", AppendBucketPage, DecodeBucketPage),
	codec("Seal", AppendSeal, DecodeSeal),
	codec("PartsQuery", AppendPartsQuery, DecodePartsQuery),
	codec("Parts", AppendParts, DecodeParts),
	codec("NewUpload", AppendNewUpload, DecodeNewUpload),
	codec("UploadRef", AppendUploadRef, DecodeUploadRef),
	codec("Upload", AppendUpload, DecodeUpload),
	codec("NewPart", AppendNewPart, DecodeNewPart),
	codec("UploadPartsQuery", AppendUploadPartsQuery, DecodeUploadPartsQuery),
	codec("ListUploadsRequest", AppendListUploadsRequest, DecodeListUploadsRequest),
	codec("UploadPage", AppendUploadPage, DecodeUploadPage),
	codec("CompleteUpload", AppendCompleteUpload, DecodeCompleteUpload),
	codec("Record", AppendRecord, DecodeRecord),
	codec("RecordsQuery", AppendRecordsQuery, DecodeRecordsQuery),
	codec("Records", AppendRecords, DecodeRecords),
	codec("RecordChanges", byValue(AppendRecordChanges), DecodeRecordChanges),
	codec("NewObject", AppendNewObject, DecodeNewObject),
	codec("ObjectRange", AppendObjectRange, DecodeObjectRange),
	codec("ObjectInfo", AppendObjectInfo, DecodeObjectInfo),
	codec("ObjectID", byValue(AppendObjectID), DecodeObjectID),
	codec("ObjectIDs", byValue(AppendObjectIDs), DecodeObjectIDs),
	codec("ObjectsOf", AppendObjectsOf, DecodeObjectsOf),
	codec("LinkHolders", byValue(AppendLinkHolders), DecodeLinkHolders),
	codec("BucketSince", AppendBucketSince, DecodeBucketSince),
}

// fill sets every field below v to something random: also nil, empty and zero. full leaves nothing out.
func fill(r *rand.Rand, v reflect.Value, full bool) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		if full || r.IntN(4) > 0 {
			v.Set(reflect.ValueOf(time.UnixMilli(r.Int64N(1 << 42)).UTC()))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), full)
		}
	case reflect.Pointer:
		if full || r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), full)
		}
	case reflect.Slice:
		n := r.IntN(4)
		if full {
			n = 2
		}
		bytes := v.Type().Elem().Kind() == reflect.Uint8
		if n == 0 && (!bytes || r.IntN(2) == 0) {
			return // nil; an empty list is nil too, empty bytes are not
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), full)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), full)
		}
	case reflect.String:
		b := make([]byte, r.IntN(8)+1)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if full || r.IntN(4) > 0 {
			v.SetString(string(b))
		}
	case reflect.Bool:
		v.SetBool(full || r.IntN(2) == 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		x := int64(r.Uint64())
		if v.OverflowInt(x) {
			x = int64(int32(x))
		}
		v.SetInt(x)
	default:
		bits := v.Type().Bits()
		v.SetUint(r.Uint64() >> (64 - bits))
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(s, 0))
			for i := range 200 {
				v := m.zero()
				fill(r, reflect.ValueOf(v).Elem(), i == 0)
				b := m.encode([]byte("before"), v)
				got, err := m.decode(b[len("before"):])
				if err != nil || !reflect.DeepEqual(got, v) {
					t.Fatalf("seed %d: got %+v, %v\nwant %+v", s, got, err, v)
				}
				b = b[len("before"):]
				for cut := range len(b) {
					if _, err := m.decode(b[:cut]); !errors.Is(err, fault.Invalid) {
						t.Fatalf("seed %d: the first %d of %d bytes: got error %v, want fault.Invalid", s, cut, len(b), err)
					}
				}
				if _, err := m.decode(append(b, 0)); !errors.Is(err, fault.Invalid) {
					t.Fatalf("seed %d: trailing byte: got error %v", s, err)
				}
			}
		})
	}
}

// A reply must not change when the buffer that it came in is used again.
func TestNothingShared(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		v := m.zero()
		fill(rand.New(rand.NewPCG(1, 2)), reflect.ValueOf(v).Elem(), true)
		b := m.encode(nil, v)
		got, err := m.decode(b)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		clear(b)
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%s shares memory with its input", m.name)
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const name = "testdata/golden/v1/messages.txt"
	var out strings.Builder
	for _, m := range messages {
		v := m.zero()
		fill(rand.New(rand.NewPCG(7, 7)), reflect.ValueOf(v).Elem(), true)
		fmt.Fprintf(&out, "%s %x\n", m.name, m.encode(nil, v))
	}
	if *rewrite {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(golden) != out.String() {
		t.Error("the encoding is not that of the golden file: an old peer would not understand it")
	}
	for line := range strings.Lines(string(golden)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.name != name {
				continue
			}
			v, err := m.decode(b)
			if err != nil || !bytes.Equal(m.encode(nil, v), b) {
				t.Errorf("%s: the golden message does not decode: %v", name, err)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{{}, time.UnixMilli(0).UTC(), time.UnixMilli(-1).UTC(), time.UnixMilli(1).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)} {
		d := decoder{b: appendTime(nil, want)}
		if got := d.time(); got != want || d.end() != nil {
			t.Errorf("got %v, %v, want %v", got, d.end(), want)
		}
	}
	local := time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("x", 3600))
	d := decoder{b: appendTime(nil, local)}
	if got, want := d.time(), local.UTC().Truncate(time.Millisecond); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, ms := range []int64{time.Time{}.UnixMilli(), math.MaxInt64, math.MinInt64 + 1} {
		d := decoder{b: appendI64(nil, ms)}
		if v := d.time(); d.end() == nil && v.UnixMilli() != ms {
			t.Errorf("%d ms became %v", ms, v)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	id := make([]byte, 16)
	for _, tc := range []struct {
		name string
		err  error
	}{
		{"huge count", second(DecodeLinks(appendCount(nil, 1<<30)))},
		{"count of 2^63", second(DecodeObjectIDs([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}))},
		{"overlong count", second(DecodeObjectIDs(append([]byte{0x81, 0x00}, id...)))},
		{"string beyond the end", second(DecodeName([]byte{5, 'a'}))},
		{"truth of 2", second(DecodeSeal(append(make([]byte, 16), 2)))},
		{"unknown bits", second(DecodeEntry(append(make([]byte, 16), bytes.Repeat([]byte{0xf8}, 200)...)))},
		{"empty", second(DecodeEntry(nil))},
	} {
		if !errors.Is(tc.err, fault.Invalid) {
			t.Errorf("%s: got %v, want fault.Invalid", tc.name, tc.err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestOpNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for op := uint16(1); op < opCount; op++ {
		n := OpName(op)
		if n == "" || n == "UNKNOWN" || seen[n] {
			t.Errorf("operation %d has the name %q", op, n)
		}
		seen[n] = true
	}
	if OpName(0) != "UNKNOWN" || OpName(opCount) != "UNKNOWN" || OpName(65535) != "UNKNOWN" {
		t.Error("a code that is none has a name")
	}
	if OpLookup != 1 || OpList != 7 || OpApplyRecords != 27 || OpDeleteObjects != 30 {
		t.Error("codes have moved: they are on the wire")
	}
}

// FuzzDecode: whatever bytes come, a decoder returns an error or a value that encodes to exactly these bytes.
func FuzzDecode(f *testing.F) {
	for i, m := range messages {
		v := m.zero()
		fill(rand.New(rand.NewPCG(3, 3)), reflect.ValueOf(v).Elem(), true)
		f.Add(byte(i), m.encode(nil, v))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		m := messages[int(which)%len(messages)]
		v, err := m.decode(b)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("%s: error of kind %v", m.name, fault.KindOf(err))
			}
			return
		}
		if got := m.encode(nil, v); !bytes.Equal(got, b) {
			t.Fatalf("%s: %x decodes, and encodes to %x", m.name, b, got)
		}
	})
}

func sampleEntry() cluster.Entry {
	return cluster.Entry{Key: "photos/2026/11/img_0001.jpg", Version: cluster.VersionID{Generation: 3, Sequence: 1 << 30}, Latest: true, Modified: time.UnixMilli(1790000000000).UTC(),
		Owner: 7, Size: 4096, ETag: "9e107d9d372bb6826bd81d3542a419d6", Content: cluster.Link{Server: 1 << 60, Object: cluster.ObjectID{1, 2, 3}},
		Headers: []cluster.Header{{Name: "content-type", Value: "image/jpeg"}}, UserMeta: []cluster.Header{{Name: "camera", Value: "x100"}},
		Checksum: cluster.Checksum{Algorithm: cluster.ChecksumCRC64NVME, Value: make([]byte, 8)}}
}

func BenchmarkEntry(b *testing.B) {
	e := sampleEntry()
	buf := AppendEntry(nil, &e)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendEntry(buf[:0], &e)
		}
		b.ReportMetric(float64(len(buf)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeEntry(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
