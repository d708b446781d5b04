package objserver

import (
	"encoding/binary"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// The first byte of a key says what it is: FORMAT.md.
const (
	prefixLast    = 'L' // highest number of an unlinked pool file
	prefixObject  = 'O' // object record, and its continuations
	prefixRegion  = 'R' // region record
	prefixPayload = 'V' // payload that is not in its blocks yet
)

const (
	objectKeyBytes  = 1 + 16
	partKeyBytes    = objectKeyBytes + 2
	regionKeyBytes  = 1 + 8 + 1 + 4 + 4
	payloadKeyBytes = 1 + 8 + 16
	lastKeyBytes    = 1 + 8 + 1
)

func appendObjectKey(b []byte, id cluster.ObjectID) []byte {
	return append(append(b, prefixObject), id[:]...)
}

// appendPartKey is the key of a continuation of an object record.
func appendPartKey(b []byte, id cluster.ObjectID, part int) []byte {
	return binary.BigEndian.AppendUint16(appendObjectKey(b, id), uint16(part))
}

// appendPayloadKey is the key of a payload on its way to blocks in files of a generation.
func appendPayloadKey(b []byte, generation uint64, id cluster.ObjectID) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, prefixPayload), generation), id[:]...)
}

func decodePayloadKey(k []byte) (generation uint64, id cluster.ObjectID, err error) {
	if len(k) != payloadKeyBytes || k[0] != prefixPayload {
		return 0, id, fault.New(fault.Corrupt, "key %x is not that of a payload", k)
	}
	return binary.BigEndian.Uint64(k[1:]), cluster.ObjectID(k[9:]), nil
}

func appendRegionKey(b []byte, r pools.RegionID) []byte {
	b = binary.BigEndian.AppendUint64(append(b, prefixRegion), r.Generation)
	b = binary.BigEndian.AppendUint32(append(b, byte(r.Pool)), r.Number)
	return binary.BigEndian.AppendUint32(b, r.Region)
}

func decodeRegionKey(k []byte) (r pools.RegionID, err error) {
	if len(k) != regionKeyBytes || k[0] != prefixRegion || k[9] >= pools.PoolCount {
		return r, fault.New(fault.Corrupt, "key %x is not that of a region", k)
	}
	be := binary.BigEndian
	r.Generation, r.Pool, r.Number, r.Region = be.Uint64(k[1:]), pools.Pool(k[9]), be.Uint32(k[10:]), be.Uint32(k[14:])
	return r, nil
}

func appendLastKey(b []byte, generation uint64, p pools.Pool) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, prefixLast), generation), byte(p))
}
