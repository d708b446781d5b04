package objserver

import (
	"sync/atomic"

	"ostor/fsbackend/store"
	"ostor/pools"
)

type counters struct {
	creates, reads, deletes atomic.Int64
	createdBytes, readBytes atomic.Int64
	sweptBlocks, moved      atomic.Int64
	corrupt                 atomic.Int64

	orphanPasses, orphansExamined, orphansFreed, orphanBytes, orphansKept atomic.Int64

	emptied atomic.Int64

	scrubPasses, scrubbedObjects, scrubbedBytes, scrubDamaged, damagedNow atomic.Int64
}

// Stats says what is stored now, and counts since Open.
type Stats struct {
	Objects   int64
	LiveBytes int64 // payload of all objects
	Allocated int64 // bytes of the blocks that are in use or reserved
	Pinned    int   // objects that are being read

	Creates, Reads, Deletes int64 // that succeeded; deletes of objects that were there
	CreatedBytes, ReadBytes int64
	SweptBlocks             int64 // of small objects, written by checkpoints
	Moved                   int64 // objects that the mover took to other blocks
	EmptiedRegions          int64 // by defragmentation
	Corrupt                 int64 // reads that met damage

	OrphanPasses    int64 // searches for objects without names that came to their end
	OrphansExamined int64 // objects that name servers were asked about
	OrphansFreed    int64 // objects that had no name
	OrphanBytes     int64 // their payload
	OrphansKept     int64 // without a name, too, but too many to be believed

	ScrubPasses     int64 // that came to their end
	ScrubbedObjects int64
	ScrubbedBytes   int64 // of payload in blocks
	ScrubDamaged    int64 // damaged objects met, in each pass again
	DamagedObjects  int64 // found by the last pass that came to its end

	Pools pools.Stats
	Store store.Stats
}

// Stats returns the counters. They are not of one moment.
func (s *Server) Stats() Stats {
	st := Stats{Objects: s.objects.Load(), LiveBytes: s.liveBytes.Load(), Pinned: s.pins.count(), Pools: s.pools.Stats(), Store: s.store.Stats()}
	st.Allocated = st.Pools.BusyBytes()
	n := &s.n
	st.Creates, st.Reads, st.Deletes = n.creates.Load(), n.reads.Load(), n.deletes.Load()
	st.CreatedBytes, st.ReadBytes = n.createdBytes.Load(), n.readBytes.Load()
	st.SweptBlocks, st.Moved, st.Corrupt = n.sweptBlocks.Load(), n.moved.Load(), n.corrupt.Load()
	st.OrphanPasses, st.OrphansExamined, st.OrphansFreed = n.orphanPasses.Load(), n.orphansExamined.Load(), n.orphansFreed.Load()
	st.OrphanBytes, st.OrphansKept = n.orphanBytes.Load(), n.orphansKept.Load()
	st.EmptiedRegions = n.emptied.Load()
	st.ScrubPasses, st.ScrubbedObjects, st.ScrubbedBytes = n.scrubPasses.Load(), n.scrubbedObjects.Load(), n.scrubbedBytes.Load()
	st.ScrubDamaged, st.DamagedObjects = n.scrubDamaged.Load(), n.damagedNow.Load()
	return st
}
