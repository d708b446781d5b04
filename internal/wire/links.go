package wire

import "ostor/internal/cluster"

// minHolder is the least that a holder takes.
const minHolder = idBytes + 8 + 1 + 16 + 4

// AppendObjectsOf adds the request of UnknownLinks and FindLinks.
func AppendObjectsOf(b []byte, v *ObjectsOf) []byte {
	return AppendObjectIDs(appendU64(b, uint64(v.Server)), v.Objects)
}

// DecodeObjectsOf reads the request of UnknownLinks and FindLinks.
func DecodeObjectsOf(b []byte) (v ObjectsOf, err error) {
	d := decoder{b: b}
	v.Server = cluster.ServiceID(d.u64())
	v.Objects = list(&d, idBytes, func(d *decoder, id *cluster.ObjectID) { *id = d.id() })
	return v, d.end()
}

// AppendLinkHolders adds the reply of FindLinks.
func AppendLinkHolders(b []byte, l []cluster.LinkHolder) []byte {
	b = appendCount(b, len(l))
	for i := range l {
		h := &l[i]
		b = append(b, h.Object[:]...)
		b = appendU64(b, uint64(h.Bucket))
		b = appendString(b, h.Key)
		b = appendVersion(b, h.Version)
		b = appendU32(b, uint32(h.Part))
	}
	return b
}

// DecodeLinkHolders reads the reply of FindLinks.
func DecodeLinkHolders(b []byte) ([]cluster.LinkHolder, error) {
	d := decoder{b: b}
	l := list(&d, minHolder, func(d *decoder, h *cluster.LinkHolder) {
		h.Object = d.id()
		h.Bucket = cluster.BucketID(d.u64())
		h.Key = d.string()
		h.Version = d.version()
		h.Part = d.i32()
	})
	return l, d.end()
}
