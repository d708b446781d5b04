package wire

import "ostor/internal/cluster"

// AppendBucket adds the request of CreateBucket and UpdateBucket, the reply of GetBucket and UpdateBucket.
func AppendBucket(b []byte, v *cluster.Bucket) []byte { return appendBucket(b, v) }

// DecodeBucket reads the request of CreateBucket and UpdateBucket, the reply of GetBucket and UpdateBucket.
func DecodeBucket(b []byte) (v cluster.Bucket, err error) {
	d := decoder{b: b}
	readBucket(&d, &v)
	return v, d.end()
}

// AppendListBucketsRequest adds the request of ListBuckets.
func AppendListBucketsRequest(b []byte, v *cluster.ListBucketsRequest) []byte {
	return appendListBucketsRequest(b, v)
}

// DecodeListBucketsRequest reads the request of ListBuckets.
func DecodeListBucketsRequest(b []byte) (v cluster.ListBucketsRequest, err error) {
	d := decoder{b: b}
	readListBucketsRequest(&d, &v)
	return v, d.end()
}

func appendListBucketsRequest(b []byte, v *cluster.ListBucketsRequest) []byte {
	b = appendU64(b, uint64(v.Owner))
	b = appendInt(b, v.Limit)
	b = appendString(b, v.Prefix)
	b = appendString(b, v.After)
	return b
}

func readListBucketsRequest(d *decoder, v *cluster.ListBucketsRequest) {
	v.Owner = cluster.UserID(d.u64())
	v.Limit = d.int()
	v.Prefix = d.string()
	v.After = d.string()
}

// AppendBucketPage adds the reply of ListBuckets.
func AppendBucketPage(b []byte, v *cluster.BucketPage) []byte { return appendBucketPage(b, v) }

// DecodeBucketPage reads the reply of ListBuckets.
func DecodeBucketPage(b []byte) (v cluster.BucketPage, err error) {
	d := decoder{b: b}
	readBucketPage(&d, &v)
	return v, d.end()
}

func appendBucketPage(b []byte, v *cluster.BucketPage) []byte {
	b = appendBool(b, v.More)
	b = appendCount(b, len(v.Buckets))
	for i := range v.Buckets {
		b = appendBucket(b, &v.Buckets[i])
	}
	return b
}

func readBucketPage(d *decoder, v *cluster.BucketPage) {
	v.More = d.bool()
	v.Buckets = list(d, minBucket, readBucket)
}

// AppendBucketSince adds the reply of GetBucketSince.
func AppendBucketSince(b []byte, v *BucketSince) []byte {
	if b = appendBool(b, v.Changed != nil); v.Changed != nil {
		b = appendBucket(b, v.Changed)
	}
	return b
}

// DecodeBucketSince reads the reply of GetBucketSince.
func DecodeBucketSince(b []byte) (v BucketSince, err error) {
	d := decoder{b: b}
	if d.bool() {
		v.Changed = new(cluster.Bucket)
		readBucket(&d, v.Changed)
	}
	return v, d.end()
}

// AppendBucketRef adds the request of DeleteBucket and GetBucketSince.
func AppendBucketRef(b []byte, v *BucketRef) []byte { return appendBucketRef(b, v) }

// DecodeBucketRef reads the request of DeleteBucket and GetBucketSince.
func DecodeBucketRef(b []byte) (v BucketRef, err error) {
	d := decoder{b: b}
	readBucketRef(&d, &v)
	return v, d.end()
}

func appendBucketRef(b []byte, v *BucketRef) []byte {
	b = appendU64(b, uint64(v.ID))
	b = appendU64(b, uint64(v.Epoch))
	b = appendString(b, v.Name)
	return b
}

func readBucketRef(d *decoder, v *BucketRef) {
	v.ID = cluster.BucketID(d.u64())
	v.Epoch = cluster.Epoch(d.u64())
	v.Name = d.string()
}

// AppendBucketCreated adds the reply of CreateBucket.
func AppendBucketCreated(b []byte, v *BucketCreated) []byte { return appendBucketCreated(b, v) }

// DecodeBucketCreated reads the reply of CreateBucket.
func DecodeBucketCreated(b []byte) (v BucketCreated, err error) {
	d := decoder{b: b}
	readBucketCreated(&d, &v)
	return v, d.end()
}

func appendBucketCreated(b []byte, v *BucketCreated) []byte {
	b = appendBool(b, v.Exists)
	b = appendString(b, v.Text)
	b = appendBucket(b, &v.Bucket)
	return b
}

func readBucketCreated(d *decoder, v *BucketCreated) {
	v.Exists = d.bool()
	v.Text = d.string()
	readBucket(d, &v.Bucket)
}

// AppendSeal adds the request of SealBucket and UnsealBucket.
func AppendSeal(b []byte, v *Seal) []byte { return appendSeal(b, v) }

// DecodeSeal reads the request of SealBucket and UnsealBucket.
func DecodeSeal(b []byte) (v Seal, err error) {
	d := decoder{b: b}
	readSeal(&d, &v)
	return v, d.end()
}

func appendSeal(b []byte, v *Seal) []byte {
	b = appendU64(b, uint64(v.ID))
	b = appendU64(b, uint64(v.Epoch))
	b = appendBool(b, v.Force)
	return b
}

func readSeal(d *decoder, v *Seal) {
	v.ID = cluster.BucketID(d.u64())
	v.Epoch = cluster.Epoch(d.u64())
	v.Force = d.bool()
}
