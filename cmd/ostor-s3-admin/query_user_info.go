package main

import (
	"context"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func queryUserInfo(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:     "query-user-info {-e ADDRESS | -i ID} [-V ID]",
		Short:   "show a user with access and secret keys",
		Example: "  ostor-s3-admin query-user-info -e user@email.com -V 0100000000000002",
	}).withUser()
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		u, err := s.user(ctx, a)
		if err != nil {
			return err
		}
		if *s.asJSON {
			return writeJSON(s.OutOrStdout(), jsonUser(u, true))
		}
		return writeUser(s.OutOrStdout(), u)
	})
}
