package s3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"
)

// ChecksumAlgorithm is one of the additional checksums of S3. The numbers are those of cluster.ChecksumAlgorithm.
type ChecksumAlgorithm uint8

// The algorithms (User guide, "Checking object integrity").
const (
	ChecksumNone ChecksumAlgorithm = iota
	ChecksumCRC32
	ChecksumCRC32C
	ChecksumCRC64NVME
	ChecksumSHA1
	ChecksumSHA256
)

// Values of x-amz-checksum-type.
const (
	ChecksumFullObject = "FULL_OBJECT"
	ChecksumComposite  = "COMPOSITE"
)

var checksums = [...]struct {
	name    string // in x-amz-checksum-algorithm
	header  string // lower case
	element string // in XML
	size    int    // bytes
}{
	ChecksumNone:      {},
	ChecksumCRC32:     {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4},
	ChecksumCRC32C:    {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4},
	ChecksumCRC64NVME: {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8},
	ChecksumSHA1:      {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", sha1.Size},
	ChecksumSHA256:    {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", sha256.Size},
}

// String returns the name that x-amz-checksum-algorithm uses: "CRC32"; "" for none.
func (a ChecksumAlgorithm) String() string { return checksums[a].name }

// Header returns the name of the header, or trailer, in lower case: "x-amz-checksum-crc32".
func (a ChecksumAlgorithm) Header() string { return checksums[a].header }

// Element returns the name of the XML element: "ChecksumCRC32".
func (a ChecksumAlgorithm) Element() string { return checksums[a].element }

// Size returns the length of a value in bytes.
func (a ChecksumAlgorithm) Size() int { return checksums[a].size }

// FullObject reports whether the checksum of a whole can be had from those of its parts.
func (a ChecksumAlgorithm) FullObject() bool {
	return a == ChecksumCRC32 || a == ChecksumCRC32C || a == ChecksumCRC64NVME
}

// ParseChecksumAlgorithm reads a value of x-amz-checksum-algorithm or x-amz-sdk-checksum-algorithm, in any case; "" is none. It returns ErrInvalidRequest for others.
func ParseChecksumAlgorithm(s string) (ChecksumAlgorithm, error) {
	if s == "" {
		return ChecksumNone, nil
	}
	for a := ChecksumCRC32; a <= ChecksumSHA256; a++ {
		if strings.EqualFold(s, checksums[a].name) {
			return a, nil
		}
	}
	return ChecksumNone, ErrInvalidRequest.With("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

// ChecksumOfHeader returns the algorithm of a header or trailer name, in lower case, and whether it is one.
func ChecksumOfHeader(name string) (ChecksumAlgorithm, bool) {
	for a := ChecksumCRC32; a <= ChecksumSHA256; a++ {
		if name == checksums[a].header {
			return a, true
		}
	}
	return ChecksumNone, false
}

// Checksum is the value of an additional checksum.
type Checksum struct {
	Algorithm ChecksumAlgorithm
	Composite bool   // a checksum of the parts' checksums
	Value     []byte // raw; big endian for the CRCs; nil for none
}

// Text returns the value as headers and XML show it: base64, and "-N" for a composite one of N parts.
func (c Checksum) Text(parts int) string {
	s := base64.StdEncoding.EncodeToString(c.Value)
	if c.Composite {
		s += "-" + strconv.Itoa(parts)
	}
	return s
}

// Type returns the value of x-amz-checksum-type: FULL_OBJECT or COMPOSITE.
func (c Checksum) Type() string {
	if c.Composite {
		return ChecksumComposite
	}
	return ChecksumFullObject
}

// ParseChecksum reads base64, with or without the "-N" of a composite value; parts is N, 0 without. It returns ErrBadDigest when the value is not one of the algorithm.
func ParseChecksum(a ChecksumAlgorithm, text string) (c Checksum, parts int, err error) {
	b64, digits, composite := strings.Cut(text, "-")
	if composite {
		parts, err = strconv.Atoi(digits)
		if err != nil || parts < 1 || parts > 10000 || digits[0] < '1' || digits[0] > '9' {
			return Checksum{}, 0, invalidChecksum(a)
		}
	}
	v, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || a == ChecksumNone || len(v) != a.Size() || strings.ContainsAny(b64, "\r\n") {
		return Checksum{}, 0, invalidChecksum(a)
	}
	return Checksum{Algorithm: a, Composite: composite, Value: v}, parts, nil
}

func invalidChecksum(a ChecksumAlgorithm) error {
	return ErrBadDigest.With("Value for " + a.Header() + " header is invalid.")
}

// SumChecksum returns the checksum of b; ChecksumNone gives the zero Checksum.
func SumChecksum(a ChecksumAlgorithm, b []byte) Checksum {
	c := Checksum{Algorithm: a}
	switch a {
	case ChecksumCRC32:
		c.Value = binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	case ChecksumCRC32C:
		c.Value = binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
	case ChecksumCRC64NVME:
		c.Value = binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(b))
	case ChecksumSHA1:
		s := sha1.Sum(b)
		c.Value = s[:]
	case ChecksumSHA256:
		s := sha256.Sum256(b)
		c.Value = s[:]
	}
	return c
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// PartChecksum is what [CombineChecksums] needs to know of a part.
type PartChecksum struct {
	Value []byte // raw, of the algorithm's size
	Size  int64  // bytes of the part
}

// CombineChecksums returns the checksum of an object from those of its parts, in order: composite, the checksum of the concatenated values; otherwise
// that of the whole content, which only a CRC allows. It returns ErrInvalidRequest when the algorithm does not have the type, or a part no value.
func CombineChecksums(a ChecksumAlgorithm, composite bool, parts []PartChecksum) (Checksum, error) {
	for i := range parts {
		if a == ChecksumNone || len(parts[i].Value) != a.Size() {
			return Checksum{}, ErrInvalidRequest.With("The upload was created using a " + a.String() + " checksum. The complete request must include the checksum for each part. It was missing for part " + strconv.Itoa(i+1) + " in the request.")
		}
	}
	if composite {
		if a == ChecksumCRC64NVME || a == ChecksumNone {
			return Checksum{}, ErrInvalidRequest.With("The COMPOSITE checksum type cannot be used with the " + a.String() + " checksum algorithm.")
		}
		all := make([]byte, 0, len(parts)*a.Size())
		for i := range parts {
			all = append(all, parts[i].Value...)
		}
		c := SumChecksum(a, all)
		c.Composite = true
		return c, nil
	}
	switch a {
	case ChecksumCRC32, ChecksumCRC32C:
		poly := uint32(crc32.IEEE)
		if a == ChecksumCRC32C {
			poly = crc32.Castagnoli
		}
		field := newCRCField(poly)
		var crc uint32
		for i := range parts {
			crc = field.combine(crc, binary.BigEndian.Uint32(parts[i].Value), parts[i].Size)
		}
		return Checksum{Algorithm: a, Value: binary.BigEndian.AppendUint32(nil, crc)}, nil
	case ChecksumCRC64NVME:
		field := newCRCField(uint64(nvmePolynomial))
		var crc uint64
		for i := range parts {
			crc = field.combine(crc, binary.BigEndian.Uint64(parts[i].Value), parts[i].Size)
		}
		return Checksum{Algorithm: a, Value: binary.BigEndian.AppendUint64(nil, crc)}, nil
	}
	return Checksum{}, ErrInvalidRequest.With("The FULL_OBJECT checksum type cannot be used with the " + a.String() + " checksum algorithm.")
}
