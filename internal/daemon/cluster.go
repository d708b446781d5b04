package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/discovery"
	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

// DefaultUser is the e-mail of the user that a fresh volume gets, so that a newcomer has keys.
const DefaultUser = "admin@ostor.local"

// Cluster is a whole volume in one process: name servers, object servers and a gateway.
type Cluster struct {
	Endpoint  string // http://host:port
	AccessKey string // of DefaultUser, or of the first enabled user with keys when somebody removed that one
	SecretKey string
	Fresh     bool // the volume was made now
	Volume    discovery.Volume

	env      *Env
	services []*Service
	topology *discovery.Topology
	server   *Gateway
	metrics  *Metrics
}

// Serve starts everything on the directory at path, which is made when it does not exist. onLost is called when a service lost its ownership: end the process.
func Serve(ctx context.Context, c Config, path string, log *slog.Logger, onLost func(cluster.ServiceID, error)) (cl *Cluster, err error) {
	if err := MakeDir(path); err != nil {
		return nil, err
	}
	if err := emptyOrOurs(path); err != nil {
		return nil, err
	}
	e, counters, err := OpenEnv(c, path, log)
	if err != nil {
		return nil, err
	}
	e.OnLost = onLost
	cl = &Cluster{env: e}
	defer func() {
		if err != nil {
			err = errors.Join(err, cl.Stop(context.WithoutCancel(ctx)))
			cl = nil
		}
	}()
	reg := prometheus.NewRegistry()
	// The listener first: an address in use should cost nothing.
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return cl, fault.Wrap(fault.Invalid, err, "listen for S3; choose another address with --listen")
	}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if cl.metrics, err = ServeMetrics(c.Metrics, reg, counters); err != nil {
		return cl, err
	}
	if err = cl.open(ctx); err != nil {
		return cl, err
	}
	if err = cl.serveS3(ctx, l, reg); err != nil {
		return cl, err
	}
	cl.metrics.Watch(cl.services...)
	return cl, nil
}

// open finds or makes the volume and starts its services: object servers first, because name servers collect garbage there.
func (cl *Cluster) open(ctx context.Context) error {
	e := cl.env
	v, err := FindVolume(e.FS, e.Config.Volume)
	if errors.Is(err, fault.NotFound) && e.Config.Volume == "" {
		cl.Fresh = true
		v, err = InitVolume(e.FS, e.Config)
	}
	if err != nil {
		return err
	}
	cl.Volume = v
	if cl.topology, err = e.Topology(v); err != nil {
		return err
	}
	e.Names = cl.topology.NameServers
	for _, id := range v.Objects() {
		s, err := StartObject(ctx, e, id)
		if err != nil {
			return err
		}
		cl.services = append(cl.services, s)
		cl.topology.SetLocalObject(id, s.Bytes)
	}
	for _, id := range v.Names {
		s, err := StartName(ctx, e, id, cl.topology)
		if err != nil {
			return err
		}
		cl.services = append(cl.services, s)
		cl.topology.SetLocalName(id, s.Name)
	}
	return nil
}

// emptyOrOurs refuses to begin a volume among somebody's files.
func emptyOrOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	strange := ""
	for _, e := range entries {
		switch e.Name() {
		case "volumes":
			return nil // adopted, whatever lies beside it
		case "control", "services", "local", "run", "lost+found":
		default:
			strange = e.Name()
		}
	}
	if strange != "" {
		return fault.New(fault.Invalid, "%s holds files that are not ours (%q): name an empty or new directory", path, strange)
	}
	return nil
}

func (cl *Cluster) serveS3(ctx context.Context, l net.Listener, reg prometheus.Registerer) error {
	e := cl.env
	key, err := ClusterKey(e.FS, e.Config, false)
	if err != nil {
		return err
	}
	accounts, err := account.New(account.Options{Topology: cl.topology, Key: key})
	if err != nil {
		return err
	}
	if err := cl.keys(ctx, accounts); err != nil {
		return err
	}
	cl.server, err = StartGateway(e, cl.topology, accounts, l, reg)
	if err != nil {
		return err
	}
	cl.Endpoint = "http://" + l.Addr().String()
	return nil
}

// Gateway serves S3 on a listener.
type Gateway struct {
	*gateway.Server
	access io.Closer
}

// Shutdown is that of the server, and ends the access log.
func (g *Gateway) Shutdown(ctx context.Context) error {
	return errors.Join(g.Server.Shutdown(ctx), g.access.Close())
}

// StartGateway serves S3 on a listener. What the cluster's settings forbid is forbidden here too, whatever the configuration says, and the other way round.
func StartGateway(e *Env, t *discovery.Topology, accounts *account.Accounts, l net.Listener, reg prometheus.Registerer) (*Gateway, error) {
	access, closer, err := e.Config.accessLog()
	if err != nil {
		return nil, err
	}
	gw, err := gateway.New(gateway.Options{Topology: t, Accounts: accounts, Domains: e.Config.Domains, Region: e.Config.Region, Logger: e.Log, AccessLog: access, Metrics: reg,
		DefaultCORS: func() bool { return e.Config.CORS && t.Settings().On(discovery.SettingDefaultCORS) },
		SigV2:       func() bool { return e.Config.SigV2 && t.Settings().On(discovery.SettingSigV2) },
		ServiceID:   cluster.NewServiceID(cluster.TypeGateway, uint64(e.Host.ID)>>8)})
	if err != nil {
		return nil, errors.Join(err, closer.Close())
	}
	return &Gateway{gateway.Serve(l, gw), closer}, nil
}

// keys finds a key pair to show, and makes the first user of a fresh volume.
func (cl *Cluster) keys(ctx context.Context, a *account.Accounts) error {
	users, err := a.List(ctx)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		u, err := a.Create(ctx, account.CreateOptions{Email: DefaultUser})
		if err != nil && !errors.Is(err, fault.Exists) {
			return fmt.Errorf("make the first user: %w", err)
		}
		users = append(users, u)
	}
	for _, wanted := range []bool{true, false} {
		for _, u := range users {
			if (u.Email == DefaultUser) == wanted && !u.Disabled && len(u.Keys) > 0 {
				cl.AccessKey, cl.SecretKey = u.Keys[0].AccessKey, u.Keys[0].Secret
				return nil
			}
		}
	}
	return nil // every user is disabled or without keys: serve, the administrator knows
}

// Check verifies every invariant of all services.
func (cl *Cluster) Check(ctx context.Context) (err error) {
	for _, s := range cl.services {
		if cerr := s.Check(ctx); cerr != nil {
			err = errors.Join(err, fmt.Errorf("service %s: %w", s.ID, cerr))
		}
	}
	return err
}

// Stop ends the cluster cleanly: no new requests, running ones are finished, services drain and release.
func (cl *Cluster) Stop(ctx context.Context) (err error) {
	if cl.server != nil {
		err = cl.server.Shutdown(ctx)
	}
	if cl.topology != nil {
		err = errors.Join(err, cl.topology.Close())
	}
	err = errors.Join(err, StopAll(ctx, cl.services))
	if cl.metrics != nil {
		err = errors.Join(err, cl.metrics.Close())
	}
	if err != nil {
		cl.env.Log.Warn("stopped with errors", logkey.Error, err)
	}
	return err
}
