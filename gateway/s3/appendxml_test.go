package s3

import (
	"encoding/xml"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestXMLText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"", "<A></A>"}, {"plain", "<A>plain</A>"}, {`<&>"'`, "<A>&lt;&amp;&gt;&quot;'</A>"}, {"a\tb\nc\rd", "<A>a&#x9;b&#xa;c&#xd;d</A>"}, {"\x00\x1f\x7f", "<A>&#x0;&#x1f;&#x7f;</A>"},
		{"ü鍵🙂", "<A>ü鍵🙂</A>"}, {"a\xffb\xc3", "<A>a\uFFFDb\uFFFD</A>"}, {"\uFFFD", "<A>\uFFFD</A>"},
	} {
		var x XML
		x.Text("A", tc.in)
		if got := string(x.Bytes()); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

// FuzzXMLText compares with a real parser: what XML can write comes back.
func FuzzXMLText(f *testing.F) {
	f.Add("a<b>&\"'\n\t\r")
	f.Fuzz(func(t *testing.T, s string) {
		var x XML
		x.Text("A", s)
		var got string
		if err := xml.Unmarshal(x.Bytes(), &got); err != nil {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0xFFFE || r == 0xFFFF }) {
				return // no XML 1.0 can say it
			}
			t.Fatalf("%q: %v in %q", s, err, x.Bytes())
		}
		if want := string([]rune(s)); got != want { // one U+FFFD for each byte that is not UTF-8
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}

func TestURLEncodeDecodes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		s := "a" + string([]byte{byte(c)}) + "/b"
		enc := URLEncode(s)
		for name, decode := range map[string]func(string) (string, error){"path": url.PathUnescape, "query": url.QueryUnescape} {
			if got, err := decode(enc); err != nil || got != s {
				t.Errorf("%q as a %s: %q gives %q, %v", s, name, enc, got, err)
			}
		}
	}
	if got := URLEncode("plain/key-1_2.3~4"); got != "plain/key-1_2.3~4" {
		t.Errorf("got %q", got)
	}
}

func TestAppendTime(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		at := time.Unix(rng.Int64N(1<<33), rng.Int64N(1e9)).In(time.FixedZone("x", rng.IntN(86400)-43200))
		if got, want := string(AppendTime(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
	}
}

func BenchmarkList1000(b *testing.B) {
	var x XML
	var buf []byte
	o := ListedObject{Key: "photos/2026/11/23/image-000001.jpg", Modified: time.Now(), ETag: EmptyETag, Size: 4096, StorageClass: "STANDARD"}
	h := ListHead{Bucket: "box", V2: true, MaxKeys: 1000}
	b.ReportAllocs()
	for b.Loop() {
		x.Reset(buf)
		h.Begin(&x)
		for range 1000 {
			x.Object(&o, true)
		}
		x.Close("ListBucketResult")
		buf = x.Bytes()
	}
}
