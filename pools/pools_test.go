package pools

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

const testDir = "services/1000000000000007"

// small lays files out so that tests fill several: 2 regions of 4 blocks.
func small(Pool) Geometry { return Geometry{BlocksPerRegion: 4, Regions: 2} }

func newFS(t *testing.T, generations ...uint64) *memfs.FS {
	t.Helper()
	fs := memfs.New()
	for _, g := range generations {
		if err := fs.MkdirAll(fsbackend.GenerationDir(testDir, g)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "services", testDir, testDir + "/" + fsbackend.GenDir} {
		if err := fs.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// records turns block addresses into the region records of the small geometry.
func records(addrs ...Addr) iter.Seq2[RegionID, RegionRecord] {
	m := map[RegionID]RegionRecord{}
	for _, a := range addrs {
		id := RegionID{a.FileID, a.Block / 4}
		r := m[id]
		if r.Mask == nil {
			r.Mask = make([]byte, 1)
		}
		r.Mask[0] |= 1 << (a.Block % 4)
		m[id] = r
	}
	return maps.All(m)
}

func open(t *testing.T, fs fsbackend.FS, home uint64, inUse ...Addr) *Pools {
	t.Helper()
	p, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Service: testService, Home: home, Geometry: small}, records(inUse...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func reserve(t *testing.T, p *Pools, k Pool) Addr {
	t.Helper()
	a, err := p.Reserve(k)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func payload(a Addr, n int, seed byte) Payload {
	data := bytes.Repeat([]byte{seed}, n)
	h := Header{Object: cluster.ObjectID{1, seed}, SizeBytes: int64(n), Length: uint32(n), CRC: checksum.CRC32C(data)}
	return Payload{Located{a, h}, data}
}

func crcsOf(b []byte) (out []byte) {
	for i := 0; i < len(b); i += ChunkBytes {
		out = binary.LittleEndian.AppendUint32(out, checksum.CRC32C(b[i:min(i+ChunkBytes, len(b))]))
	}
	return out
}

func wantRead(t *testing.T, p *Pools, it Payload) {
	t.Helper()
	b := make([]byte, len(it.Data))
	if err := p.Read(it.Addr, it.Header.Object, 0, b, crcsOf(it.Data)); err != nil || !bytes.Equal(b, it.Data) {
		t.Fatalf("%v: read: %v", it.Addr, err)
	}
	if h, ok, err := p.Header(it.Addr); err != nil || !ok || h != it.Header {
		t.Fatalf("%v: header %+v, %v, %v", it.Addr, h, ok, err)
	}
}

func TestReserveFree(t *testing.T) {
	p := open(t, newFS(t, 3), 3)
	var addrs []Addr
	for range 17 { // two files of 8 and one block of a third
		addrs = append(addrs, reserve(t, p, 2))
	}
	if s := p.Stats(); s.Pools[2].Files != 3 || s.Pools[2].BusyBlocks != 17 {
		t.Fatalf("got %+v", s.Pools[2])
	}
	if got := slices.Compact(slices.SortedFunc(slices.Values(addrs), Addr.Compare)); len(got) != 17 {
		t.Fatalf("blocks were handed out twice: %v", addrs)
	}
	p.Free(addrs[9], addrs[3])
	if a, b := reserve(t, p, 2), reserve(t, p, 2); a != addrs[3] || b != addrs[9] {
		t.Errorf("got %v and %v, want the lowest free blocks %v and %v", a, b, addrs[3], addrs[9])
	}
	release := p.Hold()
	p.Free(addrs[5])
	if !p.Busy(addrs[5]) {
		t.Error("a block was freed while frees were held back")
	}
	release()
	release()
	if p.Busy(addrs[5]) {
		t.Error("a block stays busy after the hold")
	}
}

func TestSweepAndRead(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	rng := rand.New(rand.NewPCG(testSeed(t), 5))
	var items []Payload
	for i := range 40 {
		k := Pool(rng.IntN(6))
		items = append(items, payload(reserve(t, p, k), 1+rng.IntN(int(k.BlockBytes())), byte(i+1)))
	}
	before := p.Stats()
	if err := p.Sweep(t.Context(), slices.Clone(items)); err != nil {
		t.Fatal(err)
	}
	after := p.Stats()
	if n := after.Datasyncs - before.Datasyncs; n != after.FilesMade {
		t.Errorf("%d syncs for %d files", n, after.FilesMade)
	}
	if n := after.Pwrites - before.Pwrites; n > 40 {
		t.Errorf("%d writes for 40 neighbouring payloads and their headers", n)
	}
	var addrs []Addr
	for _, it := range items {
		wantRead(t, p, it)
		addrs = append(addrs, it.Addr)
	}
	// After a power cut everything is there, for the same and for the next generation.
	for _, home := range []uint64{3, 4} {
		crashed := fs.CrashClone(memfs.Keep{})
		if err := crashed.MkdirAll(fsbackend.GenerationDir(testDir, 4)); err != nil {
			t.Fatal(err)
		}
		q := open(t, crashed, home, addrs...)
		for _, it := range items {
			wantRead(t, q, it)
		}
		a := reserve(t, q, 0)
		if a.Generation != home || slices.Contains(addrs, a) {
			t.Errorf("home %d: reserved %v", home, a)
		}
	}
}

func TestLargeBlock(t *testing.T) {
	p := open(t, newFS(t, 3), 3)
	a := reserve(t, p, 8) // 1 MiB
	data := make([]byte, 1<<20-100)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	for off := 0; off < len(data); off += 300_000 {
		if err := p.WriteBlock(a, int64(off), data[off:min(off+300_000, len(data))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Sync([]FileID{a.FileID}); err != nil {
		t.Fatal(err)
	}
	crcs := crcsOf(data)
	for c := range Chunks(int64(len(data))) {
		off := c * ChunkBytes
		b := make([]byte, min(ChunkBytes, len(data)-off))
		before := p.Stats()
		if err := p.Read(a, cluster.ObjectID{1}, int64(off), b, crcs[4*c:]); err != nil || !bytes.Equal(b, data[off:off+len(b)]) {
			t.Fatalf("chunk %d: %v", c, err)
		}
		if s := p.Stats(); s.Preads-before.Preads != 1 || s.ReadBytes-before.ReadBytes > ChunkBytes {
			t.Fatalf("chunk %d took %d reads of %d bytes", c, s.Preads-before.Preads, s.ReadBytes-before.ReadBytes)
		}
	}
}

// TestCorruptBlock flips one bit at a time: the read fails and says where.
func TestCorruptBlock(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	it := payload(reserve(t, p, 0), 777, 9)
	if err := p.Sweep(t.Context(), []Payload{it}); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(it.Addr.Name(testDir))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	off := small(0).BlockOffset(0, it.Addr.Block)
	for i := range 777 {
		bad := []byte{it.Data[i] ^ 1<<(i%8)}
		if _, err := f.WriteAt(bad, off+int64(i)); err != nil {
			t.Fatal(err)
		}
		err := p.Read(it.Addr, it.Header.Object, 0, make([]byte, 777), crcsOf(it.Data))
		c, ok := errors.AsType[*fault.Corruption](err)
		if !ok || c.File != it.Addr.Name(testDir) || c.Offset != off || !errors.Is(err, fault.Corrupt) {
			t.Fatalf("bit %d of byte %d flipped: %v", i%8, i, err)
		}
		if _, err := f.WriteAt(it.Data[i:i+1], off+int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	wantRead(t, p, it)
	// A misdirected write: the block of another object, with its own right checksum.
	other := payload(it.Addr, 777, 10)
	if err := p.Read(it.Addr, other.Header.Object, 0, make([]byte, 777), crcsOf(other.Data)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("other payload: %v", err)
	}
	if err := p.Read(Addr{it.Addr.FileID, 7}, other.Header.Object, 0, make([]byte, 777), crcsOf(other.Data)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("beyond the end of the file: %v", err)
	}
	if err := p.Read(Addr{it.Addr.FileID, 8}, other.Header.Object, 0, make([]byte, 777), crcsOf(other.Data)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("no block of the file: %v", err)
	}
	if err := p.Read(Addr{FileID{9, 9, 9}, 8}, other.Header.Object, 0, make([]byte, 777), crcsOf(other.Data)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("no such file: %v", err)
	}
}

func TestDamagedAndMissingFiles(t *testing.T) {
	fs := newFS(t, 3, 4)
	p := open(t, fs, 3)
	it := payload(reserve(t, p, 0), 500, 1)
	if err := p.Sweep(t.Context(), []Payload{it}); err != nil {
		t.Fatal(err)
	}
	torn, err := fs.Create(FileID{3, 1, 1}.Name(testDir)) // made by a process that died before the system block was written
	if err != nil {
		t.Fatal(err)
	}
	torn.Close()
	lost := Addr{FileID{2, 0, 1}, 5}
	q := open(t, fs, 4, it.Addr, lost)
	wantRead(t, q, it)
	if err := q.Read(lost, it.Header.Object, 0, make([]byte, 1), crcsOf([]byte{1})); !errors.Is(err, fault.Corrupt) {
		t.Errorf("missing file: %v", err)
	}
	if got, want := q.RetireEmpty(5), []FileID{{3, 1, 1}}; !slices.Equal(got, want) {
		t.Errorf("empty files of old generations: %v, want %v", got, want)
	}
	if _, ok, err := q.Header(it.Addr); !ok || err != nil {
		t.Errorf("header of an old generation: %v, %v", ok, err)
	}
	if err := q.WriteBlock(it.Addr, 0, it.Data); !errors.Is(err, fault.Internal) {
		t.Errorf("write to an old generation: %v", err)
	}
}

func TestRetireAndUnlink(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	var addrs []Addr
	for range 16 {
		addrs = append(addrs, reserve(t, p, 0))
	}
	first, second := addrs[0].FileID, addrs[8].FileID
	p.Free(addrs[:8]...)
	if got := p.RetireEmpty(2); len(got) != 0 {
		t.Fatalf("retired %v at once", got)
	}
	if got := p.RetireEmpty(2); !slices.Equal(got, []FileID{first}) {
		t.Fatalf("retired %v", got)
	}
	if a := reserve(t, p, 0); a.FileID == first || a.FileID == second {
		t.Fatalf("reserved %v in a retired or full file", a)
	}
	p.Keep([]FileID{first})
	p.pools[0].rewind()
	if a := reserve(t, p, 0); a.FileID != first {
		t.Fatalf("reserved %v, want a block of the kept file", a)
	} else {
		p.Free(a)
	}
	if got := p.RetireEmpty(1); !slices.Equal(got, []FileID{first}) {
		t.Fatalf("retired %v", got)
	}
	if err := p.Unlink(first); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(first.Name(testDir)); err == nil {
		t.Error("the file is still there")
	}
	reserve(t, p, 0)
	q, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Service: testService, Home: 3, Geometry: small, Last: func(Pool) uint32 { return 70 }}, records())
	if err != nil {
		t.Fatal(err)
	}
	if a := reserve(t, q, 5); a.Number != 71 {
		t.Errorf("number %d was used before", a.Number)
	}
}

func TestPunchEmpty(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	var items []Payload
	for i := range 16 {
		items = append(items, payload(reserve(t, p, 5), 128<<10, byte(i+1)))
	}
	if err := p.Sweep(t.Context(), slices.Clone(items)); err != nil {
		t.Fatal(err)
	}
	used := fs.Used()
	for _, it := range items[2:12] { // all of the second region of the first file and the first of the second
		p.Free(it.Addr)
	}
	checked := 0
	n, err := p.PunchEmpty(t.Context(), 10, func() error { checked++; return nil })
	if err != nil || n != 2 || checked != 2 {
		t.Fatalf("punched %d regions with %d checks: %v", n, checked, err)
	}
	if got := used - fs.Used(); got < 8*128<<10 {
		t.Errorf("%d bytes came back", got)
	}
	for _, it := range append(items[:2:2], items[12:]...) {
		wantRead(t, p, it)
	}
	if n, err := p.PunchEmpty(t.Context(), 10, func() error { return nil }); n != 0 || err != nil {
		t.Errorf("punched again: %d, %v", n, err)
	}
	if a := reserve(t, p, 5); a != items[2].Addr {
		t.Errorf("reserved %v, want %v", a, items[2].Addr)
	}
	stale := errors.New("not the owner")
	p.Free(items[0].Addr, items[1].Addr, items[2].Addr)
	if n, err := p.PunchEmpty(t.Context(), 10, func() error { return stale }); n != 0 || !errors.Is(err, stale) {
		t.Errorf("punched by somebody who is not the owner: %d, %v", n, err)
	}
}

func TestNoSpace(t *testing.T) {
	fs := newFS(t, 3)
	var failed error
	p, err := Open(t.Context(), Options{FS: fs, Dir: testDir, Service: testService, Home: 3, Geometry: small, Fail: func(err error) { failed = err }}, records())
	if err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(40 << 10)
	it := payload(reserve(t, p, 4), 64<<10, 1)
	if err := p.WriteBlock(it.Addr, 0, it.Data); !errors.Is(err, fault.NoSpace) {
		t.Fatalf("got %v", err)
	}
	if err := p.Sweep(t.Context(), []Payload{it}); !errors.Is(err, fault.NoSpace) {
		t.Fatalf("got %v", err)
	}
	fs.SetCapacity(fs.Used() + 100)
	if _, err := p.Reserve(7); !errors.Is(err, fault.NoSpace) {
		t.Fatalf("got %v", err)
	}
	fs.SetCapacity(0)
	if err := p.Sweep(t.Context(), []Payload{it}); err != nil || failed != nil {
		t.Fatalf("with room again: %v, failed %v", err, failed)
	}
	wantRead(t, p, it)
	reserve(t, p, 7)
}

func TestInspect(t *testing.T) {
	fs := newFS(t, 3)
	p := open(t, fs, 3)
	var items []Payload
	for i := range 6 {
		items = append(items, payload(reserve(t, p, 0), 100+i, byte(i+1)))
	}
	if err := p.Sweep(t.Context(), slices.Clone(items)); err != nil {
		t.Fatal(err)
	}
	name := items[0].Addr.Name(testDir)
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(off int64) {
		var b [1]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 4
		if _, err := f.WriteAt(b[:], off); err != nil {
			t.Fatal(err)
		}
	}
	flip(small(0).HeaderOffset(0, 1) + 30)
	flip(small(0).BlockOffset(0, 4) + 50)
	var bad, good []uint32
	sys, err := Inspect(t.Context(), fs, name, true, func(in Inspected) error {
		if in.Err != nil {
			bad = append(bad, in.Block)
		} else if good = append(good, in.Block); in.Header != items[in.Block].Header {
			t.Errorf("block %d: header %+v", in.Block, in.Header)
		}
		return nil
	})
	if err != nil || sys.File != items[0].Addr.FileID || !slices.Equal(bad, []uint32{1, 4}) || !slices.Equal(good, []uint32{0, 2, 3, 5}) {
		t.Errorf("got %+v, good %v, bad %v, %v", sys, good, bad, err)
	}
	flip(100)
	if _, err := Inspect(t.Context(), fs, name, true, nil); !errors.Is(err, fault.Corrupt) {
		t.Errorf("damaged system block: %v", err)
	}
}

// TestDamagedSystemBlock: 4 KiB at the beginning of a file do not cost the gigabyte behind them.
func TestDamagedSystemBlock(t *testing.T) {
	t.Parallel()
	fs := newFS(t, 3, 4)
	p := open(t, fs, 3)
	it := payload(reserve(t, p, 0), 500, 1)
	if err := p.Sweep(t.Context(), []Payload{it}); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(it.Addr.Name(testDir))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff}, 100); err != nil {
		t.Fatal(err)
	}
	for _, home := range []uint64{3, 4} {
		q := open(t, fs, home, it.Addr)
		wantRead(t, q, it)
		c, ok := errors.AsType[*fault.Corruption](errors.Join(q.Damaged()...))
		if !ok || c.File != it.Addr.Name(testDir) || c.What != "system block" {
			t.Errorf("damage: %v", q.Damaged())
		}
		if a := reserve(t, q, 0); a.FileID == it.Addr.FileID {
			t.Errorf("block %v of the damaged file is given out", a)
		}
		n := 0
		if err := q.Headers(t.Context(), it.Addr.FileID, func(in Inspected) error { n++; return in.Err }); err != nil || n != 1 {
			t.Errorf("%d headers, %v", n, err)
		}
	}
}

func BenchmarkSweep(b *testing.B) {
	fs := memfs.New()
	if err := fs.MkdirAll(fsbackend.GenerationDir(testDir, 3)); err != nil {
		b.Fatal(err)
	}
	p, err := Open(b.Context(), Options{FS: fs, Dir: testDir, Service: testService, Home: 3}, records())
	if err != nil {
		b.Fatal(err)
	}
	var items []Payload
	for i := range 4096 {
		a, err := p.Reserve(0)
		if err != nil {
			b.Fatal(err)
		}
		items = append(items, payload(a, 4096, byte(i|1)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Sweep(b.Context(), items); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(items)), "us/payload")
}

// TestUnlinkLost: when nothing is left in a file that was lost, it is forgotten, and the service goes on.
func TestUnlinkLost(t *testing.T) {
	t.Parallel()
	for _, generation := range []uint64{2, 4} { // of one the directory is gone, too
		fs := newFS(t, 4)
		lost := Addr{FileID{generation, 0, 1}, 5}
		p := open(t, fs, 4, lost)
		p.Free(lost)
		ids := p.RetireEmpty(1)
		if !slices.Equal(ids, []FileID{lost.FileID}) {
			t.Fatalf("retired %v, want %v", ids, lost.FileID)
		}
		if err := p.Unlink(ids[0]); err != nil {
			t.Errorf("generation %d: unlink: %v", generation, err)
		}
		if err := p.Err(); err != nil {
			t.Errorf("generation %d: nothing is written any more: %v", generation, err)
		}
		if ids := p.Files(); len(ids) > 0 {
			t.Errorf("generation %d: still knows %v", generation, ids)
		}
	}
}
