package main

import (
	"context"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func createUser(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:     "create-user -e ADDRESS [-V ID]",
		Short:   "create a user with a key pair",
		Example: "  ostor-s3-admin create-user -e user@email.com -V 0100000000000002",
	})
	email := s.Flags().StringP("email", "e", "", "the user's e-mail `ADDRESS`; no other user may have it")
	system := s.Flags().BoolP("system", "S", false, "the user may use the management API")
	if err := s.MarkFlagRequired("email"); err != nil {
		panic(err) // the flag is two lines above
	}
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		u, err := a.Create(ctx, account.CreateOptions{Email: *email, System: *system})
		if err != nil {
			return err
		}
		if *s.asJSON {
			return writeJSON(s.OutOrStdout(), jsonUser(u, true))
		}
		return writeCreated(s.OutOrStdout(), u)
	})
}
