package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

type opKind uint8

const (
	opGet opKind = iota
	opPut
	opDelete
	opSwap
	opErase // a delete after which the key is as if it had never been written
)

var kindNames = [...]string{"get", "put", "delete", "swap", "erase"}

// operation is one request and what became of it. Its number is the value that it writes.
type operation struct {
	key       int
	kind      opKind
	call, ret int64 // places in the order of all calls and returns; ret is math.MaxInt64 while the outcome is unknown
	found     int64 // of a get and swap: what it saw
	void      bool  // it had no effect and saw nothing
}

// history is what the clients saw. Nothing of the workload but this reaches the checker.
type history struct {
	mu    sync.Mutex
	clock int64
	ops   []operation
}

func (h *history) begin(key int, kind opKind) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	h.ops = append(h.ops, operation{key: key, kind: kind, call: h.clock, ret: math.MaxInt64})
	return len(h.ops) - 1
}

// value is what an operation writes; 0 is what was there at first.
func (h *history) value(op int) int64 { return int64(op) + 1 }

func (h *history) done(op int, found int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	h.ops[op].ret, h.ops[op].found = h.clock, found
}

// fail notes that there was no reply; void says that the operation cannot have had an effect.
func (h *history) fail(op int, void bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops[op].void = void
}

// register is the model of one key: what was written last.
var register = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		in, found := input.(step), output.(int64)
		if (in.kind == opGet || in.kind == opSwap && found >= 0) && found != state.(int64) {
			return false, state
		}
		switch in.kind {
		case opGet:
			return true, state
		case opErase:
			return true, int64(0)
		}
		return true, in.value
	},
	DescribeOperation: func(input, output any) string {
		in := input.(step)
		return fmt.Sprintf("%s(%d) -> %d", kindNames[in.kind], in.value, output)
	},
}

type step struct {
	kind  opKind
	value int64
}

// check returns what is wrong with the history, and for how many keys porcupine gave up. A change without a reply counts when somebody saw it, and then happened before that one's
// return; otherwise it may never have happened, and since values are unique nothing depends on it.
//
// Every key is checked as a register, exactly and fast (zones); then by porcupine, which also knows that a swap is one step, but may need exponential time where many requests
// were under way at once for long.
func (h *history) check() (bad []string, unchecked int) {
	seen := make(map[int64]int64) // value -> earliest return of who saw it
	byKey := make(map[int][]int)
	for i := range h.ops {
		o := &h.ops[i]
		byKey[o.key] = append(byKey[o.key], i)
		if o.ret != math.MaxInt64 && (o.kind == opGet || o.kind == opSwap) {
			if at, ok := seen[o.found]; !ok || o.ret < at {
				seen[o.found] = o.ret
			}
			if v := o.found; v < 0 || v > int64(len(h.ops)) || v > 0 && (h.ops[v-1].key != o.key || h.ops[v-1].kind == opGet || h.ops[v-1].void) {
				bad = append(bad, fmt.Sprintf("key %d: %s number %d found value %d, which was never written to it", o.key, kindNames[o.kind], i+1, v))
			}
		}
	}
	if len(bad) > 0 {
		return bad, 0
	}
	for key, ops := range byKey {
		var list []porcupine.Operation
		for _, i := range ops {
			o := h.ops[i]
			ret, found := o.ret, o.found
			if ret == math.MaxInt64 {
				at, ok := seen[h.value(i)]
				if o.kind == opErase { // it leaves no trace of its own
					at, ok = math.MaxInt64, true
				}
				if o.void || o.kind == opGet || !ok {
					continue
				}
				ret, found = at, -1
			}
			if ret < o.call {
				return append(bad, fmt.Sprintf("key %d: value %d was seen before it was written", key, h.value(i))), 0
			}
			list = append(list, porcupine.Operation{ClientId: i, Input: step{o.kind, h.value(i)}, Call: o.call, Output: found, Return: ret})
		}
		if key >= firstObjectKey { // an erase is no unique value
		} else if v := zones(list); v != "" {
			bad = append(bad, fmt.Sprintf("key %d is not linearizable: %s", key, v))
			continue
		}
		switch porcupine.CheckOperationsTimeout(register, list, 500*time.Millisecond) {
		case porcupine.Illegal:
			bad = append(bad, fmt.Sprintf("key %d: %d operations are not linearizable", key, len(list)))
		case porcupine.Unknown:
			unchecked++
		}
	}
	return bad, unchecked
}

// zone is the time between the first return and the last call of the operations that wrote or saw a value: forward when all of it must lie between them.
type zone struct{ from, to, value int64 }

// zones checks a register whose written values are unique: it is linearizable if and only if no two forward zones overlap and no backward zone lies within a forward one
// (Gibbons and Korach, Testing Shared Memories, 1997).
func zones(list []porcupine.Operation) string {
	type span struct{ firstReturn, lastCall int64 }
	spans := map[int64]span{0: {-1, -1}}
	add := func(value int64, o *porcupine.Operation) {
		s, ok := spans[value]
		if !ok {
			s = span{o.Return, o.Call}
		}
		spans[value] = span{min(s.firstReturn, o.Return), max(s.lastCall, o.Call)}
	}
	for i := range list {
		o := &list[i]
		in, found := o.Input.(step), o.Output.(int64)
		if in.kind != opGet {
			add(in.value, o)
		}
		if in.kind == opGet || in.kind == opSwap && found >= 0 {
			add(found, o)
		}
	}
	var forward, backward []zone
	for v, s := range spans {
		if s.firstReturn < s.lastCall {
			forward = append(forward, zone{s.firstReturn, s.lastCall, v})
		} else {
			backward = append(backward, zone{s.lastCall, s.firstReturn, v})
		}
	}
	slices.SortFunc(forward, func(a, b zone) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(forward); i++ {
		if a, b := forward[i-1], forward[i]; b.from < a.to {
			return fmt.Sprintf("value %d was current in [%d, %d], but value %d in [%d, %d]", a.value, a.from, a.to, b.value, b.from, b.to)
		}
	}
	for _, b := range backward {
		i, _ := slices.BinarySearchFunc(forward, b.from, func(f zone, at int64) int { return cmp.Compare(f.from, at) })
		if i > 0 && b.to < forward[i-1].to {
			return fmt.Sprintf("value %d was current in [%d, %d], but value %d at a time in [%d, %d]", forward[i-1].value, forward[i-1].from, forward[i-1].to, b.value, b.from, b.to)
		}
	}
	return ""
}

// TestHistoryFindsLoss: the checker itself.
func TestHistoryFindsLoss(t *testing.T) {
	t.Parallel()
	var h history
	write := func(kind opKind) int64 { op := h.begin(1, kind); h.done(op, 0); return h.value(op) }
	a := write(opPut)
	lost := h.begin(1, opPut) // no reply, never seen: may or may not have happened
	get := h.begin(1, opGet)
	h.done(get, a)
	write(opDelete)
	if bad, _ := h.check(); len(bad) != 0 {
		t.Fatalf("a good history: got %v", bad)
	}
	get = h.begin(1, opGet)
	h.done(get, h.value(lost)) // it happened after all
	if bad, _ := h.check(); len(bad) != 0 {
		t.Fatalf("a late write without a reply: got %v", bad)
	}
	get = h.begin(1, opGet)
	h.done(get, a)
	if bad, _ := h.check(); len(bad) == 0 {
		t.Fatal("a resurrected value was not found")
	}
}
