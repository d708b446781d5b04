package nameserver

import (
	"math"
	"slices"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Limits of a page: what a request may ask for, and what a reply may hold beside the limit of names.
const (
	defaultLimit = 1000
	maxLimit     = 10000   // larger limits are reduced to it
	maxPageBytes = 2 << 20 // a page ends early at the name that passes it
	maxDelimiter = 1024    // bytes
	maxGuardTime = 7 * 24 * time.Hour
)

func checkKey(key string) error {
	if len(key) == 0 || len(key) > cluster.MaxKeyBytes {
		return fault.New(fault.Invalid, "key of %d bytes: want 1 to %d", len(key), cluster.MaxKeyBytes)
	}
	return nil
}

func checkBucketID(id cluster.BucketID) error {
	if id == 0 {
		return fault.New(fault.Invalid, "bucket id is missing")
	}
	return nil
}

func checkName(bucket cluster.BucketID, key string) error {
	if err := checkBucketID(bucket); err != nil {
		return err
	}
	return checkKey(key)
}

// checkNames checks what listings have in common: none of the strings is longer than a key with one byte more (the usual way to say "just after").
func checkNames(ss ...string) error {
	for _, s := range ss {
		if len(s) > cluster.MaxKeyBytes+1 {
			return fault.New(fault.Invalid, "prefix, delimiter or marker of %d bytes", len(s))
		}
	}
	return nil
}

func checkLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, fault.New(fault.Invalid, "limit %d is negative", limit)
	case limit == 0:
		return defaultLimit, nil
	}
	return min(limit, maxLimit), nil
}

// checkTime refuses times outside of the years 1 to 9999 (the zero time is in year 1): they have no form in S3, and their milliseconds may overflow.
func checkTime(t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return fault.New(fault.Invalid, "time of year %d", y)
	}
	return nil
}

func checkVersioning(v cluster.Versioning) error {
	if v > cluster.VersioningSuspended {
		return fault.New(fault.Invalid, "versioning state %d", v)
	}
	return nil
}

// checkContent checks that bytes and link belong together.
func checkContent(size int64, l cluster.Link, maxBytes int64) error {
	switch {
	case size < 0:
		return fault.New(fault.Invalid, "size %d is negative", size)
	case size > maxBytes:
		return fault.New(fault.TooLarge, "size %d is above %d", size, maxBytes)
	case size == 0 && !l.IsZero():
		return fault.New(fault.Invalid, "an empty object has a link")
	case size > 0 && (l.Server == 0 || l.Object.IsZero()):
		return fault.New(fault.Invalid, "%d bytes without a link", size)
	}
	return nil
}

func checkDigest(etag string, c cluster.Checksum) error {
	if len(etag) > maxETagBytes {
		return fault.New(fault.Invalid, "ETag of %d bytes", len(etag))
	}
	if len(c.Value) > maxChecksumBytes || c.Algorithm == cluster.ChecksumNone && len(c.Value) > 0 {
		return fault.New(fault.Invalid, "checksum of %d bytes with algorithm %d", len(c.Value), c.Algorithm)
	}
	return nil
}

// sortedAttrs returns the attributes sorted by id, in a copy if they are not. It returns fault.Invalid when an id comes twice.
func sortedAttrs(as []cluster.Attribute) ([]cluster.Attribute, error) {
	byID := func(a, b cluster.Attribute) int { return int(a.ID) - int(b.ID) }
	if !slices.IsSortedFunc(as, byID) {
		as = slices.Clone(as)
		slices.SortFunc(as, byID)
	}
	for i := 1; i < len(as); i++ {
		if as[i].ID == as[i-1].ID {
			return nil, fault.New(fault.Invalid, "attribute %d comes twice", as[i].ID)
		}
	}
	return as, nil
}

// checkMetadata checks the caller's part of an entry, and sorts its attributes.
func checkMetadata(e *cluster.Entry) (err error) {
	if err := checkTime(e.Modified); err != nil {
		return err
	}
	if err := checkDigest(e.ETag, e.Checksum); err != nil {
		return err
	}
	if entryBytes(e) > MaxEntryBytes {
		return fault.New(fault.TooLarge, "metadata of more than %d bytes", MaxEntryBytes)
	}
	if e.Attrs, err = sortedAttrs(e.Attrs); err != nil {
		return err
	}
	return cluster.CheckRetention(nil, e.Attrs, time.Time{}, false) // that they can be read
}

func checkCondition(c *cluster.Condition) error {
	if len(c.IfMatch) > math.MaxUint16 || len(c.IfNoneMatch) > math.MaxUint16 {
		return fault.New(fault.Invalid, "condition is too long")
	}
	return nil
}
