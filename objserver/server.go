package objserver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/fsbackend/store"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/internal/patient"
	"ostor/pools"
)

var _ cluster.ObjectServer = (*Server)(nil)

// MaxSmallBytes is the highest limit for payloads in the log: a payload that a crash leaves there must fit a value of the tree.
const MaxSmallBytes = store.MaxValueBytes

// Options says where an object server lives and what it may use.
type Options struct {
	FS    fsbackend.FS
	Dir   string // of the service: services/<16hex>
	Owner store.Owner
	ID    cluster.ServiceID

	SmallBytes  int64 // payloads of at most this many bytes ride in the log; 0 = 64 KiB (also the highest), negative = none
	BufferBytes int64 // budget of 1 MiB buffers; 0 = 48 MiB

	SegmentBytes, LogBytes, MemtableBytes, CacheBytes int64 // of the store; 0 = its defaults

	JanitorEvery time.Duration // between two rounds of the janitor; 0 = 2 s, negative = it does not run: Collect does a round
	Logger       *slog.Logger  // nil = slog.Default

	// Names returns the name servers of the volume, for what must be known about names: which objects have none, and whose the damaged ones are. nil: neither is looked for.
	Names       func() ([]cluster.NameServer, error)
	OrphanAge   time.Duration // objects younger than this are never taken for orphans: longer than any guard lasts; 0 = 48 h
	OrphanEvery time.Duration // between two searches for orphans; 0 = 24 h, negative = none: FreeOrphans makes one
	OrphanFew   int           // more unknown objects than this in a batch of 65,536, and more than a tenth of it, are not believed to be orphans; 0 = 1000

	ScrubRate  int64         // bytes a second that the scrub reads; 0 = 8 MiB
	ScrubEvery time.Duration // from the end of one scrub to the beginning of the next; 0 = 24 h, negative = none: ScrubObjects makes one

	// Geometry lays out new pool files; nil = pools.DefaultGeometry. For tests, which fill files.
	Geometry func(pools.Pool) pools.Geometry
}

// EnsureDefaults sets what is zero.
func (o *Options) EnsureDefaults() {
	if o.SmallBytes == 0 {
		o.SmallBytes = MaxSmallBytes
	}
	o.SmallBytes = min(o.SmallBytes, MaxSmallBytes)
	o.BufferBytes = cmp.Or(o.BufferBytes, 48<<20)
	o.JanitorEvery = cmp.Or(o.JanitorEvery, 2*time.Second)
	o.OrphanAge = cmp.Or(o.OrphanAge, 48*time.Hour)
	o.OrphanEvery = cmp.Or(o.OrphanEvery, 24*time.Hour)
	o.OrphanFew = cmp.Or(o.OrphanFew, orphanFew)
	o.ScrubRate = cmp.Or(o.ScrubRate, 8<<20)
	o.ScrubEvery = cmp.Or(o.ScrubEvery, 24*time.Hour)
	o.Logger = cmp.Or(o.Logger, slog.Default())
}

// Validate returns fault.Invalid when something is missing.
func (o *Options) Validate() error {
	if o.FS == nil || o.Owner == nil || o.Dir == "" || o.ID.Type() != cluster.TypeObject {
		return fault.New(fault.Invalid, "objserver: FS, Dir, Owner and the id of an object server are needed, not %v", o.ID)
	}
	return nil
}

// Server is an open object server. Safe for concurrent use.
type Server struct {
	opts  Options
	log   *slog.Logger
	home  uint64
	store *store.Store
	pools *pools.Pools
	pins  *pins
	bufs  *buffers

	open    patient.RWMutex // held shared by each call, alone by Close
	closed  bool
	closing context.Context // ends when Close begins
	stop    context.CancelFunc
	ready   chan struct{} // closed when pools is set, or Open failed
	janitor sync.WaitGroup
	collect patient.Mutex // one round at a time; guards rounds and stuck
	rounds  int
	stuck   map[pools.RegionID]time.Time // regions that could not be emptied: not tried again before
	orphans patient.Mutex                // one pass at a time

	slowPiece time.Duration // see the constant; tests change it

	objects, liveBytes atomic.Int64 // as the region records say
	n                  counters
}

// Open recovers the object server in Options.Dir, whose generation the owner has claimed, and serves. It returns fault.Stale when ownership is lost.
func Open(ctx context.Context, opts Options) (*Server, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := newServer(ctx, opts)
	home, err := homeOf(opts)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.home = home
	if s.store, err = store.Open(ctx, s.storeOptions()); err != nil {
		s.stop()
		return nil, err
	}
	if err := s.openPools(ctx); err != nil {
		s.stop()
		close(s.ready)
		_ = s.store.Close(ctx) // the first error counts
		return nil, err
	}
	close(s.ready)
	if opts.JanitorEvery > 0 {
		s.janitor.Go(s.runJanitor)
	}
	if opts.ScrubEvery > 0 {
		s.janitor.Go(s.runScrub)
	}
	if opts.Names != nil && opts.OrphanEvery > 0 {
		s.janitor.Go(s.runOrphans)
	}
	return s, nil
}

// newServer returns a server that is not open yet.
func newServer(ctx context.Context, opts Options) *Server {
	s := &Server{opts: opts, log: opts.Logger.With("component", "objserver", logkey.Service, opts.ID.String()), pins: newPins(), stuck: make(map[pools.RegionID]time.Time), bufs: newBuffers(opts.BufferBytes), ready: make(chan struct{}), slowPiece: slowPiece}
	s.closing, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

func (s *Server) storeOptions() store.Options {
	o := &s.opts
	return store.Options{
		FS: o.FS, Dir: o.Dir, Owner: o.Owner, Logger: o.Logger,
		SegmentBytes: o.SegmentBytes, LogBytes: o.LogBytes, MemtableBytes: o.MemtableBytes, CacheBytes: o.CacheBytes,
		Volatile: s.volatile, Sweep: s.sweep,
	}
}

// homeOf returns the generation whose directory will be written. It is needed before the store is open, since the store asks which keys are volatile while it recovers.
func homeOf(opts Options) (uint64, error) {
	prior, ok := opts.Owner.Inherits()
	if !ok {
		return opts.Owner.Generation(), nil
	}
	m, err := store.ReadManifest(opts.FS, opts.Dir, prior)
	if err != nil {
		return 0, fault.Wrap(fault.KindOf(err), err, "objserver: inherit generation %d", prior)
	}
	return m.Home, nil
}

// volatile says which keys are never written to the tree: payloads on their way to blocks of the home generation. Those of an earlier generation cannot go to their
// blocks any more; they are kept like other records until the mover has found blocks for them.
func (s *Server) volatile(key []byte) bool {
	return key[0] == prefixPayload && len(key) == payloadKeyBytes && binary.BigEndian.Uint64(key[1:]) == s.home
}

func (s *Server) openPools(ctx context.Context) error {
	if got := s.store.SealedHome(); got != s.home {
		return fault.New(fault.Internal, "objserver: the store writes generation %d, the pools %d", got, s.home)
	}
	sn := s.store.Snapshot()
	defer sn.Close()
	var last [pools.PoolCount]uint32
	for k := range last {
		v, ok, err := sn.Get(appendLastKey(nil, s.home, pools.Pool(k)))
		if err != nil {
			return err
		}
		if ok && len(v) == 4 {
			last[k] = binary.LittleEndian.Uint32(v)
		}
	}
	var bad error
	records := func(yield func(pools.RegionID, pools.RegionRecord) bool) {
		for id, r := range regions(sn, &bad) {
			s.objects.Add(int64(r.Objects))
			s.liveBytes.Add(int64(r.LiveBytes))
			if !yield(id, r) {
				return
			}
		}
	}
	p, err := pools.Open(ctx, pools.Options{
		FS: s.opts.FS, Dir: s.opts.Dir, Service: s.opts.ID, Home: s.home, Geometry: s.opts.Geometry, Logger: s.opts.Logger,
		Fail: s.opts.Owner.Fail, Last: func(k pools.Pool) uint32 { return last[k] },
	}, records)
	s.pools = p
	return errors.Join(bad, err)
}

// regions yields the region records of a snapshot, in key order. It stops at the first error, which it leaves in *bad.
func regions(sn *store.Snapshot, bad *error) iter.Seq2[pools.RegionID, pools.RegionRecord] {
	return func(yield func(pools.RegionID, pools.RegionRecord) bool) {
		it := sn.Iter([]byte{prefixRegion}, []byte{prefixRegion + 1})
		defer it.Close()
		for it.Next() {
			id, err := decodeRegionKey(it.Key())
			if err != nil {
				*bad = err
				return
			}
			r, err := pools.DecodeRegionRecord(it.Value())
			if err != nil {
				*bad = fault.Wrap(fault.KindOf(err), err, "region %v/%d", id.FileID, id.Region)
				return
			}
			if !yield(id, r) {
				return
			}
		}
		*bad = it.Err()
	}
}

// enter begins a call; leave ends it. It returns fault.Unavailable when the server is closed or has failed.
func (s *Server) enter() error {
	if !s.open.TryRLock() { // only Close holds it alone
		return fault.New(fault.Unavailable, "objserver: closed")
	}
	err := s.pools.Err()
	if s.closed {
		err = fault.New(fault.Unavailable, "objserver: closed")
	}
	if err != nil {
		s.open.RUnlock()
	}
	return err
}

func (s *Server) leave() { s.open.RUnlock() }

// Close ends the service: long reads and writes stop at their next piece, and everything is durable and idle when it returns nil, so the lease may be
// released. When ctx ends first, it returns its error and the server goes on closing; call it again to wait.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	idle := make(chan struct{})
	go func() { // ends with the last call in progress
		s.open.Lock()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		go func() { <-idle; s.open.Unlock() }()
		return ctx.Err()
	}
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.janitor.Wait()
	failed := s.pools.Err()
	if err := s.store.Close(ctx); err != nil {
		return errors.Join(err, failed)
	}
	s.closed = true
	return errors.Join(failed, s.pools.Close())
}

// Checkpoint brings all small payloads to their blocks and all records to the tree.
func (s *Server) Checkpoint(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.store.Checkpoint(ctx)
}
