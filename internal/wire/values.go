package wire

import (
	"ostor/internal/cluster"
)

// Least bytes of the values below, for the bounds of lists.
const (
	minHeader   = 2
	minAttr     = 3
	minEntry    = 16 + 1 + 8 + 8 + 8 + 24 + 4 + 16 + 1 + 6 + 3
	minBucket   = 8*4 + 4
	minPart     = 4 + 8 + 8 + 24 + 1 + 8 + 3
	minUpload   = 16 + 1 + 8 + 8 + minEntry
	minRecord   = 1 + 1 + 8
	minChange   = 1 + 1 + 8
	minComplete = 4 + 1 + 3
	minString   = 1
	linkBytes   = 24
	idBytes     = 16
)

func appendStrings(b []byte, l []string) []byte {
	b = appendCount(b, len(l))
	for _, s := range l {
		b = appendString(b, s)
	}
	return b
}

func (d *decoder) strings() []string {
	return list(d, minString, func(d *decoder, s *string) { *s = d.string() })
}

func appendHeaders(b []byte, l []cluster.Header) []byte {
	b = appendCount(b, len(l))
	for i := range l {
		b = appendString(appendString(b, l[i].Name), l[i].Value)
	}
	return b
}

func readHeader(d *decoder, h *cluster.Header) { h.Name, h.Value = d.string(), d.string() }

func appendAttrs(b []byte, l []cluster.Attribute) []byte {
	b = appendCount(b, len(l))
	for i := range l {
		b = appendBytes(appendU16(b, l[i].ID), l[i].Value)
	}
	return b
}

func readAttr(d *decoder, a *cluster.Attribute) { a.ID, a.Value = d.u16(), d.bytes() }

func appendChecksum(b []byte, c *cluster.Checksum) []byte {
	return appendBytes(appendBool(append(b, byte(c.Algorithm)), c.Composite), c.Value)
}

func readChecksum(d *decoder, c *cluster.Checksum) {
	c.Algorithm, c.Composite, c.Value = cluster.ChecksumAlgorithm(d.u8()), d.bool(), d.bytes()
}

// Bits of an entry.
const (
	entryNull = 1 << iota
	entryLatest
	entryDeleteMarker
	entryBits
)

func appendEntry(b []byte, e *cluster.Entry) []byte {
	var bits byte
	if e.Null {
		bits |= entryNull
	}
	if e.Latest {
		bits |= entryLatest
	}
	if e.DeleteMarker {
		bits |= entryDeleteMarker
	}
	b = append(appendVersion(b, e.Version), bits)
	b = appendTime(b, e.Modified)
	b = appendU64(b, uint64(e.Owner))
	b = appendI64(b, e.Size)
	b = appendLink(b, e.Content)
	b = appendU32(b, uint32(e.PartCount))
	b = append(b, e.Table[:]...)
	b = append(b, e.StorageClass)
	b = appendString(b, e.Key)
	b = appendString(b, e.ETag)
	b = appendHeaders(b, e.Headers)
	b = appendHeaders(b, e.UserMeta)
	b = appendChecksum(b, &e.Checksum)
	return appendAttrs(b, e.Attrs)
}

func readEntry(d *decoder, e *cluster.Entry) {
	e.Version = d.version()
	bits := d.u8()
	if bits >= entryBits {
		d.fail("unknown bits of an entry")
	}
	e.Null, e.Latest, e.DeleteMarker = bits&entryNull != 0, bits&entryLatest != 0, bits&entryDeleteMarker != 0
	e.Modified = d.time()
	e.Owner = cluster.UserID(d.u64())
	e.Size = d.i64()
	e.Content = d.link()
	e.PartCount = d.i32()
	e.Table = d.id()
	e.StorageClass = d.u8()
	e.Key = d.string()
	e.ETag = d.string()
	e.Headers = list(d, minHeader, readHeader)
	e.UserMeta = list(d, minHeader, readHeader)
	readChecksum(d, &e.Checksum)
	e.Attrs = list(d, minAttr, readAttr)
}

func appendBucket(b []byte, v *cluster.Bucket) []byte {
	b = appendU64(b, uint64(v.ID))
	b = appendU64(b, uint64(v.Owner))
	b = appendTime(b, v.Created)
	b = appendU64(b, uint64(v.Epoch))
	b = append(b, byte(v.Versioning))
	b = appendString(b, v.Name)
	b = appendString(b, v.Location)
	return appendAttrs(b, v.Attrs)
}

func readBucket(d *decoder, v *cluster.Bucket) {
	v.ID = cluster.BucketID(d.u64())
	v.Owner = cluster.UserID(d.u64())
	v.Created = d.time()
	v.Epoch = cluster.Epoch(d.u64())
	v.Versioning = cluster.Versioning(d.u8())
	v.Name = d.string()
	v.Location = d.string()
	v.Attrs = list(d, minAttr, readAttr)
}

func appendPart(b []byte, p *cluster.Part) []byte {
	b = appendU32(b, uint32(p.Number))
	b = appendI64(b, p.Offset)
	b = appendI64(b, p.Size)
	b = appendLink(b, p.Content)
	b = appendString(b, p.ETag)
	b = appendTime(b, p.Modified)
	return appendChecksum(b, &p.Checksum)
}

func readPart(d *decoder, p *cluster.Part) {
	p.Number = d.i32()
	p.Offset = d.i64()
	p.Size = d.i64()
	p.Content = d.link()
	p.ETag = d.string()
	p.Modified = d.time()
	readChecksum(d, &p.Checksum)
}

func appendPartList(b []byte, l []cluster.Part) []byte {
	b = appendCount(b, len(l))
	for i := range l {
		b = appendPart(b, &l[i])
	}
	return b
}

func appendUpload(b []byte, u *cluster.Upload) []byte {
	b = append(b, u.ID[:]...)
	b = appendString(b, u.Key)
	b = appendTime(b, u.Initiated)
	b = appendU64(b, uint64(u.Owner))
	return appendEntry(b, &u.Template)
}

func readUpload(d *decoder, u *cluster.Upload) {
	u.ID = d.id()
	u.Key = d.string()
	u.Initiated = d.time()
	u.Owner = cluster.UserID(d.u64())
	readEntry(d, &u.Template)
}

func appendCondition(b []byte, c *cluster.Condition) []byte {
	b = appendString(b, c.IfMatch)
	b = appendString(b, c.IfNoneMatch)
	b = appendBool(b, c.IfModified != nil)
	if c.IfModified != nil {
		b = appendTime(b, *c.IfModified)
	}
	b = appendBool(b, c.IfSize != nil)
	if c.IfSize != nil {
		b = appendI64(b, *c.IfSize)
	}
	return b
}

func readCondition(d *decoder, c *cluster.Condition) {
	c.IfMatch = d.string()
	c.IfNoneMatch = d.string()
	if d.bool() {
		t := d.time()
		c.IfModified = &t
	}
	if d.bool() {
		n := d.i64()
		c.IfSize = &n
	}
}

func appendRecord(b []byte, r *cluster.Record) []byte {
	return appendU64(appendBytes(appendString(b, r.Name), r.Value), uint64(r.Epoch))
}

func readRecord(d *decoder, r *cluster.Record) {
	r.Name, r.Value, r.Epoch = d.string(), d.bytes(), cluster.Epoch(d.u64())
}

// Bits of a lookup.
const (
	lookupNull   = 1
	lookupBypass = 2
)

func appendLookup(b []byte, r *cluster.LookupRequest) []byte {
	b = appendU64(b, uint64(r.Bucket))
	b = appendVersion(b, r.Version)
	var bits byte
	if r.Null {
		bits |= lookupNull
	}
	if r.Bypass {
		bits |= lookupBypass
	}
	return appendString(append(b, bits), r.Key)
}

func readLookup(d *decoder, r *cluster.LookupRequest) {
	r.Bucket = cluster.BucketID(d.u64())
	r.Version = d.version()
	bits := d.u8()
	if bits&^(lookupNull|lookupBypass) != 0 {
		d.fail("unknown bits")
	}
	r.Null, r.Bypass = bits&lookupNull != 0, bits&lookupBypass != 0
	r.Key = d.string()
}
