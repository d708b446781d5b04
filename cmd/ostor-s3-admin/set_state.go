package main

import (
	"context"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

// setState makes disable-user and enable-user. They print nothing.
func setState(open opener, name string, disable bool) *cobra.Command {
	short := "let a disabled user in again"
	if disable {
		short = "refuse all requests of a user; keys and buckets stay"
	}
	s := newCommand(open, &cobra.Command{
		Use:     name + " {-e ADDRESS | -i ID} [-V ID]",
		Short:   short,
		Example: "  ostor-s3-admin " + name + " -e user@email.com -V 0100000000000002",
	}).withUser()
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		id, err := s.userID(ctx, a)
		if err != nil {
			return err
		}
		if err := a.SetDisabled(ctx, id, disable); err != nil || !*s.asJSON {
			return err
		}
		return writeJSON(s.OutOrStdout(), stateJSON{UserID: id.String(), State: stateName(disable)})
	})
}
