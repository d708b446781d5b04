package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/objserver"
	"ostor/pools"
)

// Services whose number is odd are object servers: package pools and its files are then part of the run. An object is put once and deleted once at most; each is a
// key of the history, which begins and ends as absent.

const firstObjectKey = 1000

// object is one that a client knows of.
type object struct {
	key     int
	id      cluster.ObjectID
	value   int64
	deleted bool
}

// objectBytes returns the content of an object: small ones ride in the log, large ones go to their blocks.
func objectBytes(value int64) []byte {
	size := 60 + int(value*131%1900)
	if value%4 == 0 {
		size = 3000 + int(value*977%60000)
	}
	return bytes.Repeat(fmt.Appendf(nil, "%019d.", value), size/20+1)[:size]
}

func (p *process) openObjects(l *lease.Lease) (*objserver.Server, error) {
	return objserver.Open(p.ctx, objserver.Options{FS: p.fs, Dir: p.s.dir, Owner: owner{l, p}, ID: objectService, SmallBytes: 2000, BufferBytes: 1 << 20, SegmentBytes: 64 << 10, LogBytes: 1 << 20,
		MemtableBytes: 24 << 10, CacheBytes: 64 << 10, JanitorEvery: -1, Logger: quiet,
		Geometry: func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }})
}

// objectRequest does one operation on an object and writes it down.
func (s *service) objectRequest(ctx context.Context, p *process, kind opKind) {
	w := s.w
	var o object
	s.mu.Lock()
	switch n := len(s.objects); {
	case kind == opPut || n == 0:
		kind = opPut
		o = object{key: firstObjectKey*(s.id+1)*1000 + n, id: cluster.NewObjectID()}
	default:
		at := w.below(n)
		if w.chance(0.5) {
			at = max(0, n-1-w.below(8))
		}
		o = s.objects[at]
		if kind == opErase && o.deleted {
			kind = opGet
		}
		s.objects[at].deleted = o.deleted || kind == opErase
	}
	op := w.hist.begin(o.key, kind)
	if kind == opPut {
		o.value = w.hist.value(op)
		s.objects = append(s.objects, o)
	}
	s.mu.Unlock()

	w.n.ops.Add(1)
	if p.pause() != nil || !p.admit() {
		w.hist.fail(op, true)
		return
	}
	defer p.running.Add(-1)
	found, err := p.object(ctx, kind, &o)
	if p.pause() != nil { // the reply is not sent any more
		err = errDead
	}
	if err != nil {
		p.met(err, kindNames[kind]+" of an object")
		w.hist.fail(op, kind == opGet)
		return
	}
	s.replied(op, kind, found)
}

func (p *process) object(ctx context.Context, kind opKind, o *object) (int64, error) {
	want := objectBytes(o.value)
	if kind == opGet {
		var b bytes.Buffer
		switch err := p.objects.ReadObject(ctx, o.id, 0, int64(len(want)), &b); {
		case errors.Is(err, fault.NotFound):
			return 0, nil
		case err != nil:
			return 0, err
		case !bytes.Equal(b.Bytes(), want):
			return 0, fault.New(fault.Corrupt, "object %v holds other bytes than were put: %.30q", o.id, b.Bytes())
		}
		return o.value, nil
	}
	if !p.enter() { // package store may hold its writer lock while it waits
		return 0, errDead
	}
	defer p.leave()
	ctx, cancel := context.WithTimeout(ctx, 6*unit)
	defer cancel()
	if kind == opErase {
		return 0, p.objects.DeleteObjects(ctx, []cluster.ObjectID{o.id})
	}
	_, err := p.objects.CreateObject(ctx, o.id, int64(len(want)), bytes.NewReader(want))
	return 0, err
}

// engine is what a process serves from: a store, or an object server.
type engine interface {
	Checkpoint(ctx context.Context) error
	Close(ctx context.Context) error
	Check(ctx context.Context) error
}

// open recovers the service.
func (p *process) open(l *lease.Lease) (err error) {
	if p.s.sid != 0 {
		return p.openCluster(l)
	}
	if p.s.isObjects() {
		if p.objects, err = p.openObjects(l); err == nil {
			p.engine = p.objects
		}
		return err
	}
	if p.store, err = p.openStore(l); err == nil {
		p.engine = p.store
	}
	return err
}

func (s *service) isObjects() bool { return s.id%2 == 1 }

// settle waits until no request is under way in a process that gets no new ones, and takes the turn; false when that lasts too long.
func (p *process) settle(limit time.Duration) bool {
	for began := time.Now(); p.running.Load() > 0; time.Sleep(unit / 20) {
		if time.Since(began) > limit {
			return false
		}
	}
	p.turn <- struct{}{}
	return true
}
