package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Exit codes of every command.
const (
	ExitOK       = 0
	ExitFailed   = 1 // something is wrong; the message says what
	ExitUsage    = 2 // wrong flags or arguments
	ExitLost     = 3 // a service lost its ownership or its storage: restart it
	stopDeadline = 30 * time.Second
)

// ExitCodes is the text for --help.
const ExitCodes = `Exit codes: 0 done or stopped by a signal; 1 failed, the message says why; 2 wrong usage;
3 a service lost its ownership or its storage failed: nothing acknowledged is lost, restart it.`

// Main runs a command until it ends or a signal stops it, and exits with its code. It is the last call of main.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, root))
}

// execute runs a command, says what went wrong, and returns the exit code.
func execute(ctx context.Context, root *cobra.Command) int {
	root.SilenceUsage, root.SilenceErrors = true, true
	ran := false
	watchRuns(root, &ran)
	unknown := ""
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		// cobra shows the help, and is content, when a group of commands lacks the one that was asked for.
		if !cmd.Runnable() && cmd.Flags().NArg() > 0 {
			unknown = cmd.Flags().Arg(0)
			return
		}
		help(cmd, args)
	})
	cmd, err := root.ExecuteContextC(ctx)
	if unknown != "" {
		err = fault.New(fault.Invalid, "unknown command %q for %q", unknown, cmd.CommandPath())
	}
	var wrong usageError
	switch {
	case err == nil:
		return ExitOK
	case !ran || errors.As(err, &wrong):
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\nRun '%s --help' for usage.\n", root.Name(), err, cmd.CommandPath())
		return ExitUsage
	}
	fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", root.Name(), err)
	return ExitFailed
}

// watchRuns lets each command set ran when its arguments and flags are right and it begins.
func watchRuns(cmd *cobra.Command, ran *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*ran = true
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		watchRuns(c, ran)
	}
}

// usageError is an error of who called the command, seen only after it began.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes err one that ends the command with ExitUsage; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// CommandConfig adds flags and --config to a command, and returns the function that loads them once the command runs. What is wrong with them is wrong usage.
func CommandConfig(cmd *cobra.Command, names ...string) func() (Config, error) {
	Flags(cmd.Flags(), names...)
	file := cmd.Flags().String("config", "", "configuration `FILE` in YAML, TOML or JSON (default /etc/ostor/ostor.yaml if it exists)")
	return func() (Config, error) {
		c, err := Load(*file, cmd.Flags())
		return c, Usage(err)
	}
}

// ExitOnLoss is the OnLost of commands: end at once, without flushing anything.
func ExitOnLoss(id cluster.ServiceID, err error) {
	fmt.Fprintf(os.Stderr, "service %s may no longer reply, ending at once: %v\n", id, err)
	os.Exit(ExitLost)
}

// WaitAndStop blocks until ctx ends, then runs stop with its own deadline. A second SIGINT (^C) ends the process at once. A second SIGTERM does not: the kernel sends one for each thread of a
// parent that dies (PR_SET_PDEATHSIG), and a service manager may send one beside the agent's.
func WaitAndStop(ctx context.Context, stop func(context.Context) error) error {
	<-ctx.Done()
	signal.Reset(os.Interrupt)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDeadline)
	defer cancel()
	if err := stop(sctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// DirArg returns the directory that a command was given, or OSTOR_MOUNT.
func DirArg(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if dir := os.Getenv("OSTOR_MOUNT"); dir != "" {
		return dir, nil
	}
	return "", Usage(fault.New(fault.Invalid, "which cluster? name its directory, or set OSTOR_MOUNT"))
}

// ParseService reads the id of --service.
func ParseService(s string, want cluster.ServiceType) (cluster.ServiceID, error) {
	n, err := cluster.ParseID(s)
	if err != nil || cluster.ServiceID(n).Type() != want {
		return 0, Usage(fault.New(fault.Invalid, "--service %q: want the id of a %s, 16 hex digits beginning with %02x", s, want, uint8(want)))
	}
	return cluster.ServiceID(n), nil
}
