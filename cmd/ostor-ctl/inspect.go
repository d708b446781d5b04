package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ostor/internal/fault"
)

const inspectCodes = `Exit codes: 0 all is well; 1 damage was found, or something could not be read; 2 wrong usage, or no such path.`

// options of both subcommands.
type options struct {
	json  bool
	limit int // lines per file of a dump; 0 = all
	check bool
}

func inspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "show and verify files of an ostor directory, without changing anything",
		Long: `inspect looks into the files of services: log segments, tree files, rings of roots, pool files, manifests, claims, release notes, owner records and volume descriptors.
It only reads, takes no lock and needs no running service. On files of a running service what it says may be transient: repeat it when the service has stopped.

A PATH is such a file, wherever it lies, or a directory: that of a service, of a generation, or a whole ostor directory. Secrets are never printed.

` + inspectCodes,
	}
	cmd.AddCommand(dumpCommand(), checkCommand())
	return cmd
}

func dumpCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "dump PATH...",
		Short: "print every header, record, page, entry and block",
		Long: `dump prints one line for each header, record, change, page, entry, block or field: where it lies (file and offset), what it is, and what it says. Keys are quoted as in Go.
Changes and entries of name servers and object servers are decoded. What does not decode is printed as damage.

` + inspectCodes,
		Example: `  ostor-ctl inspect dump /mnt/ostor/services/0800000000000000/gen/0000000001/log-00000000
  ostor-ctl inspect dump --limit 20 /mnt/ostor/services/1000000000000000
  ostor-ctl inspect dump --json /mnt/ostor/volumes | jq .`,
		Args: paths,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, o, args) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	cmd.Flags().IntVar(&o.limit, "limit", 0, "print at most `N` lines of each file; 0 = all")
	return cmd
}

func checkCommand() *cobra.Command {
	o := options{check: true}
	cmd := &cobra.Command{
		Use:   "check PATH...",
		Short: "verify every checksum and identity, and how the files of a service fit together",
		Long: `check verifies every header, record, page and block, and prints for each damage where it is, what it is, what should be there and what is. With the whole directory of a service
it also reads the log and walks the tree as a start of the service would: nothing may be missing between them, every entry must decode, and every block in use must hold its object.
Files inside a service's directory are judged with the rest of it: what nothing refers to (a torn tail, a free block) is a note, no damage.

` + inspectCodes,
		Example: `  ostor-ctl inspect check /mnt/ostor
  ostor-ctl inspect check /mnt/ostor/services/1000000000000000
  ostor-ctl inspect check --json copy-of-a-log-segment`,
		Args: paths,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, o, args) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	return cmd
}

// paths are existing files or directories: anything else is wrong usage.
func paths(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fault.New(fault.Invalid, "name a file or directory")
	}
	for _, a := range args {
		if _, err := os.Stat(a); err != nil {
			return err
		}
	}
	return nil
}

// run is dump and check.
func run(cmd *cobra.Command, o options, args []string) error {
	r := newReport(cmd.OutOrStdout(), o)
	in := &inspector{ctx: cmd.Context(), report: r, check: o.check, services: make(map[string]*service)}
	for _, a := range args {
		if err := in.path(a); err != nil {
			_ = r.flush()
			return err
		}
	}
	if o.check {
		r.summary()
	}
	if err := r.flush(); err != nil {
		return err
	}
	if r.damages > 0 {
		return fault.New(fault.Corrupt, "%s", plural(r.damages, "damaged place"))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
