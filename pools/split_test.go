package pools

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSplit(t *testing.T) {
	const k = 1 << 10
	tests := []struct {
		name string
		size int64
		want []int64 // KiB
	}{
		{"one byte", 1, []int64{4}},
		{"a block", 4 * k, []int64{4}},
		{"a block and a byte", 4*k + 1, []int64{8}},
		{"30 KB", 30 * k, []int64{32}},
		{"129 KB", 129 * k, []int64{128, 4}},
		{"128 KiB", 128 * k, []int64{128}},
		{"28 KiB", 28 * k, []int64{16, 8, 4}},
		{"60 KiB rounds up to one block", 60 * k, []int64{64}},
		{"four bits", (64 + 32 + 8 + 4) * k, []int64{64, 32, 16}},
		{"just below 8 MiB", 8192*k - 1, []int64{8192}},
		{"8 MiB", 8192 * k, []int64{8192}},
		{"16 MiB and 5 MiB and a byte", 21*1024*k + 1, []int64{8192, 8192, 4096, 1024, 4}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := Split(nil, tc.size)
			if len(got) != len(tc.want) {
				t.Fatalf("got %v, want %v KiB", got, tc.want)
			}
			for i, p := range got {
				if p.BlockBytes() != tc.want[i]*k {
					t.Fatalf("got %v, want %v KiB", got, tc.want)
				}
			}
		})
	}
}

func TestSplitProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t), 1))
	sizes := []int64{1, 5 << 30}
	for range 200_000 {
		sizes = append(sizes, 1+rng.Int64N(1<<(1+rng.IntN(26))))
	}
	var buf []Pool
	for _, size := range sizes {
		buf = Split(buf[:0], size)
		var room int64
		tail := 0
		for i, p := range buf {
			if room >= size {
				t.Fatalf("size %d: block %d of %v holds nothing", size, i, buf)
			}
			if i > 0 && p >= buf[i-1] && p != PoolCount-1 {
				t.Fatalf("size %d: blocks %v do not descend", size, buf)
			}
			if p != PoolCount-1 {
				tail++
			}
			room += p.BlockBytes()
		}
		if room < size || tail > maxTailBlocks {
			t.Fatalf("size %d: blocks %v", size, buf)
		}
		if got := SplitBytes(size); got != room {
			t.Fatalf("SplitBytes(%d) = %d, blocks have %d", size, got, room)
		}
		if waste := room - size; waste >= MinBlockBytes && float64(waste) > 0.25*float64(size) {
			t.Fatalf("size %d: waste %d", size, waste)
		}
	}
}

// TestSplitWaste measures waste over log-normal sizes, and the blocks per object that it costs.
func TestSplitWaste(t *testing.T) {
	tests := []struct {
		median    float64
		maxWaste  float64
		maxBlocks float64
	}{
		{4 << 10, 0.34, 1.3}, {16 << 10, 0.10, 1.9}, {64 << 10, 0.045, 2.5}, {256 << 10, 0.04, 2.9}, {1 << 20, 0.035, 3.1}, {4 << 20, 0.025, 3.6},
	}
	rng := rand.New(rand.NewPCG(testSeed(t), 2))
	for _, tc := range tests {
		var logical, room, blocks, n float64
		var buf []Pool
		for range 100_000 {
			size := int64(tc.median*math.Exp(rng.NormFloat64())) + 1
			buf = Split(buf[:0], size)
			logical, room, blocks, n = logical+float64(size), room+float64(SplitBytes(size)), blocks+float64(len(buf)), n+1
		}
		waste := room/logical - 1
		t.Logf("median %7.0f: waste %5.2f %%, %.2f blocks per object", tc.median, 100*waste, blocks/n)
		if waste > tc.maxWaste || blocks/n > tc.maxBlocks {
			t.Errorf("median %.0f: waste %.3f, %.2f blocks; want at most %.3f, %.2f", tc.median, waste, blocks/n, tc.maxWaste, tc.maxBlocks)
		}
	}
}
