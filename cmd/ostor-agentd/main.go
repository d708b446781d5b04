// Command ostor-agentd is the agent of a host: it runs the host's services, and takes over those of hosts that are gone.
package main

import (
	"github.com/spf13/cobra"

	"ostor/internal/daemon"
)

func main() {
	daemon.Main(daemon.ProcessCommand(&cobra.Command{
		Use:   "ostor-agentd DIR",
		Short: "run the services of this host, and take over those of hosts that are gone",
		Long: `ostor-agentd runs name servers and object servers of the ostor directory DIR (or OSTOR_MOUNT) as child processes, restarts them, and, with --gateway, S3 gateways.
Run one on each host. The agents share all services of all volumes out among the hosts that live; when a host falls silent for 4N the others take its services over, and clients
can write again about 13N after its death (N is the unit of --profile). They need nothing but the directory for that.

It prints "ready ADDRESS" once it works. SIGTERM stops the services cleanly; other hosts then take them at once. Do not run ostor-ns, ostor-os or ostor serve
by hand on a directory that agents look after: they would be taken over. ostor-ctl agent-status DIR shows who runs what.

` + daemon.ExitCodes,
		Example: `  ostor-agentd /mnt/cluster/ostor --gateway 127.0.0.1:9000
  ostor-agentd /mnt/cluster/ostor --rpc 10.0.0.1:2530 --tls-cert c.pem --tls-key k.pem --tls-ca ca.pem --gateway 10.0.0.1:9000 --metrics 127.0.0.1:9100`,
	}, []string{"gateway", "rpc", "cache", "memtable", "log-size", "garbage-delay", "scrub-rate", "domain", "region", "default-cors", "sigv2", "access-log", "volume", "cluster-key"}, daemon.RunAgent))
}
