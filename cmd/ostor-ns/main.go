// Command ostor-ns runs one name server of a volume.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"ostor/internal/cluster"
	"ostor/internal/daemon"
)

func main() {
	cmd := &cobra.Command{
		Use:   "ostor-ns DIR --service ID",
		Short: "run one name server",
		Long: `ostor-ns keeps names and metadata of a share of the namespace, in services/<ID> of the ostor directory DIR (or OSTOR_MOUNT). It prints "ready ADDRESS" once it serves;
gateways find it through that directory. It refuses to start while another process owns the service.

` + daemon.ExitCodes,
		Example: `  ostor-ns /mnt/cluster/ostor --service 0800000000000000
  ostor-ns /mnt/cluster/ostor --service 0800000000000000 --rpc 10.0.0.1:2541 --tls-cert c.pem --tls-key k.pem --tls-ca ca.pem`,
		Args: cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, append([]string{"service", "takeover", "cache", "memtable", "log-size", "volume", "garbage-delay"}, daemon.ServiceFlags...)...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config()
		if err != nil {
			return err
		}
		dir, err := daemon.DirArg(args)
		if err != nil {
			return err
		}
		return run(cmd.Context(), c, dir)
	}
	daemon.Main(cmd)
}

func run(ctx context.Context, c daemon.Config, dir string) error {
	log, err := c.Logger(os.Stderr)
	if err != nil {
		return err
	}
	id, err := daemon.ParseService(c.Service, cluster.TypeName)
	if err != nil {
		return err
	}
	c.TuneHeap()
	e, counters, err := daemon.OpenEnv(c, dir, log)
	if err != nil {
		return err
	}
	e.OnLost = daemon.ExitOnLoss
	metrics, err := daemon.ServeMetrics(c.Metrics, prometheus.NewRegistry(), counters)
	if err != nil {
		return err
	}
	defer func() { _ = metrics.Close() }()
	v, err := daemon.FindVolume(e.FS, c.Volume)
	if err != nil {
		return err
	}
	topology, err := e.Topology(v)
	if err != nil {
		return err
	}
	defer func() { _ = topology.Close() }()
	s, err := daemon.StartName(ctx, e, id, topology)
	if err != nil {
		return err
	}
	metrics.Watch(s)
	fmt.Println("ready", s.Addr)
	return daemon.WaitAndStop(ctx, s.Stop)
}
