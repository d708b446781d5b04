// Command ostor-ctl looks after a cluster's directory.
package main

import (
	"github.com/spf13/cobra"

	"ostor/internal/daemon"
)

func main() { daemon.Main(root()) }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ostor-ctl",
		Short: "look after the directory of a cluster",
	}
	cmd.AddCommand(inspectCommand(), fsckCommand(), agentStatusCommand(), backupCommand(), restoreCommand(), getSettingsCommand(), putSettingsCommand())
	return cmd
}
