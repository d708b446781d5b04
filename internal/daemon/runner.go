package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ostor/discovery/agent"
	"ostor/internal/cluster"
	"ostor/internal/fault"
	"ostor/internal/rpc"
)

// runner starts services as child processes: ostor-ns, ostor-os and ostor-s3gw from the directory of this program, or from PATH. They get this process's configuration as flags.
type runner struct {
	env      *Env
	commands map[cluster.ServiceType]string
	gateways map[cluster.ServiceID]string // where they listen
	metrics  *childMetrics
}

func newRunner(e *Env) (*runner, error) {
	r := &runner{env: e, commands: map[cluster.ServiceType]string{}, gateways: map[cluster.ServiceID]string{}, metrics: &childMetrics{children: map[cluster.ServiceID]string{}}}
	if e.Config.Metrics != "" {
		r.metrics.dir = e.Host.Run
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for t, name := range map[cluster.ServiceType]string{cluster.TypeName: "ostor-ns", cluster.TypeObject: "ostor-os", cluster.TypeGateway: "ostor-s3gw"} {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err != nil {
			if beside, err = exec.LookPath(name); err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "%s is neither beside %s nor in PATH", name, self)
			}
		}
		r.commands[t] = beside
	}
	return r, nil
}

// args returns the arguments of a service's command.
func (r *runner) args(s agent.Start) ([]string, error) {
	c := &r.env.Config
	args := []string{r.env.Path, "--metrics", r.metrics.address(s.Service), "--local-dir", c.Local, "--run-dir", c.Run, "--profile", c.Profile, "--log", c.Log, "--log-json=" + strconv.FormatBool(c.LogJSON),
		"--memory", fmt.Sprint(c.Memory), "--tls-cert", c.TLSCert, "--tls-key", c.TLSKey, "--tls-ca", c.TLSCA}
	if s.Service.Type() == cluster.TypeGateway {
		args = append(args, "--listen", r.gateways[s.Service], "--region", c.Region, "--default-cors="+strconv.FormatBool(c.CORS), "--sigv2="+strconv.FormatBool(c.SigV2), "--access-log", c.AccessLog, "--volume", c.Volume, "--cluster-key", c.Key)
		for _, d := range c.Domains {
			args = append(args, "--domain", d)
		}
		return args, nil
	}
	answer := "unix"
	if c.RPC != "unix" && c.RPC != "" { // the port is the agent's own: services take any
		host, _, err := net.SplitHostPort(c.RPC)
		if err != nil {
			return nil, fault.New(fault.Invalid, "--rpc is %q: want unix or host:port", c.RPC)
		}
		answer = net.JoinHostPort(host, "0")
	}
	args = append(args, "--service", s.Service.String(), "--rpc", answer, "--cache", fmt.Sprint(c.Cache), "--memtable", fmt.Sprint(c.Memtable), "--log-size", fmt.Sprint(c.LogBytes),
		"--takeover="+strconv.FormatBool(s.Takeover), "--over", fmt.Sprint(uint64(s.Over)))
	if s.Service.Type() == cluster.TypeName {
		return append(args, "--garbage-delay", c.Garbage.String()), nil
	}
	return append(args, "--scrub-rate", fmt.Sprint(c.Scrub)), nil
}

// Start implements agent.Runner.
func (r *runner) Start(s agent.Start) (agent.Process, error) {
	args, err := r.args(s)
	if err != nil {
		return nil, err
	}
	c := &child{id: s.Service, env: r.env, ready: make(chan string, 1), ended: make(chan struct{})}
	c.cmd = exec.Command(r.commands[s.Service.Type()], args...)
	c.cmd.Stderr = os.Stderr
	// A child whose agent dies stops cleanly, so that the next agent can start it at once. In a process group of its own it does not see the terminal's ^C before its turn.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.follow(out)
	return c, nil
}

// child is a service's process.
type child struct {
	id    cluster.ServiceID
	env   *Env
	cmd   *exec.Cmd
	ready chan string
	ended chan struct{}
	addr  string // written before ready
	err   error  // written before ended is closed
}

// follow reads what the process says until it ends.
func (c *child) follow(out io.Reader) {
	defer close(c.ended)
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			c.addr = addr
			c.ready <- addr
		}
	}
	_, _ = io.Copy(io.Discard, out)
	c.err = c.cmd.Wait()
}

func (c *child) Ready() <-chan string   { return c.ready }
func (c *child) Ended() <-chan struct{} { return c.ended }
func (c *child) Stop()                  { _ = c.cmd.Process.Signal(syscall.SIGTERM) } // an error: it has ended
func (c *child) Kill()                  { _ = c.cmd.Process.Kill() }

// Outcome implements agent.Process.
func (c *child) Outcome() agent.Outcome {
	if c.err == nil {
		return agent.Outcome{Text: "exit code 0"}
	}
	return agent.Outcome{Lost: c.cmd.ProcessState.ExitCode() == ExitLost, Text: c.err.Error()}
}

// Ping implements agent.Process. Any answer shows life. It asks at the address that the process gave, for no particular generation: that would have to be read from the mount, which may hang.
func (c *child) Ping(ctx context.Context) error {
	if c.id.Type() == cluster.TypeGateway {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.addr, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	tc, err := c.env.Config.TLS()
	if err != nil {
		return err
	}
	client, err := rpc.Dial(ctx, rpc.ClientOptions{Address: c.addr, Service: uint64(c.id), Generation: agentGeneration, TLS: tc})
	if errors.Is(err, fault.Stale) {
		return nil
	}
	if err != nil {
		return err
	}
	return client.Close()
}
