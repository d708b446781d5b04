package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

const settingsHelp = `Settings, each 0 (off) or 1 (on):
  ostor.default_cors.enabled  buckets without a CORS configuration allow pages of all origins (1)
  ostor.sigv2.enabled         requests signed with signature version 2 are accepted (1)

Exit codes: 0 done; 1 the directory cannot be read or written, or there is no such setting; 2 wrong usage.`

func getSettingsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get-settings DIR",
		Short: "show the settings of the cluster",
		Long:  "get-settings prints what put-settings set for the cluster in the ostor directory DIR (or OSTOR_MOUNT), and the defaults of the rest.\n\n" + settingsHelp,
		Example: `  ostor-ctl get-settings /mnt/cluster/ostor
  ostor-ctl get-settings /mnt/cluster/ostor --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, err := openCluster(args)
			if err != nil {
				return err
			}
			s, err := discovery.LoadSettings(fs)
			if err != nil {
				return err
			}
			if asJSON {
				return printSettingsJSON(cmd.OutOrStdout(), s)
			}
			return printSettings(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func putSettingsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "put-settings DIR KEY=VALUE...",
		Short: "change settings of the cluster",
		Long: `put-settings changes settings of the cluster in the ostor directory DIR (or OSTOR_MOUNT) and prints them all. All gateways follow within seconds, without a restart. A gateway whose own
configuration forbids something goes on forbidding it.

` + settingsHelp,
		Example: `  ostor-ctl put-settings /mnt/cluster/ostor ostor.sigv2.enabled=0
  OSTOR_MOUNT=/mnt/cluster/ostor ostor-ctl put-settings ostor.default_cors.enabled=0`,
		Args: func(_ *cobra.Command, args []string) error {
			_, _, err := settingsArgs(args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, changes, err := settingsArgs(args)
			if err != nil {
				return err
			}
			fs, err := openCluster(dir)
			if err != nil {
				return err
			}
			s, err := discovery.PutSettings(fs, changes...)
			if err != nil {
				return err
			}
			return printSettings(cmd.OutOrStdout(), s)
		},
	}
}

// settingsArgs reads [DIR] KEY=VALUE...
func settingsArgs(args []string) (dir []string, changes []discovery.Setting, err error) {
	if len(args) > 0 && (!strings.Contains(args[0], "=") || strings.Contains(args[0], "/")) {
		dir, args = args[:1], args[1:]
	}
	if len(args) == 0 {
		return nil, nil, fault.New(fault.Invalid, "which setting? want KEY=VALUE, for example %s=0", discovery.SettingSigV2)
	}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return nil, nil, fault.New(fault.Invalid, "%q is no setting: want KEY=VALUE, for example %s=0", a, discovery.SettingSigV2)
		}
		changes = append(changes, discovery.Setting{Key: k, Value: v})
	}
	return dir, changes, nil
}

// openCluster opens the directory of a cluster that exists.
func openCluster(args []string) (fsbackend.FS, error) {
	dir, err := daemon.DirArg(args)
	if err != nil {
		return nil, err
	}
	fs, err := fsbackend.NewOS(dir)
	if err != nil {
		return nil, err
	}
	volumes, err := discovery.Volumes(fs)
	if err == nil && len(volumes) == 0 {
		err = fault.New(fault.NotFound, "%s has no volume: not the directory of a cluster", dir)
	}
	return fs, err
}

func printSettings(w io.Writer, s discovery.Settings) error {
	var b strings.Builder
	for _, kv := range s.All() {
		fmt.Fprintf(&b, " %s=%s\n", kv.Key, kv.Value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printSettingsJSON(w io.Writer, s discovery.Settings) error {
	m := map[string]string{}
	for _, kv := range s.All() {
		m[kv.Key] = kv.Value
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(m)
}
