package pools

// Stats counts since Open, and says what is in use now.
type Stats struct {
	Pools [PoolCount]PoolStats

	Preads, Pwrites, Datasyncs, Sweeps int64
	ReadBytes, WrittenBytes            int64
	FilesMade, FilesUnlinked           int64
	PunchedRegions                     int64
	DeferredBlocks                     int64 // freed, but held back now
}

// PoolStats describes one pool.
type PoolStats struct {
	Files      int   // of all generations
	OldFiles   int   // of generations before the home generation: read only
	BusyBlocks int64 // in use or reserved, of all files
	FreeBlocks int64 // in files that are written
}

// BusyBytes returns what the busy blocks of all pools occupy.
func (s *Stats) BusyBytes() (n int64) {
	for k, ps := range s.Pools {
		n += ps.BusyBlocks * Pool(k).BlockBytes()
	}
	return n
}

// Stats returns the counters. They are not of one moment.
func (p *Pools) Stats() (s Stats) {
	for _, f := range *p.files.Load() {
		ps := &s.Pools[f.id.Pool]
		free := int64(f.freeBlocks())
		ps.Files++
		ps.BusyBlocks += int64(f.geo.Blocks()) - free
		if f.writable {
			ps.FreeBlocks += free
		}
		if f.id.Generation != p.opts.Home {
			ps.OldFiles++
		}
	}
	p.holdMu.Lock()
	s.DeferredBlocks = int64(len(p.deferred))
	p.holdMu.Unlock()
	n := &p.n
	s.Preads, s.Pwrites, s.Datasyncs, s.Sweeps = n.preads.Load(), n.pwrites.Load(), n.datasyncs.Load(), n.sweeps.Load()
	s.ReadBytes, s.WrittenBytes = n.readBytes.Load(), n.writtenBytes.Load()
	s.FilesMade, s.FilesUnlinked, s.PunchedRegions = n.filesMade.Load(), n.filesUnlinked.Load(), n.punched.Load()
	return s
}
