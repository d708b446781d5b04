package objserver

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current version anew")

// mapTx is a transaction on a map.
type mapTx map[string][]byte

func (m mapTx) Get(key []byte) ([]byte, bool, error) {
	v, ok := m[string(key)]
	return v, ok, nil
}
func (m mapTx) Put(key, value []byte) { m[string(key)] = value }
func (m mapTx) Delete(key []byte)     { delete(m, string(key)) }

// draftOf makes the record of an object with made-up blocks and checksums.
func draftOf(size int64) *draft {
	split := pools.Split(nil, size)
	d := newDraft(size, size <= MaxSmallBytes, time.UnixMilli(1_700_000_000_123), len(split))
	d.head.CRC = 0xcafef00d
	left := size
	for i, k := range split {
		d.block(pools.Addr{FileID: pools.FileID{Generation: 42, Pool: k, Number: uint32(i/100 + 1)}, Block: uint32(i * 3)})
		n := min(left, k.BlockBytes())
		for c := range pools.Chunks(n) {
			d.chunk(uint32(i<<16 | c))
		}
		left -= n
	}
	return d
}

func goldenID() cluster.ObjectID {
	id, _ := cluster.ParseObjectID("00112233445566778899aabbccddeeff")
	return id
}

func golden(t *testing.T, name string, got []byte) {
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
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"small": 5000, "inline": 20<<20 + 129<<10} {
		tx := mapTx{}
		draftOf(size).put(tx, goldenID())
		v, _, _ := tx.Get(appendObjectKey(nil, goldenID()))
		golden(t, name, v)
	}
	region := pools.RegionID{FileID: pools.FileID{Generation: 42, Pool: 3, Number: 7}, Region: 9}
	golden(t, "keys", bytes.Join([][]byte{appendObjectKey(nil, goldenID()), appendPartKey(nil, goldenID(), 258), appendPayloadKey(nil, 42, goldenID()),
		appendRegionKey(nil, region), appendLastKey(nil, 42, 11)}, nil))
	if got, err := decodeRegionKey(appendRegionKey(nil, region)); err != nil || got != region {
		t.Errorf("region key: got %v, %v", got, err)
	}
	if g, id, err := decodePayloadKey(appendPayloadKey(nil, 42, goldenID())); err != nil || g != 42 || id != goldenID() {
		t.Errorf("payload key: got %v, %v, %v", g, id, err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(testSeed(t), 4))
	sizes := []int64{1, 4096, 65536, 65537, 60 * pools.MaxBlockBytes, 60*pools.MaxBlockBytes + 1, cluster.MaxPutBytes, cluster.MaxPutBytes - 1}
	// Seed 11880126416577918266: a tail of several blocks that begins in one continuation and ends in the next could not be read.
	sizes = append(sizes, 1001906345)
	for full := int64(58); full <= 61; full++ {
		sizes = append(sizes, (full+partExtents)*pools.MaxBlockBytes+7<<20+3<<19+5)
	}
	for range 100 {
		sizes = append(sizes, 1+rng.Int64N(1<<(1+rng.IntN(32))))
	}
	for _, size := range sizes {
		tx := mapTx{}
		d := draftOf(size)
		d.put(tx, goldenID())
		for k, v := range tx {
			if len(v) > 32<<10 {
				t.Fatalf("size %d: value of %d bytes under %x", size, len(v), k)
			}
		}
		o, ok, err := load(tx, goldenID())
		if err != nil || !ok || o.head != d.head {
			t.Fatalf("size %d: %+v, %v, %v", size, o.head, ok, err)
		}
		list, err := o.all()
		if err != nil || len(list) != len(d.addrs) {
			t.Fatalf("size %d: %d extents, %v", size, len(list), err)
		}
		for i, e := range list {
			if e.Addr != d.addrs[i] || len(e.CRCs) != 4*pools.Chunks(e.Length) || e.CRCs[2] != byte(i) {
				t.Fatalf("size %d: extent %d: %+v", size, i, e)
			}
		}
		var f found // a range near the end finds its extent without the beginning
		if err := f.look(tx, goldenID(), size-1, 1); err != nil {
			t.Fatal(err)
		}
		r := reader{x: f.x, at: size - 1, end: size}
		p, err := r.next(1 << 20)
		if last := list[len(list)-1]; err != nil || p.addr != last.Addr || p.off+int64(p.skip) != last.Length-1 || p.take != 1 || p.length > pools.ChunkBytes {
			t.Fatalf("size %d: last byte: %+v, %v", size, p, err)
		}
		o.remove(tx)
		if len(tx) != 0 {
			t.Fatalf("size %d: %d records are left", size, len(tx))
		}
	}
}

// TestRecordDamage cuts and changes records: load or all say so, and nothing panics.
func TestRecordDamage(t *testing.T) {
	t.Parallel()
	tx := mapTx{}
	draftOf(700<<20).put(tx, goldenID())
	key := string(appendPartKey(nil, goldenID(), 1))
	delete(tx, key)
	if _, _, err := load(tx, goldenID()); !errors.Is(err, fault.Corrupt) {
		t.Errorf("continuation missing: %v", err)
	}
	tx = mapTx{}
	draftOf(3<<20+5).put(tx, goldenID())
	key = string(appendObjectKey(nil, goldenID()))
	whole := tx[key]
	for n := range whole {
		tx[key] = whole[:n]
		o, ok, err := load(tx, goldenID())
		if err == nil && ok {
			_, err = o.all()
		}
		if !errors.Is(err, fault.Corrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, at := range []int{0, 1, 2, 24, 28, 32 + 16, 32 + 17} {
		b := bytes.Clone(whole)
		b[at] ^= 0x80
		tx[key] = b
		o, ok, err := load(tx, goldenID())
		if err == nil && ok {
			_, err = o.all()
		}
		if err == nil {
			t.Errorf("byte %d changed: no error", at)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, size := range []int64{5000, 20<<20 + 129<<10, 600 << 20} {
		tx := mapTx{}
		draftOf(size).put(tx, goldenID())
		head, _, _ := tx.Get(appendObjectKey(nil, goldenID()))
		part, _, _ := tx.Get(appendPartKey(nil, goldenID(), 0))
		f.Add(head, part, int64(0), int64(1))
	}
	f.Fuzz(func(t *testing.T, head, part []byte, offset, length int64) {
		tx := mapTx{string(appendObjectKey(nil, goldenID())): head, string(appendPartKey(nil, goldenID(), 0)): part, string(appendPartKey(nil, goldenID(), 1)): part}
		if o, ok, err := load(tx, goldenID()); err == nil && ok {
			if list, err := o.all(); err == nil && int64(len(list)) > o.head.Size {
				t.Errorf("%d extents for %d bytes", len(list), o.head.Size)
			}
		}
		var fd found
		if err := fd.look(tx, goldenID(), offset, length); err != nil || fd.payload != nil {
			return
		}
		r := reader{x: fd.x, at: offset, end: offset + length}
		for r.at < r.end {
			p, err := r.next(1 << 20)
			if err != nil {
				return
			}
			if p.take <= 0 || p.skip < 0 || p.skip+p.take > p.length || len(p.crcs) < 4*pools.Chunks(int64(p.length)) {
				t.Fatalf("piece %+v", p)
			}
		}
	})
}
