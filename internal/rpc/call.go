package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// durableBytesPerSecond is how fast, at the least, a server is expected to make durable what it was sent.
const durableBytesPerSecond = 32 << 20

// sendAfter bounds how long bytes of a slow body wait in the client before they are sent.
const sendAfter = time.Second

// Call sends a request and appends the reply to reply[:0], which may be nil. request and reply must not overlap.
//
// Errors: what the handler returned, with its kind; fault.Unavailable when the connection failed, fault.Stale when the server is of another generation; ctx's error when ctx ended. See NotExecuted in the package comment.
func (c *Client) Call(ctx context.Context, op uint16, request, reply []byte) ([]byte, error) {
	x, err := c.begin(ctx, op, 0, request)
	if err != nil {
		return reply[:0], err
	}
	if err = x.cc.flush(); err != nil {
		err = x.broken(err)
	} else {
		reply, err = x.reply(reply[:0])
	}
	return reply, x.end(err)
}

// Ping asks whether the server answers, and is of the generation that is addressed.
func (c *Client) Ping(ctx context.Context) error {
	x, err := c.open(ctx)
	if err != nil {
		return err
	}
	err = x.cc.send(header{kind: typePing, generation: c.opts.Generation}, nil, nil)
	if err == nil {
		err = x.cc.flush()
	}
	if err != nil {
		err = x.broken(err)
	} else {
		_, err = x.reply(nil)
	}
	return x.end(err)
}

// Upload is Call with data: it sends body to its end. size is a hint, negative when unknown. When body fails the call is aborted and the error returned, wrapped: the
// handler sees its body fail with fault.Truncated. When the server answers before the end, the rest is not read. Memory: 256 KiB at most.
func (c *Client) Upload(ctx context.Context, op uint16, request []byte, body io.Reader, size int64, reply []byte) ([]byte, error) {
	x, err := c.begin(ctx, op, flagBody, request)
	if err != nil {
		return reply[:0], err
	}
	if err = x.sendBody(body, size); err == nil {
		x.wait += time.Duration(x.sent/durableBytesPerSecond) * time.Second
		reply, err = x.reply(reply[:0])
	}
	return reply, x.end(err)
}

// Download is Call with data down: each message is written to w, at most 256 KiB at once. An error of w ends the call and is returned, wrapped.
func (c *Client) Download(ctx context.Context, op uint16, request []byte, w io.Writer, reply []byte) ([]byte, error) {
	x, err := c.begin(ctx, op, 0, request)
	if err != nil {
		return reply[:0], err
	}
	if err = x.cc.flush(); err != nil {
		err = x.broken(err)
	} else if err = x.receiveBody(w); err == nil {
		reply, err = x.lastWord(reply[:0])
	}
	return reply, x.end(err)
}

// exchange is one call on its connection.
type exchange struct {
	c     *Client
	cc    *clientConn
	ctx   context.Context
	stop  func() bool // of the watch over ctx; nil when ctx cannot end
	spoil bool        // the connection must not be used again
	wait  time.Duration
	sent  int64  // bytes of data
	h     header // of the frame that ended the data
	sum   uint32
}

// open takes a connection and ties it to ctx: when ctx ends the connection is closed, and so the server notices too.
func (c *Client) open(ctx context.Context) (exchange, error) {
	if ctx.Err() != nil {
		return exchange{}, refusal{fault.Wrap(fault.Unavailable, context.Cause(ctx), "rpc")}
	}
	cc, err := c.acquire(ctx)
	if err != nil {
		return exchange{}, err
	}
	x := exchange{c: c, cc: cc, ctx: ctx, wait: c.opts.ReplyTimeout}
	if ctx.Done() != nil {
		x.stop = context.AfterFunc(ctx, cc.abort)
	}
	cc.sendWithin(c.opts.IOTimeout)
	return x, nil
}

// begin opens an exchange and puts the request into the connection's buffer.
func (c *Client) begin(ctx context.Context, op uint16, flags uint8, request []byte) (exchange, error) {
	if len(request)+deadlineBytes > MaxMessageBytes {
		return exchange{}, refusal{fault.New(fault.TooLarge, "rpc: the request has %d bytes: at most %d are allowed", len(request), MaxMessageBytes-deadlineBytes)}
	}
	x, err := c.open(ctx)
	if err != nil {
		return x, err
	}
	var limit [deadlineBytes]byte
	if t, ok := ctx.Deadline(); ok {
		left := time.Until(t)
		ms := min(max(left.Milliseconds(), 1), math.MaxUint32)
		binary.LittleEndian.PutUint32(limit[:], uint32(ms))
		x.wait = min(x.wait, left+deadlineSlack) // ctx ends the call: a backstop only
	}
	h := header{kind: typeRequest, flags: flags, code: op, request: logkey.RequestIDOf(ctx), generation: c.opts.Generation}
	if err := x.cc.sendMessage(h, limit[:], request); err != nil {
		return x, x.end(x.broken(err))
	}
	return x, nil
}

// broken is c.broken, for an error after which the connection cannot be used again.
func (x *exchange) broken(err error) error {
	x.spoil = true
	return x.c.broken(err)
}

// end gives the connection back and returns the call's error: that of ctx when ctx has ended it.
func (x *exchange) end(err error) error {
	ended := x.stop != nil && !x.stop()
	if ended && err != nil && x.ctx.Err() != nil {
		err = fmt.Errorf("rpc: %w", context.Cause(x.ctx))
	}
	x.c.release(x.cc, !ended && !x.spoil)
	return err
}

// reply waits for the answer and appends it to dst.
func (x *exchange) reply(dst []byte) ([]byte, error) {
	x.cc.readWithin(x.wait)
	var err error
	if x.h, x.sum, err = x.cc.receive(); err != nil {
		return dst, x.broken(truncated(err))
	}
	return x.lastWord(dst)
}

// lastWord reads the answer whose header has come.
func (x *exchange) lastWord(dst []byte) ([]byte, error) {
	x.cc.readRest(x.h, x.c.opts.IOTimeout)
	switch x.h.kind {
	case typeReply:
		dst, err := x.cc.message(dst, x.h, x.sum)
		if err != nil {
			return dst, x.broken(err)
		}
		return dst, nil
	case typeError:
		b, err := x.cc.payload(nil, x.h, x.sum)
		if err != nil {
			return dst, x.broken(err)
		}
		// A refusal, or a complaint about a frame, is the server's last word on this connection.
		if x.h.flags&flagRefused != 0 || fault.Kind(x.h.code) == fault.Invalid {
			x.spoil = true
		}
		return dst, x.c.remoteError(x.h, b)
	}
	return dst, x.broken(frameError("type %d instead of a reply", x.h.kind))
}

// Buffers of data messages, small and large.
var (
	smallBuffers = sync.Pool{New: func() any { return new([writeBufferBytes / 2]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([dataBytes]byte) }}
)

// sendBody sends body to its end, or until the server has answered. After an error the connection is spoiled.
func (x *exchange) sendBody(body io.Reader, size int64) error {
	var buf []byte
	if size >= 0 && size < writeBufferBytes/2 { // one byte of room to see the end
		b := smallBuffers.Get().(*[writeBufferBytes / 2]byte)
		defer smallBuffers.Put(b)
		buf = b[:]
	} else {
		b := largeBuffers.Get().(*[dataBytes]byte)
		defer largeBuffers.Put(b)
		buf = b[:]
	}
	h := header{kind: typeData, request: logkey.RequestIDOf(x.ctx), generation: x.c.opts.Generation}
	for {
		n, end, err := fill(body, buf)
		if err != nil {
			x.spoil = true
			return x.giveUp(err)
		}
		x.cc.sendWithin(x.c.opts.StreamTimeout)
		if end {
			h.flags |= flagEnd
		}
		if n > 0 || end {
			err = x.cc.send(h, nil, buf[:n])
			x.sent += int64(n)
		}
		if err == nil {
			err = x.cc.flush()
		}
		if err != nil {
			if e := x.early(); e != nil {
				return e
			}
			return x.broken(err)
		}
		if end {
			return nil
		}
		if x.cc.pending() {
			// The server has answered: nothing more is wanted. The connection ends here, in the middle of the data.
			if e := x.early(); e != nil {
				return e
			}
			return x.broken(errors.New("the server ended the call before the data"))
		}
	}
}

// early returns the error that the server answered before it had all data; nil when it gave none.
func (x *exchange) early() error {
	x.spoil = true
	x.cc.readWithin(x.c.opts.IOTimeout)
	h, sum, err := x.cc.receive()
	if err != nil || h.kind != typeError {
		return nil //nolint:nilerr // it gave none
	}
	b, err := x.cc.payload(nil, h, sum)
	if err != nil {
		return nil //nolint:nilerr // nor here
	}
	return x.c.remoteError(h, b)
}

// giveUp tells the server that the body has failed.
func (x *exchange) giveUp(why error) error {
	x.cc.sendWithin(x.c.opts.IOTimeout)
	err := x.cc.send(header{kind: typeAbort, generation: x.c.opts.Generation}, nil, []byte(cut(why.Error(), maxTextBytes)))
	if err == nil {
		_ = x.cc.flush() // the end of the connection says the same
	}
	return fmt.Errorf("rpc: body: %w", why)
}

// fill reads until buf is full, body ends, or bytes have waited for a second.
func fill(body io.Reader, buf []byte) (n int, end bool, err error) {
	var began time.Time
	for empty := 0; n < len(buf); {
		k, err := body.Read(buf[n:])
		n += k
		switch {
		case err == io.EOF:
			return n, true, nil
		case err != nil:
			return n, false, err
		case k == 0:
			if empty++; empty > 100 {
				return n, false, io.ErrNoProgress
			}
			continue
		}
		empty = 0
		if now := time.Now(); began.IsZero() {
			began = now
		} else if now.Sub(began) > sendAfter {
			break
		}
	}
	return n, false, nil
}

// receiveBody writes data messages to w until another frame comes, which it leaves in h.
func (x *exchange) receiveBody(w io.Writer) error {
	var small *[writeBufferBytes / 2]byte
	var large *[dataBytes]byte
	defer func() {
		if small != nil {
			smallBuffers.Put(small)
		}
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	x.cc.readWithin(max(x.wait, x.c.opts.StreamTimeout))
	for {
		var err error
		if x.h, x.sum, err = x.cc.receive(); err != nil {
			return x.broken(truncated(err))
		}
		if x.h.kind != typeData {
			return nil
		}
		var buf []byte
		switch n := int(x.h.length); {
		case n <= writeBufferBytes/2:
			if small == nil {
				small = smallBuffers.Get().(*[writeBufferBytes / 2]byte)
			}
			buf = small[:0]
		default: // above dataBytes: payload makes room
			if large == nil {
				large = largeBuffers.Get().(*[dataBytes]byte)
			}
			buf = large[:0]
		}
		if buf, err = x.cc.payload(buf, x.h, x.sum); err != nil {
			return x.broken(err)
		}
		n, err := w.Write(buf)
		if err == nil && n < len(buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			x.spoil = true
			return fmt.Errorf("rpc: write data: %w", err)
		}
		x.cc.readWithin(x.c.opts.StreamTimeout)
	}
}
