package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func revokeAccessKey(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:     "revoke-access-key {-e ADDRESS | -i ID} -k KEY [-V ID]",
		Short:   "remove a key pair of a user",
		Example: "  ostor-s3-admin revoke-access-key -e user@email.com -k de86d1c19e616455YIPU -V 0100000000000002",
	}).withUser()
	key := s.Flags().StringP("key", "k", "", "access `KEY` id of the pair")
	if err := s.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag is one line above
	}
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		id, err := s.userID(ctx, a)
		if err != nil {
			return err
		}
		if err := a.RevokeKey(ctx, id, *key); err != nil {
			return err
		}
		if *s.asJSON {
			return writeJSON(s.OutOrStdout(), changedKeyJSON{UserID: id.String(), keyJSON: keyJSON{AWSAccessKeyID: *key}, State: "revoked"})
		}
		_, err = fmt.Fprintf(s.OutOrStdout(), "Revoke access key: user id=%s, access key id=%s\n", id, *key)
		return err
	})
}
