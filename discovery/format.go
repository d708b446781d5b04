package discovery

import (
	"encoding/binary"
	"slices"
	"time"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// The volume descriptor: FORMAT.md, "Volume". Little endian.
const (
	volumeMagic       = "OSTORVOL"
	volumeVersion     = 1
	volumeHeaderBytes = 48
	classHeaderBytes  = 8
	crcBytes          = 4
)

// The magic fills its field.
const _ = uint(len(volumeMagic)-8) + uint(8-len(volumeMagic))

// Append adds the descriptor's bytes to b. The volume must be valid.
func (v Volume) Append(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	size := volumeHeaderBytes + 8*len(v.Names) + 2*len(v.Slots) + crcBytes
	for _, c := range v.Classes {
		size += classHeaderBytes + 8*len(c.Servers)
	}
	b = slices.Grow(b, size)
	b = append(b, volumeMagic...)
	b = le.AppendUint32(b, volumeVersion)
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint64(b, uint64(v.ID))
	b = le.AppendUint64(b, uint64(v.Epoch))
	b = le.AppendUint64(b, uint64(v.Created.UnixMilli()))
	b = le.AppendUint16(b, uint16(len(v.Names)))
	b = le.AppendUint16(b, uint16(len(v.Classes)))
	b = le.AppendUint16(b, uint16(len(v.Slots)))
	b = le.AppendUint16(b, 0)
	b = appendIDs(b, v.Names)
	for _, s := range v.Slots {
		b = le.AppendUint16(b, s)
	}
	for _, c := range v.Classes {
		b = append(b, c.Class, 0)
		b = le.AppendUint16(b, uint16(len(c.Servers)))
		b = le.AppendUint32(b, 0)
		b = appendIDs(b, c.Servers)
	}
	return le.AppendUint32(b, checksum.CRC32C(b[start:]))
}

func appendIDs(b []byte, ids []cluster.ServiceID) []byte {
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, uint64(id))
	}
	return b
}

// DecodeVolume reads what Append wrote, and nothing else. It returns fault.Corrupt for damaged bytes and fault.NotSupported for a newer version.
func DecodeVolume(b []byte) (Volume, error) {
	le := binary.LittleEndian
	bad := func(what string) (Volume, error) {
		return Volume{}, fault.New(fault.Corrupt, "volume descriptor: %s", what)
	}
	switch {
	case len(b) < volumeHeaderBytes+crcBytes:
		return bad("too short")
	case string(b[:8]) != volumeMagic:
		return bad("wrong magic")
	case uint64(le.Uint32(b[12:])) != uint64(len(b)):
		return bad("wrong length")
	case le.Uint32(b[len(b)-crcBytes:]) != checksum.CRC32C(b[:len(b)-crcBytes]):
		return bad("wrong checksum")
	case le.Uint32(b[8:]) != volumeVersion:
		return Volume{}, fault.New(fault.NotSupported, "volume descriptor of version %d: this program knows %d", le.Uint32(b[8:]), volumeVersion)
	case le.Uint16(b[44:]) != Slots || le.Uint16(b[46:]) != 0:
		return bad("wrong slot count")
	}
	v := Volume{ID: cluster.ServiceID(le.Uint64(b[16:])), Epoch: cluster.Epoch(le.Uint64(b[24:])), Created: time.UnixMilli(int64(le.Uint64(b[32:]))).UTC()}
	names, classes := int(le.Uint16(b[40:])), int(le.Uint16(b[42:]))
	rest := b[volumeHeaderBytes : len(b)-crcBytes]
	if len(rest) < 8*names+2*Slots {
		return bad("too short for its tables")
	}
	v.Names, rest = takeIDs(rest, names)
	v.Slots = make([]uint16, Slots)
	for i := range v.Slots {
		v.Slots[i] = le.Uint16(rest[2*i:])
	}
	rest = rest[2*Slots:]
	for range classes {
		if len(rest) < classHeaderBytes || rest[1] != 0 || le.Uint32(rest[4:]) != 0 {
			return bad("bad storage class")
		}
		c, n := ObjectClass{Class: rest[0]}, int(le.Uint16(rest[2:]))
		if rest = rest[classHeaderBytes:]; len(rest) < 8*n {
			return bad("too short for its storage classes")
		}
		c.Servers, rest = takeIDs(rest, n)
		v.Classes = append(v.Classes, c)
	}
	if len(rest) != 0 {
		return bad("trailing bytes")
	}
	if err := v.validate(); err != nil {
		return Volume{}, fault.Wrap(fault.Corrupt, err, "")
	}
	return v, nil
}

// takeIDs returns the first n ids of b, which holds that many, and the rest.
func takeIDs(b []byte, n int) ([]cluster.ServiceID, []byte) {
	ids := make([]cluster.ServiceID, n)
	for i := range ids {
		ids[i] = cluster.ServiceID(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return ids, b[8*n:]
}

func (v Volume) validate() error {
	bad := func(what string) error { return fault.New(fault.Invalid, "volume descriptor: %s", what) }
	switch {
	case v.ID.Type() != cluster.TypeVolume:
		return bad("its id is not that of a volume")
	case v.Epoch == 0:
		return bad("no epoch")
	case !validServers(v.Names, cluster.TypeName):
		return bad("bad list of name servers")
	case len(v.Slots) != Slots:
		return bad("wrong slot count")
	case len(v.Classes) == 0 || len(v.Classes) > MaxStorageClasses || v.Classes[0].Class != StandardClass:
		return bad("bad list of storage classes")
	}
	for _, s := range v.Slots {
		if int(s) >= len(v.Names) {
			return bad("a slot without server")
		}
	}
	for i, c := range v.Classes {
		if i > 0 && v.Classes[i-1].Class >= c.Class || !validServers(c.Servers, cluster.TypeObject) {
			return bad("bad storage class")
		}
	}
	return nil
}

func validServers(ids []cluster.ServiceID, t cluster.ServiceType) bool {
	for i, id := range ids {
		if id.Type() != t || i > 0 && ids[i-1] >= id {
			return false
		}
	}
	return len(ids) >= 1 && len(ids) <= MaxServers
}
