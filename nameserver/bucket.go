package nameserver

import (
	"bytes"
	"context"
	"encoding/binary"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// maxBucketName is a bound of ours; the gateway applies the rules of S3 (3 to 63 characters).
const maxBucketName = 255

func checkBucket(b *cluster.Bucket) (err error) {
	if len(b.Name) == 0 || len(b.Name) > maxBucketName {
		return fault.New(fault.Invalid, "bucket name of %d bytes", len(b.Name))
	}
	if err := checkBucketID(b.ID); err != nil {
		return err
	}
	if err := checkVersioning(b.Versioning); err != nil {
		return err
	}
	if err := checkTime(b.Created); err != nil {
		return err
	}
	n := len(b.Location)
	for i := range b.Attrs {
		n += len(b.Attrs[i].Value) + 5
	}
	if n+64 > MaxEntryBytes {
		return fault.New(fault.TooLarge, "bucket %q has attributes of more than %d bytes", b.Name, MaxEntryBytes)
	}
	b.Attrs, err = sortedAttrs(b.Attrs)
	return err
}

func noBucket(name string) error { return fault.New(fault.NoBucket, "no bucket %q", name) }

func getBucket(r reader, name string) (cluster.Bucket, error) {
	v, ok, err := r.Get(stringKey(tagBucket, name))
	if err != nil {
		return cluster.Bucket{}, err
	}
	if !ok {
		return cluster.Bucket{}, noBucket(name)
	}
	return decodeBucket(v, name)
}

func putBucket(tx *store.Tx, b *cluster.Bucket) { tx.Put(stringKey(tagBucket, b.Name), newBucket(b)) }

// indexValue is the value of entries whose key says it all.
var indexValue = []byte{1}

// CreateBucket implements [cluster.NameServer].
func (s *Server) CreateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	if err := checkBucket(&b); err != nil {
		return cluster.Bucket{}, err
	}
	b.Epoch, b.Created = 1, fromMillis(millis(b.Created))
	var existing cluster.Bucket
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := getBucket(tx, b.Name)
		if err == nil {
			existing = old
			return fault.New(fault.Exists, "bucket %q exists", b.Name)
		}
		if fault.KindOf(err) != fault.NoBucket {
			return err
		}
		putBucket(tx, &b)
		tx.Put(ownerKey(b.Owner, b.Name), indexValue)
		return nil
	})
	if err != nil {
		return existing, err
	}
	return b, nil
}

// GetBucket implements [cluster.NameServer].
func (s *Server) GetBucket(_ context.Context, name string) (b cluster.Bucket, err error) {
	if len(name) > maxBucketName {
		return b, noBucket(name[:maxBucketName])
	}
	err = s.view(func(snap *store.Snapshot) (err error) {
		b, err = getBucket(snap, name)
		return err
	})
	return b, err
}

// GetBucketSince implements [cluster.NameServer].
func (s *Server) GetBucketSince(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) (cluster.Bucket, bool, error) {
	b, err := s.GetBucket(ctx, name)
	if err != nil || b.ID == id && b.Epoch == epoch {
		return cluster.Bucket{}, err == nil, err
	}
	return b, false, nil
}

// UpdateBucket implements [cluster.NameServer].
func (s *Server) UpdateBucket(ctx context.Context, b cluster.Bucket) (out cluster.Bucket, err error) {
	if err := checkBucket(&b); err != nil {
		return out, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := getBucket(tx, b.Name)
		switch {
		case err != nil:
			return err
		case old.ID != b.ID:
			return noBucket(b.Name)
		case old.Epoch != b.Epoch:
			return fault.New(fault.Stale, "bucket %q has epoch %d, not %d", b.Name, old.Epoch, b.Epoch)
		case old.Versioning != cluster.Unversioned && b.Versioning == cluster.Unversioned:
			return fault.New(fault.Invalid, "bucket %q cannot become unversioned again", b.Name)
		}
		out = old
		out.Epoch++
		out.Owner, out.Versioning, out.Attrs = b.Owner, b.Versioning, b.Attrs
		putBucket(tx, &out)
		if old.Owner != out.Owner {
			tx.Delete(ownerKey(old.Owner, old.Name))
			tx.Put(ownerKey(out.Owner, out.Name), indexValue)
		}
		return nil
	})
	if err != nil {
		return cluster.Bucket{}, err
	}
	return out, nil
}

// DeleteBucket implements [cluster.NameServer].
func (s *Server) DeleteBucket(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) error {
	if len(name) == 0 || len(name) > maxBucketName {
		return fault.New(fault.NoBucket, "no such bucket")
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		old, err := getBucket(tx, name)
		if err != nil {
			return err
		}
		if old.ID != id {
			return noBucket(name)
		}
		if old.Epoch != epoch {
			return fault.New(fault.Stale, "bucket %q has epoch %d, not %d", name, old.Epoch, epoch)
		}
		tx.Delete(stringKey(tagBucket, name))
		tx.Delete(ownerKey(old.Owner, name))
		return nil
	})
}

// ListBuckets implements [cluster.NameServer].
func (s *Server) ListBuckets(ctx context.Context, r cluster.ListBucketsRequest) (page cluster.BucketPage, err error) {
	limit, err := checkLimit(r.Limit)
	if err != nil {
		return page, err
	}
	if err := checkNames(r.Prefix, r.After); err != nil {
		return page, err
	}
	base := []byte{tagBucket}
	if r.Owner != 0 {
		base = ownerPrefix(r.Owner)
	}
	lo := append(bytes.Clone(base), r.Prefix...)
	hi := successor(lo)
	if r.After != "" {
		if after := append(append(bytes.Clone(base), r.After...), 0); bytes.Compare(after, lo) > 0 {
			lo = after
		}
	}
	if bytes.Compare(lo, hi) >= 0 {
		return page, nil
	}
	err = s.view(func(snap *store.Snapshot) error {
		it := snap.Iter(lo, hi)
		defer it.Close()
		for size := 0; it.Next(); {
			if len(page.Buckets) == limit || size > maxPageBytes {
				page.More = true
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			name := string(it.Key()[len(base):])
			b, err := decodeBucketOf(snap, name, it.Value(), r.Owner != 0)
			if err != nil {
				return err
			}
			page.Buckets = append(page.Buckets, b)
			size += len(name) + 64
			for i := range b.Attrs {
				size += len(b.Attrs[i].Value)
			}
		}
		return it.Err()
	})
	if err != nil {
		return cluster.BucketPage{}, err
	}
	return page, nil
}

func decodeBucketOf(r reader, name string, value []byte, indexed bool) (cluster.Bucket, error) {
	if !indexed {
		return decodeBucket(value, name)
	}
	b, err := getBucket(r, name)
	if fault.KindOf(err) == fault.NoBucket {
		return b, fault.New(fault.Corrupt, "index names bucket %q, which is not there", name)
	}
	return b, err
}

// cutBucketPrefix splits a store key after the bucket id.
func cutBucketPrefix(k []byte) (id cluster.BucketID, rest []byte, ok bool) {
	if len(k) < bucketPrefixBytes {
		return 0, nil, false
	}
	return cluster.BucketID(binary.BigEndian.Uint64(k[1:])), k[bucketPrefixBytes:], true
}
