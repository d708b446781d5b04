package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ostor/internal/daemon"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [DIR|MOUNT]",
		Short: "serve S3 from a directory, all services in this process",
		Long: `serve starts the name servers, object servers and an S3 gateway of the volume in DIR (default ./ostor-data). A directory that is empty or does
not exist becomes a new volume with one user; an existing one is adopted with its users, keys and data. It prints the endpoint and the keys once it serves.

It stops cleanly on SIGINT and SIGTERM. After kill -9 or a power cut start it again: everything that was acknowledged is there.

` + daemon.ExitCodes,
		Example: `  ostor serve ~/s3
  ostor serve /mnt/cluster/ostor --listen 0.0.0.0:9000 --domain s3.example.com
  ostor serve --json          one line {"endpoint": ..., "accessKey": ..., "secretKey": ...} for scripts`,
		Args: cobra.MaximumNArgs(1),
	}
	config := daemon.CommandConfig(cmd, "listen", "domain", "region", "default-cors", "sigv2", "access-log", "ns", "os", "volume", "metrics", "log", "log-json", "local-dir", "run-dir", "profile", "takeover",
		"memory", "cluster-key", "garbage-delay", "cache", "memtable", "log-size", "scrub-rate")
	asJSON := cmd.Flags().Bool("json", false, "print endpoint and keys as one line of JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config()
		if err != nil {
			return err
		}
		log, err := c.Logger(os.Stderr)
		if err != nil {
			return err
		}
		c.TuneHeap()
		dir := "ostor-data"
		if len(args) == 1 {
			dir = args[0]
		}
		cl, err := daemon.Serve(cmd.Context(), c, dir, log, daemon.ExitOnLoss)
		if err != nil {
			return err
		}
		if err := hello(cmd.OutOrStdout(), cl, dir, c.Region, *asJSON); err != nil {
			return err
		}
		return daemon.WaitAndStop(cmd.Context(), cl.Stop)
	}
	return cmd
}

// hello tells the user, or a script, where S3 is served and with which keys.
func hello(w io.Writer, cl *daemon.Cluster, dir, region string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Endpoint  string `json:"endpoint"`
			AccessKey string `json:"accessKey"`
			SecretKey string `json:"secretKey"`
		}{cl.Endpoint, cl.AccessKey, cl.SecretKey})
	}
	made := "adopted"
	if cl.Fresh {
		made = "new"
	}
	_, err := fmt.Fprintf(w, `ostor serves S3 from %s (volume %s, %s)

  endpoint    %s
  access key  %s
  secret key  %s

Try it:
  AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s aws --endpoint-url %s s3 mb s3://hello

Stop with Ctrl-C.
`, dir, cl.Volume.ID, made, cl.Endpoint, cl.AccessKey, cl.SecretKey, cl.AccessKey, cl.SecretKey, region, cl.Endpoint)
	return err
}
