package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
	"ostor/internal/fsck"
	"ostor/objserver"
)

func fsckCommand() *cobra.Command {
	var o fsck.Options
	var only []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fsck DIR",
		Short: "verify the services of a stopped volume together, and repair them",
		Long: `fsck opens all services of a volume in the ostor directory DIR (or OSTOR_MOUNT) as their owner, so none may run meanwhile: one that does is named and nothing is done. Each is recovered
as by a start. Then fsck verifies every invariant of their files: each block in use belongs to one object, region masks agree with the object trees, the tables of the name servers agree with each other;
that every name has its bytes, of its size, and that no object older than --orphan-age is without a name. It prints one line for each problem.

With --repair it writes region masks anew from the object trees, and deletes objects without a name; of those at most 1000, or a tenth of all, unless --believe-orphans is given: name servers that
were restored from an old backup do not know newer objects. It never removes a name: delete, or put again, an object whose bytes are lost.

With --rebuild, the object tree of every object server that cannot be opened because its log, tree or manifest is lost or damaged is made anew from the headers of its blocks; with --object-server, that of
the object servers named, whether they can be opened or not. What the name servers refer to decides which objects are made: all name servers must be whole, and what was deleted stays deleted. Every
payload is read and verified. An object that is not whole is reported with bucket and key as a name whose bytes are lost. Nothing is written but files of a new generation, which count all at once
at the end: an interrupted rebuild is simply begun again, and until then the service does not start.

Exit codes: 0 all is well, or was repaired, or was rebuilt whole; 1 problems remain, or the check failed; 2 wrong usage.`,
		Example: `  ostor-ctl fsck /mnt/cluster/ostor
  ostor-ctl fsck /mnt/cluster/ostor --payloads
  ostor-ctl fsck /mnt/cluster/ostor --repair
  ostor-ctl fsck /mnt/cluster/ostor --rebuild
  ostor-ctl fsck /mnt/cluster/ostor --rebuild --object-server 1000000000000003 --json`,
		Args: cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, "local-dir", "run-dir", "profile", "takeover", "volume", "log", "log-json")
	f := cmd.Flags()
	f.BoolVar(&o.Payloads, "payloads", false, "read and verify every byte of every object, too")
	f.BoolVar(&o.Repair, "repair", false, "repair what can be repaired without losing anything that has a name")
	f.BoolVar(&o.BelieveOrphans, "believe-orphans", false, "with --repair: delete objects without a name, however many there are")
	f.BoolVar(&o.Rebuild, "rebuild", false, "make the object trees of object servers that cannot be opened anew from the headers of their blocks")
	f.StringSliceVar(&only, "object-server", nil, "with --rebuild: rebuild the object server `ID`, also when it can be opened; may be given several times")
	f.BoolVar(&o.SkipUnreadable, "skip-unreadable", false, "with --rebuild: go on when the file system cannot read a block, and lose its object")
	f.BoolVar(&asJSON, "json", false, "print one JSON object a line")
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
		if (len(only) > 0 || o.SkipUnreadable) && !o.Rebuild {
			return daemon.Usage(fault.New(fault.Invalid, "--object-server and --skip-unreadable go with --rebuild"))
		}
		for _, text := range only {
			id, err := daemon.ParseService(text, cluster.TypeObject)
			if err != nil {
				return err
			}
			o.Only = append(o.Only, id)
		}
		return runFsck(cmd, c, dir, o, asJSON)
	}
	return cmd
}

func runFsck(cmd *cobra.Command, c daemon.Config, dir string, o fsck.Options, asJSON bool) error {
	if _, err := os.Stat(filepath.Join(dir, "volumes")); err != nil { // nothing is made in a wrong directory
		return fault.New(fault.NotFound, "%s is not an ostor directory", dir)
	}
	if o.OrphanAge <= 0 {
		return daemon.Usage(fault.New(fault.Invalid, "--orphan-age is %s: want more than 0", o.OrphanAge))
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
	out := printer(cmd.OutOrStdout(), asJSON)
	o.Rebuilt = out.rebuilt
	s, err := fsck.Run(cmd.Context(), o, out.problem)
	if err != nil {
		return err // no summary: its counts would pass for a result
	}
	out.summary(v.ID, s)
	if left := s.Problems - s.Repaired; left > 0 {
		return fault.New(fault.Corrupt, "%d problems remain", left)
	}
	return nil
}

// fsckPrinter prints what fsck finds, for people or as JSON.
type fsckPrinter struct {
	w    io.Writer
	json *json.Encoder // nil = text
}

func printer(w io.Writer, asJSON bool) *fsckPrinter {
	p := &fsckPrinter{w: w}
	if asJSON {
		p.json = json.NewEncoder(w)
		p.json.SetEscapeHTML(false)
	}
	return p
}

func (p *fsckPrinter) problem(x fsck.Problem) {
	what := "problem"
	if x.Repaired {
		what = "repaired"
	}
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"kind": what, "service": x.Service.String(), "error": x.Err.Error()})
		return
	}
	_, _ = fmt.Fprintf(p.w, "%s\t%s\t%v\n", what, x.Service, x.Err)
}

func (p *fsckPrinter) rebuilt(id cluster.ServiceID, r objserver.RebuildReport) {
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"kind": "rebuilt", "service": id.String(), "pool_files": r.Files, "headers": r.Headers, "objects": r.Objects, "bytes": r.Bytes, "from_log": r.Logged,
			"lost": len(r.Lost), "conflicts": r.Conflicts, "unfinished": r.Unfinished, "unnamed_headers": r.Unnamed, "spare_headers": r.Spare, "damaged_headers": len(r.Damaged), "unreadable_records": r.Unreadable})
	} else {
		_, _ = fmt.Fprintf(p.w, "rebuilt\t%s\t%d objects of %d bytes, %d of them from the log; %d lost, %d of them with two contents; %d uploads had not ended; of %d blocks in %d files, %d were of objects without a name, %d were spare\n",
			id, r.Objects, r.Bytes, r.Logged, len(r.Lost), r.Conflicts, r.Unfinished, r.Headers, r.Files, r.Unnamed, r.Spare)
		if r.Unreadable > 0 {
			_, _ = fmt.Fprintf(p.w, "damaged\t%s\t%d records, pages or files of the old log and tree could not be read\n", id, r.Unreadable)
		}
	}
	for _, err := range r.Damaged {
		if p.json != nil {
			_ = p.json.Encode(map[string]any{"kind": "damaged", "service": id.String(), "error": err.Error()})
			continue
		}
		_, _ = fmt.Fprintf(p.w, "damaged\t%s\t%v\n", id, err)
	}
}

func (p *fsckPrinter) summary(volume cluster.ServiceID, s fsck.Summary) {
	if p.json != nil {
		_ = p.json.Encode(map[string]any{"kind": "summary", "volume": volume.String(), "services": s.Services, "links": s.Links, "objects": s.Objects, "orphans_freed": s.Orphans.Freed,
			"problems": s.Problems, "repaired": s.Repaired})
		return
	}
	_, _ = fmt.Fprintf(p.w, "volume %s: %d services, %d names with bytes, %d objects, %d without a name were freed: %d problems, %d repaired\n",
		volume, s.Services, s.Links, s.Objects, s.Orphans.Freed, s.Problems, s.Repaired)
}
