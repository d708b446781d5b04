package store

import (
	"bytes"
	"slices"
	"sort"

	"ostor/internal/fault"
)

// Tx is the state that an Update function sees and the changes that it makes. It is valid until the function returns, and for one goroutine.
type Tx struct {
	s      *Store
	active *memTree
	frozen *memTree // nil = none
	tree   *treeRef
	ops    []entry        // in the order of the calls; a key may occur several times until seal
	index  map[string]int // newest position in ops of each key, once there are many
	size   int            // of the encoded operations
	frees  bool
	err    error // first wrong call
}

const indexFrom = 16 // operations; fewer are searched one by one

// Put sets the value of a key. It keeps both slices: they must not be modified afterwards. A key of 0 or more than MaxKeyBytes bytes, or a value
// over its limit, fails the whole Update with fault.TooLarge or fault.Invalid.
func (tx *Tx) Put(key, value []byte) {
	volatile := tx.s.volatile(key)
	limit := MaxValueBytes
	if volatile {
		limit = MaxVolatileBytes
	}
	if len(value) > limit && tx.err == nil {
		tx.err = fault.New(fault.TooLarge, "store: value of %d bytes, the limit is %d", len(value), limit)
	}
	if value == nil {
		value = []byte{}
	}
	tx.add(entry{key: key, value: value, volatile: volatile})
}

// Delete removes a key, which need not exist. It keeps the slice.
func (tx *Tx) Delete(key []byte) {
	tx.add(entry{key: key, deleted: true, volatile: tx.s.volatile(key)})
}

// Frees says that the batch gives space back, so it may use what is kept in reserve when the file system is full. A batch without any Put counts as
// such by itself.
func (tx *Tx) Frees() { tx.frees = true }

func (tx *Tx) add(e entry) {
	if len(e.key) == 0 && tx.err == nil {
		tx.err = fault.New(fault.Invalid, "store: empty key")
	}
	if len(e.key) > MaxKeyBytes && tx.err == nil {
		tx.err = fault.New(fault.TooLarge, "store: key of %d bytes, the limit is %d", len(e.key), MaxKeyBytes)
	}
	if i := tx.find(e.key); i >= 0 { // the newest change of a key counts
		tx.size += opBytes(&e) - opBytes(&tx.ops[i])
		tx.ops[i] = e
		return
	}
	tx.ops = append(tx.ops, e)
	tx.size += opBytes(&e)
	switch n := len(tx.ops); {
	case tx.index != nil:
		tx.index[string(e.key)] = n - 1
	case n == indexFrom:
		tx.index = make(map[string]int, 4*indexFrom)
		for i := range tx.ops {
			tx.index[string(tx.ops[i].key)] = i
		}
	}
}

// find returns the position of key in ops, -1 when there is none.
func (tx *Tx) find(key []byte) int {
	if tx.index != nil {
		if i, ok := tx.index[string(key)]; ok {
			return i
		}
		return -1
	}
	for i := range tx.ops {
		if bytes.Equal(tx.ops[i].key, key) {
			return i
		}
	}
	return -1
}

// Get returns the value of a key, with the changes of this Tx. The value must not be modified; it stays valid for ever.
func (tx *Tx) Get(key []byte) (value []byte, ok bool, err error) {
	if i := tx.find(key); i >= 0 {
		return tx.ops[i].value, !tx.ops[i].deleted, nil
	}
	return get(key, tx.active, tx.frozen, tx.tree)
}

// Iter walks the keys in [lo, hi) as they are now: changes that this Tx makes later do not show. A nil hi is no limit.
func (tx *Tx) Iter(lo, hi []byte) *Iter {
	var own []entry
	if len(tx.ops) > 0 {
		own = slices.Clone(tx.ops)
		sort.Slice(own, func(i, j int) bool { return bytes.Compare(own[i].key, own[j].key) < 0 })
	}
	return newIter(lo, hi, own, tx.active, tx.frozen, tx.tree)
}

// PayloadBytes and AppendPayload make a Tx what package redolog stores.
func (tx *Tx) PayloadBytes() int { return 1 + uvarintBytes(uint64(len(tx.ops))) + tx.size }

// AppendPayload appends the encoded batch.
func (tx *Tx) AppendPayload(b []byte) []byte { return appendBatch(b, tx.ops) }

// givesBack says whether the batch may use the reserve.
func (tx *Tx) givesBack() bool {
	if tx.frees {
		return true
	}
	for i := range tx.ops {
		if !tx.ops[i].deleted {
			return false
		}
	}
	return true
}
