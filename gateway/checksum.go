package gateway

import (
	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// The numbers of the two packages' algorithms are the same; the compiler checks it.
const (
	_ = uint(s3.ChecksumSHA256-s3.ChecksumAlgorithm(cluster.ChecksumSHA256)) + uint(s3.ChecksumAlgorithm(cluster.ChecksumSHA256)-s3.ChecksumSHA256)
	_ = uint(s3.ChecksumCRC64NVME-s3.ChecksumAlgorithm(cluster.ChecksumCRC64NVME)) + uint(s3.ChecksumAlgorithm(cluster.ChecksumCRC64NVME)-s3.ChecksumCRC64NVME)
)

func algorithmName(a cluster.ChecksumAlgorithm) string { return s3.ChecksumAlgorithm(a).String() }

// storedChecksum is what an entry or part keeps of a checksum.
func storedChecksum(c s3.Checksum) cluster.Checksum {
	if c.Value == nil {
		return cluster.Checksum{}
	}
	return cluster.Checksum{Algorithm: cluster.ChecksumAlgorithm(c.Algorithm), Composite: c.Composite, Value: c.Value}
}

// shownChecksum is the inverse of storedChecksum.
func shownChecksum(c cluster.Checksum) s3.Checksum {
	return s3.Checksum{Algorithm: s3.ChecksumAlgorithm(c.Algorithm), Composite: c.Composite, Value: c.Value}
}

// checksumType is the x-amz-checksum-type of a stored checksum, "" of none.
func checksumType(c cluster.Checksum) string {
	if c.Algorithm == cluster.ChecksumNone {
		return ""
	}
	return shownChecksum(c).Type()
}

// namedChecksum is a checksum as XML replies show it; parts counts the parts of a composite one.
func namedChecksum(c cluster.Checksum, parts int) s3.NamedChecksum {
	if c.Algorithm == cluster.ChecksumNone || len(c.Value) == 0 {
		return s3.NamedChecksum{}
	}
	s := shownChecksum(c)
	return s3.NamedChecksum{Name: s.Algorithm.Element(), Value: s.Text(parts)}
}

// checksumHeaders sets the reply headers of a checksum.
func (c *call) checksumHeaders(sum cluster.Checksum, parts int) {
	if sum.Algorithm == cluster.ChecksumNone || len(sum.Value) == 0 {
		return
	}
	s := shownChecksum(sum)
	c.set(s.Algorithm.Header(), s.Text(parts))
	c.set("x-amz-checksum-type", s.Type())
}
