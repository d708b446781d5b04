package btree

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// pager reads verified pages of all generations through the cache. Safe for concurrent use.
type pager struct {
	fs    fsbackend.FS
	dir   string // service directory
	home  uint64 // files of this generation are opened for writing; ^0 = none
	cache *cache

	hits, misses atomic.Int64

	mu     sync.RWMutex
	files  map[fileKey]fsbackend.File
	closed bool
}

func newPager(fs fsbackend.FS, dir string, home uint64, cacheBytes int64) *pager {
	return &pager{fs: fs, dir: dir, home: home, cache: newCache(cacheBytes), files: make(map[fileKey]fsbackend.File)}
}

// file returns the open file of k.
func (g *pager) file(k fileKey) (fsbackend.File, error) {
	g.mu.RLock()
	f := g.files[k]
	g.mu.RUnlock()
	if f != nil {
		return f, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.files[k]; f != nil {
		return f, nil
	}
	if g.closed {
		return nil, fault.New(fault.Unavailable, "btree: closed")
	}
	open := g.fs.OpenRead
	if k.generation() == g.home {
		open = g.fs.Open
	}
	f, err := open(k.name(g.dir))
	if err != nil {
		return nil, fmt.Errorf("btree: open tree file: %w", err)
	}
	g.files[k] = f
	return f, nil
}

// add takes over a file that was opened elsewhere.
func (g *pager) add(k fileKey, f fsbackend.File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.files[k] = f
}

// forget closes the file of k, which nobody reads any more.
func (g *pager) forget(k fileKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.files[k]; f != nil {
		_ = f.Close()
		delete(g.files, k)
	}
}

func (g *pager) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	var errs []error
	for k, f := range g.files {
		errs = append(errs, f.Close())
		delete(g.files, k)
	}
	return errors.Join(errs...)
}

// get returns the page that r points to; it is of the given kind and level, else the tree is corrupt. keep says whether a page that was
// read goes into the cache.
func (g *pager) get(r ref, kind, level uint8, keep bool) (*page, error) {
	if p := g.cache.get(r); p != nil && p.kind == kind && p.level == level {
		g.hits.Add(1)
		return p, nil
	}
	g.misses.Add(1)
	p, err := g.read(r, kind, level)
	if err == nil && keep {
		g.cache.put(p)
	}
	return p, err
}

// read reads a page from its file.
func (g *pager) read(r ref, kind, level uint8) (*page, error) {
	p, err := g.load(r.id, kind)
	if err != nil {
		return nil, err
	}
	switch {
	case p.crc != r.crc:
		return nil, g.corrupt(r.id, kind, fmt.Sprintf("checksum %#x as its parent says", r.crc), fmt.Sprintf("%#x of transaction %d", p.crc, p.tx()))
	case p.level != level:
		return nil, g.corrupt(r.id, kind, fmt.Sprintf("level %d", level), fmt.Sprintf("level %d", p.level))
	}
	return p, nil
}

// load reads the page at an address and verifies all that it says of itself.
func (g *pager) load(id PageID, kind uint8) (*page, error) {
	f, err := g.file(id.file())
	if err != nil {
		return nil, err
	}
	buf := make([]byte, PageBytes)
	n, err := f.ReadAt(buf, id.Offset())
	if err != nil && !(errors.Is(err, io.EOF) && n < len(buf)) && n < len(buf) {
		return nil, fmt.Errorf("btree: read page %v: %w", id, err)
	}
	p, want, got := decodePage(buf[:n], id)
	if p == nil {
		return nil, g.corrupt(id, kind, want, got)
	}
	if kind != 0 && p.kind != kind {
		return nil, g.corrupt(id, kind, kindNames[kind]+" page", kindNames[p.kind]+" page")
	}
	return p, nil
}

func (g *pager) corrupt(id PageID, kind uint8, want, got string) error {
	return &fault.Corruption{File: id.file().name(g.dir), Offset: id.Offset(), What: kindNames[kind] + " page", Want: want, Got: got}
}

// overflow reads a long value.
func (g *pager) overflow(o overflow) ([]byte, error) {
	out := make([]byte, 0, o.size)
	for i := range o.pages() {
		p, err := g.load(o.ref.id+PageID(i), kindOverflow)
		if err != nil {
			return nil, err
		}
		out = append(out, p.buf[pageHeaderBytes:pageHeaderBytes+min(overflowBytes, o.size-len(out))]...)
	}
	if got := checksum.CRC32C(out); got != o.ref.crc {
		return nil, g.corrupt(o.ref.id, kindOverflow, fmt.Sprintf("value with checksum %#x", o.ref.crc), fmt.Sprintf("%#x", got))
	}
	return out, nil
}
