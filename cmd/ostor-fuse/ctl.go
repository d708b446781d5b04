package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ostor/fsbackend/fusesim"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

// ctlCommand lets faults happen in a running simulator.
func ctlCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "ctl --control SOCKET REQUEST",
		Short: "let faults happen in a running ostor-fuse",
		Long: `ctl sends one request to an ostor-fuse that was started with --control, and prints its result as JSON. The socket may also be named by OSTOR_FUSE_CONTROL.
Hosts are numbered from 0 in the order of the mount points; --host all is every host.

` + daemon.ExitCodes,
		Example: `  ostor-fuse ctl power --host 1 --keep some --seed 7   # lose what host 1 did not sync, but for a subset
  ostor-fuse ctl boot --host 1
  ostor-fuse ctl freeze --host 0 --drop-locks          # its operations wait, its locks are gone
  ostor-fuse ctl heal --host 0                         # what waited lands now
  ostor-fuse ctl fail --host 2 --ops datasync --skip 9 --count 1`,
	}
	cmd.PersistentFlags().StringVar(&socket, "control", os.Getenv("OSTOR_FUSE_CONTROL"), "`SOCKET` of the simulator")
	add := func(use, short string, q fusesim.Request, flags func(*cobra.Command, *fusesim.Request)) {
		var host string
		sub := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
		withHost := q.Do != "status" && q.Do != "flip" && q.Do != "lose" && q.Do != "mend"
		if withHost {
			sub.Flags().StringVar(&host, "host", "", "number of the `HOST`, or all (required)")
		}
		if flags != nil {
			flags(sub, &q)
		}
		sub.RunE = func(cmd *cobra.Command, _ []string) error {
			if withHost {
				n, err := parseHost(host)
				if err != nil {
					return err
				}
				if q.Host = n; q.Rule != nil {
					q.Rule.Host = n
				}
			}
			return send(cmd, socket, q)
		}
		cmd.AddCommand(sub)
	}
	add("status", "hosts, rules, stores and what is not synced", fusesim.Request{Do: "status"}, nil)
	add("power", "cut the power: what was not synced is lost, open files are stale, locks end", fusesim.Request{Do: "power"}, func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().StringVar((*string)(&q.Keep), "keep", string(fusesim.KeepNothing), "what of it survives: `nothing`, everything, or some (by --seed, torn at 512 bytes)")
		c.Flags().Uint64Var(&q.Seed, "seed", 1, "picks what survives")
	})
	add("boot", "give the power back", fusesim.Request{Do: "boot"}, nil)
	locks := func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().BoolFunc("drop-locks", "the host's locks end, as when the cluster gives up on it", func(string) error { q.Locks = "drop"; return nil })
	}
	add("partition", "every operation of the host fails", fusesim.Request{Do: "partition"}, func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().StringVar(&q.Errno, "errno", "EIO", "`ERROR` that it gets")
		locks(c, q)
	})
	add("freeze", "every operation of the host waits; what a killed process issued lands at heal", fusesim.Request{Do: "freeze"}, locks)
	add("heal", "end partition and freeze", fusesim.Request{Do: "heal"}, nil)
	add("fail", "add a rule: some operations fail, wait, lie or get stuck", fusesim.Request{Do: "fail", Rule: &fusesim.Rule{}}, ruleFlags)
	add("clear", "remove the rules and budgets of the host (all: every rule)", fusesim.Request{Do: "clear"}, nil)
	add("release", "let what is stuck land", fusesim.Request{Do: "release"}, func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().BoolVar(&q.Drop, "drop", false, "forget it instead")
	})
	add("budget", "the disk is full after so many more bytes (all: of all hosts together)", fusesim.Request{Do: "budget"}, func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().Int64Var(&q.Bytes, "bytes", 0, "`BYTES` that may still be written; -1 is no limit")
	})
	add("flip", "damage bits of a file on disk", fusesim.Request{Do: "flip"}, func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().StringVar(&q.Name, "name", "", "`PATH` below the source (required)")
		c.Flags().IntVar(&q.Bits, "bits", 1, "how many")
		c.Flags().Int64Var(&q.Off, "offset", 0, "first byte of the range they lie in")
		c.Flags().Int64Var(&q.Len, "length", 0, "bytes of the range; 0 is to the end")
		c.Flags().IntVar(&q.Store, "store", 0, "with stores, the one whose copy is damaged")
		c.Flags().Uint64Var(&q.Seed, "seed", 1, "picks the bits")
	})
	store := func(c *cobra.Command, q *fusesim.Request) {
		c.Flags().IntVar(&q.Store, "store", 0, "number of the `STORE`")
	}
	add("lose", "lose a store with every copy in it", fusesim.Request{Do: "lose"}, store)
	add("mend", "replace a lost store and make the copies that files lack", fusesim.Request{Do: "mend"}, store)
	return cmd
}

func ruleFlags(c *cobra.Command, q *fusesim.Request) {
	r, f := q.Rule, c.Flags()
	f.StringVar(&r.Ops, "ops", "all", "kinds, comma-separated: create, open, rename, remove, mkdir, list, stat, syncdir, read, write, datasync, sync, truncate, allocate, punch, lock; syncs, changes, all")
	f.StringVar(&r.Name, "name", "", "`GLOB` over the path, or over its last part when it holds no slash")
	f.IntVar(&r.Skip, "skip", 0, "so many matching operations pass first")
	f.IntVar(&r.Count, "count", 0, "then so many are hit; 0 is all")
	f.Float64Var(&r.Prob, "prob", 0, "of each of these only this share")
	f.StringVar(&r.Errno, "errno", "", "`ERROR` that the caller gets (default EIO, unless another effect is given)")
	f.StringVar(&r.Land, "land", "none", "what happens before the error: none, whole; of writes short, torn")
	f.Int64Var(&r.DelayMS, "delay-ms", 0, "wait first, milliseconds")
	f.IntVar(&r.Flip, "flip", 0, "flip so many bits of what is read")
	f.BoolVar(&r.Lie, "lie", false, "report success and do nothing")
	f.StringVar(&r.Stuck, "stuck", "", "error: fail now, land at release; hang: wait for release")
}

func parseHost(s string) (int, error) {
	if s == "all" {
		return fusesim.AllHosts, nil
	}
	var n int
	if err := json.Unmarshal([]byte(strings.TrimSpace(s)), &n); err != nil || n < 0 {
		return 0, daemon.Usage(fault.New(fault.Invalid, "--host is %q: want a number from 0, or all", s))
	}
	return n, nil
}

func send(cmd *cobra.Command, socket string, q fusesim.Request) error {
	if socket == "" {
		return daemon.Usage(fault.New(fault.Invalid, "which simulator? name its socket with --control or OSTOR_FUSE_CONTROL"))
	}
	c, err := fusesim.DialControl(socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var result json.RawMessage
	if err := c.Do(q, &result); err != nil {
		return err
	}
	if len(result) == 0 {
		return nil
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(result)
}
