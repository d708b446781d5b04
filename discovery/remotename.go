package discovery

import (
	"context"

	"ostor/internal/cluster"
)

// remoteName is a name server in another process: wherever its present owner is. Calls that read are repeated when the server was lost; calls that write only when they were
// certainly not executed: a repeated conditional write could fail on its own first effect.
type remoteName struct{ remote[cluster.NameServer] }

var _ cluster.NameServer = (*remoteName)(nil)

func newRemoteName(t *Topology, id cluster.ServiceID) *remoteName {
	return &remoteName{remote[cluster.NameServer]{t: t, id: id, dial: t.opts.DialName, closed: t.closed}}
}

// do is call for methods that return only an error.
func (r *remoteName) do(ctx context.Context, m mode, f func(cluster.NameServer) error) error {
	_, err := call(ctx, &r.remote, m, func(s cluster.NameServer) (struct{}, error) { return struct{}{}, f(s) })
	return err
}

// page is a result with the word whether there is more.
type page[T any] struct {
	items []T
	more  bool
}

func (r *remoteName) CreateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Bucket, error) { return s.CreateBucket(ctx, b) })
}

func (r *remoteName) GetBucket(ctx context.Context, name string) (cluster.Bucket, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.Bucket, error) { return s.GetBucket(ctx, name) })
}

func (r *remoteName) GetBucketSince(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) (cluster.Bucket, bool, error) {
	type reply struct {
		b    cluster.Bucket
		same bool
	}
	v, err := call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (v reply, err error) {
		v.b, v.same, err = s.GetBucketSince(ctx, name, id, epoch)
		return v, err
	})
	return v.b, v.same, err
}

func (r *remoteName) UpdateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Bucket, error) { return s.UpdateBucket(ctx, b) })
}

func (r *remoteName) DeleteBucket(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.DeleteBucket(ctx, name, id, epoch) })
}

func (r *remoteName) ListBuckets(ctx context.Context, q cluster.ListBucketsRequest) (cluster.BucketPage, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.BucketPage, error) { return s.ListBuckets(ctx, q) })
}

func (r *remoteName) SealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch, force bool) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.SealBucket(ctx, id, epoch, force) })
}

func (r *remoteName) UnsealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.UnsealBucket(ctx, id, epoch) })
}

func (r *remoteName) Guard(ctx context.Context, g cluster.Guard) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.Guard(ctx, g) })
}

func (r *remoteName) DropGuard(ctx context.Context, links []cluster.Link) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.DropGuard(ctx, links) })
}

func (r *remoteName) CreateEntry(ctx context.Context, q cluster.CreateEntryRequest) (cluster.Entry, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Entry, error) { return s.CreateEntry(ctx, q) })
}

func (r *remoteName) Lookup(ctx context.Context, q cluster.LookupRequest) (cluster.Entry, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.Entry, error) { return s.Lookup(ctx, q) })
}

func (r *remoteName) UpdateEntry(ctx context.Context, q cluster.UpdateEntryRequest) (cluster.Entry, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Entry, error) { return s.UpdateEntry(ctx, q) })
}

func (r *remoteName) DeleteEntry(ctx context.Context, q cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Deleted, error) { return s.DeleteEntry(ctx, q) })
}

func (r *remoteName) List(ctx context.Context, q cluster.ListRequest) (cluster.ListPage, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.ListPage, error) { return s.List(ctx, q) })
}

func (r *remoteName) ListVersions(ctx context.Context, q cluster.ListVersionsRequest) (cluster.ListPage, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.ListPage, error) { return s.ListVersions(ctx, q) })
}

func (r *remoteName) Parts(ctx context.Context, bucket cluster.BucketID, key string, table cluster.ObjectID, offset int64, limit int) ([]cluster.Part, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) ([]cluster.Part, error) {
		return s.Parts(ctx, bucket, key, table, offset, limit)
	})
}

func (r *remoteName) CreateUpload(ctx context.Context, bucket cluster.BucketID, u cluster.Upload) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.CreateUpload(ctx, bucket, u) })
}

func (r *remoteName) GetUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) (cluster.Upload, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.Upload, error) { return s.GetUpload(ctx, bucket, key, id) })
}

func (r *remoteName) PutPart(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, p cluster.Part) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.PutPart(ctx, bucket, key, id, p) })
}

func (r *remoteName) ListParts(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, after int32, limit int) (parts []cluster.Part, more bool, err error) {
	p, err := call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (p page[cluster.Part], err error) {
		p.items, p.more, err = s.ListParts(ctx, bucket, key, id, after, limit)
		return p, err
	})
	return p.items, p.more, err
}

func (r *remoteName) ListUploads(ctx context.Context, q cluster.ListUploadsRequest) (cluster.UploadPage, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.UploadPage, error) { return s.ListUploads(ctx, q) })
}

func (r *remoteName) CompleteUpload(ctx context.Context, q cluster.CompleteUploadRequest) (cluster.Entry, error) {
	return call(ctx, &r.remote, once, func(s cluster.NameServer) (cluster.Entry, error) { return s.CompleteUpload(ctx, q) })
}

func (r *remoteName) AbortUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.AbortUpload(ctx, bucket, key, id) })
}

func (r *remoteName) GetRecord(ctx context.Context, name string) (cluster.Record, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (cluster.Record, error) { return s.GetRecord(ctx, name) })
}

func (r *remoteName) ListRecords(ctx context.Context, prefix, after string, limit int) (records []cluster.Record, more bool, err error) {
	p, err := call(ctx, &r.remote, repeatable, func(s cluster.NameServer) (p page[cluster.Record], err error) {
		p.items, p.more, err = s.ListRecords(ctx, prefix, after, limit)
		return p, err
	})
	return p.items, p.more, err
}

func (r *remoteName) ApplyRecords(ctx context.Context, changes []cluster.RecordChange) error {
	return r.do(ctx, once, func(s cluster.NameServer) error { return s.ApplyRecords(ctx, changes) })
}

func (r *remoteName) UnknownLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.ObjectID, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) ([]cluster.ObjectID, error) { return s.UnknownLinks(ctx, server, ids) })
}

func (r *remoteName) FindLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.LinkHolder, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.NameServer) ([]cluster.LinkHolder, error) { return s.FindLinks(ctx, server, ids) })
}
