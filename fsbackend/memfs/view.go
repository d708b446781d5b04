package memfs

import "maps"

const (
	pageBytes  = 4096
	chunkPages = 256 // pages of a chunk: 1 MiB of file
	sector     = 512 // what a disk writes whole
)

type page [pageBytes]byte

// zeroPage stands for space that is reserved and was never written. It belongs to no view, so a write copies it.
var zeroPage page

// token is the right to change a page or chunk in place; see view.
type token struct{ _ byte }

type slot struct {
	owner *token
	p     *page // nil = a hole
}

type chunk struct {
	owner *token
	slots [chunkPages]slot
}

// view is the content of a file at one time: a sparse array of pages. Views share chunks and pages; a view changes in place only what carries its own
// token and copies the rest, so a snapshot costs one pointer per MiB.
type view struct {
	own    *token
	chunks map[int64]*chunk
	size   int64 // bytes
	pages  int64 // pages that are not holes
}

func newView() *view { return &view{own: new(token), chunks: make(map[int64]*chunk)} }

// snapshot returns a view of the same content. Both go on without a right to what they share.
func (v *view) snapshot() *view {
	v.own = new(token)
	return &view{own: new(token), chunks: maps.Clone(v.chunks), size: v.size, pages: v.pages}
}

// at returns page n for reading, nil for a hole.
func (v *view) at(n int64) *page {
	c := v.chunks[n/chunkPages]
	if c == nil {
		return nil
	}
	return c.slots[n%chunkPages].p
}

// slot returns the slot of page n for changing.
func (v *view) slot(n int64) *slot {
	c := v.chunks[n/chunkPages]
	switch {
	case c == nil:
		c = &chunk{owner: v.own}
		v.chunks[n/chunkPages] = c
	case c.owner != v.own:
		c = &chunk{owner: v.own, slots: c.slots}
		v.chunks[n/chunkPages] = c
	}
	return &c.slots[n%chunkPages]
}

// read copies content from off on into p, which must end at or before the size.
func (v *view) read(p []byte, off int64) {
	for len(p) > 0 {
		in := off % pageBytes
		n := min(len(p), int(pageBytes-in))
		if pg := v.at(off / pageBytes); pg != nil {
			copy(p[:n], pg[in:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// write copies p to off and extends the view.
func (v *view) write(p []byte, off int64) {
	for len(p) > 0 {
		in := off % pageBytes
		n := min(len(p), int(pageBytes-in))
		s := v.slot(off / pageBytes)
		switch {
		case s.p == nil:
			s.p, s.owner = new(page), v.own
			v.pages++
		case s.owner != v.own:
			old := s.p
			s.p, s.owner = new(page), v.own
			if n < pageBytes {
				*s.p = *old
			}
		}
		copy(s.p[in:], p[:n])
		p, off = p[n:], off+int64(n)
		v.size = max(v.size, off)
	}
}

// missing returns how many pages of [off, off+length) are holes.
func (v *view) missing(off, length int64) int64 {
	var n int64
	for i := off / pageBytes; length > 0 && i <= (off+length-1)/pageBytes; i++ {
		if v.at(i) == nil {
			n++
		}
	}
	return n
}

// reserve makes the holes of [off, off+length) pages of zeroes and extends the view.
func (v *view) reserve(off, length int64) {
	for i := off / pageBytes; i <= (off+length-1)/pageBytes; i++ {
		if v.at(i) == nil {
			*v.slot(i) = slot{p: &zeroPage}
			v.pages++
		}
	}
	v.size = max(v.size, off+length)
}

// punch makes [off, end) read as zeroes and whole pages of it holes. The size stays.
func (v *view) punch(off, end int64) {
	var zeroes [pageBytes]byte
	size := v.size
	for off < end {
		n := off / pageBytes
		to := min(end, (n+1)*pageBytes)
		switch whole := off%pageBytes == 0 && to%pageBytes == 0; {
		case v.chunks[n/chunkPages] == nil:
			to = min(end, (n/chunkPages+1)*chunkPages*pageBytes)
		case v.at(n) == nil:
		case whole:
			*v.slot(n) = slot{}
			v.pages--
		default:
			v.write(zeroes[:to-off], off)
		}
		off = to
	}
	v.size = size
}

// truncate sets the size. What a later extension uncovers reads as zeroes.
func (v *view) truncate(size int64) {
	if size < v.size {
		v.punch(size, (v.size+pageBytes-1)/pageBytes*pageBytes)
		for n := range v.chunks {
			if n*chunkPages*pageBytes >= size {
				delete(v.chunks, n)
			}
		}
	}
	v.size = size
}
