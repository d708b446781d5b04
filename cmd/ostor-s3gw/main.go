// Command ostor-s3gw runs an S3 gateway: stateless, any number of them serve one volume.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"ostor/gateway/account"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func main() {
	cmd := &cobra.Command{
		Use:   "ostor-s3gw DIR",
		Short: "run an S3 gateway",
		Long: `ostor-s3gw answers S3 requests for a volume of the ostor directory DIR (or OSTOR_MOUNT). It finds the name servers and object servers through that
directory, also when they move or restart. It prints "ready URL" once it serves.

` + daemon.ExitCodes,
		Example: `  ostor-s3gw /mnt/cluster/ostor --listen 127.0.0.1:9000
  ostor-s3gw /mnt/cluster/ostor --listen 127.0.0.1:9001 --volume 0100000000000001 --domain s3.example.com`,
		Args: cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, "listen", "domain", "region", "volume", "cluster-key", "local-dir", "run-dir", "profile", "metrics", "log", "log-json", "memory",
		"tls-cert", "tls-key", "tls-ca")
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
	c.TuneHeap()
	e, counters, err := daemon.OpenEnv(c, dir, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	metrics, err := daemon.ServeMetrics(c.Metrics, reg, counters)
	if err != nil {
		return err
	}
	v, err := daemon.FindVolume(e.FS, c.Volume)
	if err != nil {
		return err
	}
	key, err := daemon.ClusterKey(e.FS, c, false)
	if err != nil {
		return err
	}
	topology, err := e.Topology(v)
	if err != nil {
		return err
	}
	accounts, err := account.New(account.Options{Topology: topology, Key: key})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "listen for S3; choose another address with --listen")
	}
	server, err := daemon.StartGateway(e, topology, accounts, l, reg)
	if err != nil {
		return err
	}
	fmt.Printf("ready http://%s\n", l.Addr())
	return daemon.WaitAndStop(ctx, func(ctx context.Context) error {
		return errors.Join(server.Shutdown(ctx), topology.Close(), metrics.Close())
	})
}
