package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ostor/discovery"
	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
	"ostor/nameserver"
)

const backupCodes = `Exit codes: 0 done; 1 failed, the message says why; 2 wrong usage.`

// backupFlags are those of both commands.
var backupFlags = []string{"local-dir", "run-dir", "profile", "takeover", "service", "log", "log-json"}

func backupCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "backup DIR --service ID --output FILE",
		Short: "write everything that a name server keeps to a file, while it runs or not",
		Long: `backup writes the names, metadata, uploads, guards and queued garbage of one name server in the ostor directory DIR (or OSTOR_MOUNT), as of one state, to FILE: with checksums, and an end mark
that only a whole backup has. FILE appears when it is whole, verified and durable; one that exists is not replaced. The bytes of objects are not in it.

A name server that runs is asked for the backup at its address, on another host with --tls-cert, --tls-key and --tls-ca, and goes on working meanwhile; the state is one between the beginning and the end
of the command. It holds the pages of that state until the end, so space that it frees meanwhile is not used again: write to a disk that keeps up. The files of a stopped one are opened.

` + backupCodes,
		Example: `  ostor-ctl backup /mnt/cluster/ostor --service 0800000000000000 --output /backup/ns-2026-11-23.bak`,
		Args:    cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, append([]string{"tls-cert", "tls-key", "tls-ca"}, backupFlags...)...)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the backup to `FILE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, id, err := nameServerOf(cmd, args, config, output, "where to? name a file with --output")
		if err != nil {
			return err
		}
		r, state, err := backup(cmd.Context(), e, id, output)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "backup of %s name server %s, generation %d: %d entries, %d bytes\n", state, id, r.Generation, r.Entries, r.Bytes)
		return nil
	}
	return cmd
}

// findTimeout bounds the look for a running server.
const findTimeout = 5 * time.Second

// backup asks the running name server, or opens the files of a stopped one.
func backup(ctx context.Context, e *daemon.Env, id cluster.ServiceID, output string) (r nameserver.BackupReport, state string, err error) {
	find, cancel := context.WithTimeout(ctx, findTimeout)
	c, err := e.DialName(find, id)
	cancel()
	switch {
	case err == nil:
		err = writeWhole(output, func(w io.Writer) (err error) {
			r, err = copyVerified(w, id, func(w io.Writer) error { return c.Backup(ctx, w) })
			return err
		})
		return r, "the running", errors.Join(err, c.Close())
	case fault.KindOf(err) != fault.Unavailable:
		return r, "", err
	}
	err = withNameServer(ctx, e, id, func(s *nameserver.Server) error {
		return writeWhole(output, func(w io.Writer) (err error) {
			r, err = s.Backup(ctx, id, w)
			return err
		})
	})
	return r, "the stopped", err
}

// copyVerified writes a backup of a name server to w as it comes, and reads it at the same time as a restore would.
func copyVerified(w io.Writer, id cluster.ServiceID, receive func(io.Writer) error) (r nameserver.BackupReport, err error) {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() { // ends with the pipe
		h, err := nameserver.ReadBackup(pr, func(k, v []byte) error {
			r.Entries++
			r.Bytes += int64(len(k) + len(v))
			return nil
		})
		r.BackupHeader = h
		if err == nil && h.Service != id {
			err = fault.New(fault.Corrupt, "the backup is of name server %s, not %s", h.Service, id)
		}
		pr.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
		done <- err
	}()
	err = receive(io.MultiWriter(w, pw))
	_ = pw.CloseWithError(cmp.Or(err, io.EOF))
	if verr := <-done; err == nil {
		err = verr
	}
	return r, err
}

func restoreCommand() *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:   "restore DIR --service ID --input FILE",
		Short: "replace everything that a stopped name server keeps by a backup",
		Long: `restore verifies all of a backup that ostor-ctl backup made of this name server, then replaces everything that the name server keeps by it, and verifies the result. When it is interrupted, the
name server refuses to start until it is restored again.

What was named after the backup was made is gone, and the bytes of what was deleted after it are lost: ostor-ctl fsck lists those names. The bytes of objects that the backup does not know become orphans, which
object servers delete when they are 48 hours old, unless there are suspiciously many: if you mean to restore a newer state later, keep the object servers stopped.

` + backupCodes,
		Example: `  ostor-ctl restore /mnt/cluster/ostor --service 0800000000000000 --input /backup/ns-2026-11-23.bak`,
		Args:    cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, backupFlags...)
	cmd.Flags().StringVarP(&input, "input", "i", "", "read the backup from `FILE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, id, err := nameServerOf(cmd, args, config, input, "from where? name a file with --input")
		if err != nil {
			return err
		}
		r, err := restore(cmd.Context(), e, id, input)
		if err != nil {
			return err
		}
		if err := withNameServer(cmd.Context(), e, id, func(s *nameserver.Server) error { return s.Check(cmd.Context()) }); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "name server %s is as of %s: %d entries, %d bytes\n", id, r.Created().Format(time.RFC3339), r.Entries, r.Bytes)
		return nil
	}
	return cmd
}

// nameServerOf opens the directory of the arguments and reads --service. file is the backup's; without one the command fails with the question missing.
func nameServerOf(cmd *cobra.Command, args []string, config func() (daemon.Config, error), file, missing string) (*daemon.Env, cluster.ServiceID, error) {
	c, err := config()
	if err != nil {
		return nil, 0, err
	}
	dir, err := daemon.DirArg(args)
	if err != nil {
		return nil, 0, err
	}
	if file == "" {
		return nil, 0, daemon.Usage(fault.New(fault.Invalid, "%s", missing))
	}
	id, err := daemon.ParseService(c.Service, cluster.TypeName)
	if err != nil {
		return nil, 0, err
	}
	if _, err := os.Stat(filepath.Join(dir, "volumes")); err != nil { // nothing is made in a wrong directory
		return nil, 0, fault.New(fault.NotFound, "%s is not an ostor directory", dir)
	}
	if !cmd.Flags().Changed("log") {
		c.Log = "error"
	}
	log, err := c.Logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, 0, err
	}
	e, _, err := daemon.OpenEnv(c, dir, log)
	if err != nil {
		return nil, 0, err
	}
	e.OnLost = daemon.ExitOnLoss
	return e, id, nil
}

// nobody keeps a name server from collecting garbage.
type nobody struct{}

func (nobody) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	return nil, fault.New(fault.Unavailable, "object server %s is not asked", id)
}

func optionsOf(e *daemon.Env, id cluster.ServiceID, l *lease.Lease) nameserver.Options {
	return nameserver.Options{FS: e.FS, Dir: discovery.ServiceDir(id), Owner: l, Objects: nobody{}, Logger: e.Log}
}

// withLease owns the service while fn runs, and leaves a clean end when it succeeded.
func withLease(ctx context.Context, e *daemon.Env, id cluster.ServiceID, fn func(l *lease.Lease) error) error {
	l, err := e.Own(ctx, id)
	if err != nil {
		return err
	}
	if err = fn(l); err == nil {
		err = l.Release(context.WithoutCancel(ctx))
	}
	return errors.Join(err, l.Close())
}

func withNameServer(ctx context.Context, e *daemon.Env, id cluster.ServiceID, fn func(s *nameserver.Server) error) error {
	return withLease(ctx, e, id, func(l *lease.Lease) error {
		s, err := nameserver.Open(ctx, optionsOf(e, id, l))
		if err != nil {
			return err
		}
		return errors.Join(fn(s), s.Close(context.WithoutCancel(ctx)))
	})
}

// maxGenerations bounds how many generations restore goes through to get past that of the backup.
const maxGenerations = 1 << 16

// restore restores in a generation later than the backup's. A service whose directory was made anew begins at 1, so it is owned until its generation is late enough.
func restore(ctx context.Context, e *daemon.Env, id cluster.ServiceID, input string) (r nameserver.BackupReport, err error) {
	open := func() (io.ReadCloser, error) { return os.Open(input) }
	f, err := os.Open(input)
	if err != nil {
		return r, fault.Wrap(fault.NotFound, err, "the backup")
	}
	h, err := nameserver.ReadBackup(f, func(_, _ []byte) error { return ctx.Err() })
	if err = errors.Join(err, f.Close()); err != nil {
		return r, err
	}
	for range maxGenerations {
		late := false
		err := withLease(ctx, e, id, func(l *lease.Lease) (err error) {
			if late = l.Generation() > h.Generation; late {
				r, err = nameserver.Restore(ctx, optionsOf(e, id, l), id, open)
				return err
			}
			s, err := nameserver.Open(ctx, optionsOf(e, id, l)) // a generation is one that was used
			if err != nil {
				return err
			}
			return s.Close(context.WithoutCancel(ctx))
		})
		if err != nil || late {
			return r, err
		}
	}
	return r, fault.New(fault.Invalid, "the backup is of generation %d, too far from the service's", h.Generation)
}

// writeWhole makes a file that appears, under its name, only when it is whole and durable.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(name); err == nil {
		return fault.New(fault.Exists, "%s exists", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil { // unlike a rename it replaces nothing
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
