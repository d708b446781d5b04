package s3

import (
	"fmt"
	"strings"
	"testing"
)

// TestDocumentBombs sends every operation that takes a document one that is too deep, too long, expands, or is no document at all. Nothing is changed by it.
func TestDocumentBombs(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	samples := s.samples()
	bombs := []struct {
		name string
		make func(doc string) string
	}{
		{"depth 100,000", func(string) string { return strings.Repeat("<a>", 100_000) }},
		{"depth 1000", func(string) string { return strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) }},
		{"elements", func(string) string { return "<a>" + strings.Repeat("<b/>", 1_000_000) + "</a>" }},
		{"expanding entities", func(doc string) string {
			return `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + strings.Replace(doc, ">", ">&b;", 1)
		}},
		{"external entity", func(doc string) string {
			return `<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(doc, ">", ">&e;", 1)
		}},
		{"external document type", func(doc string) string { return `<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd">` + doc }},
		{"charset", func(doc string) string { return `<?xml version="1.0" encoding="UTF-16"?>` + doc }},
		{"UTF-16", func(doc string) string { return "\xff\xfe" + strings.Join(strings.Split(doc, ""), "\x00") }},
		{"wrong UTF-8", func(doc string) string { return strings.Replace(doc, "</", "\xff</", 1) }},
		{"text behind", func(doc string) string { return doc + "x" }},
		{"second root", func(doc string) string { return doc + doc }},
		{"NUL behind", func(doc string) string { return doc + "\x00" }},
		{"cut off", func(doc string) string { return doc[:len(doc)-1] }},
		{"no document", func(string) string { return "{}" }},
		{"processing instruction", func(doc string) string { return doc + "<?php echo 1 ?>" }},
	}
	tried := 0
	send := func(sm *sample, name, body string, codes ...string) {
		t.Helper()
		a := sm.ask
		a.body, a.header = body, nil
		for _, h := range sm.header {
			if !strings.HasPrefix(h, "X-Amz-Acl") { // the document instead
				a.header = append(a.header, h)
			}
		}
		if sm.op == "DeleteObjects" {
			a.header = []string{md5Header(body)}
		}
		before := s.writes()
		s.refused(sm.op+", "+name, s.do(a), a.method, codes)
		if after := s.writes(); after != before {
			t.Errorf("%s, %s: something was written", sm.op, name)
		}
		tried++
	}
	samples = append(samples, sample{op: "CreateBucket", ask: ask{method: "PUT", target: "/bomb", body: "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>"}})
	kinds := 0
	for i := range samples {
		sm := &samples[i]
		switch {
		case sm.op == "PutBucketAcl" || sm.op == "PutObjectAcl":
			sm.body = aclDoc(s.alice.ID.String(), grantDoc("CanonicalUser", "ID", s.alice.ID.String(), "READ"))
		case !strings.HasPrefix(sm.body, "<"):
			continue
		}
		kinds++
		for _, b := range bombs {
			send(sm, b.name, b.make(sm.body), "MalformedXML", "MalformedACLError", "MaxMessageLengthExceeded")
		}
	}
	if kinds < 14 {
		t.Errorf("only %d operations take documents", kinds)
	}
	// Policies are JSON.
	policy := &sample{op: "PutBucketPolicy", ask: ask{method: "PUT", target: "/ruled?policy"}}
	good := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::ruled/x"}]}`
	for name, body := range map[string]string{
		"20 KB": good[:1] + strings.Repeat(" ", 20<<10) + good[1:], "depth": `{"Statement":` + strings.Repeat("[", 10_000), "depth of objects": strings.Repeat(`{"Statement":`, 1000) + "1" + strings.Repeat("}", 1000),
		"text behind": good + "x", "second": good + good, "NUL": good + "\x00", "XML": "<Policy/>", "number": "1e999999", "member twice": strings.Replace(good, "{", `{"Statement":[],`, 1), "100 KB": strings.Repeat("[", 100_000),
	} {
		send(policy, name, body, "MalformedPolicy", "MaxMessageLengthExceeded")
	}
	t.Logf("%d documents to %d operations", tried, kinds+1)
}

// TestHostileNames says the name of another's object in every place where a key can stand, in every spelling that a path could take for it.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.furnish()
	spellings := []string{"../bobs/secret", "..%2Fbobs%2Fsecret", "%2e%2e/bobs/secret", "%2E%2E%2Fbobs%2Fsecret", "a/../../bobs/secret", "./../bobs/secret", "%252e%252e%252fbobs%252fsecret", "..%5Cbobs%5Csecret", "..\\bobs\\secret",
		"/bobs/secret", "//bobs/secret", "%00/../bobs/secret", "secret%00", "..%00/bobs/secret", "%c0%ae%c0%ae/bobs/secret", "..;/bobs/secret", "%0a../bobs/secret", "....//bobs/secret"}
	bobs := func() string {
		return s.want(200, "", ask{method: "GET", target: "/bobs?versions", who: &s.bob}).body + s.want(200, "", ask{method: "GET", target: "/bobs?uploads", who: &s.bob}).body
	}
	before := bobs()
	tried := 0
	try := func(a ask) {
		t.Helper()
		got := s.do(a)
		if got.status >= 500 || strings.Contains(got.body, "s3cr3t") {
			t.Errorf("%s %s %q: %d %s", a.method, a.target, a.header, got.status, got.body)
		}
		tried++
	}
	for _, key := range spellings {
		for _, sub := range []string{"", "?acl", "?tagging", "?attributes", "?uploads", "?retention", "?legal-hold", "?partNumber=1&uploadId=00", "?versionId=null"} {
			for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
				try(ask{method: method, target: "/box/" + key + sub, body: "x"})
			}
		}
		for _, source := range []string{"box/" + key, "/box/" + key, "box%2F" + key, key} {
			try(ask{method: "PUT", target: "/box/copied", header: []string{"X-Amz-Copy-Source: " + source}})
		}
		for _, place := range []string{"prefix=", "marker=", "list-type=2&start-after=", "list-type=2&continuation-token=", "delimiter=", "versions&key-marker=", "uploads&key-marker=", "uploads&prefix="} {
			try(ask{method: "GET", target: "/box?" + place + strings.ReplaceAll(key, ";", "%3B")})
		}
		doc := "<Delete><Object><Key>" + xmlEscape(key) + "</Key></Object></Delete>"
		try(ask{method: "POST", target: "/box?delete", body: doc, header: []string{md5Header(doc)}})
		f := s.goodForm("V4", &s.alice)
		f.fields[len(f.fields)-1] = key
		try(f.ask("/box"))
		f.fields[len(f.fields)-1], f.filename = "${filename}", key
		try(f.ask("/box"))
		try(ask{method: "GET", target: "/" + key, host: "box." + domain})
		try(ask{method: "PUT", target: "/" + key, host: "box." + domain, body: "x"})
	}
	if after := bobs(); after != before {
		t.Errorf("bob's bucket is not as it was:\n%s\n%s", before, after)
	}
	if got := s.want(200, "", ask{method: "GET", target: "/bobs/secret", who: &s.bob}); got.body != "s3cr3t" {
		t.Errorf("bob's object is %q", got.body)
	}
	t.Logf("%d requests", tried)
}

// TestOthersSources copies from and to buckets of others, by every spelling of the source.
func TestOthersSources(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	f := s.furnish()
	for _, target := range []string{"/box/copied", "/box/parts?partNumber=2&uploadId=" + f.upload} {
		copyOf := func(source string, more ...string) ask {
			return ask{method: "PUT", target: target, header: append([]string{"X-Amz-Copy-Source: " + source}, more...)}
		}
		for _, source := range []string{"bobs/secret", "/bobs/secret", "bobs/%73ecret", "bobs%2Fsecret", "%62obs/secret", "/bobs%2F%73ecret", "bobs/secret?versionId=null", "bobs/none", "bobs/secret?versionId=00000000000000010000000000000001"} {
			s.want(403, "AccessDenied", copyOf(source)) // also what is not there: which keys bob has is not alice's to know
			s.want(403, "AccessDenied", copyOf(source, "X-Amz-Copy-Source-If-Match: *"))
			s.want(403, "AccessDenied", copyOf(source, "X-Amz-Copy-Source-If-None-Match: *"))
			s.want(403, "AccessDenied", copyOf(source, "X-Amz-Copy-Source-Range: bytes=0-0"))
		}
		s.want(404, "NoSuchBucket", copyOf("none/key"))
		for _, source := range []string{"", "bobs", "bobs/", "/", "//bobs/secret", "%zz/x"} {
			s.want(400, "InvalidArgument", copyOf(source))
		}
		a := copyOf("bobs/secret")
		a.who = &s.bob
		s.want(403, "AccessDenied", a) // his own, into alice's bucket
		s.want(400, "InvalidArgument", copyOf("box/key", "X-Amz-Copy-Source: bobs/secret"))
	}
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/copied"})
}

// TestOthersUploads uses the id of an upload for another key, in another bucket, by another user, and ids that are made up.
func TestOthersUploads(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	f := s.furnish()
	complete := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + f.etag + "</ETag></Part></CompleteMultipartUpload>"
	requests := func(target, id string) []ask {
		return []ask{
			{method: "PUT", target: target + "?partNumber=1&uploadId=" + id, body: "evil"},
			{method: "PUT", target: target + "?partNumber=1&uploadId=" + id, header: []string{"X-Amz-Copy-Source: box/key"}},
			{method: "GET", target: target + "?uploadId=" + id},
			{method: "POST", target: target + "?uploadId=" + id, body: complete},
			{method: "DELETE", target: target + "?uploadId=" + id},
		}
	}
	flipped := []byte(f.upload)
	flipped[len(flipped)-1] ^= 1
	for _, tc := range []struct{ target, id string }{
		{"/box/other", f.upload}, {"/box/parts/", f.upload}, {"/box//parts", f.upload}, {"/vault/parts", f.upload}, {"/box/aborted", f.upload}, {"/box/parts", f.aborted},
		{"/box/parts", string(flipped)}, {"/box/parts", ""}, {"/box/parts", "0"}, {"/box/parts", strings.Repeat("0", len(f.upload))}, {"/box/parts", strings.Repeat("f", len(f.upload))}, {"/box/parts", f.upload + "0"}, {"/box/parts", strings.ToUpper(f.upload) + "%00"}, {"/box/parts", "../parts"},
	} {
		for _, a := range requests(tc.target, tc.id) {
			if got := s.do(a); got.status != 404 || got.code() != "NoSuchUpload" {
				t.Errorf("%s %s: %d %s", a.method, a.target, got.status, got.body)
			}
		}
	}
	for _, a := range requests("/box/parts", f.upload) {
		a.who = &s.bob
		s.want(403, "AccessDenied", a)
		a.who, a.anonymous = nil, true
		s.want(403, "AccessDenied", a)
	}
	for _, a := range requests("/bobs/parts", f.upload) { // in his own bucket
		if a.who = &s.bob; len(a.header) > 0 {
			continue // not his source
		}
		s.want(404, "NoSuchUpload", a)
	}
	got := s.want(200, "", ask{method: "GET", target: "/box/parts?uploadId=" + f.upload})
	if strings.Count(got.body, "<Part>") != 1 || !strings.Contains(got.body, f.etag) {
		t.Errorf("the upload is now %s", got.body)
	}
	for _, n := range []string{"0", "10001", "-1", "+1", "1.0", "", "2147483648", "99999999999999999999", "0x1", "%00"} {
		s.want(400, "InvalidArgument", ask{method: "PUT", target: "/box/parts?partNumber=" + n + "&uploadId=" + f.upload, body: "x"})
	}
}

// TestHostileRanges asks for bytes that are not there, in numbers that overflow.
func TestHostileRanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.furnish()
	get := func(r string) ask {
		return ask{method: "GET", target: "/box/key", header: []string{"Range: " + r}}
	}
	for _, r := range []string{"bytes=7-", "bytes=9223372036854775807-", "bytes=9223372036854775806-9223372036854775807", "bytes=99999999999999999999-", "bytes=-0"} {
		s.want(416, "InvalidRange", get(r))
	}
	for r, want := range map[string]string{
		"bytes=0-9223372036854775807": "c0ntent", "bytes=6-99999999999999999999": "t", "bytes=-99999999999999999999": "c0ntent", "bytes=3-3": "t",
		"bytes=5-1": "c0ntent", "bytes=a-b": "c0ntent", "bytes=--1": "c0ntent", "bytes=" + strings.Repeat("0-0,", 999) + "0-0": "c0ntent", "bytes=0-0x1": "c0ntent", "lines=0-1": "c0ntent", "bytes=+1-2": "c0ntent",
	} {
		if got := s.do(get(r)); got.body != want || got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("%.40s: %d %q", r, got.status, got.body)
		}
	}
	for _, n := range []string{"0", "10001", "-1", "+1", "x", "99999999999999999999"} {
		s.want(400, "InvalidArgument", ask{method: "GET", target: "/box/key?partNumber=" + n})
	}
	s.want(400, "InvalidPart", ask{method: "GET", target: "/box/key?partNumber=2"})
	up := s.want(200, "", ask{method: "POST", target: "/box/ranged?uploads"}).between("UploadId")
	for _, r := range []string{"bytes=0-7", "bytes=7-7", "bytes=0-", "bytes=-1", "bytes=1-0", "bytes=0-9223372036854775807", "bytes=9223372036854775807-9223372036854775807", "bytes=0-0,2-2", "0-1", ""} {
		got := s.do(ask{method: "PUT", target: "/box/ranged?partNumber=1&uploadId=" + up, header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Copy-Source-Range: " + r}})
		if r == "" {
			if got.status != 200 {
				t.Errorf("an empty range: %d %s", got.status, got.body)
			}
		} else if got.status != 400 && got.status != 416 {
			t.Errorf("copy of %s: %d %s", r, got.status, got.body)
		}
	}
}

// TestHeaderInjection puts line ends wherever a value can come back in a header of a reply.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.furnish()
	const line = "%0d%0aSet-Cookie:%20a=b"
	for _, name := range []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"} {
		for _, value := range []string{line, "x" + line, "%00", "x%0ay", "x%0dy", "%7f"} {
			s.want(400, "InvalidArgument", ask{method: "GET", target: "/box/key?response-" + name + "=" + value})
		}
	}
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read"}})
	s.want(200, "", ask{method: "PUT", target: "/box/page", body: "<script>", header: []string{"X-Amz-Acl: public-read"}})
	for _, name := range []string{"cache-control", "content-disposition", "content-type"} { // a browser would run it under the server's name
		s.want(400, "InvalidRequest", ask{method: "GET", target: "/box/page?response-" + name + "=text/html", anonymous: true})
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box/page", anonymous: true}); got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Type") != "binary/octet-stream" {
		t.Errorf("a browser may run it: %v", got.header)
	}
	var answers []answer
	for _, name := range []string{"Content-Type", "x-amz-meta-a", "success_action_redirect", "Cache-Control", "success_action_status"} {
		f := form{fields: append(signV2(&s.alice, policy(3600e9, inBox, anyKey, `["starts-with", "$`+name+`", ""]`)), "key", "k", name, "http://x\r\nSet-Cookie: a=b"), file: "x"}
		answers = append(answers, s.do(f.ask("/box")), s.do(ask{method: "HEAD", target: "/box/k"}))
	}
	f := s.goodForm("V2", &s.alice)
	f.fields[len(f.fields)-1] = "k\r\nSet-Cookie: a=b"
	answers = append(answers, s.do(f.ask("/box")), s.do(ask{method: "POST", target: "/box/k" + line + "?uploads"}), s.do(ask{method: "GET", target: "/box/none" + line}),
		s.do(ask{method: "PUT", target: "/box/copied", header: []string{"X-Amz-Copy-Source: box/k" + line}}))
	for i, got := range answers {
		if got.status >= 500 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("answer %d: %d %v", i, got.status, got.header)
		}
	}
}

// TestNoSideDoors asks the public port for what belongs to the operators: to it they are names of buckets.
func TestNoSideDoors(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/vars", "/healthz", "/status", "/admin", "/minio/admin/v3/info", "/.well-known/x", "/favicon.ico", "/cgi-bin/x", "/server-status"} {
		for _, anonymous := range []bool{true, false} {
			got := s.do(ask{method: "GET", target: path, anonymous: anonymous})
			if got.status != 404 && got.status != 400 || got.code() != "NoSuchBucket" && got.code() != "InvalidBucketName" {
				t.Errorf("GET %s: %d %s", path, got.status, got.body)
			}
		}
	}
	for _, query := range []string{"?ostor-users", "?ostor-accounts", "?ostor-limits&id=1", "?Action=CreateUser", "?ostor-settings"} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
			got := s.do(ask{method: method, target: "/" + query, anonymous: true})
			if got.status != 403 && got.status != 405 {
				t.Errorf("%s /%s: %d %s", method, query, got.status, got.body)
			}
		}
	}
}
