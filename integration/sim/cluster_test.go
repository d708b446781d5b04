package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ostor/discovery"
	"ostor/fsbackend/lease"
	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/rpc"
	"ostor/nameserver"
	"ostor/nameserver/namerpc"
	"ostor/objserver"
	"ostor/objserver/objrpc"
	"ostor/pools"
)

// The cluster under test: name servers, object servers and a gateway on each host, joined by discovery, the leases and the real RPC over the simulated network.

const (
	clusterNames, clusterObjects = 2, 3

	garbageDelay = 2 * unit // of the name servers: shorter than clients wait, so that reads meet collections
	orphanAge    = 8 * unit // far shorter than guards last, so that the search meets writes that are late
)

// volume is the volume of a cluster and how its clients sign.
type volume struct {
	volume discovery.Volume
	user   account.User
	skew   atomic.Int64 // added to the wall clock of the name servers, in nanoseconds
	s3     s3history

	stored    int64 // objects in the end
	converged bool

	gateways []atomic.Pointer[door] // of each host; nil while none runs
}

// door is a running gateway.
type door struct {
	p       *process
	gateway http.Handler

	accounts *account.Accounts
}

func (w *world) wallClock() time.Time { return time.Now().Add(time.Duration(w.site.skew.Load())) }

// newClusterWorld makes a world with an empty volume and nothing that runs.
func newClusterWorld(s settings) *world {
	w := newWorld(s)
	w.wild = [...]float64{0.2, 0.4, 0.8, 1.5}[w.below(4)]
	w.site = &volume{gateways: make([]atomic.Pointer[door], len(w.hosts))}
	w.site.s3.init()
	w.net = &network{w: w, listeners: make(map[string]*listener)}
	v, err := discovery.CreateVolume(w.storage.fs, discovery.VolumeSpec{Names: clusterNames, Objects: clusterObjects})
	if err != nil {
		panic(err)
	}
	w.site.volume = v
	w.svcs = nil
	for _, id := range append(append([]cluster.ServiceID(nil), v.Objects()...), v.Names...) {
		w.svcs = append(w.svcs, &service{w: w, id: len(w.svcs), sid: id, dir: discovery.ServiceDir(id), ended: make(map[uint64]*process)})
	}
	return w
}

// topology finds the services as process p sees them.
func (p *process) topology() (*discovery.Topology, error) {
	dial := p.w.net.dialer(p)
	options := func(o discovery.Owner, id cluster.ServiceID) rpc.ClientOptions {
		return rpc.ClientOptions{Address: o.Addresses[0], Service: uint64(id), Generation: uint64(o.Generation), Dial: dial}
	}
	return discovery.New(discovery.Options{FS: p.fs, Volume: p.w.site.volume.ID,
		DialName: func(ctx context.Context, o discovery.Owner, id cluster.ServiceID) (cluster.NameServer, error) {
			return namerpc.Dial(ctx, options(o, id))
		},
		DialObject: func(ctx context.Context, o discovery.Owner, id cluster.ServiceID) (cluster.ObjectServer, error) {
			return objrpc.Dial(ctx, options(o, id))
		}})
}

// openCluster starts a name server or an object server, and publishes where it answers.
func (p *process) openCluster(l *lease.Lease) (err error) {
	id := p.s.sid
	if p.topo, err = p.topology(); err != nil {
		return err
	}
	var handler rpc.Handler
	if id.Type() == cluster.TypeName {
		p.names, err = nameserver.Open(p.ctx, nameserver.Options{FS: p.fs, Dir: p.s.dir, Owner: owner{l, p}, Objects: p.topo, GarbageDelay: garbageDelay, Clock: p.w.wallClock,
			SegmentBytes: 4 << 20, LogBytes: 16 << 20, MemtableBytes: 24 << 10, CacheBytes: 64 << 10, Logger: p.logger()})
		if err != nil {
			return err
		}
		p.engine, handler = nameEngine{p.names}, namerpc.Handler(p.delayNames(p.mutateNameServer(p.names)))
	} else {
		p.objects, err = objserver.Open(p.ctx, objserver.Options{FS: p.fs, Dir: p.s.dir, Owner: owner{l, p}, ID: id, Names: p.topo.NameServers, SmallBytes: 2000, BufferBytes: 4 << 20,
			OrphanAge: orphanAge, OrphanEvery: 20 * unit, ScrubEvery: 40 * unit, JanitorEvery: 3 * unit,
			SegmentBytes: 256 << 10, LogBytes: 2 << 20, MemtableBytes: 48 << 10, CacheBytes: 64 << 10, Logger: p.logger(),
			Geometry: func(pools.Pool) pools.Geometry { return pools.Geometry{BlocksPerRegion: 8, Regions: 2} }})
		if err != nil {
			return err
		}
		p.engine, handler = p.objects, objrpc.Handler(p.objects)
	}
	addr := fmt.Sprintf("sim:%s-%d", id, p.gen.Load())
	ln := p.w.net.listen(p, addr)
	p.rpc = rpc.NewServer(rpc.ServerOptions{})
	if err := p.rpc.Register(rpc.Service{ID: uint64(id), Generation: p.gen.Load(), Handler: handler}); err != nil {
		return err
	}
	p.w.spawn(func() { _ = p.rpc.Serve(ln) })
	if err := discovery.PublishHost(p.fs, p.s.dir, cluster.HostID(p.h.id)); err != nil {
		return err
	}
	return discovery.PublishOwner(p.fs, p.s.dir, discovery.Owner{Service: id, Host: cluster.HostID(p.h.id), Generation: cluster.Generation(p.gen.Load()), Addresses: []string{addr}})
}

// silence ends what answers others; a process that was killed needs it as well, since its goroutines live on here.
func (p *process) silence(ctx context.Context) {
	if p.rpc != nil {
		_ = p.rpc.Close(ctx)
	}
}

// nameEngine is a name server as an engine.
type nameEngine struct{ *nameserver.Server }

func (e nameEngine) Checkpoint(ctx context.Context) error { return e.Flush(ctx) }

// keepGateway runs a gateway on a host while it is up.
func (h *host) keepGateway(ctx context.Context, at *atomic.Pointer[door]) {
	w := h.w
	for w.sleep(unit / 4) {
		h.mu.Lock()
		up := h.up
		h.mu.Unlock()
		if !up || h.frozenFor() > 0 || h.mountCut() > 0 {
			continue
		}
		s := &service{w: w, id: 100 + int(h.id), ended: make(map[uint64]*process)}
		p := &process{w: w, h: h, s: s, dead: make(chan struct{}), stopping: make(chan struct{}), turn: make(chan struct{}, 1)}
		p.fs = &procFS{p: p, pending: make(map[string]int)}
		p.ctx, p.cancel = context.WithCancel(ctx)
		p.serving.Store(true)
		h.runGateway(p, at)
		p.kill("over")
	}
}

func (h *host) runGateway(p *process, at *atomic.Pointer[door]) {
	w := h.w
	topo, err := p.topology()
	if err != nil {
		return
	}
	defer func() { _ = topo.Close() }()
	accounts, err := account.New(account.Options{Topology: topo, Key: make([]byte, account.KeyBytes)})
	if err != nil {
		panic(err)
	}
	g, err := gateway.New(gateway.Options{Topology: topo, Accounts: accounts, Logger: p.logger(), ServiceID: cluster.NewServiceID(cluster.TypeGateway, h.id)})
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	if !h.up {
		h.mu.Unlock()
		return
	}
	h.gate = p
	h.mu.Unlock()
	w.logf("host %d: its gateway serves", h.id)
	at.Store(&door{p, g, accounts})
	select {
	case <-p.dead:
	case <-w.stop:
		p.kill("the run ends")
	}
	at.Store(nil)
}

// simulateCluster does one run and returns it, with what it saw checked.
func simulateCluster(t *testing.T, s settings) *world {
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newClusterWorld(s)
		w.runCluster(t.Context())
	})
	if len(w.bad) == 0 || s.mutant == "" {
		began := time.Now()
		bad, unchecked := w.site.s3.check()
		w.logf("the history was checked in %v", time.Since(began))
		w.bad = append(w.bad, bad...)
		w.n.unchecked.Add(int64(unchecked))
	}
	w.kinds = make(map[string]int)
	for i := range w.site.s3.ops {
		if o := &w.site.s3.ops[i]; !o.void {
			w.kinds[s3kindNames[o.kind]]++
		}
	}
	return w
}

const clients = 8

// runCluster: a start without faults, a phase of faults, and one of liveness.
func (w *world) runCluster(ctx context.Context) {
	end := w.end()
	w.setEnd(w.start) // no faults yet
	for _, h := range w.hosts {
		for _, s := range w.svcs {
			w.spawn(func() { h.agent(ctx, s) })
		}
		w.spawn(func() { h.keepGateway(ctx, &w.site.gateways[h.id-1]) })
	}
	if w.setUpBuckets() {
		w.setEnd(time.Now().Add(end.Sub(w.start)))
		var busy atomic.Int64
		for i := range clients {
			busy.Add(1)
			c := &s3client{w: w, id: i, rnd: rand.New(rand.NewPCG(w.seed, uint64(i)))}
			w.spawn(func() { defer busy.Add(-1); c.work(w.end().Add(calm)) })
		}
		w.inject()
		if w.sleep(time.Until(w.end().Add(calm))) {
			for busy.Load() > 0 && w.sleep(unit) {
			}
			w.checkConverged(ctx)
		}
	}
	w.halt()
	w.killAll()
	if w.site.converged {
		w.fsck(ctx)
	}
}

// door returns a gateway that a client would try, nil while none is up.
func (w *world) door() *door {
	first := w.below(len(w.site.gateways))
	if blind := w.justWoken(); blind >= 0 && w.chance(0.5) {
		first = blind
	}
	for i := range w.site.gateways {
		if d := w.site.gateways[(first+i)%len(w.site.gateways)].Load(); d != nil && (w.hint != hintSleeps || !d.p.isFrozen()) {
			return d
		}
	}
	return nil
}

// TestCluster: the whole path as it is.
func TestCluster(t *testing.T) {
	if *seedFlag != 0 {
		t.Skip("replaying a run of another kind")
	}
	if *clusterFlag != 0 {
		w := simulateCluster(t, settings{seed: *clusterFlag, hosts: 3, faults: time.Duration(*unitsFlag) * unit, mutant: mutantNamed(*mutantFlag), hint: hintOf(*clusterFlag, hint(*hintFlag)), trace: true})
		fmt.Println(strings.Join(w.tr, "\n"))
		if t.Log(&w.n); len(w.bad) > 0 {
			t.Error(strings.Join(w.bad, "\n"))
		}
		return
	}
	c := &campaign{simulate: simulateCluster, first: firstSeed(), limit: budget(5*time.Second, 5*time.Minute), units: clusterUnits, hint: hint(*hintFlag)}
	c.run(t)
	c.report(t, "cluster")
}

// clusterUnits is the length of the faulty time of a run, in N.
const clusterUnits = 40
