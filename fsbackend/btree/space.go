package btree

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"ostor/internal/invariant"
)

// Invariants of the space:
//
//  1. live is what the root being made (between transactions: the current root) reaches.
//  2. Every live page of the home generation is busy; a page that is busy and not live was reached by an older root that is not yet
//     released, or belongs to an attempt that failed while its root was written.
//  3. fresh is what the running transaction allocated; between transactions it is empty.
//  4. liveCount is the number of live pages: counted in the bits at home, by subtraction in older generations.

// bitset has one bit per page of a file.
type bitset []uint64

func (b bitset) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }
func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) clear(i int)    { b[i>>6] &^= 1 << (i & 63) }

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

const bitsetWords = (maxFilePages + 63) / 64

// fileSpace is the space of one file.
type fileSpace struct {
	key  fileKey
	home bool

	liveCount         int
	busyCount         int // home only, as the bitsets
	live, busy, fresh bitset
	bits              ref  // the map page; zero when none yet, and in older generations after the first transaction of this one
	dirty             bool // live changed since the map page was written

	undoCount int // liveCount before the running transaction
	undoBits  ref
}

// space knows which pages of which files are in use. Guarded by Tree.applyMu.
type space struct {
	home    uint64
	perFile int          // pages of a file before the next one is begun
	files   []*fileSpace // ascending by key
	byKey   map[fileKey]*fileSpace
	next    uint32 // number of the next file
	at      int    // where the search for free pages goes on: index in files
	pos     int    // and page
	live    uint64 // all live pages

	freed  []PageID // pages that the running transaction made unreachable, home files only
	undone uint64   // live before the running transaction

	changed bool // by the running transaction
}

func newSpace(home uint64, fileBytes int64) *space {
	per := int(min(max(fileBytes/PageBytes, 2*maxRunPages), maxFilePages))
	return &space{home: home, perFile: per, byKey: make(map[fileKey]*fileSpace), next: 1}
}

// addFile adds an empty file.
func (s *space) addFile(k fileKey) *fileSpace {
	f := &fileSpace{key: k, home: k.generation() == s.home}
	if f.home {
		f.live, f.busy, f.fresh = make(bitset, bitsetWords), make(bitset, bitsetWords), make(bitset, bitsetWords)
		s.next = max(s.next, k.number()+1)
	}
	s.byKey[k] = f
	i, _ := slices.BinarySearchFunc(s.files, k, func(f *fileSpace, k fileKey) int {
		if f.key < k {
			return -1
		}
		return 1
	})
	s.files = slices.Insert(s.files, i, f)
	return f
}

// removeFile forgets a file without live or busy pages.
func (s *space) removeFile(k fileKey) {
	delete(s.byKey, k)
	s.files = slices.DeleteFunc(s.files, func(f *fileSpace) bool { return f.key == k })
	s.at, s.pos = 0, 0
}

// begin starts a transaction.
func (s *space) begin() {
	s.at, s.pos, s.freed, s.undone = 0, 0, nil, s.live
	s.changed = false
	for _, f := range s.files {
		f.undoCount, f.undoBits = f.liveCount, f.bits
	}
}

// take allocates n consecutive pages in one file, at most maxRunPages. ok is false when a new file is needed.
func (s *space) take(n int) (id PageID, ok bool) {
	for ; s.at < len(s.files); s.at, s.pos = s.at+1, 0 {
		f := s.files[s.at]
		if !f.home || f.busyCount+n > s.perFile {
			continue
		}
		if i := f.find(s.pos, n, s.perFile); i >= 0 {
			if n == 1 {
				s.pos = i + 1
			}
			for j := i; j < i+n; j++ {
				f.busy.set(j)
				f.live.set(j)
				f.fresh.set(j)
			}
			f.busyCount += n
			f.liveCount += n
			f.dirty = true
			s.live += uint64(n)
			s.changed = true
			return f.key.page(i), true
		}
		if n > 1 { // there may be single pages left
			return s.takeBeyond(n)
		}
	}
	return 0, false
}

// takeBeyond looks for a run in the files after the current one, without moving on.
func (s *space) takeBeyond(n int) (PageID, bool) {
	at, pos := s.at, s.pos
	s.at, s.pos = s.at+1, 0
	id, ok := s.take(n)
	s.at, s.pos = at, pos
	return id, ok
}

// find returns the first of n free pages at or after from, or -1.
func (f *fileSpace) find(from, n, limit int) int {
	run := 0
	for i := from; i < limit; {
		if i&63 == 0 && run == 0 && f.busy[i>>6] == ^uint64(0) {
			i += 64
			continue
		}
		if f.busy.has(i) {
			run = 0
		} else if run++; run == n {
			return i - n + 1
		}
		i++
	}
	return -1
}

// touched reports whether the directory must be written anew: the running transaction changed something, or older generations still have maps.
func (s *space) touched() bool {
	return s.changed || slices.ContainsFunc(s.files, func(f *fileSpace) bool { return !f.home && f.bits.id != 0 })
}

// free makes a live page unreachable. A page of the running transaction is free at once, another stays busy.
func (s *space) free(id PageID) {
	f := s.byKey[id.file()]
	invariant.Assert(f != nil && f.liveCount > 0, "free of %v in a file without live pages", id)
	f.liveCount--
	s.live--
	s.changed = true
	if !f.home {
		return
	}
	i := id.index()
	invariant.Assert(f.live.has(i), "free of %v, which is not live", id)
	f.live.clear(i)
	f.dirty = true
	if f.fresh.has(i) {
		f.fresh.clear(i)
		f.busy.clear(i)
		f.busyCount--
		return
	}
	s.freed = append(s.freed, id)
}

// freeMap frees the page of f's map.
func (s *space) freeMap(f *fileSpace) {
	id := f.bits.id
	f.bits = ref{}
	s.free(id)
}

// fresh reports whether the running transaction allocated the page.
func (s *space) fresh(id PageID) bool {
	f := s.byKey[id.file()]
	return f != nil && f.home && f.fresh.has(id.index())
}

// commit ends the transaction: its root is durable. It returns the pages that were freed, which stay busy until release.
func (s *space) commit() []PageID {
	for _, f := range s.files {
		if f.home {
			clear(f.fresh)
		}
		f.dirty = false
	}
	freed := s.freed
	s.freed = nil
	return freed
}

// abort undoes the transaction. With quarantine the pages that it allocated stay busy, and are returned: a root on disk may reach them.
func (s *space) abort(quarantine bool) (held []PageID) {
	for _, f := range s.files {
		f.liveCount, f.bits, f.dirty = f.undoCount, f.undoBits, false
		if !f.home {
			continue
		}
		for w, word := range f.fresh {
			if word == 0 {
				continue
			}
			f.live[w] &^= word
			if !quarantine {
				f.busy[w] &^= word
				f.busyCount -= bits.OnesCount64(word)
				continue
			}
			for ; word != 0; word &= word - 1 {
				held = append(held, f.key.page(w*64+bits.TrailingZeros64(word)))
			}
		}
		clear(f.fresh)
	}
	for _, id := range s.freed {
		s.byKey[id.file()].live.set(id.index())
	}
	s.freed, s.live = nil, s.undone
	return held
}

// release makes pages that no root needs any more free for reuse.
func (s *space) release(ids []PageID) {
	for _, id := range ids {
		f := s.byKey[id.file()]
		i := id.index()
		invariant.Assert(f != nil && f.busy.has(i) && !f.live.has(i), "release of %v, which is free or live", id)
		f.busy.clear(i)
		f.busyCount--
	}
}

// encodeMap writes the live bits of f after a page header.
func (f *fileSpace) encodeMap(b []byte) {
	for w, word := range f.live {
		binary.LittleEndian.PutUint64(b[w*8:], word)
	}
}

// decodeMap reads live bits.
func decodeMap(b []byte) bitset {
	s := make(bitset, bitsetWords)
	for w := range s {
		s[w] = binary.LittleEndian.Uint64(b[w*8:])
	}
	return s
}
