package conform

import "time"

// lockConfiguration is the document of PutObjectLockConfiguration with a default, "" none.
func lockConfiguration(retention string) string {
	if retention != "" {
		retention = "<Rule><DefaultRetention>" + retention + "</DefaultRetention></Rule>"
	}
	return `<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled>` + retention + "</ObjectLockConfiguration>"
}

func retained(mode, until string) string {
	return `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>` + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
}

func held(status string) string {
	return `<LegalHold xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>` + status + "</Status></LegalHold>"
}

const bypass = "x-amz-bypass-governance-retention: true"

func lockCases() section {
	locked := put("/{c}", "").with("x-amz-bucket-object-lock-enabled: true")
	conf := func(doc string) step { return put("/{c}?object-lock", doc) }
	retain := func(mode, until string) step { return put("/{c}/k?retention", retained(mode, until)) }
	hold := func(status string) step { return put("/{c}/k?legal-hold", held(status)) }
	version := put("/{c}/k", "abc").save("v=@x-amz-version-id")
	gone := do("DELETE", "/{c}/k?versionId={v}").gives(204)
	const early, late = "2130-01-01T00:00:00Z", "2130-01-03T00:00:00Z"
	soon := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z")
	with := func(st step, mode, until string) step {
		return st.with("x-amz-object-lock-mode: "+mode, "x-amz-object-lock-retain-until-date: "+until).withMD5()
	}
	complete := post("/{c}/k?uploadId={id}", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>").save("v=@x-amz-version-id")
	part := put("/{c}/k?partNumber=1&uploadId={id}", "abc").save("etag=@ETag")
	return section{"lock", []testCase{
		{"configuration", []step{
			locked, get("/{c}?versioning").shows("<Status>Enabled</Status>"), get("/{c}?object-lock").shows("<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"),
			conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Days>1</Days>")), get("/{c}?object-lock").shows("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"),
			conf(lockConfiguration("<Mode>COMPLIANCE</Mode><Years>1</Years>")), get("/{c}?object-lock").shows("<Mode>COMPLIANCE</Mode><Years>1</Years>"), conf(lockConfiguration("")), get("/{c}?object-lock").hides("<Rule>"),
			conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>")).fails(400, "MalformedXML"), conf(lockConfiguration("<Mode>GOVERNANCE</Mode>")).fails(400, "MalformedXML"), conf(lockConfiguration("<Days>1</Days>")).fails(400, "MalformedXML"),
			conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Days>0</Days>")).fails(400, "InvalidRetentionPeriod"), conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Years>-1</Years>")).fails(400, "InvalidRetentionPeriod"), conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Days>36501</Days>")).fails(400, "InvalidRetentionPeriod"),
			conf(lockConfiguration("<Mode>abc</Mode><Years>1</Years>")).fails(400, "MalformedXML"), conf(lockConfiguration("<Mode>governance</Mode><Years>1</Years>")).fails(400, "MalformedXML"),
			conf("<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Years>1</Years></DefaultRetention></Rule></ObjectLockConfiguration>").fails(400, "MalformedXML"), conf("<ObjectLockConfiguration/>").fails(400, "MalformedXML"),
			put("/{c}?versioning", versioning("Suspended")).fails(409, "InvalidBucketState"), conf(lockConfiguration("")).by(alt).fails(403, denied), get("/{c}?object-lock").by(nobody).fails(403, denied),
		}},
		{"bucket without", []step{
			get("/{b}?object-lock").fails(404, "ObjectLockConfigurationNotFoundError"), put("/{b}?object-lock", lockConfiguration("")).fails(409, "InvalidBucketState"),
			put("/{b}/k", "abc"), put("/{b}/k?retention", retained("GOVERNANCE", early)).fails(400, "InvalidRequest"), get("/{b}/k?retention").fails(400, "InvalidRequest"), put("/{b}/k?legal-hold", held("ON")).fails(400, "InvalidRequest"), get("/{b}/k?legal-hold").fails(400, "InvalidRequest"),
			with(put("/{b}/k", "abc"), "GOVERNANCE", early).fails(400, "InvalidRequest"), put("/{b}/k", "abc").with("x-amz-object-lock-legal-hold: ON").fails(400, "InvalidRequest"),
			put("/{b}?versioning", versioning("Suspended")), put("/{b}?object-lock", lockConfiguration("")).fails(409, "InvalidBucketState"),
			put("/{b}?versioning", versioning("Enabled")), put("/{b}?object-lock", lockConfiguration("<Mode>GOVERNANCE</Mode><Days>1</Days>")), get("/{b}?object-lock").shows("<Days>1</Days>"),
			get("/{c}?object-lock").fails(404, "NoSuchBucket"),
		}},
		{"retention", []step{
			locked, version, get("/{c}/k?retention").fails(404, "NoSuchObjectLockConfiguration"), retain("GOVERNANCE", early), get("/{c}/k?retention").shows("<Mode>GOVERNANCE</Mode><RetainUntilDate>2130-01-01T00:00:00.000Z</RetainUntilDate>"),
			head("/{c}/k?versionId={v}").replyHeader("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: 2130-01-01T00:00:00.000Z", "x-amz-object-lock-legal-hold:"),
			retain("GOVERNANCE", late), get("/{c}/k?retention&versionId={v}").shows("2130-01-03T00:00:00.000Z"), retain("GOVERNANCE", early).fails(403, denied), retain("GOVERNANCE", early).with(bypass), get("/{c}/k?retention").shows("2130-01-01"),
			gone.fails(403, denied), gone.by(alt).with(bypass).fails(403, denied), retain("governance", early).fails(400, "MalformedXML"), retain("abc", early).fails(400, "MalformedXML"), retain("GOVERNANCE", "2001-01-01T00:00:00Z").fails(400, "InvalidArgument"), retain("GOVERNANCE", "tomorrow").fails(400, "InvalidArgument"),
			put("/{c}/k?retention", "<Retention><Mode>GOVERNANCE</Mode></Retention>").fails(400, "MalformedXML"), put("/{c}/k?retention", "<Retention").fails(400, "MalformedXML"), put("/{c}/none?retention", retained("GOVERNANCE", early)).fails(404, "NoSuchKey"), get("/{c}/none?retention").fails(404, "NoSuchKey"),
			retain("GOVERNANCE", late).by(alt).fails(403, denied), get("/{c}/k?retention").by(nobody).fails(403, denied),
			post("/{c}?delete", "<Delete><Object><Key>k</Key><VersionId>{v}</VersionId></Object></Delete>").withMD5().shows("<Error><Key>k</Key><VersionId>{v}</VersionId><Code>AccessDenied</Code>"),
			del("/{c}/k").replyHeader("x-amz-delete-marker: true"), get("/{c}/k?versionId={v}").shows("abc"), do("DELETE", "/{c}").fails(409, "BucketNotEmpty"),
			post("/{c}?delete", "<Delete><Object><Key>k</Key><VersionId>{v}</VersionId></Object></Delete>").withMD5().with(bypass).shows("<Deleted><Key>k</Key><VersionId>{v}</VersionId></Deleted>").hides("<Error>"),
		}},
		{"compliance", []step{
			locked, with(version, "COMPLIANCE", early), gone.fails(403, denied), gone.with(bypass).fails(403, denied), retain("GOVERNANCE", early).fails(403, denied), retain("GOVERNANCE", late).with(bypass).fails(403, denied),
			put("/{c}/k?retention", "<Retention/>").with(bypass).fails(403, denied), retain("COMPLIANCE", "2129-01-01T00:00:00Z").with(bypass).fails(403, denied), retain("COMPLIANCE", late), get("/{c}/k?retention").shows("<Mode>COMPLIANCE</Mode><RetainUntilDate>2130-01-03"),
		}},
		{"modes", []step{
			locked, with(version, "GOVERNANCE", soon), retain("COMPLIANCE", soon).fails(403, denied), retain("COMPLIANCE", soon).with(bypass), retain("GOVERNANCE", soon).fails(403, denied), gone.with(bypass).fails(403, denied),
			with(put("/{c}/k", "abc"), "GOVERNANCE", soon).save("v=@x-amz-version-id"), put("/{c}/k?retention", "<Retention/>").fails(403, denied), put("/{c}/k?retention", "<Retention/>").with(bypass), get("/{c}/k?retention").fails(404, "NoSuchObjectLockConfiguration"), gone,
		}},
		{"legal hold", []step{
			locked, version, get("/{c}/k?legal-hold").fails(404, "NoSuchObjectLockConfiguration"), hold("ON"), get("/{c}/k?legal-hold").shows("<Status>ON</Status>"), gone.fails(403, denied), gone.with(bypass).fails(403, denied),
			hold("abc").fails(400, "MalformedXML"), hold("on").fails(400, "MalformedXML"), put("/{c}/k?legal-hold", "<LegalHold/>").fails(400, "MalformedXML"), hold("OFF").by(alt).fails(403, denied), put("/{c}/none?legal-hold", held("ON")).fails(404, "NoSuchKey"),
			retain("GOVERNANCE", early), head("/{c}/k").replyHeader("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-legal-hold: ON"), get("/{c}/k").replyHeader("x-amz-object-lock-legal-hold: ON"),
			hold("OFF"), get("/{c}/k?legal-hold").shows("<Status>OFF</Status>"), gone.fails(403, denied), gone.with(bypass),
		}},
		{"who may see them", []step{
			locked, with(version, "GOVERNANCE", early).with("x-amz-object-lock-legal-hold: ON"), put("/{c}?policy", allow("s3:GetObject", "{c}/*", "")).gives(204),
			head("/{c}/k").by(alt).replyHeader("x-amz-object-lock-mode:", "x-amz-object-lock-retain-until-date:", "x-amz-object-lock-legal-hold:"), get("/{c}/k").by(nobody).replyHeader("x-amz-object-lock-mode:", "x-amz-object-lock-legal-hold:"),
			put("/{c}?policy", allow("s3:GetObject*", "{c}/*", "")).gives(204), head("/{c}/k").by(alt).replyHeader("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: *", "x-amz-object-lock-legal-hold: ON"),
			hold("OFF"), gone.with(bypass),
		}},
		{"uploads", []step{
			locked, with(version, "GOVERNANCE", early).with("x-amz-object-lock-legal-hold: ON"), head("/{c}/k").replyHeader("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: 2130-01-01T00:00:00.000Z", "x-amz-object-lock-legal-hold: ON"),
			hold("OFF"), gone.with(bypass),
			with(post("/{c}/k?uploads", ""), "GOVERNANCE", early).save("id=UploadId"), part, complete, gone.fails(403, denied), gone.with(bypass),
			post("/{c}/k?uploads", "").with("x-amz-object-lock-legal-hold: ON").save("id=UploadId"), part, complete, gone.fails(403, denied), hold("OFF"), gone,
			put("/{c}/k", "abc").with("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: "+early).fails(400, "InvalidRequest"), put("/{c}/k", "abc").with("x-amz-object-lock-legal-hold: ON").fails(400, "InvalidRequest"),
			put("/{c}/k", "abc").with("x-amz-object-lock-mode: GOVERNANCE").fails(400, "InvalidArgument"), put("/{c}/k", "abc").with("x-amz-object-lock-retain-until-date: "+early).fails(400, "InvalidArgument"), with(put("/{c}/k", "abc"), "governance", early).fails(400, "InvalidArgument"),
			with(put("/{c}/k", "abc"), "GOVERNANCE", "2001-01-01T00:00:00Z").fails(400, "InvalidArgument"), with(put("/{c}/k", "abc"), "GOVERNANCE", "never").fails(400, "InvalidArgument"), put("/{c}/k", "abc").with("x-amz-object-lock-legal-hold: abc").fails(400, "InvalidArgument").shows("<ArgumentName>x-amz-object-lock-legal-hold</ArgumentName><ArgumentValue>abc</ArgumentValue>"), get("/{c}/k").fails(404, "NoSuchKey"),
		}},
		{"default", []step{
			locked, conf(lockConfiguration("<Mode>GOVERNANCE</Mode><Days>1</Days>")), version, head("/{c}/k").replyHeader("x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: *"), gone.fails(403, denied), retain("GOVERNANCE", early), get("/{c}/k?retention").shows("2130-01-01"), gone.with(bypass),
			with(version, "COMPLIANCE", late), head("/{c}/k").replyHeader("x-amz-object-lock-mode: COMPLIANCE", "x-amz-object-lock-retain-until-date: 2130-01-03T00:00:00.000Z"),
		}},
		{"who may lock", []step{
			locked, put("/{c}?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"{alt}"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::{c}/*"}]}`).gives(204), put("/{c}/k", "x").by(alt), with(put("/{c}/k", "x").by(alt), "COMPLIANCE", late).fails(403, denied), put("/{c}/k", "x").by(alt).with("x-amz-object-lock-legal-hold: ON").fails(403, denied),
			with(post("/{c}/k?uploads", "").by(alt), "COMPLIANCE", late).fails(403, denied), put("/{c}?acl", "").with("x-amz-acl: public-read-write"), with(put("/{c}/k", "x").by(nobody), "COMPLIANCE", late).fails(403, denied),
			put("/{c}?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"{alt}"},"Action":["s3:PutObject","s3:PutObjectRetention"],"Resource":"arn:aws:s3:::{c}/*"}]}`).gives(204), with(put("/{c}/k", "x").by(alt), "GOVERNANCE", early), put("/{c}/k", "x").by(alt).with("x-amz-object-lock-legal-hold: ON").fails(403, denied),
		}},
	}}
}
