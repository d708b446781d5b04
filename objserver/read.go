package objserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

const (
	// pieceBytes is how much is read, verified and written out at a time: it stays in the processor's second-level cache between the three.
	pieceBytes = 6 * pools.ChunkBytes
	// slowPiece is a read of a piece that probably waited for a disk; slowPieces of them in a row did (a busy processor makes one slow now and then), and the rest
	// is read while others are written out.
	slowPiece, slowPieces = 2 * time.Millisecond, 3
	// readAhead is how many buffers such a read has under way at a time.
	readAhead = 3
	// partBytes is how much of an object one continuation of its record describes: only its last one may have blocks that are not of the largest size.
	partBytes = partExtents * pools.MaxBlockBytes
)

// ReadObject implements cluster.ObjectServer.
func (s *Server) ReadObject(ctx context.Context, id cluster.ObjectID, offset, length int64, w io.Writer) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	pin := s.pins.acquire(id) // before the look-up: see pins
	defer s.pins.release(id, pin)
	var f found
	err := s.store.View(func(sn *store.Snapshot) error { return f.look(sn, id, offset, length) })
	if err != nil {
		if fault.KindOf(err) == fault.Corrupt {
			s.n.corrupt.Add(1)
		}
		return err
	}
	s.n.reads.Add(1)
	if f.payload != nil {
		if err := verifyLogged(f.payload, id, f.head); err != nil {
			s.n.corrupt.Add(1)
			return err
		}
		return s.write(w, f.payload[offset:offset+length])
	}
	r := reader{s: s, id: id, x: f.x, at: offset, end: offset + length}
	if err = r.run(ctx, w); fault.KindOf(err) == fault.Corrupt {
		s.n.corrupt.Add(1)
	}
	return err
}

// StatObject implements cluster.ObjectServer.
func (s *Server) StatObject(ctx context.Context, id cluster.ObjectID) (cluster.ObjectInfo, error) {
	if err := s.enter(); err != nil {
		return cluster.ObjectInfo{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return cluster.ObjectInfo{}, err
	}
	var h head
	err := s.store.View(func(sn *store.Snapshot) (err error) {
		var ok bool
		if h, _, ok, err = loadHead(sn, id); err == nil && !ok {
			err = errNotFound(id)
		}
		return err
	})
	return cluster.ObjectInfo{Size: h.Size, CRC32C: h.CRC}, err
}

func errNotFound(id cluster.ObjectID) error {
	return fault.New(fault.NotFound, "objserver: no object %v", id)
}

// found is where the bytes of a range are: a payload that is not in its blocks yet, or extents from before the range on.
type found struct {
	head    head
	payload []byte
	x       extents
}

func (f *found) look(g getter, id cluster.ObjectID, offset, length int64) error {
	h, inline, ok, err := loadHead(g, id)
	if err != nil {
		return err
	}
	if !ok {
		return errNotFound(id)
	}
	if offset < 0 || length < 1 || offset >= h.Size || length > h.Size-offset {
		return fault.New(fault.Invalid, "objserver: range of %d bytes at %d of object %v, which has %d", length, offset, id, h.Size)
	}
	f.head, f.x = h, extents{size: h.Size, b: inline}
	if h.parts() > 0 {
		first, last := offset/partBytes, int((offset+length-1)/partBytes)
		if last == h.parts()-2 {
			last++ // the tail's small blocks may begin in one continuation and end in the next, before that one's usual offset
		}
		f.x.offset = first * partBytes
		f.x.more, err = loadParts(g, id, int(first), min(last, h.parts()-1))
		return err
	}
	if h.Small {
		f.payload, err = loadPayload(g, id, inline)
	}
	return err
}

// loadPayload returns the payload of a small object while it is not in its blocks, else nil. inline is its extents: the first names the generation.
func loadPayload(g getter, id cluster.ObjectID, inline []byte) ([]byte, error) {
	if len(inline) < extentBytes {
		return nil, fault.New(fault.Corrupt, "object %v: %d bytes of extents", id, len(inline))
	}
	var key [payloadKeyBytes]byte
	v, ok, err := g.Get(appendPayloadKey(key[:0], binary.LittleEndian.Uint64(inline), id))
	if err != nil || !ok {
		return nil, err
	}
	return v, nil
}

func verifyLogged(payload []byte, id cluster.ObjectID, h head) error {
	if got := checksum.CRC32C(payload); got != h.CRC || int64(len(payload)) != h.Size {
		return fault.New(fault.Corrupt, "objserver: logged payload of object %v has %d bytes with crc %08x, want %d with %08x", id, len(payload), got, h.Size, h.CRC)
	}
	return nil
}

func (s *Server) write(w io.Writer, b []byte) error {
	n, err := w.Write(b)
	s.n.readBytes.Add(int64(n))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// piece is one read: whole chunks of one block, and what of them is wanted.
type piece struct {
	addr       pools.Addr
	off        int64 // in the block; multiple of a chunk
	length     int
	crcs       []byte
	skip, take int
}

// reader writes one range of an object to a writer.
type reader struct {
	s       *Server
	id      cluster.ObjectID
	x       extents
	e       extent
	at, end int64 // of the object: what is still to be read
}

// next returns the next piece, of at most limit bytes, which is a multiple of a chunk.
func (r *reader) next(limit int64) (p piece, err error) {
	for r.at >= r.e.Offset+r.e.Length {
		e, ok, err := r.x.next()
		if err != nil {
			return p, fault.Wrap(fault.KindOf(err), err, "object %v", r.id)
		}
		if !ok {
			return p, fault.New(fault.Corrupt, "object %v: no extent has byte %s", r.id, strconv.FormatInt(r.at, 10))
		}
		r.e = e
	}
	begin, stop := r.at-r.e.Offset, min(r.end-r.e.Offset, r.e.Length)
	p.addr, p.off = r.e.Addr, begin&^(pools.ChunkBytes-1)
	whole := min((stop+pools.ChunkBytes-1)&^(pools.ChunkBytes-1), r.e.Length)
	p.length = int(min(whole-p.off, limit))
	p.crcs = r.e.CRCs[p.off/pools.ChunkBytes*4:]
	p.skip, p.take = int(begin-p.off), int(min(stop, p.off+int64(p.length))-begin)
	r.at += int64(p.take)
	return p, nil
}

// run reads piece by piece. Bytes in the page cache come faster than another goroutine could be handed them; when those of a long read have to wait for the disk, the
// rest is read ahead.
func (r *reader) run(ctx context.Context, w io.Writer) error {
	var buf *[]byte
	slow := 0 // pieces in a row
	defer func() {
		if buf != nil {
			r.s.bufs.put(buf)
		}
	}()
	for r.at < r.end {
		if buf == nil {
			first := r.at &^ (pools.ChunkBytes - 1)
			buf = r.s.bufs.get(r.end - first)
		} else if err := r.s.going(ctx); err != nil {
			return err
		}
		p, err := r.next(min(int64(len(*buf)), pieceBytes))
		if err != nil {
			return err
		}
		b := (*buf)[:p.length]
		begin := time.Now()
		if err := r.s.pools.Read(p.addr, r.id, p.off, b, p.crcs); err != nil {
			return fmt.Errorf("objserver: read: %w", err)
		}
		if slow++; time.Since(begin) < r.s.slowPiece {
			slow = 0
		}
		if err := r.s.write(w, b[p.skip:p.skip+p.take]); err != nil {
			return err
		}
		if slow >= slowPieces && r.end-r.at > bigBuffer {
			r.s.bufs.put(buf)
			buf = nil
			return r.runAhead(ctx, w)
		}
	}
	return nil
}

// flight is a piece under way.
type flight struct {
	piece
	buf  *[]byte
	done chan error // capacity 1
}

// runAhead reads the next pieces while one is written out. Only the first buffer is sure; more are taken while the budget lasts.
func (r *reader) runAhead(ctx context.Context, w io.Writer) error {
	var ring [readAhead]flight
	head, n := 0, 0 // oldest flight; how many there are
	defer func() {
		for ; n > 0; n-- {
			f := &ring[head%readAhead]
			<-f.done //nolint:errcheck // nobody wants its bytes any more, nor its error
			r.s.bufs.put(f.buf)
			head++
		}
	}()
	for {
		for n < readAhead && r.at < r.end {
			var buf *[]byte
			if n == 0 {
				buf = r.s.bufs.get(bigBuffer)
			} else if buf = r.s.bufs.tryBig(); buf == nil {
				break
			}
			p, err := r.next(int64(len(*buf)))
			if err != nil {
				r.s.bufs.put(buf)
				return err
			}
			f := &ring[(head+n)%readAhead]
			if f.done == nil {
				f.done = make(chan error, 1)
			}
			f.piece, f.buf = p, buf
			n++
			go func() { f.done <- r.s.pools.Read(p.addr, r.id, p.off, (*buf)[:p.length], p.crcs) }()
		}
		if n == 0 {
			return nil
		}
		f := &ring[head%readAhead]
		err := <-f.done
		head, n = head+1, n-1
		if err == nil {
			err = r.s.going(ctx)
		} else {
			err = fmt.Errorf("objserver: read: %w", err)
		}
		if err == nil {
			err = r.s.write(w, (*f.buf)[f.skip:f.skip+f.take])
		}
		r.s.bufs.put(f.buf)
		if err != nil {
			return err
		}
	}
}
