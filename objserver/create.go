package objserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// flushBytes is how much of a large object is written between two syncs in the background: the last one then has little left to do, and does not hold up
// the log of everybody behind gigabytes of dirty pages.
const flushBytes = 32 << 20

// CreateObject implements cluster.ObjectServer.
func (s *Server) CreateObject(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	if err := s.enter(); err != nil {
		return cluster.ObjectInfo{}, err
	}
	defer s.leave()
	if id.IsZero() || size < 1 || size > cluster.MaxPutBytes {
		return cluster.ObjectInfo{}, fault.New(fault.Invalid, "objserver: create object %v of %d bytes", id, size)
	}
	var info cluster.ObjectInfo
	var err error
	if size <= s.opts.SmallBytes {
		info, err = s.createSmall(ctx, id, size, body)
	} else {
		info, err = s.createLarge(ctx, id, size, body)
	}
	if err != nil {
		return cluster.ObjectInfo{}, err
	}
	s.n.creates.Add(1)
	s.n.createdBytes.Add(size)
	return info, nil
}

// createSmall logs the payload with the record. The one copy that it makes of the payload is what the store keeps until the next sweep.
func (s *Server) createSmall(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	data := make([]byte, size)
	if err := readBody(body, data); err != nil {
		return cluster.ObjectInfo{}, err
	}
	if err := expectEnd(body); err != nil {
		return cluster.ObjectInfo{}, err
	}
	if err := ctx.Err(); err != nil {
		return cluster.ObjectInfo{}, err
	}
	d, err := s.draftSmall(data, time.Now())
	if err != nil {
		return cluster.ObjectInfo{}, err
	}
	return s.commitNew(ctx, id, d, data)
}

// draftSmall reserves blocks for a payload that will be logged.
func (s *Server) draftSmall(data []byte, created time.Time) (*draft, error) {
	size := int64(len(data))
	var room [4]pools.Pool
	split := pools.Split(room[:0], size)
	d := newDraft(size, true, created, len(split))
	for rest := data; len(rest) > 0; {
		k := split[len(d.addrs)]
		a, err := s.pools.Reserve(k)
		if err != nil {
			s.pools.Free(d.addrs...)
			return nil, err
		}
		d.block(a)
		block := rest[:min(int64(len(rest)), k.BlockBytes())]
		rest = rest[len(block):]
		for len(block) > 0 {
			c := block[:min(len(block), pools.ChunkBytes)]
			block = block[len(c):]
			crc := checksum.CRC32C(c)
			d.chunk(crc)
			d.head.CRC = pools.AppendChunkCRC(d.head.CRC, crc, c)
		}
	}
	return d, nil
}

// createLarge writes the payload to its blocks as it comes.
func (s *Server) createLarge(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	if err := s.mustBeNew(id); err != nil { // before gigabytes travel in vain; decided in commitNew
		return cluster.ObjectInfo{}, err
	}
	split := pools.Split(nil, size)
	d := newDraft(size, false, time.Now(), len(split))
	w := &largeWriter{s: s, d: d, id: id, headers: make([]pools.Located, 0, len(split))}
	err := w.write(ctx, split, size, body)
	if err == nil {
		err = expectEnd(body)
	}
	if e := w.finish(err == nil); err == nil {
		err = e
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.pools.Free(d.addrs...)
		return cluster.ObjectInfo{}, err
	}
	return s.commitNew(ctx, id, d, nil)
}

// largeWriter writes one object to reserved blocks.
type largeWriter struct {
	s       *Server
	d       *draft
	id      cluster.ObjectID
	headers []pools.Located
	files   []pools.FileID // written to since Open, in order of first use
	dirty   int64          // bytes since the last flush
	flush   chan error     // not nil: a sync runs in the background
}

func (w *largeWriter) write(ctx context.Context, split []pools.Pool, size int64, body io.Reader) error {
	buf := w.s.bufs.get(size)
	defer w.s.bufs.put(buf)
	var done int64
	for i, k := range split {
		a, err := w.s.pools.Reserve(k)
		if err != nil {
			return err
		}
		w.d.block(a)
		if !slices.Contains(w.files, a.FileID) {
			w.files = append(w.files, a.FileID)
		}
		length := min(size-done, k.BlockBytes())
		crc, err := w.block(ctx, a, *buf, length, body)
		if err != nil {
			return err
		}
		w.headers = append(w.headers, pools.Located{Addr: a, Header: pools.Header{
			Object: w.id, SizeBytes: size, Offset: done, Part: uint32(i), Length: uint32(length), CRC: crc}})
		done += length
	}
	return nil
}

// block fills one block from body and returns the checksum of its payload.
func (w *largeWriter) block(ctx context.Context, a pools.Addr, buf []byte, length int64, body io.Reader) (crc uint32, err error) {
	for off := int64(0); off < length; {
		if err := w.s.going(ctx); err != nil {
			return 0, err
		}
		b := buf[:min(int64(len(buf)), length-off)]
		if err := readBody(body, b); err != nil {
			return 0, err
		}
		for at := 0; at < len(b); at += pools.ChunkBytes {
			c := b[at:min(at+pools.ChunkBytes, len(b))]
			sum := checksum.CRC32C(c)
			w.d.chunk(sum)
			crc = pools.AppendChunkCRC(crc, sum, c)
			w.d.head.CRC = pools.AppendChunkCRC(w.d.head.CRC, sum, c)
		}
		if err := w.s.pools.WriteBlock(a, off, b); err != nil {
			return 0, err
		}
		off += int64(len(b))
		w.wrote(len(b))
	}
	return crc, nil
}

// wrote begins a sync in the background when enough is dirty and none runs.
func (w *largeWriter) wrote(n int) {
	w.dirty += int64(n)
	if w.dirty < flushBytes {
		return
	}
	if w.flush != nil {
		select {
		case <-w.flush: //nolint:errcheck // an error has failed the pools: the next write says so
			w.flush = nil
		default:
			return
		}
	}
	w.dirty = 0
	w.flush = make(chan error, 1)
	files, done := slices.Clone(w.files[max(0, len(w.files)-2):]), w.flush
	go func() { done <- w.s.pools.Sync(files) }()
}

// finish waits for the background and, when ok, makes payload and headers durable.
func (w *largeWriter) finish(ok bool) error {
	if w.flush != nil {
		<-w.flush //nolint:errcheck // an error has failed the pools: the sync below says so
	}
	if !ok {
		return nil
	}
	if err := w.s.pools.WriteHeaders(w.headers); err != nil {
		return err
	}
	return w.s.pools.Sync(w.files)
}

// going returns why a long call should end.
func (s *Server) going(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closing.Err() != nil {
		return fault.New(fault.Unavailable, "objserver: closing")
	}
	return nil
}

// mustBeNew returns fault.Exists when there is an object id.
func (s *Server) mustBeNew(id cluster.ObjectID) error {
	return s.store.View(func(sn *store.Snapshot) error {
		_, _, ok, err := loadHead(sn, id)
		if err == nil && ok {
			err = errExists(id)
		}
		return err
	})
}

func errExists(id cluster.ObjectID) error {
	return fault.New(fault.Exists, "objserver: object %v exists", id)
}

// commitNew makes the object of a draft exist, whose blocks are reserved and, unless data is its payload, durable. When it cannot exist any more, the
// blocks are free again; when the outcome is unknown, because the store failed, they stay busy.
func (s *Server) commitNew(ctx context.Context, id cluster.ObjectID, d *draft, data []byte) (cluster.ObjectInfo, error) {
	appended := false
	wait, err := s.store.Submit(func(tx *store.Tx) error {
		_, _, ok, err := loadHead(tx, id)
		if err != nil {
			return err
		}
		if ok {
			return errExists(id)
		}
		batch := newRegionBatch(s.pools, tx)
		left := d.head.Size
		for i, a := range d.addrs {
			n := min(left, a.Pool.BlockBytes())
			if err := batch.add(a, n, i == 0); err != nil {
				return err
			}
			left -= n
		}
		batch.flush()
		d.put(tx, id)
		if data != nil {
			tx.Put(appendPayloadKey(make([]byte, 0, payloadKeyBytes), s.home, id), data)
		}
		appended = true
		return nil
	})
	if err != nil {
		appended = s.store.Err() != nil // else the batch was refused
	} else {
		err = wait(context.WithoutCancel(ctx)) // past the point of no return: the outcome is worth waiting for
	}
	if err != nil {
		if !appended {
			s.pools.Free(d.addrs...)
		}
		return cluster.ObjectInfo{}, err
	}
	s.objects.Add(1)
	s.liveBytes.Add(d.head.Size)
	return cluster.ObjectInfo{Size: d.head.Size, CRC32C: d.head.CRC}, nil
}

// readBody fills b. It returns fault.Truncated when the body ends before.
func readBody(body io.Reader, b []byte) error {
	n, err := io.ReadFull(body, b)
	switch {
	case err == nil:
		return nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(fault.Truncated, io.ErrUnexpectedEOF, "objserver: the body ends %d bytes early or more", len(b)-n)
	}
	return fmt.Errorf("objserver: read body: %w", err)
}

// expectEnd returns nil when the body is at its end, fault.Invalid when it goes on.
func expectEnd(body io.Reader) error {
	var b [1]byte
	for range 100 {
		switch n, err := body.Read(b[:]); {
		case n > 0:
			return fault.New(fault.Invalid, "objserver: the body is longer than announced")
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("objserver: read body: %w", err)
		}
	}
	return fmt.Errorf("objserver: read body: %w", io.ErrNoProgress)
}
