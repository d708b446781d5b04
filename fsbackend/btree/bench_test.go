package btree

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ostor/fsbackend"
)

// figures loads keys into a tree on a directory of the operating system in batches and reports µs and bytes written per key.
func figures(b *testing.B, name string, batches, perBatch int, key func(i int) []byte) (*Tree, *fsbackend.Counters) {
	disk, err := fsbackend.NewOS(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	fs, count := fsbackend.Count(disk)
	if err := fs.MkdirAll(testDir); err != nil {
		b.Fatal(err)
	}
	tr := openTree(b, fs, func(o *Options) { o.CacheBytes, o.FileBytes = 256<<20, 0 })
	value := make([]byte, 150)
	start := time.Now()
	for n := range batches {
		keys := make([][]byte, perBatch)
		for i := range keys {
			keys[i] = key(n*perBatch + i)
		}
		slices.SortFunc(keys, func(a, b []byte) int { return slices.Compare(a, b) })
		keys = slices.CompactFunc(keys, func(a, b []byte) bool { return string(a) == string(b) })
		if err := tr.Apply(b.Context(), uint64(n), changesOf(keys, value)); err != nil {
			b.Fatal(err)
		}
	}
	total := float64(batches * perBatch)
	r := tr.Root()
	b.Logf("%-24s %d keys: %.2f µs/key, %.0f B written/key, %d writes, %d pages, height %d, %.0f B/key stored", name, r.Entries,
		float64(time.Since(start).Microseconds())/total, float64(count.WrittenBytes.Load())/total, count.Writes.Load(), r.Pages, r.Height,
		float64(r.Pages)*PageBytes/float64(r.Entries))
	return tr, count
}

func changesOf(keys [][]byte, value []byte) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for _, k := range keys {
			if !yield(Change{Key: k, Value: value}) {
				return
			}
		}
	}
}

func scattered(i int) []byte {
	return binary.BigEndian.AppendUint64([]byte("bucket/directory/"), uint64(i)*0x9e3779b97f4a7c15)
}

// BenchmarkLoad prints the figures of FORMAT.md, "Page size": run it with -bench Load -benchtime 1x.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		figures(b, "sequential, 1 batch", 1, 1_000_000, func(i int) []byte { return fmt.Appendf(nil, "bucket/directory/%012d", i) })
		figures(b, "sequential, 100 batches", 100, 10_000, func(i int) []byte { return fmt.Appendf(nil, "bucket/directory/%012d", i) })
		figures(b, "scattered, 50 batches", 50, 20_000, scattered)
	}
}

func benchTree(b *testing.B) (*Snapshot, int) {
	tr, _ := figures(b, "scattered", 10, 100_000, scattered)
	s := tr.Snapshot()
	b.Cleanup(s.Release)
	return s, 1_000_000
}

func BenchmarkGet(b *testing.B) {
	s, n := benchTree(b)
	rng := rand.New(rand.NewPCG(1, 2))
	const hot = 512 // leaves that fit the processor's caches
	keys := make([][]byte, hot)
	for i := range keys {
		keys[i] = scattered(rng.IntN(n))
		if _, ok, err := s.Get(keys[i]); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok, err := s.Get(keys[i%hot]); !ok || err != nil {
			b.Fatal(ok, err)
		}
		i++
	}
}

func BenchmarkCursor(b *testing.B) {
	s, _ := benchTree(b)
	c := s.Cursor()
	b.ReportAllocs()
	for b.Loop() {
		if !c.Next() && !c.First() {
			b.Fatal(c.Err())
		}
	}
}

func BenchmarkSeekNear(b *testing.B) {
	s, _ := benchTree(b)
	c := s.Cursor()
	c.First()
	b.ReportAllocs()
	var key []byte
	for b.Loop() {
		key = append(key[:0], c.Key()...)
		if !c.Seek(append(key, 0)) {
			c.First()
		}
	}
}
