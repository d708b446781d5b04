package wire

import "ostor/internal/cluster"

// AppendNewObject adds the request of CreateObject.
func AppendNewObject(b []byte, v *NewObject) []byte { return appendNewObject(b, v) }

// DecodeNewObject reads the request of CreateObject.
func DecodeNewObject(b []byte) (v NewObject, err error) {
	d := decoder{b: b}
	readNewObject(&d, &v)
	return v, d.end()
}

func appendNewObject(b []byte, v *NewObject) []byte {
	b = append(b, v.ID[:]...)
	b = appendI64(b, v.Size)
	return b
}

func readNewObject(d *decoder, v *NewObject) {
	v.ID = d.id()
	v.Size = d.i64()
}

// AppendObjectRange adds the request of ReadObject.
func AppendObjectRange(b []byte, v *ObjectRange) []byte { return appendObjectRange(b, v) }

// DecodeObjectRange reads the request of ReadObject.
func DecodeObjectRange(b []byte) (v ObjectRange, err error) {
	d := decoder{b: b}
	readObjectRange(&d, &v)
	return v, d.end()
}

func appendObjectRange(b []byte, v *ObjectRange) []byte {
	b = append(b, v.ID[:]...)
	b = appendI64(b, v.Offset)
	b = appendI64(b, v.Length)
	return b
}

func readObjectRange(d *decoder, v *ObjectRange) {
	v.ID = d.id()
	v.Offset = d.i64()
	v.Length = d.i64()
}

// AppendObjectInfo adds the reply of CreateObject and StatObject.
func AppendObjectInfo(b []byte, v *cluster.ObjectInfo) []byte { return appendObjectInfo(b, v) }

// DecodeObjectInfo reads the reply of CreateObject and StatObject.
func DecodeObjectInfo(b []byte) (v cluster.ObjectInfo, err error) {
	d := decoder{b: b}
	readObjectInfo(&d, &v)
	return v, d.end()
}

func appendObjectInfo(b []byte, v *cluster.ObjectInfo) []byte {
	b = appendI64(b, v.Size)
	b = appendU32(b, v.CRC32C)
	return b
}

func readObjectInfo(d *decoder, v *cluster.ObjectInfo) {
	v.Size = d.i64()
	v.CRC32C = d.u32()
}

// AppendObjectIDs adds the request of DeleteObjects.
func AppendObjectIDs(b []byte, ids []cluster.ObjectID) []byte {
	b = appendCount(b, len(ids))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

// DecodeObjectIDs reads the request of DeleteObjects.
func DecodeObjectIDs(b []byte) ([]cluster.ObjectID, error) {
	d := decoder{b: b}
	ids := list(&d, idBytes, func(d *decoder, id *cluster.ObjectID) { *id = d.id() })
	return ids, d.end()
}

// AppendObjectID adds the request of StatObject.
func AppendObjectID(b []byte, id cluster.ObjectID) []byte { return append(b, id[:]...) }

// DecodeObjectID reads the request of StatObject.
func DecodeObjectID(b []byte) (cluster.ObjectID, error) {
	d := decoder{b: b}
	id := d.id()
	return id, d.end()
}
