package conform

import (
	"fmt"
	"strings"
)

const (
	barETag   = `"37b51d194a7513e45b56f6524f2d51f2"` // of "bar"
	emptyETag = `"d41d8cd98f00b204e9800998ecf8427e"`
	barMD5    = "N7UdGUp1E+RbVvZSTy1R8g=="
)

// escape writes a key as a path: slashes and unreserved characters as they are, all else in the form that signatures have.
func escape(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		if c == '/' || strings.IndexByte("-._~", c) >= 0 || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func objectCases() section {
	var keys []step
	for _, key := range []string{" ", `"`, "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__", "?", "#", ";", "+", "a//b", "/", "//", "a/../b", ".", "..", `\`, "ü", "\u65e5\u672c", "\U0001f600", "\x01", "\n", "{", "a\tb", "*", "=", ":", "%2F", "%25"} {
		at, content := "/{b}/"+escape(key), "content of "+escape(key)
		keys = append(keys, put(at, content), get(at).shows(content), head(at), del(at), get(at).fails(404, "NoSuchKey"))
	}
	long := strings.Repeat("k", 1024)
	meta := "x-amz-meta-a: " + strings.Repeat("v", 2047)
	return section{"object", []testCase{
		{"write read update delete", []step{
			get("/{b}/foo").fails(404, "NoSuchKey").shows("<Key>foo</Key>"), head("/{b}/foo").fails(404, "").replyHeader("x-amz-delete-marker: false"),
			put("/{b}/foo", "bar").replyHeader("ETag: "+barETag, "x-amz-version-id:", "Content-Length: 0"),
			get("/{b}/foo").shows("bar").replyHeader("ETag: "+barETag, "Content-Length: 3", "Content-Type: binary/octet-stream", "Accept-Ranges: bytes", "Last-Modified: *", "x-amz-version-id:"),
			put("/{b}/foo", "soup"), get("/{b}/foo").shows("soup").hides("bar"),
			head("/{b}/foo").replyHeader("Content-Length: 4", "Accept-Ranges: bytes", "Last-Modified: *"),
			del("/{b}/foo").replyHeader("x-amz-delete-marker:", "x-amz-version-id:"), del("/{b}/foo"), get("/{b}/foo").fails(404, "NoSuchKey"),
		}},
		{"empty", []step{
			put("/{b}/foo", "").replyHeader("ETag: " + emptyETag), head("/{b}/foo").replyHeader("Content-Length: 0", "ETag: "+emptyETag), get("/{b}/foo").replyHeader("Content-Length: 0"),
		}},
		{"metadata", []step{
			put("/{b}/foo", "bar").with("x-amz-meta-Meta1: mymeta", "x-amz-meta-two: a, b", "Content-Type: text/plain", "Cache-Control: public, max-age=14400", "Content-Disposition: inline", "Content-Language: eo",
				"Expires: Thu, 01 Jan 2026 00:00:00 GMT", "Content-Encoding: gzip"),
			head("/{b}/foo").replyHeader("x-amz-meta-meta1: mymeta", "x-amz-meta-two: a, b", "Content-Type: text/plain", "Cache-Control: public, max-age=14400", "Content-Disposition: inline", "Content-Language: eo",
				"Expires: Thu, 01 Jan 2026 00:00:00 GMT", "Content-Encoding: gzip"),
			put("/{b}/foo", "bar").with("x-amz-meta-meta1: "), get("/{b}/foo").replyHeader("x-amz-meta-two:", "Content-Type: binary/octet-stream", "Cache-Control:", "Expires:", "Content-Encoding:"),
			put("/{b}/foo", "bar"), get("/{b}/foo").replyHeader("x-amz-meta-meta1:"),
			put("/{b}/foo", "bar").with("x-amz-meta-m: Hello W\xc3\xb6rld"), get("/{b}/foo").replyHeader("x-amz-meta-m: Hello W\xc3\xb6rld"),
			put("/{b}/foo", "bar").with(meta), put("/{b}/foo", "bar").with(meta+"v").fails(400, "MetadataTooLarge"),
			put("/{b}/foo", "bar").with(meta, "x-amz-meta-b: c").fails(400, "MetadataTooLarge"),
		}},
		{"aws-chunked is no content encoding", []step{
			put("/{b}/k", "").with("Content-Encoding: deflate, gzip"), head("/{b}/k").replyHeader("Content-Encoding: deflate, gzip"),
			put("/{b}/k", "").with("Content-Encoding: gzip, aws-chunked"), head("/{b}/k").replyHeader("Content-Encoding: gzip"),
			put("/{b}/k", "").with("Content-Encoding: aws-chunked, gzip"), head("/{b}/k").replyHeader("Content-Encoding: gzip"),
			put("/{b}/k", "").with("Content-Encoding: aws-chunked"), head("/{b}/k").replyHeader("Content-Encoding:"),
			put("/{b}/k", "").with("Content-Encoding: aws-chunked, aws-chunked"), head("/{b}/k").replyHeader("Content-Encoding:"),
		}},
		{"special keys", keys},
		{"key length", []step{
			put("/{b}/"+long, "x"), get("/{b}/" + long).shows("x"), put("/{b}/"+long+"k", "x").fails(400, "KeyTooLongError").shows("<Size>1025</Size><MaxSizeAllowed>1024</MaxSizeAllowed>"), get("/{b}/"+long+"k").fails(400, "KeyTooLongError"),
			put("/{b}/"+strings.Repeat("%C3%BC", 512), "x"), put("/{b}/"+strings.Repeat("%C3%BC", 513), "x").fails(400, "KeyTooLongError"),
		}},
		{"unreadable keys", []step{
			get("/{b}/%AE%8A-").fails(400, "InvalidURI").shows("<Message>Couldn't parse the specified URI.</Message>"), put("/{b}/%FF", "x").fails(400, "InvalidURI"), put("/{b}/a%C3", "x").fails(400, "InvalidURI"),
		}},
		{"digests", []step{
			put("/{b}/k", "bar").with("Content-MD5: " + barMD5), put("/{b}/k", "bar").with("Content-MD5: YWJyYWNhZGFicmE=").fails(400, "InvalidDigest"), put("/{b}/k", "bar").with("Content-MD5: ").fails(400, "InvalidDigest"),
			put("/{b}/k", "bar").with("Content-MD5: AWS4 HAHAHA").fails(400, "InvalidDigest"), put("/{b}/k", "bar").with("Content-MD5: rL0Y20xC+Fzt72VPzMSk2A==").fails(400, "BadDigest"),
			put("/{b}/k", "bar").with("x-amz-content-sha256: "+strings.Repeat("0", 64)).fails(400, "XAmzContentSHA256Mismatch"), put("/{b}/k", "bar").with("x-amz-content-sha256: short").fails(400, "InvalidArgument"),
		}},
		{"refused options", []step{
			put("/{b}/k", "x").with("x-amz-storage-class: STANDARD"), put("/{b}/k", "x").with("x-amz-storage-class: CHEAP").fails(400, "InvalidStorageClass"),
			put("/{b}/k", "x").with("x-amz-server-side-encryption: AES256").fails(501, "NotImplemented"), put("/{b}/k", "x").with("x-amz-website-redirect-location: /x").fails(501, "NotImplemented"),
			put("/{b}/k", "x").with("x-amz-write-offset-bytes: 1").fails(501, "NotImplemented"), put("/{b}/k", "x").with("x-amz-acl: aws-exec-read").fails(501, "NotImplemented"),
			put("/{b}/k", "x").with("x-amz-acl: public-ready").fails(400, "InvalidArgument"),
		}},
		{"keys of the customer", []step{
			put("/{b}/k", "x"), get("/{b}/k").with("x-amz-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"), head("/{b}/k").with("x-amz-server-side-encryption-customer-key: abc").fails(501, ""),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ETag", "x-amz-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"),
			put("/{b}/j", "").with("x-amz-copy-source: {b}/k", "x-amz-copy-source-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"),
		}},
		{"callers", []step{
			put("/{b}/k", "x"), get("/{b}/k").by(alt).fails(403, "AccessDenied"), get("/{b}/k").by(nobody).fails(403, "AccessDenied"), put("/{b}/k", "y").by(alt).fails(403, "AccessDenied"),
			do("DELETE", "/{b}/k").by(alt).fails(403, "AccessDenied"), head("/{b}/k").by(alt).fails(403, ""), get("/{b}/none").by(alt).fails(403, "AccessDenied"), get("/{b}/none").by(nobody).fails(403, "AccessDenied"),
			get("/{b}/k").shows("x"),
		}},
		{"arguments of other operations", []step{
			put("/{b}/k", "x"), put("/{b}/k?versionId=null", "y").fails(400, "InvalidArgument"), put("/{b}/k?partNumber=1", "y").fails(400, "InvalidArgument"), put("/{b}/k?versionId=null", "").with("x-amz-copy-source: {b}/k").fails(400, "InvalidArgument"),
			post("/{b}/k?uploads&versionId=null", "").fails(400, "InvalidArgument"), get("/{b}/k").shows("x"), get("/{b}/k?uploadId=").fails(404, "NoSuchUpload"),
		}},
		{"expected owner", []step{
			put("/{b}/k", "x").with("x-amz-expected-bucket-owner: {main}"), put("/{b}/k", "x").with("x-amz-expected-bucket-owner: {alt}").fails(403, "AccessDenied"),
			get("/{b}").with("x-amz-expected-bucket-owner: {main}foo").fails(403, "AccessDenied"), do("DELETE", "/{b}/k").with("x-amz-expected-bucket-owner: {alt}").fails(403, "AccessDenied"),
			put("/{b}/j", "").with("x-amz-copy-source: {b}/k", "x-amz-source-expected-bucket-owner: {alt}").fails(403, "AccessDenied"),
			put("/{b}/j", "").with("x-amz-copy-source: {b}/k", "x-amz-source-expected-bucket-owner: {main}"),
		}},
		{"unsized body", []step{
			put("/{b}/k", "bar").with("Transfer-Encoding: chunked").replyHeader("ETag: " + barETag), get("/{b}/k").shows("bar"),
			put("/{b}/k", "bar").with("Transfer-Encoding: chunked", "Content-MD5: rL0Y20xC+Fzt72VPzMSk2A==").fails(400, "BadDigest"),
			put("/{b}/k", strings.Repeat("x", 128<<10)).with("Transfer-Encoding: chunked").replyHeader("ETag: *"),
			put("/{b}/k", strings.Repeat("x", 128<<10+1)).with("Transfer-Encoding: chunked").fails(411, "MissingContentLength"),
			head("/{b}/k").replyHeader(fmt.Sprint("Content-Length: ", 128<<10)),
		}},
		{"torrent", []step{put("/{b}/k", "x"), get("/{b}/k?torrent").fails(404, "NoSuchKey"), get("/{b}/none?torrent").fails(404, "NoSuchKey"), get("/{b}/k?torrent").by(alt).fails(403, "AccessDenied")}},
	}}
}

// readCases are about GetObject and HeadObject.
func readCases() section {
	text := "testcontent"
	first := put("/{b}/k", text).with("Content-Type: text/plain")
	return section{"read", []testCase{
		{"ranges", []step{
			first,
			get("/{b}/k").with("Range: bytes=4-7").gives(206, "cont").replyHeader("Content-Range: bytes 4-7/11", "Content-Length: 4", "Accept-Ranges: bytes", "Content-Type: text/plain"),
			get("/{b}/k").with("Range: bytes=4-").gives(206, "content").replyHeader("Content-Range: bytes 4-10/11"), get("/{b}/k").with("Range: bytes=-7").gives(206, "content").replyHeader("Content-Range: bytes 4-10/11"),
			get("/{b}/k").with("Range: bytes=0-0").gives(206, "t").replyHeader("Content-Range: bytes 0-0/11"), get("/{b}/k").with("Range: bytes=-100").gives(206, text).replyHeader("Content-Range: bytes 0-10/11"),
			get("/{b}/k").with("Range: bytes=4-100").gives(206, "content").replyHeader("Content-Range: bytes 4-10/11"), head("/{b}/k").with("Range: bytes=4-7").gives(206).replyHeader("Content-Range: bytes 4-7/11", "Content-Length: 4"),
			get("/{b}/k").with("Range: bytes=40-50").fails(416, "InvalidRange").shows("<RangeRequested>bytes=40-50</RangeRequested><ActualObjectSize>11</ActualObjectSize>"), get("/{b}/k").with("Range: bytes=11-").fails(416, "InvalidRange"), get("/{b}/k").with("Range: bytes=-0").fails(416, "InvalidRange"),
			head("/{b}/k").with("Range: bytes=40-50").fails(416, ""),
			get("/{b}/k").with("Range: bytes=7-4").shows(text), get("/{b}/k").with("Range: bytes=a-b").shows(text), get("/{b}/k").with("Range: bytes=0-1,3-4").shows(text), get("/{b}/k").with("Range: lines=1-2").shows(text),
			put("/{b}/e", ""), get("/{b}/e").with("Range: bytes=40-50").fails(416, "InvalidRange"), get("/{b}/e").with("Range: bytes=0-").fails(416, "InvalidRange"),
		}},
		{"ranges of what a client has begun", []step{
			first, head("/{b}/k").save("tag=@ETag", "at=@Last-Modified"),
			get("/{b}/k").with("Range: bytes=4-7", "If-Range: {tag}").gives(206, "cont"), get("/{b}/k").with("Range: bytes=4-7", "If-Range: {at}").gives(206, "cont"), get("/{b}/k").with("If-Range: {tag}").shows(text),
			get("/{b}/k").with("Range: bytes=4-7", "If-Range: "+barETag).shows(text).replyHeader("Content-Range:", "Content-Length: 11"), get("/{b}/k").with("Range: bytes=4-7", "If-Range: W/{tag}").shows(text),
			get("/{b}/k").with("Range: bytes=4-7", "If-Range: Sat, 29 Oct 1994 19:43:31 GMT").shows(text), get("/{b}/k").with("Range: bytes=4-7", "If-Range: Sat, 29 Oct 2130 19:43:31 GMT").shows(text),
			get("/{b}/k").with("Range: bytes=40-50", "If-Range: "+barETag).shows(text), head("/{b}/k").with("Range: bytes=4-7", "If-Range: "+barETag).replyHeader("Content-Length: 11", "Content-Range:"),
		}},
		{"overridden headers", []step{
			first,
			get("/{b}/k?response-cache-control=no-cache&response-content-disposition=bla&response-content-encoding=aaa&response-content-language=esperanto&response-content-type=foo%2Fbar&response-expires=Thu%2C%2001%20Jan%201970%2000%3A02%3A03%20GMT").shows(text).
				replyHeader("Cache-Control: no-cache", "Content-Disposition: bla", "Content-Encoding: aaa", "Content-Language: esperanto", "Content-Type: foo/bar", "Expires: Thu, 01 Jan 1970 00:02:03 GMT"),
			head("/{b}/k?response-content-type=foo%2Fbar").replyHeader("Content-Type: foo/bar"),
			get("/{b}/k?response-content-type=a%0D%0AX-Evil:%201").fails(400, "InvalidArgument"),
			put("/{b}/p", text).with("x-amz-acl: public-read"), get("/{b}/p").by(nobody).shows(text), get("/{b}/p?response-content-type=text%2Fhtml").by(nobody).fails(400, "InvalidRequest"),
		}},
		{"part of what has none", []step{
			first, get("/{b}/k?partNumber=1").gives(206, text).replyHeader("Content-Range: bytes 0-10/11", "x-amz-mp-parts-count:"), head("/{b}/k?partNumber=1").gives(206),
			get("/{b}/k?partNumber=2").fails(400, "InvalidPart"), head("/{b}/k?partNumber=2").fails(400, ""), get("/{b}/k?partNumber=0").fails(400, "InvalidArgument").shows("<ArgumentName>partNumber</ArgumentName><ArgumentValue>0</ArgumentValue>"), get("/{b}/k?partNumber=10001").fails(400, "InvalidArgument"),
			get("/{b}/k?partNumber=x").fails(400, "InvalidArgument"), get("/{b}/k?partNumber=1").with("Range: bytes=0-1").fails(400, "InvalidRequest"),
			put("/{b}/e", ""), get("/{b}/e?partNumber=1").replyHeader("Content-Length: 0", "Content-Range:"),
		}},
		{"conditions", []step{
			put("/{b}/foo", "bar"), head("/{b}/foo").save("at=@Last-Modified"),
			get("/{b}/foo").with("If-Match: " + barETag).shows("bar"), get("/{b}/foo").with("If-Match: *").shows("bar"), get("/{b}/foo").with(`If-Match: "ABCORZ"`).fails(412, "PreconditionFailed"),
			get("/{b}/foo").with(`If-Match: "ABCORZ", ` + barETag).shows("bar"),
			get("/{b}/foo").with("If-None-Match: "+barETag).gives(304).replyHeader("ETag: "+barETag, "Content-Length:"), get("/{b}/foo").with(`If-None-Match: ABCORZ`).shows("bar"), head("/{b}/foo").with("If-None-Match: *").gives(304),
			get("/{b}/foo").with("If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT").shows("bar"), get("/{b}/foo").with("If-Modified-Since: {at}").gives(304),
			get("/{b}/foo").with("If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT").fails(412, "PreconditionFailed").shows("<Condition>If-Unmodified-Since</Condition>"), get("/{b}/foo").with("If-Unmodified-Since: {at}").shows("bar"),
			get("/{b}/foo").with("If-Unmodified-Since: Sat, 29 Oct 2100 19:43:31 GMT").shows("bar"), get("/{b}/foo").with("If-Modified-Since: nonsense").shows("bar"),
			get("/{b}/foo").with("If-Match: "+barETag, "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT").shows("bar"), // the ETag overrules the date
			get("/{b}/foo").with("If-None-Match: "+barETag, "If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT").gives(304), get("/{b}/none").with("If-Match: *").fails(404, "NoSuchKey"), head("/{b}/foo").with("If-Match: x").fails(412, ""),
			head("/{b}/foo").with("If-Modified-Since: {at}").gives(304),
		}},
	}}
}
