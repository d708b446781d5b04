package acl

import "encoding/binary"

// The bytes of a list: FORMAT.md.
const (
	formatVersion = 1
	headerBytes   = 4
	grantBytes    = 10
)

const _ = uint(headerBytes + MaxGrants*grantBytes - 1004) // the longest list, and its mirror
const _ = uint(1004 - headerBytes - MaxGrants*grantBytes)

// Encode returns the bytes of a list. Lists of more than MaxGrants, which nothing here makes, are cut.
func (a ACL) Encode() []byte {
	a = a[:min(len(a), MaxGrants)]
	b := make([]byte, 0, headerBytes+len(a)*grantBytes)
	b = append(b, formatVersion, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(a)))
	for _, g := range a {
		b = append(b, byte(g.Grantee.Kind), byte(g.Permission))
		b = binary.LittleEndian.AppendUint64(b, g.Grantee.User)
	}
	return b
}

// Decode reads the bytes of a list. It returns ErrMalformed for what Encode does not make.
func Decode(b []byte) (ACL, error) {
	if len(b) < headerBytes || b[0] != formatVersion || b[1] != 0 {
		return nil, ErrMalformed
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > MaxGrants || len(b) != headerBytes+n*grantBytes {
		return nil, ErrMalformed
	}
	a := make(ACL, n)
	for i := range a {
		f := b[headerBytes+i*grantBytes:]
		g := Grant{Grantee{Kind(f[0]), binary.LittleEndian.Uint64(f[2:])}, Permission(f[1])}
		if g.Permission < Read || g.Permission > FullControl || g.Grantee.Kind < User || g.Grantee.Kind > LogDelivery || g.Grantee.Kind != User && g.Grantee.User != 0 {
			return nil, ErrMalformed
		}
		a[i] = g
	}
	return a, nil
}
