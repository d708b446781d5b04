// Package checksum is the one place that picks polynomials for what we store: CRC32C (Castagnoli) everywhere.
package checksum

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C returns the CRC32C of b.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Update returns the CRC32C of the bytes that gave crc followed by b.
func Update(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }
