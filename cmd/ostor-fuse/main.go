// Command ostor-fuse simulates a cluster file system on one machine: it mounts one directory at several places, as if several hosts shared it.
package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ostor/fsbackend/fusesim"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func main() { daemon.Main(command()) }

func command() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "ostor-fuse --source DIR MOUNTPOINT...",
		Short: "mount one directory as a simulated cluster file system",
		Long: `ostor-fuse mounts the directory given by --source at each MOUNTPOINT. Each mount stands for a host with its own caches; what one creates, all others see
at once, as on a cluster file system. It prints "ready" and the mount points when all are mounted, and serves until a signal (SIGTERM, SIGINT) comes or all have
been unmounted by umount; then it unmounts them.

As root it mounts by itself; other users need fusermount3 (package fuse3).

` + daemon.ExitCodes,
		Example: `  mkdir -p /tmp/cluster /tmp/host1 /tmp/host2
  ostor-fuse --source /tmp/cluster /tmp/host1 /tmp/host2 &
  ostor serve /tmp/host1/ostor --local-dir /tmp/local1`,
		Args: func(_ *cobra.Command, args []string) error {
			if source == "" || len(args) == 0 {
				return fault.New(fault.Invalid, "--source and at least one mount point are needed")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, mountpoints []string) error {
			c, err := fusesim.Mount(fusesim.Options{Source: source, Mountpoints: mountpoints})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "ready %s\n", strings.Join(c.Mountpoints(), " ")); err != nil {
				_ = c.Unmount()
				return err
			}
			ended := make(chan struct{})
			go func() { c.Wait(); close(ended) }()
			select {
			case <-ended: // unmounted from outside
				return nil
			case <-cmd.Context().Done():
				return c.Unmount()
			}
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "directory that holds the cluster's files (required)")
	return cmd
}
