package objserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/pools"
)

// The object tree made anew, from the headers of all blocks and from what name servers refer to. Invariants:
//
//  1. An object is made only when somebody refers to it: the header of a freed block stays, so headers alone would bring back what was deleted. Blocks of other objects are free.
//  2. The bytes under an object id never change. So of several headers that name the same part of an object (a block that was moved, and not used again) any counts whose
//     payload has the header's checksum; two whose payloads differ are a conflict, and the object is lost rather than mixed.
//  3. Every payload is read and verified: the header of a block that was being used again may still be that of before.
//  4. Blocks stay where they are, in files of earlier generations, which are synced before they are read. Nothing is written but a new generation's files, and nothing is removed.
//  5. The new generation counts when it is adopted (store.Adopt), all at once. Before that the service does not start; a rebuild that was interrupted is begun again.

// LostObject is one that somebody refers to and that is not whole.
type LostObject struct {
	Object cluster.ObjectID
	Err    error
}

// RebuildReport says what a rebuild found.
type RebuildReport struct {
	Files, Headers int64 // pool files, and blocks in them that were ever written
	Objects, Bytes int64 // that are there again
	Logged         int64 // of Objects: those whose payload was in the log or the tree only
	Unnamed        int64 // headers of objects that nobody refers to: deleted ones, mostly
	Spare          int64 // headers of wanted objects that were not needed: blocks from which something was moved, mostly
	Unfinished     int64 // objects that only a guard refers to and that are not whole: their upload did not end
	Conflicts      int64 // of Lost: those of which two different contents are there
	Unreadable     int64 // records, pages and files of the old log and tree that are damaged
	Lost           []LostObject
	Damaged        []error // places in pool files that could not be read, up to 1000
}

const (
	maxDamaged   = 1000
	rebuildBatch = 256     // objects in a batch
	rebuildBytes = 1 << 20 // of their records
)

// RebuildOptions are those of a rebuild.
type RebuildOptions struct {
	Options
	// Wanted holds every object that something on a name server refers to, with its size; 0 = not known, and it need not be whole: only a guard refers to it.
	Wanted map[cluster.ObjectID]int64
	// SkipUnreadable loses objects of which the file system cannot read a block. Without it the rebuild ends with that error, which may pass.
	SkipUnreadable bool
}

// Rebuild makes the object tree in opts.Dir anew in a generation of its own, which the owner has claimed, for a service that is not open. It reads every block of
// every wanted object. After an error nothing is different: the service, which starts with neither the old nor half a new tree, wants to be rebuilt again.
func Rebuild(ctx context.Context, opts RebuildOptions) (RebuildReport, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return RebuildReport{}, err
	}
	s := newServer(ctx, opts.Options)
	defer s.stop()
	s.home = opts.Owner.Generation()
	so := s.storeOptions()
	so.Anew = true
	st, err := store.Open(ctx, so)
	if err != nil {
		return RebuildReport{}, err
	}
	s.store = st
	s.pools, err = pools.Open(ctx, pools.Options{FS: opts.FS, Dir: opts.Dir, Service: opts.ID, Home: s.home, Geometry: opts.Geometry, Logger: opts.Logger, Fail: opts.Owner.Fail},
		func(func(pools.RegionID, pools.RegionRecord) bool) {})
	close(s.ready)
	r := &rebuild{s: s, opts: opts}
	if err == nil {
		err = r.run(ctx)
		defer s.pools.Close() //nolint:errcheck // what was written is synced
	}
	if cerr := s.store.Close(context.WithoutCancel(ctx)); err == nil {
		err = cerr
	}
	if err != nil {
		return r.report, fmt.Errorf("objserver: rebuild: %w", err)
	}
	return r.report, nil
}

// candidate is a header of a wanted object.
type candidate struct {
	object int // index in rebuild.ids
	addr   pools.Addr
	header pools.Header
}

type rebuild struct {
	s       *Server
	opts    RebuildOptions
	report  RebuildReport
	ids     []cluster.ObjectID // wanted, ascending
	found   []candidate
	missing map[cluster.ObjectID]error // not whole in blocks, and why
	masks   *checker                   // gathers region records
	drafts  []rebuilt                  // not written yet
	bytes   int                        // of them
}

type rebuilt struct {
	id cluster.ObjectID
	d  *draft
}

func (r *rebuild) run(ctx context.Context) error {
	r.missing = make(map[cluster.ObjectID]error)
	r.masks = &checker{s: r.s, records: true, want: make(map[pools.RegionID]*pools.RegionRecord)}
	for id := range r.opts.Wanted {
		r.ids = append(r.ids, id)
	}
	slices.SortFunc(r.ids, compareIDs)
	for _, step := range []func(context.Context) error{r.scan, r.objects, r.writeMasks, r.salvage} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for id, err := range r.missing {
		if r.opts.Wanted[id] == 0 {
			r.report.Unfinished++
			continue
		}
		if errors.Is(err, errConflict) {
			r.report.Conflicts++
		}
		r.report.Lost = append(r.report.Lost, LostObject{id, err})
	}
	slices.SortFunc(r.report.Lost, func(a, b LostObject) int { return compareIDs(a.Object, b.Object) })
	return r.s.store.Adopt(ctx)
}

func (r *rebuild) damaged(err error) {
	if len(r.report.Damaged) < maxDamaged {
		r.report.Damaged = append(r.report.Damaged, err)
	}
}

// scan reads all headers.
func (r *rebuild) scan(ctx context.Context) error {
	for _, id := range r.s.pools.Files() {
		r.report.Files++
		if err := r.s.pools.HeadOf(id); err != nil {
			r.damaged(err)
		}
		name := id.Name(r.opts.Dir)
		if err := r.syncFile(name); err != nil {
			return err
		}
		err := r.s.pools.Headers(ctx, id, func(in pools.Inspected) error {
			r.report.Headers++
			if in.Err != nil {
				r.damaged(in.Err)
				return nil //nolint:nilerr // a block that cannot be read costs its object only
			}
			i, ok := slices.BinarySearchFunc(r.ids, in.Header.Object, compareIDs)
			if !ok {
				r.report.Unnamed++
				return nil
			}
			r.found = append(r.found, candidate{i, pools.Addr{FileID: id, Block: in.Block}, in.Header})
			return nil
		})
		if fault.KindOf(err) == fault.Corrupt {
			r.damaged(err)
			continue
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(r.found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.header.Part, b.header.Part), cmp.Compare(b.addr.Generation, a.addr.Generation), b.addr.Compare(a.addr))
	})
	return nil
}

// syncFile makes durable what a dead owner wrote, before it counts.
func (r *rebuild) syncFile(name string) error {
	f, err := r.opts.FS.OpenRead(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// objects makes every object whose blocks are all there.
func (r *rebuild) objects(ctx context.Context) error {
	at := 0
	for i, id := range r.ids {
		if err := r.s.going(ctx); err != nil {
			return err
		}
		from := at
		for at < len(r.found) && r.found[at].object == i {
			at++
		}
		d, err := r.assemble(id, r.opts.Wanted[id], r.found[from:at])
		switch {
		case fault.KindOf(err) == fault.Corrupt:
			r.missing[id] = err
			continue
		case err != nil:
			return err
		}
		r.report.Spare += int64(at - from - len(d.addrs))
		if err := r.add(ctx, id, d); err != nil {
			return err
		}
	}
	return r.flush(ctx)
}

var errConflict = errors.New("two different contents are there")

// assemble makes the record of an object from blocks that hold its parts. size 0: as the headers say. It returns fault.Corrupt when they do not.
func (r *rebuild) assemble(id cluster.ObjectID, size int64, found []candidate) (*draft, error) {
	if size == 0 && len(found) > 0 {
		size = found[0].header.SizeBytes
	}
	if size < 1 || size > cluster.MaxPutBytes {
		return nil, fault.New(fault.Corrupt, "no block of it is there")
	}
	split := pools.Split(nil, size)
	d := newDraft(size, false, createdAt(id), len(split))
	left := found
	offset := int64(0)
	for part, k := range split {
		length := min(size-offset, k.BlockBytes())
		var some []candidate
		for ; len(left) > 0 && int(left[0].header.Part) <= part; left = left[1:] {
			if h := left[0].header; int(h.Part) == part && h.SizeBytes == size && h.Offset == offset && int64(h.Length) == length && left[0].addr.Pool == k {
				some = append(some, left[0])
			}
		}
		if err := r.choose(d, some); err != nil {
			return nil, fault.Wrap(fault.KindOf(err), err, "block %d of %d, bytes %d to %d", part+1, len(split), offset, offset+length)
		}
		offset += length
	}
	return d, nil
}

// choose adds the best of the blocks that say that they hold one part: the newest whose payload is whole.
func (r *rebuild) choose(d *draft, some []candidate) (err error) {
	if len(some) == 0 {
		return fault.New(fault.Corrupt, "no header names it: it was never written, or its header is damaged")
	}
	buf := r.s.bufs.get(bigBuffer)
	defer r.s.bufs.put(buf)
	chosen := -1
	var sums []byte
	var whole uint32
	for i, c := range some {
		if chosen >= 0 && c.header.CRC == some[chosen].header.CRC {
			continue // a copy
		}
		crc := d.head.CRC
		b, rerr := r.s.pools.Sums(nil, &crc, c.addr, c.header, *buf)
		switch {
		case rerr == nil && chosen >= 0:
			return fault.Wrap(fault.Corrupt, errConflict, "blocks %v and %v", some[chosen].addr, c.addr)
		case rerr == nil:
			chosen, sums, whole = i, b, crc
		case fault.KindOf(rerr) == fault.Corrupt, r.opts.SkipUnreadable && fault.KindOf(rerr) == fault.Unavailable:
			err = cmp.Or(err, rerr)
		default:
			return rerr
		}
	}
	if chosen < 0 {
		return fault.Wrap(fault.Corrupt, err, "its payload is damaged")
	}
	d.block(some[chosen].addr)
	d.body = append(d.body, sums...)
	d.head.CRC = whole
	return nil
}

// createdAt returns when an object was made, as its id says: headers do not tell.
func createdAt(id cluster.ObjectID) time.Time {
	var b [8]byte
	copy(b[2:], id[:6])
	t := time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
	if now := time.Now(); t.After(now) {
		return now
	}
	return t
}

func (r *rebuild) add(ctx context.Context, id cluster.ObjectID, d *draft) error {
	left := d.head.Size
	for i, a := range d.addrs {
		e := extent{Addr: a, Length: min(left, a.Pool.BlockBytes())}
		left -= e.Length
		r.masks.take(id, i, e)
	}
	if len(r.masks.problems) > 0 { // a block has one header, so it is in one object
		return r.masks.problems[0]
	}
	r.report.Objects++
	r.report.Bytes += d.head.Size
	r.drafts = append(r.drafts, rebuilt{id, d})
	r.bytes += len(d.body) + headBytes
	if len(r.drafts) < rebuildBatch && r.bytes < rebuildBytes {
		return nil
	}
	return r.flush(ctx)
}

func (r *rebuild) flush(ctx context.Context) error {
	batch := r.drafts
	r.drafts, r.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	return r.s.store.Update(ctx, func(tx *store.Tx) error {
		for _, o := range batch {
			o.d.put(tx, o.id)
		}
		return nil
	})
}

// writeMasks writes the region records of all blocks that objects have.
func (r *rebuild) writeMasks(ctx context.Context) error {
	ids := make([]pools.RegionID, 0, len(r.masks.want))
	for id := range r.masks.want {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b pools.RegionID) int { return bytes.Compare(appendRegionKey(nil, a), appendRegionKey(nil, b)) })
	for some := range slices.Chunk(ids, repairBatch) {
		if err := r.s.going(ctx); err != nil {
			return err
		}
		err := r.s.store.Update(ctx, func(tx *store.Tx) error {
			for _, id := range some {
				tx.Put(appendRegionKey(nil, id), r.masks.want[id].Append(nil))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// salvage makes the objects whose payload is in what is left of the log or the tree only. They get new blocks.
func (r *rebuild) salvage(ctx context.Context) error {
	if len(r.missing) == 0 {
		return nil
	}
	lost, err := store.Salvage(ctx, r.opts.FS, r.opts.Dir, r.s.home, func(key, value []byte) error {
		if key[0] != prefixPayload {
			return nil
		}
		_, id, err := decodePayloadKey(key)
		if err != nil {
			return nil //nolint:nilerr // no key of ours: it cannot be wanted
		}
		if _, ok := r.missing[id]; !ok {
			return nil
		}
		if want := r.opts.Wanted[id]; len(value) == 0 || want != 0 && want != int64(len(value)) {
			return nil
		}
		data := bytes.Clone(value)
		d, err := r.s.draftSmall(data, createdAt(id))
		if err != nil {
			return err
		}
		if _, err := r.s.commitNew(ctx, id, d, data); err != nil {
			return err
		}
		delete(r.missing, id)
		r.report.Objects++
		r.report.Bytes += int64(len(data))
		r.report.Logged++
		return nil
	})
	r.report.Unreadable += int64(lost)
	return err
}

// NoTree reports whether an error of Open says that the service's tree or log is lost or damaged, so that it wants to be rebuilt; not that something else is in the way.
func NoTree(err error) bool {
	return errors.Is(err, fault.Corrupt) || errors.Is(err, fs.ErrNotExist) || fault.KindOf(err) == fault.Corrupt
}
