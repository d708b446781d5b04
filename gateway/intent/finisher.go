package intent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	// Patience is how long a record must stand still before it is taken over: longer than an attempt lasts.
	Patience = AttemptTimeout + 5*time.Second
	// Interval is the time between looks at the records.
	Interval = 5 * time.Second
	// Bound is the time after which what a dead gateway left is finished, while the name servers answer: of one that looked just before it was left.
	Bound = Interval + Patience + Interval
)

// Finisher looks for operations that were left and brings them to their end. [Finisher.Start] runs one goroutine, which Close waits for.
type Finisher struct {
	journal *Journal
	clock   func() time.Time

	mu   sync.Mutex          // of one pass at a time
	seen map[string]sighting // by the record's name

	once    sync.Once
	stop    context.CancelFunc
	stopped chan struct{}
}

// sighting is a record as it was first seen in its present state.
type sighting struct {
	epoch cluster.Epoch
	since time.Time
}

// NewFinisher returns a Finisher for a journal; nil clock = time.Now. Only differences of what the clock says count.
func NewFinisher(j *Journal, clock func() time.Time) *Finisher {
	if clock == nil {
		clock = time.Now
	}
	return &Finisher{journal: j, clock: clock, stopped: make(chan struct{})}
}

// Start begins to look, every [Interval].
func (f *Finisher) Start() {
	f.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		f.stop = cancel
		go f.run(ctx)
	})
}

// Close ends it and waits. What it was at is left, to others. It may be called without Start, and again.
func (f *Finisher) Close() {
	f.once.Do(func() { close(f.stopped) })
	if f.stop != nil {
		f.stop()
	}
	<-f.stopped
}

func (f *Finisher) run(ctx context.Context) {
	defer close(f.stopped)
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := f.Pass(ctx); err != nil && ctx.Err() == nil {
			f.journal.log.Warn("interrupted operations stay as they are for now", slog.Any(logkey.Error, err))
		}
	}
}

// Pass looks at all records once and works off those that stood still for [Patience]. It returns how many are left: young ones, and those of the error.
func (f *Finisher) Pass(ctx context.Context) (left int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock()
	seen := make(map[string]sighting)
	var errs []error
	for after, first := "", true; first || after != ""; first = false {
		var page []held
		if page, after, err = f.journal.list(ctx, after); err != nil {
			return left, errors.Join(append(errs, err)...)
		}
		for _, h := range page {
			s := f.seen[h.name()]
			if s.epoch != h.epoch {
				s = sighting{h.epoch, now}
			}
			if now.Sub(s.since) < Patience {
				seen[h.name()] = s
				left++
				continue
			}
			switch err := f.journal.finish(ctx, h); {
			case err == nil:
				f.journal.log.Info("an interrupted deletion was brought to its end", slog.String(logkey.Bucket, h.Name), slog.Int(logkey.Count, int(h.Claims)+1))
			case errors.Is(err, fault.Precondition):
				left++ // another one took it, or it has ended
			default:
				left++
				errs = append(errs, err)
			}
		}
	}
	f.seen = seen
	return left, errors.Join(errs...)
}
