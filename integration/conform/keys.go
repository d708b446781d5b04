package conform

import (
	"strings"
	"time"
)

// keyCase is a condition of an Allow and requests of alt that fulfil it and do not.
type keyCase struct {
	name, action, condition string
	yes, no                 step
}

// conditionKeyCases make every condition key true and false over a whole request.
func conditionKeyCases() section {
	const objects = "s3:PutObject"
	write := func() step { return put("/{b}/k", "x") }
	read := func() step { return get("/{b}/source") }
	list := func(query string) step { return get("/{b}" + query) }
	equals := func(key, value string) string { return `"StringEquals":{"` + key + `":"` + value + `"}` }
	header := func(key, h, value, other string) keyCase {
		no := write()
		if other != "" {
			no = no.with(h + ": " + other)
		}
		return keyCase{key, objects, equals(key, value), write().with(h + ": " + value), no}
	}
	until := time.Now().Add(48 * time.Hour).UTC().Format("2006-01-02T15:04:05Z")
	locks := "s3:PutObject*"
	mode := []string{"x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: " + until}
	cases := []keyCase{
		header("s3:x-amz-storage-class", "x-amz-storage-class", "STANDARD", ""), header("s3:x-amz-acl", "x-amz-acl", "private", "public-read"),
		header("s3:x-amz-grant-full-control", "x-amz-grant-full-control", "id={main}", "id={alt}"), header("s3:x-amz-grant-read", "x-amz-grant-read", "id={main}", "id={alt}"), header("s3:x-amz-grant-read-acp", "x-amz-grant-read-acp", "id={main}", ""),
		header("s3:x-amz-grant-write", "x-amz-grant-write", "id={main}", "id={alt}"), header("s3:x-amz-grant-write-acp", "x-amz-grant-write-acp", "id={main}", ""), header("s3:if-none-match", "If-None-Match", "*", ""),
		{"s3:x-amz-copy-source", objects, `"StringLike":{"s3:x-amz-copy-source":"{c}/*"}`, write().with("x-amz-copy-source: {c}/source").body(""), write()},
		{"s3:x-amz-metadata-directive", objects, equals("s3:x-amz-metadata-directive", "COPY"), write().with("x-amz-copy-source: {c}/source", "x-amz-metadata-directive: COPY").body(""), write().with("x-amz-copy-source: {c}/source", "x-amz-metadata-directive: REPLACE").body("")},
		{"s3:if-match", objects, equals("s3:if-match", "*"), write().with("If-Match: *").fails(404, "NoSuchKey"), write()},
		{"s3:x-amz-website-redirect-location", objects, equals("s3:x-amz-website-redirect-location", "/x"), write().with("x-amz-website-redirect-location: /x").fails(501, "NotImplemented"), write().with("x-amz-website-redirect-location: /y")},
		{"s3:x-amz-server-side-encryption", objects, equals("s3:x-amz-server-side-encryption", "AES256"), write().with("x-amz-server-side-encryption: AES256").fails(501, "NotImplemented"), write().with("x-amz-server-side-encryption: aws:kms")},
		{"s3:x-amz-object-ownership", "s3:ListBucket", equals("s3:x-amz-object-ownership", "ObjectWriter"), list("").with("x-amz-object-ownership: ObjectWriter"), list("")},
		{"s3:object-lock-mode", locks, equals("s3:object-lock-mode", "GOVERNANCE"), write().with(mode...).withMD5(), write().with("x-amz-object-lock-mode: COMPLIANCE", mode[1])},
		{"s3:object-lock-retain-until-date", locks, `"DateLessThan":{"s3:object-lock-retain-until-date":"2100-01-01T00:00:00Z"}`, write().with(mode...).withMD5(), write().with(mode[0], "x-amz-object-lock-retain-until-date: 2101-01-01T00:00:00Z")},
		{"s3:object-lock-remaining-retention-days", locks, `"NumericLessThanEquals":{"s3:object-lock-remaining-retention-days":2}`, write().with(mode...).withMD5(), write().with(mode[0], "x-amz-object-lock-retain-until-date: 2101-01-01T00:00:00Z")},
		{"s3:object-lock-legal-hold", locks, equals("s3:object-lock-legal-hold", "OFF"), write().with("x-amz-object-lock-legal-hold: OFF").withMD5(), write().with("x-amz-object-lock-legal-hold: ON")},
		{"s3:prefix", "s3:ListBucket", equals("s3:prefix", "a/"), list("?prefix=a/"), list("?prefix=b/")}, {"s3:delimiter", "s3:ListBucket", equals("s3:delimiter", "/"), list("?delimiter=/"), list("?delimiter=-")},
		{"s3:max-keys", "s3:ListBucket", `"NumericLessThanEquals":{"s3:max-keys":"10"}`, list("?max-keys=10"), list("?max-keys=11")}, {"s3:locationconstraint", "s3:ListBucket", equals("s3:locationconstraint", "us-east-1"), list(""), step{}},
		{"s3:versionid", "s3:GetObjectVersion", equals("s3:versionid", "{v}"), get("/{b}/source?versionId={v}"), get("/{b}/source?versionId={w}")},
		{"s3:ExistingObjectTag", "s3:GetObject", equals("s3:ExistingObjectTag/team", "red"), read(), get("/{b}/untagged")},
		{"s3:RequestObjectTag", objects, equals("s3:RequestObjectTag/team", "red"), write().with("x-amz-tagging: team=red"), write().with("x-amz-tagging: team=blue")},
		{"s3:RequestObjectTag of a document", "s3:PutObjectTagging", equals("s3:RequestObjectTag/team", "red"), put("/{b}/source?tagging", tagSet("team", "red")), put("/{b}/source?tagging", tagSet("team", "blue"))},
		{"s3:RequestObjectTagKeys", objects, `"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["team","user"]},"Null":{"s3:RequestObjectTagKeys":"false"}`, write().with("x-amz-tagging: team=red&user=a"), write().with("x-amz-tagging: team=red&other=a")},
		{"s3:authType", "s3:GetObject", equals("s3:authType", "REST-HEADER"), read(), read().by(alt).presigned(0, time.Hour)}, {"s3:authType of a URL", "s3:GetObject", equals("s3:authType", "REST-QUERY-STRING"), read().by(alt).presigned(0, time.Hour), read()},
		{"s3:signatureversion", "s3:GetObject", equals("s3:signatureversion", "AWS"), signedV2(read()), read()}, {"s3:signatureversion 4", "s3:GetObject", equals("s3:signatureversion", "AWS4-HMAC-SHA256"), read(), signedV2(read())},
		{"s3:signatureAge", "s3:GetObject", `"NumericLessThan":{"s3:signatureAge":"600000"}`, read().by(alt).presigned(time.Minute, time.Hour), read().by(alt).presigned(20*time.Minute, time.Hour)},
		{"s3:x-amz-content-sha256", "s3:GetObject", equals("s3:x-amz-content-sha256", "UNSIGNED-PAYLOAD"), read().with("X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"), read()},
		{"s3:TlsVersion", "s3:GetObject", `"Null":{"s3:TlsVersion":"true"}`, read(), step{}}, {"aws:SecureTransport", "s3:GetObject", `"Bool":{"aws:SecureTransport":"false"}`, read(), step{}},
		{"aws:SourceIp", "s3:GetObject", `"IpAddress":{"aws:SourceIp":["127.0.0.0/8","::1"]}`, read(), step{}},
		{"aws:CurrentTime", "s3:GetObject", `"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, read(), step{}}, {"aws:EpochTime", "s3:GetObject", `"NumericGreaterThan":{"aws:EpochTime":"1577836800"}`, read(), step{}},
		{"aws:UserAgent", "s3:GetObject", `"StringLike":{"aws:UserAgent":"browser/*"}`, read().with("User-Agent: browser/1"), read().with("User-Agent: robot")}, {"aws:Referer", "s3:GetObject", `"StringLike":{"aws:Referer":"http://a.test/*"}`, read().with("Referer: http://a.test/x"), read().with("Referer: http://b.test/x")},
		{"aws:userid", "s3:GetObject", equals("aws:userid", "{alt}"), read(), read().by(other)}, {"aws:userid of nobody", "s3:GetObject", equals("aws:userid", "anonymous"), read().by(nobody), read()}, {"aws:username", "s3:GetObject", equals("aws:username", "{altmail}"), read(), read().by(other)},
		{"aws:PrincipalArn", "s3:GetObject", `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::{alt}:root"}`, read(), read().by(other)}, {"aws:PrincipalAccount", "s3:GetObject", equals("aws:PrincipalAccount", "{alt}"), read(), read().by(nobody)},
		{"aws:PrincipalType", "s3:GetObject", equals("aws:PrincipalType", "Account"), read(), read().by(nobody)}, {"aws:PrincipalType of nobody", "s3:GetObject", equals("aws:PrincipalType", "Anonymous"), read().by(nobody), read()},
		{"s3:ResourceAccount", "s3:GetObject", equals("s3:ResourceAccount", "{main}"), read(), step{}}, {"aws:ResourceAccount", "s3:GetObject", equals("aws:ResourceAccount", "{main}"), read(), step{}},
	}
	var out []testCase
	for _, k := range cases {
		out = append(out, k.test())
	}
	return section{"condition keys", out}
}

func signedV2(s step) step { s.v2 = true; return s }

func (k keyCase) test() testCase {
	resource := func(condition string) string {
		return strings.Replace(statement("Allow", `"*"`, k.action, "{c}1", condition), `"arn:aws:s3:::{c}1"`, `"arn:aws:s3:::{c}1","arn:aws:s3:::{c}1/*"`, 1)
	}
	as := func(st step) step {
		st.target = strings.Replace(st.target, "{b}", "{c}1", 1)
		if st.user == main {
			st.user = alt
		}
		return st
	}
	steps := []step{put("/{c}1", "").with("x-amz-bucket-object-lock-enabled: true"), put("/{c}1/source", "old").save("w=@x-amz-version-id"), put("/{c}1/source", "new").with("x-amz-tagging: team=red").save("v=@x-amz-version-id"), put("/{c}1/untagged", "x"),
		put("/{c}", "").by(alt), put("/{c}/source", "x").by(alt), put("/{c}1?policy", resource(k.condition)).gives(204), as(k.yes)}
	if k.no.method != "" {
		steps = append(steps, as(k.no).refused())
	} else { // no request here is another: the condition is
		steps = append(steps, put("/{c}1?policy", resource(opposite(k.condition))).gives(204), as(k.yes).refused())
	}
	return testCase{k.name, steps}
}

// opposite turns a condition round.
func opposite(c string) string {
	return strings.NewReplacer("StringEquals", "StringNotEquals", `"IpAddress`, `"NotIpAddress`, "GreaterThan", "LessThan", `:"true"`, `:"false"`, `:"false"`, `:"true"`).Replace(c)
}
