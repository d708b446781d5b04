package e2e

import (
	"encoding/json"
	"testing"

	"ostor/integration/conform"
)

// The tables of package conform against processes.
func TestConformanceOnServe(t *testing.T) { conformance(t, serveSite(t)) }
func TestConformanceOnFUSE(t *testing.T)  { conformance(t, fuseSite(t)) }

func conformance(t *testing.T, s *site) {
	(&conform.Site{Endpoint: s.endpoint, Main: s.newUser(t, "main@example.com"), Alt: s.newUser(t, "alt@example.com"), Other: s.newUser(t, "other@example.com")}).Run(t)
}

// newUser makes a user of the site's only volume.
func (s *site) newUser(t *testing.T, email string) conform.User {
	t.Helper()
	out := s.procs.run("ostor-s3-admin", "create-user", "-e", email, "--mount", s.dir, "--json")
	var made struct {
		UserId        string //nolint:revive,staticcheck // the command's spelling
		AWSAccessKeys []struct{ AWSAccessKeyId, AWSSecretAccessKey string }
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || len(made.AWSAccessKeys) != 1 {
		t.Fatalf("create-user printed %q: %v", out, err)
	}
	return conform.User{ID: made.UserId, Email: email, AccessKey: made.AWSAccessKeys[0].AWSAccessKeyId, SecretKey: made.AWSAccessKeys[0].AWSSecretAccessKey}
}
