package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/internal/rpc"
	"ostor/nameserver"
	"ostor/nameserver/namerpc"
	"ostor/objserver"
	"ostor/objserver/objrpc"
)

// Env is what every service of a process shares.
type Env struct {
	Config Config
	Path   string       // of the ostor directory on the mount
	FS     fsbackend.FS // that directory
	Host   *Host
	Boot   uint64 // number of this boot of the host
	Log    *slog.Logger

	// Names returns the name servers of the volume, for object servers that look for bytes without a name. Set before StartObject; nil: they do not look.
	Names func() ([]cluster.NameServer, error)
	// OnLost is called once when a service may no longer reply: ownership is gone or I/O failed. The process should end without flushing.
	OnLost func(cluster.ServiceID, error)
}

// OpenEnv opens the ostor directory at path, which must exist.
func OpenEnv(c Config, path string, log *slog.Logger) (*Env, *fsbackend.Counters, error) {
	host, err := OpenHost(c)
	if err != nil {
		return nil, nil, err
	}
	osfs, err := fsbackend.NewOS(path)
	if err != nil {
		return nil, nil, err
	}
	counted, counters := fsbackend.Count(osfs)
	hosts := discovery.HostsDir + "/" + host.ID.String()
	if err := mkdirs(counted, "control", discovery.HostsDir, hosts); err != nil {
		return nil, nil, err
	}
	boot, err := lease.RegisterBoot(counted, hosts)
	if err != nil {
		return nil, nil, fmt.Errorf("number this boot of the host: %w", err)
	}
	return &Env{Config: c, Path: path, FS: counted, Host: host, Boot: boot, Log: log}, counters, nil
}

// mkdirs makes directories, parents first, and their names durable.
func mkdirs(fs fsbackend.FS, dirs ...string) error {
	for _, d := range dirs {
		if _, err := fs.Stat(d); err == nil {
			continue
		}
		parent := filepath.Dir(d)
		if parent == "." {
			parent = ""
		}
		err := fs.MkdirAll(d)
		if err == nil {
			err = fs.SyncDir(parent)
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", d, err)
		}
	}
	return nil
}

// Service is one running name server or object server.
type Service struct {
	ID    cluster.ServiceID
	Name  cluster.NameServer   // of a name server
	Bytes cluster.ObjectServer // of an object server
	Stats func() any

	Addr    string
	lease   *lease.Lease
	close   func(context.Context) error // server: drain, checkpoint
	check   func(context.Context) error
	rpc     *rpc.Server
	rpcDone chan struct{}
	log     *slog.Logger
}

// Check verifies every invariant of the service's files.
func (s *Service) Check(ctx context.Context) error { return s.check(ctx) }

// StartName takes a name server's lease, opens it and answers at its address. objects finds the object servers whose garbage it collects.
func StartName(ctx context.Context, e *Env, id cluster.ServiceID, objects cluster.ObjectServers) (*Service, error) {
	return e.start(ctx, id, cluster.TypeName, func(s *Service, dir string) (rpc.Handler, error) {
		srv, err := nameserver.Open(ctx, nameserver.Options{FS: e.FS, Dir: dir, Owner: s.lease, Objects: objects, GarbageDelay: e.garbageDelay(),
			MemtableBytes: e.Config.Memtable << 20, CacheBytes: e.Config.Cache << 20, LogBytes: e.Config.LogBytes << 20, Logger: s.log})
		if err != nil {
			return nil, err
		}
		s.Name, s.close, s.check, s.Stats = srv, srv.Close, srv.Check, func() any { return srv.Stats() }
		return namerpc.WithBackup(namerpc.Handler(srv), func(ctx context.Context, w io.Writer) error {
			_, err := srv.Backup(ctx, id, w)
			return err
		}), nil
	})
}

// StartObject takes an object server's lease, opens it and answers at its address.
func StartObject(ctx context.Context, e *Env, id cluster.ServiceID) (*Service, error) {
	return e.start(ctx, id, cluster.TypeObject, func(s *Service, dir string) (rpc.Handler, error) {
		srv, err := objserver.Open(ctx, objserver.Options{FS: e.FS, Dir: dir, Owner: s.lease, ID: id, Names: e.Names, ScrubRate: e.Config.Scrub << 20, ScrubEvery: e.scrubEvery(),
			MemtableBytes: e.Config.Memtable << 20, CacheBytes: e.Config.Cache << 20, LogBytes: e.Config.LogBytes << 20, Logger: s.log})
		if err != nil {
			return nil, err
		}
		s.Bytes, s.close, s.check, s.Stats = srv, srv.Close, srv.Check, func() any { return srv.Stats() }
		return objrpc.Handler(srv), nil
	})
}

func (e *Env) scrubEvery() time.Duration {
	if e.Config.Scrub == 0 {
		return -1
	}
	return 0 // the server's default
}

func (e *Env) garbageDelay() time.Duration {
	if e.Config.Garbage == 0 {
		return -1 // to the server zero means its default
	}
	return e.Config.Garbage
}

// start is what both kinds share: lease, server, listener, and only then the word to others where it answers.
func (e *Env) start(ctx context.Context, id cluster.ServiceID, want cluster.ServiceType, open func(*Service, string) (rpc.Handler, error)) (_ *Service, err error) {
	if id.Type() != want {
		return nil, fault.New(fault.Invalid, "service %s is of type %s, not %s", id, id.Type(), want)
	}
	dir := discovery.ServiceDir(id)
	s := &Service{ID: id, log: e.Log.With(logkey.Service, id.String())}
	s.lease, err = e.Own(ctx, id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.lease.Close()
		}
	}()
	handler, err := open(s, dir)
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", id, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.answer(ctx, e, handler); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.silence(context.WithoutCancel(ctx)))
		}
	}()
	if err := discovery.PublishHost(e.FS, dir, e.Host.ID); err != nil {
		return nil, err
	}
	if err := discovery.PublishOwner(e.FS, dir, discovery.Owner{Service: id, Host: e.Host.ID, Generation: cluster.Generation(s.lease.Generation()), Addresses: []string{s.Addr}}); err != nil {
		return nil, err
	}
	s.log.Info("serving", logkey.Generation, s.lease.Generation(), logkey.Addr, s.Addr)
	return s, nil
}

// Own takes the lease of a service. The caller opens it, and in the end releases and closes the lease.
func (e *Env) Own(ctx context.Context, id cluster.ServiceID) (*lease.Lease, error) {
	dir := discovery.ServiceDir(id)
	if _, err := e.FS.Stat(dir); err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "no service %s here", id)
	}
	profile, err := e.Config.LeaseProfile()
	if err != nil {
		return nil, err
	}
	hostname, _ := os.Hostname()
	l, err := lease.Acquire(ctx, lease.Options{FS: e.FS, Dir: dir, Host: uint64(e.Host.ID), Boot: e.Boot, Local: e.Host.Local, Profile: profile,
		Takeover: e.Config.Takeover, Over: e.Config.Over, Info: fmt.Sprintf("%s pid %d on %s", filepath.Base(os.Args[0]), os.Getpid(), hostname), Logger: e.Log.With(logkey.Service, id.String()),
		OnLost: func(err error) { e.lost(id, err) }})
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", id, err)
	}
	return l, nil
}

func (e *Env) lost(id cluster.ServiceID, err error) {
	e.Log.Error("ownership lost", logkey.Service, id.String(), logkey.Error, err)
	if e.OnLost != nil {
		e.OnLost(id, err)
	}
}

// answer opens the address that --rpc asks for, a unix socket that only this user can reach or TCP, and serves the handler there.
func (s *Service) answer(ctx context.Context, e *Env, handler rpc.Handler) error {
	tc, err := e.Config.TLS()
	if err != nil {
		return err
	}
	addr := "unix:" + filepath.Join(e.Host.Run, fmt.Sprintf("%s-%d-%d.sock", s.ID, s.lease.Generation(), os.Getpid()))
	if e.Config.RPC != "unix" && e.Config.RPC != "" {
		host, _, err := net.SplitHostPort(e.Config.RPC)
		if err != nil {
			return fault.New(fault.Invalid, "--rpc is %q: want unix or host:port", e.Config.RPC)
		}
		if ip := net.ParseIP(host); tc == nil && (ip == nil || !ip.IsLoopback()) {
			return fault.New(fault.Invalid, "--rpc %s is not loopback: it needs --tls-cert, --tls-key and --tls-ca", e.Config.RPC)
		}
		addr = "tcp:" + e.Config.RPC
	} else if len(addr) > 105 {
		return fault.New(fault.Invalid, "the socket's name %s is too long for the system: choose a shorter --run-dir", addr)
	}
	l, err := rpc.Listen(ctx, addr)
	if err != nil {
		return err
	}
	if s.Addr = addr; l.Addr().Network() == "tcp" {
		s.Addr = "tcp:" + l.Addr().String() // the port that was given for 0
	}
	s.rpc, s.rpcDone = rpc.NewServer(rpc.ServerOptions{TLS: tc, Logger: s.log}), make(chan struct{})
	if err := s.rpc.Register(rpc.Service{ID: uint64(s.ID), Generation: s.lease.Generation(), Handler: handler}); err != nil {
		return errors.Join(err, l.Close())
	}
	go func() {
		defer close(s.rpcDone)
		if err := s.rpc.Serve(l); err != nil {
			s.log.Debug("listener ended", logkey.Error, err)
		}
	}()
	return nil
}

// silence ends the RPC server: when it returns no reply goes out any more.
func (s *Service) silence(ctx context.Context) error {
	err := s.rpc.Close(ctx)
	<-s.rpcDone
	if name, ok := strings.CutPrefix(s.Addr, "unix:"); ok {
		_ = os.Remove(name)
	}
	return err
}

// TLS returns the configuration of mutual TLS between services, nil when none is configured.
func (c *Config) TLS() (*tls.Config, error) {
	if c.TLSCert == "" && c.TLSKey == "" && c.TLSCA == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "--tls-cert and --tls-key")
	}
	pem, err := os.ReadFile(c.TLSCA)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "--tls-ca")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "--tls-ca %s holds no certificate", c.TLSCA)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}, nil
}

// Stop ends the service in order: no more replies, drain and checkpoint, then, only if all that went well, the release that lets the next owner inherit.
func (s *Service) Stop(ctx context.Context) error {
	err := s.silence(ctx)
	if cerr := s.close(ctx); cerr != nil {
		s.lease.Fail(cerr)
		err = errors.Join(err, cerr)
	} else {
		err = errors.Join(err, s.lease.Release(ctx))
	}
	return errors.Join(err, s.lease.Close())
}
