package s3

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"
)

// ETags are kept and compared without quotes: 32 hex digits of the MD5 of the bytes, or, for an object made by a multipart upload, those of the MD5 of the parts' raw
// MD5s, a dash and the number of parts.

// EmptyETag is the ETag of no bytes.
const EmptyETag = "d41d8cd98f00b204e9800998ecf8427e"

// TrimETag takes the quotes, and the mark of a weak tag, off an ETag as clients send it.
func TrimETag(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return s
}

// QuoteETag puts an ETag into quotes, as the ETag header has it.
func QuoteETag(etag string) string { return `"` + etag + `"` }

// MultipartETag returns the ETag of the object made of parts with the given ETags, in order. It returns ErrInvalidPart when one is not 32 hex digits.
func MultipartETag(parts []string) (string, error) {
	h := md5.New()
	var sum [md5.Size]byte
	for _, p := range parts {
		if len(p) != 2*md5.Size {
			return "", ErrInvalidPart
		}
		if _, err := hex.Decode(sum[:], []byte(p)); err != nil {
			return "", ErrInvalidPart
		}
		h.Write(sum[:])
	}
	b := make([]byte, 0, 2*md5.Size+6)
	b = hex.AppendEncode(b, h.Sum(sum[:0]))
	b = append(b, '-')
	return string(strconv.AppendInt(b, int64(len(parts)), 10)), nil
}
