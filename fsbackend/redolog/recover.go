package redolog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/fault"
)

// Segment is a segment file as it was found.
type Segment struct {
	Dir       string // directory of the file
	Number    uint64
	SizeBytes int64
	Valid     bool          // it has a valid header: it was in use
	Header    SegmentHeader // zero unless Valid
	End       int64         // bytes from the start that are header and valid records; 0 = not read
	Last      LSN           // of the last valid record; Header.First-1 when there is none
	CRC       uint32        // CRC32C of [0, End)
}

// Name returns the path of the file.
func (s *Segment) Name() string { return s.Dir + "/" + SegmentName(s.Number) }

// List returns the segments in the directory of generation home, unread, those in use first and by sequence. It returns fault.Corrupt when two claim
// one sequence number.
func List(fsys fsbackend.FS, dir string, home uint64) ([]Segment, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "redolog: list %s", dir)
	}
	var segs []Segment
	for _, name := range names {
		n, ok := ParseSegmentName(name)
		if !ok {
			continue
		}
		s := Segment{Dir: dir, Number: n}
		if err := s.readHeader(fsys, home); err != nil {
			return nil, err
		}
		segs = append(segs, s)
	}
	slices.SortFunc(segs, func(a, b Segment) int {
		switch {
		case a.Valid != b.Valid:
			if a.Valid {
				return -1
			}
			return 1
		case a.Header.Sequence != b.Header.Sequence:
			if a.Header.Sequence < b.Header.Sequence {
				return -1
			}
			return 1
		case a.Number < b.Number:
			return -1
		}
		return 1
	})
	for i := 1; i < len(segs) && segs[i].Valid; i++ {
		if segs[i-1].Header.Sequence == segs[i].Header.Sequence {
			return nil, &fault.Corruption{File: segs[i].Name(), What: "segment header", Want: "a sequence number of its own",
				Got: fmt.Sprintf("%d, as %s", segs[i].Header.Sequence, SegmentName(segs[i-1].Number))}
		}
	}
	return segs, nil
}

func (s *Segment) readHeader(fsys fsbackend.FS, home uint64) error {
	f, err := fsys.OpenRead(s.Name())
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "redolog: open %s", s.Name())
	}
	defer f.Close()
	if s.SizeBytes, err = f.Size(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "redolog: size of %s", s.Name())
	}
	var b [segmentHeaderSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return fault.Wrap(fault.Unavailable, err, "redolog: read %s", s.Name())
	}
	h, err := DecodeSegmentHeader(b[:])
	if errors.Is(err, fault.NotSupported) {
		return fault.Wrap(fault.NotSupported, err, "redolog: %s", s.Name())
	}
	if err != nil {
		return nil // not in use, or torn when it was begun: CheckUnused looks closer
	}
	if h.Home != home || h.Number != s.Number || h.SizeBytes != uint64(s.SizeBytes) {
		return &fault.Corruption{File: s.Name(), What: "segment header", Want: fmt.Sprintf("home %d, number %d, %d bytes", home, s.Number, s.SizeBytes),
			Got: fmt.Sprintf("home %d, number %d, %d bytes", h.Home, h.Number, h.SizeBytes)}
	}
	s.Valid, s.Header, s.Last = true, h, h.First-1
	return nil
}

// Relevant returns the segments of List that may hold records above after, oldest first. It returns fault.Corrupt when one is missing between them.
func Relevant(segs []Segment, after LSN) ([]Segment, error) {
	for i := range segs {
		if !segs[i].Valid {
			segs = segs[:i]
			break
		}
	}
	for len(segs) > 1 && segs[1].Header.First <= after+1 {
		segs = segs[1:]
	}
	for i := range segs {
		switch s := &segs[i]; {
		case i == 0 && s.Header.First > after+1:
			return nil, &fault.Corruption{File: s.Name(), What: "segment header", Want: fmt.Sprintf("a segment with LSN %d", after+1),
				Got: fmt.Sprintf("first LSN %d", s.Header.First)}
		case i > 0 && s.Header.Sequence != segs[i-1].Header.Sequence+1:
			return nil, &fault.Corruption{File: s.Name(), What: "segment header", Want: fmt.Sprintf("sequence %d", segs[i-1].Header.Sequence+1),
				Got: fmt.Sprintf("sequence %d", s.Header.Sequence)}
		}
	}
	return segs, nil
}

// CheckUnused looks at the segments of List, of generation home, that have no valid header. It returns fault.Corrupt when one of them holds a record of the use that would come next and
// says that more than last was durable when it was written: then its header was damaged, not torn. last is the newest record of the log.
func CheckUnused(fsys fsbackend.FS, segs []Segment, home uint64, last LSN) error {
	var newest uint64
	for i := range segs {
		s := &segs[i]
		if s.Valid {
			newest = s.Header.Sequence
			continue
		}
		b, free, err := readAll(fsys, s.Name(), s.SizeBytes)
		if err != nil {
			return err
		}
		if len(b) > HeaderBytes {
			h := SegmentHeader{Home: home, Number: s.Number, Sequence: newest + 1}
			if off, r, found := findDurable(b, HeaderBytes, h.seed(), last+1); found {
				err = &fault.Corruption{File: s.Name(), What: "segment header", Want: "a valid header",
					Got: fmt.Sprintf("none, but a record of LSN %d at %d", r.LSN, off)}
			}
		}
		if free(); err != nil {
			return err
		}
	}
	return nil
}

// findDurable looks in b[from:] for a valid record that says that LSN expect was durable before it was written.
func findDurable(b []byte, from int, seed uint32, expect LSN) (off int, r Record, found bool) {
	for off = from; off+recordHeaderSize <= len(b); off += recordAlign {
		if binary.LittleEndian.Uint32(b[off:]) != recordMagic {
			continue
		}
		if r, _, ok := decodeRecord(b[off:], seed); ok && r.Durable >= expect {
			return off, r, true
		}
	}
	return 0, Record{}, false
}

// buffers hold segments while they are read: one after the other in a recovery.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readAll reads a file. free gives the bytes back.
func readAll(fsys fsbackend.FS, name string, size int64) (_ []byte, free func(), err error) {
	if size > 1<<40 {
		return nil, nil, fault.New(fault.Corrupt, "redolog: %s has %d bytes", name, size)
	}
	f, err := fsys.OpenRead(name)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, err, "redolog: open %s", name)
	}
	defer f.Close()
	buf := buffers.Get().(*[]byte)
	free = func() { buffers.Put(buf) }
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		free()
		return nil, nil, fault.Wrap(fault.Unavailable, err, "redolog: read %s", name)
	}
	return b[:n], free, nil
}

// Read reads the valid records of a segment in order, sets s.End, s.Last and s.CRC, and calls fn, which may be nil, for each. limit is the number of bytes to look at, 0 = all: what lies
// behind was not there when the segment was sealed. Payloads are valid during the call. When the records end although a later one says that more, above needed, was
// durable, it returns fault.Corrupt: records up to needed may be gone, because the segment was about to be reused.
func (s *Segment) Read(fsys fsbackend.FS, limit int64, needed LSN, fn func(*Record) error) error {
	b, free, err := readAll(fsys, s.Name(), s.SizeBytes)
	if err != nil {
		return err
	}
	defer free()
	if limit > 0 {
		b = b[:min(limit, int64(len(b)))]
	}
	s.End, s.Last = HeaderBytes, s.Header.First-1
	if h, err := DecodeSegmentHeader(b); err != nil || h != s.Header {
		return &fault.Corruption{File: s.Name(), What: "segment header", Want: fmt.Sprintf("sequence %d", s.Header.Sequence), Got: "another or none"}
	}
	if len(b) < HeaderBytes {
		s.End = int64(len(b))
		return nil
	}
	seed, off, generation := s.Header.seed(), HeaderBytes, s.Header.Generation
	for {
		r, size, ok := decodeRecord(b[off:], seed)
		if !ok || r.LSN != s.Last+1 || r.Generation < generation {
			break
		}
		generation = r.Generation
		off += size
		s.Last = r.LSN
		if fn != nil {
			if err := fn(&r); err != nil {
				return err
			}
		}
	}
	s.End, s.CRC = int64(off), checksum.CRC32C(b[:off])
	if at, r, found := findDurable(b, off, seed, max(s.Last, needed)+1); found {
		return &fault.Corruption{File: s.Name(), Offset: int64(off), What: fmt.Sprintf("record of LSN %d", s.Last+1), Want: "a valid record",
			Got: fmt.Sprintf("none, though LSN %d at %d was written when it was durable", r.LSN, at)}
	}
	return nil
}

// ReadSealed reads a segment whose End, Last and CRC are known, and returns fault.Corrupt unless the bytes are still the same.
func (s *Segment) ReadSealed(fsys fsbackend.FS, fn func(*Record) error) error {
	b, free, err := readAll(fsys, s.Name(), s.End)
	if err != nil {
		return err
	}
	n, got := int64(len(b)), checksum.CRC32C(b)
	if free(); n != s.End || got != s.CRC {
		return &fault.Corruption{File: s.Name(), What: "sealed segment", Want: fmt.Sprintf("%d bytes with checksum %08x", s.End, s.CRC),
			Got: fmt.Sprintf("%d bytes with checksum %08x", n, got)}
	}
	was := *s
	if err := s.Read(fsys, s.End, 0, fn); err != nil {
		return err
	}
	if s.End != was.End || s.Last != was.Last || s.CRC != was.CRC {
		return &fault.Corruption{File: s.Name(), Offset: s.End, What: "sealed segment", Want: fmt.Sprintf("records up to LSN %d", was.Last),
			Got: fmt.Sprintf("up to LSN %d", s.Last)}
	}
	return nil
}

// Sync makes what another owner wrote to the file durable, as far as it has arrived.
func (s *Segment) Sync(fsys fsbackend.FS) error {
	f, err := fsys.OpenRead(s.Name())
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "redolog: open %s", s.Name())
	}
	defer f.Close()
	return fault.Wrap(fault.Unavailable, f.Sync(), "redolog: sync %s", s.Name())
}
