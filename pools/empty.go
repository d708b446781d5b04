package pools

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// RetireEmpty returns files none of whose blocks is busy, and sees to it that none becomes busy any more. A file of the home generation must have been found empty by this
// many calls in a row (at least 1), so that a pool that is used now and then keeps its file. Each is given to Unlink or to Keep afterwards.
func (p *Pools) RetireEmpty(calls int) (ids []FileID) {
	for id, f := range *p.files.Load() {
		f.mu.Lock()
		if empty := f.free == f.geo.Blocks(); empty && !f.retired {
			if f.idle++; f.idle >= calls || !f.writable {
				f.retired = true
				ids = append(ids, id)
			}
		} else if !empty {
			f.idle = 0
		}
		f.mu.Unlock()
	}
	slices.SortFunc(ids, FileID.Compare)
	return ids
}

// Keep takes RetireEmpty back for files that could not be unlinked now.
func (p *Pools) Keep(ids []FileID) {
	for _, id := range ids {
		if f := (*p.files.Load())[id]; f != nil {
			f.mu.Lock()
			f.retired = false
			f.mu.Unlock()
		}
	}
}

// Unlink removes a retired file. The caller has made durable that its number is not used again, and then checked that it still owns the service. The removal itself need not
// be durable: a file that comes back is empty and found at the next start.
func (p *Pools) Unlink(id FileID) error {
	f := (*p.files.Load())[id]
	if f == nil {
		return nil
	}
	p.replaceFiles(func(m map[FileID]*file) { delete(m, id) })
	pl := &p.pools[id.Pool]
	pl.mu.Lock()
	if i := slices.Index(pl.files, f); i >= 0 {
		pl.files = slices.Delete(pl.files, i, i+1)
		pl.low = 0
	}
	pl.mu.Unlock()
	_ = f.close()
	if err := p.opts.FS.Remove(f.name); errors.Is(err, fs.ErrNotExist) {
		return nil // it was lost before; its directory may be, too
	} else if err != nil {
		return p.writeFailed(syncFailure(err), "unlink "+f.name)
	}
	p.n.filesUnlinked.Add(1)
	if err := p.opts.FS.SyncDir(fsbackend.GenerationDir(p.opts.Dir, id.Generation)); err != nil {
		return p.writeFailed(syncFailure(err), "unlink "+f.name)
	}
	return nil
}

// PunchEmpty gives the space of regions without a busy block back to the file system, at most limit of them, and returns how many there were. check is asked
// before each: it says whether the service is still owned. On a mount that cannot do it, it does nothing.
func (p *Pools) PunchEmpty(ctx context.Context, limit int, check func() error) (n int, err error) {
	for _, f := range *p.files.Load() {
		for region := uint32(0); f.writable && region < f.geo.Regions; region++ {
			if n >= limit || p.cannotPunch.Load() || ctx.Err() != nil {
				return n, ctx.Err()
			}
			if !f.takeEmpty(region) {
				continue
			}
			err := check()
			if err == nil {
				err = p.punch(f, region)
			}
			f.giveBack(region, err == nil)
			p.pools[f.id.Pool].rewind()
			switch {
			case errors.Is(err, fault.NotSupported):
				p.cannotPunch.Store(true)
			case err != nil:
				return n, err
			default:
				n++
			}
		}
	}
	return n, nil
}

func (p *Pools) punch(f *file, region uint32) error {
	h, err := f.handle(p.opts.FS)
	if err != nil {
		return err
	}
	from, to := f.geo.regionOffset(f.id.Pool, region), f.geo.regionOffset(f.id.Pool, region+1)
	if size, err := h.Size(); err != nil || from >= size {
		return err // never written
	}
	if err := h.PunchHole(from, to-from); err != nil {
		if !errors.Is(err, fault.NotSupported) {
			p.log.Warn("space of an empty region was not given back", logkey.File, f.name, logkey.Offset, from, logkey.Error, err.Error())
		}
		return err
	}
	p.n.punched.Add(1)
	return nil
}

// takeEmpty makes all blocks of a region busy that has space and no busy block, so that nobody writes to it meanwhile.
func (f *file) takeEmpty(region uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.retired || f.dirty[region/64]>>(region%64)&1 == 0 {
		return false
	}
	first := region * f.geo.BlocksPerRegion
	for b := first; b < first+f.geo.BlocksPerRegion; b++ {
		if f.busy[b/64]>>(b%64)&1 != 0 {
			return false
		}
	}
	for b := first; b < first+f.geo.BlocksPerRegion; b++ {
		f.busy[b/64] |= 1 << (b % 64)
	}
	f.free -= f.geo.BlocksPerRegion
	return true
}

func (f *file) giveBack(region uint32, punched bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := region * f.geo.BlocksPerRegion
	for b := first; b < first+f.geo.BlocksPerRegion; b++ {
		f.busy[b/64] &^= 1 << (b % 64)
	}
	f.free += f.geo.BlocksPerRegion
	f.low = min(f.low, int(first/64))
	if punched {
		f.dirty[region/64] &^= 1 << (region % 64)
	}
}

// rewind lets Reserve look at all files again.
func (pl *pool) rewind() {
	pl.mu.Lock()
	pl.low = 0
	pl.mu.Unlock()
}

// Sparse returns the files of earlier generations that are worth emptying: some, but less than half of their blocks are busy. They cost space that cannot be used
// again until they are empty. Fuller ones stay: copying them would cost more than it gains.
func (p *Pools) Sparse() (ids []FileID) {
	for id, f := range *p.files.Load() {
		if f.id.Generation == p.opts.Home || f.damage != nil {
			continue
		}
		if busy := f.busyBlocks(); busy > 0 && busy < f.geo.Blocks()/2 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, FileID.Compare)
	return ids
}

// BusyAddrs appends the busy blocks of a file to dst, in order.
func (p *Pools) BusyAddrs(dst []Addr, id FileID) []Addr {
	f := (*p.files.Load())[id]
	if f == nil {
		return dst
	}
	for b := range f.geo.Blocks() {
		if f.isBusy(b) {
			dst = append(dst, Addr{id, b})
		}
	}
	return dst
}
