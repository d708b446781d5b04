package rpc

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ostor/internal/checksum"
)

const (
	readBufferBytes  = 16 << 10
	writeBufferBytes = 32 << 10 // frames are gathered up to this and leave in one write
	dataBytes        = 256 << 10
	keepBytes        = 64 << 10 // buffers of messages above this are not kept with an idle connection
	deadlineSlack    = 5 * time.Second
)

// conn is one connection: frames in, frames out. One goroutine uses it at a time.
type conn struct {
	nc     net.Conn
	tls    bool
	plain  bool            // payloads need no checksum: a unix socket, or TLS has its own
	raw    syscall.RawConn // nil: cannot be asked whether there is something to read
	br     *bufio.Reader
	wbuf   *[writeBufferBytes]byte // pooled; nil when nothing waits
	wlen   int
	failed error // of a write: nothing is sent after it
	vec    [2][]byte
	vecs   net.Buffers
	readBy time.Time // deadlines set now, to save calls
	sendBy time.Time
	poll   []unix.PollFd
	peek   func(fd uintptr)
	ready  bool
}

// pender is a connection that is none of the operating system, and can be asked itself.
type pender interface{ Pending() bool }

var writeBuffers = sync.Pool{New: func() any { return new([writeBufferBytes]byte) }}

func newConn(nc net.Conn) *conn {
	c := &conn{nc: nc, br: bufio.NewReaderSize(nc, readBufferBytes), poll: make([]unix.PollFd, 1)}
	inner := nc
	if t, ok := nc.(*tls.Conn); ok {
		c.tls, c.plain, inner = true, true, t.NetConn()
	}
	if _, ok := nc.(*net.UnixConn); ok {
		c.plain = true
	}
	if s, ok := inner.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.peek = func(fd uintptr) {
		c.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
		n, err := unix.Poll(c.poll, 0)
		c.ready = err == nil && n > 0
	}
	return c
}

// pending reports, without waiting, whether there is something to read, the end of the stream included.
func (c *conn) pending() bool {
	if c.br.Buffered() > 0 {
		return true
	}
	if p, ok := c.nc.(pender); ok {
		return p.Pending()
	}
	c.ready = false
	return c.raw != nil && (c.raw.Control(c.peek) != nil || c.ready)
}

// readWithin and sendWithin bound the reads and writes from now on, to between d and d + slack(d).
func (c *conn) readWithin(d time.Duration) {
	if now := time.Now(); c.readBy.Before(now.Add(d)) || c.readBy.After(now.Add(d+slack(d))) {
		c.readBy = now.Add(d + slack(d))
		_ = c.nc.SetReadDeadline(c.readBy) // fails on a closed connection only: then the read fails
	}
}

// readRest bounds the reading of a frame's payload, unless it has come already.
func (c *conn) readRest(h header, d time.Duration) {
	if c.br.Buffered() < int(h.length) {
		c.readWithin(d)
	}
}

func (c *conn) sendWithin(d time.Duration) {
	if now := time.Now(); c.sendBy.Before(now.Add(d)) || c.sendBy.After(now.Add(d+slack(d))) {
		c.sendBy = now.Add(d + slack(d))
		_ = c.nc.SetWriteDeadline(c.sendBy)
	}
}

// slack is how much longer than asked for a deadline may be, so that it need not be set for every frame.
func slack(d time.Duration) time.Duration { return min(max(d, 0)/8, deadlineSlack) }

// send adds a frame to what waits to be written, and writes when that is much. payload is not kept. It may be in two parts, the first being short.
func (c *conn) send(h header, first, payload []byte) error {
	h.length = uint32(len(first) + len(payload))
	if !c.plain && h.length > 0 {
		h.flags |= flagPayloadCRC
	}
	if c.wbuf != nil && c.wlen+headerBytes+len(first) > writeBufferBytes {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.wbuf == nil {
		c.wbuf = writeBuffers.Get().(*[writeBufferBytes]byte)
	}
	b := (*[headerBytes]byte)(c.wbuf[c.wlen:])
	h.put(b)
	if h.flags&flagPayloadCRC != 0 {
		binary.LittleEndian.PutUint32(b[12:], checksum.Update(checksum.Update(h.crc, first), payload))
	}
	c.wlen += headerBytes
	c.wlen += copy(c.wbuf[c.wlen:], first)
	if len(payload) <= writeBufferBytes-c.wlen {
		c.wlen += copy(c.wbuf[c.wlen:], payload)
		return nil
	}
	return c.writeOut(payload)
}

// flush writes what waits.
func (c *conn) flush() error { return c.writeOut(nil) }

// writeOut writes what waits, then payload, in one system call where it can. After an error it writes nothing more: the peer may have a part of a frame, and would take what comes next for the rest.
func (c *conn) writeOut(payload []byte) (err error) {
	if c.failed != nil {
		return c.failed
	}
	defer func() { c.failed = err }()
	if c.wbuf == nil {
		return nil
	}
	switch {
	case len(payload) == 0:
		_, err = c.nc.Write(c.wbuf[:c.wlen])
	case c.tls:
		if _, err = c.nc.Write(c.wbuf[:c.wlen]); err == nil {
			_, err = c.nc.Write(payload)
		}
	default:
		c.vec[0], c.vec[1] = c.wbuf[:c.wlen], payload
		c.vecs = c.vec[:]
		_, err = c.vecs.WriteTo(c.nc)
		c.vec, c.vecs = [2][]byte{}, nil
	}
	writeBuffers.Put(c.wbuf)
	c.wbuf, c.wlen = nil, 0
	return err
}

// receive reads a header. It returns io.EOF only at the end of the stream between frames.
func (c *conn) receive() (h header, sum uint32, err error) {
	b, err := c.br.Peek(headerBytes)
	if err != nil {
		if errors.Is(err, io.EOF) && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return h, 0, err
	}
	h, sum, err = decodeHeader((*[headerBytes]byte)(b))
	if err != nil {
		return h, 0, err
	}
	_, _ = c.br.Discard(headerBytes) // it was peeked at
	return h, sum, nil
}

// payload appends the payload of the frame with header h to dst. sum is what receive returned.
func (c *conn) payload(dst []byte, h header, sum uint32) ([]byte, error) {
	n, have := int(h.length), len(dst)
	if cap(dst)-have < n {
		grown := make([]byte, have, max(have+n, 2*cap(dst), 512))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:have+n]
	if _, err := io.ReadFull(c.br, dst[have:]); err != nil {
		return dst[:have], truncated(err)
	}
	if h.flags&flagPayloadCRC != 0 && checksum.Update(sum, dst[have:]) != h.crc {
		return dst[:have], frameError("wrong checksum")
	}
	return dst, nil
}

// message reads the rest of a message whose first frame has header h: one or more frames of the same type.
func (c *conn) message(dst []byte, h header, sum uint32) ([]byte, error) {
	for {
		var err error
		if dst, err = c.payload(dst, h, sum); err != nil {
			return dst, err
		}
		if h.flags&flagMore == 0 {
			return dst, nil
		}
		first := h.kind
		if h, sum, err = c.receive(); err != nil {
			return dst, truncated(err)
		}
		if h.kind != first || len(dst)+int(h.length) > MaxMessageBytes {
			return dst, frameError("a message that does not go on, or is longer than %d bytes", MaxMessageBytes)
		}
	}
}

// sendMessage sends first and b as a message of one or more frames.
func (c *conn) sendMessage(h header, first, b []byte) error {
	for len(first)+len(b) > MaxFrameBytes {
		n := MaxFrameBytes - len(first)
		more := h
		more.flags |= flagMore
		if err := c.send(more, first, b[:n]); err != nil {
			return err
		}
		first, b = nil, b[n:]
	}
	return c.send(h, first, b)
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// timedOut reports whether err is that of a deadline of the connection.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// close ends the connection.
func (c *conn) close() {
	_ = c.nc.Close()
	if c.wbuf != nil {
		writeBuffers.Put(c.wbuf)
		c.wbuf, c.wlen = nil, 0
	}
}
