package objrpc

import (
	"context"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/internal/wire"
)

// Handler returns a handler that calls srv.
func Handler(srv cluster.ObjectServer) rpc.Handler {
	return func(ctx context.Context, c *rpc.Call) error {
		switch c.Op {
		case wire.OpCreateObject:
			q, err := wire.DecodeNewObject(c.Request)
			if err != nil {
				return err
			}
			info, err := srv.CreateObject(ctx, q.ID, q.Size, c.Body())
			if err != nil {
				return err
			}
			c.Reply = wire.AppendObjectInfo(c.Reply, &info)
			return nil
		case wire.OpRead:
			q, err := wire.DecodeObjectRange(c.Request)
			if err != nil {
				return err
			}
			return srv.ReadObject(ctx, q.ID, q.Offset, q.Length, c)
		case wire.OpStatObject:
			id, err := wire.DecodeObjectID(c.Request)
			if err != nil {
				return err
			}
			info, err := srv.StatObject(ctx, id)
			if err != nil {
				return err
			}
			c.Reply = wire.AppendObjectInfo(c.Reply, &info)
			return nil
		case wire.OpDeleteObjects:
			ids, err := wire.DecodeObjectIDs(c.Request)
			if err != nil {
				return err
			}
			return srv.DeleteObjects(ctx, ids)
		}
		return fault.New(fault.NotSupported, "objrpc: an object server does not know operation %d (%s)", c.Op, wire.OpName(c.Op))
	}
}
