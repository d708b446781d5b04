package redolog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/invariant"
)

// Payload is what Append stores. PayloadBytes is its exact length, AppendPayload appends it to b and returns the longer slice.
type Payload interface {
	PayloadBytes() int
	AppendPayload(b []byte) []byte
}

// Options say where a log lies and whom it tells.
type Options struct {
	FS         fsbackend.FS
	Dir        string // directory of the home generation; exists
	Home       uint64 // generation whose directory that is
	Generation uint64 // of the writer; at least Home

	SegmentBytes int64 // length of new segments; 0 = 16 MiB
	MaxSegments  int   // files of this length at most, those of Existing included; 0 = 4; at least 3
	Next         LSN   // of the first record to append; everything before it is durable
	Existing     []Segment
	Obsolete     LSN // Existing segments whose records are all at or below may be reused at once

	Mu        *sync.Mutex      // the lock; Append and the methods named ...Locked expect it held
	OnCut     func(last LSN)   // a group ends with record last: what is appended later is in a later group. Mu is held. May be nil
	OnDurable func(last LSN)   // every record up to last is durable; called before anybody who waits is woken. Mu is held. May be nil
	OnFail    func(err error)  // a write or sync failed, the log is closed for good. Called once, Mu is not held. May be nil
	Check     func() error     // asked before a segment is reused or removed. May be nil
	Logger    *slog.Logger     // nil = slog.Default
	MaxDelay  time.Duration    // longest wait for more writers; 0 = 6 ms, negative = none
	LazyDelay time.Duration    // longest time that a lazy record stays in memory; 0 = 50 ms
	now       func() time.Time // tests
}

// EnsureDefaults sets what is zero.
func (o *Options) EnsureDefaults() {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 16 << 20
	}
	o.SegmentBytes = max(o.SegmentBytes&^4095, MinSegmentBytes)
	if o.MaxSegments == 0 {
		o.MaxSegments = 4
	}
	o.MaxSegments = max(o.MaxSegments, 3)
	if o.MaxDelay == 0 {
		o.MaxDelay = 6 * time.Millisecond
	}
	if o.LazyDelay == 0 {
		o.LazyDelay = 50 * time.Millisecond
	}
	if o.Next == 0 {
		o.Next = 1
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Mu == nil {
		o.Mu = new(sync.Mutex)
	}
	if o.now == nil {
		o.now = time.Now
	}
}

// Log is an open log. Safe for concurrent use.
type Log struct {
	opts     Options
	log      *slog.Logger
	kick     chan struct{} // wakes the committer; capacity 1
	prepare  chan struct{} // wakes the preparer; capacity 1
	stop     chan struct{} // closed by Close and by fail
	stopOnce sync.Once
	wg       sync.WaitGroup
	durable  atomic.Uint64 // LSN; written under mu
	counters counters

	mu       *sync.Mutex
	err      error         // why the log is closed; nil = open
	closing  bool          // no more appends; the committer drains and ends
	next     LSN           // of the next record
	tail     int64         // offset in cur of the next record
	cur      *segment      // nil before the first append
	used     []*segment    // that hold records still needed, oldest first; cur is the last
	free     []*segment    // ready for use
	files    int           // used + free + one being made
	sequence uint64        // of the next use of a segment
	number   uint64        // of the next new file
	noSpace  error         // why the last new segment could not be made
	room     chan struct{} // closed and replaced when a segment becomes free
	queue    []*group      // to be written, oldest first; the last one may be open
	inflight *group        // being written
	gather   gather
	spareBuf [][]byte // buffers of finished groups
}

// group is what one write and one fdatasync make durable. It lies in one segment.
type group struct {
	seg         *segment
	off         int64 // of buf in the segment
	buf         []byte
	headerBytes int // of buf that are the segment's header: HeaderBytes for the first group of a segment, else 0
	first, last LSN
	waiters     int  // records that are not lazy
	cut         bool // closed for new records
	err         error
	done        chan struct{} // closed when durable or failed
}

// Open starts a log behind what is there. It prepares the first segment when no existing one can be reused.
func Open(ctx context.Context, opts Options) (*Log, error) {
	opts.EnsureDefaults()
	l := &Log{opts: opts, log: opts.Logger.With("component", "redolog"), kick: make(chan struct{}, 1), prepare: make(chan struct{}, 1),
		stop: make(chan struct{}), mu: opts.Mu, next: opts.Next, sequence: 1, number: 1, room: make(chan struct{})}
	l.durable.Store(opts.Next - 1)
	l.gather.init(&opts)
	if err := l.adopt(); err != nil {
		l.closeFiles()
		return nil, err
	}
	if len(l.free) == 0 {
		s, err := l.newSegment(ctx, l.number)
		if err != nil {
			l.closeFiles()
			return nil, err
		}
		l.number++
		l.files++
		l.free = append(l.free, s)
	}
	l.wg.Add(2)
	go l.commitLoop()
	go l.prepareLoop()
	l.wakePreparer()
	return l, nil
}

// errNoRoom is what Append returns when every segment holds records that are still needed.
func (l *Log) errNoRoomLocked() error {
	if l.noSpace != nil {
		return fault.Wrap(fault.NoSpace, l.noSpace, "redolog: no free segment")
	}
	return fault.New(fault.NoSpace, "redolog: no free segment")
}

// Append adds a record behind all others and returns its LSN. Mu must be held. The payload's bytes are copied. It returns fault.TooLarge for a payload that
// does not fit in a segment and fault.NoSpace when no segment is free (see Room); then nothing was appended. Unless lazy, a commit begins soon.
func (l *Log) Append(p Payload, lazy bool) (LSN, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.closing {
		return 0, fault.New(fault.Unavailable, "redolog: closed")
	}
	payloadBytes := p.PayloadBytes()
	size := recordSize(payloadBytes)
	if payloadBytes > MaxRecordBytes || HeaderBytes+int64(size) > l.opts.SegmentBytes {
		return 0, fault.New(fault.TooLarge, "redolog: record of %d bytes, segments have %d", payloadBytes, l.opts.SegmentBytes)
	}
	g, err := l.openGroupLocked(size)
	if err != nil {
		return 0, err
	}
	r := Record{LSN: l.next, Generation: l.opts.Generation, Durable: l.durable.Load(), Lazy: lazy}
	start := len(g.buf)
	g.buf = append(g.buf, make([]byte, recordHeaderSize)...)
	putRecordHeader(g.buf[start:], &r, payloadBytes)
	g.buf = p.AppendPayload(g.buf)
	invariant.Assert(len(g.buf)-start == recordHeaderSize+payloadBytes, "redolog: payload of %d bytes announced, got %d", payloadBytes,
		len(g.buf)-start-recordHeaderSize)
	for len(g.buf)-start < size {
		g.buf = append(g.buf, 0)
	}
	l.tail += int64(size)
	g.last = r.LSN
	l.next++
	l.counters.records.Add(1)
	l.counters.recordBytes.Add(uint64(size))
	if lazy {
		l.lazyLocked(g)
	} else {
		g.waiters++
		l.hurryLocked()
	}
	return r.LSN, nil
}

// openGroupLocked returns the group that takes a record of size bytes, and moves on to the next segment where needed.
func (l *Log) openGroupLocked(size int) (*group, error) {
	if l.cur == nil || l.tail+int64(size) > l.cur.sizeBytes {
		if len(l.free) == 0 {
			l.wakePreparer()
			return nil, l.errNoRoomLocked()
		}
		l.cutLocked()
		l.activateLocked()
		g := l.newGroupLocked()
		g.buf = l.cur.header.append(g.buf)
		g.buf = append(g.buf, make([]byte, HeaderBytes-len(g.buf))...)
		g.headerBytes = HeaderBytes
		l.tail = HeaderBytes
		return g, nil
	}
	if n := len(l.queue); n > 0 && !l.queue[n-1].cut {
		return l.queue[n-1], nil
	}
	return l.newGroupLocked(), nil
}

// activateLocked makes the first free segment the current one. What was written in an earlier use of it counts no more once the new header is durable.
func (l *Log) activateLocked() {
	s := l.free[0]
	l.free = l.free[1:]
	s.header = SegmentHeader{Home: l.opts.Home, Number: s.number, Sequence: l.sequence, SizeBytes: uint64(s.sizeBytes), Generation: l.opts.Generation, First: l.next}
	s.seed = s.header.seed()
	l.sequence++
	l.cur, l.tail = s, 0
	l.used = append(l.used, s)
	l.counters.segments.Add(1)
	l.wakePreparer()
}

func (l *Log) newGroupLocked() *group {
	g := &group{seg: l.cur, off: l.tail, first: l.next, last: l.next - 1, done: make(chan struct{})}
	if n := len(l.spareBuf); n > 0 {
		g.buf, l.spareBuf = l.spareBuf[n-1][:0], l.spareBuf[:n-1]
	}
	l.queue = append(l.queue, g)
	return g
}

// cutLocked closes the open group, if there is one.
func (l *Log) cutLocked() {
	if n := len(l.queue); n > 0 && !l.queue[n-1].cut {
		g := l.queue[n-1]
		g.cut = true
		g.seg.last = g.last
		if l.opts.OnCut != nil {
			l.opts.OnCut(g.last)
		}
	}
}

// Wait returns nil once every record up to lsn is durable, starting a commit where needed. It returns the context's error when that ends first, and the
// log's error when it has failed. lsn must have been returned by Append, or be less. Mu must not be held.
func (l *Log) Wait(ctx context.Context, lsn LSN) error {
	if l.durable.Load() >= lsn {
		return nil
	}
	l.mu.Lock()
	g := l.groupLocked(lsn)
	if g == nil {
		err := l.err
		l.mu.Unlock()
		if l.durable.Load() >= lsn {
			return nil
		}
		return err
	}
	if g != l.inflight && !l.gather.urgent {
		l.hurryLocked()
	}
	l.mu.Unlock()
	if ctx.Done() == nil {
		<-g.done
		return g.err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// groupLocked returns the group of a record that is not durable yet; nil when there is none.
func (l *Log) groupLocked(lsn LSN) *group {
	if l.inflight != nil && lsn <= l.inflight.last {
		return l.inflight
	}
	for _, g := range l.queue {
		if lsn <= g.last {
			return g
		}
	}
	return nil
}

// Durable returns the LSN up to which every record is durable.
func (l *Log) Durable() LSN { return l.durable.Load() }

// LastLocked returns the LSN of the newest record, durable or not; Next-1 of the options when there is none.
func (l *Log) LastLocked() LSN { return l.next - 1 }

// Err returns why the log is closed, nil while it is not.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// fail closes the log for good. The owner hears of it before those who wait do. Mu must not be held.
func (l *Log) fail(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if !first {
		return
	}
	if l.opts.OnFail != nil {
		l.opts.OnFail(err)
	}
	l.mu.Lock()
	waiting := l.queue
	if l.inflight != nil {
		waiting = append([]*group{l.inflight}, waiting...)
	}
	l.queue, l.inflight = nil, nil
	for _, g := range waiting {
		g.err = l.err
		close(g.done)
	}
	l.signalRoomLocked()
	l.mu.Unlock()
	l.stopOnce.Do(func() { close(l.stop) })
}

// Close writes what was appended, lazy or not, and ends the log's goroutines. It returns the log's error, also that of a failure long ago. Appends that come later get
// fault.Unavailable. When ctx ends first, the log is failed with its error.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.hurryLocked()
	last := l.next - 1
	l.mu.Unlock()
	err := l.Wait(ctx, last)
	if err != nil {
		l.fail(err)
	}
	l.stopOnce.Do(func() { close(l.stop) })
	l.wg.Wait()
	l.closeFiles()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
