package e2e

import (
	"strconv"
	"strings"
	"testing"
)

// What people run on S3 day by day, each as a test of its own: it makes its buckets, so that all run side by side on one site.
var tools = []struct {
	name string
	run  func(t *testing.T, s *site)
}{
	{"boto3 SigV4", func(t *testing.T, s *site) { boto3(t, s, "s3v4", 100) }},
	{"boto3 SigV2", func(t *testing.T, s *site) { boto3(t, s, "s3", 20) }},
	{"restic", restic},
	{"registry", registry},
	{"state", state},
	{"forms", forms},
	{"signed URLs", signedURLs},
	{"open bucket", openBucket},
	{"s3fs", s3fs},
	{"s3cmd SigV2", func(t *testing.T, s *site) { s3cmdAll(t, s, "2") }},
	{"s3cmd SigV4", func(t *testing.T, s *site) { s3cmdAll(t, s, "4") }},
}

func TestToolsOnServe(t *testing.T) { runTools(t, serveSite) }
func TestToolsOnFUSE(t *testing.T)  { runTools(t, fuseSite) }

func runTools(t *testing.T, start func(*testing.T) *site) {
	t.Parallel()
	s := start(t)
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			t.Parallel()
			tool.run(t, s)
		})
	}
}

// boto3 runs testdata/boto3_check.py with Debian's python3-boto3.
func boto3(t *testing.T, s *site, signature string, atLeast int) {
	out := s.tool(t, "python3", "testdata/boto3_check.py", s.endpoint, "boto-"+signature, signature)
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || n < atLeast {
		t.Errorf("the script printed %q, want at least %d checks", out, atLeast)
	}
	t.Logf("%d checks", n)
}
