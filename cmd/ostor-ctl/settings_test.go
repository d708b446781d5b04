package main

import (
	"encoding/json"
	"strings"
	"testing"

	"ostor/discovery"
	"ostor/fsbackend"
)

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OSTOR_MOUNT", "")
	run := func(args ...string) (string, error) {
		var out strings.Builder
		cmd := root()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		err := cmd.Execute()
		return out.String(), err
	}
	if out, err := run("put-settings", dir, "ostor.sigv2.enabled=0"); err == nil || !strings.Contains(err.Error(), "not the directory of a cluster") {
		t.Errorf("an empty directory: %s, %v", out, err)
	}
	fsys, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := discovery.CreateVolume(fsys, discovery.VolumeSpec{Names: 1, Objects: 1}); err != nil {
		t.Fatal(err)
	}
	if out, err := run("get-settings", dir); err != nil || out != " ostor.default_cors.enabled=1\n ostor.sigv2.enabled=1\n" {
		t.Errorf("defaults: %q, %v", out, err)
	}
	for _, args := range [][]string{nil, {dir}, {"ostor.sigv2.enabled=0"}, {dir, "ostor.sigv2.enabled"}, {dir, "ostor.sigv2.enabled=yes"}, {dir, "sigv2=0"}, {dir, "ostor.sigv2.enabled=0", "x"}} {
		if out, err := run(append([]string{"put-settings"}, args...)...); err == nil {
			t.Errorf("%q is accepted: %s", args, out)
		}
	}
	if out, err := run("put-settings", dir, "ostor.sigv2.enabled=0"); err != nil || out != " ostor.default_cors.enabled=1\n ostor.sigv2.enabled=0\n" {
		t.Errorf("%q, %v", out, err)
	}
	t.Setenv("OSTOR_MOUNT", dir)
	if out, err := run("put-settings", "ostor.default_cors.enabled=0", "ostor.sigv2.enabled=1"); err != nil || out != " ostor.default_cors.enabled=0\n ostor.sigv2.enabled=1\n" {
		t.Errorf("%q, %v", out, err)
	}
	var m map[string]string
	if out, err := run("get-settings", "--json"); err != nil || json.Unmarshal([]byte(out), &m) != nil || len(m) != 2 || m["ostor.default_cors.enabled"] != "0" || m["ostor.sigv2.enabled"] != "1" {
		t.Errorf("%q, %v", out, err)
	}
}
