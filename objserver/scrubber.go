package objserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/pools"
)

const (
	scrubBatch   = 64       // objects listed at a time, and damaged ones whose names are looked for at a time
	scrubPinned  = 64 << 20 // bytes of one object read while its blocks are held
	scrubErrors  = 16       // reads that fail in a row, other than by damage, before a pass is given up
	scrubFirst   = time.Minute
	scrubSleepIn = 20 * time.Millisecond // shorter waits are saved up
)

// Damage is one object that cannot be read whole.
type Damage struct {
	Object  cluster.ObjectID
	File    string // where the first damage was met, in the file system of the service; "" = in the object tree
	Offset  int64  // bytes from the start of File
	Err     error
	Holders []cluster.LinkHolder // names that the object has; nil when none was found or the name servers could not be asked
}

// ScrubReport says what a pass read.
type ScrubReport struct {
	Objects int64 // examined
	Bytes   int64 // payload read
	Damaged int64 // objects that cannot be read whole
}

// ScrubObjects reads every object, in the order of their ids from a given one on and then those before it, and verifies payloads and block headers against their checksums. It reads
// at most bytesPerSecond (0 = no limit) and holds no object's blocks for longer than it takes to read 64 MiB of it. report is called for each damaged object, after its names were asked for. It
// goes on after damage; it ends with the error of ctx, or when reads keep failing for another reason.
func (s *Server) ScrubObjects(ctx context.Context, from cluster.ObjectID, bytesPerSecond int64, report func(Damage)) (r ScrubReport, err error) {
	p := &scrubber{s: s, rate: bytesPerSecond, report: report}
	if err = p.span(ctx, from, cluster.ObjectID{}); err == nil && !from.IsZero() {
		err = p.span(ctx, cluster.ObjectID{}, from)
	}
	return p.r, err
}

// scrubber is one pass.
type scrubber struct {
	s      *Server
	rate   int64
	report func(Damage)
	r      ScrubReport
	next   time.Time // when the next byte may be read
	failed int       // reads in a row
}

// span scrubs the objects after an id, up to and with another one; zero = all.
func (p *scrubber) span(ctx context.Context, after, last cluster.ObjectID) error {
	for {
		var ids []cluster.ObjectID
		err := p.s.Objects(ctx, after, func(id cluster.ObjectID, _, _ int64) bool {
			if !last.IsZero() && compareIDs(id, last) > 0 {
				return false
			}
			ids = append(ids, id)
			return len(ids) < scrubBatch
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		var damaged []Damage
		for _, id := range ids {
			err := p.object(ctx, id)
			switch {
			case err == nil:
				p.failed = 0
			case p.s.going(ctx) != nil:
				return err
			default:
				if p.failed++; fault.KindOf(err) == fault.Corrupt {
					p.failed = 0
				}
				if p.failed >= scrubErrors {
					return fmt.Errorf("objserver: scrub: %d objects in a row cannot be read: %w", p.failed, err)
				}
				damaged = append(damaged, newDamage(id, err))
			}
			p.r.Objects++
			p.s.n.scrubbedObjects.Add(1)
		}
		p.tell(ctx, damaged)
	}
}

func newDamage(id cluster.ObjectID, err error) Damage {
	d := Damage{Object: id, Err: err}
	if c, ok := errors.AsType[*fault.Corruption](err); ok {
		d.File, d.Offset = c.File, c.Offset
	}
	return d
}

// tell reports damaged objects with their names.
func (p *scrubber) tell(ctx context.Context, damaged []Damage) {
	if len(damaged) == 0 {
		return
	}
	p.r.Damaged += int64(len(damaged))
	p.s.n.scrubDamaged.Add(int64(len(damaged)))
	ids := make([]cluster.ObjectID, len(damaged))
	for i := range damaged {
		ids[i] = damaged[i].Object
	}
	holders, err := p.s.holders(ctx, ids)
	if err != nil {
		p.s.log.Warn("the names of damaged objects are not known", logkey.Error, err.Error())
	}
	for i := range damaged {
		for _, h := range holders {
			if h.Object == damaged[i].Object {
				damaged[i].Holders = append(damaged[i].Holders, h)
			}
		}
		p.report(damaged[i])
	}
}

// holders asks all name servers for the names of objects.
func (s *Server) holders(ctx context.Context, ids []cluster.ObjectID) (found []cluster.LinkHolder, err error) {
	if s.opts.Names == nil {
		return nil, nil
	}
	names, err := s.opts.Names()
	for _, ns := range names {
		f, e := ns.FindLinks(ctx, s.opts.ID, ids)
		found, err = append(found, f...), errors.Join(err, e)
	}
	return found, err
}

// object verifies one object, some blocks at a time. One that is gone, or changed place, is no error.
func (p *scrubber) object(ctx context.Context, id cluster.ObjectID) error {
	for first := 0; ; {
		n, err := p.blocks(ctx, id, first)
		if err != nil || n == 0 {
			return err
		}
		first += n
	}
}

// blocks verifies blocks of an object from the first-th on, at least one, and returns how many; 0 when there are none.
func (p *scrubber) blocks(ctx context.Context, id cluster.ObjectID, first int) (n int, err error) {
	s := p.s
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	pin := s.pins.acquire(id)
	defer s.pins.release(id, pin)
	var o object
	var payload []byte
	found := false
	err = s.store.View(func(sn *store.Snapshot) (err error) {
		if o, found, err = load(sn, id); err == nil && found && o.head.Small && o.head.parts() == 0 {
			payload, err = loadPayload(sn, id, o.parts[0])
		}
		return err
	})
	if err != nil || !found {
		return 0, err
	}
	list, err := o.all()
	if err != nil || first >= len(list) {
		return 0, err
	}
	if payload != nil {
		p.r.Bytes += int64(len(payload))
		return 0, verifyLogged(payload, id, o.head)
	}
	for read := int64(0); first+n < len(list) && (n == 0 || read+list[first+n].Length <= scrubPinned); n++ {
		if err := p.block(ctx, &o, first+n, list[first+n]); err != nil {
			return n, err
		}
		read += list[first+n].Length
	}
	return n, nil
}

// block verifies a block's payload, and that its header says the same.
func (p *scrubber) block(ctx context.Context, o *object, i int, e extent) error {
	s := p.s
	buf := s.bufs.get(bigBuffer)
	defer s.bufs.put(buf)
	crc := uint32(0)
	for off := int64(0); off < e.Length; {
		b := (*buf)[:min(int64(len(*buf)), e.Length-off)]
		if err := p.pace(ctx, len(b)); err != nil {
			return err
		}
		if err := s.pools.Read(e.Addr, o.id, off, b, e.CRCs[off/pools.ChunkBytes*4:]); err != nil {
			return err
		}
		crc = checksum.Update(crc, b)
		off += int64(len(b))
		p.r.Bytes += int64(len(b))
		s.n.scrubbedBytes.Add(int64(len(b)))
	}
	h, ok, err := s.pools.Header(e.Addr)
	if err != nil {
		return err
	}
	if want := blockHeader(o, i, e, crc); !ok || h != want {
		return &fault.Corruption{File: e.Addr.Name(s.opts.Dir), Offset: s.pools.HeaderOffset(e.Addr), What: fmt.Sprintf("header of block %d of object %v", e.Addr.Block, o.id),
			Want: fmt.Sprintf("%+v", want), Got: fmt.Sprintf("%+v", h)}
	}
	return nil
}

// blockHeader is what the header of a block says.
func blockHeader(o *object, i int, e extent, crc uint32) pools.Header {
	return pools.Header{Object: o.id, SizeBytes: o.head.Size, Offset: e.Offset, Part: uint32(i), Length: uint32(e.Length), CRC: crc}
}

// pace waits until n bytes may be read. What was not used is not saved up.
func (p *scrubber) pace(ctx context.Context, n int) error {
	if p.rate <= 0 {
		return p.s.going(ctx)
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	if wait := p.next.Sub(now); wait > scrubSleepIn {
		return p.s.pause(ctx, wait)
	}
	return p.s.going(ctx)
}

// runScrub is the goroutine that reads everything now and then. A pass begins at a random place, so that restarts do not keep the newest objects from their turn.
func (s *Server) runScrub() {
	for wait := min(scrubFirst, s.opts.ScrubEvery); s.pause(s.closing, wait) == nil; wait = s.opts.ScrubEvery {
		begun := time.Now()
		r, err := s.ScrubObjects(s.closing, s.somewhere(), s.opts.ScrubRate, s.logDamage)
		switch {
		case s.closing.Err() != nil:
			return
		case err != nil:
			s.log.Error("the scrub was given up; it will be tried again", logkey.Error, err.Error())
		default:
			s.n.scrubPasses.Add(1)
			s.n.damagedNow.Store(r.Damaged)
			s.log.Info("scrubbed", logkey.Count, r.Objects, logkey.Bytes, r.Bytes, logkey.Duration, time.Since(begun), "damaged", r.Damaged)
		}
	}
}

func (s *Server) logDamage(d Damage) {
	log := s.log.With(logkey.Object, d.Object.String(), logkey.File, d.File, logkey.Offset, d.Offset, logkey.Error, d.Err.Error())
	if len(d.Holders) == 0 {
		log.Error("damaged object, whose name is not known")
	}
	for _, h := range d.Holders {
		log.Error("damaged object", logkey.Bucket, h.Bucket.String(), logkey.Key, h.Key, "version", h.Version.String(), "part", h.Part)
	}
}

// somewhere returns an id between those of the oldest and the newest object; zero when there are none. Ids begin with the time of their making.
func (s *Server) somewhere() (id cluster.ObjectID) {
	var oldest cluster.ObjectID
	if err := s.Objects(s.closing, id, func(first cluster.ObjectID, _, _ int64) bool { oldest = first; return false }); err != nil {
		return id
	}
	newest := cluster.NewObjectID()
	lo, hi := idTime(oldest), idTime(newest)
	if oldest.IsZero() || lo >= hi {
		return id
	}
	at := lo + rand.Int64N(hi-lo)
	for i := range 6 {
		id[i] = byte(at >> (8 * (5 - i)))
	}
	return id
}

// idTime returns the milliseconds that an id begins with.
func idTime(id cluster.ObjectID) (ms int64) {
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms
}
