package btree

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/internal/patient"
)

// Options of Open.
type Options struct {
	FS   fsbackend.FS
	Dir  string // service directory
	Home uint64 // generation whose directory is written; every other one is only read

	// Base is where to start when Home's ring of roots has no newer root; zero = empty tree.
	Base Root

	CacheBytes int64 // budget for pages in memory; 0 = 64 MiB
	FileBytes  int64 // a tree file does not grow beyond it; 0 = 256 MiB. May change from one Open to the next; at most 508 MiB

	// Check is asked before each destructive step (reuse of pages, unlink), after the root that justifies it is durable. An error forbids the step. nil = allowed.
	Check func() error

	// Keep leaves tree files alone that the root does not know: another tree may still be wanted.
	Keep bool

	Logger *slog.Logger // nil = none
}

func (o *Options) ensureDefaults() {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.FileBytes == 0 {
		o.FileBytes = 256 << 20
	}
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Tree is an open tree, and its only writer. Safe for concurrent use.
type Tree struct {
	opts  Options
	log   *slog.Logger
	pager *pager
	ring  fsbackend.File

	applyMu  patient.Mutex // one Apply or Check at a time; guards what follows
	space    *space
	dirPages []PageID   // where the current root's directory lies
	failed   error      // why no Apply is possible any more
	pending  []release  // pages that await release, ascending by tx
	dead     []deadFile // files that await their unlink
	swept    bool       // files that no root knows were looked for
	closed   bool
	unsynced bool   // a file was created and the directory not synced since
	writeBuf []byte // of the running Apply

	mu   sync.Mutex // guards what follows
	root Root
	pins map[TxID]int // snapshots by the transaction of their root

	applies  atomic.Int64
	written  atomic.Int64 // pages
	freeable atomic.Int64 // pages that await release
	fileN    atomic.Int64
	busyN    atomic.Int64
}

// release is pages that root tx no longer reaches and older roots do.
type release struct {
	tx    TxID
	pages []PageID
}

// deadFile is a file without a page that root tx reaches.
type deadFile struct {
	tx  TxID
	key fileKey
}

// Open opens the tree of a service for writing into generation Home. The caller owns that generation: nobody else writes there. What a killed
// predecessor left beyond the newest root is ignored and its space reused.
func Open(ctx context.Context, opts Options) (*Tree, error) {
	opts.ensureDefaults()
	switch {
	case opts.FS == nil || opts.Dir == "":
		return nil, fault.New(fault.Invalid, "btree: open without file system or directory")
	case opts.Home > maxGeneration:
		return nil, fault.New(fault.Invalid, "btree: generation %d is above %d", opts.Home, maxGeneration)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ring, err := openRing(opts.FS, opts.Dir, opts.Home)
	if err != nil {
		return nil, err
	}
	t := &Tree{opts: opts, ring: ring, log: opts.Logger.With("component", "btree", logkey.Generation, opts.Home),
		pager: newPager(opts.FS, opts.Dir, opts.Home, opts.CacheBytes), space: newSpace(opts.Home, opts.FileBytes), pins: make(map[TxID]int), swept: opts.Keep}
	if err := t.load(ctx); err != nil {
		_ = ring.Close()
		_ = t.pager.close()
		return nil, err
	}
	return t, nil
}

// load finds the root to start from and reads its directory and maps.
func (t *Tree) load(ctx context.Context) error {
	slots, err := ReadRing(t.opts.FS, t.opts.Dir, t.opts.Home)
	if err != nil {
		return err
	}
	root := t.opts.Base
	for _, s := range slots {
		if s.Err != nil {
			t.log.Warn("a slot of the ring of roots is not valid; it was being written when the service stopped, or is damaged",
				logkey.File, ringName(t.opts.Dir, t.opts.Home), logkey.Offset, s.Offset, logkey.Error, s.Err)
		} else if s.Root.TxID > root.TxID {
			root = s.Root
		}
	}
	if err := root.validate(); err != nil {
		return err
	}
	entries, pages, err := t.pager.directory(root.directory())
	if err != nil {
		return fmt.Errorf("btree: read the directory of files: %w", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := t.space.addFile(e.key)
		f.liveCount, f.bits = int(e.live), e.bits
		t.space.live += uint64(e.live)
		if !f.home {
			continue
		}
		p, err := t.pager.read(e.bits, kindMap, 0)
		if err != nil {
			return fmt.Errorf("btree: read the map of a file: %w", err)
		}
		f.live = decodeMap(p.buf[pageHeaderBytes:])
		f.busy = slices.Clone(f.live)
		f.busyCount = f.live.count()
		if f.busyCount != f.liveCount {
			return t.pager.corrupt(e.bits.id, kindMap, fmt.Sprintf("%d bits as the directory says", e.live), fmt.Sprint(f.busyCount))
		}
	}
	if t.space.live != root.Pages {
		return fault.New(fault.Corrupt, "btree: the directory of files counts %d pages, the root of transaction %d says %d", t.space.live, root.TxID, root.Pages)
	}
	t.root, t.dirPages = root, pages
	for _, f := range t.space.files {
		if f.liveCount == 0 {
			t.dead = append(t.dead, deadFile{tx: root.TxID, key: f.key})
		}
	}
	t.updateStats()
	return nil
}

// directory reads the chain of directory pages that starts at r, and returns where they lie, too.
func (g *pager) directory(r ref) (entries []dirEntry, pages []PageID, err error) {
	for r.id != 0 {
		p, err := g.read(r, kindDirectory, 0)
		if err != nil {
			return nil, nil, err
		}
		pages = append(pages, r.id)
		body := p.buf[pageHeaderBytes:]
		for i := range p.n {
			e := decodeDirEntry(body[dirLinkBytes+i*dirEntryBytes:])
			if n := len(entries); n > 0 && entries[n-1].key >= e.key || e.key.number() == 0 {
				return nil, nil, g.corrupt(r.id, kindDirectory, "files in order", "file "+e.key.name(g.dir))
			}
			entries = append(entries, e)
		}
		r = decodeLink(body)
	}
	return entries, pages, nil
}

// Root returns the current root: durable, and what the next Snapshot pins.
func (t *Tree) Root() Root {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.root
}

// Stats are figures of a tree.
type Stats struct {
	Entries      uint64 // keys
	Height       int    // levels
	Pages        uint64 // pages that the root reaches
	BusyPages    int64  // pages that may not be written: reached, or awaiting release
	PendingPages int64  // those awaiting release
	Files        int64  // tree files, of all generations
	Applies      int64  // since Open
	PagesWritten int64  // since Open
	CacheHits    int64  // since Open, as the next
	CacheMisses  int64
	CacheBytes   int64
	Snapshots    int // held now
}

// Stats returns the tree's figures.
func (t *Tree) Stats() Stats {
	t.mu.Lock()
	r, pins := t.root, 0
	for _, n := range t.pins {
		pins += n
	}
	t.mu.Unlock()
	return Stats{Entries: r.Entries, Height: r.Height, Pages: r.Pages, BusyPages: t.busyN.Load(), PendingPages: t.freeable.Load(), Files: t.fileN.Load(),
		Applies: t.applies.Load(), PagesWritten: t.written.Load(), CacheHits: t.pager.hits.Load(), CacheMisses: t.pager.misses.Load(),
		CacheBytes: t.pager.cache.bytes(), Snapshots: pins}
}

// updateStats publishes figures of the space. applyMu must be held.
func (t *Tree) updateStats() {
	busy, pending := 0, 0
	for _, f := range t.space.files {
		if f.home {
			busy += f.busyCount
		} else {
			busy += f.liveCount
		}
	}
	for _, r := range t.pending {
		pending += len(r.pages)
	}
	t.busyN.Store(int64(busy))
	t.freeable.Store(int64(pending))
	t.fileN.Store(int64(len(t.space.files)))
}

// Close closes the files. It waits for a running Apply; snapshots must have been released.
func (t *Tree) Close() error {
	t.applyMu.Lock()
	defer t.applyMu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	t.failed = fault.New(fault.Unavailable, "btree: closed")
	err := t.pager.close()
	if e := t.ring.Close(); err == nil {
		err = e
	}
	return err
}

// isTreeName reports whether a name in a generation's directory is a tree file's, and its number.
func isTreeName(name string) (number uint32, ok bool) {
	digits, ok := strings.CutPrefix(name, treePrefix)
	if !ok || digits == "" {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' || number > maxFileNumber/10 {
			return 0, false
		}
		number = number*10 + uint32(c-'0')
	}
	return number, number > 0
}
