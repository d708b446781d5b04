package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func genAccessKey(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:     "gen-access-key {-e ADDRESS | -i ID} [-V ID]",
		Short:   "add a key pair to a user, who may have two",
		Example: "  ostor-s3-admin gen-access-key -e user@email.com -V 0100000000000002",
	}).withUser()
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		id, err := s.userID(ctx, a)
		if err != nil {
			return err
		}
		k, err := a.GenerateKey(ctx, id)
		if err != nil {
			return err
		}
		if *s.asJSON {
			return writeJSON(s.OutOrStdout(), changedKeyJSON{UserID: id.String(), keyJSON: keyJSON{k.AccessKey, k.Secret}})
		}
		_, err = fmt.Fprintf(s.OutOrStdout(), "Generate access key: user id=%s, access key id=%s,\nsecret access key=%s\n", id, k.AccessKey, k.Secret)
		return err
	})
}
