package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/discovery"
	"ostor/discovery/agent"
	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/logkey"
	"ostor/internal/rpc"
)

// How agents ask each other for life: one operation, whose reply is the last heartbeat. The service id is the host's; there is one generation.
const (
	opHeartbeat     = 1
	agentGeneration = 1
)

// RunAgent runs the agent of this host until ctx ends and everything is stopped.
func RunAgent(ctx context.Context, p *Process) (err error) {
	only, err := p.onlyAgent()
	if err != nil {
		return err
	}
	defer func() { _ = only.Close() }()
	if err := p.probe(); err != nil {
		return err
	}
	profile, err := p.Config.LeaseProfile()
	if err != nil {
		return err
	}
	runner, err := newRunner(p.Env)
	if err != nil {
		return err
	}
	l, addr, err := p.listenAgent(ctx)
	if err != nil {
		return err
	}
	hostname, _ := os.Hostname()
	gateways := make([]cluster.ServiceID, len(p.Config.Gateways))
	for i, listen := range p.Config.Gateways {
		gateways[i] = gatewayID(p.Host.ID, i)
		runner.gateways[gateways[i]] = listen
	}
	a, err := agent.New(agent.Options{FS: p.FS, Host: p.Host.ID, Boot: p.Boot, Unit: profile.N, Runner: runner, Gateways: gateways, Hostname: plainName(hostname), Addresses: []string{addr},
		Ping: p.pingAgent, Logger: p.Log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	p.Registry.MustRegister(agentCollector{a})
	p.Metrics.Also(runner.metrics)
	tc, err := p.Config.TLS()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := rpc.NewServer(rpc.ServerOptions{TLS: tc, Logger: p.Log})
	if err := server.Register(rpc.Service{ID: uint64(p.Host.ID), Generation: agentGeneration, Handler: answerAgents(a)}); err != nil {
		return errors.Join(err, l.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Println("ready", addr)
	stop, cancel := patienceAfter(ctx, stopDeadline-5*time.Second)
	defer cancel()
	err = a.Run(ctx, stop)
	closing, cancelClose := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancelClose()
	err = errors.Join(err, server.Close(closing), <-served)
	if name, ok := strings.CutPrefix(addr, "unix:"); ok {
		_ = os.Remove(name)
	}
	return err
}

// patienceAfter returns a context that ends d after ctx.
func patienceAfter(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-late.Done():
		}
	})
	return late, func() { stop(); cancel() }
}

// onlyAgent takes the lock that keeps a second agent of this host away.
func (p *Process) onlyAgent() (fsbackend.File, error) {
	const name = "agent.lock"
	f, err := p.Host.Local.Create(name)
	if err != nil {
		f, err = p.Host.Local.Open(name)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Lock(); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Exists, err, "an agent of host %s runs already", p.Host.ID), f.Close())
	}
	return f, nil
}

// probe tries the mount and says what it lacks. It returns an error when something is missing that safety rests on.
func (p *Process) probe() error {
	for _, f := range agent.Probe(p.FS, discovery.HostsDir+"/"+p.Host.ID.String(), "probe") {
		switch {
		case f.Err == nil:
			p.Log.Debug("the mount has it", "what", f.What)
		case f.Required:
			return fault.Wrap(fault.NotSupported, f.Err, "the mount lacks %s: %s", f.What, f.Without)
		default:
			p.Log.Warn("the mount lacks something", "what", f.What, "so", f.Without, logkey.Error, f.Err)
		}
	}
	return nil
}

// listenAgent opens the address where other agents ask: a unix socket, or the host and port of --rpc.
func (p *Process) listenAgent(ctx context.Context) (net.Listener, string, error) {
	addr := "unix:" + filepath.Join(p.Host.Run, fmt.Sprintf("agent-%d.sock", os.Getpid()))
	if p.Config.RPC != "unix" && p.Config.RPC != "" {
		addr = "tcp:" + p.Config.RPC
	}
	l, err := rpc.Listen(ctx, addr)
	if err != nil {
		return nil, "", fault.Wrap(fault.Invalid, err, "listen for other agents; choose another address with --rpc")
	}
	if l.Addr().Network() == "tcp" {
		addr = "tcp:" + l.Addr().String()
	}
	return l, addr, nil
}

func answerAgents(a *agent.Agent) rpc.Handler {
	return func(_ context.Context, c *rpc.Call) error {
		if c.Op != opHeartbeat {
			return fault.New(fault.NotSupported, "agents have no operation %d", c.Op)
		}
		h, err := a.Answer()
		if err == nil {
			c.Reply = h.Append(c.Reply)
		}
		return err
	}
}

// pingAgent asks another host's agent for its last heartbeat.
func (p *Process) pingAgent(ctx context.Context, last discovery.Heartbeat) (h discovery.Heartbeat, err error) {
	tc, err := p.Config.TLS()
	if err != nil {
		return h, err
	}
	c := rpc.NewClient(rpc.ClientOptions{Address: last.Addresses[0], Service: uint64(last.Host), Generation: agentGeneration, TLS: tc})
	defer func() { _ = c.Close() }()
	b, err := c.Call(ctx, opHeartbeat, nil, nil)
	if err != nil {
		return h, err
	}
	return discovery.DecodeHeartbeat(b)
}

// gatewayID is the id of the n-th gateway of a host.
func gatewayID(h cluster.HostID, n int) cluster.ServiceID {
	return cluster.NewServiceID(cluster.TypeGateway, uint64(h)>>8&^0xff|uint64(n))
}

// plainName returns a host name if it may stand in a heartbeat.
func plainName(s string) string {
	if len(s) > discovery.MaxHostBytes || s == "-" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return s
}

// agentCollector exports the counters of the agent.
type agentCollector struct{ a *agent.Agent }

var agentMetrics = []struct {
	name, help string
	kind       prometheus.ValueType
	get        func(*agent.Stats) int64
}{
	{"heartbeats_total", "heartbeats published", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Heartbeats }},
	{"heartbeat_failures_total", "heartbeats that could not be published", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.HeartbeatFailures }},
	{"look_failures_total", "looks at hosts and services that failed", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.LookFailures }},
	{"late_names_total", "heartbeats of others that were durable and that the mount did not show: it is not safe", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.LateNames }},
	{"suspicions_total", "hosts that fell silent", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Suspicions }},
	{"starts_total", "processes started", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Starts }},
	{"restarts_total", "processes started again after they had ended", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Restarts }},
	{"takeovers_total", "takeovers begun of another host's services", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Takeovers }},
	{"yields_total", "services left to another host that has claimed them", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Yields }},
	{"losses_total", "processes that lost their ownership or storage", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Losses }},
	{"kills_total", "processes killed because they did not answer", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Kills }},
	{"handovers_total", "services handed over for balance", prometheus.CounterValue, func(s *agent.Stats) int64 { return s.Handovers }},
	{"hosts", "hosts that live", prometheus.GaugeValue, func(s *agent.Stats) int64 { return s.Hosts }},
	{"services", "services active on this host", prometheus.GaugeValue, func(s *agent.Stats) int64 { return s.Services }},
}

// Describe implements prometheus.Collector.
func (c agentCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c agentCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.a.Stats()
	for _, m := range agentMetrics {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("ostor_agent_"+m.name, m.help, nil, nil), m.kind, float64(m.get(&s)))
	}
}
