// Command ostor-s3-admin manages the S3 users of a volume and their access keys. As its caller can read the cluster key, it asks nobody for permission.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

func main() { daemon.Main(rootCommand(openVolume)) }

// timeout is the longest that a command may take. delete-user waits account.MaxTTL of it.
const timeout = time.Minute

// opener finds the users of the volume that a command's flags name; closer ends the connections.
type opener func(ctx context.Context, c daemon.Config, mount string) (a *account.Accounts, closer func() error, err error)

func openVolume(ctx context.Context, c daemon.Config, mount string) (*account.Accounts, func() error, error) {
	topology, key, closer, err := daemon.OpenAdmin(ctx, daemon.AdminOptions{Mount: mount, Volume: c.Volume, Config: c})
	if err != nil {
		return nil, nil, err
	}
	a, err := account.New(account.Options{Topology: topology, Key: key})
	if err != nil {
		return nil, nil, errors.Join(err, closer())
	}
	return a, closer, nil
}

func rootCommand(open opener) *cobra.Command {
	root := &cobra.Command{
		Use:   "ostor-s3-admin",
		Short: "manage S3 users and their access keys",
		Long: `ostor-s3-admin manages the S3 users of a volume and their access keys, through the name servers of the running cluster whose directory is --mount or OSTOR_MOUNT.
A revoked key and a disabled user are refused by every gateway after 5 seconds at the latest.

` + daemon.ExitCodes,
	}
	root.AddCommand(createUser(open), queryUsers(open), queryUserInfo(open), setState(open, "disable-user", true), setState(open, "enable-user", false),
		deleteUser(open), genAccessKey(open), revokeAccessKey(open))
	return root
}

// command is one subcommand: the flags that all have, and how they are used.
type command struct {
	*cobra.Command
	open   opener
	config func() (daemon.Config, error)
	mount  *string
	asJSON *bool

	email, id *string // of withUser
}

func newCommand(open opener, c *cobra.Command) *command {
	c.Args = cobra.NoArgs
	s := &command{Command: c, open: open}
	c.Flags().StringP("volume", "V", "", "volume `ID` (default: the only one)")
	s.config = daemon.CommandConfig(c, "cluster-key", "run-dir", "log", "log-json", "tls-cert", "tls-key", "tls-ca")
	s.mount = c.Flags().String("mount", os.Getenv("OSTOR_MOUNT"), "ostor `DIR` of the cluster, on its mount")
	s.asJSON = c.Flags().Bool("json", false, "print JSON")
	return s
}

// withUser adds the flags that name a user.
func (s *command) withUser() *command {
	s.email = s.Flags().StringP("email", "e", "", "the user's e-mail `ADDRESS`")
	s.id = s.Flags().StringP("id", "i", "", "the user's `ID`, 16 hexadecimal digits")
	s.MarkFlagsMutuallyExclusive("email", "id")
	s.MarkFlagsOneRequired("email", "id")
	return s
}

// run makes f what the command does.
func (s *command) run(f func(ctx context.Context, a *account.Accounts) error) *cobra.Command {
	s.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		c, err := s.config()
		if err != nil {
			return err
		}
		if c.Log == "info" && !cmd.Flags().Changed("log") {
			c.Log = "warn" // the output is for people and scripts; which service was found is news for a daemon's log
		}
		a, closer, err := s.open(ctx, c, *s.mount)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closer()) }()
		return f(ctx, a)
	}
	return s.Command
}

// user finds the user that the flags name.
func (s *command) user(ctx context.Context, a *account.Accounts) (account.User, error) {
	if *s.email != "" {
		return a.FindEmail(ctx, *s.email)
	}
	id, err := s.userID(ctx, a)
	if err != nil {
		return account.User{}, err
	}
	return a.Get(ctx, id)
}

// userID is user for commands that need the id only: the user's secrets, which may be damaged, are not opened for an id.
func (s *command) userID(ctx context.Context, a *account.Accounts) (cluster.UserID, error) {
	if *s.email != "" {
		return a.FindEmailID(ctx, *s.email)
	}
	id, err := cluster.ParseID(*s.id)
	if err != nil || id == 0 {
		return 0, daemon.Usage(fault.New(fault.Invalid, "%q is not a user id: want 16 hexadecimal digits", *s.id))
	}
	return cluster.UserID(id), nil
}
