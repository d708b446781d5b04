// Command ostor is the whole object store in one process: `ostor serve DIR`.
package main

import (
	"github.com/spf13/cobra"

	"ostor/internal/daemon"
)

func main() {
	root := &cobra.Command{
		Use:   "ostor",
		Short: "an S3-compatible object store in a directory",
		Long: `ostor keeps S3 buckets and objects in files of one directory: on a laptop, or on the mount of a cluster file system.

` + daemon.ExitCodes,
		Example: `  ostor serve ~/s3                 serve S3 on http://127.0.0.1:9000
  ostor serve /mnt/cluster/ostor --listen 10.0.0.1:9000 --metrics 127.0.0.1:9100
  ostor init /mnt/cluster/ostor --ns 2 --os 4   make a volume for separate ostor-ns, ostor-os, ostor-s3gw`,
	}
	root.AddCommand(serveCommand(), initCommand())
	daemon.Main(root)
}
