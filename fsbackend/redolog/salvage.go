package redolog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"

	"ostor/fsbackend"
	"ostor/internal/fault"
)

// maxGuesses bounds how many uses of a segment are tried whose header is damaged.
const maxGuesses = 1 << 12

// Salvage calls fn for every valid record in the segments of the directory of generation home, whatever is damaged between them, in no order that counts: there is no log any more. The
// checksum of a record says of which use of which segment it is; where a header is damaged, all uses that the others leave free are tried. It returns how many segments could not be read,
// or have neither a header nor a record. Payloads are valid during the call; an error of fn ends it.
func Salvage(fsys fsbackend.FS, dir string, home uint64, fn func(*Record) error) (lost int, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		return 0, fault.Wrap(fault.Unavailable, err, "redolog: list %s", dir)
	}
	var segs []Segment
	used := map[uint64]bool{}
	newest := uint64(0)
	for _, name := range names {
		n, ok := ParseSegmentName(name)
		if !ok {
			continue
		}
		s := Segment{Dir: dir, Number: n}
		if err := s.readHeader(fsys, home); err != nil && !errors.Is(err, fault.Corrupt) {
			lost++
			continue
		}
		segs = append(segs, s)
		if s.Valid {
			used[s.Header.Sequence] = true
			newest = max(newest, s.Header.Sequence)
		}
	}
	newest += uint64(len(segs))
	for i := range segs {
		n, err := segs[i].salvage(fsys, home, newest, used, fn)
		if lost += n; err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// salvage is Salvage of one segment.
func (s *Segment) salvage(fsys fsbackend.FS, home, newest uint64, used map[uint64]bool, fn func(*Record) error) (lost int, err error) {
	b, free, err := readAll(fsys, s.Name(), s.SizeBytes)
	if err != nil {
		return 1, nil //nolint:nilerr // counted: others may be readable
	}
	defer free()
	if !s.Valid && (len(b) <= HeaderBytes || !s.guess(b, home, newest, used)) {
		if len(bytes.TrimLeft(b, "\x00")) > 0 {
			lost++
		}
		return lost, nil
	}
	seed := s.Header.seed()
	for off := HeaderBytes; off+recordHeaderSize <= len(b); {
		r, size, ok := decodeRecord(b[off:], seed)
		if !ok {
			off += recordAlign
			continue
		}
		if err := fn(&r); err != nil {
			return lost, err
		}
		off += max(size, recordAlign)
		off = (off + recordAlign - 1) &^ (recordAlign - 1)
	}
	return lost, nil
}

// guess finds the newest use that one of the first records of a segment without a header is of.
func (s *Segment) guess(b []byte, home, newest uint64, used map[uint64]bool) bool {
	var at []int
	for off := HeaderBytes; off+recordHeaderSize <= len(b) && len(at) < 4; off += recordAlign {
		if binary.LittleEndian.Uint32(b[off:]) == recordMagic {
			at = append(at, off)
		}
	}
	for tries := 0; newest > 0 && tries < maxGuesses; newest, tries = newest-1, tries+1 {
		h := SegmentHeader{Home: home, Number: s.Number, Sequence: newest}
		seed := h.seed()
		for _, off := range at {
			if _, _, ok := decodeRecord(b[off:], seed); ok && !used[newest] {
				s.Header = h
				return true
			}
		}
	}
	return false
}
