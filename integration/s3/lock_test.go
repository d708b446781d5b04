package s3

import (
	"strings"
	"testing"
	"time"
)

func TestObjectLock(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.want(200, "", ask{method: "PUT", target: "/box", header: []string{"X-Amz-Bucket-Object-Lock-Enabled: true"}})
	s.bucket("plain")
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000Z") }
	conf := func(rule string) ask {
		return ask{method: "PUT", target: "/box?object-lock", body: "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>" + rule + "</ObjectLockConfiguration>"}
	}
	rule := func(inner string) ask {
		return conf("<Rule><DefaultRetention>" + inner + "</DefaultRetention></Rule>")
	}
	retain := func(version, mode, until string, header ...string) ask {
		return ask{method: "PUT", target: "/box/key?retention&versionId=" + version, header: header, body: "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"}
	}
	hold := func(version, status string) ask {
		return ask{method: "PUT", target: "/box/key?legal-hold&versionId=" + version, body: "<LegalHold><Status>" + status + "</Status></LegalHold>"}
	}
	put := func(header ...string) string {
		return s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x", header: append(header, md5Header("x"))}).header.Get("X-Amz-Version-Id")
	}
	gone := func(version string, header ...string) ask {
		return ask{method: "DELETE", target: "/box/key?versionId=" + version, header: header}
	}
	const bypass = "X-Amz-Bypass-Governance-Retention: true"
	s.run([]step{
		{ask: ask{method: "GET", target: "/box?versioning"}, status: 200, has: []string{"<Status>Enabled</Status>"}},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Suspended")}, status: 409, code: "InvalidBucketState"},
		{ask: ask{method: "GET", target: "/box?object-lock"}, status: 200, has: []string{"<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"}},
		{ask: ask{method: "GET", target: "/plain?object-lock"}, status: 404, code: "ObjectLockConfigurationNotFoundError"},
		{ask: ask{method: "PUT", target: "/plain?object-lock", body: conf("").body}, status: 409, code: "InvalidBucketState"},
		{ask: ask{method: "PUT", target: "/plain/key", body: "x", header: []string{"X-Amz-Object-Lock-Legal-Hold: ON"}}, status: 400, code: "InvalidRequest"},
		{ask: ask{method: "GET", target: "/plain/key?retention"}, status: 400, code: "InvalidRequest"},
		{ask: ask{method: "GET", target: "/plain/key?legal-hold"}, status: 400, code: "InvalidRequest"},
		{ask: rule("<Mode>GOVERNANCE</Mode><Days>0</Days>"), status: 400, code: "InvalidRetentionPeriod"},
		{ask: rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), status: 400, code: "MalformedXML"},
		{ask: rule("<Mode>FRIENDLY</Mode><Days>1</Days>"), status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?object-lock", body: "<ObjectLockConfiguration><ObjectLockEnabled>On</ObjectLockEnabled></ObjectLockConfiguration>"}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?object-lock", body: conf("").body, who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Object-Lock-Mode: GOVERNANCE"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Object-Lock-Mode: GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date: " + at(-time.Hour)}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Object-Lock-Legal-Hold: MAYBE"}}, status: 400, code: "InvalidArgument"},
	})

	s.want(400, "InvalidRequest", ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Object-Lock-Legal-Hold: ON"}}) // without a digest
	free := put()
	until := at(24 * time.Hour)
	governed := put("X-Amz-Object-Lock-Mode: GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date: "+until)
	s.run([]step{
		{ask: ask{method: "HEAD", target: "/box/key"}, status: 200, headers: map[string]string{"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": until, "X-Amz-Object-Lock-Legal-Hold": ""}},
		{ask: ask{method: "GET", target: "/box/key?retention"}, status: 200, has: []string{"<Mode>GOVERNANCE</Mode><RetainUntilDate>" + until + "</RetainUntilDate>"}},
		{ask: ask{method: "GET", target: "/box/key?legal-hold"}, status: 404, code: "NoSuchObjectLockConfiguration"},
		{ask: ask{method: "GET", target: "/box/key?retention&versionId=" + free}, status: 404, code: "NoSuchObjectLockConfiguration"},
		{ask: gone(governed), status: 403, code: "AccessDenied"},
		{ask: retain(governed, "GOVERNANCE", at(time.Hour)), status: 403, code: "AccessDenied"},
		{ask: retain(governed, "COMPLIANCE", at(48*time.Hour)), status: 403, code: "AccessDenied"},
		{ask: retain(governed, "GOVERNANCE", at(48*time.Hour)), status: 200},
		{ask: retain(governed, "GOVERNANCE", at(-time.Hour), bypass), status: 400, code: "InvalidArgument"},
		{ask: retain(governed, "NONE", until), status: 400, code: "MalformedXML"},
		{ask: retain(governed, "GOVERNANCE", at(time.Hour), bypass), status: 200},
		{ask: hold(governed, "ON"), status: 200, headers: map[string]string{"X-Amz-Version-Id": governed}},
		{ask: hold(governed, "on"), status: 400, code: "MalformedXML"},
		{ask: ask{method: "GET", target: "/box/key?legal-hold"}, status: 200, has: []string{"<Status>ON</Status>"}},
		{ask: gone(governed, bypass), status: 403, code: "AccessDenied"},
		{ask: hold(governed, "OFF"), status: 200},
		{ask: gone(free), status: 204},
	})
	// DeleteObjects tells of each.
	doc := "<Delete><Object><Key>key</Key><VersionId>" + governed + "</VersionId></Object></Delete>"
	bulk := ask{method: "POST", target: "/box?delete", body: doc, header: []string{md5Header(doc)}}
	if got := s.want(200, "", bulk); got.between("Code") != "AccessDenied" {
		t.Errorf("the locked version: %s", got.body)
	}
	bulk.header = append(bulk.header, bypass)
	if got := s.want(200, "", bulk); !strings.Contains(got.body, "<Deleted>") {
		t.Errorf("bypassed: %s", got.body)
	}
	// The default of the bucket, for objects, copies and uploads.
	s.want(200, "", rule("<Mode>COMPLIANCE</Mode><Years>2</Years>"))
	if got := s.want(200, "", ask{method: "GET", target: "/box?object-lock"}); !strings.Contains(got.body, "<Mode>COMPLIANCE</Mode><Years>2</Years>") {
		t.Errorf("got %s", got.body)
	}
	complied := put()
	s.want(200, "", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key"}})
	id := s.want(200, "", ask{method: "POST", target: "/box/parts?uploads"}).between("UploadId")
	etag := s.want(200, "", ask{method: "PUT", target: "/box/parts?partNumber=1&uploadId=" + id, body: "x"}).header.Get("ETag")
	s.want(200, "", ask{method: "POST", target: "/box/parts?uploadId=" + id, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + xmlEscape(etag) + "</ETag></Part></CompleteMultipartUpload>"})
	for _, key := range []string{"key", "copy", "parts"} {
		got := s.want(200, "", ask{method: "HEAD", target: "/box/" + key})
		until, err := time.Parse(time.RFC3339, got.header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		if d := time.Until(until); err != nil || d < 729*24*time.Hour || d > 732*24*time.Hour || got.header.Get("X-Amz-Object-Lock-Mode") != "COMPLIANCE" {
			t.Errorf("%s is retained until %s, %v", key, until, err)
		}
	}
	s.run([]step{
		{ask: gone(complied, bypass), status: 403, code: "AccessDenied"},
		{ask: retain(complied, "COMPLIANCE", at(24*time.Hour), bypass), status: 403, code: "AccessDenied"},
		{ask: retain(complied, "COMPLIANCE", at(3*365*24*time.Hour)), status: 200},
		{ask: ask{method: "PUT", target: "/box/key?retention", body: "<Retention/>", header: []string{bypass}}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/box/key"}, status: 204, headers: map[string]string{"X-Amz-Delete-Marker": "true"}}, // hides it
		{ask: ask{method: "GET", target: "/box/key?versionId=" + complied}, status: 200, has: []string{"x"}},
		{ask: ask{method: "DELETE", target: "/box"}, status: 409, code: "BucketNotEmpty"},
		{ask: gone(complied, bypass), status: 403, code: "AccessDenied"},
	})
}
