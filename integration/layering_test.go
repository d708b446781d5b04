package integration

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// The rooms and arrows of ARCHITECTURE.md: what each package of this module may import of it. "base" stands for the five
// foundations; a trailing /... for a whole subtree. A package that is not listed fails the test: give it a row, with its reason, in the same commit.
var arrows = map[string]string{
	"internal/fault":               "",
	"internal/invariant":           "",
	"internal/checksum":            "",
	"internal/logkey":              "",
	"internal/patient":             "", // locks of those who wait while they hold them
	"internal/cluster":             "base",
	"internal/cluster/clustertest": "internal/cluster base", // conformance suites of the contracts
	"internal/wire":                "internal/cluster base",
	"internal/rpc":                 "base",
	"internal/fsck":                "all", // verifies name servers and object servers against each other, offline
	"internal/daemon":              "all", // puts servers together for cmd and integration
	"fsbackend":                    "base",
	"fsbackend/memfs":              "fsbackend base",
	"fsbackend/faultfs":            "fsbackend base",
	"fsbackend/fusesim":            "fsbackend fsbackend/faultfs base",
	"fsbackend/fstest":             "fsbackend base",
	"fsbackend/lease":              "fsbackend base",
	"fsbackend/redolog":            "fsbackend base",
	"fsbackend/btree":              "fsbackend base",
	"fsbackend/store":              "fsbackend fsbackend/redolog fsbackend/btree fsbackend/lease base",
	"pools":                        "fsbackend internal/cluster base",
	"objserver":                    "pools fsbackend fsbackend/store discovery internal/cluster base",
	"objserver/objrpc":             "internal/cluster internal/rpc internal/wire base",
	"nameserver":                   "fsbackend fsbackend/store discovery internal/cluster base",
	"nameserver/namerpc":           "internal/cluster internal/rpc internal/wire base",
	"discovery":                    "fsbackend fsbackend/lease internal/cluster base",
	"discovery/agent":              "discovery fsbackend fsbackend/lease internal/cluster base", // fsbackend: heartbeats and the probe of the mount
	"gateway":                      "gateway/... discovery internal/cluster base",
	"gateway/s3":                   "",
	"gateway/sigv4":                "gateway/s3",
	"gateway/sigv2":                "gateway/s3",
	"gateway/policy":               "",                                           // pure functions
	"gateway/acl":                  "",                                           // pure functions
	"gateway/intent":               "internal/cluster base",                      // what a dead gateway left: knows the name servers only
	"gateway/account":              "gateway/s3 fsbackend internal/cluster base", // gateway/s3: it is the s3.Lookup of the verifiers; fsbackend: the cluster key's file
	"integration/...":              "all",
	"integration":                  "all",
	"cmd/...":                      "all",
}

const base = "internal/fault internal/invariant internal/checksum internal/logkey internal/patient"

func TestArrows(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen++
		from := strings.TrimPrefix(p.ImportPath, "ostor/")
		allowed, listed := rule(from)
		if !listed {
			t.Errorf("package %s has no row in the table of arrows", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, "ostor/")
			if !ours {
				continue
			}
			switch {
			case strings.HasPrefix(to, "cmd/"), strings.HasPrefix(to, "integration") && !strings.HasPrefix(from, "integration"):
				t.Errorf("%s imports %s: nothing imports a command or the integration tests", from, to)
			case !permits(allowed, to):
				t.Errorf("%s imports %s: the arrows allow %q", from, to, allowed)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list showed only %d packages", seen)
	}
}

func rule(from string) (string, bool) {
	if r, ok := arrows[from]; ok {
		return r, true
	}
	for pat, r := range arrows {
		if tree, ok := strings.CutSuffix(pat, "/..."); ok && strings.HasPrefix(from, tree+"/") {
			return r, true
		}
	}
	return "", false
}

func permits(allowed, to string) bool {
	for _, a := range strings.Fields(strings.ReplaceAll(allowed, "base", base)) {
		if tree, ok := strings.CutSuffix(a, "/..."); a == "all" || a == to || ok && (to == tree || strings.HasPrefix(to, tree+"/")) {
			return true
		}
	}
	return false
}
