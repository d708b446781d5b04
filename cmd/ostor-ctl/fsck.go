package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
	"ostor/internal/fsck"
)

func fsckCommand() *cobra.Command {
	var o fsck.Options
	cmd := &cobra.Command{
		Use:   "fsck DIR",
		Short: "verify the services of a stopped volume together, and repair them",
		Long: `fsck opens all services of a volume in the ostor directory DIR (or OSTOR_MOUNT) as their owner, so none may run meanwhile: one that does is named and nothing is done. Each is recovered
as by a start. Then fsck verifies every invariant of their files: each block in use belongs to one object, region masks agree with the object trees, the tables of the name servers agree with each other;
that every name has its bytes, of its size, and that no object older than --orphan-age is without a name. It prints one line for each problem.

With --repair it writes region masks anew from the object trees, and deletes objects without a name; of those at most 1000, or a tenth of all, unless --believe-orphans is given: name servers that
were restored from an old backup do not know newer objects. It never removes a name: delete, or put again, an object whose bytes are lost.

Exit codes: 0 all is well, or was repaired; 1 problems remain, or the check failed; 2 wrong usage.`,
		Example: `  ostor-ctl fsck /mnt/cluster/ostor
  ostor-ctl fsck /mnt/cluster/ostor --payloads
  ostor-ctl fsck /mnt/cluster/ostor --repair`,
		Args: cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, "local-dir", "run-dir", "profile", "takeover", "volume", "log", "log-json")
	f := cmd.Flags()
	f.BoolVar(&o.Payloads, "payloads", false, "read and verify every byte of every object, too")
	f.BoolVar(&o.Repair, "repair", false, "repair what can be repaired without losing anything that has a name")
	f.BoolVar(&o.BelieveOrphans, "believe-orphans", false, "with --repair: delete objects without a name, however many there are")
	f.DurationVar(&o.OrphanAge, "orphan-age", 48*time.Hour, "objects younger than this may be without a name: their upload may still run")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config()
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("log") {
			c.Log = "error" // the report says the rest
		}
		dir, err := daemon.DirArg(args)
		if err != nil {
			return err
		}
		return runFsck(cmd, c, dir, o)
	}
	return cmd
}

func runFsck(cmd *cobra.Command, c daemon.Config, dir string, o fsck.Options) error {
	if _, err := os.Stat(filepath.Join(dir, "volumes")); err != nil { // nothing is made in a wrong directory
		return fault.New(fault.NotFound, "%s is not an ostor directory", dir)
	}
	if o.OrphanAge <= 0 {
		return fault.New(fault.Invalid, "--orphan-age is %s: want more than 0", o.OrphanAge)
	}
	log, err := c.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	e, _, err := daemon.OpenEnv(c, dir, log)
	if err != nil {
		return err
	}
	e.OnLost = daemon.ExitOnLoss
	v, err := daemon.FindVolume(e.FS, c.Volume)
	if err != nil {
		return err
	}
	o.FS, o.Volume, o.Logger = e.FS, v, log
	o.Own = func(ctx context.Context, id cluster.ServiceID) (fsck.Owner, error) { return e.Own(ctx, id) }
	out := cmd.OutOrStdout()
	s, err := fsck.Run(cmd.Context(), o, func(p fsck.Problem) {
		what := "problem"
		if p.Repaired {
			what = "repaired"
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%v\n", what, p.Service, p.Err)
	})
	_, _ = fmt.Fprintf(out, "volume %s: %d services, %d names with bytes, %d objects, %d without a name were freed: %d problems, %d repaired\n",
		v.ID, s.Services, s.Links, s.Objects, s.Orphans.Freed, s.Problems, s.Repaired)
	if err != nil {
		return err
	}
	if left := s.Problems - s.Repaired; left > 0 {
		return fault.New(fault.Corrupt, "%d problems remain", left)
	}
	return nil
}
