package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// Options of New. FS and Volume are required.
type Options struct {
	FS     fsbackend.FS
	Volume cluster.ServiceID

	// DialName and DialObject connect to a service where an owner record says. They should fail when the server there is of another service or generation. A server that
	// implements io.Closer is closed when it has been replaced, one that implements Pinger is asked for life at each poll. nil: remote servers cannot be reached.
	DialName   func(ctx context.Context, o Owner, id cluster.ServiceID) (cluster.NameServer, error)
	DialObject func(ctx context.Context, o Owner, id cluster.ServiceID) (cluster.ObjectServer, error)

	// Servers in this process: used as they are, never looked up. More can be added later by SetLocalName and SetLocalObject.
	LocalNames   map[cluster.ServiceID]cluster.NameServer
	LocalObjects map[cluster.ServiceID]cluster.ObjectServer

	PollEvery time.Duration // time between two looks at the directories; default 1 s
	RetryFor  time.Duration // how long a call waits for a service that has just gone, within its own deadline; default 3 s
	SkipFor   time.Duration // how long an object server that failed gets no new objects; default 5 s
	Logger    *slog.Logger  // default: none
}

// Pinger is a server that can be asked whether it answers.
type Pinger interface {
	Ping(ctx context.Context) error
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.PollEvery == 0 {
		o.PollEvery = time.Second
	}
	if o.RetryFor == 0 {
		o.RetryFor = 3 * time.Second
	}
	if o.SkipFor == 0 {
		o.SkipFor = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Topology resolves keys to servers of one volume. It follows changes of the volume, of the services' owners and of the cluster's settings by itself. Safe for concurrent use.
type Topology struct {
	opts   Options
	log    *slog.Logger
	ctx    context.Context // ends with Close: the life of the goroutines, not of calls
	cancel context.CancelFunc
	work   sync.WaitGroup // poll, and what the remote servers run
	began  time.Time
	view   atomic.Pointer[view]
	set    atomic.Pointer[Settings]

	mu           sync.Mutex
	closed       bool
	localNames   map[cluster.ServiceID]cluster.NameServer
	localObjects map[cluster.ServiceID]cluster.ObjectServer
	names        map[cluster.ServiceID]*remoteName // ever wrapped: they live as long as the topology, for links to servers that left the volume
	objects      map[cluster.ServiceID]*remoteObject
}

var _ cluster.Topology = (*Topology)(nil)

// view is a state of the volume with its servers. Immutable.
type view struct {
	volume  Volume
	names   []cluster.NameServer // by index in volume.Names
	objects map[cluster.ServiceID]cluster.ObjectServer
	place   []candidate // servers of the standard class
}

type candidate struct {
	id     cluster.ServiceID
	remote *remoteObject // nil: in this process, always taken as healthy
}

// New loads the volume and the settings and begins to poll. It returns what LoadVolume and LoadSettings return. The services need not run yet.
func New(opts Options) (*Topology, error) {
	opts.EnsureDefaults()
	v, err := LoadVolume(opts.FS, opts.Volume)
	if err != nil {
		return nil, err
	}
	settings, err := LoadSettings(opts.FS)
	if err != nil {
		return nil, err
	}
	t := &Topology{
		opts: opts, began: time.Now(), log: opts.Logger.With("component", "discovery", logkey.Volume, opts.Volume.String()),
		localNames: map[cluster.ServiceID]cluster.NameServer{}, localObjects: map[cluster.ServiceID]cluster.ObjectServer{},
		names: map[cluster.ServiceID]*remoteName{}, objects: map[cluster.ServiceID]*remoteObject{},
	}
	for id, s := range opts.LocalNames {
		t.localNames[id] = s
	}
	for id, s := range opts.LocalObjects {
		t.localObjects[id] = s
	}
	t.set.Store(&settings)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.mu.Lock()
	t.replaceLocked(v)
	t.mu.Unlock()
	t.work.Go(t.poll)
	return t, nil
}

// Close ends polling and closes the connections. Calls that run may fail with fault.Unavailable.
func (t *Topology) Close() error {
	t.mu.Lock()
	t.closed = true
	for _, r := range t.names {
		r.stop()
	}
	for _, r := range t.objects {
		r.stop()
	}
	t.mu.Unlock()
	t.cancel()
	t.work.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.names {
		r.close()
	}
	for _, r := range t.objects {
		r.close()
	}
	return nil
}

// Volume returns the descriptor in use. It must not be modified.
func (t *Topology) Volume() Volume { return t.view.Load().volume }

// Settings returns the cluster's settings in use, at most a poll old while the mount can be read.
func (t *Topology) Settings() Settings { return *t.set.Load() }

// SetLocalName makes a name server of this process (nil: none any more) answer for id.
func (t *Topology) SetLocalName(id cluster.ServiceID, s cluster.NameServer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == nil {
		delete(t.localNames, id)
	} else {
		t.localNames[id] = s
	}
	t.replaceLocked(t.view.Load().volume)
}

// SetLocalObject makes an object server of this process (nil: none any more) answer for id.
func (t *Topology) SetLocalObject(id cluster.ServiceID, s cluster.ObjectServer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == nil {
		delete(t.localObjects, id)
	} else {
		t.localObjects[id] = s
	}
	t.replaceLocked(t.view.Load().volume)
}

// replaceLocked builds the view of a volume. mu must be held.
func (t *Topology) replaceLocked(v Volume) {
	n := &view{volume: v, objects: map[cluster.ServiceID]cluster.ObjectServer{}}
	for _, id := range v.Names {
		if s, ok := t.localNames[id]; ok {
			n.names = append(n.names, s)
			continue
		}
		if t.names[id] == nil {
			t.names[id] = newRemoteName(t, id)
		}
		n.names = append(n.names, t.names[id])
	}
	for _, id := range v.Objects() {
		if s, ok := t.localObjects[id]; ok {
			n.objects[id] = s
			continue
		}
		n.objects[id] = t.remoteObjectLocked(id)
	}
	for _, id := range v.Classes[0].Servers {
		c := candidate{id: id}
		if _, ok := t.localObjects[id]; !ok {
			c.remote = t.objects[id]
		}
		n.place = append(n.place, c)
	}
	t.view.Store(n)
}

func (t *Topology) remoteObjectLocked(id cluster.ServiceID) *remoteObject {
	if t.objects[id] == nil {
		t.objects[id] = newRemoteObject(t, id)
	}
	return t.objects[id]
}

// NameServerFor implements cluster.Topology.
func (t *Topology) NameServerFor(bucket cluster.BucketID, key string) (cluster.NameServer, error) {
	return t.view.Load().at(SlotOfKey(bucket, key)), nil
}

// NameServerOfBucket implements cluster.Topology.
func (t *Topology) NameServerOfBucket(name string) (cluster.NameServer, error) {
	return t.view.Load().at(SlotOfBucket(name)), nil
}

// NameServerOfRecord implements cluster.Topology.
func (t *Topology) NameServerOfRecord(name string) (cluster.NameServer, error) {
	return t.view.Load().at(SlotOfRecord(name)), nil
}

func (v *view) at(slot int) cluster.NameServer { return v.names[v.volume.Slots[slot]] }

// NameServers implements cluster.Topology. The slice must not be modified.
func (t *Topology) NameServers() ([]cluster.NameServer, error) { return t.view.Load().names, nil }

// ObjectServer implements cluster.ObjectServers. It returns fault.Unavailable for a service that does not exist.
func (t *Topology) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	if s, ok := t.view.Load().objects[id]; ok {
		return s, nil
	}
	// A link may lead to a server that left the volume but still keeps old objects.
	if id.Type() != cluster.TypeObject {
		return nil, fault.New(fault.Unavailable, "discovery: %s is not an object server", id)
	}
	t.mu.Lock()
	s, r := t.localObjects[id], t.objects[id]
	t.mu.Unlock()
	if s != nil {
		return s, nil
	}
	if r != nil {
		return r, nil
	}
	if v, err := VolumeOf(t.opts.FS, id); err != nil || v != t.opts.Volume {
		return nil, fault.New(fault.Unavailable, "discovery: volume %s has no object server %s", t.opts.Volume, id)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.remoteObjectLocked(id), nil
}

// PlaceObject implements cluster.Topology. While all servers are failing it chooses among all of them.
func (t *Topology) PlaceObject(bucket cluster.BucketID, key string, part int32) (cluster.ServiceID, error) {
	v := t.view.Load()
	if len(v.place) == 1 {
		return v.place[0].id, nil
	}
	name := nameHash(bucket, key, part)
	var best, bestHealthy uint64
	id, healthy := v.place[0].id, cluster.ServiceID(0)
	for _, c := range v.place { // ascending ids: of equal ranks the lowest stays
		r := rank(name, c.id)
		if r > best {
			best, id = r, c.id
		}
		if (healthy == 0 || r > bestHealthy) && (c.remote == nil || c.remote.healthy()) {
			bestHealthy, healthy = r, c.id
		}
	}
	if healthy != 0 {
		return healthy, nil
	}
	return id, nil
}

// poll looks for a newer descriptor, newer settings and newer owners until Close.
func (t *Topology) poll() {
	tick := time.NewTicker(t.opts.PollEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		if err := t.pollVolume(); err != nil {
			t.log.Warn("cannot read the volume descriptor; the known one stays in use", logkey.Error, err)
		}
		if err := t.pollSettings(); err != nil {
			t.log.Warn("cannot read the settings; the known ones stay in use", logkey.Error, err)
		}
		t.mu.Lock()
		var all []func()
		for _, r := range t.names {
			all = append(all, r.poll)
		}
		for _, r := range t.objects {
			all = append(all, r.poll)
		}
		t.mu.Unlock()
		for _, poll := range all {
			poll()
		}
	}
}

// pollVolume adopts a newer descriptor.
func (t *Topology) pollVolume() error {
	known := t.Volume()
	epochs, err := volumeEpochs(t.opts.FS, known.ID)
	if err != nil {
		return err
	}
	if len(epochs) == 0 || epochs[len(epochs)-1] <= uint64(known.Epoch) {
		return nil
	}
	v, err := LoadVolume(t.opts.FS, known.ID)
	if err != nil {
		return err
	}
	if v.Epoch <= known.Epoch { // the newer one is not whole yet
		return nil
	}
	t.mu.Lock()
	t.replaceLocked(v)
	t.mu.Unlock()
	t.log.Info("volume changed", "epoch", uint64(v.Epoch), logkey.Count, len(v.Names)+len(v.Objects()))
	return nil
}

// pollSettings adopts newer settings.
func (t *Topology) pollSettings() error {
	known := t.Settings()
	epochs, err := settingsEpochs(t.opts.FS)
	if err != nil {
		return err
	}
	if len(epochs) == 0 || epochs[len(epochs)-1] <= uint64(known.Epoch) {
		return nil
	}
	s, err := LoadSettings(t.opts.FS)
	if err != nil {
		return err
	}
	if s.Epoch <= known.Epoch { // the newer ones are not whole yet
		return nil
	}
	t.set.Store(&s)
	t.log.Info("settings changed", "epoch", uint64(s.Epoch))
	return nil
}

// String names the topology in messages.
func (t *Topology) String() string {
	v := t.Volume()
	return fmt.Sprintf("volume %s epoch %d: %d name servers, %d object servers", v.ID, v.Epoch, len(v.Names), len(v.Objects()))
}
