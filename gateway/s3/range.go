package s3

import "strings"

// Range is a part of an object: bytes [Offset, Offset+Length), within it, at least one.
type Range struct {
	Offset, Length int64
}

// ParseRange reads a Range header for an object of size bytes. ok is false when the whole object is asked for: no header, another unit, a malformed
// value or several ranges, all of which S3 answers with the whole (GetObject: "Amazon S3 doesn't support retrieving multiple ranges of data per GET request";
// RFC 9110, 14.2: a server ignores what it does not understand). It returns ErrInvalidRange when the range lies behind the end.
func ParseRange(header string, size int64) (r Range, ok bool, err error) {
	spec, found := cutPrefixFold(header, "bytes=")
	if !found {
		return Range{}, false, nil
	}
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return Range{}, false, nil
	}
	if first == "" { // the last n bytes
		n, valid := parseOffset(last)
		switch {
		case !valid:
			return Range{}, false, nil
		case n == 0 || size == 0:
			return Range{}, false, ErrInvalidRange
		}
		n = min(n, size)
		return Range{size - n, n}, true, nil
	}
	from, valid := parseOffset(first)
	if !valid {
		return Range{}, false, nil
	}
	to := int64(maxOffset)
	if last != "" {
		if to, valid = parseOffset(last); !valid || to < from {
			return Range{}, false, nil
		}
	}
	if from >= size {
		return Range{}, false, ErrInvalidRange
	}
	to = min(to, size-1)
	return Range{from, to - from + 1}, true, nil
}

// ParseCopyRange reads an x-amz-copy-source-range header: bytes=first-last, both given and within the source of size bytes (UploadPartCopy). It returns
// ErrInvalidArgument when it is malformed, ErrInvalidRange when it is not within the source.
func ParseCopyRange(header string, size int64) (Range, error) {
	spec, found := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	from, ok1 := parseOffset(first)
	to, ok2 := parseOffset(last)
	if !found || !dash || !ok1 || !ok2 || to < from {
		return Range{}, BadArgument("x-amz-copy-source-range", header, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy.")
	}
	if to >= size {
		return Range{}, ErrInvalidRange
	}
	return Range{from, to - from + 1}, nil
}

// maxOffset is what a larger number is taken for; no object is as long.
const maxOffset = 1 << 59 // times 10 it still fits

// parseOffset reads decimal digits only, and any number of them.
func parseOffset(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	over := false
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		if n = n*10 + int64(c); n > maxOffset {
			n = maxOffset / 10 // the next digit cannot make it overflow
			over = true
		}
	}
	if over {
		n = maxOffset
	}
	return n, true
}

// cutPrefixFold is strings.CutPrefix that ignores the case of ASCII letters.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
