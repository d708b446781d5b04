package crash

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ostor/fsbackend/memfs"
)

// point is one moment at which the power went away.
type point struct {
	fs    *memfs.FS
	local *memfs.FS // what the host-local directory holds after it; nil: nothing, as on a new disk
	boot  uint64
	told  *history
	what  string
	seed  uint64
	loose bool // requests were refused: they may have left bytes behind
}

// later is the clock of recovered name servers: no guard of before is alive.
func later() time.Time { return time.Now().Add(8 * 24 * time.Hour) }

func (p point) machine() machine {
	local := p.local
	if local == nil {
		local = memfs.New()
	}
	return machine{p.fs, local, p.boot}
}

var recovered = worldOptions{clock: later, unit: 2 * time.Second}

// recover opens what a crash left, compares it with what clients were told, and works on. It returns the settled history.
func (p point) recover(ctx context.Context) (*history, error) {
	w, err := start(ctx, p.machine(), recovered)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	h, err := w.verify(ctx, p.told)
	if err == nil {
		err = w.tidy(ctx, h, p)
	}
	if err == nil {
		err = w.workOn(ctx, h, p.seed)
	}
	if err != nil {
		_ = w.kill()
		return nil, fmt.Errorf("%w\nlog:\n%s", err, w.log.tail())
	}
	if p.seed%3 == 0 { // a clean end, whose files the next owner inherits
		if err := w.end(true); err != nil {
			return nil, fmt.Errorf("stop: %w", err)
		}
		m := p.machine()
		m.boot++
		if w, err = start(ctx, m, recovered); err != nil {
			return nil, fmt.Errorf("start after a clean end: %w", err)
		}
		if h, err = w.verify(ctx, h); err != nil {
			_ = w.kill()
			return nil, fmt.Errorf("after a clean end: %w", err)
		}
	}
	if err := w.kill(); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return h, w.log.problem()
}

// verify compares a cluster with what clients were told and returns the history that has settled.
func (w *world) verify(ctx context.Context, told *history) (*history, error) {
	h := newHistory()
	u, err := w.user(ctx)
	if err != nil {
		return nil, fmt.Errorf("the user: %w", err)
	}
	if len(told.user.Keys) > 0 && (u.ID != told.user.ID || u.Keys[0].Secret != told.user.Keys[0].Secret) {
		return nil, fmt.Errorf("user %v has become %v", told.user.ID, u.ID)
	}
	h.user = u
	c := &client{w.gateway, u}
	for _, b := range buckets {
		acked, known := told.buckets[b]
		switch a := c.do("HEAD", "/"+b, nil); {
		case a.status == 200 && known:
		case a.status == 404 && !acked:
			if a := c.do("PUT", "/"+b, nil); !a.ok() {
				return nil, fmt.Errorf("make bucket %s: %v", b, a)
			}
		default:
			return nil, fmt.Errorf("bucket %s (acknowledged %v): %v", b, acked, a)
		}
		h.buckets[b] = true
	}
	for _, n := range told.names() {
		s := told.keys[n]
		a := c.do("GET", n.target(), nil)
		v, ok := s.allows(a)
		if !ok {
			return nil, fmt.Errorf("get %v: %d with %d bytes, want %v or one of %v", n, a.status, len(a.body), s.acked, s.maybe)
		}
		if v != nil {
			if a := c.do("HEAD", n.target(), nil); a.status != 200 || a.header.Get("Content-Length") != fmt.Sprint(len(v.data)) {
				return nil, fmt.Errorf("head %v: %d, length %s, want %d", n, a.status, a.header.Get("Content-Length"), len(v.data))
			}
		}
		h.keys[n] = state{acked: v}
	}
	if err := h.matchesLists(c); err != nil {
		return nil, err
	}
	if err := h.settleUploads(c, told); err != nil {
		return nil, err
	}
	return h, w.check(ctx)
}

// matchesLists compares what listings show with the history, which has settled.
func (h *history) matchesLists(c *client) error {
	for i, b := range buckets {
		got, err := c.list(b, []int{1000, 3}[i%2])
		if err != nil {
			return err
		}
		var want []listed
		for _, n := range sorted(h.keys) {
			if v := h.keys[n].acked; n.bucket == b && v != nil {
				want = append(want, listed{n.key, int64(len(v.data))})
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("list %s shows %v, want %v", b, got, want)
		}
	}
	return nil
}

// settleUploads completes the uploads whose parts were all acknowledged, and aborts the others.
func (h *history) settleUploads(c *client, told *history) error {
	for _, n := range sorted(told.uploads) {
		m := told.uploads[n]
		if !m.open || len(m.parts) == 0 {
			continue
		}
		a := c.do("GET", n.target()+"?uploadId="+m.id, nil)
		if !a.ok() || strings.Count(string(a.body), "<Part>") != len(m.parts) {
			return fmt.Errorf("list %d parts of an upload to %v: %v", len(m.parts), n, a)
		}
		if a := c.do("POST", n.target()+"?uploadId="+m.id, m.document()); !a.ok() {
			return fmt.Errorf("complete an upload to %v: %v", n, a)
		}
		v := m.value()
		if a := c.do("GET", n.target(), nil); !v.is(a) {
			return fmt.Errorf("get what was completed after the crash: %v: %v", n, a.status)
		}
		h.keys[n] = state{acked: v}
	}
	for _, b := range buckets {
		left, err := c.uploads(b)
		if err != nil {
			return err
		}
		for _, u := range left {
			if a := c.do("DELETE", name{b, u.Key}.target()+"?uploadId="+u.UploadId, nil); !a.ok() {
				return fmt.Errorf("abort an upload to %s: %v", u.Key, a)
			}
		}
	}
	return nil
}

// orphans counts the recoveries that found bytes without a name or a guard.
var orphans atomic.Int64

// tidy collects all garbage and compares what the object servers then hold with the sizes of what is named. More may be left by requests that were not answered
// only: guard and bytes become durable at the same time, so a power cut can keep the bytes and lose the guard (decision 0002).
func (w *world) tidy(ctx context.Context, h *history, p point) error {
	if err := w.collect(ctx); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	var want int64
	for _, s := range h.keys {
		if s.acked != nil {
			want += int64(len(s.acked.data))
		}
	}
	var flying int64
	for _, n := range p.told.flying {
		flying += n
	}
	if got := w.usage(); got.live < want || got.live > want+flying && !p.loose {
		return fmt.Errorf("%d objects with %d bytes are left, the names have %d bytes and %d bytes were on their way", got.objects, got.live, want, flying)
	} else if got.live > want {
		orphans.Add(1)
	}
	return w.check(ctx)
}

// workOn writes, reads and deletes.
func (w *world) workOn(ctx context.Context, h *history, seed uint64) error {
	k := newWorker(&client{w.gateway, h.user}, h, seed, 200)
	k.keys = 4
	for i := range 8 {
		if err := k.step(); err != nil {
			return fmt.Errorf("step %d after recovery: %w", i, err)
		}
	}
	for _, n := range h.names() {
		if strings.HasPrefix(n.key, k.prefix) {
			if err := k.read(n); err != nil {
				return fmt.Errorf("after recovery: %w", err)
			}
		}
	}
	return w.check(ctx)
}
