// Command ostor-os runs one object server of a volume.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ostor/discovery"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
)

func main() {
	daemon.Main(daemon.ProcessCommand(&cobra.Command{
		Use:   "ostor-os DIR --service ID",
		Short: "run one object server",
		Long: `ostor-os keeps the bytes of objects in 12 pools, in services/<ID> of the ostor directory DIR (or OSTOR_MOUNT). It prints "ready ADDRESS" once it serves;
gateways find it through that directory. It refuses to start while another process owns the service.

` + daemon.ExitCodes,
		Example: `  ostor-os /mnt/cluster/ostor --service 1000000000000000
  ostor-os /mnt/cluster/ostor --service 1000000000000000 --rpc 10.0.0.1:2541 --tls-cert c.pem --tls-key k.pem --tls-ca ca.pem`,
	}, []string{"service", "takeover", "over", "rpc", "cache", "memtable", "log-size", "scrub-rate"}, run))
}

func run(ctx context.Context, p *daemon.Process) (err error) {
	id, err := daemon.ParseService(p.Config.Service, cluster.TypeObject)
	if err != nil {
		return err
	}
	volume, err := discovery.VolumeOf(p.FS, id)
	if err != nil {
		return err
	}
	v, err := discovery.LoadVolume(p.FS, volume)
	if err != nil {
		return err
	}
	topology, err := p.Topology(v)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, topology.Close()) }()
	p.Names = topology.NameServers
	s, err := daemon.StartObject(ctx, p.Env, id)
	if err != nil {
		return err
	}
	p.Metrics.Watch(s)
	fmt.Println("ready", s.Addr)
	return daemon.WaitAndStop(ctx, s.Stop)
}
