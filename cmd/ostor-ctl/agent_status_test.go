package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/fsbackend/lease"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestAgentStatus prints a cluster of two hosts: one lives and serves, one was last heard of long ago.
func TestAgentStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fsys, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := discovery.CreateVolume(fsys, discovery.VolumeSpec{Names: 1, Objects: 3})
	if err != nil {
		t.Fatal(err)
	}
	local, err := fsbackend.NewOS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const here, gone = cluster.HostID(0xfcbf5602197245da), cluster.HostID(0x4f0038db65274507)
	own := func(host cluster.HostID, id cluster.ServiceID) *lease.Lease {
		l, err := lease.Acquire(t.Context(), lease.Options{FS: fsys, Dir: discovery.ServiceDir(id), Host: uint64(host), Boot: 1, Local: local})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	own(here, v.Names[0])
	own(gone, v.Objects()[0])
	if err := own(here, v.Objects()[1]).Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = errors.Join(fsys.MkdirAll("control/hosts/"+here.String()), fsys.MkdirAll("control/hosts/"+gone.String()),
		discovery.PublishHeartbeat(fsys, discovery.Heartbeat{Host: here, Boot: 1, Seq: 7, Wall: now, Running: []discovery.Running{
			{Service: v.Names[0], Condition: discovery.Active, Uptime: time.Hour, Address: "tcp:10.0.0.1:4000", Restarts: 3},
			{Service: 0x8000000000000007, Condition: discovery.Active, Uptime: time.Minute, Address: "http://10.0.0.1:9000"},
		}}),
		discovery.PublishHeartbeat(fsys, discovery.Heartbeat{Host: gone, Boot: 1, Seq: 9, Wall: now.Add(-time.Hour), Running: []discovery.Running{
			{Service: v.Objects()[0], Condition: discovery.Active, Uptime: time.Minute, Address: "tcp:10.0.0.2:4000"},
		}}))
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		var out strings.Builder
		cmd := root()
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"agent-status", dir}, args...))
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	lines := strings.Split(strings.TrimSpace(run()), "\n")
	for i, want := range [][]string{
		{"TYPE", "SVC_ID", "STATUS", "UPTIME", "HOST_ID", "ADDRS"},
		{"S3GW", "8000000000000007", "ACTIVE", "60", here.String(), "http://10.0.0.1:9000"},
		{"OS", "1000000000000002", "STOPPED", "0", "-"},
		{"OS", "1000000000000001", "STOPPED", "0", here.String()},
		{"OS", "1000000000000000", "SILENT", "60", gone.String(), "tcp:10.0.0.2:4000"},
		{"NS", "0800000000000000", "ACTIVE", "3600", here.String(), "tcp:10.0.0.1:4000"},
	} {
		if i >= len(lines) {
			t.Fatalf("only %d lines", len(lines))
		}
		got := strings.Fields(lines[i])
		if len(got) > 3 && got[3] == "3601" || len(got) > 3 && got[3] == "61" { // a second has passed
			got[3] = want[3]
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("line %d: %q, want %v", i, lines[i], want)
		}
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(run("--json")), &rows); err != nil || len(rows) != 5 || rows[4]["restarts"] != 3.0 || rows[1]["host_id"] != nil {
		t.Errorf("%v, %v", rows, err)
	}
	cmd := root()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"agent-status", t.TempDir()})
	if err := cmd.Execute(); !errors.Is(err, fault.NotFound) {
		t.Errorf("a directory of nobody: %v", err)
	}
}
