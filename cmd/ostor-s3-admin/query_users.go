package main

import (
	"context"

	"github.com/spf13/cobra"

	"ostor/gateway/account"
)

func queryUsers(open opener) *cobra.Command {
	s := newCommand(open, &cobra.Command{
		Use:   "query-users [-a] [-X] [-V ID]",
		Short: "list all users with their access keys",
		Long: `query-users lists the users of the volume: id, access key, secret key, e-mail address. A second access key has a row of its own; a user without keys shows minus signs.
Secret keys are shown as *** unless -a is given.`,
		Example: "  ostor-s3-admin query-users -V 0100000000000002\n  ostor-s3-admin query-users -V 0100000000000002 -a -X",
	})
	secrets := s.Flags().BoolP("all", "a", false, "show secret keys")
	asXML := s.Flags().BoolP("xml", "X", false, "print XML")
	s.MarkFlagsMutuallyExclusive("xml", "json")
	return s.run(func(ctx context.Context, a *account.Accounts) error {
		users, err := a.List(ctx)
		if err != nil {
			return err
		}
		switch {
		case *s.asJSON:
			list := struct{ Users []userJSON }{Users: []userJSON{}}
			for _, u := range users {
				list.Users = append(list.Users, jsonUser(u, *secrets))
			}
			return writeJSON(s.OutOrStdout(), list)
		case *asXML:
			return writeUsersXML(s.OutOrStdout(), users, *secrets)
		}
		return writeUsers(s.OutOrStdout(), users, *secrets)
	})
}
