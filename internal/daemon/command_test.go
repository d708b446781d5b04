package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ostor/internal/cluster"
)

// TestExitCodes runs commands that are called as they should be, and as they should not.
func TestExitCodes(t *testing.T) {
	t.Setenv("OSTOR_MOUNT", "")
	for _, tc := range []struct {
		args string
		code int
		says string // on standard error
	}{
		{"", ExitOK, ""},
		{"--help", ExitOK, ""},
		{"group", ExitOK, ""},
		{"group --help", ExitOK, ""},
		{"help group", ExitOK, ""},
		{"group work --must x dir", ExitOK, ""},
		{"group work --must x fail", ExitFailed, "tool: it broke\n"},
		{"nothing", ExitUsage, `unknown command "nothing" for "tool"`},
		{"group nothing", ExitUsage, `unknown command "nothing" for "tool group"`},
		{"group nothing --must x", ExitUsage, "unknown flag"},
		{"group work", ExitUsage, `"must" not set`},
		{"group work --must x --frob", ExitUsage, "Run 'tool group work --help' for usage."},
		{"group work --must x a b", ExitUsage, "accepts at most 1 arg(s)"},
		{"group work --must x", ExitUsage, "which cluster?"},
		{"group work --must x --profile wild dir", ExitUsage, "--profile is"},
		{"group work --must x --log loud dir", ExitUsage, "--log is"},
		{"group work --must x --config none dir", ExitUsage, "read the configuration file: stat none: no such file"},
		{"group work --must x --service 1000000000000000 dir", ExitUsage, "want the id of a NS, 16 hex digits beginning with 08\nRun"},
	} {
		root := &cobra.Command{Use: "tool"}
		group := &cobra.Command{Use: "group"}
		work := &cobra.Command{Use: "work", Args: cobra.MaximumNArgs(1)}
		work.Flags().String("must", "", "")
		if err := work.MarkFlagRequired("must"); err != nil {
			t.Fatal(err)
		}
		config := CommandConfig(work, "profile", "log", "service")
		work.RunE = func(_ *cobra.Command, args []string) error {
			c, err := config()
			if err != nil {
				return err
			}
			dir, err := DirArg(args)
			if err == nil && c.Service != "" {
				_, err = ParseService(c.Service, cluster.TypeName)
			}
			if err == nil && dir == "fail" {
				return errors.New("it broke")
			}
			return err
		}
		group.AddCommand(work)
		root.AddCommand(group)
		var out, says strings.Builder
		root.SetOut(&out)
		root.SetErr(&says)
		root.SetArgs(strings.Fields(tc.args))
		if code := execute(t.Context(), root); code != tc.code || !strings.Contains(says.String(), tc.says) || (tc.code == ExitOK) != (says.Len() == 0) {
			t.Errorf("tool %s: exit code %d, want %d, saying %q; it says %q", tc.args, code, tc.code, tc.says, says.String())
		}
		if tc.code == ExitUsage && out.Len() > 0 {
			t.Errorf("tool %s printed %q", tc.args, out.String())
		}
	}
}
