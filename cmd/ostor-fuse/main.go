// Command ostor-fuse simulates a cluster file system on one machine: it mounts one directory at several places, as if several hosts shared it, and lets faults
// happen when it is told to by ostor-fuse ctl.
package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ostor/fsbackend/fusesim"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func main() { daemon.Main(command()) }

func command() *cobra.Command {
	var o fusesim.Options
	var control string
	cmd := &cobra.Command{
		Use:   "ostor-fuse --source DIR MOUNTPOINT...",
		Short: "mount one directory as a simulated cluster file system",
		Long: `ostor-fuse mounts the directory given by --source at each MOUNTPOINT. Each mount stands for a host with its own caches; what one creates, all others see
at once, as on a cluster file system. It prints "ready" and the mount points when all are mounted, and serves until a signal (SIGTERM, SIGINT) comes or all have
been unmounted by umount; then it unmounts them.

With --control it listens for ostor-fuse ctl, which cuts power, cuts hosts off and makes operations fail; docs/simulator.md has the table.

As root it mounts by itself; other users need fusermount3 (package fuse3).

` + daemon.ExitCodes,
		Example: `  mkdir -p /tmp/cluster /tmp/host0 /tmp/host1
  ostor-fuse --source /tmp/cluster --control /tmp/sim.sock /tmp/host0 /tmp/host1 &
  ostor serve /tmp/host0/ostor --local-dir /tmp/local0 --run-dir /tmp/run0 &
  ostor-fuse ctl --control /tmp/sim.sock power --host 0 --keep some --seed 7`,
		Args: func(_ *cobra.Command, args []string) error {
			if o.Source == "" || len(args) == 0 {
				return fault.New(fault.Invalid, "--source and at least one mount point are needed")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, mountpoints []string) error {
			o.Mountpoints = mountpoints
			o.PowerCuts = o.PowerCuts || control != ""
			return serve(cmd, o, control)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Source, "source", "", "`DIR` that holds the cluster's files (required)")
	f.StringVar(&control, "control", "", "listen for ostor-fuse ctl on this unix `SOCKET`, and track what is synced")
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "decides what rules leave to chance")
	f.BoolVar(&o.FastSync, "fast-sync", false, "fsync ends without asking the disk below: safe against simulated power cuts only")
	f.BoolVar(&o.DirectIO, "direct-io", false, "no kernel cache of file content (always so with --control)")
	f.BoolVar(&o.LocalLocks, "local-locks", false, "file locks reach their own host only")
	f.DurationVar(&o.StaleOverwrite, "stale-overwrite", 0, "how long other hosts read what an overwrite replaced")
	f.DurationVar(&o.StaleRename, "stale-rename", 0, "how long other hosts see the file that a rename replaced")
	f.BoolVar(&o.LostAppend, "lost-append", false, "O_APPEND of several hosts loses data")
	f.BoolVar(&o.NoFallocate, "no-fallocate", false, "fallocate is not supported")
	f.BoolVar(&o.NoPunchHole, "no-punch-hole", false, "punching holes is not supported")
	f.StringArrayVar(&o.Stores, "store", nil, "`DIR` of one host's disk; repeated, files have copies there as user.vstorage.replicas says")
	cmd.AddCommand(ctlCommand())
	return cmd
}

func serve(cmd *cobra.Command, o fusesim.Options, control string) (err error) {
	c, err := fusesim.Mount(o)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	defer func() {
		select {
		case <-ended: // unmounted from outside
		default:
			err = errors.Join(err, c.Unmount())
		}
	}()
	if control != "" {
		s, err := c.Control(control)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "ready %s\n", strings.Join(c.Mountpoints(), " ")); err != nil {
		return err
	}
	select {
	case <-ended:
	case <-cmd.Context().Done():
	}
	return nil
}
