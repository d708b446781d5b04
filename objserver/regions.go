package objserver

import (
	"bytes"

	"ostor/internal/fault"
	"ostor/pools"
)

// regionBatch gathers the changes of region records in one transaction, so that each record is read and written once.
type regionBatch struct {
	pools   *pools.Pools
	tx      putter
	entries []regionEntry
	room    [4]regionEntry
	lost    int // blocks that were not in use although an object record has them
}

type regionEntry struct {
	id     pools.RegionID
	record pools.RegionRecord
	stored bool // there is a record in the store
}

func newRegionBatch(p *pools.Pools, tx putter) *regionBatch {
	b := &regionBatch{pools: p, tx: tx}
	b.entries = b.room[:0]
	return b
}

func (b *regionBatch) entry(a pools.Addr) (*regionEntry, uint32, error) {
	id, bit, err := b.pools.Region(a)
	if err != nil {
		return nil, 0, err
	}
	for i := len(b.entries) - 1; i >= 0; i-- {
		if b.entries[i].id == id {
			return &b.entries[i], bit, nil
		}
	}
	var key [regionKeyBytes]byte
	v, ok, err := b.tx.Get(appendRegionKey(key[:0], id))
	if err != nil {
		return nil, 0, err
	}
	e := regionEntry{id: id, stored: ok}
	if ok {
		if e.record, err = pools.DecodeRegionRecord(v); err != nil {
			return nil, 0, fault.Wrap(fault.Corrupt, err, "region %v/%d", id.FileID, id.Region)
		}
		e.record.Mask = bytes.Clone(e.record.Mask)
	} else if e.record, err = b.pools.NewRecord(id); err != nil {
		return nil, 0, err
	}
	b.entries = append(b.entries, e)
	return &b.entries[len(b.entries)-1], bit, nil
}

// add marks a block as in use with length bytes of payload. first: it is the first block of its object. It returns fault.Internal when it is in use already.
func (b *regionBatch) add(a pools.Addr, length int64, first bool) error {
	e, bit, err := b.entry(a)
	if err != nil {
		return err
	}
	if e.record.Has(bit) || int(bit/8) >= len(e.record.Mask) {
		return fault.New(fault.Internal, "block %v is in use already", a)
	}
	e.record.Mask[bit/8] |= 1 << (bit % 8)
	e.record.LiveBytes += uint64(length)
	if first {
		e.record.Objects++
	}
	return nil
}

// remove marks a block as not in use, and reports whether it was. One that was not, or whose record is damaged, is counted only and must not be freed: Check reports
// it, and its object can still be deleted. Errors are never fault.Corrupt.
func (b *regionBatch) remove(a pools.Addr, length int64, first bool) (removed bool, err error) {
	e, bit, err := b.entry(a)
	switch {
	case fault.KindOf(err) == fault.Corrupt:
		b.lost++
		return false, nil
	case err != nil:
		return false, err
	case !e.record.Has(bit):
		b.lost++
		return false, nil
	}
	e.record.Mask[bit/8] &^= 1 << (bit % 8)
	e.record.LiveBytes -= min(e.record.LiveBytes, uint64(length))
	if first {
		e.record.Objects -= min(e.record.Objects, 1)
	}
	return true, nil
}

// flush writes the records.
func (b *regionBatch) flush() {
	for i := range b.entries {
		e := &b.entries[i]
		switch {
		case e.record.Used() > 0:
			buf := make([]byte, 0, regionKeyBytes+13+len(e.record.Mask))
			buf = appendRegionKey(buf, e.id)
			buf = e.record.Append(buf)
			b.tx.Put(buf[:regionKeyBytes:regionKeyBytes], buf[regionKeyBytes:])
		case e.stored:
			b.tx.Delete(appendRegionKey(nil, e.id))
		}
	}
}
