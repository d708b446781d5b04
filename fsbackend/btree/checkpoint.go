package btree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ostor/fsbackend"
	"ostor/internal/logkey"
)

// commit writes maps and directory, makes all pages durable, and then the root: the point of no return. It completes root.
func (a *applier) commit(root *Root) error {
	t := a.t
	a.dirPages = t.dirPages
	if t.space.touched() {
		if err := a.writeSpace(root); err != nil {
			return err
		}
	}
	root.Pages = t.space.live
	if err := a.out.sync(); err != nil {
		return err
	}
	if err := a.ctx.Err(); err != nil {
		return err
	}
	// From here on the ring may hold this root, whatever an error says: the pages of the attempt are kept until a later root is durable.
	a.quarantine = true
	if _, err := t.ring.WriteAt(encodeSlot(*root), int64(slotOf(root.TxID))*ringSlotBytes); err != nil {
		return fmt.Errorf("write root: %w", err)
	}
	if err := t.ring.Datasync(); err != nil {
		a.fatal = true
		return fmt.Errorf("sync root: %w", err)
	}
	return nil
}

// writeSpace writes the maps that changed and the directory. Allocating a page for a map changes maps, so first all pages are found, each
// file's map moving at most once, and then they are written.
func (a *applier) writeSpace(root *Root) error {
	s := a.t.space
	for _, id := range a.dirPages {
		s.free(id)
	}
	a.dirPages = nil
	for _, f := range s.files { // An older generation keeps no maps: its free pages are never used again.
		if !f.home && f.bits.id != 0 {
			s.freeMap(f)
		}
	}
	// All maps that will change leave their pages before any gets a new one: a file that held nothing but such a page is empty then, needs no map,
	// and can be unlinked. An empty file that kept its map all the same, since alloc chose its page before the file became empty, loses it here.
	for settled := false; !settled; {
		settled = true
		for _, f := range s.files {
			if f.home && f.bits.id != 0 && (f.dirty || f.liveCount == 0) {
				s.freeMap(f)
				settled = false
			}
		}
	}
	moved := make(map[*fileSpace]bool)
	for settled := false; !settled; {
		settled = true
		for _, f := range slices.Clone(s.files) { // alloc may begin a file
			if !f.home || !f.dirty || moved[f] {
				continue
			}
			if f.bits.id != 0 {
				s.freeMap(f)
				settled = false
			}
			if f.liveCount == 0 {
				continue // needs no map unless something is allocated in it, and then it comes here again
			}
			id, err := a.alloc(1)
			if err != nil {
				return err
			}
			f.bits = ref{id: id}
			moved[f], settled = true, false
		}
		if len(a.dirPages)*dirPageEntries < len(s.files) {
			id, err := a.alloc(1)
			if err != nil {
				return err
			}
			a.dirPages = append(a.dirPages, id)
			settled = false
		}
	}
	var entries []dirEntry
	for _, f := range s.files {
		if moved[f] {
			if err := a.writeMap(f); err != nil {
				return err
			}
		}
		if f.liveCount > 0 || f.bits.id != 0 {
			entries = append(entries, dirEntry{key: f.key, live: uint32(f.liveCount), bits: f.bits})
		}
	}
	return a.writeDirectory(root, entries)
}

func (a *applier) writeMap(f *fileSpace) error {
	buf := make([]byte, PageBytes)
	f.encodeMap(buf[pageHeaderBytes:])
	putHeader(buf, f.bits.id, a.tx, kindMap, 0, 0, 0, PageBytes)
	f.bits.crc = seal(buf)
	return a.out.write(f.bits.id, buf)
}

// writeDirectory writes the chain of directory pages, the last one first, since each states the checksum of the next.
func (a *applier) writeDirectory(root *Root, entries []dirEntry) error {
	var next ref
	for i := len(a.dirPages) - 1; i >= 0; i-- {
		part := entries[min(i*dirPageEntries, len(entries)):min((i+1)*dirPageEntries, len(entries))]
		buf := make([]byte, PageBytes)
		b := appendLink(buf[:pageHeaderBytes], next)
		for _, e := range part {
			b = e.append(b)
		}
		putHeader(buf, a.dirPages[i], a.tx, kindDirectory, 0, len(part), 0, len(b))
		next = ref{a.dirPages[i], seal(buf)}
		if err := a.out.write(next.id, buf); err != nil {
			return err
		}
	}
	root.Directory, root.dirCRC = next.id, next.crc
	return nil
}

func appendLink(b []byte, next ref) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(next.id))
	b = binary.LittleEndian.AppendUint32(b, next.crc)
	return binary.LittleEndian.AppendUint32(b, 0)
}

func decodeLink(b []byte) ref {
	return ref{PageID(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:])}
}

// finish makes a durable root the current one and gives back what it no longer needs.
func (t *Tree) finish(root Root, dirPages []PageID) {
	freed := t.space.commit()
	t.dirPages = dirPages
	if len(freed) > 0 {
		t.pending = append(t.pending, release{tx: root.TxID, pages: freed})
	}
	for _, f := range t.space.files {
		if f.liveCount == 0 && !slices.ContainsFunc(t.dead, func(d deadFile) bool { return d.key == f.key }) {
			t.dead = append(t.dead, deadFile{tx: root.TxID, key: f.key})
		}
	}
	t.mu.Lock()
	t.root = root
	t.mu.Unlock()
	t.applies.Add(1)
	if err := t.reclaim(); err != nil {
		t.log.Warn("pages and files stay unused: not allowed to reuse them", logkey.Error, err)
	}
	t.updateStats()
}

// reclaim releases pages, and unlinks files, that neither the durable root nor a snapshot needs, after asking Check. applyMu must be held, and no
// transaction be running. Without anything to give back Check is not asked.
func (t *Tree) reclaim() error {
	oldest := t.oldestPin()
	pages := 0
	for pages < len(t.pending) && t.pending[pages].tx <= oldest {
		pages++
	}
	ready := func(d deadFile) bool { return d.tx <= oldest }
	sweep := !t.swept && t.Root().Generation == t.opts.Home
	if pages == 0 && !slices.ContainsFunc(t.dead, ready) && !sweep {
		return nil
	}
	if err := t.opts.Check(); err != nil {
		return err
	}
	for _, r := range t.pending[:pages] {
		t.space.release(r.pages)
	}
	t.pending = slices.Delete(t.pending, 0, pages)
	t.dead = slices.DeleteFunc(t.dead, func(d deadFile) bool { return ready(d) && t.unlink(d.key) })
	if sweep {
		t.sweep()
	}
	return nil
}

// unlink removes a file when it is still without pages. It returns false when a later call may do more.
func (t *Tree) unlink(k fileKey) (settled bool) {
	f := t.space.byKey[k]
	if f == nil || f.liveCount > 0 || f.bits.id != 0 {
		return true // in use again
	}
	if f.busyCount > 0 {
		return false // awaits the release of its pages
	}
	t.space.removeFile(k)
	t.pager.forget(k)
	t.remove(k.name(t.opts.Dir))
	return true
}

func (t *Tree) remove(name string) {
	if err := t.opts.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.log.Warn("a file that nothing refers to cannot be removed", logkey.File, name, logkey.Error, err)
	}
}

// sweep removes, once after Open and after a root in the home generation is durable, what crashes left behind: tree files in the generations up
// to home that the root does not know, and the rings of older generations.
func (t *Tree) sweep() {
	t.swept = true
	gens, err := t.opts.FS.List(t.opts.Dir + "/" + fsbackend.GenDir)
	if err != nil {
		t.log.Warn("cannot look for tree files that nothing refers to", logkey.Error, err)
		return
	}
	for _, name := range gens {
		g, ok := parseGeneration(name)
		if !ok || g > t.opts.Home {
			continue
		}
		dir := fsbackend.GenerationDir(t.opts.Dir, g)
		files, err := t.opts.FS.List(dir)
		if err != nil {
			t.log.Warn("cannot look for tree files that nothing refers to", logkey.File, dir, logkey.Error, err)
			continue
		}
		for _, n := range files {
			number, isTree := isTreeName(n)
			if isTree && t.space.byKey[makeFileKey(g, number)] == nil || n == RootsName && g < t.opts.Home {
				t.remove(dir + "/" + n)
			}
		}
	}
}

func parseGeneration(name string) (uint64, bool) {
	var g uint64
	for _, c := range name {
		if c < '0' || c > '9' || g > maxGeneration {
			return 0, false
		}
		g = g*10 + uint64(c-'0')
	}
	return g, name == fsbackend.GenerationName(g)
}
