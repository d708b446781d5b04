package s3

import (
	"fmt"
	"strings"
	"testing"

	"ostor/internal/cluster"
)

// TestCopyOutlivesItsSource: a copy, of a whole object, of a part of one, or onto its own name, has bytes of its own. The source is overwritten or deleted and its garbage collected; the copy reads back.
func TestCopyOutlivesItsSource(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	body := strings.Repeat("copy me ", (cluster.MinPartBytes+80)/8)
	other := strings.Repeat("another ", 1000)
	put := func(key, body string) {
		t.Helper()
		s.want(200, "", ask{method: "PUT", target: "/box/" + key, body: body})
	}
	get := func(key, want string) {
		t.Helper()
		if got := s.want(200, "", ask{method: "GET", target: "/box/" + key}); got.body != want {
			t.Errorf("%s: %d bytes, equal %v, want %d", key, len(got.body), got.body == want, len(want))
		}
	}
	for _, small := range []bool{true, false} {
		src := body
		if small {
			src = body[:1000]
		}
		for _, end := range []struct {
			name string
			do   func(key string)
		}{
			{"deleted", func(key string) { s.want(204, "", ask{method: "DELETE", target: "/box/" + key}) }},
			{"overwritten", func(key string) { put(key, other) }},
			{"copied onto itself", func(key string) {
				s.want(200, "", ask{method: "PUT", target: "/box/" + key, header: []string{"X-Amz-Copy-Source: /box/" + key, "X-Amz-Metadata-Directive: REPLACE"}})
			}},
		} {
			key := fmt.Sprintf("src-%v-%s", small, strings.ReplaceAll(end.name, " ", "-"))
			put(key, src)
			s.want(200, "", ask{method: "PUT", target: "/box/" + key + ".copy", header: []string{"X-Amz-Copy-Source: /box/" + key}})
			id := s.want(200, "", ask{method: "POST", target: "/box/" + key + ".parts?uploads"}).between("UploadId")
			at := "/box/" + key + ".parts?uploadId=" + id
			tag := s.want(200, "", ask{method: "PUT", target: at + "&partNumber=1", header: []string{"X-Amz-Copy-Source: /box/" + key}}).between("ETag")
			end.do(key)
			s.collect()
			s.want(200, "", ask{method: "POST", target: at, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part></CompleteMultipartUpload>"})
			s.collect()
			get(key+".copy", src)
			get(key+".parts", src)
			if end.name == "copied onto itself" {
				get(key, src)
			}
			// And the other way: the copy goes, and what it was copied from stays.
			put(key, src)
			s.want(200, "", ask{method: "PUT", target: "/box/" + key + ".copy", header: []string{"X-Amz-Copy-Source: /box/" + key}})
			s.want(204, "", ask{method: "DELETE", target: "/box/" + key + ".copy"})
			s.collect()
			get(key, src)
		}
	}
}
