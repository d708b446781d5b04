package redolog

import (
	"ostor/fsbackend"
	"ostor/internal/fault"
)

// Inspect reads the segment file name in dir, of the generation home, without changing it, and calls fn, which may be nil, for each valid record. It returns what it found; Valid is false for
// a segment that is not in use. The error is fault.Corrupt for damage.
func Inspect(fsys fsbackend.FS, dir, name string, home uint64, fn func(*Record) error) (Segment, error) {
	n, ok := ParseSegmentName(name)
	if !ok {
		return Segment{}, fault.New(fault.Invalid, "redolog: %q is not the name of a segment", name)
	}
	s := Segment{Dir: dir, Number: n}
	if err := s.readHeader(fsys, home); err != nil || !s.Valid {
		return s, err
	}
	return s, s.Read(fsys, 0, 0, fn)
}
