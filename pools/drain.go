package pools

import "math/bits"

// Drain picks the region of a pool that is best emptied to give its space back: the least filled one of the home generation's files, less than half full, whose blocks fit into
// free blocks before it. It returns the busy blocks, in order. No block of the region is reserved until Undrain. skip names regions that are not wanted now. ok is false when there is none.
//
// Blocks are moved to places before them only, so it comes to an end: every move lowers the sum of all places, and what is empty gathers at the end.
func (p *Pools) Drain(k Pool, skip func(RegionID) bool) (region RegionID, busy []Addr, ok bool) {
	pl := &p.pools[k]
	pl.mu.Lock()
	defer pl.mu.Unlock()
	var from *file
	least, room := ^uint32(0), uint64(0)
	for _, f := range pl.files {
		f.mu.Lock()
		for r := uint32(0); r < f.geo.Regions && !f.retired; r++ {
			n := f.busyIn(r)
			id := RegionID{f.id, r}
			if n > 0 && 2*n < f.geo.BlocksPerRegion && uint64(n) <= room && n <= least && !skip(id) {
				least, region, from = n, id, f
			}
			room += uint64(f.geo.BlocksPerRegion - n)
		}
		f.mu.Unlock()
	}
	if from == nil {
		return region, nil, false
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	if from.retired {
		return region, nil, false
	}
	from.closed = make([]uint64, len(from.busy))
	first := region.Region * from.geo.BlocksPerRegion
	for b := first; b < first+from.geo.BlocksPerRegion; b++ {
		from.closed[b/64] |= 1 << (b % 64)
		if from.busy[b/64]>>(b%64)&1 != 0 {
			busy = append(busy, Addr{from.id, b})
		}
	}
	return region, busy, true
}

// Undrain lets blocks of the region be reserved again.
func (p *Pools) Undrain(id RegionID) {
	f := (*p.files.Load())[id.FileID]
	if f == nil {
		return // empty, and unlinked
	}
	f.mu.Lock()
	f.closed = nil
	f.low = 0
	f.mu.Unlock()
	p.pools[id.Pool].rewind()
}

// ReserveBefore makes a free block that lies before a region busy, in a file that there is. ok is false when there is none.
func (p *Pools) ReserveBefore(id RegionID) (a Addr, ok bool) {
	if p.Err() != nil {
		return a, false
	}
	pl := &p.pools[id.Pool]
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, f := range pl.files {
		c := f.id.Compare(id.FileID)
		if c > 0 {
			break
		}
		limit := f.geo.Blocks()
		if c == 0 {
			limit = id.Region * f.geo.BlocksPerRegion
		}
		if b, ok := f.reserveBelow(limit); ok {
			return Addr{f.id, b}, true
		}
	}
	return a, false
}

// busyIn returns the number of busy blocks of a region. mu must be held.
func (f *file) busyIn(region uint32) (n uint32) {
	first := region * f.geo.BlocksPerRegion
	end := first + f.geo.BlocksPerRegion
	for b := first; b < end; {
		w := f.busy[b/64] >> (b % 64)
		span := min(64-b%64, end-b)
		if span < 64 {
			w &= 1<<span - 1
		}
		n += uint32(bits.OnesCount64(w))
		b += span
	}
	return n
}
