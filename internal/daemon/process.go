package daemon

import (
	"context"
	"errors"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// Process is what a daemon on an ostor directory begins with.
type Process struct {
	*Env
	Registry *prometheus.Registry
	Metrics  *Metrics
}

// ProcessCommand makes cmd the command of such a daemon: its argument is the ostor directory (or OSTOR_MOUNT), its flags are those named. run starts the services, says "ready"
// on standard output, and returns when ctx has ended and they are stopped.
func ProcessCommand(cmd *cobra.Command, flags []string, run func(ctx context.Context, p *Process) error) *cobra.Command {
	cmd.Args = cobra.MaximumNArgs(1)
	config := CommandConfig(cmd, append(flags, "local-dir", "run-dir", "profile", "metrics", "log", "log-json", "memory", "tls-cert", "tls-key", "tls-ca")...)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c, err := config()
		if err != nil {
			return err
		}
		dir, err := DirArg(args)
		if err != nil {
			return err
		}
		log, err := c.Logger(os.Stderr)
		if err != nil {
			return err
		}
		c.TuneHeap()
		p := &Process{Registry: prometheus.NewRegistry()}
		env, counters, err := OpenEnv(c, dir, log)
		if err != nil {
			return err
		}
		env.OnLost = ExitOnLoss
		p.Env = env
		if p.Metrics, err = ServeMetrics(c.Metrics, p.Registry, counters); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Metrics.Close()) }()
		return run(cmd.Context(), p)
	}
	return cmd
}
