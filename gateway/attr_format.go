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

const formatCORS = 1

// encodeCORS returns the value of cluster.AttrCORS.
func encodeCORS(conf *s3.CORSConfiguration) []byte {
	b := append(make([]byte, 0, 256), formatCORS)
	for i := range conf.Rules {
		r := &conf.Rules[i]
		b = appendString(b, r.ID)
		for _, list := range [...][]string{r.Origins, r.Methods, r.Headers, r.Expose} {
			b = binary.AppendUvarint(b, uint64(len(list)))
			for _, v := range list {
				b = appendString(b, v)
			}
		}
		age := uint64(0)
		if r.MaxAge != nil {
			age = uint64(*r.MaxAge) + 1
		}
		b = binary.AppendUvarint(b, age)
	}
	return b
}

// decodeCORS reads what encodeCORS wrote.
func decodeCORS(b []byte) (*s3.CORSConfiguration, error) {
	if len(b) == 0 || b[0] != formatCORS {
		return nil, errAttr
	}
	conf := new(s3.CORSConfiguration)
	var err error
	for b = b[1:]; len(b) > 0; {
		var r s3.CORSRule
		if r.ID, b, err = cutString(b); err != nil {
			return nil, err
		}
		for _, list := range [...]*[]string{&r.Origins, &r.Methods, &r.Headers, &r.Expose} {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)) {
				return nil, errAttr
			}
			b = b[size:]
			for range n {
				var v string
				if v, b, err = cutString(b); err != nil {
					return nil, err
				}
				*list = append(*list, v)
			}
		}
		age, size := binary.Uvarint(b)
		if size <= 0 || age > 1<<63 {
			return nil, errAttr
		}
		if b = b[size:]; age > 0 {
			n := int64(age - 1)
			r.MaxAge = &n
		}
		conf.Rules = append(conf.Rules, r)
	}
	return conf, nil
}
