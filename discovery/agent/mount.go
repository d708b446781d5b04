package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// keepBeating publishes a heartbeat every 2N, and soon after something changed; the last one says that the host leaves.
func (a *Agent) keepBeating(ctx context.Context) {
	var seq uint64
	for leaving := false; ; {
		if err := a.publish(&seq, leaving); err != nil {
			a.count(func(s *Stats) { s.HeartbeatFailures++ })
			a.log.Warn("no heartbeat", logkey.Error, err)
		}
		if leaving {
			return
		}
		timer := time.NewTimer(2 * a.opts.Unit)
		select {
		case <-ctx.Done():
			leaving = true
		case <-timer.C:
		case <-a.beat:
			if !pause(ctx, a.opts.Unit/4) { // a burst of changes is one report
				leaving = true
			}
		}
		timer.Stop()
	}
}

// pause waits for d and reports whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// publish writes the next heartbeat; *seq is the last one written, 0 = not known.
func (a *Agent) publish(seq *uint64, leaving bool) error {
	if *seq == 0 {
		last, err := discovery.LastHeartbeat(a.opts.FS, a.opts.Host)
		if err != nil {
			return err
		}
		*seq = last
	}
	h := a.report()
	*seq++
	h.Seq, h.Leaving = *seq, leaving
	begin := a.now()
	if err := discovery.PublishHeartbeat(a.opts.FS, h); err != nil {
		if errors.Is(err, fault.Exists) { // another agent of this host
			*seq = 0
		}
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.Heartbeats++
	a.last, a.lastAt = h, begin
	a.judge.hear(begin, h)
	return nil
}

// report describes what runs here.
func (a *Agent) report() discovery.Heartbeat {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := discovery.Heartbeat{Host: a.opts.Host, Boot: a.opts.Boot, Wall: time.Now().UTC().Truncate(time.Millisecond), Hostname: a.opts.Hostname, Addresses: a.opts.Addresses}
	for id, j := range a.jobs { // one that is being stopped too: until it has ended nobody else should claim it
		r := discovery.Running{Service: id, Condition: j.condition(), Restarts: j.restarts, Address: j.address}
		if j.serving {
			r.Uptime = (a.now() - j.since).Truncate(time.Second)
		}
		h.Running = append(h.Running, r)
	}
	slices.SortFunc(h.Running, func(x, y discovery.Running) int { return cmp.Compare(x.Service, y.Service) })
	return h
}

// keepLooking reads heartbeats and claims every N/2.
func (a *Agent) keepLooking(ctx context.Context) {
	l := newLooker(a.opts.FS)
	for ctx.Err() == nil {
		begin := a.now()
		services, err := l.look(a)
		a.mu.Lock()
		if err == nil {
			a.services, a.lookAt = services, begin
		} else {
			a.stats.LookFailures++
			a.log.Warn("cannot look at hosts and services", logkey.Error, err)
		}
		ask := a.judge.worthPing(a.now())
		a.mu.Unlock()
		a.ping(ctx, ask)
		select {
		case a.wake <- struct{}{}:
		default:
		}
		if !pause(ctx, a.opts.Unit/2) {
			return
		}
	}
}

// ping asks hosts for their last heartbeat, all at once, for at most N/2.
func (a *Agent) ping(ctx context.Context, hosts []discovery.Heartbeat) {
	if a.opts.Ping == nil || len(hosts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.opts.Unit/2)
	defer cancel()
	done := make(chan struct{}, len(hosts))
	for _, last := range hosts {
		go func() {
			defer func() { done <- struct{}{} }()
			h, err := a.opts.Ping(ctx, last)
			if err != nil || h.Host != last.Host {
				return
			}
			shows, err := discovery.LastHeartbeat(a.opts.FS, h.Host)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.judge.hear(a.now(), h)
			a.judge.hosts[h.Host].asked = true
			if err == nil && shows < h.Seq {
				a.stats.LateNames++
				a.log.Error("the mount shows a new name late: claims of another host could be overlooked, and a service have two owners", logkey.Host, h.Host.String(), "shown", shows, "published", h.Seq)
			}
		}()
	}
	for range hosts {
		<-done
	}
}

// looker reads the mount. It is used by one goroutine.
type looker struct {
	fs      fsbackend.FS
	volumes map[cluster.ServiceID]cluster.ServiceID // by service; that never changes
	known   map[cluster.ServiceID]lease.Standing
}

func newLooker(fs fsbackend.FS) looker {
	return looker{fs, map[cluster.ServiceID]cluster.ServiceID{}, map[cluster.ServiceID]lease.Standing{}}
}

// look hears the other hosts for an agent and returns services.
func (l *looker) look(a *Agent) ([]standing, error) {
	hosts, err := discovery.Hosts(l.fs)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if h == a.opts.Host {
			continue
		}
		if err := a.hear(h); err != nil {
			return nil, err
		}
	}
	return l.services()
}

// services returns the standing of every service of every volume, ascending; not nil.
func (l *looker) services() ([]standing, error) {
	fsys := l.fs
	volumes, err := discovery.Volumes(fsys)
	if err != nil {
		return nil, err
	}
	ids, err := discovery.Services(fsys)
	if err != nil {
		return nil, err
	}
	all := make([]standing, 0, len(ids))
	for _, id := range ids {
		if t := id.Type(); t != cluster.TypeName && t != cluster.TypeObject {
			continue
		}
		if _, ok := l.volumes[id]; !ok {
			v, err := discovery.VolumeOf(fsys, id)
			if err != nil {
				continue // it is being made
			}
			l.volumes[id] = v
		}
		if _, ok := slices.BinarySearch(volumes, l.volumes[id]); !ok {
			continue
		}
		s, err := lease.Look(fsys, discovery.ServiceDir(id), l.known[id])
		if err != nil {
			return nil, err
		}
		l.known[id] = s
		all = append(all, standing{id: id, generation: cluster.Generation(s.Generation), host: cluster.HostID(s.Host), released: s.Released})
	}
	return all, nil
}

// hear reads the newest heartbeat of a host, when it is new. One that cannot be read is no sign of life yet. An error says that this host cannot look, not that the other is silent.
func (a *Agent) hear(h cluster.HostID) error {
	seq, err := discovery.LastHeartbeat(a.opts.FS, h)
	if err != nil {
		return err
	}
	a.mu.Lock()
	known := a.judge.known(h)
	a.mu.Unlock()
	if seq <= known {
		return nil
	}
	b, err := discovery.ReadHeartbeat(a.opts.FS, h, seq)
	if err != nil {
		a.log.Debug("a heartbeat cannot be read", logkey.Host, h.String(), logkey.Error, err)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.judge.hear(a.now(), b)
	return nil
}
