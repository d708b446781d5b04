package discovery

import (
	"encoding/binary"
	"strings"

	"github.com/cespare/xxhash/v2"

	"ostor/internal/cluster"
)

// The hashes below decide where names and bytes are kept. They are fixed for ever: another function would look for everything in the wrong place (names) or spread
// parts differently (objects, which are found by their link). testdata/golden/v1/placement.txt holds vectors. All are XXH64 with seed 0; numbers are little endian.

// SlotOfKey returns the slot that keeps everything about a key's directory: the part of the key up to and with its last slash, "" when it has none.
// It is the top 12 bits of XXH64(bucket id in 8 bytes, directory).
func SlotOfKey(bucket cluster.BucketID, key string) int {
	return slot(uint64(bucket), key[:strings.LastIndexByte(key, '/')+1])
}

// Prefixes that keep buckets and records apart from keys: no bucket has the id 0 or the greatest.
const (
	bucketSpace = 0
	recordSpace = 1<<64 - 1
)

// SlotOfBucket returns the slot that keeps a bucket's record: XXH64(8 bytes of 0x00, name).
func SlotOfBucket(name string) int { return slot(bucketSpace, name) }

// SlotOfRecord returns the slot that keeps a record of the service bucket, by its directory as for keys: XXH64(8 bytes of 0xFF, directory).
func SlotOfRecord(name string) int {
	return slot(recordSpace, name[:strings.LastIndexByte(name, '/')+1])
}

func slot(space uint64, name string) int {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], space)
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[:])
	_, _ = d.WriteString(name)
	return int(d.Sum64() >> (64 - 12))
}

const _ = uint(Slots-1<<12) + uint(1<<12-Slots) // 12 bits of hash name every slot

// nameHash is what servers are ranked for: XXH64(bucket id in 8 bytes, part in 4 bytes, key). Part 0 is a whole object.
func nameHash(bucket cluster.BucketID, key string, part int32) uint64 {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], uint64(bucket))
	binary.LittleEndian.PutUint32(b[8:], uint32(part))
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[:])
	_, _ = d.WriteString(key)
	return d.Sum64()
}

// rank is a server's score for a name: XXH64(name hash in 8 bytes, service id in 8 bytes). The highest wins, of equals the lowest id.
func rank(name uint64, id cluster.ServiceID) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], name)
	binary.LittleEndian.PutUint64(b[8:], uint64(id))
	return xxhash.Sum64(b[:])
}
