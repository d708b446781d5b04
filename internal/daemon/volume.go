package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
	"ostor/nameserver/namerpc"
	"ostor/objserver/objrpc"
)

// KeyFile is where the cluster key lies on the mount unless --cluster-key names another place.
const KeyFile = "control/cluster.key"

// InitVolume makes a volume with its services' directories, and the cluster key when there is none.
func InitVolume(fs fsbackend.FS, c Config) (discovery.Volume, error) {
	if err := mkdirs(fs, "control", "volumes", "services"); err != nil {
		return discovery.Volume{}, err
	}
	if _, err := ClusterKey(fs, c, true); err != nil {
		return discovery.Volume{}, err
	}
	return discovery.CreateVolume(fs, discovery.VolumeSpec{Names: c.Names, Objects: c.Objects})
}

// ClusterKey returns the 32 bytes that seal secrets; with create it makes them when the file does not exist.
func ClusterKey(fs fsbackend.FS, c Config, create bool) ([]byte, error) {
	if c.Key != "" {
		key, err := os.ReadFile(c.Key)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "--cluster-key")
		}
		if len(key) != account.KeyBytes {
			return nil, fault.New(fault.Invalid, "--cluster-key %s has %d bytes, want %d", c.Key, len(key), account.KeyBytes)
		}
		return key, nil
	}
	if create {
		return account.LoadOrCreateKey(fs, KeyFile)
	}
	return account.LoadKey(fs, KeyFile)
}

// FindVolume returns the volume of an id, or the only one when id is "".
func FindVolume(fs fsbackend.FS, id string) (discovery.Volume, error) {
	if id != "" {
		n, err := cluster.ParseID(id)
		if err != nil {
			return discovery.Volume{}, Usage(fault.Wrap(fault.Invalid, err, "--volume"))
		}
		return discovery.LoadVolume(fs, cluster.ServiceID(n))
	}
	all, err := discovery.Volumes(fs)
	if err != nil {
		return discovery.Volume{}, err
	}
	switch len(all) {
	case 1:
		return discovery.LoadVolume(fs, all[0])
	case 0:
		return discovery.Volume{}, fault.New(fault.NotFound, "there is no volume here: make one with ostor init, or let ostor serve do it")
	}
	ids := make([]string, len(all))
	for i, v := range all {
		ids[i] = v.String()
	}
	return discovery.Volume{}, fault.New(fault.Invalid, "there are %d volumes, choose one with --volume: %s", len(all), strings.Join(ids, ", "))
}

// How long a service may be silent before a client of it is told to try again later: clients of S3 should see 503, not silence.
const (
	dialTimeout    = 2 * time.Second
	serviceTimeout = 5 * time.Second // for the first byte of an answer, and between two pieces of data
)

// Topology returns the way to a volume's services over RPC, to where their directories say. Servers of this process are added with SetLocalName and SetLocalObject.
func (e *Env) Topology(v discovery.Volume) (*discovery.Topology, error) {
	tc, err := e.Config.TLS()
	if err != nil {
		return nil, err
	}
	options := func(o discovery.Owner, id cluster.ServiceID) rpc.ClientOptions {
		return rpc.ClientOptions{Address: o.Addresses[0], Service: uint64(id), Generation: uint64(o.Generation), TLS: tc,
			DialTimeout: dialTimeout, ReplyTimeout: serviceTimeout, IOTimeout: serviceTimeout, StreamTimeout: serviceTimeout}
	}
	return discovery.New(discovery.Options{FS: e.FS, Volume: v.ID, Logger: e.Log,
		DialName: func(ctx context.Context, o discovery.Owner, id cluster.ServiceID) (cluster.NameServer, error) {
			return namerpc.Dial(ctx, options(o, id))
		},
		DialObject: func(ctx context.Context, o discovery.Owner, id cluster.ServiceID) (cluster.ObjectServer, error) {
			return objrpc.Dial(ctx, options(o, id))
		}})
}

// DialName connects to the name server that runs a service. It returns fault.Unavailable when nobody answers.
func (e *Env) DialName(ctx context.Context, id cluster.ServiceID) (*namerpc.Client, error) {
	tc, err := e.Config.TLS()
	if err != nil {
		return nil, err
	}
	o, err := discovery.ReadOwner(e.FS, discovery.ServiceDir(id))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "find service %s", id)
	}
	c, err := namerpc.Dial(ctx, rpc.ClientOptions{Address: o.Addresses[0], Service: uint64(id), Generation: uint64(o.Generation), TLS: tc})
	if err == nil {
		if err = c.Ping(ctx); err != nil {
			_ = c.Close()
		}
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "reach service %s", id)
	}
	return c, nil
}

// AdminOptions says which running cluster OpenAdmin looks for.
type AdminOptions struct {
	Mount  string // the ostor directory
	Volume string // id; "" = the only one
	Config Config
}

// OpenAdmin finds the name servers of a running cluster through its directory, and its key. Nothing is started; close ends the connections.
func OpenAdmin(ctx context.Context, o AdminOptions) (topology cluster.Topology, key []byte, closer func() error, err error) {
	if o.Mount == "" {
		return nil, nil, nil, Usage(fault.New(fault.Invalid, "which cluster? name its directory with --mount or OSTOR_MOUNT"))
	}
	log, err := o.Config.Logger(os.Stderr)
	if err != nil {
		return nil, nil, nil, err
	}
	fs, err := fsbackend.NewOS(o.Mount)
	if err != nil {
		return nil, nil, nil, err
	}
	v, err := FindVolume(fs, o.Volume)
	if err != nil {
		return nil, nil, nil, err
	}
	key, err = ClusterKey(fs, o.Config, false)
	if err != nil {
		return nil, nil, nil, err
	}
	e := &Env{Config: o.Config, FS: fs, Log: log}
	t, err := e.Topology(v)
	if err != nil {
		return nil, nil, nil, err
	}
	return t, key, t.Close, nil
}

// StopAll stops services in the reverse order of their start and joins their errors.
func StopAll(ctx context.Context, all []*Service) (err error) {
	for i := len(all) - 1; i >= 0; i-- {
		if serr := all[i].Stop(ctx); serr != nil {
			err = errors.Join(err, fmt.Errorf("stop service %s: %w", all[i].ID, serr))
		}
	}
	return err
}
