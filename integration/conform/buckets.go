package conform

import "strings"

const created = `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>`

// serviceCases are about the account: ListBuckets. Other's buckets are not touched by other sections.
func serviceCases() section {
	return section{"service", []testCase{
		{"list", []step{
			put("/{c}-1", "").by(other), put("/{c}-2", "").by(other), put("/{c}-3", "").by(other),
			get("/?prefix={c}").by(other).shows("<ListAllMyBucketsResult", "<Owner><ID>{other}</ID>", "<Bucket><Name>{c}-1</Name><CreationDate>2", "<Name>{c}-2</Name>", "<Name>{c}-3</Name>", "<Prefix>{c}</Prefix>").
				hides("<ContinuationToken>", "<Name>{b}</Name>"),
			get("/").by(other).shows("<Name>{c}-1</Name>").hides("{b}", "<ContinuationToken>"),
			get("/?prefix={c}").by(alt).hides("<Bucket>"),
			get("/?prefix={c}&max-buckets=2").by(other).shows("{c}-1", "{c}-2", "<ContinuationToken>").hides("{c}-3").save("token=ContinuationToken"),
			get("/?prefix={c}&max-buckets=2&continuation-token={token}").by(other).shows("{c}-3").hides("{c}-1", "{c}-2", "<ContinuationToken>"),
			get("/?prefix={c}&bucket-region=us-east-1").by(other).shows("{c}-1", "<BucketRegion>us-east-1</BucketRegion>"),
			get("/?prefix={c}&bucket-region=mars-1").by(other).hides("<Bucket>"),
			get("/?prefix={c}-9").by(other).hides("<Bucket>"),
			del("/{c}-2").by(other),
			get("/?prefix={c}").by(other).shows("{c}-1", "{c}-3").hides("{c}-2"),
		}},
		{"bad", []step{
			get("/?max-buckets=0").fails(400, "InvalidArgument"), get("/?max-buckets=10001").fails(400, "InvalidArgument"), get("/?max-buckets=-1").fails(400, "InvalidArgument"),
			get("/?max-buckets=many").fails(400, "InvalidArgument"), get("/?continuation-token=guess").fails(400, "InvalidArgument"),
			get("/").by(nobody).fails(403, "AccessDenied"),
			put("/", "").fails(405, "MethodNotAllowed").replyHeader("Allow: *"), post("/", "").fails(405, "MethodNotAllowed"), do("DELETE", "/").fails(405, "MethodNotAllowed"),
			do("PATCH", "/{b}").fails(405, "MethodNotAllowed"), do("PATCH", "/{b}/key").fails(405, "MethodNotAllowed"), do("PROPFIND", "/{b}").fails(405, "MethodNotAllowed"),
		}},
	}}
}

func bucketCases() section {
	long := strings.Repeat("a", 63-len("conform-abcdefghijkl."))
	var good, bad []step
	for _, name := range []string{"0{c}", "{c}.111", "{c}-111", "a.{c}", "{c}." + long, "{c}-" + long} {
		good = append(good, put("/"+name, "").replyHeader("Location: /"+name), head("/"+name), del("/"+name))
	}
	for _, name := range []string{"a", "aa", "{c}a" + long + "a", "{c}A", "192.168.5.123", "{c}-", "-{c}", "{c}..a", "{c}.-a", "{c}-.a", "{c}.", "xn--{c}", "{c}-s3alias", "{c}--ol-s3", "sthree-{c}", "_{c}",
		"{c}!soup", "{c}%20a", "{c}%C3%A4", "{c}%0Aa"} {
		bad = append(bad, put("/"+name, "").fails(400, "InvalidBucketName"))
	}
	missing := []step{head("/{c}").fails(404, ""), head("/{c}/key").fails(404, "")}
	for _, st := range []step{get("/{c}"), get("/{c}?list-type=2"), get("/{c}?versions"), get("/{c}?uploads"), get("/{c}?location"), get("/{c}?versioning"), get("/{c}?acl"), do("DELETE", "/{c}"),
		get("/{c}/key"), put("/{c}/key", "x"), do("DELETE", "/{c}/key"), post("/{c}/key?uploads", ""), get("/{c}/key?attributes").with("x-amz-object-attributes: ETag"),
		put("/{c}?versioning", versioning("Enabled")), put("/{c}/key", "").with("x-amz-copy-source: {b}/key")} {
		missing = append(missing, st.fails(404, "NoSuchBucket").shows("<BucketName>{c}</BucketName>"))
	}
	missing[len(missing)-1].has = nil // a copy has two buckets
	return section{"bucket", []testCase{
		{"create again", []step{
			put("/{b}/key", "content"),
			put("/{b}", "").replyHeader("Location: /{b}"),
			put("/{b}", "").by(alt).fails(409, "BucketAlreadyExists").shows("<BucketName>{b}</BucketName>"),
			put("/{b}", "").with("x-amz-acl: public-read").fails(409, "BucketAlreadyExists"),
			put("/{b}", "").with("x-amz-acl: private"),
			put("/{b}", "").with("x-amz-object-ownership: BucketOwnerEnforced").fails(409, "BucketAlreadyOwnedByYou"),
			put("/{b}", "").with("x-amz-bucket-object-lock-enabled: true").fails(409, "BucketAlreadyOwnedByYou"),
			get("/{b}/key").shows("content"),
			put("/{c}", "").with("x-amz-acl: public-read"),
			put("/{c}", "").fails(409, "BucketAlreadyExists"),
			put("/{c}", "").with("x-amz-acl: public-read"),
			get("/{c}").by(nobody),
		}},
		{"good names", good},
		{"bad names", bad},
		{"location", []step{
			get("/{b}?location").shows(`<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`).hides("us-east-1"),
			put("/{c}", created+"us-east-1</LocationConstraint></CreateBucketConfiguration>"),
			del("/{c}"),
			put("/{c}", created+"mars-1</LocationConstraint></CreateBucketConfiguration>").fails(400, "InvalidLocationConstraint"),
			put("/{c}", "<CreateBucketConfiguration>").fails(400, "MalformedXML"),
			put("/{c}", "no xml").fails(400, "MalformedXML"),
			put("/{c}", "<CreateBucketConfiguration><Location><Type>AvailabilityZone</Type></Location></CreateBucketConfiguration>").fails(501, "NotImplemented"),
			head("/{c}").fails(404, ""),
		}},
		{"head", []step{
			head("/{b}").replyHeader("x-amz-bucket-region: us-east-1", "Content-Type: application/xml"),
			head("/{b}").by(alt).fails(403, ""), head("/{b}").by(nobody).fails(403, ""), head("/{c}").fails(404, ""), head("/{c}").by(nobody).fails(404, ""),
		}},
		{"delete", []step{
			do("DELETE", "/{b}").by(alt).fails(403, "AccessDenied"),
			put("/{b}/key", "x"), do("DELETE", "/{b}").fails(409, "BucketNotEmpty").shows("<BucketName>{b}</BucketName>"),
			get("/{b}/key").shows("x"), del("/{b}/key"),
			post("/{b}/key?uploads", ""), // does not keep the bucket
			del("/{b}"), do("DELETE", "/{b}").fails(404, "NoSuchBucket"), get("/{b}/key").fails(404, "NoSuchBucket"), put("/{b}/key", "x").fails(404, "NoSuchBucket"),
			put("/{b}", "").by(alt), get("/{b}").by(alt).hides("<Contents>"), get("/{b}").fails(403, "AccessDenied"), // a new life with another owner
		}},
		{"delete with versions", []step{
			put("/{b}?versioning", versioning("Enabled")), put("/{b}/key", "x").save("v=@X-Amz-Version-Id"), del("/{b}/key").save("m=@X-Amz-Version-Id"),
			do("DELETE", "/{b}").fails(409, "BucketNotEmpty"), del("/{b}/key?versionId={v}"), do("DELETE", "/{b}").fails(409, "BucketNotEmpty"), // the delete marker
			del("/{b}/key?versionId={m}"), del("/{b}"),
		}},
		{"versioning", []step{
			get("/{b}?versioning").shows("<VersioningConfiguration").hides("<Status>"),
			put("/{b}?versioning", versioning("Suspended")), get("/{b}?versioning").shows("<Status>Suspended</Status>"),
			put("/{b}?versioning", versioning("Enabled")), get("/{b}?versioning").shows("<Status>Enabled</Status>"),
			put("/{b}?versioning", versioning("Enabled")),
			put("/{b}?versioning", "<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>Suspended</Status></VersioningConfiguration>"), get("/{b}?versioning").shows("Suspended"),
			put("/{b}?versioning", "<VersioningConfiguration><MfaDelete>Enabled</MfaDelete><Status>Enabled</Status></VersioningConfiguration>").fails(501, "NotImplemented"),
			put("/{b}?versioning", versioning("enabled")).fails(400, "MalformedXML"),
			put("/{b}?versioning", versioning("Off")).fails(400, "MalformedXML"),
			put("/{b}?versioning", "<VersioningConfiguration></VersioningConfiguration>").fails(400, "IllegalVersioningConfigurationException"),
			put("/{b}?versioning", "<VersioningConfiguration>").fails(400, "MalformedXML"),
			put("/{b}?versioning", "").fails(400, "MissingRequestBodyError"),
			put("/{b}?versioning", versioning("Enabled")).by(alt).fails(403, "AccessDenied"), get("/{b}?versioning").by(alt).fails(403, "AccessDenied"),
			put("/{b}?versioning", versioning("Enabled")).by(nobody).fails(403, "AccessDenied"),
		}},
		{"no such bucket", missing},
		{"sub-resources", []step{
			get("/{b}?versioning&location").fails(400, "InvalidArgument"), put("/{b}?location", "").fails(405, "MethodNotAllowed"), put("/{b}/key?policy", "{}").fails(405, "MethodNotAllowed"),
			get("/{b}?website").fails(501, "NotImplemented"), put("/{b}?lifecycle", "<x/>").fails(501, "NotImplemented"), get("/{b}?encryption").fails(501, "NotImplemented"),
			get("/{b}?metrics").by(alt).fails(403, "AccessDenied"), post("/{b}/key?restore", "").fails(501, "NotImplemented"), post("/{b}/key?select&select-type=2", "").fails(501, "NotImplemented"),
			get("/{b}?unknown=1").shows("<ListBucketResult"), get("/{b}?prefix=a&prefix=b").fails(400, "InvalidArgument"),
		}},
	}}
}

func versioning(status string) string {
	return `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>` + status + `</Status></VersioningConfiguration>`
}
