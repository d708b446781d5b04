package pools

import "math/bits"

// maxTailBlocks bounds the blocks of what is left after all full blocks of 8 MiB. Three waste 2 to 4 % for medians of 64 KiB and more and cost
// a header and a write each; one block per object wastes 44 %. split_test.go makes the table.
const maxTailBlocks = 3

// Split appends the pools of the blocks that hold an object of size bytes, in order: as many of 8 MiB as fit, then at most three for the rest, each
// smaller than the one before. All blocks but the last are full. size is at least 1.
func Split(dst []Pool, size int64) []Pool {
	for ; size >= MaxBlockBytes; size -= MaxBlockBytes {
		dst = append(dst, PoolCount-1)
	}
	for units := tailUnits(size); units > 0; {
		p := Pool(bits.Len64(units) - 1)
		dst = append(dst, p)
		units -= 1 << p
	}
	return dst
}

// SplitBytes returns what the blocks of an object of size bytes occupy.
func SplitBytes(size int64) int64 {
	return size/MaxBlockBytes*MaxBlockBytes + int64(tailUnits(size%MaxBlockBytes))*MinBlockBytes
}

// tailUnits rounds size, which is below 8 MiB, up to blocks of 4 KiB, and then up until at most maxTailBlocks bits are set.
func tailUnits(size int64) uint64 {
	units := uint64(size+MinBlockBytes-1) / MinBlockBytes
	if bits.OnesCount64(units) <= maxTailBlocks {
		return units
	}
	rest := units
	for range maxTailBlocks - 1 {
		rest &^= 1 << (bits.Len64(rest) - 1)
	}
	last := uint64(1) << (bits.Len64(rest) - 1)
	return (units + last - 1) &^ (last - 1)
}
