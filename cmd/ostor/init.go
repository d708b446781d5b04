package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "make a volume for services that run as separate processes",
		Long: `init makes a volume in DIR: its slot table, the directories of its name servers and object servers, and the cluster key when there is none.
It starts nothing. It refuses when DIR already has a volume, unless --add is given.

` + daemon.ExitCodes,
		Example: `  ostor init /mnt/cluster/ostor --ns 2 --os 3
  ostor-os /mnt/cluster/ostor --service 1000000000000000 &
  ostor-ns /mnt/cluster/ostor --service 0800000000000000 &
  ostor-s3gw /mnt/cluster/ostor --listen 127.0.0.1:9000 &`,
		Args: cobra.ExactArgs(1),
	}
	config := daemon.CommandConfig(cmd, "ns", "os", "cluster-key", "local-dir", "run-dir", "profile")
	asJSON := cmd.Flags().Bool("json", false, "print the ids as one line of JSON")
	add := cmd.Flags().Bool("add", false, "make one more volume in a directory that has one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config()
		if err != nil {
			return err
		}
		if err := daemon.MakeDir(args[0]); err != nil {
			return err
		}
		fs, err := fsbackend.NewOS(args[0])
		if err != nil {
			return err
		}
		if v, err := daemon.FindVolume(fs, ""); err == nil && !*add {
			return fault.New(fault.Exists, "%s has volume %s already; --add makes one more", args[0], v.ID)
		}
		v, err := daemon.InitVolume(fs, c)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
				Volume        string   `json:"volume"`
				NameServers   []string `json:"nameServers"`
				ObjectServers []string `json:"objectServers"`
			}{v.ID.String(), ids(v.Names), ids(v.Objects())})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "volume %s\nname servers    %s\nobject servers  %s\n", v.ID, strings.Join(ids(v.Names), " "), strings.Join(ids(v.Objects()), " "))
		return err
	}
	return cmd
}

func ids(s []cluster.ServiceID) []string {
	out := make([]string, len(s))
	for i, id := range s {
		out[i] = id.String()
	}
	return out
}
