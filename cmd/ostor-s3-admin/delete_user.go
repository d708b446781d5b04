package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func deleteUser(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:   "delete-user {-e ADDRESS | -i ID} [-V ID]",
		Short: "delete a user who owns no bucket",
		Long: `delete-user deletes a user and the access keys. It refuses a user who owns buckets: delete them first. It takes five seconds: the user is disabled, and deleted once every gateway
knows that, so that no bucket can be left behind. When it is interrupted the user may stay disabled.`,
		Example: "  ostor-s3-admin delete-user -i bf0b3b15eb7c9019 -V 0100000000000002",
	}).withUser()
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		id, err := s.userID(ctx, a)
		if err != nil {
			return err
		}
		if err := a.Delete(ctx, id); err != nil {
			return err
		}
		if *s.asJSON {
			return writeJSON(s.OutOrStdout(), stateJSON{UserID: id.String(), State: "deleted"})
		}
		_, err = fmt.Fprintf(s.OutOrStdout(), "Deleted user: user id=%s\n", id)
		return err
	})
}
