package redolog

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// segment is an open segment file.
type segment struct {
	number    uint64
	sizeBytes int64
	file      fsbackend.File // nil for one of an earlier owner that is only waiting to be reused
	header    SegmentHeader  // of the current use
	seed      uint32
	last      LSN // of the newest record in it, once it is not the current one
}

// counters are read by Stats.
type counters struct {
	records, recordBytes, commits, writtenBytes, segments, delays atomic.Uint64
}

// Stats are counts since Open, and the present state.
type Stats struct {
	Records      uint64 // appended
	RecordBytes  uint64 // of them, with their headers
	Commits      uint64 // writes, each with its fdatasync
	WrittenBytes uint64
	Delays       uint64 // commits that waited for more writers
	Segments     uint64 // segments begun
	Used, Free   int    // segment files that hold needed records, and that are ready
	Next         LSN
	Durable      LSN
	NoSpace      bool // no new segment could be made
}

// Stats returns counts and state.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counters
	return Stats{Records: c.records.Load(), RecordBytes: c.recordBytes.Load(), Commits: c.commits.Load(), WrittenBytes: c.writtenBytes.Load(),
		Delays: c.delays.Load(), Segments: c.segments.Load(), Used: len(l.used), Free: len(l.free), Next: l.next, Durable: l.durable.Load(), NoSpace: l.noSpace != nil}
}

// adopt takes over the home's existing segments: those that are needed stay as they are, others are reused or, when they have another length, removed.
func (l *Log) adopt() error {
	for i := range l.opts.Existing {
		e := &l.opts.Existing[i]
		l.number = max(l.number, e.Number+1)
		l.sequence = max(l.sequence, e.Header.Sequence+1)
		l.files++
		s := &segment{number: e.Number, sizeBytes: e.SizeBytes, header: e.Header, last: e.Last}
		if e.Valid && e.Last > l.opts.Obsolete {
			l.used = append(l.used, s)
			continue
		}
		if err := l.freeSegment(s); err != nil {
			return err
		}
	}
	return nil
}

// freeSegment makes a segment that nobody needs ready for use, or removes it.
func (l *Log) freeSegment(s *segment) error {
	if l.opts.Check != nil {
		if err := l.opts.Check(); err != nil {
			return err
		}
	}
	name := l.opts.Dir + "/" + SegmentName(s.number)
	if s.sizeBytes != l.opts.SegmentBytes {
		if s.file != nil {
			s.file.Close()
		}
		if err := l.opts.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Unavailable, err, "redolog: remove %s", name)
		}
		l.mu.Lock()
		l.files--
		l.signalRoomLocked()
		l.mu.Unlock()
		return nil
	}
	if s.file == nil {
		f, err := l.opts.FS.Open(name)
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "redolog: reuse %s", name)
		}
		s.file = f
	}
	l.mu.Lock()
	l.free = append(l.free, s)
	l.signalRoomLocked()
	l.mu.Unlock()
	return nil
}

// Recycle gives back the segments whose records are all at or below upTo: whoever replays the log will not ask for them. What makes them obsolete
// must be durable. Mu must not be held. An error is final for the log.
func (l *Log) Recycle(upTo LSN) error {
	for {
		l.mu.Lock()
		if l.err != nil || len(l.used) == 0 || l.used[0] == l.cur || l.used[0].last > upTo || l.used[0].last > l.durable.Load() {
			err := l.err
			l.mu.Unlock()
			return err
		}
		s := l.used[0]
		l.used = l.used[1:]
		l.mu.Unlock()
		if err := l.freeSegment(s); err != nil {
			l.fail(err)
			return err
		}
	}
}

// UsedBytesLocked returns the bytes of segments that hold needed records. Mu must be held.
func (l *Log) UsedBytesLocked() (n int64) {
	for _, s := range l.used {
		n += s.sizeBytes
	}
	return n
}

// FitsLocked says whether a record of n payload bytes can be appended now while keep free segments stay untouched. Mu must be held.
func (l *Log) FitsLocked(n, keep int) bool {
	return len(l.free) > keep || l.cur != nil && l.tail+int64(recordSize(n)) <= l.cur.sizeBytes
}

// RoomLocked returns a channel that is closed when FitsLocked may have changed, and why the last new segment could not be made: nil, or fault.NoSpace. Mu
// must be held.
func (l *Log) RoomLocked() (changed <-chan struct{}, err error) { return l.room, l.noSpace }

// GrowsLocked says whether a new segment is being made, so that RoomLocked's channel will be closed. Mu must be held.
func (l *Log) GrowsLocked() bool {
	return l.err == nil && l.noSpace == nil && len(l.free) < readySegments && l.files < l.opts.MaxSegments
}

func (l *Log) signalRoomLocked() {
	close(l.room)
	l.room = make(chan struct{})
}

func (l *Log) wakePreparer() {
	select {
	case l.prepare <- struct{}{}:
	default:
	}
}

// retryDelay is how long the preparer waits after it met a full file system.
const retryDelay = 250 * time.Millisecond

// readySegments is how many free segments there should be: one to go on with, one that the caller may keep for what gives space back.
const readySegments = 2

// prepareLoop is the preparer goroutine: it keeps readySegments ready, up to MaxSegments.
func (l *Log) prepareLoop() {
	defer l.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the preparer
		select {
		case <-l.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-l.stop:
			return
		case <-l.prepare:
		case <-timer.C:
		}
		if err := l.prepareOne(ctx); err != nil {
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, fault.NoSpace):
				timer.Reset(retryDelay)
			default:
				l.fail(err)
				return
			}
		}
	}
}

func (l *Log) prepareOne(ctx context.Context) error {
	l.mu.Lock()
	if l.err != nil || len(l.free) >= readySegments || l.files >= l.opts.MaxSegments {
		l.mu.Unlock()
		return nil
	}
	number := l.number
	l.number++ // a name is never tried twice, so a failed removal does no harm
	l.files++
	l.mu.Unlock()

	s, err := l.newSegment(ctx, number)

	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.files--
		if errors.Is(err, fault.NoSpace) {
			if l.noSpace == nil {
				l.log.Warn("no space for a log segment", logkey.Error, err)
			}
			l.noSpace = err
		}
	} else {
		l.noSpace = nil
		l.free = append(l.free, s)
		l.wakePreparer() // until there are enough
	}
	l.signalRoomLocked()
	return err
}

var zeroes [1 << 20]byte

// newSegment makes a zero-filled segment, durable with its name. Zeroes are written, not only reserved: an fdatasync of a record then has no extent to convert.
func (l *Log) newSegment(ctx context.Context, number uint64) (s *segment, err error) {
	name := l.opts.Dir + "/" + SegmentName(number)
	f, err := l.opts.FS.Create(name)
	if err != nil {
		return nil, fault.Wrap(kindOf(err), err, "redolog: create %s", name)
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = l.opts.FS.Remove(name) // a zero-filled file without a header is no segment
		}
	}()
	for off := int64(0); off < l.opts.SegmentBytes; off += int64(len(zeroes)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := f.WriteAt(zeroes[:min(int64(len(zeroes)), l.opts.SegmentBytes-off)], off); err != nil {
			return nil, fault.Wrap(kindOf(err), err, "redolog: fill %s", name)
		}
	}
	if err := f.Sync(); err != nil {
		return nil, fault.Wrap(kindOf(err), err, "redolog: sync %s", name)
	}
	if err := l.opts.FS.SyncDir(l.opts.Dir); err != nil {
		return nil, fault.Wrap(kindOf(err), err, "redolog: sync %s", l.opts.Dir)
	}
	return &segment{number: number, sizeBytes: l.opts.SegmentBytes, file: f}, nil
}

// kindOf keeps NoSpace apart from all other errors of the file system.
func kindOf(err error) fault.Kind {
	if errors.Is(err, fault.NoSpace) {
		return fault.NoSpace
	}
	return fault.Unavailable
}

func (l *Log) closeFiles() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range [][]*segment{l.used, l.free} {
		for _, s := range list {
			if s.file != nil {
				s.file.Close()
				s.file = nil
			}
		}
	}
}
