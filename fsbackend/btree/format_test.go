package btree

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current format version anew")

const goldenDir = "testdata/golden/v1"

// goldenFS writes the tree whose files are the golden ones: a branch root, leaves with a common prefix, a long value, freed pages, an older
// generation.
func goldenFS(t *testing.T) (fs *memfs.FS, names []string) {
	fs = newFS(t)
	long, base := strings.Repeat("long ", 2000), Root{}
	for g := uint64(1); g <= 2; g++ {
		tr := openTree(t, fs, func(o *Options) { o.Home, o.Base = g, base })
		for step := range 2 {
			edits := make(map[string]*string)
			for i := range 60 {
				v := fmt.Sprintf("value %d of step %d in generation %d ", i, step, g) + strings.Repeat("v", 200)
				edits[fmt.Sprintf("bucket/key-%03d", (i*(step+1)+int(g)*37)%150)] = &v
			}
			edits[fmt.Sprintf("bucket/long-%d", g)] = &long
			if err := tr.Apply(t.Context(), g*10+uint64(step), sorted(edits)); err != nil {
				t.Fatal(err)
			}
		}
		base = tr.Root()
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		names = append(names, makeFileKey(g, 1).name(testDir))
	}
	return fs, append(names, ringName(testDir, 2))
}

func goldenName(name string) string {
	return filepath.Join(goldenDir, strings.ReplaceAll(strings.TrimPrefix(name, testDir+"/gen/"), "/", "-"))
}

func contents(t *testing.T, fs fsbackend.FS, name string) []byte {
	f, err := fs.OpenRead(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// The current version is written byte for byte as in the golden files.
func TestGoldenEncode(t *testing.T) {
	fs, names := goldenFS(t)
	for _, name := range names {
		got := contents(t, fs, name)
		if *rewrite {
			if err := os.MkdirAll(goldenDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenName(name), got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(goldenName(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s differs from its golden file at offset %d (page %d); lengths %d and %d", name, at, at/PageBytes, len(got), len(want))
		}
	}
}

// A tree is read from the golden files.
func TestGoldenDecode(t *testing.T) {
	fs := newFS(t)
	for g := uint64(1); g <= 2; g++ {
		if err := fs.MkdirAll(fsbackend.GenerationDir(testDir, g)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{makeFileKey(1, 1).name(testDir), makeFileKey(2, 1).name(testDir), ringName(testDir, 2)} {
		b, err := os.ReadFile(goldenName(name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(name)
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	root, ok, err := NewestRoot(fs, testDir, 2)
	if err != nil || !ok || root.LSN != 21 || root.TxID != 4 {
		t.Fatalf("newest root %+v, %v, %v", root, ok, err)
	}
	r, err := Inspect(t.Context(), fs, testDir, root)
	if err != nil {
		t.Fatal(err)
	}
	if r.Entries < 100 || r.Branches == 0 || r.OverflowPages == 0 || r.Files != 2 {
		t.Errorf("golden tree shows too little: %+v", r)
	}
	var out strings.Builder
	if err := Dump(t.Context(), fs, testDir, root, &out, DumpOptions{Entries: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"bucket/key-037" = `, `"bucket/long-1" = 10000 bytes at 1/tree-001/`, "file svc/gen/0000000002/tree-001 live ", "branch 2/tree-001/"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("dump lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	id, err := ParsePageID(root.Page.String())
	if err != nil || id != root.Page {
		t.Fatalf("page id %v parsed as %v, %v", root.Page, id, err)
	}
	for _, id := range []PageID{root.Page, root.Directory} {
		if err := DumpPage(fs, testDir, id, &out); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(out.String(), "-> ") || !strings.Contains(out.String(), "next 0/") {
		t.Errorf("dump of pages:\n%s", out.String())
	}
}

func TestRootEncoding(t *testing.T) {
	want := Root{Generation: 3, TxID: 99, LSN: 1 << 60, Page: makePageID(3, 2, 17), Directory: makePageID(2, 9, 65000), Entries: 5, Pages: 8, Height: 2,
		pageCRC: 0x01020304, dirCRC: 0xfffefdfc}
	b := want.Append([]byte("x"))[1:]
	if len(b) != RootBytes {
		t.Fatalf("%d bytes, want %d", len(b), RootBytes)
	}
	if got, err := DecodeRoot(b); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got, err := DecodeRoot(Root{}.Append(nil)); err != nil || !got.IsZero() {
		t.Errorf("zero root: %+v, %v", got, err)
	}
	for i := range b {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(b)
			bad[i] ^= bit
			if _, err := DecodeRoot(bad); err == nil {
				t.Errorf("byte %d flipped by %#x: accepted", i, bit)
			}
		}
		if _, err := DecodeRoot(b[:i]); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%d bytes: %v, want corrupt", i, err)
		}
	}
}

// A slot of the newest root is damaged in one copy, then in both; the newest other root counts.
func TestTornRootSlots(t *testing.T) {
	t.Parallel()
	fs := newFS(t)
	tr := openTree(t, fs, nil)
	v := "v"
	for i := range 20 {
		if err := tr.Apply(t.Context(), uint64(i), sorted(map[string]*string{fmt.Sprint(i): &v})); err != nil {
			t.Fatal(err)
		}
	}
	newest := tr.Root()
	f, err := fs.Open(ringName(testDir, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	slot := int64(slotOf(newest.TxID)) * ringSlotBytes
	for _, step := range []struct {
		name string
		off  int64
		want TxID
	}{{"whole", -1, 20}, {"first copy", 0, 20}, {"both copies", ringCopy, 19}} {
		if step.off >= 0 {
			if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 512), slot+step.off); err != nil {
				t.Fatal(err)
			}
		}
		r, ok, err := NewestRoot(fs, testDir, 1)
		if err != nil || !ok || r.TxID != step.want {
			t.Fatalf("%s: newest root %+v, %v, %v; want transaction %d", step.name, r, ok, err, step.want)
		}
	}
	// A root of another generation or slot in a slot is no root.
	other := newest
	other.Generation, other.TxID = 2, 28
	for i, r := range []Root{other, {Generation: 1, TxID: 21}} {
		if _, err := f.WriteAt(encodeSlot(r), slot); err != nil {
			t.Fatal(err)
		}
		slots, err := ReadRing(fs, testDir, 1)
		if err != nil || slots[slotOf(newest.TxID)].Err == nil {
			t.Errorf("stranger %d in the slot accepted: %v", i, err)
		}
	}
	if _, ok, err := NewestRoot(fs, testDir, 7); ok || err != nil {
		t.Errorf("no ring: %v, %v", ok, err)
	}
}

func FuzzDecodeRoot(f *testing.F) {
	f.Add(Root{Generation: 1, TxID: 2, LSN: 3}.Append(nil))
	f.Add(Root{Generation: 1, TxID: 2, Page: 1 << 40, Entries: 1, Height: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeRoot(b); err == nil {
			if again, err := DecodeRoot(r.Append(nil)); err != nil || again != r {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}

// FuzzDecodePage gives pages a valid checksum, so that the fuzzer reaches what lies behind it, and uses whatever is accepted.
func FuzzDecodePage(f *testing.F) {
	for _, name := range []string{"0000000001-tree-001", "0000000002-tree-001"} {
		b, err := os.ReadFile(filepath.Join(goldenDir, name))
		if err != nil {
			f.Fatal(err)
		}
		for ; len(b) >= PageBytes; b = b[PageBytes:] {
			f.Add(bytes.TrimRight(b[:PageBytes], "\x00"), []byte("bucket/key-050"))
		}
	}
	f.Fuzz(func(t *testing.T, head, key []byte) {
		b := make([]byte, PageBytes)
		if copy(b, head) < pageHeaderBytes {
			return
		}
		copy(b, []byte("OBT1"))
		seal(b)
		id := PageID(1)<<40 | 7
		copy(b[8:], []byte{7, 0, 0, 0, 0, 1, 0, 0})
		seal(b)
		p, _, _ := decodePage(b, id)
		if p == nil || p.kind != kindLeaf && p.kind != kindBranch {
			return
		}
		items := p.items(nil, nil)
		if len(items) != p.n {
			t.Fatalf("%d items of %d", len(items), p.n)
		}
		if p.kind == kindBranch {
			if i := p.route(key); i < 0 || i >= p.n {
				t.Fatalf("route to %d of %d", i, p.n)
			}
		} else if i, _ := p.seek(key); i < 0 || i > p.n {
			t.Fatalf("seek to %d of %d", i, p.n)
		}
	})
}
