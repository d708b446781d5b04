package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ostor/discovery/agent"
	"ostor/internal/cluster"
)

func agentStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "agent-status DIR",
		Short: "show which host runs which service",
		Long: `agent-status prints a line for each name server, object server and gateway that the agents (ostor-agentd) of the ostor directory DIR (or OSTOR_MOUNT) look after: its status,
for how many seconds it has served, the host and the address. It reads the directory and asks nobody, so it also works while hosts are down; what it shows may be some seconds old.

STATUS is ACTIVE; STARTING (it starts, waits until a former owner cannot reply any more, or is about to be started again); FAILED (its host has given it up for a while); SILENT (its host was
last heard of a minute ago or more, by the clocks); MOVING (claimed by a host that does not speak of it); STOPPED.

Exit codes: 0 printed; 1 the directory cannot be read, or is no cluster's; 2 wrong usage.`,
		Example: `  ostor-ctl agent-status /mnt/cluster/ostor
  ostor-ctl agent-status /mnt/cluster/ostor --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, err := openCluster(args)
			if err != nil {
				return err
			}
			rows, err := agent.Status(fs, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printStatusJSON(cmd.OutOrStdout(), rows)
			}
			return printStatus(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// typeName names a service type as administrators know it.
func typeName(id cluster.ServiceID) string {
	switch id.Type() {
	case cluster.TypeName:
		return "NS"
	case cluster.TypeObject:
		return "OS"
	case cluster.TypeGateway:
		return "S3GW"
	}
	return id.Type().String()
}

func printStatus(w io.Writer, rows []agent.Row) error {
	var b strings.Builder
	const layout = "%-8s %-20s %-12s %9v  %-18s %s\n"
	fmt.Fprintf(&b, layout, "TYPE", "SVC_ID", "STATUS", "UPTIME", "HOST_ID", "ADDRS")
	for _, r := range rows {
		host := "-"
		if r.Host != 0 {
			host = r.Host.String()
		}
		line := fmt.Sprintf(layout, typeName(r.Service), r.Service, r.Status, int64(r.Uptime/time.Second), host, r.Address)
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printStatusJSON(w io.Writer, rows []agent.Row) error {
	type row struct {
		Type     string   `json:"type"`
		Service  string   `json:"svc_id"`
		Status   string   `json:"status"`
		Uptime   int64    `json:"uptime"` // seconds
		Host     string   `json:"host_id,omitempty"`
		Hostname string   `json:"hostname,omitempty"`
		Addrs    []string `json:"addrs"`
		Restarts uint64   `json:"restarts"`
	}
	list := make([]row, 0, len(rows))
	for _, r := range rows {
		j := row{Type: typeName(r.Service), Service: r.Service.String(), Status: r.Status, Uptime: int64(r.Uptime / time.Second), Hostname: r.Hostname, Addrs: []string{}, Restarts: r.Restarts}
		if r.Host != 0 {
			j.Host = r.Host.String()
		}
		if r.Address != "" {
			j.Addrs = append(j.Addrs, r.Address)
		}
		list = append(list, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}
