package pools

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/internal/patient"
)

const (
	errENOSPC = syscall.ENOSPC
	errEDQUOT = syscall.EDQUOT
)

// Options says where the pool files are and how new ones are made.
type Options struct {
	FS      fsbackend.FS
	Dir     string // of the service
	Service cluster.ServiceID
	Home    uint64 // generation whose directory is written; it exists

	// Fail is told of the first failed write or sync; nothing is written after it. nil: nobody is told.
	Fail func(error)
	// Geometry lays out new files. nil: DefaultGeometry. For tests, which fill files.
	Geometry func(Pool) Geometry
	// Last returns the highest number that an unlinked file of the home generation had in a pool, 0 for none. nil: none was.
	Last func(Pool) uint32
	// Logger hears of damaged files. nil: slog.Default.
	Logger *slog.Logger
}

// Pools is all pool files of one object server. Safe for concurrent use.
type Pools struct {
	opts  Options
	log   *slog.Logger
	files atomic.Pointer[map[FileID]*file] // replaced whole, under filesMu
	pools [PoolCount]pool
	stage sync.Pool // *[]byte of stageBytes, for sweeps

	filesMu sync.Mutex

	holdMu   sync.Mutex
	holds    int
	deferred []Addr // freed while there was a hold

	failed      atomic.Pointer[error]
	cannotPunch atomic.Bool
	n           counters
}

// pool is where blocks of one size are reserved.
type pool struct {
	mu    patient.Mutex
	files []*file // writable, by number
	low   int     // no file before it has a free block
	next  uint32  // number of the next new file
}

// Open finds the pool files of all generations and marks as busy what records says: the region records of the tree, each once. A file that is missing or another's
// costs only the objects in it: reads of them return fault.Corrupt. One whose system block is damaged is read, not written.
func Open(ctx context.Context, opts Options, records iter.Seq2[RegionID, RegionRecord]) (*Pools, error) {
	p := &Pools{opts: opts, log: cmp.Or(opts.Logger, slog.Default()).With("component", "pools")}
	p.stage.New = func() any { b := fsbackend.AlignedBuffer(stageBytes); return &b }
	if p.opts.Geometry == nil {
		p.opts.Geometry = DefaultGeometry
	}
	found, err := p.list()
	if err != nil {
		return nil, err
	}
	files, err := p.openAll(ctx, found)
	if err != nil {
		return nil, err
	}
	for id, r := range records {
		f := files[id.FileID]
		if f == nil { // lost: every read of it says so
			f = p.damaged(id.FileID, &fault.Corruption{File: id.Name(opts.Dir), What: "pool file", Want: "a file", Got: "none"})
			files[id.FileID] = f
		}
		p.markRegion(f, id, r)
	}
	for _, f := range files {
		pl := &p.pools[f.id.Pool]
		if f.id.Generation == opts.Home {
			pl.next = max(pl.next, f.id.Number)
		}
		if f.writable {
			pl.files = append(pl.files, f)
		}
	}
	for k := range p.pools {
		pl := &p.pools[k]
		if opts.Last != nil {
			pl.next = max(pl.next, opts.Last(Pool(k)))
		}
		pl.next++
		slices.SortFunc(pl.files, func(a, b *file) int { return a.id.Compare(b.id) })
	}
	p.files.Store(&files)
	return p, nil
}

// list returns the pool files of all generations.
func (p *Pools) list() (found []FileID, err error) {
	root := p.opts.Dir + "/" + fsbackend.GenDir
	names, err := p.opts.FS.List(root)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		g, err := strconv.ParseUint(name, 10, 64)
		if err != nil || fsbackend.GenerationName(g) != name {
			continue
		}
		files, err := p.opts.FS.List(root + "/" + name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, base := range files {
			if id, ok := parseFileName(g, base); ok {
				found = append(found, id)
			}
		}
	}
	return found, nil
}

// openAll reads the system blocks, several at a time since each is a round trip on a cluster mount.
func (p *Pools) openAll(ctx context.Context, found []FileID) (map[FileID]*file, error) {
	const parallel = 8
	files := make([]*file, len(found))
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		bad  atomic.Pointer[error]
	)
	for range min(parallel, len(found)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(found)) && bad.Load() == nil; i = next.Add(1) - 1 {
				f, err := p.openFile(ctx, found[i])
				if err != nil {
					bad.Store(&err)
					return
				}
				files[i] = f
			}
		})
	}
	wg.Wait()
	if err := bad.Load(); err != nil {
		return nil, *err
	}
	m := make(map[FileID]*file, len(found))
	for _, f := range files {
		m[f.id] = f
	}
	return m, nil
}

func (p *Pools) openFile(ctx context.Context, id FileID) (*file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := id.Name(p.opts.Dir)
	sys, err := readSystem(p.opts.FS, name)
	switch {
	case err == nil && (sys.File != id || sys.Service != p.opts.Service):
		err = &fault.Corruption{File: name, What: "system block", Want: id.String(), Got: sys.File.String() + " of " + sys.Service.String()}
	case err != nil && !errors.Is(err, fault.Corrupt) && !errors.Is(err, fault.NotSupported):
		return nil, err // the mount's trouble, not the file's
	}
	if errors.Is(err, fault.Corrupt) && sys.File == (FileID{}) { // Bytes and headers have checksums of their own: they can still be read where they would lie in a new file.
		f := newFile(id, name, p.opts.Geometry(id.Pool))
		f.head = err
		return f, nil
	}
	if err != nil {
		return p.damaged(id, err), nil
	}
	f := newFile(id, name, sys.Geometry)
	if f.writable = id.Generation == p.opts.Home; f.writable {
		for i := range f.dirty { // unknown: it may have space everywhere
			f.dirty[i] = ^uint64(0)
		}
	}
	return f, nil
}

func readSystem(fs fsbackend.FS, name string) (System, error) {
	h, err := fs.OpenRead(name)
	if err != nil {
		return System{}, err
	}
	defer h.Close()
	b := make([]byte, systemBytes)
	if short, err := readFull(h, b, 0); err != nil {
		return System{}, err
	} else if short {
		return System{}, &fault.Corruption{File: name, What: "system block", Want: "4096 bytes", Got: "a shorter file"}
	}
	sys, err := DecodeSystem(b)
	if errors.Is(err, fault.Corrupt) {
		err = &fault.Corruption{File: name, What: "system block", Want: "a pool file", Got: err.Error()}
	}
	return sys, err
}

// damaged stands for a file whose blocks cannot be read. Its geometry is that of new files: only the busy set needs it.
func (p *Pools) damaged(id FileID, err error) *file {
	f := newFile(id, id.Name(p.opts.Dir), p.opts.Geometry(id.Pool))
	f.damage = err
	return f
}

func (p *Pools) markRegion(f *file, id RegionID, r RegionRecord) {
	if f.head != nil && f.busyBlocks() == 0 { // once a file
		p.log.Error("system block of a pool file is damaged: it is read as if it were laid out like a new one", logkey.File, f.name, logkey.Error, f.head.Error())
	}
	if f.damage != nil && f.busyBlocks() == 0 {
		p.log.Error("pool file is damaged: objects in it cannot be read", logkey.File, f.name, logkey.Error, f.damage.Error())
	}
	for i := range f.geo.BlocksPerRegion {
		if r.Has(i) && id.Region < f.geo.Regions {
			f.mark(id.Region*f.geo.BlocksPerRegion + i)
		}
	}
}

// HeadOf returns what is wrong with the system block of a file, nil when it is whole.
func (p *Pools) HeadOf(id FileID) error {
	f, err := p.file(id)
	if err != nil {
		return err
	}
	return cmp.Or(f.damage, f.head)
}

// Damaged returns what is wrong with files as a whole that have blocks in use.
func (p *Pools) Damaged() (errs []error) {
	for _, id := range p.Files() {
		f := (*p.files.Load())[id]
		if err := cmp.Or(f.damage, f.head); err != nil && f.busyBlocks() > 0 {
			errs = append(errs, err)
		}
	}
	return errs
}

// Close closes all files. Nothing may be in progress.
func (p *Pools) Close() error {
	var errs []error
	for _, f := range *p.files.Load() {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// file returns the file of a block; fault.Corrupt when there is none: an object record names it.
func (p *Pools) file(id FileID) (*file, error) {
	if f := (*p.files.Load())[id]; f != nil {
		return f, nil
	}
	return nil, &fault.Corruption{File: id.Name(p.opts.Dir), What: "pool file", Want: "a file", Got: "none"}
}

// Region returns the region of a block and its number in it.
func (p *Pools) Region(a Addr) (RegionID, uint32, error) {
	f, err := p.file(a.FileID)
	if err != nil {
		return RegionID{}, 0, err
	}
	return RegionID{a.FileID, a.Block / f.geo.BlocksPerRegion}, a.Block % f.geo.BlocksPerRegion, nil
}

// NewRecord returns the record of an empty region.
func (p *Pools) NewRecord(id RegionID) (RegionRecord, error) {
	f, err := p.file(id.FileID)
	if err != nil {
		return RegionRecord{}, err
	}
	return RegionRecord{Mask: make([]byte, (f.geo.BlocksPerRegion+7)/8)}, nil
}

// Reserve makes a free block of a pool busy, in a new file when no file has one. It returns fault.NoSpace when that cannot be made.
func (p *Pools) Reserve(k Pool) (Addr, error) {
	if err := p.Err(); err != nil {
		return Addr{}, err
	}
	pl := &p.pools[k]
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for {
		for ; pl.low < len(pl.files); pl.low++ {
			if f := pl.files[pl.low]; f != nil {
				if b, ok := f.reserve(); ok {
					return Addr{f.id, b}, nil
				}
			}
		}
		f, err := p.create(k, pl)
		if err != nil {
			return Addr{}, err
		}
		pl.files = append(pl.files, f)
	}
}

// create makes the next file of a pool, durable with its name. pl.mu is held.
func (p *Pools) create(k Pool, pl *pool) (*file, error) {
	for {
		id := FileID{p.opts.Home, k, pl.next}
		pl.next++
		f := newFile(id, id.Name(p.opts.Dir), p.opts.Geometry(k))
		h, err := p.opts.FS.Create(f.name)
		if errors.Is(err, fs.ErrExist) {
			continue // not ours: made by somebody after the listing
		}
		if err != nil {
			return nil, p.writeFailed(err, "make "+f.name)
		}
		sys := System{p.opts.Service, id, f.geo, time.Now().UnixMilli()}
		if _, err = h.WriteAt(sys.Encode(), 0); err == nil {
			if err = h.Datasync(); err == nil {
				err = p.opts.FS.SyncDir(fsbackend.GenerationDir(p.opts.Dir, id.Generation))
			}
			err = syncFailure(err)
		}
		if err != nil {
			h.Close()
			_ = p.opts.FS.Remove(f.name) // no block of it was ever reserved; what stays is found at the next start
			return nil, p.writeFailed(err, "make "+f.name)
		}
		f.h, f.writable = h, true
		p.n.filesMade.Add(1)
		p.replaceFiles(func(m map[FileID]*file) { m[id] = f })
		return f, nil
	}
}

func (p *Pools) replaceFiles(change func(map[FileID]*file)) {
	p.filesMu.Lock()
	defer p.filesMu.Unlock()
	old := *p.files.Load()
	m := make(map[FileID]*file, len(old)+1)
	for id, f := range old {
		m[id] = f
	}
	change(m)
	p.files.Store(&m)
}

// Free makes busy blocks free: they may be reserved again, at once unless somebody holds frees back. The caller promises rule 4 of "Life of a block", or that
// the blocks were reserved and no batch ever named them.
func (p *Pools) Free(addrs ...Addr) {
	if len(addrs) == 0 {
		return
	}
	p.holdMu.Lock()
	if p.holds > 0 {
		p.deferred = append(p.deferred, addrs...)
		p.holdMu.Unlock()
		return
	}
	p.holdMu.Unlock()
	p.free(addrs)
}

func (p *Pools) free(addrs []Addr) {
	for _, a := range addrs {
		f := (*p.files.Load())[a.FileID]
		if f == nil || !f.unmark(a.Block) || !f.writable {
			continue
		}
		pl := &p.pools[a.Pool]
		pl.mu.Lock()
		if i, ok := slices.BinarySearchFunc(pl.files, f.id, func(g *file, id FileID) int { return g.id.Compare(id) }); ok {
			pl.low = min(pl.low, i)
		}
		pl.mu.Unlock()
	}
}

// Hold keeps every block that is busy now busy, until release is called as often as Hold.
func (p *Pools) Hold() (release func()) {
	p.holdMu.Lock()
	p.holds++
	p.holdMu.Unlock()
	return sync.OnceFunc(func() {
		p.holdMu.Lock()
		p.holds--
		var addrs []Addr
		if p.holds == 0 {
			addrs, p.deferred = p.deferred, nil
		}
		p.holdMu.Unlock()
		p.free(addrs)
	})
}

// Busy reports whether a block is in use or reserved.
func (p *Pools) Busy(a Addr) bool {
	f := (*p.files.Load())[a.FileID]
	return f != nil && f.isBusy(a.Block)
}

// Err returns why nothing is written any more, nil while all is well.
func (p *Pools) Err() error {
	if e := p.failed.Load(); e != nil {
		return *e
	}
	return nil
}
