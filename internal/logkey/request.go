package logkey

import "context"

type requestKey struct{}

// WithRequestID returns ctx with the id of the request that it serves: made by the gateway, carried over RPC, written into log records. Zero is none.
func WithRequestID(ctx context.Context, id uint64) context.Context {
	if id == 0 {
		return ctx
	}
	return requestContext{ctx, id}
}

// RequestIDOf returns the request id in ctx, or 0.
func RequestIDOf(ctx context.Context) uint64 {
	id, _ := ctx.Value(requestKey{}).(uint64)
	return id
}

// requestContext is cheaper than context.WithValue: the id is boxed only when somebody asks.
type requestContext struct {
	context.Context
	id uint64
}

func (c requestContext) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return c.id
	}
	return c.Context.Value(key)
}
