package s3

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// versioning sets a bucket's state and sees it.
func (s *site) versioning(bucket, state string) {
	s.t.Helper()
	s.want(200, "", ask{method: "PUT", target: "/" + bucket + "?versioning", body: versioningXML(state)})
	if got := s.want(200, "", ask{method: "GET", target: "/" + bucket + "?versioning"}).between("Status"); got != state {
		s.t.Errorf("bucket %s is %q, want %q", bucket, got, state)
	}
}

func versioningXML(state string) string {
	return `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>` + state + `</Status></VersioningConfiguration>`
}

// TestVersions: ids, null versions and delete markers follow S3.
func TestVersions(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "unversioned"})
	s.versioning("box", "Enabled")
	ids := make([]string, 2)
	for i := range ids {
		ids[i] = s.want(200, "", ask{method: "PUT", target: "/box/key", body: fmt.Sprint("version ", i)}).header.Get("X-Amz-Version-Id")
	}
	if len(ids[0]) != 32 || ids[0] >= ids[1] {
		t.Errorf("version ids %q", ids)
	}
	marker := s.want(204, "", ask{method: "DELETE", target: "/box/key"})
	if marker.header.Get("X-Amz-Delete-Marker") != "true" || marker.header.Get("X-Amz-Version-Id") <= ids[1] {
		t.Errorf("the deletion says %v", marker.header)
	}
	hidden := s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/key"})
	if hidden.header.Get("X-Amz-Delete-Marker") != "true" {
		t.Errorf("the hidden key says %v", hidden.header)
	}
	s.want(405, "MethodNotAllowed", ask{method: "GET", target: "/box/key?versionId=" + marker.header.Get("X-Amz-Version-Id")})
	for target, want := range map[string]string{ids[0]: "version 0", ids[1]: "version 1", "null": "unversioned"} {
		got := s.want(200, "", ask{method: "GET", target: "/box/key?versionId=" + target})
		if got.body != want || got.header.Get("X-Amz-Version-Id") != target {
			t.Errorf("version %s is %q, %q", target, got.body, got.header.Get("X-Amz-Version-Id"))
		}
	}
	s.want(200, "", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key?versionId=" + ids[0]}})
	if got := s.want(200, "", ask{method: "GET", target: "/box/copy"}); got.body != "version 0" {
		t.Errorf("the copy is %q", got.body)
	}
	s.want(409, "BucketNotEmpty", ask{method: "DELETE", target: "/box"})
	s.want(204, "", ask{method: "DELETE", target: "/box/key?versionId=" + marker.header.Get("X-Amz-Version-Id")})
	if got := s.want(200, "", ask{method: "GET", target: "/box/key"}); got.body != "version 1" {
		t.Errorf("without the marker the key is %q", got.body)
	}
	s.versioning("box", "Suspended")
	if got := s.want(200, "", ask{method: "PUT", target: "/box/key", body: "null again"}); got.header.Get("X-Amz-Version-Id") != "" {
		t.Errorf("a suspended PUT says %v", got.header)
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/key?versionId=null"}); got.body != "null again" {
		t.Errorf("the null version is %q", got.body)
	}
}

// TestOneWriterWins lets many clients create one key that must not exist, and then replace one version of it: each time exactly one succeeds.
func TestOneWriterWins(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.bucket("box")
	const writers = 16
	race := func(header string) {
		t.Helper()
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for i := range writers {
			req := s.signed(ask{method: "PUT", target: "/box/lock", body: fmt.Sprint(header, i), header: []string{header}})
			all.Go(func() {
				switch got := s.send(req); got.status {
				case http.StatusOK:
					won.Add(1)
				case http.StatusPreconditionFailed:
					lost.Add(1)
				default:
					t.Errorf("got %d %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != writers-1 {
			t.Errorf("%s: %d won, %d lost", header, won.Load(), lost.Load())
		}
	}
	race("If-None-Match: *")
	race("If-Match: " + s.want(200, "", ask{method: "HEAD", target: "/box/lock"}).header.Get("ETag"))
	s.want(204, "", ask{method: "DELETE", target: "/box/lock"})
	s.nothingLeft()
}
