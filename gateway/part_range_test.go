package gateway

import (
	"errors"
	"math/rand/v2"
	"sort"
	"testing"

	"ostor/internal/cluster"
)

// TestFindPart looks for every number in tables of all shapes, and counts the questions. A GET by part number read the whole table of parts before it.
func TestFindPart(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	table := func(n int, number, size func(i int) int64) (parts []cluster.Part, total int64) {
		for i := range n {
			p := cluster.Part{Number: int32(number(i)), Offset: total, Size: size(i)}
			parts, total = append(parts, p), total+p.Size
		}
		return parts, total
	}
	next := func(i int) int64 { return int64(i + 1) }
	even := func(int) int64 { return 5 << 20 }
	gap := int64(0)
	for _, tc := range []struct {
		name         string
		n            int
		number, size func(i int) int64
		most         int // questions
	}{
		{"equal parts", cluster.MaxParts, next, even, 3},
		{"equal parts and a rest", 500, next, func(i int) int64 { return []int64{5 << 20, 7}[i/499] }, 3},
		{"sizes at random", 3000, next, func(int) int64 { return rng.Int64N(1<<20) + 1 }, 40},
		{"numbers with gaps", 3000, func(int) int64 { gap += rng.Int64N(3) + 1; return gap }, even, 40},
		{"one part", 1, next, even, 3},
		{"one empty part", 1, next, func(int) int64 { return 0 }, 3},
		{"an empty last part", 3, next, func(i int) int64 { return []int64{9, 9, 0}[i] }, 5},
		{"one large part among small ones", 400, next, func(i int) int64 { return []int64{1, 5 << 30}[i/200%2] }, 80},
	} {
		parts, size := table(tc.n, tc.number, tc.size)
		asked := 0
		get := func(offset int64, limit int) ([]cluster.Part, error) {
			asked++
			i := 0
			if offset > 0 {
				i = sort.Search(len(parts), func(i int) bool { return parts[i].Offset+parts[i].Size > offset })
			}
			return parts[i:min(i+limit, len(parts))], nil
		}
		have := map[int32]cluster.Part{}
		for _, p := range parts {
			have[p.Number] = p
		}
		for n := int32(1); n <= parts[len(parts)-1].Number+2; n++ {
			asked = 0
			got, err := findPart(size, n, get)
			want, ok := have[n]
			if ok && (err != nil || got.Number != want.Number || got.Offset != want.Offset || got.Size != want.Size) || !ok && !errors.Is(err, errNoSuchPart) {
				t.Fatalf("seed %d, %s, part %d: got %+v, %v; want %+v", seed, tc.name, n, got, err, want)
			}
			if asked > tc.most+2 {
				t.Fatalf("seed %d, %s, part %d: %d questions, want at most %d", seed, tc.name, n, asked, tc.most+2)
			}
		}
	}
}
