package store

import (
	"github.com/tidwall/btree"

	"ostor/fsbackend/redolog"
	"ostor/internal/fault"
)

// Recovery spends most of its time on bringing records to the memtable, and that on memory: so bytes and entries are taken from slabs, the tree is searched from where the last key of the same
// kind was, and one goroutine reads and decodes while another inserts.
const (
	replayBytes = 64 << 10 // of a slab of keys and values. An entry that stays keeps its slab, so not larger
	replayOps   = 512      // of a slab of entries
	replayQueue = 16       // slabs between the two goroutines
)

// replayer applies log records to a memtable that nobody else uses until wait has returned.
type replayer struct {
	s    *Store
	m    *memtable
	room []byte  // rest of the slab of keys and values
	ops  []entry // not handed over yet
	last uint64
	full chan []entry
	done chan struct{}
}

func newReplayer(s *Store, m *memtable) *replayer {
	r := &replayer{s: s, m: m, full: make(chan []entry, replayQueue), done: make(chan struct{})}
	go r.insert()
	return r
}

// add decodes a record. Its bytes are copied.
func (r *replayer) add(rec *redolog.Record) (err error) {
	n := len(rec.Payload)
	if n > len(r.room) {
		r.room = make([]byte, max(n, replayBytes))
	}
	b := r.room[:n:n]
	r.room = r.room[n:]
	copy(b, rec.Payload)
	if r.ops == nil {
		r.ops = make([]entry, 0, replayOps)
	}
	first := len(r.ops)
	if r.ops, err = appendOps(r.ops, b); err != nil {
		return fault.Wrap(fault.Corrupt, err, "record of LSN %d", rec.LSN)
	}
	for i := range r.ops[first:] {
		e := &r.ops[first+i]
		e.volatile = r.s.volatile(e.key)
	}
	r.last = rec.LSN
	if len(r.ops) > replayOps-8 {
		r.full <- r.ops
		r.ops = nil
	}
	return nil
}

// insert is the other goroutine. It ends in wait.
func (r *replayer) insert() {
	defer close(r.done)
	var hints [256]btree.PathHint // by the first byte of a key: its kind
	for ops := range r.full {
		for i := range ops {
			r.m.setNear(&ops[i], &hints[ops[i].key[0]])
		}
	}
}

// wait returns when everything is in the memtable. The replayer cannot be used after it.
func (r *replayer) wait() {
	if len(r.ops) > 0 {
		r.full <- r.ops
	}
	close(r.full)
	<-r.done
	if r.last > 0 {
		r.m.last = r.last
	}
}
