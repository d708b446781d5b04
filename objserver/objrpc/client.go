package objrpc

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

// maxDelete bounds the ids of one request; more are deleted by several.
const maxDelete = 10000

// Client is an object server in another process. Safe for concurrent use.
type Client struct{ rpc *rpc.Client }

var _ cluster.ObjectServer = (*Client)(nil)

// New returns an object server that is called through c; the new one owns c.
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

// buffers are those of one call.
type buffers struct{ request, reply []byte }

var pool = sync.Pool{New: func() any { return &buffers{make([]byte, 0, 256), make([]byte, 0, 256)} }}

// CreateObject implements cluster.ObjectServer.
func (c *Client) CreateObject(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	b.request = wire.AppendNewObject(b.request[:0], &wire.NewObject{ID: id, Size: size})
	var err error
	if b.reply, err = c.rpc.Upload(ctx, wire.OpCreateObject, b.request, body, size, b.reply); err != nil {
		return cluster.ObjectInfo{}, fmt.Errorf("create object %s: %w", id, err)
	}
	return info(b.reply)
}

// ReadObject implements cluster.ObjectServer.
func (c *Client) ReadObject(ctx context.Context, id cluster.ObjectID, offset, length int64, w io.Writer) error {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	b.request = wire.AppendObjectRange(b.request[:0], &wire.ObjectRange{ID: id, Offset: offset, Length: length})
	exact := &exactWriter{w: w, left: length}
	var err error
	if b.reply, err = c.rpc.Download(ctx, wire.OpRead, b.request, exact, b.reply); err == nil && exact.left != 0 {
		err = fault.New(fault.Unavailable, "the server sent %d bytes too few", exact.left)
	}
	if err != nil {
		return fmt.Errorf("read object %s: %w", id, err)
	}
	return nil
}

// exactWriter lets through no more than was asked for.
type exactWriter struct {
	w    io.Writer
	left int64
}

func (e *exactWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fault.New(fault.Unavailable, "the server sent more than was asked for")
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}

// StatObject implements cluster.ObjectServer.
func (c *Client) StatObject(ctx context.Context, id cluster.ObjectID) (cluster.ObjectInfo, error) {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	b.request = wire.AppendObjectID(b.request[:0], id)
	var err error
	if b.reply, err = c.rpc.Call(ctx, wire.OpStatObject, b.request, b.reply); err != nil {
		return cluster.ObjectInfo{}, fmt.Errorf("stat object %s: %w", id, err)
	}
	return info(b.reply)
}

// DeleteObjects implements cluster.ObjectServer.
func (c *Client) DeleteObjects(ctx context.Context, ids []cluster.ObjectID) error {
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	for len(ids) > 0 {
		n := min(len(ids), maxDelete)
		b.request = wire.AppendObjectIDs(b.request[:0], ids[:n])
		var err error
		if b.reply, err = c.rpc.Call(ctx, wire.OpDeleteObjects, b.request, b.reply); err != nil {
			return fmt.Errorf("delete %d objects: %w", n, err)
		}
		ids = ids[n:]
	}
	return nil
}

// info decodes a reply. One that cannot be read says nothing about the call.
func info(reply []byte) (cluster.ObjectInfo, error) {
	v, err := wire.DecodeObjectInfo(reply)
	if err != nil {
		return v, fault.Wrap(fault.Unavailable, err, "objrpc: reply")
	}
	return v, nil
}
