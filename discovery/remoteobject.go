package discovery

import (
	"context"
	"io"

	"ostor/internal/cluster"
)

// remoteObject is an object server in another process: wherever its present owner is.
type remoteObject struct{ remote[cluster.ObjectServer] }

var _ cluster.ObjectServer = (*remoteObject)(nil)

func newRemoteObject(t *Topology, id cluster.ServiceID) *remoteObject {
	return &remoteObject{remote[cluster.ObjectServer]{t: t, id: id, dial: t.opts.DialObject, closed: t.closed}}
}

// CreateObject repeats only while nothing was read of the body.
func (r *remoteObject) CreateObject(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	b := &countingReader{r: body}
	var last error
	info, err := call(ctx, &r.remote, once, func(s cluster.ObjectServer) (cluster.ObjectInfo, error) {
		info, err := s.CreateObject(ctx, id, size, b)
		if err != nil && b.used {
			last, err = err, consumed{err}
		}
		return info, err
	})
	if err != nil && last != nil {
		err = last
	}
	return info, err
}

// consumed hides that a call was not executed: its body is gone, so it cannot be repeated.
type consumed struct{ error }

func (c consumed) Unwrap() error     { return c.error }
func (c consumed) NotExecuted() bool { return false }

// countingReader remembers whether anything was asked of it.
type countingReader struct {
	r    io.Reader
	used bool
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.used = true
	return c.r.Read(p)
}

// ReadObject goes on where it was when the server was lost: the bytes of an object never change.
func (r *remoteObject) ReadObject(ctx context.Context, id cluster.ObjectID, offset, length int64, w io.Writer) error {
	c := &countingWriter{w: w}
	_, err := call(ctx, &r.remote, repeatable, func(s cluster.ObjectServer) (struct{}, error) {
		if c.n == length && length > 0 {
			return struct{}{}, nil // all was written, only the last word got lost
		}
		err := s.ReadObject(ctx, id, offset+c.n, length-c.n, c)
		if c.err != nil {
			// The writer's own failure, whatever kind it is: not the server's.
			return struct{}{}, nil //nolint:nilerr // c.err is returned below
		}
		return struct{}{}, err
	})
	if c.err != nil {
		return c.err
	}
	return err
}

// countingWriter remembers how much was written, and its failure.
type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	c.err = err
	return n, err
}

func (r *remoteObject) StatObject(ctx context.Context, id cluster.ObjectID) (cluster.ObjectInfo, error) {
	return call(ctx, &r.remote, repeatable, func(s cluster.ObjectServer) (cluster.ObjectInfo, error) { return s.StatObject(ctx, id) })
}

// DeleteObjects may be repeated: an id is never used again.
func (r *remoteObject) DeleteObjects(ctx context.Context, ids []cluster.ObjectID) error {
	_, err := call(ctx, &r.remote, repeatable, func(s cluster.ObjectServer) (struct{}, error) { return struct{}{}, s.DeleteObjects(ctx, ids) })
	return err
}
