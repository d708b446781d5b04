package pools

import (
	"context"
	"errors"
	"slices"
	"sync"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

const (
	stageBytes  = 1 << 20   // bounds one write of a sweep
	directBytes = 128 << 10 // from here on writes go around the page cache where they can (decision 0006)
)

// Located is a header and the block that it describes.
type Located struct {
	Addr   Addr
	Header Header
}

// Payload is a small object, or a block of one, on its way into its block.
type Payload struct {
	Located
	Data []byte // Header.Length bytes; not kept after Sweep
}

// WriteBlock writes b at offset off of a reserved block. Durable after Sync. It returns fault.NoSpace when the file system is full; after any other error nothing is
// written any more.
func (p *Pools) WriteBlock(a Addr, off int64, b []byte) error {
	f, err := p.writer(a.FileID)
	if err != nil {
		return err
	}
	return p.pwrite(f, b, f.geo.BlockOffset(a.Pool, a.Block)+off)
}

// WriteHeaders writes the headers of blocks, those of neighbours in one write. It sorts hs by address. Durable after Sync.
func (p *Pools) WriteHeaders(hs []Located) error {
	slices.SortFunc(hs, func(x, y Located) int { return x.Addr.Compare(y.Addr) })
	var b []byte
	for len(hs) > 0 {
		f, err := p.writer(hs[0].Addr.FileID)
		if err != nil {
			return err
		}
		n := f.run(len(hs), func(i int) Addr { return hs[i].Addr })
		b = slices.Grow(b[:0], n*headerBytes)[:n*headerBytes]
		for i, h := range hs[:n] {
			h.Header.encode(b[i*headerBytes:], p.opts.Service, h.Addr)
		}
		if err := p.pwrite(f, b, f.geo.HeaderOffset(f.id.Pool, hs[0].Addr.Block)); err != nil {
			return err
		}
		hs = hs[n:]
	}
	return nil
}

// run returns how many of the first n blocks, sorted, follow one another within one region.
func (f *file) run(n int, at func(int) Addr) int {
	first := at(0)
	left := int(f.geo.BlocksPerRegion - first.Block%f.geo.BlocksPerRegion)
	i := 1
	for ; i < min(n, left); i++ {
		if a := at(i); a.FileID != first.FileID || a.Block != first.Block+uint32(i) {
			break
		}
	}
	return i
}

// Sweep writes the payloads and their headers and makes them durable, with as few and large writes as their places allow. It sorts items by address. Writing the
// same payload to the same block again changes nothing, so a sweep may be repeated. Errors are those of WriteBlock and Sync.
func (p *Pools) Sweep(ctx context.Context, items []Payload) error {
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, func(x, y Payload) int { return x.Addr.Compare(y.Addr) })
	stage := p.stage.Get().(*[]byte)
	defer p.stage.Put(stage)
	touched := make([]FileID, 0, PoolCount)
	headers := make([]Located, len(items))
	for i := range items {
		headers[i] = items[i].Located
	}
	for rest := items; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		id := rest[0].Addr.FileID
		f, err := p.writer(id)
		if err != nil {
			return err
		}
		if len(touched) == 0 || touched[len(touched)-1] != id {
			touched = append(touched, id)
		}
		n := f.run(min(len(rest), max(1, int(stageBytes/id.Pool.BlockBytes()))), func(i int) Addr { return rest[i].Addr })
		if err := p.pwrite(f, gather(*stage, rest[:n]), f.geo.BlockOffset(id.Pool, rest[0].Addr.Block)); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := p.WriteHeaders(headers); err != nil {
		return err
	}
	p.n.sweeps.Add(1)
	return p.Sync(touched)
}

// gather returns the bytes of neighbouring blocks as one piece. A single payload is not copied.
func gather(stage []byte, items []Payload) []byte {
	if len(items) == 1 {
		return items[0].Data
	}
	block := int(items[0].Addr.Pool.BlockBytes())
	end := 0
	for i, it := range items {
		start := i * block
		clear(stage[end:start])
		end = start + copy(stage[start:], it.Data)
	}
	return stage[:end]
}

// Sync makes everything durable that was written to the files before the call. Calls for one file at the same time share one Datasync. After an error nothing is
// written any more.
func (p *Pools) Sync(files []FileID) error {
	if len(files) == 1 {
		return p.syncFile(files[0])
	}
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, id := range files {
		wg.Go(func() { errs[i] = p.syncFile(id) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *Pools) syncFile(id FileID) error {
	f, err := p.writer(id)
	if err != nil {
		return err
	}
	h, err := f.handle(p.opts.FS)
	if err != nil {
		return p.writeFailed(err, "open "+f.name)
	}
	err = f.sync.do(func() error {
		p.n.datasyncs.Add(1)
		return syncFailure(h.Datasync())
	})
	if err != nil {
		return p.writeFailed(err, "sync "+f.name)
	}
	return nil
}

// writer returns a file that may be written.
func (p *Pools) writer(id FileID) (*file, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	f, err := p.file(id)
	if err == nil && !f.writable {
		err = fault.New(fault.Internal, "pool file %s is not of the home generation", f.name)
	}
	return f, err
}

func (p *Pools) pwrite(f *file, b []byte, off int64) error {
	h, err := f.handle(p.opts.FS)
	if err != nil {
		return p.writeFailed(err, "open "+f.name)
	}
	p.n.pwrites.Add(1)
	p.n.writtenBytes.Add(int64(len(b)))
	write := h.WriteAt
	if len(b) >= directBytes {
		write = func(b []byte, off int64) (int, error) { return fsbackend.WriteDirectAt(h, b, off) }
	}
	if _, err := write(b, off); err != nil {
		return p.writeFailed(err, "write "+f.name)
	}
	return nil
}

// syncError is a failed sync: whatever its cause, also a full disk, the state of what was written before is unknown.
type syncError struct{ err error }

func (e *syncError) Error() string { return "sync: " + e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

func syncFailure(err error) error {
	if err == nil {
		return nil
	}
	return &syncError{err}
}

// writeFailed tells a full disk, which passes, from every other failure of a write, which is the last one.
func (p *Pools) writeFailed(err error, what string) error {
	var se *syncError
	if noSpace(err) && !errors.As(err, &se) {
		return fault.Wrap(fault.NoSpace, err, "pools: %s", what)
	}
	err = fault.Wrap(fault.Unavailable, err, "pools: %s", what)
	if p.failed.CompareAndSwap(nil, &err) && p.opts.Fail != nil {
		p.opts.Fail(err)
	}
	return err
}
