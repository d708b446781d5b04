package conform

import "strings"

func policyCases() section {
	both := func(effect, action string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":{"AWS":"*"},"Action":"` + action + `","Resource":["arn:aws:s3:::{b}","arn:aws:s3:::{b}/*"]}]}`
	}
	set := func(doc string) step { return put("/{b}?policy", doc).gives(204) }
	tagged := []step{put("/{b}/publictag", "x").with("x-amz-tagging: security=public&foo=bar"), put("/{b}/privatetag", "x").with("x-amz-tagging: security=private"), put("/{b}/invalidtag", "x").with("x-amz-tagging: security1=public")}
	existing := func(action string, st func(key string) step) testCase {
		return testCase{"existing tag " + action, join(tagged, []step{
			set(allow(action, "{b}/*", `"StringEquals":{"s3:ExistingObjectTag/security":"public"}`)),
			st("publictag").by(alt), st("privatetag").by(alt).fails(403, denied), st("invalidtag").by(alt).fails(403, denied), st("none").by(alt).fails(403, denied),
			get("/{b}/publictag?torrent").by(alt).fails(403, denied),
		})}
	}
	bad := []string{``, `{`, `{}`, `[]`, `invalid json`, `{"Statement":[]}`, `{"Version":"2012-10-17"}`, `{"Version":"2013","Statement":[]}`,
		strings.Replace(both("Allow", "s3:ListBucket"), "Allow", "allow", 1), strings.Replace(both("Allow", "s3:ListBucket"), `"Principal":{"AWS":"*"},`, "", 1),
		both("Allow", "s3:Fly"), both("Allow", "iam:*"), both("Allow", ""), strings.ReplaceAll(both("Allow", "s3:ListBucket"), "{b}", "another-bucket"), statement("Allow", `{"AWS":"0123456789abcdef"}`, "s3:GetObject", "{b}/*", ""),
		statement("Allow", `{"AWS":"somebody"}`, "s3:GetObject", "{b}/*", ""), statement("Allow", `{"Service":"x"}`, "s3:GetObject", "{b}/*", ""), statement("Deny", `"*"`, "s3:PutObject", "{b}", ""), statement("Deny", `"*"`, "s3:ListBucket", "{b}/*", ""),
		strings.Replace(both("Allow", "s3:ListBucket"), `"Principal":{"AWS":"*"}`, `"NotPrincipal":{"AWS":"arn:aws:iam::s3tenant1:root"}`, 1), strings.Replace(both("Allow", "s3:ListBucket"), `"Action":`, `"NotAction":"s3:Get*","Action":`, 1),
		allow("s3:GetObject", "{b}/*", `"StringIs":{"aws:userid":"x"}`), allow("s3:GetObject", "{b}/*", `"StringEquals":{"s3:VersionStatus":"x"}`), allow("s3:GetObject", "{b}/*", `"IpAddress":{"aws:SourceIp":"300.1.1.1"}`),
		both("Allow", "s3:ListBucket") + "x", strings.Repeat(" ", 20<<10) + both("Allow", "s3:ListBucket"), strings.Repeat("[", 10000), strings.Repeat(`{"a":`, 10000)}
	var refused []step
	for _, doc := range bad {
		st := put("/{b}?policy", doc).fails(400, "MalformedPolicy")
		if doc == "" {
			st = st.fails(400, "MissingRequestBodyError")
		}
		refused = append(refused, st)
	}
	refused = append(refused, get("/{b}?policy").fails(404, "NoSuchBucketPolicy"))
	return section{"policy", []testCase{
		{"document", []step{
			get("/{b}?policy").fails(404, "NoSuchBucketPolicy"), del("/{b}?policy"), set(both("Allow", "s3:ListBucket")), get("/{b}?policy").shows(both("Allow", "s3:ListBucket")).replyHeader("Content-Type: application/json"),
			put("/{b}?policy", both("Allow", "*")).by(alt).fails(403, denied), get("/{b}?policy").by(alt).fails(403, denied), do("DELETE", "/{b}?policy").by(nobody).fails(403, denied),
			set(both("Allow", "*")), put("/{b}?policy", both("Allow", "*")).by(alt).fails(405, "MethodNotAllowed"), get("/{b}?policy").by(nobody).fails(405, "MethodNotAllowed"), do("DELETE", "/{b}?policy").by(other).fails(405, "MethodNotAllowed"),
			del("/{b}?policy"), get("/{b}?policy").fails(404, "NoSuchBucketPolicy"), put("/{c}?policy", both("Allow", "*")).fails(404, "NoSuchBucket"), get("/{c}?policy").fails(404, "NoSuchBucket"),
			get("/{b}?policy").with("x-amz-expected-bucket-owner: {alt}").fails(403, denied), get("/{b}?policy").with("x-amz-expected-bucket-owner: {main}foo").fails(403, denied), del("/{b}?policy").with("x-amz-expected-bucket-owner: {main}"),
		}},
		{"bad documents", refused},
		{"list", []step{
			put("/{b}/asdf", "asdf"), set(both("Allow", "s3:ListBucket")), get("/{b}").by(alt).shows("<Key>asdf</Key>"), get("/{b}?list-type=2").by(nobody).shows("<Key>asdf</Key>"), head("/{b}").by(other),
			get("/{b}/asdf").by(alt).fails(403, denied), get("/{b}?versions").by(alt).fails(403, denied), get("/{b}?uploads").by(alt).fails(403, denied),
			set(strings.ReplaceAll(both("Allow", "s3:ListBucket"), "{b}", "*")), get("/{b}").by(alt).shows("<Key>asdf</Key>"),
			set(strings.ReplaceAll(both("Allow", "s3:ListBucket"), ":s3:::", ":s3::*:")), get("/{b}").by(alt).shows("<Key>asdf</Key>"),
		}},
		{"deny beats list", []step{
			put("/{b}?acl", "").with("x-amz-acl: authenticated-read"), get("/{b}").by(alt), set(both("Deny", "s3:ListBucket")), get("/{b}").by(alt).fails(403, denied), get("/{b}?list-type=2").by(alt).fails(403, denied), get("/{b}").fails(403, denied),
			del("/{b}?policy"), get("/{b}").by(alt),
		}},
		{"deny beats allow", []step{
			put("/{b}/k", "x"), set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::{b}/*"},{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::{alt}:root"},"Action":"s3:Get*","Resource":"arn:aws:s3:::{b}/k"}]}`),
			get("/{b}/k").by(other).shows("x"), get("/{b}/k").by(nobody).shows("x"), get("/{b}/k").by(alt).fails(403, denied), put("/{b}/k", "y").by(alt), get("/{b}/none").by(alt).fails(403, denied),
			set(`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":["{main}","{alt}"]},"NotAction":"s3:PutObject","NotResource":"arn:aws:s3:::{b}/k"}}`), get("/{b}"), get("/{b}").by(other).fails(403, denied),
			set(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`), get("/{b}").fails(403, denied), put("/{b}/k", "z").fails(403, denied), get("/{b}?policy"), del("/{b}?policy"), get("/{b}"),
		}},
		{"principals", []step{
			put("/{b}/k", "x"),
			set(statement("Allow", `{"AWS":"{alt}"}`, "s3:GetObject", "{b}/*", "")), get("/{b}/k").by(alt), get("/{b}/k").by(other).fails(403, denied), get("/{b}/k").by(nobody).fails(403, denied),
			set(statement("Allow", `{"AWS":["arn:aws:iam::{alt}:user/any","arn:aws:iam:::user/{other}"]}`, "s3:GetObject", "{b}/*", "")), get("/{b}/k").by(alt), get("/{b}/k").by(other), get("/{b}/k").by(nobody).fails(403, denied),
			set(statement("Allow", `{"CanonicalUser":"{alt}"}`, "s3:getobject", "{b}/*", "")), get("/{b}/k").by(alt), get("/{b}/k").by(other).fails(403, denied),
			set(statement("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`, "s3:GetObject", "{b}/*", "")), get("/{b}/k").by(alt).fails(403, denied),
			set(statement("Allow", `"*"`, "s3:GetObject", "{b}/K", "")), get("/{b}/k").by(alt).fails(403, denied), // keys have case
			set(statement("Allow", `"*"`, "s3:GetObject", "{b}/home/${aws:userid}/*", "")), put("/{b}/home/{alt}/x", "x"), get("/{b}/home/{alt}/x").by(alt), get("/{b}/home/{alt}/x").by(other).fails(403, denied), get("/{b}/home/{alt}/x").by(nobody).fails(403, denied),
		}},
		{"multipart", []step{
			post("/{b}/mpobj?uploads", "").by(alt).fails(403, denied), set(allow("s3:PutObject", "{b}", "")), post("/{b}/mpobj?uploads", "").by(alt).fails(403, denied), set(allow("s3:PutObject", "{b}/mpobj", "")),
			post("/{b}/mpobj?uploads", "").by(alt).save("id=UploadId"), put("/{b}/mpobj?partNumber=1&uploadId={id}", "x").by(alt).save("etag=@ETag"), get("/{b}/mpobj?uploadId={id}").by(alt),
			post("/{b}/mpobj?uploadId={id}", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>").by(alt), post("/{b}/other?uploads", "").by(alt).fails(403, denied),
		}},
		{"part copies", []step{
			put("/{b}/public/foo", "public"), put("/{b}/private/foo", "private"), set(allow("s3:GetObject", "{b}/public/*", "")), put("/{c}", "").by(alt), post("/{c}/k?uploads", "").by(alt).save("id=UploadId"),
			put("/{c}/k?partNumber=1&uploadId={id}", "").by(alt).with("x-amz-copy-source: {b}/public/foo"), put("/{c}/k?partNumber=1&uploadId={id}", "").by(alt).with("x-amz-copy-source: {b}/private/foo").fails(403, denied),
			put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/private/foo").fails(403, denied), put("/{c}/l", "").by(alt).with("x-amz-copy-source: /{b}%2Fprivate%2Ffoo").fails(403, denied), put("/{c}/l", "").by(alt).with("x-amz-copy-source: {b}/public/foo"),
		}},
		existing("s3:GetObject", func(key string) step { return get("/{b}/" + key) }), existing("s3:GetObjectTagging", func(key string) step { return get("/{b}/" + key + "?tagging") }),
		existing("s3:GetObjectAcl", func(key string) step { return get("/{b}/" + key + "?acl") }), existing("s3:DeleteObject", func(key string) step { return del("/{b}/" + key) }),
		{"existing tag of a new one", join(tagged, []step{
			set(allow("s3:PutObjectTagging", "{b}/*", `"StringEquals":{"s3:ExistingObjectTag/security":"public"}`)), put("/{b}/publictag?tagging", tagSet("security", "public", "foo", "bar")).by(alt),
			put("/{b}/privatetag?tagging", tagSet("security", "public")).by(alt).fails(403, denied), put("/{b}/publictag?tagging", tagSet("security", "private")).by(alt), put("/{b}/publictag?tagging", tagSet("security", "public")).by(alt).fails(403, denied),
		})},
		{"sources of copies", []step{
			put("/{b}/public/foo", "public/foo"), put("/{b}/private/foo", "private/foo"), set(allow("s3:GetObject", "{b}/*", "")), put("/{c}", ""),
			put("/{c}?policy", strings.ReplaceAll(allow("s3:PutObject", "{b}/*", `"StringLike":{"s3:x-amz-copy-source":"{B}/public/*"}`), "{b}", "{c}")).gives(204).replaceContent("{B}", "{b}"),
			put("/{c}/new", "").by(alt).with("x-amz-copy-source: {b}/public/foo"), get("/{c}/new").by(alt).shows("public/foo"), put("/{c}/new2", "").by(alt).with("x-amz-copy-source: {b}/private/foo").fails(403, denied), put("/{c}/new3", "x").by(alt).fails(403, denied),
		}},
		{"lists of new objects", []step{
			set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::{b}/*"},{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::{b}/*","Condition":{"StringLike":{"s3:x-amz-acl":"public*"}}}]}`),
			put("/{b}/k", "x").by(alt), put("/{b}/k", "x").by(alt).with("x-amz-acl: private"), put("/{b}/k", "x").by(alt).with("x-amz-acl: public-read").fails(403, denied),
			set(allow("s3:PutObject", "{b}/*", `"StringEquals":{"s3:x-amz-grant-full-control":"id={main}"}`)), put("/{b}/k", "x").by(alt).fails(403, denied), put("/{b}/k", "x").by(alt).with("x-amz-grant-full-control: id={main}"),
			get("/{b}/k?acl").shows(shownList("alt", "main", "FULL_CONTROL")), get("/{b}/k").by(alt).fails(403, denied),
		}},
		{"absent keys", []step{
			put("/{b}/k", "x"), set(`{"Version":"2012-10-17","Statement":[{"Sid":"Allow Public Access","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Condition":{"StringLikeIfExists":{"aws:Referer":"http://www.example.com/*"}},"Resource":"arn:aws:s3:::{b}/*"}]}`),
			get("/{b}/k").by(alt), get("/{b}/k").by(alt).with("Referer: http://www.example.com/index.html"), get("/{b}/k").by(alt).with("Referer: http://example.com").fails(403, denied),
			set(allow("s3:ListBucket", "{b}", `"StringLike":{"s3:prefix":"public/*"}`)), get("/{b}").by(alt).fails(403, denied), get("/{b}?prefix=public/").by(alt), get("/{b}?prefix=private/").by(alt).fails(403, denied),
			set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{b}/*"},{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::{b}","Condition":{"StringLike":{"s3:prefix":"public/*"}}}]}`),
			head("/{b}/public/object").by(alt).fails(404, ""), get("/{b}/public/object").by(nobody).fails(404, "NoSuchKey"), head("/{b}/private/object").by(alt).fails(403, ""), get("/{b}/private/object").by(nobody).fails(403, denied),
		}},
	}}
}

// replaceContent replaces text of the body that must not be expanded with the rest.
func (s step) replaceContent(old, text string) step {
	s.content = strings.ReplaceAll(s.content, old, text)
	return s
}

// actionCases have an action for every operation: alt may do the operation with it alone, and not with all others.
func actionCases() section {
	bucket := []actionCase{
		{"s3:ListBucket", []step{get("/{b}"), get("/{b}?list-type=2"), head("/{b}")}}, {"s3:ListBucketVersions", []step{get("/{b}?versions")}}, {"s3:ListBucketMultipartUploads", []step{get("/{b}?uploads")}},
		{"s3:DeleteBucket", []step{do("DELETE", "/{b}").fails(409, "BucketNotEmpty")}},
		{"s3:GetBucketPolicy", []step{get("/{b}?policy").fails(405, "MethodNotAllowed")}}, {"s3:PutBucketPolicy", []step{put("/{b}?policy", "{}").fails(405, "MethodNotAllowed")}}, {"s3:DeleteBucketPolicy", []step{do("DELETE", "/{b}?policy").fails(405, "MethodNotAllowed")}},
		{"s3:GetBucketPolicyStatus", []step{get("/{b}?policyStatus")}},
		{"s3:GetBucketAcl", []step{get("/{b}?acl")}}, {"s3:PutBucketAcl", []step{put("/{b}?acl", "").with("x-amz-acl: private")}},
		{"s3:GetBucketCORS", []step{get("/{b}?cors").fails(404, "NoSuchCORSConfiguration")}}, {"s3:PutBucketCORS", []step{put("/{b}?cors", corsRules("GET", "*")), del("/{b}?cors")}},
		{"s3:GetBucketLocation", []step{get("/{b}?location")}}, {"s3:GetBucketTagging", []step{get("/{b}?tagging").fails(404, "NoSuchTagSet")}}, {"s3:PutBucketTagging", []step{put("/{b}?tagging", tagSet("a", "b")).gives(204), del("/{b}?tagging")}},
		{"s3:GetBucketVersioning", []step{get("/{b}?versioning")}}, {"s3:PutBucketVersioning", []step{put("/{b}?versioning", versioning("Enabled"))}},
		{"s3:GetBucketRequestPayment", []step{get("/{b}?requestPayment")}}, {"s3:PutBucketRequestPayment", []step{put("/{b}?requestPayment", "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>")}},
		{"s3:GetBucketOwnershipControls", []step{get("/{b}?ownershipControls").fails(404, "OwnershipControlsNotFoundError")}}, {"s3:PutBucketOwnershipControls", []step{put("/{b}?ownershipControls", ownership("ObjectWriter")), del("/{b}?ownershipControls")}},
		{"s3:GetBucketPublicAccessBlock", []step{get("/{b}?publicAccessBlock").fails(404, "NoSuchPublicAccessBlockConfiguration")}}, {"s3:PutBucketPublicAccessBlock", []step{put("/{b}?publicAccessBlock", blocked()), del("/{b}?publicAccessBlock")}},
		{"s3:GetBucketObjectLockConfiguration", []step{get("/{b}?object-lock")}}, {"s3:PutBucketObjectLockConfiguration", []step{put("/{b}?object-lock", lockConfiguration(""))}},
	}
	// What this server has not is for those to hear who might do it.
	for _, absent := range []struct{ name, get, put, del string }{
		{"website", "s3:GetBucketWebsite", "s3:PutBucketWebsite", "s3:DeleteBucketWebsite"}, {"logging", "s3:GetBucketLogging", "s3:PutBucketLogging", ""}, {"notification", "s3:GetBucketNotification", "s3:PutBucketNotification", ""},
		{"lifecycle", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration", "s3:PutLifecycleConfiguration"}, {"replication", "s3:GetReplicationConfiguration", "s3:PutReplicationConfiguration", "s3:PutReplicationConfiguration"},
		{"encryption", "s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration", "s3:PutEncryptionConfiguration"}, {"accelerate", "s3:GetAccelerateConfiguration", "s3:PutAccelerateConfiguration", ""},
		{"analytics", "s3:GetAnalyticsConfiguration", "s3:PutAnalyticsConfiguration", "s3:PutAnalyticsConfiguration"}, {"inventory", "s3:GetInventoryConfiguration", "s3:PutInventoryConfiguration", "s3:PutInventoryConfiguration"},
		{"metrics", "s3:GetMetricsConfiguration", "s3:PutMetricsConfiguration", "s3:PutMetricsConfiguration"}, {"intelligent-tiering", "s3:GetIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration"},
	} {
		bucket = append(bucket, actionCase{absent.get, []step{get("/{b}?"+absent.name).fails(501, "NotImplemented")}}, actionCase{absent.put, []step{put("/{b}?"+absent.name, "<x/>").fails(501, "NotImplemented")}})
		if absent.del != "" {
			bucket = append(bucket, actionCase{absent.del, []step{do("DELETE", "/{b}?"+absent.name).fails(501, "NotImplemented")}})
		}
	}
	object := []actionCase{
		{"s3:GetObject", []step{get("/{b}/k"), head("/{b}/k"), get("/{b}/k?partNumber=1").gives(206)}}, {"s3:GetObjectVersion", []step{get("/{b}/k?versionId={v}"), head("/{b}/k?versionId={v}")}},
		{"s3:PutObject", []step{put("/{b}/new", "x"), post("/{b}/new?uploads", ""), put("/{b}/k?partNumber=1&uploadId={id}", "x").save("etag=@ETag"), put("/{b}/new", "").with("x-amz-copy-source: {c}/k"),
			put("/{b}/k?partNumber=2&uploadId={id}", "").with("x-amz-copy-source: {c}/k"), post("/{b}/k?uploadId={id}", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>")}},
		{"s3:DeleteObject", []step{del("/{b}/k")}}, {"s3:DeleteObjectVersion", []step{del("/{b}/k?versionId={v}")}},
		{"s3:GetObjectAcl", []step{get("/{b}/k?acl")}}, {"s3:GetObjectVersionAcl", []step{get("/{b}/k?acl&versionId={v}")}},
		{"s3:PutObjectAcl", []step{put("/{b}/k?acl", "").with("x-amz-acl: private")}}, {"s3:PutObjectVersionAcl", []step{put("/{b}/k?acl&versionId={v}", "").with("x-amz-acl: private")}},
		{"s3:GetObjectTagging", []step{get("/{b}/k?tagging")}}, {"s3:GetObjectVersionTagging", []step{get("/{b}/k?tagging&versionId={v}")}},
		{"s3:PutObjectTagging", []step{put("/{b}/k?tagging", tagSet("a", "b"))}}, {"s3:PutObjectVersionTagging", []step{put("/{b}/k?tagging&versionId={v}", tagSet("a", "b"))}},
		{"s3:DeleteObjectTagging", []step{del("/{b}/k?tagging")}}, {"s3:DeleteObjectVersionTagging", []step{del("/{b}/k?tagging&versionId={v}")}},
		{"s3:GetObjectAttributes", []step{get("/{b}/k?attributes").with("x-amz-object-attributes: ETag")}}, {"s3:GetObjectVersionAttributes", []step{get("/{b}/k?attributes&versionId={v}").with("x-amz-object-attributes: ETag")}},
		{"s3:AbortMultipartUpload", []step{del("/{b}/k?uploadId={id}")}}, {"s3:ListMultipartUploadParts", []step{get("/{b}/k?uploadId={id}")}},
		{"s3:GetObjectRetention", []step{get("/{b}/k?retention").fails(404, "NoSuchObjectLockConfiguration")}}, {"s3:GetObjectLegalHold", []step{get("/{b}/k?legal-hold").fails(404, "NoSuchObjectLockConfiguration")}},
		{"s3:PutObjectRetention", []step{put("/{b}/k?retention", "<Retention/>")}}, {"s3:PutObjectLegalHold", []step{put("/{b}/k?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")}},
		{"s3:RestoreObject", []step{post("/{b}/k?restore", "<RestoreRequest/>").fails(501, "NotImplemented")}}, {"s3:GetObjectTorrent", []step{get("/{b}/k?torrent").fails(404, "NoSuchKey")}},
	}
	var cases []testCase
	for _, a := range append(bucket, object...) {
		cases = append(cases, a.test())
	}
	return section{"actions", cases}
}

// actionCase is an action and what it lets do.
type actionCase struct {
	action string
	steps  []step
}

func (a actionCase) test() testCase {
	resource := `"Resource":["arn:aws:s3:::{c}1","arn:aws:s3:::{c}1/*"]`
	policy := func(key string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"{alt}"},"` + key + `":"` + a.action + `",` + resource + `}]}`
	}
	here := func(st step) step {
		st.target = strings.Replace(st.target, "{b}", "{c}1", 1)
		return st.by(alt)
	}
	steps := []step{put("/{c}1", "").with("x-amz-bucket-object-lock-enabled: true"), put("/{c}1/k", "content").save("v=@x-amz-version-id"), put("/{c}1/k", "content"), put("/{c}", "").by(alt), put("/{c}/k", "source").by(alt),
		post("/{c}1/k?uploads", "").save("id=UploadId"), put("/{c}1?policy", policy("NotAction")).gives(204)}
	for _, st := range a.steps {
		steps = append(steps, here(st).refused())
	}
	steps = append(steps, put("/{c}1?policy", policy("Action")).gives(204))
	for _, st := range a.steps {
		steps = append(steps, here(st))
	}
	return testCase{strings.TrimPrefix(a.action, "s3:") + " " + a.steps[0].method, steps}
}
