package s3

import (
	"strings"
	"unicode/utf8"
)

// Limits of names and metadata.
const (
	MaxKeyBytes      = 1024    // of UTF-8
	MaxMetadataBytes = 2 << 10 // names without x-amz-meta- and values of user metadata, together
)

// CheckBucketName returns ErrInvalidBucketName unless s is a name that a bucket may have: 3 to 63 bytes; parts separated by periods, each of lower-case letters, digits,
// hyphens and underscores, beginning and ending with a letter or digit; not like an IPv4 address, and without the prefixes and suffixes that S3 keeps
// for itself. (The underscore is ours: Amazon does not take it.)
func CheckBucketName(s string) error {
	if len(s) < 3 || len(s) > 63 || looksLikeIPv4(s) || reservedBucketName(s) {
		return ErrInvalidBucketName
	}
	edge := true // the next byte begins a part
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			edge = false
		case c == '-' || c == '_':
			if edge || i+1 == len(s) || s[i+1] == '.' {
				return ErrInvalidBucketName
			}
		case c == '.':
			if edge || i+1 == len(s) {
				return ErrInvalidBucketName
			}
			edge = true
		default:
			return ErrInvalidBucketName
		}
	}
	return nil
}

func looksLikeIPv4(s string) bool {
	parts := 1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			parts++
		case c < '0' || c > '9':
			return false
		}
	}
	return parts == 4
}

// reservedBucketName: User guide, "General purpose bucket naming rules".
func reservedBucketName(s string) bool {
	for _, p := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	for _, p := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(s, p) {
			return true
		}
	}
	return false
}

// CheckKey returns nil when s may name an object: 1 to MaxKeyBytes bytes of valid UTF-8. A key is opaque: slashes, dots and control characters mean nothing. It returns
// ErrKeyTooLong or ErrInvalidURI.
func CheckKey(s string) error {
	switch {
	case len(s) > MaxKeyBytes:
		return Explain(ErrKeyTooLong, Sizes("Size", int64(len(s)), "MaxSizeAllowed", MaxKeyBytes)...)
	case s == "" || !utf8.ValidString(s):
		return ErrInvalidURI
	}
	return nil
}
