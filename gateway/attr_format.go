package gateway

import (
	"encoding/binary"

	"ostor/gateway/s3"
	"ostor/internal/fault"
)

// Encodings of attributes that name servers keep as they are (FORMAT.md).

const formatTags = 1

var errAttr = fault.New(fault.Corrupt, "gateway: an attribute is malformed")

// appendString appends a length and bytes.
func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// cutString takes a string that appendString appended from the front of b.
func cutString(b []byte) (s string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errAttr
	}
	b = b[size:]
	return string(b[:n]), b[n:], nil
}

// encodeTags returns the value of cluster.AttrTags; nil for no tags.
func encodeTags(tags []s3.Tag) []byte {
	if len(tags) == 0 {
		return nil
	}
	b := append(make([]byte, 0, 64), formatTags)
	for i := range tags {
		b = appendString(appendString(b, tags[i].Key), tags[i].Value)
	}
	return b
}

// decodeTags reads what encodeTags wrote.
func decodeTags(b []byte) (tags []s3.Tag, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != formatTags {
		return nil, errAttr
	}
	for b = b[1:]; len(b) > 0; {
		var t s3.Tag
		if t.Key, b, err = cutString(b); err != nil {
			return nil, err
		}
		if t.Value, b, err = cutString(b); err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, nil
}
