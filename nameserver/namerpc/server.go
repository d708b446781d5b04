package namerpc

import (
	"context"
	"errors"
	"io"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/internal/wire"
)

// Handler returns a handler that calls srv.
func Handler(srv cluster.NameServer) rpc.Handler {
	return func(ctx context.Context, c *rpc.Call) error {
		if int(c.Op) < len(operations) && operations[c.Op] != nil {
			return operations[c.Op](ctx, srv, c)
		}
		return fault.New(fault.NotSupported, "namerpc: a name server does not know operation %d (%s)", c.Op, wire.OpName(c.Op))
	}
}

// WithBackup returns a handler that also answers BACKUP, with what backup writes: a whole backup when it returns nil. Everything else goes to h.
func WithBackup(h rpc.Handler, backup func(ctx context.Context, w io.Writer) error) rpc.Handler {
	return func(ctx context.Context, c *rpc.Call) error {
		if c.Op != wire.OpBackup {
			return h(ctx, c)
		}
		if len(c.Request) > 0 {
			return fault.New(fault.Invalid, "namerpc: the request of a backup is empty, not %d bytes", len(c.Request))
		}
		return backup(ctx, c)
	}
}

// operations by code: decode the request, call, encode the reply.
var operations = [...]func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error{
	wire.OpCreateBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeBucket(c.Request)
		if err != nil {
			return err
		}
		b, err := srv.CreateBucket(ctx, q)
		r := wire.BucketCreated{Bucket: b}
		if errors.Is(err, fault.Exists) { // the contract returns a bucket with this error
			r.Exists, r.Text, err = true, err.Error(), nil
		}
		if err == nil {
			c.Reply = wire.AppendBucketCreated(c.Reply, &r)
		}
		return err
	},
	wire.OpParts: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodePartsQuery(c.Request)
		if err != nil {
			return err
		}
		parts, err := srv.Parts(ctx, q.Bucket, q.Key, q.Table, q.Offset, q.Limit)
		if err == nil {
			c.Reply = wire.AppendParts(c.Reply, &wire.Parts{Parts: parts})
		}
		return err
	},
	wire.OpListParts: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeUploadPartsQuery(c.Request)
		if err != nil {
			return err
		}
		parts, more, err := srv.ListParts(ctx, q.Upload.Bucket, q.Upload.Key, q.Upload.ID, q.After, q.Limit)
		if err == nil {
			c.Reply = wire.AppendParts(c.Reply, &wire.Parts{Parts: parts, More: more})
		}
		return err
	},
	wire.OpListRecords: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeRecordsQuery(c.Request)
		if err != nil {
			return err
		}
		records, more, err := srv.ListRecords(ctx, q.Prefix, q.After, q.Limit)
		if err == nil {
			c.Reply = wire.AppendRecords(c.Reply, &wire.Records{Records: records, More: more})
		}
		return err
	},
	wire.OpGetBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeName(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.GetBucket(ctx, q)
		if err == nil {
			c.Reply = wire.AppendBucket(c.Reply, &r)
		}
		return err
	},
	wire.OpUpdateBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeBucket(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.UpdateBucket(ctx, q)
		if err == nil {
			c.Reply = wire.AppendBucket(c.Reply, &r)
		}
		return err
	},
	wire.OpGetBucketSince: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeBucketRef(c.Request)
		if err != nil {
			return err
		}
		b, same, err := srv.GetBucketSince(ctx, q.Name, q.ID, q.Epoch)
		if err == nil {
			v := wire.BucketSince{Changed: &b}
			if same {
				v.Changed = nil
			}
			c.Reply = wire.AppendBucketSince(c.Reply, &v)
		}
		return err
	},
	wire.OpDeleteBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeBucketRef(c.Request)
		if err != nil {
			return err
		}
		return srv.DeleteBucket(ctx, q.Name, q.ID, q.Epoch)
	},
	wire.OpListBuckets: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeListBucketsRequest(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.ListBuckets(ctx, q)
		if err == nil {
			c.Reply = wire.AppendBucketPage(c.Reply, &r)
		}
		return err
	},
	wire.OpSealBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeSeal(c.Request)
		if err != nil {
			return err
		}
		return srv.SealBucket(ctx, q.ID, q.Epoch, q.Force)
	},
	wire.OpUnsealBucket: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeSeal(c.Request)
		if err != nil {
			return err
		}
		return srv.UnsealBucket(ctx, q.ID, q.Epoch)
	},
	wire.OpGuard: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeGuard(c.Request)
		if err != nil {
			return err
		}
		return srv.Guard(ctx, q)
	},
	wire.OpDropGuard: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeLinks(c.Request)
		if err != nil {
			return err
		}
		return srv.DropGuard(ctx, q)
	},
	wire.OpCreate: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeCreateEntry(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.CreateEntry(ctx, q)
		if err == nil {
			c.Reply = wire.AppendEntry(c.Reply, &r)
		}
		return err
	},
	wire.OpLookup: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeLookup(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.Lookup(ctx, q)
		if err == nil {
			c.Reply = wire.AppendEntry(c.Reply, &r)
		}
		return err
	},
	wire.OpUpdate: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeUpdateEntry(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.UpdateEntry(ctx, q)
		if err == nil {
			c.Reply = wire.AppendEntry(c.Reply, &r)
		}
		return err
	},
	wire.OpDelete: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeDeleteEntry(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.DeleteEntry(ctx, q)
		if err == nil {
			c.Reply = wire.AppendDeleted(c.Reply, &r)
		}
		return err
	},
	wire.OpList: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeListRequest(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.List(ctx, q)
		if err == nil {
			c.Reply = wire.AppendListPage(c.Reply, &r)
		}
		return err
	},
	wire.OpListVersions: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeListVersionsRequest(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.ListVersions(ctx, q)
		if err == nil {
			c.Reply = wire.AppendListPage(c.Reply, &r)
		}
		return err
	},
	wire.OpCreateUpload: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeNewUpload(c.Request)
		if err != nil {
			return err
		}
		return srv.CreateUpload(ctx, q.Bucket, q.Upload)
	},
	wire.OpGetUpload: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeUploadRef(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.GetUpload(ctx, q.Bucket, q.Key, q.ID)
		if err == nil {
			c.Reply = wire.AppendUpload(c.Reply, &r)
		}
		return err
	},
	wire.OpPutPart: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeNewPart(c.Request)
		if err != nil {
			return err
		}
		return srv.PutPart(ctx, q.Upload.Bucket, q.Upload.Key, q.Upload.ID, q.Part)
	},
	wire.OpListUploads: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeListUploadsRequest(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.ListUploads(ctx, q)
		if err == nil {
			c.Reply = wire.AppendUploadPage(c.Reply, &r)
		}
		return err
	},
	wire.OpCompleteUpload: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeCompleteUpload(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.CompleteUpload(ctx, q)
		if err == nil {
			c.Reply = wire.AppendEntry(c.Reply, &r)
		}
		return err
	},
	wire.OpAbortUpload: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeUploadRef(c.Request)
		if err != nil {
			return err
		}
		return srv.AbortUpload(ctx, q.Bucket, q.Key, q.ID)
	},
	wire.OpGetRecord: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeName(c.Request)
		if err != nil {
			return err
		}
		r, err := srv.GetRecord(ctx, q)
		if err == nil {
			c.Reply = wire.AppendRecord(c.Reply, &r)
		}
		return err
	},
	wire.OpUnknownLinks: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeObjectsOf(c.Request)
		if err != nil {
			return err
		}
		ids, err := srv.UnknownLinks(ctx, q.Server, q.Objects)
		if err == nil {
			c.Reply = wire.AppendObjectIDs(c.Reply, ids)
		}
		return err
	},
	wire.OpFindLinks: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeObjectsOf(c.Request)
		if err != nil {
			return err
		}
		l, err := srv.FindLinks(ctx, q.Server, q.Objects)
		if err == nil {
			c.Reply = wire.AppendLinkHolders(c.Reply, l)
		}
		return err
	},
	wire.OpApplyRecords: func(ctx context.Context, srv cluster.NameServer, c *rpc.Call) error {
		q, err := wire.DecodeRecordChanges(c.Request)
		if err != nil {
			return err
		}
		return srv.ApplyRecords(ctx, q)
	},
}
