package nameserver

import (
	"encoding/binary"
	"fmt"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// head is the value of tagHead: the current version of a key. Encoded form and parts of it are never modified once stored.
type head struct {
	null  cluster.VersionID // version of the noncurrent null version; zero when there is none or when the current one is it
	entry rawEntry
}

// newHead encodes an entry as a head. The entry's bytes are b[headPrefixBytes:].
func newHead(e *cluster.Entry) []byte {
	b := make([]byte, headPrefixBytes, headPrefixBytes+entryBytes(e))
	b[0] = formatHead
	return appendEntry(b, e)
}

// stampHead sets the version of the noncurrent null version in an encoded head that was not stored yet.
func stampHead(b []byte, null cluster.VersionID) {
	binary.LittleEndian.PutUint64(b[1:], null.Generation)
	binary.LittleEndian.PutUint64(b[9:], null.Sequence)
}

// promotedHead makes a head of a noncurrent version.
func promotedHead(entry rawEntry, null cluster.VersionID) []byte {
	b := make([]byte, headPrefixBytes, headPrefixBytes+len(entry))
	b[0] = formatHead
	stampHead(b, null)
	return append(b, entry...)
}

func decodeHead(b []byte) (h head, err error) {
	if len(b) < headPrefixBytes || b[0] != formatHead {
		return h, fault.New(fault.Corrupt, "head is malformed or of an unknown format")
	}
	h.null = cluster.VersionID{Generation: binary.LittleEndian.Uint64(b[1:]), Sequence: binary.LittleEndian.Uint64(b[9:])}
	h.entry, err = rawEntryOf(b[headPrefixBytes:])
	return h, err
}

// A part's body is the same in tagPart and in the chunks of tagTable.
func appendPart(b []byte, p *cluster.Part) []byte {
	md5, suffix, form := packETag(p.ETag)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Number))
	b = append(b, form)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Content.Server))
	b = append(b, p.Content.Object[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(millis(p.Modified)))
	b = appendETag(b, p.ETag, form, md5, suffix)
	return appendChecksum(b, p.Checksum)
}

func (d *decoder) part() (p cluster.Part) {
	p.Number = int32(d.u32())
	form := d.u8()
	p.Offset = int64(d.u64())
	p.Size = int64(d.u64())
	p.Content.Server = cluster.ServiceID(d.u64())
	p.Content.Object = d.id()
	p.Modified = fromMillis(int64(d.u64()))
	if form > etagMD5Parts || p.Number < 1 || p.Number > cluster.MaxParts || p.Offset < 0 || p.Size < 0 || p.Offset+p.Size < 0 {
		d.bad = true
	}
	p.ETag = d.etag(form)
	p.Checksum = d.checksum()
	return p
}

func newPart(p *cluster.Part) []byte {
	b := append(make([]byte, 0, 128), formatPart)
	return appendPart(b, p)
}

func decodePart(b []byte) (cluster.Part, error) {
	d := decoder{b: b}
	if d.u8() != formatPart {
		d.bad = true
	}
	p := d.part()
	if err := d.end(); err != nil {
		return cluster.Part{}, fault.New(fault.Corrupt, "part is malformed or of an unknown format")
	}
	return p, nil
}

// chunkParts is the number of parts in a chunk: about 9 KiB with the longest checksums, so that a range read decodes little.
const chunkParts = 64

func newChunk(ps []cluster.Part) []byte {
	b := append(make([]byte, 0, 3+96*len(ps)), formatChunk)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(ps)))
	for i := range ps {
		b = appendPart(b, &ps[i])
	}
	return b
}

// decodeChunk appends the parts of a chunk to ps.
func decodeChunk(b []byte, ps []cluster.Part) ([]cluster.Part, error) {
	d := decoder{b: b}
	if d.u8() != formatChunk {
		d.bad = true
	}
	for n := d.u16(); n > 0 && !d.bad; n-- {
		ps = append(ps, d.part())
	}
	if err := d.end(); err != nil {
		return nil, fault.New(fault.Corrupt, "chunk of a part table is malformed or of an unknown format")
	}
	return ps, nil
}

func newUpload(u *cluster.Upload) []byte {
	b := append(make([]byte, 0, 17+entryBytes(&u.Template)), formatUpload)
	b = binary.LittleEndian.AppendUint64(b, uint64(millis(u.Initiated)))
	b = binary.LittleEndian.AppendUint64(b, uint64(u.Owner))
	return appendEntry(b, &u.Template)
}

func decodeUpload(b []byte, key string, id cluster.UploadID, detail entryDetail) (u cluster.Upload, err error) {
	d := decoder{b: b}
	if d.u8() != formatUpload {
		d.bad = true
	}
	u.ID, u.Key = id, key
	u.Initiated = fromMillis(int64(d.u64()))
	u.Owner = cluster.UserID(d.u64())
	if d.bad {
		return cluster.Upload{}, fault.New(fault.Corrupt, "upload is malformed or of an unknown format")
	}
	if u.Template, err = decodeEntry(b[d.off:], "", detail); err != nil {
		return cluster.Upload{}, err
	}
	return u, nil
}

func newBucket(b *cluster.Bucket) []byte {
	out := append(make([]byte, 0, 64), formatBucket, byte(b.Versioning))
	out = binary.LittleEndian.AppendUint64(out, uint64(b.ID))
	out = binary.LittleEndian.AppendUint64(out, uint64(b.Owner))
	out = binary.LittleEndian.AppendUint64(out, uint64(millis(b.Created)))
	out = binary.LittleEndian.AppendUint64(out, uint64(b.Epoch))
	return appendAttrs(appendString(out, b.Location), b.Attrs)
}

func decodeBucket(b []byte, name string) (cluster.Bucket, error) {
	d := decoder{b: b}
	if d.u8() != formatBucket {
		d.bad = true
	}
	out := cluster.Bucket{Name: name}
	out.Versioning = cluster.Versioning(d.u8())
	out.ID = cluster.BucketID(d.u64())
	out.Owner = cluster.UserID(d.u64())
	out.Created = fromMillis(int64(d.u64()))
	out.Epoch = cluster.Epoch(d.u64())
	out.Location = d.string()
	out.Attrs = d.attrs(detailAll)
	if out.Versioning > cluster.VersioningSuspended || d.end() != nil {
		return cluster.Bucket{}, fault.New(fault.Corrupt, "bucket %q is malformed or of an unknown format", name)
	}
	return out, nil
}

// guard is the value of tagGuard.
type guard struct {
	deadline int64 // milliseconds since 1970 on the server's clock
	bucket   cluster.BucketID
	key      string
}

func (g guard) encode() []byte {
	b := append(make([]byte, 0, 17+len(g.key)), formatGuard)
	b = binary.LittleEndian.AppendUint64(b, uint64(g.deadline))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.bucket))
	return append(b, g.key...)
}

func decodeGuard(b []byte) (guard, error) {
	if len(b) < 18 || b[0] != formatGuard || len(b) > 17+cluster.MaxKeyBytes {
		return guard{}, fault.New(fault.Corrupt, "guard is malformed or of an unknown format")
	}
	return guard{int64(binary.LittleEndian.Uint64(b[1:])), cluster.BucketID(binary.LittleEndian.Uint64(b[9:])), string(b[17:])}, nil
}

// garbageKind says what an entry of the garbage queue stands for. Stored: append only.
type garbageKind uint8

const (
	garbageLink   garbageKind = 1 // one object of the server in the entry's key
	garbageTable  garbageKind = 2 // all parts of a part table
	garbageUpload garbageKind = 3 // all parts of an ended upload that the object made of it does not use
	garbageBucket garbageKind = 4 // everything of a sealed bucket
)

// garbageOrigin says what held the link before: where a reference to it would have to be. Stored: append only.
type garbageOrigin uint8

const (
	originVersion garbageOrigin = 1 // a version of the key
	originGuard   garbageOrigin = 2 // a guard: anything of the key may hold the link, if a late guard followed its own create
	originPart    garbageOrigin = 3 // a part of an upload of the key
)

// garbage is the value of tagGarbage.
type garbage struct {
	kind    garbageKind
	origin  garbageOrigin
	due     int64             // milliseconds since 1970: not collected before
	bucket  cluster.BucketID  // where it came from
	id      [16]byte          // object, table or upload
	version cluster.VersionID // of the version that held it; zero for others
	key     string            // where it came from; empty for garbageBucket
}

const garbageFixedBytes = 51

func (g *garbage) encode() []byte {
	b := append(make([]byte, 0, garbageFixedBytes+len(g.key)), formatGarbage, byte(g.kind), byte(g.origin))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.due))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.bucket))
	b = append(b, g.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, g.version.Generation)
	b = binary.LittleEndian.AppendUint64(b, g.version.Sequence)
	return append(b, g.key...)
}

func decodeGarbage(b []byte) (g garbage, err error) {
	d := decoder{b: b}
	if d.u8() != formatGarbage {
		d.bad = true
	}
	g.kind = garbageKind(d.u8())
	g.origin = garbageOrigin(d.u8())
	g.due = int64(d.u64())
	g.bucket = cluster.BucketID(d.u64())
	g.id = d.id()
	g.version = d.version()
	if d.bad || g.kind < garbageLink || g.kind > garbageBucket || g.origin < originVersion || g.origin > originPart || len(b) > garbageFixedBytes+cluster.MaxKeyBytes {
		return garbage{}, fault.New(fault.Corrupt, "garbage entry is malformed or of an unknown format")
	}
	g.key = string(b[d.off:])
	return g, nil
}

// seal is the value of tagSeal: what the last deletion of a bucket that came here left.
type seal struct {
	state sealState
	epoch cluster.Epoch // of the bucket's record that the seal is for, or up to which seals were taken back
}

// sealState is stored: append only.
type sealState uint8

const (
	sealedEmpty  sealState = 0 // the bucket was empty
	sealedForced sealState = 1 // what the bucket holds is garbage
	opened       sealState = 2 // seals for epoch and earlier ones were taken back, and are refused
	noSeal       sealState = 255
)

func (v seal) closed() bool { return v.state <= sealedForced }

func (v seal) encode() []byte {
	return binary.LittleEndian.AppendUint64([]byte{formatSeal, byte(v.state)}, uint64(v.epoch))
}

func decodeSeal(b []byte) (seal, error) {
	switch {
	case len(b) == 2 && b[0] == 1 && b[1] <= byte(sealedForced): // without an epoch, which is below all
		return seal{state: sealState(b[1])}, nil
	case len(b) == 10 && b[0] == formatSeal && b[1] <= byte(opened):
		return seal{sealState(b[1]), cluster.Epoch(binary.LittleEndian.Uint64(b[2:]))}, nil
	}
	return seal{}, fault.New(fault.Corrupt, "seal is malformed or of an unknown format")
}

// getSeal returns what r shows for a bucket; noSeal when no deletion of it ever came here.
func getSeal(r reader, id cluster.BucketID) (seal, error) {
	b, ok, err := r.Get(sealKey(id))
	if err != nil || !ok {
		return seal{state: noSeal}, err
	}
	v, err := decodeSeal(b)
	if err != nil {
		return v, fmt.Errorf("nameserver: bucket %s: %w", id, err)
	}
	return v, nil
}

func newRecord(epoch cluster.Epoch, value []byte) []byte {
	b := append(make([]byte, 0, 9+len(value)), formatRecord)
	b = binary.LittleEndian.AppendUint64(b, uint64(epoch))
	return append(b, value...)
}

// decodeRecord copies the value.
func decodeRecord(b []byte, name string) (cluster.Record, error) {
	if len(b) < 9 || b[0] != formatRecord {
		return cluster.Record{}, fault.New(fault.Corrupt, "record %q is malformed or of an unknown format", name)
	}
	return cluster.Record{Name: name, Epoch: cluster.Epoch(binary.LittleEndian.Uint64(b[1:])), Value: append([]byte{}, b[9:]...)}, nil
}
