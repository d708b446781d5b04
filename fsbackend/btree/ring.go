package btree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"ostor/fsbackend"
)

// Slot is what one slot of a ring of roots holds.
type Slot struct {
	Index  int
	Offset int64 // bytes from the start of the file
	Root   Root  // the newer of the two copies that are valid; zero when Err is set or the slot was never written
	Err    error // why neither copy is valid; nil for a slot that was never written
}

// NewestRoot reads the ring of roots of a generation and returns the root of the highest transaction. ok is false when there is none: the generation never
// completed an Apply. It writes nothing. A slot that is not valid was being written when the owner died; the one before it counts.
func NewestRoot(fsys fsbackend.FS, dir string, generation uint64) (root Root, ok bool, err error) {
	slots, err := ReadRing(fsys, dir, generation)
	if err != nil {
		return Root{}, false, err
	}
	for _, s := range slots {
		if s.Err == nil && s.Root.TxID > root.TxID {
			root, ok = s.Root, true
		}
	}
	return root, ok, nil
}

// ReadRing reads every slot of a generation's ring of roots; none when there is no ring. It writes nothing.
func ReadRing(fsys fsbackend.FS, dir string, generation uint64) ([]Slot, error) {
	name := ringName(dir, generation)
	f, err := fsys.OpenRead(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("btree: open ring of roots: %w", err)
	}
	defer func() { _ = f.Close() }()
	slots := make([]Slot, 0, ringSlots)
	for i := range ringSlots {
		b := make([]byte, ringSlotBytes)
		n, err := f.ReadAt(b, int64(i)*ringSlotBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("btree: read %s: %w", name, err)
		}
		s := decodeSlot(b, i, generation)
		if n < len(b) && s.Err == nil && s.Root.IsZero() {
			break // a ring that was just being made
		}
		slots = append(slots, s)
	}
	return slots, nil
}

func ringName(dir string, generation uint64) string {
	return fsbackend.GenerationDir(dir, generation) + "/" + RootsName
}

// decodeSlot reads slot i of the ring of a generation.
func decodeSlot(b []byte, i int, generation uint64) Slot {
	s := Slot{Index: i, Offset: int64(i) * ringSlotBytes}
	if zeroes(b) {
		return s
	}
	for _, at := range [...]int{0, ringCopy} {
		r, err := DecodeRoot(b[at:])
		if err == nil && (r.Generation != generation || slotOf(r.TxID) != i) {
			err = fmt.Errorf("root of generation %d, transaction %d in slot %d of generation %d", r.Generation, r.TxID, i, generation)
		}
		if err != nil {
			s.Err = err
			continue
		}
		if r.TxID > s.Root.TxID {
			s.Root = r
		}
	}
	if !s.Root.IsZero() {
		s.Err = nil
	}
	return s
}

func slotOf(tx TxID) int { return int(tx % ringSlots) }

// encodeSlot returns the slot of a root: two copies in different sectors, so that damage to one is harmless.
func encodeSlot(r Root) []byte {
	b := make([]byte, ringSlotBytes)
	r.Append(b[:0])
	r.Append(b[:ringCopy])
	return b
}

// openRing opens the ring of roots of the home generation, and makes it when there is none. The file is durable and has its full length when it returns, so that
// writing a slot needs no space.
func openRing(fsys fsbackend.FS, dir string, home uint64) (fsbackend.File, error) {
	gen, name := fsbackend.GenerationDir(dir, home), ringName(dir, home)
	if err := fsys.MkdirAll(gen); err != nil {
		return nil, fmt.Errorf("btree: make %s: %w", gen, err)
	}
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Create(name)
	}
	if err != nil {
		return nil, fmt.Errorf("btree: open ring of roots: %w", err)
	}
	size, err := f.Size()
	if err == nil && size < ringSlots*ringSlotBytes {
		_, err = f.WriteAt(make([]byte, ringSlots*ringSlotBytes-size), size)
	}
	if err == nil {
		err = f.Sync() // also what a killed predecessor wrote and did not sync: from here on it counts
	}
	for _, d := range []string{gen, dir + "/" + fsbackend.GenDir, dir} {
		if err == nil {
			err = fsys.SyncDir(d)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("btree: prepare %s: %w", name, err)
	}
	return f, nil
}

func zeroes(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
