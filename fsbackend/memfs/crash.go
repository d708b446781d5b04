package memfs

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// Keep says what of the changes that were not synced a crash keeps.
type Keep struct {
	mode keepMode
	seed uint64
}

type keepMode uint8

const (
	keepNothing keepMode = iota
	keepEverything
	keepSome
)

// The two ends: a crash that keeps only what was synced, and one that keeps everything.
var (
	Nothing    = Keep{mode: keepNothing}
	Everything = Keep{mode: keepEverything}
)

// Some returns the Keep by which a seed picks which changes survive, whole or torn at 512 bytes. Equal seeds on equal histories pick equally.
func Some(seed uint64) Keep { return Keep{mode: keepSome, seed: seed} }

// maxSinceBytes bounds what a file that is never synced holds back twice. What is older is taken as written: a crash may keep it anyway.
const maxSinceBytes = 64 << 20

type opKind uint8

const (
	opWrite opKind = iota
	opTruncate
	opAllocate
	opPunch
)

// fileOp is one change of a file's content.
type fileOp struct {
	kind     opKind
	off, end int64 // [off, end); end alone is the size of opTruncate
	data     []byte
}

func (o fileOp) apply(v *view) {
	switch o.kind {
	case opWrite:
		v.write(o.data, o.off)
	case opTruncate:
		v.truncate(o.end)
	case opAllocate:
		v.reserve(o.off, o.end-o.off)
	case opPunch:
		v.punch(o.off, min(o.end, (v.size+pageBytes-1)/pageBytes*pageBytes))
	}
}

// applySome applies what a crash kept of the change: nothing, all or, of a write, any of its sectors.
func (o fileOp) applySome(v *view, r *rand.Rand) {
	switch kept := r.IntN(3); {
	case kept == 0:
	case kept == 1 || o.kind != opWrite:
		o.apply(v)
	default:
		size := v.size
		for off := o.off; off < o.end; {
			to := min(o.end, (off/sector+1)*sector)
			if r.IntN(2) == 0 {
				v.write(o.data[off-o.off:to-o.off], off)
			}
			off = to
		}
		if o.end > size && r.IntN(2) == 0 { // the length reached the disk before the content
			v.size = max(v.size, o.end)
		}
	}
}

// fold takes the oldest changes as written when the file holds too many. n.mu must be held.
func (n *node) fold() {
	i := 0
	for n.bytes > maxSinceBytes || len(n.since)-i > 1<<16 {
		n.since[i].apply(n.durable)
		n.bytes -= int64(len(n.since[i].data))
		i++
	}
	n.since = slices.Delete(n.since, 0, i)
}

// nameChange sets one name of a directory to a node; nil removes it.
type nameChange struct {
	dir  *node
	name string
	to   *node
}

// nameOp is one operation on names: one change, or the two of a rename.
type nameOp []nameChange

// change applies changes of names and remembers them until SyncDir. f.mu must be held.
func (f *FS) change(c ...nameChange) {
	for _, c := range c {
		set(c.dir.names, c)
	}
	f.pending = append(f.pending, c)
}

func set(names map[string]*node, c nameChange) {
	if c.to == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.to
	}
}

// settle makes the changes in one directory durable, of the names for which which, unless it is nil, returns true. f.mu must be held.
func (f *FS) settle(dir *node, which func(string) bool) {
	rest := f.pending[:0]
	for _, op := range f.pending {
		op = slices.DeleteFunc(op, func(c nameChange) bool {
			if c.dir != dir || which != nil && !which(c.name) {
				return false
			}
			set(dir.kept, c)
			return true
		})
		if len(op) > 0 {
			rest = append(rest, op)
		}
	}
	clear(f.pending[len(rest):])
	f.pending = rest
}

// CrashClone returns what a machine that lost power now would find: a new file system, all of it durable, without locks, hooks or limits. f goes on
// unharmed; the two share nothing that either can change.
func (f *FS) CrashClone(keep Keep) *FS {
	f.gate.Lock()
	defer f.gate.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()

	c := crash{keep: keep, rnd: rand.New(rand.NewPCG(keep.seed, 0x6f73746f72)), names: make(map[*node]map[string]*node), done: make(map[*node]*node)}
	for _, op := range f.pending {
		if keep.mode == keepEverything || keep.mode == keepSome && c.rnd.IntN(2) == 0 {
			for _, ch := range op {
				set(c.namesOf(ch.dir), ch)
			}
		}
	}
	g := New()
	g.root = c.clone(f.root)
	g.used.Store(c.pages)
	return g
}

// crash is one CrashClone at work.
type crash struct {
	keep  Keep
	rnd   *rand.Rand
	names map[*node]map[string]*node // of directories with changes: the names that survive
	done  map[*node]*node            // a rename that survived in part may leave two names of one file
	pages int64
}

// namesOf returns the surviving names of a directory, for changing.
func (c *crash) namesOf(dir *node) map[string]*node {
	m := c.names[dir]
	if m == nil {
		m = make(map[string]*node, len(dir.kept))
		for name, n := range dir.kept {
			m[name] = n
		}
		c.names[dir] = m
	}
	return m
}

func (c *crash) clone(n *node) *node {
	if g := c.done[n]; g != nil {
		g.links++
		return g
	}
	if !n.isDir() {
		g := c.cloneFile(n)
		c.done[n] = g
		return g
	}
	g := newDir()
	c.done[n] = g
	names := n.kept
	if m := c.names[n]; m != nil {
		names = m
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted) // the generator must be asked in the same order each time
	for _, name := range sorted {
		child := c.clone(names[name])
		g.names[name], g.kept[name] = child, child
	}
	return g
}

func (c *crash) cloneFile(n *node) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.durable.snapshot()
	for _, op := range n.since {
		switch c.keep.mode {
		case keepEverything:
			op.apply(v)
		case keepSome:
			op.applySome(v, c.rnd)
		}
	}
	c.pages += v.pages
	return &node{now: v, durable: v.snapshot(), links: 1}
}

// Flip changes the bits of mask in one byte of a file, durably, as a medium that goes bad does. It returns the error of Open, and io.EOF behind the file's end.
func (f *FS) Flip(name string, off int64, mask byte) error {
	h, err := f.Open(name)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err = h.ReadAt(b[:], off); err == nil {
		b[0] ^= mask
		_, err = h.WriteAt(b[:], off)
	}
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}
