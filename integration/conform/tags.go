package conform

import (
	"fmt"
	"strings"
)

// tagSet is the document of a tag set: pairs of key and value.
func tagSet(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
	}
	return b.String() + "</TagSet></Tagging>"
}

func numbered(n int, keyTail, value string) []string {
	var pairs []string
	for i := range n {
		pairs = append(pairs, fmt.Sprint(i, keyTail), value)
	}
	return pairs
}

// shownTags is the tag set of a reply, whose root has a namespace.
func shownTags(pairs ...string) string { return strings.TrimPrefix(tagSet(pairs...), "<Tagging>") }

func tagCases() section {
	longKey, longValue := strings.Repeat("k", 127), strings.Repeat("v", 256)
	return section{"tagging", []testCase{
		{"object", []step{
			put("/{b}/k", "x"), get("/{b}/k?tagging").shows(shownTags()), head("/{b}/k").replyHeader("x-amz-tagging-count:"),
			put("/{b}/k?tagging", tagSet("0", "0", "1", "1")), get("/{b}/k?tagging").shows(shownTags("0", "0", "1", "1")), head("/{b}/k").replyHeader("x-amz-tagging-count: 2"), get("/{b}/k").replyHeader("x-amz-tagging-count: 2"),
			put("/{b}/k?tagging", tagSet("key3", "val3")), get("/{b}/k?tagging").shows(shownTags("key3", "val3")),
			del("/{b}/k?tagging"), get("/{b}/k?tagging").shows(shownTags()), del("/{b}/k?tagging"),
			put("/{b}/k?tagging", tagSet(numbered(10, "", "v")...)), get("/{b}/k?tagging").shows(shownTags(numbered(10, "", "v")...)), del("/{b}/k?tagging"),
			put("/{b}/k?tagging", tagSet(numbered(11, "", "v")...)).fails(400, "InvalidTag"), get("/{b}/k?tagging").shows(shownTags()),
			put("/{b}/k?tagging", tagSet(numbered(10, longKey, longValue)...)), get("/{b}/k?tagging").shows(shownTags(numbered(10, longKey, longValue)...)), del("/{b}/k?tagging"),
			put("/{b}/k?tagging", tagSet(numbered(10, longKey+"k", longValue)...)).fails(400, "InvalidTag"), put("/{b}/k?tagging", tagSet(numbered(10, longKey, longValue+"v")...)).fails(400, "InvalidTag"), get("/{b}/k?tagging").shows(shownTags()),
			put("/{b}/k?tagging", tagSet("a", "1", "a", "2")).fails(400, "InvalidTag"), put("/{b}/k?tagging", tagSet("", "1")).fails(400, "InvalidTag"), put("/{b}/k?tagging", tagSet("aws:a", "1")).fails(400, "InvalidTag"),
			put("/{b}/k?tagging", tagSet("a", "!")).fails(400, "InvalidTag"), put("/{b}/k?tagging", "<Tagging/>").fails(400, "MalformedXML"), put("/{b}/k?tagging", "<Tagging>").fails(400, "MalformedXML"),
			put("/{b}/none?tagging", tagSet("a", "1")).fails(404, "NoSuchKey"), get("/{b}/none?tagging").fails(404, "NoSuchKey"), do("DELETE", "/{b}/none?tagging").fails(404, "NoSuchKey"),
		}},
		{"header", []step{
			put("/{b}/k", "x").with("x-amz-tagging: foo=bar&bar"), get("/{b}/k?tagging").shows(shownTags("bar", "", "foo", "bar")), get("/{b}/k").shows("x").replyHeader("x-amz-tagging-count: 2"),
			put("/{b}/k", "x").with("x-amz-tagging: a=1&a=2").fails(400, "InvalidArgument"), put("/{b}/k", "x").with("x-amz-tagging: a=%zz").fails(400, "InvalidArgument"),
			put("/{b}/k", "x").with("x-amz-tagging: "+strings.Repeat("a", 129)+"=1").fails(400, "InvalidTag"),
			post("/{b}/m?uploads", "").with("x-amz-tagging: a=%21").fails(400, "InvalidTag"), put("/{b}/k", "x"), get("/{b}/k?tagging").shows(shownTags()),
		}},
		{"copies", []step{
			put("/{b}/k", "x").with("x-amz-tagging: a=1"),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k"), get("/{b}/l?tagging").shows(shownTags("a", "1")),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: COPY"), get("/{b}/l?tagging").shows(shownTags("a", "1")),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: REPLACE", "x-amz-tagging: b=2"), get("/{b}/l?tagging").shows(shownTags("b", "2")),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: REPLACE"), get("/{b}/l?tagging").shows(shownTags()),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-metadata-directive: REPLACE", "x-amz-meta-a: b"), get("/{b}/l?tagging").shows(shownTags("a", "1")),
			put("/{b}/k", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: REPLACE", "x-amz-tagging: c=3"), get("/{b}/k?tagging").shows(shownTags("c", "3")),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: KEEP").fails(400, "InvalidArgument"),
		}},
		{"who may see them", []step{
			put("/{b}/k", "x").with("x-amz-tagging: a=1"), put("/{b}/plain", "x"), put("/{c}", "").by(alt), put("/{b}?policy", allow("s3:GetObject", "{b}/*", "")).gives(204),
			head("/{b}/k").replyHeader("x-amz-tagging-count: 1"), head("/{b}/k").by(alt).replyHeader("x-amz-tagging-count:"), get("/{b}/k").by(nobody).shows("x").replyHeader("x-amz-tagging-count:"),
			put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/k").fails(403, denied), get("/{c}/l").by(alt).fails(404, "NoSuchKey"), put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/plain"),
			put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: REPLACE"), get("/{c}/l?tagging").by(alt).shows(shownTags()),
			put("/{b}?policy", allow("s3:GetObject*", "{b}/*", "")).gives(204), head("/{b}/k").by(alt).replyHeader("x-amz-tagging-count: 1"),
			put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/k"), get("/{c}/l?tagging").by(alt).shows(shownTags("a", "1")),
			put("/{b}?policy", statement("Deny", `"*"`, "s3:PutObjectTagging", "{b}/*", "")).gives(204),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k").fails(403, denied), put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-tagging-directive: REPLACE"), put("/{b}/l", "").with("x-amz-copy-source: {b}/plain"),
			put("/{b}?policy", statement("Deny", `"*"`, "s3:GetObjectTagging", "{b}/*", "")).gives(204), put("/{b}/l", "").with("x-amz-copy-source: {b}/k").fails(403, denied), head("/{b}/k").replyHeader("x-amz-tagging-count:"),
		}},
		{"versions", []step{
			put("/{b}?versioning", versioning("Enabled")), put("/{b}/k", "1").save("v1=@x-amz-version-id"), put("/{b}/k", "2").save("v2=@x-amz-version-id"),
			put("/{b}/k?tagging&versionId={v1}", tagSet("n", "1")).replyHeader("x-amz-version-id: {v1}"), get("/{b}/k?tagging&versionId={v1}").shows(shownTags("n", "1")).replyHeader("x-amz-version-id: {v1}"),
			get("/{b}/k?tagging").shows(shownTags()).replyHeader("x-amz-version-id: {v2}"), del("/{b}/k?tagging&versionId={v1}").replyHeader("x-amz-version-id: {v1}"), get("/{b}/k?tagging&versionId={v1}").shows(shownTags()),
			del("/{b}/k"), get("/{b}/k?tagging").fails(404, "NoSuchKey"),
		}},
		{"bucket", []step{
			get("/{b}?tagging").fails(404, "NoSuchTagSet"), put("/{b}?tagging", tagSet("Hello", "World")).gives(204), get("/{b}?tagging").shows(shownTags("Hello", "World")),
			put("/{b}?tagging", tagSet(numbered(50, "", "v")...)).gives(204), put("/{b}?tagging", tagSet(numbered(51, "", "v")...)).fails(400, "InvalidTag"), put("/{b}?tagging", tagSet("a", "1", "a", "2")).fails(400, "InvalidTag"),
			put("/{b}?tagging", tagSet("aws:a", "1")).fails(400, "InvalidTag"), put("/{b}?tagging", "<Tagging/>").fails(400, "MalformedXML"),
			get("/{b}?tagging").by(alt).fails(403, denied), put("/{b}?tagging", tagSet()).by(alt).fails(403, denied), do("DELETE", "/{b}?tagging").by(nobody).fails(403, denied),
			del("/{b}?tagging"), get("/{b}?tagging").fails(404, "NoSuchTagSet"), del("/{b}?tagging"), get("/{c}?tagging").fails(404, "NoSuchBucket"),
		}},
		{"by policy", []step{
			put("/{b}/k", "x"), put("/{b}?policy", allow("s3:GetObjectTagging", "{b}/k", "")).gives(204), put("/{b}/k?tagging", tagSet("a", "1")), get("/{b}/k?tagging").by(alt).shows(shownTags("a", "1")), get("/{b}/k?tagging").by(nobody),
			put("/{b}/k?tagging", tagSet("a", "2")).by(alt).fails(403, denied), put("/{b}?policy", allow("s3:PutObjectTagging", "{b}/k", "")).gives(204), put("/{b}/k?tagging", tagSet("a", "2")).by(alt), get("/{b}/k?tagging").shows(shownTags("a", "2")),
			put("/{b}?policy", allow("s3:DeleteObjectTagging", "{b}/k", "")).gives(204), del("/{b}/k?tagging").by(alt), get("/{b}/k?tagging").shows(shownTags()),
		}},
	}}
}
