package gateway

import (
	"bytes"
	"context"
	"maps"
	"strconv"
	"strings"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// completeChecksum computes the checksum that the object of an upload gets from those recorded with its parts, and compares all that the client says about the whole: checksum,
// type and size. It returns none when the upload has no algorithm. Parts that do not exist are left to the name server, whose decision counts.
func (c *call) completeChecksum(ctx context.Context, ns cluster.NameServer, u *cluster.Upload, parts []cluster.CompletePart, given s3.Checksum) (cluster.Checksum, error) {
	algorithm := s3.ChecksumAlgorithm(u.Template.Checksum.Algorithm)
	sizeWanted := c.header("X-Amz-Mp-Object-Size")
	if kind := c.header("X-Amz-Checksum-Type"); kind != "" && kind != checksumType(u.Template.Checksum) {
		return cluster.Checksum{}, invalidRequest("The upload was created using the " + checksumType(u.Template.Checksum) + " checksum mode. The complete request must use the same checksum mode.")
	}
	if given.Algorithm != s3.ChecksumNone && algorithm != s3.ChecksumNone && given.Algorithm != algorithm {
		return cluster.Checksum{}, invalidRequest("The upload was created using a " + algorithm.String() + " checksum, and the complete request has a " + given.Algorithm.String() + " checksum.")
	}
	if algorithm == s3.ChecksumNone && sizeWanted == "" && given.Algorithm == s3.ChecksumNone {
		return cluster.Checksum{}, nil
	}
	sums, complete, err := c.recordedChecksums(ctx, ns, u, parts)
	if err != nil || !complete {
		return cluster.Checksum{}, err
	}
	if sizeWanted != "" {
		var size int64
		for i := range sums {
			size += sums[i].Size
		}
		if want, err := strconv.ParseInt(sizeWanted, 10, 64); err != nil || want != size {
			return cluster.Checksum{}, invalidRequest("The provided x-amz-mp-object-size header value does not match what was computed.")
		}
	}
	composite := u.Template.Checksum.Composite
	if algorithm == s3.ChecksumNone {
		if given.Algorithm == s3.ChecksumNone {
			return cluster.Checksum{}, nil
		}
		// The upload has no algorithm, but the client knows the checksum of the whole: it can be compared when the parts have it.
		algorithm, composite = given.Algorithm, given.Composite || !given.Algorithm.FullObject()
	}
	sum, err := s3.CombineChecksums(algorithm, composite, sums)
	if err != nil {
		return cluster.Checksum{}, err
	}
	if given.Value != nil && !bytes.Equal(given.Value, sum.Value) {
		return cluster.Checksum{}, s3.ErrBadDigest.With("The " + algorithm.String() + " you specified did not match the calculated checksum.")
	}
	return storedChecksum(sum), nil
}

// takeChecksum takes the x-amz-checksum-* header out of a CompleteMultipartUpload: there it is about the whole object, everywhere else about the request's body.
func (c *call) takeChecksum() (s3.Checksum, error) {
	var given s3.Checksum
	h := maps.Clone(c.r.Header)
	c.r.Header = h
	for name, v := range h {
		if !strings.HasPrefix(name, "X-Amz-Checksum-") {
			continue
		}
		a, ok := s3.ChecksumOfHeader(strings.ToLower(name))
		if !ok {
			continue
		}
		if given.Algorithm != s3.ChecksumNone || len(v) != 1 {
			return given, invalidRequest("Expecting a single x-amz-checksum- header.")
		}
		var err error
		if given, _, err = s3.ParseChecksum(a, v[0]); err != nil {
			return given, err
		}
		delete(h, name)
	}
	return given, nil
}

// recordedChecksums returns size and checksum of each part in the order given, from the name server; complete is false when one does not exist. A checksum that the client gave with a
// part and that differs from the recorded one is InvalidPart.
func (c *call) recordedChecksums(ctx context.Context, ns cluster.NameServer, u *cluster.Upload, parts []cluster.CompletePart) (sums []s3.PartChecksum, complete bool, err error) {
	sums = make([]s3.PartChecksum, 0, len(parts))
	var after int32
	for more := true; more && len(sums) < len(parts); {
		var page []cluster.Part
		page, more, err = ns.ListParts(ctx, c.bkt.ID, c.key, u.ID, after, 0)
		if err != nil {
			return nil, false, err
		}
		for i := range page {
			p := &page[i]
			after = p.Number
			if len(sums) == len(parts) || p.Number < parts[len(sums)].Number {
				continue // not asked for
			}
			want := &parts[len(sums)]
			if p.Number > want.Number {
				return nil, false, nil
			}
			if want.Checksum.Algorithm != cluster.ChecksumNone &&
				(want.Checksum.Algorithm != p.Checksum.Algorithm || !bytes.Equal(want.Checksum.Value, p.Checksum.Value)) {
				return nil, false, s3.ErrInvalidPart
			}
			sums = append(sums, s3.PartChecksum{Value: p.Checksum.Value, Size: p.Size})
		}
		if len(page) == 0 {
			break
		}
	}
	return sums, len(sums) == len(parts), nil
}
