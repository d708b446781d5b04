package nameserver

import (
	"fmt"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Describe returns a line about an entry of a name server's store, for people who inspect one offline. It returns fault.Corrupt for one that does not decode.
func Describe(key, value []byte) (string, error) {
	if len(key) == 0 {
		return "", errShort
	}
	tag := key[0]
	switch tag {
	case tagBucket:
		b, err := decodeBucket(value, string(key[1:]))
		return fmt.Sprintf("bucket %q id %s owner %s epoch %d versioning %d", b.Name, b.ID, b.Owner, b.Epoch, b.Versioning), err
	case tagOwner:
		if len(key) < 10 {
			return "", errShort
		}
		return fmt.Sprintf("owner %x has bucket %q", key[1:9], key[9:]), nil
	case tagGuard:
		l, ok := linkOfGuardKey(key)
		g, err := decodeGuard(value)
		if !ok {
			err = errShort
		}
		return fmt.Sprintf("guard of object %s on %s for %q of bucket %s until %s", l.Object, l.Server, g.key, g.bucket, fromMillis(g.deadline)), err
	case tagGarbage:
		server, ok := serverOfGarbageKey(key)
		g, err := decodeGarbage(value)
		if !ok {
			err = errShort
		}
		kinds := [...]string{"", "object", "table", "upload", "bucket"}
		return fmt.Sprintf("garbage: %s %s on %s from %q of bucket %s, due %s", kinds[g.kind], cluster.ObjectID(g.id), server, g.key, g.bucket, fromMillis(g.due)), err
	case tagRecord:
		r, err := decodeRecord(value, string(key[1:]))
		return fmt.Sprintf("record %q epoch %d, %d bytes", r.Name, r.Epoch, len(r.Value)), err
	case tagSeal:
		id, _, ok := cutBucketPrefix(key)
		if !ok {
			return "", errShort
		}
		v, err := decodeSeal(value)
		if v.state == opened {
			return fmt.Sprintf("bucket %s was opened again, epoch %d", id, v.epoch), err
		}
		forced := ""
		if v.state == sealedForced {
			forced = ", forced"
		}
		return fmt.Sprintf("seal of bucket %s, epoch %d%s", id, v.epoch, forced), err
	}
	return describeNamed(tag, key, value)
}

// describeNamed is Describe for the tables by name.
func describeNamed(tag byte, key, value []byte) (string, error) {
	bucket, name, rest, ok := splitName(key)
	if !ok {
		return "", errShort
	}
	where := fmt.Sprintf("%q of bucket %s", name, bucket)
	switch tag {
	case tagHead, tagVersion:
		raw, kind := rawEntry(value), "noncurrent"
		if tag == tagHead {
			h, err := decodeHead(value)
			if err != nil {
				return "", err
			}
			raw, kind = h.entry, "current"
		}
		e, err := decodeEntry(raw, name, detailAll)
		return fmt.Sprintf("%s %s: version %s null %t marker %t size %d etag %q content %s on %s parts %d", kind, where, e.Version, e.Null, e.DeleteMarker,
			e.Size, e.ETag, e.Content.Object, e.Content.Server, e.PartCount), err
	case tagUpload:
		if len(rest) != 16 {
			return "", errShort
		}
		u, err := decodeUpload(value, name, cluster.UploadID(rest), detailAll)
		return fmt.Sprintf("upload %s of %s since %s", u.ID, where, u.Initiated), err
	case tagPart:
		p, err := decodePart(value)
		return fmt.Sprintf("part %d of upload of %s: %d bytes, object %s on %s", p.Number, where, p.Size, p.Content.Object, p.Content.Server), err
	case tagTable:
		ps, err := decodeChunk(value, nil)
		if err != nil || len(ps) == 0 {
			return "", errShort
		}
		return fmt.Sprintf("parts %d to %d of %s, from offset %d", ps[0].Number, ps[len(ps)-1].Number, where, ps[0].Offset), nil
	}
	return "", fault.New(fault.Corrupt, "no table %q", tag)
}
