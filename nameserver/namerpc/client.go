package namerpc

import (
	"context"
	"fmt"
	"io"
	"sync"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/internal/wire"
)

// Client is a name server in another process. Safe for concurrent use.
type Client struct{ rpc *rpc.Client }

var _ cluster.NameServer = (*Client)(nil)

// New returns a name server that is called through c; the new one owns c.
func New(c *rpc.Client) *Client { return &Client{rpc: c} }

// Dial connects, as rpc.Dial does.
func Dial(ctx context.Context, opts rpc.ClientOptions) (*Client, error) {
	c, err := rpc.Dial(ctx, opts)
	if err != nil {
		return nil, err
	}
	return New(c), nil
}

// Close closes the connections; running calls finish first.
func (c *Client) Close() error { return c.rpc.Close() }

// Ping asks whether the server answers.
func (c *Client) Ping(ctx context.Context) error { return c.rpc.Ping(ctx) }

// keepBytes is the largest buffer that is used again.
const keepBytes = 1 << 20

// buffers are those of one call.
type buffers struct{ request, reply []byte }

var pool = sync.Pool{New: func() any { return &buffers{make([]byte, 0, 1024), make([]byte, 0, 1024)} }}

func (b *buffers) free() {
	if cap(b.request) <= keepBytes && cap(b.reply) <= keepBytes {
		pool.Put(b)
	}
}

// do sends the request in b and has the reply in b.
func (c *Client) do(ctx context.Context, op uint16, b *buffers) (err error) {
	if b.reply, err = c.rpc.Call(ctx, op, b.request, b.reply); err != nil {
		return fmt.Errorf("%s: %w", wire.OpName(op), err)
	}
	return nil
}

// done is do for calls without a reply.
func (c *Client) done(ctx context.Context, op uint16, b *buffers) error {
	err := c.do(ctx, op, b)
	b.free()
	return err
}

// unread is the error of a reply that cannot be decoded: it says nothing about the call.
func unread(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "namerpc: reply")
}

// get is do, with the reply decoded.
func get[T any](ctx context.Context, c *Client, op uint16, b *buffers, decode func([]byte) (T, error)) (v T, err error) {
	if err = c.do(ctx, op, b); err == nil {
		v, err = decode(b.reply)
		err = unread(err)
	}
	b.free()
	return v, err
}

// Backup writes a backup stream of the running server, as of one durable state, to w. What was written is whole only when it returns nil, and nameserver.ReadBackup says so, too. A server
// without backups returns fault.NotSupported.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	if _, err := c.rpc.Download(ctx, wire.OpBackup, nil, w, nil); err != nil {
		return fmt.Errorf("%s: %w", wire.OpName(wire.OpBackup), err)
	}
	return nil
}

// CreateBucket implements cluster.NameServer.
func (c *Client) CreateBucket(ctx context.Context, v cluster.Bucket) (cluster.Bucket, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendBucket(b.request[:0], &v)
	r, err := get(ctx, c, wire.OpCreateBucket, b, wire.DecodeBucketCreated)
	if err == nil && r.Exists {
		err = fault.New(fault.Exists, "%s", r.Text)
	}
	return r.Bucket, err
}

// Parts implements cluster.NameServer.
func (c *Client) Parts(ctx context.Context, bucket cluster.BucketID, key string, table cluster.ObjectID, offset int64, limit int) ([]cluster.Part, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendPartsQuery(b.request[:0], &wire.PartsQuery{Bucket: bucket, Key: key, Table: table, Offset: offset, Limit: limit})
	r, err := get(ctx, c, wire.OpParts, b, wire.DecodeParts)
	return r.Parts, err
}

// ListParts implements cluster.NameServer.
func (c *Client) ListParts(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, after int32, limit int) (parts []cluster.Part, more bool, err error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendUploadPartsQuery(b.request[:0], &wire.UploadPartsQuery{Upload: wire.UploadRef{Bucket: bucket, Key: key, ID: id}, After: after, Limit: limit})
	r, err := get(ctx, c, wire.OpListParts, b, wire.DecodeParts)
	return r.Parts, r.More, err
}

// ListRecords implements cluster.NameServer.
func (c *Client) ListRecords(ctx context.Context, prefix, after string, limit int) (records []cluster.Record, more bool, err error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendRecordsQuery(b.request[:0], &wire.RecordsQuery{Prefix: prefix, After: after, Limit: limit})
	r, err := get(ctx, c, wire.OpListRecords, b, wire.DecodeRecords)
	return r.Records, r.More, err
}

// GetBucket implements cluster.NameServer.
func (c *Client) GetBucket(ctx context.Context, name string) (cluster.Bucket, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendName(b.request[:0], name)
	return get(ctx, c, wire.OpGetBucket, b, wire.DecodeBucket)
}

// GetBucketSince implements cluster.NameServer.
func (c *Client) GetBucketSince(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) (cluster.Bucket, bool, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendBucketRef(b.request[:0], &wire.BucketRef{Name: name, ID: id, Epoch: epoch})
	r, err := get(ctx, c, wire.OpGetBucketSince, b, wire.DecodeBucketSince)
	if err != nil || r.Changed == nil {
		return cluster.Bucket{}, err == nil, err
	}
	return *r.Changed, false, nil
}

// UpdateBucket implements cluster.NameServer.
func (c *Client) UpdateBucket(ctx context.Context, v cluster.Bucket) (cluster.Bucket, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendBucket(b.request[:0], &v)
	return get(ctx, c, wire.OpUpdateBucket, b, wire.DecodeBucket)
}

// DeleteBucket implements cluster.NameServer.
func (c *Client) DeleteBucket(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendBucketRef(b.request[:0], &wire.BucketRef{Name: name, ID: id, Epoch: epoch})
	return c.done(ctx, wire.OpDeleteBucket, b)
}

// ListBuckets implements cluster.NameServer.
func (c *Client) ListBuckets(ctx context.Context, q cluster.ListBucketsRequest) (cluster.BucketPage, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendListBucketsRequest(b.request[:0], &q)
	return get(ctx, c, wire.OpListBuckets, b, wire.DecodeBucketPage)
}

// SealBucket implements cluster.NameServer.
func (c *Client) SealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch, force bool) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendSeal(b.request[:0], &wire.Seal{ID: id, Epoch: epoch, Force: force})
	return c.done(ctx, wire.OpSealBucket, b)
}

// UnsealBucket implements cluster.NameServer.
func (c *Client) UnsealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendSeal(b.request[:0], &wire.Seal{ID: id, Epoch: epoch})
	return c.done(ctx, wire.OpUnsealBucket, b)
}

// Guard implements cluster.NameServer.
func (c *Client) Guard(ctx context.Context, g cluster.Guard) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendGuard(b.request[:0], &g)
	return c.done(ctx, wire.OpGuard, b)
}

// DropGuard implements cluster.NameServer.
func (c *Client) DropGuard(ctx context.Context, links []cluster.Link) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendLinks(b.request[:0], links)
	return c.done(ctx, wire.OpDropGuard, b)
}

// CreateEntry implements cluster.NameServer.
func (c *Client) CreateEntry(ctx context.Context, q cluster.CreateEntryRequest) (cluster.Entry, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendCreateEntry(b.request[:0], &q)
	return get(ctx, c, wire.OpCreate, b, wire.DecodeEntry)
}

// Lookup implements cluster.NameServer.
func (c *Client) Lookup(ctx context.Context, q cluster.LookupRequest) (cluster.Entry, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendLookup(b.request[:0], &q)
	return get(ctx, c, wire.OpLookup, b, wire.DecodeEntry)
}

// UpdateEntry implements cluster.NameServer.
func (c *Client) UpdateEntry(ctx context.Context, q cluster.UpdateEntryRequest) (cluster.Entry, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendUpdateEntry(b.request[:0], &q)
	return get(ctx, c, wire.OpUpdate, b, wire.DecodeEntry)
}

// DeleteEntry implements cluster.NameServer.
func (c *Client) DeleteEntry(ctx context.Context, q cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendDeleteEntry(b.request[:0], &q)
	return get(ctx, c, wire.OpDelete, b, wire.DecodeDeleted)
}

// List implements cluster.NameServer.
func (c *Client) List(ctx context.Context, q cluster.ListRequest) (cluster.ListPage, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendListRequest(b.request[:0], &q)
	return get(ctx, c, wire.OpList, b, wire.DecodeListPage)
}

// ListVersions implements cluster.NameServer.
func (c *Client) ListVersions(ctx context.Context, q cluster.ListVersionsRequest) (cluster.ListPage, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendListVersionsRequest(b.request[:0], &q)
	return get(ctx, c, wire.OpListVersions, b, wire.DecodeListPage)
}

// CreateUpload implements cluster.NameServer.
func (c *Client) CreateUpload(ctx context.Context, bucket cluster.BucketID, u cluster.Upload) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendNewUpload(b.request[:0], &wire.NewUpload{Bucket: bucket, Upload: u})
	return c.done(ctx, wire.OpCreateUpload, b)
}

// GetUpload implements cluster.NameServer.
func (c *Client) GetUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) (cluster.Upload, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendUploadRef(b.request[:0], &wire.UploadRef{Bucket: bucket, Key: key, ID: id})
	return get(ctx, c, wire.OpGetUpload, b, wire.DecodeUpload)
}

// PutPart implements cluster.NameServer.
func (c *Client) PutPart(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID, p cluster.Part) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendNewPart(b.request[:0], &wire.NewPart{Upload: wire.UploadRef{Bucket: bucket, Key: key, ID: id}, Part: p})
	return c.done(ctx, wire.OpPutPart, b)
}

// ListUploads implements cluster.NameServer.
func (c *Client) ListUploads(ctx context.Context, q cluster.ListUploadsRequest) (cluster.UploadPage, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendListUploadsRequest(b.request[:0], &q)
	return get(ctx, c, wire.OpListUploads, b, wire.DecodeUploadPage)
}

// CompleteUpload implements cluster.NameServer.
func (c *Client) CompleteUpload(ctx context.Context, q cluster.CompleteUploadRequest) (cluster.Entry, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendCompleteUpload(b.request[:0], &q)
	return get(ctx, c, wire.OpCompleteUpload, b, wire.DecodeEntry)
}

// AbortUpload implements cluster.NameServer.
func (c *Client) AbortUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendUploadRef(b.request[:0], &wire.UploadRef{Bucket: bucket, Key: key, ID: id})
	return c.done(ctx, wire.OpAbortUpload, b)
}

// GetRecord implements cluster.NameServer.
func (c *Client) GetRecord(ctx context.Context, name string) (cluster.Record, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendName(b.request[:0], name)
	return get(ctx, c, wire.OpGetRecord, b, wire.DecodeRecord)
}

// ApplyRecords implements cluster.NameServer.
func (c *Client) ApplyRecords(ctx context.Context, changes []cluster.RecordChange) error {
	b := pool.Get().(*buffers)
	b.request = wire.AppendRecordChanges(b.request[:0], changes)
	return c.done(ctx, wire.OpApplyRecords, b)
}

// UnknownLinks implements cluster.NameServer.
func (c *Client) UnknownLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.ObjectID, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendObjectsOf(b.request[:0], &wire.ObjectsOf{Server: server, Objects: ids})
	return get(ctx, c, wire.OpUnknownLinks, b, wire.DecodeObjectIDs)
}

// FindLinks implements cluster.NameServer.
func (c *Client) FindLinks(ctx context.Context, server cluster.ServiceID, ids []cluster.ObjectID) ([]cluster.LinkHolder, error) {
	b := pool.Get().(*buffers)
	b.request = wire.AppendObjectsOf(b.request[:0], &wire.ObjectsOf{Server: server, Objects: ids})
	return get(ctx, c, wire.OpFindLinks, b, wire.DecodeLinkHolders)
}
