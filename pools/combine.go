package pools

import "ostor/internal/checksum"

// A CRC of two strings follows from their CRCs and the length of the second: what the first contributes goes through as many zero bytes. CRCs are
// linear over GF(2), so for the fixed length of a chunk that is one table look-up per byte. It saves a second and third pass over the bytes of large objects
// (the checksums of the block and of the whole object).
var chunkShift = makeChunkShift()

func makeChunkShift() (t [4][256]uint32) {
	zeroes := make([]byte, ChunkBytes)
	base := checksum.CRC32C(zeroes)
	var bit [32]uint32
	for i := range bit {
		bit[i] = checksum.Update(1<<i, zeroes) ^ base
	}
	for i := range t {
		for v := range t[i] {
			for j := range 8 {
				if v>>j&1 != 0 {
					t[i][v] ^= bit[8*i+j]
				}
			}
		}
	}
	return t
}

// AppendChunkCRC returns the CRC32C of the bytes that gave crc followed by those of a chunk with CRC32C chunk. Full chunks need no look at the bytes; of a
// shorter one the bytes are b.
func AppendChunkCRC(crc, chunk uint32, b []byte) uint32 {
	if len(b) != ChunkBytes {
		return checksum.Update(crc, b)
	}
	t := &chunkShift
	return t[0][byte(crc)] ^ t[1][byte(crc>>8)] ^ t[2][byte(crc>>16)] ^ t[3][crc>>24] ^ chunk
}
