package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/lease"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// simulation is a cluster of agents whose services are goroutines that hold real leases. Time is that of the bubble.
type simulation struct {
	t     *testing.T
	fs    *memfs.FS
	start time.Time
	hosts map[cluster.HostID]*simHost
	ids   []cluster.ServiceID

	mu      sync.Mutex
	serving map[cluster.ServiceID]map[*simProcess]bool
	twice   []string
}

func (s *simulation) Now() time.Duration { return time.Since(s.start) }

// simHost is a host: its way to the mount, its local directory, its agent.
type simHost struct {
	s      *simulation
	id     cluster.HostID
	fs     *faultfs.FS
	stuck  *faultfs.Stuck
	local  *memfs.FS
	agent  atomic.Pointer[Agent]
	cancel context.CancelFunc
	done   chan error
	deaf   atomic.Bool // its agent answers no pings
	gone   atomic.Bool // no agent runs
	blind  atomic.Bool // it sees no heartbeats of others on the mount

	mu    sync.Mutex
	procs map[*simProcess]bool
	fails map[cluster.ServiceID]int // starts that end at once
}

// inCluster runs a test with n hosts, whose agents run, and a volume of names name servers and objects object servers.
func inCluster(t *testing.T, n, names, objects int, run func(s *simulation)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, fs: memfs.New(), start: time.Now().Add(-time.Hour), hosts: map[cluster.HostID]*simHost{}, serving: map[cluster.ServiceID]map[*simProcess]bool{}}
		v, err := discovery.CreateVolume(s.fs, discovery.VolumeSpec{Names: names, Objects: objects})
		if err != nil {
			t.Fatal(err)
		}
		s.ids = append(append(s.ids, v.Names...), v.Objects()...)
		for i := range n {
			id := cluster.HostID(i + 1)
			h := &simHost{s: s, id: id, fs: faultfs.New(s.fs, 1), local: memfs.New(), procs: map[*simProcess]bool{}, fails: map[cluster.ServiceID]int{}}
			if err := s.fs.MkdirAll(discovery.HostsDir + "/" + id.String()); err != nil {
				t.Fatal(err)
			}
			s.hosts[id] = h
		}
		for i := range n { // all are known before the first agent asks
			s.hosts[cluster.HostID(i+1)].up()
		}
		ctx, cancel := context.WithCancel(context.Background())
		watched := make(chan struct{})
		go func() { defer close(watched); s.watch(ctx) }()
		run(s)
		for _, h := range s.hosts {
			h.heal()
			h.down()
		}
		cancel()
		<-watched
		for _, m := range s.twice {
			t.Error(m)
		}
	})
}

// watch sees that no service ever has two owners that may reply.
func (s *simulation) watch(ctx context.Context) {
	for pause(ctx, unit/2) {
		s.mu.Lock()
		for id, procs := range s.serving {
			var valid []string
			for p := range procs {
				if p.lease.Check() == nil {
					valid = append(valid, p.host.id.String())
				}
			}
			if len(valid) > 1 {
				s.twice = append(s.twice, fmt.Sprintf("service %s has the owners %v", id, valid))
			}
		}
		s.mu.Unlock()
	}
}

// up starts the agent of a host.
func (h *simHost) up() {
	a, err := New(Options{FS: blindFS{h.fs, h}, Host: h.id, Boot: 1, Unit: unit, Runner: h, Addresses: []string{"tcp:" + h.id.String()}, Ping: h.s.ping})
	if err != nil {
		h.s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.agent.Store(a)
	h.cancel, h.done = cancel, make(chan error, 1)
	h.gone.Store(false)
	late, lateCancel := context.WithCancel(context.Background())
	go func() {
		defer lateCancel()
		h.done <- a.Run(ctx, late)
	}()
}

// blindFS shows no new heartbeats while its host is blind: a mount that is late.
type blindFS struct {
	fsbackend.FS
	host *simHost
}

func (b blindFS) List(dir string) ([]string, error) {
	names, err := b.FS.List(dir)
	if strings.HasPrefix(dir, discovery.HostsDir+"/") && b.host.blind.Load() {
		names = nil
	}
	return names, err
}

// down stops the agent of a host cleanly, if one runs.
func (h *simHost) down() {
	if h.cancel == nil {
		return
	}
	h.cancel()
	h.cancel = nil
	h.gone.Store(true)
	if err := <-h.done; err != nil {
		h.s.t.Errorf("host %s: %v", h.id, err)
	}
}

// kill ends everything of a host at once. The agent's own code has no such end, so the mount is cut off first and nothing that it does can matter.
func (h *simHost) kill() {
	h.fs.Add(faultfs.Rule{Err: errDead})
	for _, p := range h.all() {
		p.Kill()
	}
	h.down()
	h.fs.Clear()
}

var errDead = errors.New("the host is dead")

func (h *simHost) all() (list []*simProcess) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.procs {
		list = append(list, p)
	}
	return list
}

func (h *simHost) freeze() {
	h.stuck = &faultfs.Stuck{Hang: true}
	h.fs.Add(faultfs.Rule{Stuck: h.stuck})
}

func (h *simHost) heal() {
	h.fs.Clear()
	if h.stuck != nil {
		h.stuck.Release()
		h.stuck = nil
	}
}

// ping is what agents ask each other.
func (s *simulation) ping(_ context.Context, last discovery.Heartbeat) (discovery.Heartbeat, error) {
	h := s.hosts[last.Host]
	if h.gone.Load() || h.deaf.Load() {
		return discovery.Heartbeat{}, fault.New(fault.Unavailable, "nobody answers")
	}
	return h.agent.Load().Answer()
}

// simProcess is a service: a goroutine with a lease.
type simProcess struct {
	host   *simHost
	start  Start
	lease  *lease.Lease
	ready  chan string
	ended  chan struct{}
	stop   chan struct{}
	kill   chan struct{}
	once   [2]sync.Once
	lost   chan error
	frozen atomic.Bool // it answers no pings
	out    Outcome
}

// Start implements Runner.
func (h *simHost) Start(st Start) (Process, error) {
	p := &simProcess{host: h, start: st, ready: make(chan string, 1), ended: make(chan struct{}), stop: make(chan struct{}), kill: make(chan struct{}), lost: make(chan error, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails[st.Service] > 0 {
		h.fails[st.Service]--
		p.out = Outcome{Text: "told to fail"}
		close(p.ended)
		return p, nil
	}
	h.procs[p] = true
	go func() {
		defer close(p.ended)
		p.out = p.run()
		h.mu.Lock()
		delete(h.procs, p)
		h.mu.Unlock()
	}()
	return p, nil
}

func (p *simProcess) run() Outcome {
	h := p.host
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.kill:
			cancel()
		case <-p.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	dir := discovery.ServiceDir(p.start.Service)
	l, err := lease.Acquire(ctx, lease.Options{FS: h.fs, Dir: dir, Host: uint64(h.id), Boot: 1, Local: h.local, Profile: lease.Profile{N: unit}, Clock: h.s, Takeover: p.start.Takeover,
		Over: uint64(p.start.Over), OnLost: func(err error) { p.lost <- err }})
	if err != nil {
		return Outcome{Text: err.Error()}
	}
	defer func() { _ = l.Close() }()
	gen := fsbackend.GenerationDir(dir, l.Generation())
	if err := errors.Join(h.fs.MkdirAll(gen), touch(h.fs, gen+"/"+fsbackend.ManifestName), l.Check()); err != nil {
		return Outcome{Text: err.Error()}
	}
	p.lease = l
	p.count(true)
	defer p.count(false)
	p.ready <- ""
	select {
	case <-p.kill:
		return Outcome{Text: "killed"}
	case err := <-p.lost:
		return Outcome{Lost: true, Text: err.Error()}
	case <-p.stop:
		time.Sleep(unit / 2) // it drains
		if err := l.Release(context.Background()); err != nil {
			return Outcome{Text: err.Error()}
		}
		return Outcome{}
	}
}

func touch(fs fsbackend.FS, name string) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (p *simProcess) count(on bool) {
	s := p.host.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving[p.start.Service] == nil {
		s.serving[p.start.Service] = map[*simProcess]bool{}
	}
	if on {
		s.serving[p.start.Service][p] = true
	} else {
		delete(s.serving[p.start.Service], p)
	}
}

func (p *simProcess) Ready() <-chan string   { return p.ready }
func (p *simProcess) Ended() <-chan struct{} { return p.ended }
func (p *simProcess) Outcome() Outcome       { return p.out }
func (p *simProcess) Stop()                  { p.once[0].Do(func() { close(p.stop) }) }
func (p *simProcess) Kill()                  { p.once[1].Do(func() { close(p.kill) }) }

func (p *simProcess) Ping(context.Context) error {
	if p.frozen.Load() {
		return fault.New(fault.Unavailable, "frozen")
	}
	return nil
}

// owner returns the process that may reply for a service, nil if none may.
func (s *simulation) owner(id cluster.ServiceID) *simProcess {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.serving[id] {
		if p.lease.Check() == nil {
			return p
		}
	}
	return nil
}

// await lets time pass until every service has an owner for which ok holds, and returns how long that took. It gives up after 60N.
func (s *simulation) await(what string, ok func(p *simProcess) bool) time.Duration {
	s.t.Helper()
	begin := time.Now()
	for time.Since(begin) < 60*unit {
		good := 0
		for _, id := range s.ids {
			if p := s.owner(id); p != nil && ok(p) {
				good++
			}
		}
		if good == len(s.ids) {
			return time.Since(begin)
		}
		time.Sleep(unit / 10)
	}
	s.t.Fatalf("%s: not within 60N", what)
	return 0
}

func anywhere(*simProcess) bool { return true }

func notOn(h *simHost) func(p *simProcess) bool {
	return func(p *simProcess) bool { return p.host != h }
}

// spread returns how many services each host has.
func (s *simulation) spread() map[cluster.HostID]int {
	n := map[cluster.HostID]int{}
	for _, id := range s.ids {
		if p := s.owner(id); p != nil {
			n[p.host.id]++
		}
	}
	return n
}
