package fusesim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ostor/internal/fault"
)

// With Options.Stores the source is the metadata service: it holds names, sizes and attributes. The bytes of a file lie in as many stores as its attribute
// "replicas" says, each copy a file named after the inode of the source. A store is a host's disk: it can be lost, whole, and mended from the others.

// stores are the directories of copies.
type stores struct {
	dirs []string
	lost []atomic.Bool

	repaired atomic.Int64 // sectors that a read wrote again from good copies
	mu       sync.RWMutex // held alone while a store is lost or mended, shared by changes of copies
}

func newStores(dirs []string) *stores {
	return &stores{dirs: dirs, lost: make([]atomic.Bool, len(dirs))}
}

func (st *stores) path(store int, key inodeKey) string {
	return filepath.Join(st.dirs[store], fmt.Sprintf("%016x", key.ino))
}

// place chooses the stores of a new file: by rendezvous hashing over those that are not lost.
func (st *stores) place(key inodeKey, n int) []int {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], key.ino)
	type scored struct {
		store int
		score uint64
	}
	var all []scored
	for i := range st.dirs {
		if !st.lost[i].Load() {
			binary.LittleEndian.PutUint64(b[8:], uint64(i))
			h := fnv.New64a()
			_, _ = h.Write(b[:])
			all = append(all, scored{i, h.Sum64()})
		}
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.score > b.score {
			return -1
		}
		return 1
	})
	var chosen []int
	for _, s := range all[:min(n, len(all))] {
		chosen = append(chosen, s.store)
	}
	return chosen
}

// copies is the content of a file in stores. inode.mu orders changes.
type copies struct {
	st   *stores
	src  *os.File // of the source: the size
	key  inodeKey
	want redundancy

	mu    sync.Mutex // guards files
	files map[int]*os.File
}

// openCopies finds the copies of a file, and makes them for one that has none and is empty.
func (s *sim) openCopies(src *os.File, key inodeKey) (content, error) {
	c := &copies{st: s.stores, src: src, key: key, want: redundancyOf(int(src.Fd())), files: make(map[int]*os.File)}
	s.stores.mu.RLock()
	defer s.stores.mu.RUnlock()
	for i := range s.stores.dirs {
		if s.stores.lost[i].Load() {
			continue
		}
		f, err := os.OpenFile(s.stores.path(i, key), os.O_RDWR, 0)
		if err == nil {
			c.files[i] = f
		} else if !os.IsNotExist(err) {
			return nil, errors.Join(err, c.Close())
		}
	}
	size, err := plain{src}.Size()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if len(c.files) == 0 && size == 0 {
		for _, i := range s.stores.place(key, c.want.norm) {
			f, err := os.OpenFile(s.stores.path(i, key), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			c.files[i] = f
		}
	}
	return c, nil
}

// alive returns the copies that can be used, in the order of their stores. c.mu must be held.
func (c *copies) alive() []*os.File {
	var files []*os.File
	for i := range c.st.dirs {
		if f := c.files[i]; f != nil && !c.st.lost[i].Load() {
			files = append(files, f)
		}
	}
	return files
}

// each changes every copy; fewer than the attribute's minimum are an error. st.mu must be held shared.
func (c *copies) each(do func(f *os.File) error) error {
	c.mu.Lock()
	files := c.alive()
	c.mu.Unlock()
	if len(files) < c.want.least {
		return syscall.EIO
	}
	for _, f := range files {
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *copies) Size() (int64, error) { return plain{c.src}.Size() }
func (c *copies) Links() (int, error)  { return plain{c.src}.Links() }
func (c *copies) grow(size int64) error {
	if now, err := c.Size(); err != nil || now >= size {
		return err
	}
	return c.src.Truncate(size)
}

func (c *copies) WriteAt(p []byte, off int64) (int, error) {
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	if err := c.each(func(f *os.File) error { _, err := f.WriteAt(p, off); return err }); err != nil {
		return 0, err
	}
	return len(p), c.grow(off + int64(len(p)))
}

func (c *copies) Truncate(size int64) error {
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	if err := c.each(func(f *os.File) error { return f.Truncate(size) }); err != nil {
		return err
	}
	return c.src.Truncate(size)
}

func (c *copies) Allocate(mode uint32, off, length int64) error {
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	if err := c.each(func(f *os.File) error { return plain{f}.Allocate(mode, off, length) }); err != nil || mode&unix.FALLOC_FL_KEEP_SIZE != 0 {
		return err
	}
	return c.grow(off + length)
}

func (c *copies) Sync(dataOnly bool) error {
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	if err := c.each(func(f *os.File) error { return plain{f}.Sync(dataOnly) }); err != nil {
		return err
	}
	return plain{c.src}.Sync(dataOnly)
}

func (c *copies) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		_ = f.Close()
	}
	if n, err := c.Links(); err == nil && n == 0 {
		for i := range c.st.dirs {
			_ = os.Remove(c.st.path(i, c.key))
		}
	}
	return c.src.Close()
}

// ReadAt reads all copies and compares them by sector. Where they differ the majority is right, and is written over the others; without a majority the read fails.
func (c *copies) ReadAt(p []byte, off int64) (int, error) {
	c.st.mu.RLock()
	defer c.st.mu.RUnlock()
	size, err := c.Size()
	if err != nil {
		return 0, err
	}
	n := int(min(int64(len(p)), max(0, size-off)))
	if n == 0 {
		return 0, endOf(n, len(p))
	}
	c.mu.Lock()
	files := c.alive()
	c.mu.Unlock()
	if len(files) == 0 {
		return 0, syscall.EIO // every copy is lost
	}
	bufs := make([][]byte, len(files))
	for i, f := range files {
		bufs[i] = make([]byte, n)
		if _, err := f.ReadAt(bufs[i], off); err != nil && err != io.EOF { // a copy may be short: the rest is zeroes
			return 0, err
		}
	}
	for at := 0; at < n; at += sector {
		to := min(n, at+sector)
		good := majority(bufs, at, to)
		if good < 0 {
			return 0, syscall.EIO
		}
		for i := range bufs {
			if string(bufs[i][at:to]) != string(bufs[good][at:to]) {
				if _, err := files[i].WriteAt(bufs[good][at:to], off+int64(at)); err != nil {
					return 0, err
				}
				c.st.repaired.Add(1)
			}
		}
		copy(p[at:to], bufs[good][at:to])
	}
	return n, endOf(n, len(p))
}

func endOf(n, asked int) error {
	if n < asked {
		return io.EOF
	}
	return nil
}

// majority returns which of the copies most agree with, -1 for none.
func majority(bufs [][]byte, from, to int) int {
	for i := range bufs {
		votes := 0
		for j := range bufs {
			if string(bufs[i][from:to]) == string(bufs[j][from:to]) {
				votes++
			}
		}
		if votes*2 > len(bufs) {
			return i
		}
	}
	return -1
}

// unlinking removes a name, and the copies of a file that has lost its last one and is not open.
func (s *sim) unlinking(name string, do func() syscall.Errno) syscall.Errno {
	if s.stores == nil {
		return do()
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return do()
	}
	var in *inode
	if st, serr := f.Stat(); serr == nil && st.Mode().IsRegular() {
		in, err = s.inode(int(f.Fd()))
	}
	_ = f.Close()
	errno := do()
	if in != nil && err == nil {
		in.drop() // the last one removes the copies
	}
	return errno
}

// occupied tells how many blocks the copies of a file take: those of one.
func (s *sim) occupied(a *fuse.Attr, ino uint64) {
	if s.stores == nil || a.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return
	}
	a.Blocks = 0
	for i := range s.stores.dirs {
		var st syscall.Stat_t
		if !s.stores.lost[i].Load() && syscall.Stat(s.stores.path(i, inodeKey{ino: ino}), &st) == nil {
			a.Blocks = max(a.Blocks, uint64(st.Blocks))
		}
	}
}

// StoreStatus is one store of a Status.
type StoreStatus struct {
	Store    int    `json:"store"`
	Dir      string `json:"dir"`
	Lost     bool   `json:"lost"`
	Copies   int    `json:"copies"`
	Repaired int64  `json:"repaired"` // sectors that reads repaired, over all stores
}

func (s *sim) storeStatus() []StoreStatus {
	if s.stores == nil {
		return nil
	}
	var all []StoreStatus
	for i, dir := range s.stores.dirs {
		entries, _ := os.ReadDir(dir)
		all = append(all, StoreStatus{i, dir, s.stores.lost[i].Load(), len(entries), s.stores.repaired.Load()})
	}
	return all
}

func (c *Cluster) store(n int) (*stores, error) {
	st := c.sim.stores
	if st == nil || n < 0 || n >= len(st.dirs) {
		return nil, fault.New(fault.Invalid, "fusesim: there is no store %d", n)
	}
	return st, nil
}

// Lose loses a store with everything in it.
func (c *Cluster) Lose(n int) error {
	st, err := c.store(n)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lost[n].Store(true)
	entries, err := os.ReadDir(st.dirs[n])
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(st.dirs[n], e.Name())))
	}
	return err
}

// mended is the result of "mend".
type mended struct {
	Copies int `json:"copies"` // made anew
	Lost   int `json:"lost"`   // files of which no copy is left
}

// Mend puts an empty store in the place of a lost one and makes the copies that files lack.
func (c *Cluster) Mend(n int) (mended, error) {
	var m mended
	st, err := c.store(n)
	if err != nil {
		return m, err
	}
	c.sim.gate.Lock() // nothing changes meanwhile
	defer c.sim.gate.Unlock()
	st.lost[n].Store(false)
	for _, in := range c.sim.all() { // the descriptors of what was lost
		in.mu.Lock()
		if cp, ok := in.c.(*copies); ok {
			if f := cp.files[n]; f != nil {
				_ = f.Close()
				delete(cp.files, n)
			}
		}
		in.mu.Unlock()
		in.drop()
	}
	seen := make(map[inodeKey]bool) // a file may have several names
	err = filepath.WalkDir(c.sim.root, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		in, err := c.sim.inode(int(f.Fd()))
		if err != nil {
			return err
		}
		defer in.drop()
		if seen[in.key] {
			return nil
		}
		seen[in.key] = true
		return in.mend(&m)
	})
	return m, err
}

// mend makes the copies that a file lacks, from one that is there.
func (in *inode) mend(m *mended) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	c, ok := in.c.(*copies)
	if !ok {
		return nil
	}
	size, err := c.Size()
	if err != nil {
		return err
	}
	have := c.alive()
	if len(have) == 0 && size > 0 {
		m.Lost++
		return nil
	}
	for _, i := range c.st.place(c.key, len(c.st.dirs)) {
		if len(have) >= c.want.norm {
			break
		}
		if c.files[i] != nil {
			continue
		}
		f, err := os.OpenFile(c.st.path(i, c.key), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		b := make([]byte, 1<<20)
		for off := int64(0); off < size; off += int64(len(b)) {
			n, err := c.ReadAt(b, off)
			if err != nil && err != io.EOF {
				return errors.Join(err, f.Close())
			}
			if _, err := f.WriteAt(b[:n], off); err != nil {
				return errors.Join(err, f.Close())
			}
		}
		c.files[i] = f
		have = append(have, f)
		m.Copies++
	}
	return nil
}
