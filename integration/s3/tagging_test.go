package s3

import (
	"fmt"
	"strings"
	"testing"
)

func tagXML(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", xmlEscape(pairs[i]), xmlEscape(pairs[i+1]))
	}
	return b.String() + "</TagSet></Tagging>"
}

func manyTags(n int) string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprint("key", i), "v")
	}
	return tagXML(pairs...)
}

func TestObjectTagging(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.bucket("box")
	none := "<TagSet></TagSet>"
	tag := func(k, v string) string { return "<Tag><Key>" + k + "</Key><Value>" + v + "</Value></Tag>" }
	s.run([]step{
		{ask: ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Tagging: color=light%20blue&empty=&bare"}}, status: 200},
		{ask: ask{method: "GET", target: "/box/key?tagging"}, status: 200, has: []string{tag("bare", "") + tag("color", "light blue") + tag("empty", "")}},
		{ask: ask{method: "GET", target: "/box/key"}, status: 200, headers: map[string]string{"X-Amz-Tagging-Count": "3"}},
		{ask: ask{method: "HEAD", target: "/box/key"}, status: 200, headers: map[string]string{"X-Amz-Tagging-Count": "3"}},
		{ask: ask{method: "PUT", target: "/box/bad", body: "x", header: []string{"X-Amz-Tagging: a=1&a=2"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/bad", body: "x", header: []string{"X-Amz-Tagging: a=%zz"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/bad", body: "x", header: []string{"X-Amz-Tagging: a=<"}}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/bad", body: "x", header: []string{"X-Amz-Tagging: aws:a=1"}}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/bad", body: "x", header: []string{"X-Amz-Tagging: =1"}}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "GET", target: "/box/bad"}, status: 404, code: "NoSuchKey"},

		// Copies take the tags along, or get their own.
		{ask: ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key"}}, status: 200},
		{ask: ask{method: "GET", target: "/box/copy?tagging"}, status: 200, has: []string{tag("color", "light blue")}},
		{ask: ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Tagging-Directive: REPLACE", "X-Amz-Tagging: a=b"}}, status: 200},
		{ask: ask{method: "GET", target: "/box/copy?tagging"}, status: 200, has: []string{"<TagSet>" + tag("a", "b") + "</TagSet>"}},
		{ask: ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Tagging-Directive: REPLACE"}}, status: 200},
		{ask: ask{method: "GET", target: "/box/copy?tagging"}, status: 200, has: []string{none}},
		{ask: ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Tagging: a=b"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Tagging-Directive: KEEP"}}, status: 400, code: "InvalidArgument"},

		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML("ключ", "a+b-c=d._:/@")}, status: 200},
		{ask: ask{method: "GET", target: "/box/key?tagging"}, status: 200, has: []string{"<TagSet>" + tag("ключ", "a+b-c=d._:/@") + "</TagSet>"}},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: manyTags(10)}, status: 200},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: manyTags(11)}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML(strings.Repeat("é", 128), strings.Repeat("é", 256))}, status: 200},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML(strings.Repeat("k", 129), "")}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML("k", strings.Repeat("v", 257))}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML("k", "1", "k", "2")}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: "<Tagging/>"}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: "<Tagging"}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box/none?tagging", body: manyTags(1)}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "GET", target: "/box/none?tagging"}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "DELETE", target: "/box/none?tagging"}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: manyTags(1), who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box/key?tagging", anonymous: true}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/box/key?tagging", who: &s.carol}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/box/key?tagging"}, status: 204},
		{ask: ask{method: "GET", target: "/box/key?tagging"}, status: 200, has: []string{none}},
		{ask: ask{method: "HEAD", target: "/box/key"}, status: 200, headers: map[string]string{"X-Amz-Tagging-Count": ""}},
	})

	// An upload's tags are those of its object.
	id := s.want(200, "", ask{method: "POST", target: "/box/parts?uploads", header: []string{"X-Amz-Tagging: from=upload"}}).between("UploadId")
	etag := s.want(200, "", ask{method: "PUT", target: "/box/parts?partNumber=1&uploadId=" + id, body: "x"}).header.Get("ETag")
	s.want(200, "", ask{method: "POST", target: "/box/parts?uploadId=" + id, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + xmlEscape(etag) + "</ETag></Part></CompleteMultipartUpload>"})
	if got := s.want(200, "", ask{method: "GET", target: "/box/parts?tagging"}); !strings.Contains(got.body, tag("from", "upload")) {
		t.Errorf("an upload's object has %s", got.body)
	}

	// Versions have tags of their own.
	s.versioning("box", "Enabled")
	id1 := s.want(200, "", ask{method: "PUT", target: "/box/key", body: "1"}).header.Get("X-Amz-Version-Id")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "2", header: []string{"X-Amz-Tagging: n=2"}})
	s.want(200, "", ask{method: "PUT", target: "/box/key?tagging&versionId=" + id1, body: tagXML("n", "1")})
	s.want(200, "", ask{method: "PUT", target: "/box/key?tagging&versionId=null", body: tagXML("n", "0")})
	for version, want := range map[string]string{"": "2", "&versionId=" + id1: "1", "&versionId=null": "0"} {
		if got := s.want(200, "", ask{method: "GET", target: "/box/key?tagging" + version}); got.between("Value") != want {
			t.Errorf("version %q has %s", version, got.body)
		}
	}
	marker := s.want(204, "", ask{method: "DELETE", target: "/box/key"}).header.Get("X-Amz-Version-Id")
	s.run([]step{
		{ask: ask{method: "PUT", target: "/box/key?tagging", body: tagXML("n", "3")}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "PUT", target: "/box/key?tagging&versionId=" + marker, body: tagXML("n", "3")}, status: 405, code: "MethodNotAllowed"},
		{ask: ask{method: "GET", target: "/box/key?tagging&versionId=" + marker}, status: 405, code: "MethodNotAllowed", headers: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{ask: ask{method: "PUT", target: "/box/key?tagging&versionId=" + strings.Repeat("1", 32), body: tagXML("n", "3")}, status: 404, code: "NoSuchVersion"},
		{ask: ask{method: "DELETE", target: "/box/key?tagging&versionId=" + id1}, status: 204, headers: map[string]string{"X-Amz-Version-Id": id1}},
	})
}

func TestBucketTagging(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.bucket("box")
	s.run([]step{
		{ask: ask{method: "GET", target: "/box?tagging"}, status: 404, code: "NoSuchTagSet"},
		{ask: ask{method: "PUT", target: "/box?tagging", body: tagXML("team", "storage")}, status: 204},
		{ask: ask{method: "GET", target: "/box?tagging"}, status: 200, has: []string{"<TagSet><Tag><Key>team</Key><Value>storage</Value></Tag></TagSet>"}},
		{ask: ask{method: "PUT", target: "/box?tagging", body: manyTags(50)}, status: 204},
		{ask: ask{method: "PUT", target: "/box?tagging", body: manyTags(51)}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box?tagging", body: tagXML("AWS:x", "1")}, status: 400, code: "InvalidTag"},
		{ask: ask{method: "PUT", target: "/box?tagging", body: manyTags(1), who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box?tagging", anonymous: true}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box?tagging"}, status: 200, has: []string{"key49"}, hasNot: []string{"storage"}},
		{ask: ask{method: "DELETE", target: "/box?tagging"}, status: 204},
		{ask: ask{method: "GET", target: "/box?tagging"}, status: 404, code: "NoSuchTagSet"},
	})
}
