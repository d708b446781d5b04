package s3

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"ostor/internal/cluster"
)

// step is one request and what must come back.
type step struct {
	ask
	status  int
	code    string            // of an error document; "" none
	headers map[string]string // that the reply must have; "" means absent
	has     []string          // parts of the body
	hasNot  []string
}

func (s *site) run(steps []step) {
	s.t.Helper()
	for _, st := range steps {
		got := s.want(st.status, st.code, st.ask)
		for name, want := range st.headers {
			if v := got.header.Get(name); v != want {
				s.t.Errorf("%s %s: header %s is %q, want %q", st.method, st.target, name, v, want)
			}
		}
		for _, part := range st.has {
			if !strings.Contains(got.body, part) {
				s.t.Errorf("%s %s: no %q in the reply:\n%s", st.method, st.target, part, got.body)
			}
		}
		for _, part := range st.hasNot {
			if strings.Contains(got.body, part) {
				s.t.Errorf("%s %s: %q in the reply:\n%s", st.method, st.target, part, got.body)
			}
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			s.t.Errorf("%s %s: a browser may guess the type", st.method, st.target)
		}
		if got.header.Get("X-Amz-Request-Id") == "" || got.header.Get("X-Amz-Id-2") == "" || got.header.Get("Date") == "" {
			s.t.Errorf("%s %s: no request id, host id or date: %v", st.method, st.target, got.header)
		}
		if st.code != "" && got.between("RequestId") != got.header.Get("X-Amz-Request-Id") {
			s.t.Errorf("%s %s: the document's request id is not the header's", st.method, st.target)
		}
	}
}

func (s *site) bucket(name string) {
	s.t.Helper()
	s.want(200, "", ask{method: "PUT", target: "/" + name})
}

func md5Header(body string) string {
	sum := md5.Sum([]byte(body))
	return "Content-MD5: " + base64.StdEncoding.EncodeToString(sum[:])
}

func etagOf(body string) string {
	return fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum([]byte(body))))
}

func crc32Of(body string) string {
	c := crc32.ChecksumIEEE([]byte(body))
	return base64.StdEncoding.EncodeToString([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 2)
	s.run([]step{
		{ask: ask{method: "GET", target: "/"}, status: 200, has: []string{"<Buckets></Buckets>", s.alice.ID.String()}},
		{ask: ask{method: "PUT", target: "/one"}, status: 200, headers: map[string]string{"Location": "/one"}},
		{ask: ask{method: "PUT", target: "/one"}, status: 200},
		{ask: ask{method: "PUT", target: "/one", who: &s.bob}, status: 409, code: "BucketAlreadyExists"},
		{ask: ask{method: "PUT", target: "/two", body: `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>`}, status: 200},
		{ask: ask{method: "PUT", target: "/three", body: "<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>"}, status: 400, code: "InvalidLocationConstraint"},
		{ask: ask{method: "PUT", target: "/three", body: "<CreateBucketConfiguration>"}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/three", header: []string{"X-Amz-Acl: aws-exec-read"}}, status: 501, code: "NotImplemented"},
		{ask: ask{method: "PUT", target: "/x"}, status: 400, code: "InvalidBucketName"},
		{ask: ask{method: "PUT", target: "/Upper"}, status: 400, code: "InvalidBucketName"},
		{ask: ask{method: "PUT", target: "/1.2.3.4"}, status: 400, code: "InvalidBucketName"},
		{ask: ask{method: "PUT", target: "/bobs", who: &s.bob}, status: 200},
		{ask: ask{method: "GET", target: "/"}, status: 200, has: []string{"<Name>one</Name>", "<Name>two</Name>"}, hasNot: []string{"bobs", "three"}},
		{ask: ask{method: "GET", target: "/?prefix=t"}, status: 200, has: []string{"<Name>two</Name>"}, hasNot: []string{"<Name>one</Name>"}},
		{ask: ask{method: "GET", target: "/?max-buckets=0"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/?continuation-token=!"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/", anonymous: true}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "HEAD", target: "/one"}, status: 200, headers: map[string]string{"X-Amz-Bucket-Region": "us-east-1"}},
		{ask: ask{method: "HEAD", target: "/none"}, status: 404},
		{ask: ask{method: "HEAD", target: "/bobs"}, status: 403},
		{ask: ask{method: "GET", target: "/one?location"}, status: 200, has: []string{"<LocationConstraint xmlns"}, hasNot: []string{"us-east-1"}},
		{ask: ask{method: "GET", target: "/one?versioning"}, status: 200, has: []string{"VersioningConfiguration"}, hasNot: []string{"Status"}},
		{ask: ask{method: "GET", target: "/one?acl"}, status: 200, has: []string{"FULL_CONTROL", s.alice.ID.String()}},
		{ask: ask{method: "PUT", target: "/one/key", body: "x"}, status: 200},
		{ask: ask{method: "DELETE", target: "/one"}, status: 409, code: "BucketNotEmpty"},
		{ask: ask{method: "PUT", target: "/one/other", body: "x"}, status: 200}, // the refused seal was taken back everywhere
		{ask: ask{method: "DELETE", target: "/one/key"}, status: 204},
		{ask: ask{method: "DELETE", target: "/one/other"}, status: 204},
		{ask: ask{method: "DELETE", target: "/one", who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "DELETE", target: "/one"}, status: 204},
		{ask: ask{method: "DELETE", target: "/one"}, status: 404, code: "NoSuchBucket"},
		{ask: ask{method: "PUT", target: "/one/key", body: "x"}, status: 404, code: "NoSuchBucket"},
		{ask: ask{method: "PUT", target: "/one", who: &s.bob}, status: 200}, // another life
		{ask: ask{method: "GET", target: "/one", who: &s.bob}, status: 200, hasNot: []string{"Contents"}},
	})
	for i := range 4 {
		s.bucket(fmt.Sprintf("more-%d", i))
	}
	seen := 0
	for token := ""; ; seen++ {
		target := "/?max-buckets=1"
		if token != "" {
			target += "&continuation-token=" + token
		}
		if token = s.want(200, "", ask{method: "GET", target: target}).between("ContinuationToken"); token == "" {
			break
		}
	}
	if seen != 4 {
		t.Errorf("%d pages of one bucket before the last, want 4", seen)
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	body := "0123456789"
	tag := etagOf(body)
	s.run([]step{
		{ask: ask{method: "PUT", target: "/box/key", body: body, header: []string{"Content-Type: text/x", "Cache-Control: no-cache", "Content-Encoding: aws-chunked,gzip", "Expires: never", "X-Amz-Meta-Color: blue", "X-Amz-Meta-Color: green", md5Header(body)}},
			status: 200, headers: map[string]string{"Etag": tag, "X-Amz-Version-Id": ""}},
		{ask: ask{method: "GET", target: "/box/key"}, status: 200, has: []string{body}, headers: map[string]string{"Etag": tag, "Content-Type": "text/x", "Cache-Control": "no-cache", "Content-Encoding": "gzip", "Expires": "never",
			"X-Amz-Meta-Color": "blue,green", "Content-Length": "10", "Accept-Ranges": "bytes", "X-Amz-Version-Id": ""}},
		{ask: ask{method: "HEAD", target: "/box/key"}, status: 200, headers: map[string]string{"Etag": tag, "Content-Length": "10"}},
		// Ranges.
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=2-4"}}, status: 206, has: []string{"234"}, headers: map[string]string{"Content-Range": "bytes 2-4/10", "Content-Length": "3"}},
		{ask: ask{method: "HEAD", target: "/box/key", header: []string{"Range: bytes=2-4"}}, status: 206, headers: map[string]string{"Content-Range": "bytes 2-4/10", "Content-Length": "3"}},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=8-"}}, status: 206, has: []string{"89"}},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=-3"}}, status: 206, has: []string{"789"}},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=5-99999999999999999999"}}, status: 206, has: []string{"56789"}},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=10-"}}, status: 416, code: "InvalidRange"},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=0-1,3-4"}}, status: 200, has: []string{body}},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"Range: lines=1-2"}}, status: 200, has: []string{body}},
		{ask: ask{method: "GET", target: "/box/key?partNumber=1"}, status: 206, has: []string{body}},
		{ask: ask{method: "GET", target: "/box/key?partNumber=2"}, status: 400, code: "InvalidPart"},
		{ask: ask{method: "GET", target: "/box/key?partNumber=0"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/key?partNumber=10001"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/key?partNumber=1", header: []string{"Range: bytes=0-1"}}, status: 400, code: "InvalidRequest"},
		// Conditions.
		{ask: ask{method: "GET", target: "/box/key", header: []string{"If-Match: " + tag}}, status: 200},
		{ask: ask{method: "GET", target: "/box/key", header: []string{`If-Match: "other"`}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"If-None-Match: " + tag}}, status: 304, headers: map[string]string{"Etag": tag, "Cache-Control": "no-cache"}},
		{ask: ask{method: "HEAD", target: "/box/key", header: []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}}, status: 304},
		{ask: ask{method: "GET", target: "/box/key", header: []string{"If-Unmodified-Since: Fri, 01 Jan 2010 00:00:00 GMT"}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "PUT", target: "/box/key", body: "new", header: []string{"If-None-Match: *"}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "PUT", target: "/box/key", body: "new", header: []string{`If-Match: "other"`}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "PUT", target: "/box/none", body: "new", header: []string{`If-Match: "other"`}}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "PUT", target: "/box/key", body: body, header: []string{"If-Match: " + tag, "Content-Type: text/y"}}, status: 200},
		{ask: ask{method: "DELETE", target: "/box/key", header: []string{`If-Match: "other"`}}, status: 412, code: "PreconditionFailed"},
		// Overrides of reply headers.
		{ask: ask{method: "GET", target: "/box/key?response-content-type=text%2Fz&response-cache-control=x&response-expires=y&response-content-disposition=d&response-content-encoding=e&response-content-language=l"}, status: 200,
			headers: map[string]string{"Content-Type": "text/z", "Cache-Control": "x", "Expires": "y", "Content-Disposition": "d", "Content-Encoding": "e", "Content-Language": "l"}},
		{ask: ask{method: "GET", target: "/box/key?response-content-type=a%0d%0aX-Evil:1"}, status: 400, code: "InvalidArgument"},
		// Checksums.
		{ask: ask{method: "PUT", target: "/box/sum", body: body, header: []string{"X-Amz-Checksum-Crc32: " + crc32Of(body)}}, status: 200, headers: map[string]string{"X-Amz-Checksum-Crc32": crc32Of(body), "X-Amz-Checksum-Type": "FULL_OBJECT"}},
		{ask: ask{method: "GET", target: "/box/sum", header: []string{"X-Amz-Checksum-Mode: ENABLED"}}, status: 200, headers: map[string]string{"X-Amz-Checksum-Crc32": crc32Of(body)}},
		{ask: ask{method: "HEAD", target: "/box/sum"}, status: 200, headers: map[string]string{"X-Amz-Checksum-Crc32": ""}},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{"X-Amz-Checksum-Crc32: " + crc32Of("other")}}, status: 400, code: "BadDigest"},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{"X-Amz-Checksum-Crc32: !"}}, status: 400, code: "BadDigest"},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{md5Header("other")}}, status: 400, code: "BadDigest"},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{"Content-MD5: x"}}, status: 400, code: "InvalidDigest"},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{"X-Amz-Meta-Big: " + strings.Repeat("x", 2048)}}, status: 400, code: "MetadataTooLarge"},
		{ask: ask{method: "PUT", target: "/box/bad", body: body, header: []string{"X-Amz-Storage-Class: GLACIER"}}, status: 400, code: "InvalidStorageClass"},
		{ask: ask{method: "GET", target: "/box/bad"}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "GET", target: "/box/key?versionId="}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/key?versionId=junk"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/key?versionId=00000000000000000000000000000009"}, status: 404, code: "NoSuchVersion"},
		{ask: ask{method: "GET", target: "/box/key?acl"}, status: 200, has: []string{"FULL_CONTROL"}},
		{ask: ask{method: "GET", target: "/box/key?tagging"}, status: 200, has: []string{"<TagSet></TagSet>"}},
		{ask: ask{method: "GET", target: "/box/none?tagging"}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "POST", target: "/box/key"}, status: 405, code: "MethodNotAllowed", headers: map[string]string{"Allow": "GET, HEAD, PUT, POST, DELETE"}},
		{ask: ask{method: "PATCH", target: "/box/key"}, status: 405, code: "MethodNotAllowed"},
		{ask: ask{method: "DELETE", target: "/box/key"}, status: 204},
		{ask: ask{method: "DELETE", target: "/box/key"}, status: 204},
		{ask: ask{method: "HEAD", target: "/box/key"}, status: 404},
		// The empty object.
		{ask: ask{method: "PUT", target: "/box/empty"}, status: 200, headers: map[string]string{"Etag": `"d41d8cd98f00b204e9800998ecf8427e"`}},
		{ask: ask{method: "GET", target: "/box/empty"}, status: 200, headers: map[string]string{"Content-Length": "0", "Content-Type": "binary/octet-stream"}},
		{ask: ask{method: "GET", target: "/box/empty", header: []string{"Range: bytes=0-"}}, status: 416, code: "InvalidRange"},
		{ask: ask{method: "PUT", target: "/box/empty2", header: []string{md5Header("x")}}, status: 400, code: "BadDigest"},
	})
}

// TestKeys puts, gets, lists, copies and deletes keys that a path would take for something else.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 2)
	s.bucket("box")
	s.bucket("other")
	keys := []string{"a", "..", "../x", "a/../../b", "../other/key", "./a", "a/./b", "a//b", "//", "/", "/lead", "trail/", `back\slash`, "%2e%2e%2f", "%252e", "%", "a b", "a+b", "a&b=c", "a?b", "a#b", "a;b", "a:b@c",
		"ümläut/ключ/鍵", "\x01", "tab\t", "new\nline", "nul\x00", "\x7f", "<&>\"'", "🙂", strings.Repeat("k", 1024), strings.Repeat("ö", 512), "u/", "m/", "tmp/x", "/u/", "/tmp/"}
	for _, key := range keys {
		path := "/box/" + escape(key)
		body := "content of " + key
		s.want(200, "", ask{method: "PUT", target: path, body: body})
		if got := s.want(200, "", ask{method: "GET", target: path}); got.body != body {
			t.Errorf("key %q: got %q", key, got.body)
		}
		s.want(200, "", ask{method: "PUT", target: "/other/copy", header: []string{"X-Amz-Copy-Source: box/" + escape(key)}})
		if got := s.want(200, "", ask{method: "GET", target: "/other/copy"}); got.body != body {
			t.Errorf("key %q: the copy is %q", key, got.body)
		}
		got := s.want(200, "", ask{method: "GET", target: "/box?list-type=2&encoding-type=url&prefix=" + escape(key)})
		if !strings.Contains(got.body, "<Key>"+strings.ReplaceAll(escape(key), "%2F", "/")+"</Key>") {
			t.Errorf("key %q is not in the list of itself:\n%s", key, got.body)
		}
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box?list-type=2"}); strings.Count(got.body, "<Contents>") != len(keys) {
		t.Errorf("%d keys listed, want %d", strings.Count(got.body, "<Contents>"), len(keys))
	}
	if got := s.want(200, "", ask{method: "GET", target: "/other?list-type=2"}); strings.Count(got.body, "<Contents>") != 1 {
		t.Errorf("the other bucket has %s", got.body)
	}
	for _, bad := range []struct{ escaped, code string }{
		{strings.Repeat("k", 1025), "KeyTooLongError"}, {"%ff", "InvalidURI"}, {"%c3%28", "InvalidURI"}, {"a%80", "InvalidURI"},
	} {
		s.want(400, bad.code, ask{method: "PUT", target: "/box/" + bad.escaped, body: "x"})
		s.want(400, bad.code, ask{method: "PUT", target: "/other/x", header: []string{"X-Amz-Copy-Source: box/" + bad.escaped}})
	}
	// Deleted through the document, those that XML can write, and by path.
	for i, key := range keys {
		if i%2 == 0 || strings.ContainsAny(key, "\x00\x01") {
			s.want(204, "", ask{method: "DELETE", target: "/box/" + escape(key)})
			continue
		}
		doc := "<Delete><Object><Key>" + xmlEscape(key) + "</Key></Object></Delete>"
		s.want(200, "", ask{method: "POST", target: "/box?delete", body: doc, header: []string{md5Header(doc)}})
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box?list-type=2"}); strings.Contains(got.body, "<Contents>") {
		t.Errorf("keys are left:\n%s", got.body)
	}
}

// escape encodes everything but letters and digits.
func escape(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func xmlEscape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\t", "&#9;", "\n", "&#10;", "\r", "&#13;").Replace(s)
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 1)
	s.bucket("box")
	for _, k := range []string{"a", "b/1", "b/2", "b/c/3", "d", "e/", "f&g", "h/ i"} {
		s.want(200, "", ask{method: "PUT", target: "/box/" + escape(k), body: "x"})
	}
	owner := "<Owner><ID>" + s.alice.ID.String() + "</ID><DisplayName>alice@example.com</DisplayName></Owner>"
	s.run([]step{
		{ask: ask{method: "GET", target: "/box"}, status: 200, has: []string{"<Marker></Marker>", "<MaxKeys>1000</MaxKeys>", "<IsTruncated>false</IsTruncated>", "<Key>f&amp;g</Key>", owner, "<StorageClass>STANDARD</StorageClass>", "<ETag>&quot;9dd4e461268c8034f5c8564e155c67a6&quot;</ETag>", "<Size>1</Size>"}},
		{ask: ask{method: "GET", target: "/box?delimiter=/"}, status: 200, has: []string{"<Prefix>b/</Prefix>", "<Prefix>e/</Prefix>", "<Prefix>h/</Prefix>", "<Key>a</Key>"}, hasNot: []string{"b/1"}},
		{ask: ask{method: "GET", target: "/box?delimiter=/&prefix=b/"}, status: 200, has: []string{"<Key>b/1</Key>", "<Prefix>b/c/</Prefix>"}, hasNot: []string{"<Key>a</Key>", "b/c/3"}},
		{ask: ask{method: "GET", target: "/box?delimiter=/&max-keys=2"}, status: 200, has: []string{"<NextMarker>b/</NextMarker>", "<IsTruncated>true</IsTruncated>"}},
		{ask: ask{method: "GET", target: "/box?delimiter=/&max-keys=2&marker=b/"}, status: 200, has: []string{"<Key>d</Key>", "<Prefix>e/</Prefix>", "<NextMarker>e/</NextMarker>"}, hasNot: []string{"b/1"}},
		{ask: ask{method: "GET", target: "/box?max-keys=2"}, status: 200, has: []string{"<Key>a</Key>", "<Key>b/1</Key>", "<IsTruncated>true</IsTruncated>"}, hasNot: []string{"NextMarker"}},
		{ask: ask{method: "GET", target: "/box?max-keys=0"}, status: 200, has: []string{"<IsTruncated>false</IsTruncated>"}, hasNot: []string{"Contents"}},
		{ask: ask{method: "GET", target: "/box?max-keys=-1"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?max-keys=many"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?encoding-type=html"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?encoding-type=url&prefix=h/"}, status: 200, has: []string{"<Key>h/%20i</Key>", "<EncodingType>url</EncodingType>"}},
		{ask: ask{method: "GET", target: "/box?list-type=2"}, status: 200, has: []string{"<KeyCount>8</KeyCount>"}, hasNot: []string{"<Owner>", "<Marker>"}},
		{ask: ask{method: "GET", target: "/box?list-type=2&fetch-owner=true"}, status: 200, has: []string{owner}},
		{ask: ask{method: "GET", target: "/box?list-type=2&start-after=d"}, status: 200, has: []string{"<KeyCount>3</KeyCount>", "<StartAfter>d</StartAfter>"}},
		{ask: ask{method: "GET", target: "/box?list-type=2&continuation-token=%21"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?list-type=3"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?prefix=a&prefix=b"}, status: 400, code: "InvalidArgument"},
	})
	// Whole listings in small pages, of both versions.
	for _, delimiter := range []string{"", "&delimiter=/"} {
		want := map[string]int{"": 8, "&delimiter=/": 6}[delimiter]
		count, token := 0, ""
		for {
			target := "/box?list-type=2&max-keys=3" + delimiter
			if token != "" {
				target += "&continuation-token=" + token
			}
			got := s.want(200, "", ask{method: "GET", target: target})
			count += strings.Count(got.body, "<Contents>") + strings.Count(got.body, "<CommonPrefixes>")
			if token = got.between("NextContinuationToken"); token == "" {
				break
			}
		}
		if count != want {
			t.Errorf("%d names in pages of 3 with %q, want %d", count, delimiter, want)
		}
	}
}

func TestDeleteObjects(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 2)
	s.bucket("box")
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for i := range 1000 {
		if i < 100 {
			s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("/box/d%d/k%d", i%7, i), body: "x"})
		}
		fmt.Fprintf(&doc, "<Object><Key>d%d/k%d</Key></Object>", i%7, i)
	}
	post := func(doc string, header ...string) ask {
		return ask{method: "POST", target: "/box?delete", body: doc, header: append(header, md5Header(doc))}
	}
	s.run([]step{
		{ask: ask{method: "POST", target: "/box?delete", body: doc.String() + "</Delete>"}, status: 400, code: "InvalidRequest"}, // no digest
		{ask: post(doc.String() + "<Object><Key>1001</Key></Object></Delete>"), status: 400, code: "MalformedXML"},
		{ask: post("<Delete></Delete>"), status: 400, code: "MalformedXML"},
		{ask: post("<Delete><Object><Key>a</Key></Object></Delete>junk"), status: 400, code: "MalformedXML"},
		{ask: post(`<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>`), status: 400, code: "MalformedXML"},
		{ask: post("<Delete><Object><Key></Key></Object><Object><Key>none</Key></Object></Delete>"), status: 200, has: []string{"<Code>InvalidURI</Code>", "<Deleted><Key>none</Key></Deleted>"}},
		{ask: ask{method: "POST", target: "/box?delete", body: "<Delete><Object><Key>d0/k0</Key></Object></Delete>", who: &s.bob, header: []string{md5Header("<Delete><Object><Key>d0/k0</Key></Object></Delete>")}}, status: 403, code: "AccessDenied"},
	})
	if got := s.want(200, "", ask{method: "GET", target: "/box?list-type=2"}); got.between("KeyCount") != "100" {
		t.Errorf("%s keys before, want 100", got.between("KeyCount"))
	}
	got := s.want(200, "", post(doc.String()+"</Delete>"))
	if n := strings.Count(got.body, "<Deleted>"); n != 1000 {
		t.Errorf("%d deleted, want 1000", n)
	}
	got = s.want(200, "", post(doc.String()+"<Quiet>true</Quiet></Delete>"))
	if strings.Contains(got.body, "<Deleted>") {
		t.Error("a quiet deletion is not quiet")
	}
	if got := s.want(200, "", ask{method: "GET", target: "/box?list-type=2"}); got.between("KeyCount") != "0" {
		t.Errorf("%s keys are left", got.between("KeyCount"))
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	s.bucket("dest")
	s.want(200, "", ask{method: "PUT", target: "/bobs", who: &s.bob})
	s.want(200, "", ask{method: "PUT", target: "/bobs/secret", who: &s.bob, body: "secret"})
	body := strings.Repeat("copy me ", 50000)
	tag := etagOf(body)
	cp := func(to string, header ...string) ask { return ask{method: "PUT", target: to, header: header} }
	src := "X-Amz-Copy-Source: /box/key"
	s.run([]step{
		{ask: ask{method: "PUT", target: "/box/key", body: body, header: []string{"Content-Type: text/x", "X-Amz-Meta-A: 1", "X-Amz-Checksum-Crc32: " + crc32Of(body)}}, status: 200},
		{ask: cp("/dest/copy", src), status: 200, has: []string{"<CopyObjectResult", "&quot;" + strings.Trim(tag, `"`), "<ChecksumCRC32>" + crc32Of(body)}},
		{ask: ask{method: "GET", target: "/dest/copy"}, status: 200, headers: map[string]string{"Etag": tag, "Content-Type": "text/x", "X-Amz-Meta-A": "1"}, has: []string{body}},
		{ask: cp("/dest/replaced", src, "X-Amz-Metadata-Directive: REPLACE", "Content-Type: text/y", "X-Amz-Meta-B: 2"), status: 200},
		{ask: ask{method: "HEAD", target: "/dest/replaced"}, status: 200, headers: map[string]string{"Content-Type": "text/y", "X-Amz-Meta-A": "", "X-Amz-Meta-B": "2"}},
		{ask: cp("/dest/sum", src, "X-Amz-Checksum-Algorithm: SHA256"), status: 200, has: []string{"<ChecksumSHA256>"}},
		{ask: cp("/box/key", src), status: 400, code: "InvalidRequest"},
		{ask: cp("/box/key", src, "X-Amz-Metadata-Directive: REPLACE", "X-Amz-Meta-A: 3"), status: 200},
		{ask: ask{method: "GET", target: "/box/key"}, status: 200, headers: map[string]string{"X-Amz-Meta-A": "3"}, has: []string{body}},
		{ask: cp("/dest/x", src, "X-Amz-Metadata-Directive: MAYBE"), status: 400, code: "InvalidArgument"},
		{ask: cp("/dest/x", "X-Amz-Copy-Source: /box/none"), status: 404, code: "NoSuchKey"},
		{ask: cp("/dest/x", "X-Amz-Copy-Source: /none/key"), status: 404, code: "NoSuchBucket"},
		{ask: cp("/dest/x", "X-Amz-Copy-Source: nokey"), status: 400, code: "InvalidArgument"},
		{ask: cp("/dest/x", "X-Amz-Copy-Source: /bobs/secret"), status: 403, code: "AccessDenied"},
		{ask: cp("/bobs/x", src), status: 403, code: "AccessDenied"},
		{ask: cp("/dest/x", src, "X-Amz-Copy-Source-If-Match: "+tag), status: 200},
		{ask: cp("/dest/x", src, "X-Amz-Copy-Source-If-None-Match: "+tag), status: 412, code: "PreconditionFailed"},
		{ask: cp("/dest/x", src, `X-Amz-Copy-Source-If-Match: "no"`), status: 412, code: "PreconditionFailed"},
		{ask: cp("/dest/x", src, "X-Amz-Copy-Source-If-Unmodified-Since: Fri, 01 Jan 2010 00:00:00 GMT"), status: 412, code: "PreconditionFailed"},
		{ask: cp("/dest/x", src, "X-Amz-Copy-Source-If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"), status: 412, code: "PreconditionFailed"},
		{ask: cp("/dest/x", src, "If-None-Match: *"), status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "PUT", target: "/box/empty"}, status: 200},
		{ask: cp("/dest/empty", "X-Amz-Copy-Source: /box/empty"), status: 200},
		{ask: ask{method: "GET", target: "/dest/empty"}, status: 200, headers: map[string]string{"Content-Length": "0"}},
	})
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 3)
	s.bucket("box")
	big := strings.Repeat("0123456789abcdef", cluster.MinPartBytes/16)
	begin := func(key string, header ...string) string {
		t.Helper()
		return s.want(200, "", ask{method: "POST", target: "/box/" + key + "?uploads", header: header}).between("UploadId")
	}
	id := begin("dir/big", "Content-Type: text/x", "X-Amz-Meta-A: 1")
	at := "/box/dir/big?uploadId=" + id
	part := func(n int, body string) string {
		t.Helper()
		return s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("%s&partNumber=%d", at, n), body: body}).header.Get("ETag")
	}
	e1, e3, e5 := part(1, big), part(3, big[:len(big)-7]+"replace"), part(5, "tail")
	complete := func(parts ...string) ask {
		var b strings.Builder
		b.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
		for i := 0; i < len(parts); i += 2 {
			fmt.Fprintf(&b, "<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>", parts[i], parts[i+1])
		}
		b.WriteString("</CompleteMultipartUpload>")
		return ask{method: "POST", target: at, body: b.String()}
	}
	whole := big + big[:len(big)-7] + "replace" + "tail"
	s.run([]step{
		{ask: ask{method: "PUT", target: at + "&partNumber=0", body: "x"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: at + "&partNumber=10001", body: "x"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/box/other?partNumber=1&uploadId=" + id, body: "x"}, status: 404, code: "NoSuchUpload"}, // another key's upload
		{ask: ask{method: "PUT", target: "/box/dir/big?partNumber=1&uploadId=guess", body: "x"}, status: 404, code: "NoSuchUpload"},
		{ask: ask{method: "PUT", target: at + "&partNumber=5", who: &s.bob, body: "x"}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: at + "&partNumber=7", body: "x", header: []string{md5Header("y")}}, status: 400, code: "BadDigest"},
		{ask: ask{method: "GET", target: at}, status: 200, has: []string{"<PartNumber>1</PartNumber>", "<PartNumber>3</PartNumber>", "<PartNumber>5</PartNumber>", "<IsTruncated>false</IsTruncated>"}, hasNot: []string{"<PartNumber>7</PartNumber>"}},
		{ask: ask{method: "GET", target: at + "&max-parts=1&part-number-marker=1"}, status: 200, has: []string{"<PartNumber>3</PartNumber>", "<NextPartNumberMarker>3</NextPartNumberMarker>", "<IsTruncated>true</IsTruncated>"}},
		{ask: ask{method: "GET", target: "/box?uploads"}, status: 200, has: []string{"<UploadId>" + id + "</UploadId>", "<Key>dir/big</Key>"}},
		{ask: ask{method: "GET", target: "/box?uploads&delimiter=/"}, status: 200, has: []string{"<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>"}, hasNot: []string{"<Upload>"}},
		{ask: ask{method: "GET", target: "/box?uploads&prefix=x"}, status: 200, hasNot: []string{"<Upload>"}},
		{ask: ask{method: "GET", target: "/box/dir/big"}, status: 404, code: "NoSuchKey"},
		{ask: complete("3", e3, "1", e1), status: 400, code: "InvalidPartOrder"},
		{ask: complete("1", e1, "2", e1), status: 400, code: "InvalidPart"},
		{ask: complete("1", e3), status: 400, code: "InvalidPart"},
		{ask: complete(), status: 400, code: "MalformedXML"},
		{ask: complete("1", e1, "3", e3, "5", e5), status: 200, has: []string{"<CompleteMultipartUploadResult", "-3&quot;</ETag>", "<Key>dir/big</Key>"}},
		{ask: complete("1", e1, "3", e3, "5", e5), status: 200, has: []string{"-3&quot;</ETag>"}}, // repeated
		{ask: ask{method: "GET", target: "/box/dir/big"}, status: 200, has: []string{whole}, headers: map[string]string{"Content-Type": "text/x", "X-Amz-Meta-A": "1"}},
		{ask: ask{method: "GET", target: "/box/dir/big", header: []string{fmt.Sprintf("Range: bytes=%d-%d", 2*len(big)-3, 2*len(big)+1)}}, status: 206, headers: map[string]string{"Content-Length": "5"}, has: []string{"aceta"}},
		{ask: ask{method: "GET", target: "/box/dir/big?partNumber=5"}, status: 206, has: []string{"tail"}, headers: map[string]string{"X-Amz-Mp-Parts-Count": "3", "Content-Length": "4"}},
		{ask: ask{method: "HEAD", target: "/box/dir/big?partNumber=3"}, status: 206, headers: map[string]string{"X-Amz-Mp-Parts-Count": "3", "Content-Length": fmt.Sprint(len(big))}},
		{ask: ask{method: "GET", target: "/box/dir/big?partNumber=2"}, status: 400, code: "InvalidPart"},
		{ask: ask{method: "GET", target: at}, status: 404, code: "NoSuchUpload"},
		{ask: ask{method: "DELETE", target: at}, status: 404, code: "NoSuchUpload"},
		{ask: ask{method: "PUT", target: "/box/plain", header: []string{"X-Amz-Copy-Source: box/dir/big"}}, status: 200, has: []string{strings.Trim(etagOf(whole), `"`)}},
		{ask: ask{method: "GET", target: "/box/plain"}, status: 200, has: []string{whole}},
	})

	// Parts that are too small, copied parts, abort.
	id = begin("small")
	at = "/box/small?uploadId=" + id
	e1, e3 = part(1, "a"), part(2, "b")
	s.want(400, "EntityTooSmall", complete("1", e1, "2", e3))
	got := s.want(200, "", ask{method: "PUT", target: at + "&partNumber=1", header: []string{"X-Amz-Copy-Source: box/dir/big", fmt.Sprintf("X-Amz-Copy-Source-Range: bytes=4-%d", len(big)+3)}})
	tag := strings.Trim(got.between("ETag"), "&quot;")
	s.want(416, "InvalidRange", ask{method: "PUT", target: at + "&partNumber=1", header: []string{"X-Amz-Copy-Source: box/dir/big", "X-Amz-Copy-Source-Range: bytes=0-99999999"}})
	s.want(400, "InvalidArgument", ask{method: "PUT", target: at + "&partNumber=1", header: []string{"X-Amz-Copy-Source: box/dir/big", "X-Amz-Copy-Source-Range: bytes=5-"}})
	s.want(403, "AccessDenied", ask{method: "PUT", target: at + "&partNumber=1", who: &s.bob, header: []string{"X-Amz-Copy-Source: box/dir/big"}})
	s.want(200, "", complete("1", tag, "2", e3))
	if got := s.want(200, "", ask{method: "GET", target: "/box/small"}); got.body != (big + big)[4:len(big)+4]+"b" {
		t.Errorf("the object with a copied part has %d bytes and is wrong", len(got.body))
	}
	id = begin("gone")
	at = "/box/gone?uploadId=" + id
	part(1, big)
	s.want(204, "", ask{method: "DELETE", target: at})
	s.want(404, "NoSuchUpload", ask{method: "PUT", target: at + "&partNumber=2", body: "x"})

	// Checksums of the whole.
	id = begin("sums", "X-Amz-Checksum-Algorithm: CRC32", "X-Amz-Checksum-Type: FULL_OBJECT")
	at = "/box/sums?uploadId=" + id
	e1, e3 = part(1, big), part(2, "b")
	done := complete("1", e1, "2", e3)
	done.header = []string{"X-Amz-Checksum-Crc32: " + crc32Of("wrong")}
	s.want(400, "BadDigest", done)
	done.header = []string{"X-Amz-Mp-Object-Size: 1"}
	s.want(400, "InvalidRequest", done)
	done.header = []string{"X-Amz-Checksum-Crc32: " + crc32Of(big+"b"), fmt.Sprintf("X-Amz-Mp-Object-Size: %d", len(big)+1)}
	if got := s.want(200, "", done); got.between("ChecksumCRC32") != crc32Of(big+"b") || got.between("ChecksumType") != "FULL_OBJECT" {
		t.Errorf("got %s", got.body)
	}
	head := s.want(200, "", ask{method: "HEAD", target: "/box/sums", header: []string{"X-Amz-Checksum-Mode: ENABLED"}})
	if head.header.Get("X-Amz-Checksum-Crc32") != crc32Of(big+"b") {
		t.Errorf("HEAD says %v", head.header)
	}
	s.want(400, "InvalidRequest", ask{method: "POST", target: "/box/x?uploads", header: []string{"X-Amz-Checksum-Algorithm: SHA256", "X-Amz-Checksum-Type: FULL_OBJECT"}})
	s.want(400, "InvalidRequest", ask{method: "POST", target: "/box/x?uploads", header: []string{"X-Amz-Checksum-Algorithm: MD4"}})
}
