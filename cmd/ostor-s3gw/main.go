// Command ostor-s3gw runs an S3 gateway: stateless, any number of them serve one volume.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func main() {
	daemon.Main(daemon.ProcessCommand(&cobra.Command{
		Use:   "ostor-s3gw DIR",
		Short: "run an S3 gateway",
		Long: `ostor-s3gw answers S3 requests for a volume of the ostor directory DIR (or OSTOR_MOUNT). It finds the name servers and object servers through that
directory, also when they move or restart. It prints "ready URL" once it serves.

` + daemon.ExitCodes,
		Example: `  ostor-s3gw /mnt/cluster/ostor --listen 127.0.0.1:9000
  ostor-s3gw /mnt/cluster/ostor --listen 127.0.0.1:9001 --volume 0100000000000001 --domain s3.example.com`,
	}, []string{"listen", "domain", "region", "default-cors", "sigv2", "access-log", "volume", "cluster-key"}, run))
}

func run(ctx context.Context, p *daemon.Process) (err error) {
	v, err := daemon.FindVolume(p.FS, p.Config.Volume)
	if err != nil {
		return err
	}
	key, err := daemon.ClusterKey(p.FS, p.Config, false)
	if err != nil {
		return err
	}
	topology, err := p.Topology(v)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, topology.Close()) }()
	accounts, err := account.New(account.Options{Topology: topology, Key: key})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", p.Config.Listen)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "listen for S3; choose another address with --listen")
	}
	server, err := daemon.StartGateway(p.Env, topology, accounts, l, p.Registry)
	if err != nil {
		return err
	}
	fmt.Printf("ready http://%s\n", l.Addr())
	return daemon.WaitAndStop(ctx, server.Shutdown)
}
