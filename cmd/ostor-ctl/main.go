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
		Long: `ostor-ctl looks after the ostor directory of a cluster: what its files hold, whether they are whole, who runs what, settings, and backups of name servers.

Exit codes: 0 done, all is well; 1 failed, or something is wrong, the message says what; 2 wrong usage. The commands say more.`,
		Example: `  ostor-ctl agent-status /mnt/cluster/ostor          which host runs which service
  ostor-ctl inspect check /mnt/cluster/ostor         is every file whole? while services run, or not
  ostor-ctl fsck /mnt/cluster/ostor                  do all services of a stopped volume agree?
  ostor-ctl backup /mnt/cluster/ostor --service 0800000000000000 --output /backup/ns.bak`,
	}
	cmd.AddCommand(inspectCommand(), fsckCommand(), agentStatusCommand(), backupCommand(), restoreCommand(), getSettingsCommand(), putSettingsCommand())
	return cmd
}
