package sim

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/fault"
)

const keysPerService = 6

// client asks the service's processes, the newest mostly, any at times, as one who does not know of a takeover would.
func (s *service) client(ctx context.Context) {
	w := s.w
	for w.sleep(w.duration(unit / 2)) {
		var serving []*process
		for _, p := range s.living() {
			if p.serving.Load() && p.asked.Load() < 24 { // more would hang in a frozen one
				serving = append(serving, p)
			}
		}
		if len(serving) == 0 {
			continue
		}
		p := serving[len(serving)-1]
		if w.chance(0.4) {
			p = serving[w.below(len(serving))]
		}
		kind := [...]opKind{opPut, opPut, opPut, opDelete, opSwap, opGet, opGet, opGet, opGet}[w.below(9)]
		key := w.below(keysPerService)
		if w.chance(0.5) {
			key = w.below(2) // hot keys; the others are read long after they were written
		}
		kindOfObject := [...]opKind{opPut, opPut, opPut, opErase, opGet, opGet, opGet, opGet, opGet}[w.below(9)]
		done := make(chan struct{})
		p.asked.Add(1)
		w.spawn(func() {
			defer close(done)
			defer p.asked.Add(-1)
			if s.isObjects() {
				s.objectRequest(ctx, p, kindOfObject)
			} else {
				s.request(ctx, p, kind, key)
			}
		})
		timer := time.NewTimer(unit)
		select {
		case <-done:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// request does one operation and writes it down.
func (s *service) request(ctx context.Context, p *process, kind opKind, key int) {
	w := s.w
	w.n.ops.Add(1)
	op := w.hist.begin(s.id*keysPerService+key, kind)
	if p.pause() != nil || !p.admit() {
		w.hist.fail(op, true)
		return
	}
	defer p.running.Add(-1)
	var found int64
	var err error
	if kind == opGet {
		err = p.store.View(func(sn *store.Snapshot) error {
			found, err = read(sn.Get, key)
			return err
		})
	} else {
		found, err = s.change(ctx, p, kind, key, w.hist.value(op))
	}
	if p.pause() != nil { // the reply is not sent any more
		err = errDead
	}
	if err != nil {
		p.met(err, "a request")
		w.hist.fail(op, kind == opGet)
		return
	}
	s.replied(op, kind, found)
}

// replied notes a reply.
func (s *service) replied(op int, kind opKind, found int64) {
	s.mu.Lock()
	s.replyAt = time.Now()
	if kind != opGet {
		s.acked = s.replyAt
	}
	s.mu.Unlock()
	s.w.n.acked.Add(1)
	s.w.hist.done(op, found)
	s.checkOwners()
}

// change does a put, delete or swap; a swap returns what was there.
func (s *service) change(ctx context.Context, p *process, kind opKind, key int, value int64) (found int64, err error) {
	if !p.enter() {
		return 0, errDead
	}
	wait, err := p.store.Submit(func(tx *store.Tx) error {
		if kind == opSwap {
			if found, err = read(tx.Get, key); err != nil {
				return err
			}
		}
		if kind == opDelete {
			tx.Delete(liveKey(key))
			tx.Put(deadKey(key), encode(value)) // which delete it was
			return nil
		}
		tx.Put(liveKey(key), encode(value))
		return nil
	})
	p.leave()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 6*unit)
	defer cancel()
	return found, wait(ctx)
}

func liveKey(key int) []byte { return fmt.Appendf(nil, "key/%03d", key) }
func deadKey(key int) []byte { return fmt.Appendf(nil, "tomb/%03d", key) }

// encode returns the bytes of a value: its number, and filling that follows from it.
func encode(value int64) []byte {
	b := strconv.AppendInt(nil, value, 10)
	return append(append(b, '.'), bytes.Repeat([]byte{byte(value)}, 100+int(value*37%1400))...)
}

func decode(b []byte) (int64, error) {
	digits, _, _ := bytes.Cut(b, []byte("."))
	value, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || !bytes.Equal(b, encode(value)) {
		return 0, fault.New(fault.Corrupt, "a value holds other bytes than were put: %d bytes, %.20q", len(b), b)
	}
	return value, nil
}

// read returns the number of the value, or of the delete, that is the state of a key; 0 = it was never written.
func read(get func([]byte) ([]byte, bool, error), key int) (int64, error) {
	for _, k := range [][]byte{liveKey(key), deadKey(key)} {
		v, ok, err := get(k)
		if err != nil {
			return 0, err
		}
		if ok {
			return decode(v)
		}
	}
	return 0, nil
}
