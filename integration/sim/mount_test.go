package sim

import (
	"errors"
	"hash/fnv"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/memfs"
)

// storage is what all mounts share. mu guards its fields and is held for the moment in which an operation lands, never while anybody waits.
type storage struct {
	mu    sync.Mutex
	fs    *memfs.FS
	epoch int // power cuts so far
	over  map[string][]overwrite
	ids   map[string]uint64 // which file has a name, as an inode number says: one that was lost and made again is another
	next  uint64
	full  time.Time // no write finds room until then
}

// room returns ENOSPC while the storage is full. mu is held.
func (s *storage) room(name string) error {
	if time.Now().Before(s.full) {
		return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	return nil
}

// overwrite is a write over older bytes, which another host may see late.
type overwrite struct {
	id   uint64
	at   time.Time
	host *host
	off  int64
	old  []byte
}

// staleFor is how long a host may go on seeing what was before an overwrite by another host.
const staleFor = 6 * unit

// powerCut loses any subset of what was not synced.
func (s *storage) powerCut(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.powerCutLocked(seed, "")
}

// powerCutLocked is powerCut with a name that should be lost, if it is not durable; "" = none.
func (s *storage) powerCutLocked(seed uint64, name string) {
	before := s.fs
	for i := range uint64(8) {
		s.fs = before.CrashClone(memfs.Some(seed + i))
		if _, err := s.fs.Stat(name); name == "" || err != nil {
			break
		}
	}
	s.epoch++
	clear(s.over)
}

// procFS is a host's mount as one process uses it.
type procFS struct {
	p *process

	mu      sync.Mutex
	pending map[string]int // directories with changes that were not synced: the epoch of the first
}

var errDead = errors.New("the process is dead")

var (
	_ fsbackend.FS   = (*procFS)(nil)
	_ fsbackend.File = (*simFile)(nil)
)

// change runs an operation that changes the storage: issued when the process runs, landing some time later, perhaps after the process died, answered when it runs again.
func (m *procFS) change(land func() error) error {
	p := m.p
	if err := p.pause(); err != nil {
		return err
	}
	timer := time.NewTimer(p.w.latency(p.h))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.dead:
		p.landLate(land)
		return errDead
	}
	for {
		cut := p.h.mountCut()
		if cut <= 0 {
			break
		}
		timer.Reset(cut)
		select {
		case <-timer.C:
		case <-p.dead:
			p.landLate(land)
			return errDead
		}
	}
	if p.w.faulty() && p.w.chance(0.0006*p.w.wild) { // the end comes while the operation is on its way
		p.kill("ends with an operation under way")
		if p.w.chance(0.5) {
			p.w.spawn(func() { p.h.crash(p.w.fault(8 * unit)) })
		}
		p.landLate(land)
		return errDead
	}
	broken := p.w.faulty() && p.w.chance(0.0004*p.w.wild)
	if broken && p.w.chance(0.5) {
		return syscall.EIO
	}
	err := land()
	if broken && err == nil {
		err = syscall.EIO // though it was done
	}
	if e := p.pause(); e != nil {
		return e
	}
	return err
}

// landLate lets an operation of a dead process land later, or never.
func (p *process) landLate(land func() error) {
	w := p.w
	if w.chance(0.25) {
		return
	}
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		time.Sleep(w.duration(20 * unit))
		time.Sleep(max(p.h.mountCut(), 0))
		w.n.late.Add(1)
		if p.s.newest.Load() > p.gen.Load() {
			w.n.lateAfter.Add(1)
		}
		_ = land()
	}()
}

// look runs an operation that only looks. It takes no time while the process serves: package store may hold a mutex then, and a bubble's clock does not move for those
// who wait for one.
func (m *procFS) look(do func(under *memfs.FS) error) error {
	p := m.p
	if p.isDead() {
		return errDead
	}
	s := p.w.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	return do(s.fs)
}

// touch notes a change in a directory that is not durable yet.
func (m *procFS) touch(dir string, epoch int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.pending[dir]; !ok {
		m.pending[dir] = epoch
	}
}

// changeNames is change for an operation on names of directories.
func (m *procFS) changeNames(dirs []string, do func(under *memfs.FS) error) error {
	return m.change(func() error {
		s := m.p.w.storage
		s.mu.Lock()
		defer s.mu.Unlock()
		err := do(s.fs)
		if err == nil {
			for _, d := range dirs {
				m.touch(d, s.epoch)
			}
		}
		return err
	})
}

func parent(name string) string {
	if d := path.Dir(name); d != "." {
		return d
	}
	return ""
}

func (m *procFS) Create(name string) (fsbackend.File, error) {
	f := &simFile{m: m, name: name, writable: true, dirty: -1}
	w := m.p.w
	often := 0.02 * w.wild
	if w.hint == hintCuts {
		often = 0.3
	}
	claim, lost := strings.HasSuffix(name, claimSuffix), ""
	if x := m.p.s.stoppedClaimer(); claim && x != nil && x.claim < name {
		often, lost = 0.9, x.claim
	}
	cut := claim && w.faulty() && w.chance(often)
	if claim {
		m.p.claim = name
	}
	err := m.changeNames([]string{parent(name)}, func(under *memfs.FS) (err error) {
		if cut { // as the claim lands: one that is under way elsewhere may vanish
			w.n.cuts.Add(1)
			w.storage.powerCutLocked(uint64(w.below(1<<30)), lost)
			under = w.storage.fs
			w.logf("the storage loses power as %s lands", name)
		}
		if err := w.storage.room(name); err != nil {
			return err
		}
		f.under, err = under.Create(name)
		if s := w.storage; err == nil {
			s.next++
			s.ids[name] = s.next
			f.epoch, f.id = s.epoch, s.next
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (m *procFS) open(name string, writable bool) (fsbackend.File, error) {
	f := &simFile{m: m, name: name, writable: writable, dirty: -1}
	err := m.look(func(under *memfs.FS) (err error) {
		f.id = m.p.w.storage.ids[name]
		return f.reopen()
	})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && m.p.w.is(proofOfLastOnly) && !m.p.acquired.Load() && path.Base(name) == fsbackend.ManifestName {
			return emptyFile{name: name}, nil
		}
		return nil, err
	}
	return f, nil
}

func (m *procFS) Open(name string) (fsbackend.File, error)     { return m.open(name, true) }
func (m *procFS) OpenRead(name string) (fsbackend.File, error) { return m.open(name, false) }

func (m *procFS) Rename(from, to string) error {
	return m.changeNames([]string{parent(from), parent(to)}, func(under *memfs.FS) error { return under.Rename(from, to) })
}

func (m *procFS) Remove(name string) error {
	return m.changeNames([]string{parent(name)}, func(under *memfs.FS) error {
		delete(m.p.w.storage.over, name)
		delete(m.p.w.storage.ids, name)
		return under.Remove(name)
	})
}

func (m *procFS) MkdirAll(name string) error {
	var dirs []string
	for d := name; d != ""; d = parent(d) {
		dirs = append(dirs, parent(d))
	}
	return m.changeNames(dirs, func(under *memfs.FS) error { return under.MkdirAll(name) })
}

func (m *procFS) List(dir string) (names []string, err error) {
	do := func() error {
		return m.look(func(under *memfs.FS) (err error) { names, err = under.List(dir); return err })
	}
	if strings.HasSuffix(dir, "/"+fsbackend.GenDir) { // a renewal, or a survey: no mutex is held
		err = m.change(do)
	} else {
		err = do()
	}
	if err != nil {
		return nil, err
	}
	return m.p.mutateNames(dir, names), nil
}

func (m *procFS) Stat(name string) (in fsbackend.Info, err error) {
	err = m.look(func(under *memfs.FS) (err error) { in, err = under.Stat(name); return err })
	return in, err
}

// SyncDir fails when what it should make durable was lost in a power cut.
func (m *procFS) SyncDir(dir string) error {
	if strings.HasSuffix(dir, "/"+fsbackend.GenDir) {
		m.p.stopBeforeClaim()
	}
	return m.change(func() error {
		s := m.p.w.storage
		s.mu.Lock()
		defer s.mu.Unlock()
		m.mu.Lock()
		since, ok := m.pending[dir]
		delete(m.pending, dir)
		m.mu.Unlock()
		if ok && since != s.epoch {
			return &fs.PathError{Op: "sync directory", Path: dir, Err: syscall.EIO}
		}
		err := s.fs.SyncNames(dir, func(name string) bool { // but for the claim of another host that is on its way
			x := m.p.s.stoppedClaimer()
			return x == nil || x == m.p || path.Join(dir, name) != x.claim
		})
		if errors.Is(err, fs.ErrNotExist) && m.p.w.is(proofOfLastOnly) && !m.p.acquired.Load() {
			return nil
		}
		return err
	})
}

// simFile is an open file of a procFS. Its fields are guarded by the storage's lock.
type simFile struct {
	m        *procFS
	name     string
	writable bool
	under    fsbackend.File
	epoch    int // of under
	id       uint64
	dirty    int // epoch of the first write that was not synced; -1 = none
	closed   bool
}

// reopen makes under the file of the storage as it is since the last power cut.
func (f *simFile) reopen() (err error) {
	s := f.m.p.w.storage
	if f.under != nil && f.epoch == s.epoch {
		return nil
	}
	if f.under != nil && s.ids[f.name] != f.id { // another file by now
		return &fs.PathError{Op: "use", Path: f.name, Err: syscall.ESTALE}
	}
	open := s.fs.OpenRead
	if f.writable {
		open = s.fs.Open
	}
	h, err := open(f.name)
	if err != nil {
		if f.under != nil { // it was open and is gone
			return &fs.PathError{Op: "use", Path: f.name, Err: syscall.ESTALE}
		}
		return err
	}
	f.under, f.epoch = h, s.epoch
	return nil
}

// at runs do on the file as it is now.
func (f *simFile) at(do func() error) error {
	s := f.m.p.w.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.closed && !f.m.p.isDead() { // what a dead process issued lands though its descriptor is closed
		return fs.ErrClosed
	}
	if err := f.reopen(); err != nil {
		return err
	}
	return do()
}

func (f *simFile) Name() string { return f.name }

func (f *simFile) ReadAt(b []byte, off int64) (n int, err error) {
	p := f.m.p
	if p.isDead() {
		return 0, errDead
	}
	if p.w.chance(0.2) && (!p.serving.Load() || p.s.sid != 0) {
		if err := f.m.change(func() error { return nil }); err != nil {
			return 0, err
		}
	}
	err = f.at(func() error {
		n, err = f.under.ReadAt(b, off)
		p.h.patch(p.w, f.name, b[:n], off)
		return err
	})
	return n, err
}

// patch puts back what was there before another host's overwrites, where this host may not see those yet. The storage's lock is held.
func (h *host) patch(w *world, name string, b []byte, off int64) {
	since, touched := h.touched[name]
	if !touched {
		h.touched[name] = time.Now()
		return
	}
	list := w.storage.over[name]
	for i := len(list) - 1; i >= 0; i-- {
		o := list[i]
		if o.host == h || o.at.Before(since) || time.Since(o.at) >= staleFor || !w.faulty() || !h.late(o.id) {
			continue
		}
		for j, c := range o.old {
			if k := o.off + int64(j) - off; k >= 0 && k < int64(len(b)) {
				b[k] = c
			}
		}
		w.n.stale.Add(1)
	}
}

// late says whether this host is late to see an overwrite.
func (h *host) late(id uint64) bool {
	f := fnv.New32a()
	_, _ = f.Write([]byte{byte(h.id), byte(id), byte(id >> 8), byte(id >> 16)})
	return f.Sum32()&4 != 0
}

func (f *simFile) WriteAt(b []byte, off int64) (int, error) {
	data := append([]byte(nil), b...)
	w := f.m.p.w
	short := len(b) > 1 && w.faulty() && w.chance(0.0001*w.wild)
	if short {
		data = data[:1+w.below(len(data)-1)]
		w.n.short.Add(1)
	}
	if path.Base(f.name) == rootsFile {
		f.m.p.stopBeforeRoot()
	}
	land := func() error {
		return f.at(func() error {
			s, h := f.m.p.w.storage, f.m.p.h
			if err := s.room(f.name); err != nil {
				return err
			}
			if f.dirty < 0 {
				f.dirty = s.epoch
			}
			old := make([]byte, len(data))
			n, _ := f.under.ReadAt(old, off)
			list := s.over[f.name]
			for len(list) > 0 && time.Since(list[0].at) >= staleFor {
				list = list[1:]
			}
			if n > 0 && len(data) <= 64<<10 {
				s.next++
				list = append(list, overwrite{id: s.next, at: time.Now(), host: h, off: off, old: old[:n]})
			}
			s.over[f.name] = list
			if _, ok := h.touched[f.name]; !ok {
				h.touched[f.name] = time.Now()
			}
			_, err := f.under.WriteAt(data, off)
			return err
		})
	}
	if f.m.p.w.is(serveBeforeManifest) && path.Base(f.name) == fsbackend.ManifestName {
		f.m.p.landLate(land)
		return len(b), nil
	}
	if err := f.m.change(land); err != nil {
		return 0, err
	}
	if short {
		return len(data), &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return len(b), nil
}

// Datasync fails when what it should make durable was lost in a power cut.
func (f *simFile) Datasync() error {
	w := f.m.p.w
	if w.is(sealWithoutSync) && !f.writable {
		return nil
	}
	if w.is(replyBeforeDurable) && f.m.p.names != nil && strings.HasPrefix(path.Base(f.name), "log-") {
		return nil
	}
	return f.m.change(func() error {
		return f.at(func() error {
			was := f.dirty
			f.dirty = -1
			if was >= 0 && was != w.storage.epoch {
				return &fs.PathError{Op: "sync", Path: f.name, Err: syscall.EIO}
			}
			return f.under.Datasync()
		})
	})
}

func (f *simFile) Sync() error { return f.Datasync() }

func (f *simFile) Size() (n int64, err error) {
	if f.m.p.isDead() {
		return 0, errDead
	}
	err = f.at(func() error { n, err = f.under.Size(); return err })
	return n, err
}

func (f *simFile) Truncate(size int64) error {
	return f.m.change(func() error { return f.at(func() error { return f.under.Truncate(size) }) })
}

func (f *simFile) Allocate(off, length int64) error {
	return f.m.change(func() error {
		return f.at(func() error {
			if err := f.m.p.w.storage.room(f.name); err != nil {
				return err
			}
			return f.under.Allocate(off, length)
		})
	})
}

func (f *simFile) PunchHole(off, length int64) error {
	return f.m.change(func() error { return f.at(func() error { return f.under.PunchHole(off, length) }) })
}

// Lock takes no lock: on the worst mounts it reaches nobody.
func (f *simFile) Lock() error { return nil }

func (f *simFile) Close() error {
	s := f.m.p.w.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	f.closed = true
	return nil
}

// emptyFile stands for a manifest that is not there, for a mutant.
type emptyFile struct {
	fsbackend.File
	name string
}

func (e emptyFile) Name() string { return e.name }
func (e emptyFile) Sync() error  { return nil }
func (e emptyFile) Close() error { return nil }
