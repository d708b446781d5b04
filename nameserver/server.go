package nameserver

import (
	"context"
	"errors"
	"fmt"
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
)

// largestBatchBytes bounds one request's batch: the completion of 10,000 parts with the longest ETags and checksums makes 157 chunks of 16 KiB and their keys.
const largestBatchBytes = 4 << 20

// Options of Open.
type Options struct {
	FS      fsbackend.FS
	Dir     string      // the service's directory: services/<16hex>
	Owner   store.Owner // proof of ownership; its generation orders versions
	Objects cluster.ObjectServers

	GarbageDelay time.Duration    // from removal of a name to deletion of its bytes, for reads that run; 0 = 60 s, negative = none
	Clock        func() time.Time // for deadlines and delays, never for order; nil = time.Now

	SegmentBytes, LogBytes    int64 // see store.Options; 0 = its defaults, but segments hold the largest batch of a name server
	MemtableBytes, CacheBytes int64

	Logger *slog.Logger // nil = discard
}

// EnsureDefaults sets what is zero.
func (o *Options) EnsureDefaults() {
	if o.GarbageDelay == 0 {
		o.GarbageDelay = time.Minute
	}
	o.GarbageDelay = max(o.GarbageDelay, 0)
	if o.SegmentBytes == 0 && o.LogBytes > 0 {
		o.SegmentBytes = min(max(o.LogBytes/8, largestBatchBytes), 16<<20)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate returns fault.Invalid for what cannot be opened.
func (o *Options) Validate() error {
	if o.FS == nil || o.Owner == nil || o.Objects == nil || o.Dir == "" {
		return fault.New(fault.Invalid, "nameserver: FS, Dir, Owner and Objects must be set")
	}
	return nil
}

// Server is a name server. Safe for concurrent use.
type Server struct {
	store *store.Store
	opts  Options
	log   *slog.Logger

	generation uint64
	sequence   uint64 // last one given in this generation; guarded by the store's write lock

	guards guardIndex
	seals  sealIndex
	doubts doubts
	gc     collector

	wake  chan struct{}   // capacity 1: the earliest guard deadline may have changed
	run   context.Context // ends when Close begins
	stop  context.CancelFunc
	tasks sync.WaitGroup

	life   patient.RWMutex // held shared by readers: Close waits for their snapshots
	closed bool            // guarded by life

	counters counters
}

var _ cluster.NameServer = (*Server)(nil)

// counters of Stats; all since Open.
type counters struct {
	expired, queued, collected, spared, refused atomic.Uint64
}

// Stats describes a server. Counts are since Open.
type Stats struct {
	Store store.Stats

	Guards        int    // running writes
	GuardsExpired uint64 // guards that passed their deadline
	Queued        uint64 // entries added to the garbage queue
	Collected     uint64 // objects that object servers were asked to delete, and confirmed
	Spared        uint64 // queued objects that were found in use and kept: late guards, or a bug if it grows
	CollectErrors uint64 // batches that an object server did not take
}

// Open recovers the tables of a name server and serves. ctx bounds opening only. The caller has the lease; it releases it only after Close returned nil.
func Open(ctx context.Context, opts Options) (*Server, error) {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, store.Options{FS: opts.FS, Dir: opts.Dir, Owner: opts.Owner, SegmentBytes: opts.SegmentBytes, LogBytes: opts.LogBytes,
		MemtableBytes: opts.MemtableBytes, CacheBytes: opts.CacheBytes, Logger: opts.Logger})
	if err != nil {
		return nil, fmt.Errorf("nameserver: open %s: %w", opts.Dir, err)
	}
	s := &Server{store: st, opts: opts, log: opts.Logger.With("component", "nameserver"), generation: opts.Owner.Generation(), wake: make(chan struct{}, 1)}
	s.guards.init()
	s.gc.init()
	if err := s.load(); err != nil {
		_ = st.Close(context.WithoutCancel(ctx)) // the first error says what is wrong
		return nil, fmt.Errorf("nameserver: open %s: %w", opts.Dir, err)
	}
	run, cancel := context.WithCancel(context.Background())
	s.run, s.stop = run, cancel
	s.tasks.Add(2)
	go s.expire(run)
	go s.collect(run)
	return s, nil
}

// load builds the hints in memory: running guards and sealed buckets, both few.
func (s *Server) load() error {
	return s.view(func(snap *store.Snapshot) error {
		if err := checkRestored(snap); err != nil {
			return err
		}
		err := scan(snap, []byte{tagGuard}, func(k, v []byte) error {
			l, ok := linkOfGuardKey(k)
			g, err := decodeGuard(v)
			if !ok || err != nil {
				return fault.New(fault.Corrupt, "guard table holds a malformed entry")
			}
			s.guards.set(l, g.deadline)
			return nil
		})
		if errors.Is(err, fault.Corrupt) { // they still hold, and are ended by name, but do not expire: what they stand for is found by the object servers' search for orphans
			s.log.Error("guards that cannot be read will not expire", logkey.Error, err)
		} else if err != nil {
			return err
		}
		return scan(snap, []byte{tagSeal}, func(k, _ []byte) error {
			id, _, ok := cutBucketPrefix(k)
			if !ok {
				return fault.New(fault.Corrupt, "seal table holds a malformed entry")
			}
			s.seals.add(id)
			return nil
		})
	})
}

// Close stops the background work, waits for readers, drains and closes the store. After an error the lease must not be released. Later calls return fault.Unavailable.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	s.tasks.Wait()
	s.life.Lock()
	s.closed = true
	s.life.Unlock()
	if err := s.store.Close(ctx); err != nil {
		return fmt.Errorf("nameserver: close: %w", err)
	}
	return nil
}

// view calls fn with the newest durable state; see store.View.
func (s *Server) view(fn func(*store.Snapshot) error) error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return fault.New(fault.Unavailable, "nameserver: closed")
	}
	return s.store.View(fn)
}

// Flush writes a checkpoint: a restart has no log to replay then.
func (s *Server) Flush(ctx context.Context) error { return s.store.Checkpoint(ctx) }

// Stats returns counters and gauges.
func (s *Server) Stats() Stats {
	return Stats{Store: s.store.Stats(), Guards: s.guards.len(), GuardsExpired: s.counters.expired.Load(), Queued: s.counters.queued.Load(),
		Collected: s.counters.collected.Load(), Spared: s.counters.spared.Load(), CollectErrors: s.counters.refused.Load()}
}

// nextVersion gives the id of a new version. Called inside a write transaction only; a number that was given to a batch that failed is not used again.
func (s *Server) nextVersion() cluster.VersionID {
	s.sequence++
	return cluster.VersionID{Generation: s.generation, Sequence: s.sequence}
}

func (s *Server) now() int64 { return millis(s.opts.Clock()) }

// reader is what transactions and snapshots have in common.
type reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Iter(lo, hi []byte) *store.Iter
}

// scan calls fn for every entry whose key begins with prefix, in order. Key and value are valid during the call only.
func scan(r reader, prefix []byte, fn func(k, v []byte) error) error {
	it := r.Iter(prefix, successor(prefix))
	defer it.Close()
	for it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Err()
}
