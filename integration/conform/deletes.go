package conform

import (
	"fmt"
	"strings"
)

// remove is a DeleteObjects with the checksum that it demands.
func remove(doc string) step { return post("/{b}?delete", doc).withMD5() }

func deleteCases() section {
	enable := put("/{b}?versioning", versioning("Enabled"))
	var most, tooMany strings.Builder
	for i := range 1001 {
		if i < 1000 {
			most.WriteString(object(fmt.Sprint("key-", i)))
		}
		tooMany.WriteString(object(fmt.Sprint("key-", i)))
	}
	all := deletion(object("key0") + object("key1") + object("key2"))
	return section{"delete", []testCase{
		{"several", join(objects("key0", "key1", "key2"), []step{
			remove(all).shows("<DeleteResult", "<Deleted><Key>key0</Key></Deleted>", "<Deleted><Key>key2</Key></Deleted>").hides("<Error>"), get("/{b}").hides("<Contents>"), remove(all).times("<Deleted>", 3).hides("<Error>"),
			put("/{b}/q", "x"), remove(deletion("<Quiet>true</Quiet>"+object("q"))).hides("<Deleted>", "<Error>"), get("/{b}/q").fails(404, "NoSuchKey"),
		})},
		{"limits", []step{remove(deletion(most.String())).times("<Deleted>", 1000), remove(deletion(tooMany.String())).fails(400, "MalformedXML"), remove(deletion("")).fails(400, "MalformedXML")}},
		{"bad", []step{
			post("/{b}?delete", all).fails(400, "InvalidRequest"), post("/{b}?delete", all).with("Content-MD5: rL0Y20xC+Fzt72VPzMSk2A==").fails(400, "BadDigest"), remove("<Delete><Object><Key>a</Key></Delete>").fails(400, "MalformedXML"), remove("no xml").fails(400, "MalformedXML"),
			remove(all).by(alt).fails(403, "AccessDenied"), remove(deletion("<Object></Object>")).gives(200, "<Error>"), remove(deletion(object(strings.Repeat("k", 1025)))).shows("KeyTooLongError"),
			put("/{b}?delete", all).fails(405, "MethodNotAllowed"),
		}},
		{"versions", []step{
			enable, put("/{b}/k", "1").save("v1=@X-Amz-Version-Id"), put("/{b}/k", "2").save("v2=@X-Amz-Version-Id"), del("/{b}/k").save("m=@X-Amz-Version-Id"),
			remove(deletion(object("k", "<VersionId>{v1}</VersionId>")+object("k", "<VersionId>{m}</VersionId>"))).shows("<Deleted><Key>k</Key><VersionId>{v1}</VersionId></Deleted>", "<VersionId>{m}</VersionId><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{m}</DeleteMarkerVersionId>").hides("<Error>"),
			get("/{b}?versions").times("<Version>", 1).times("<DeleteMarker>", 0), remove(deletion(object("k", "<VersionId>{v1}</VersionId>")+object("k", "<VersionId>{m}</VersionId>"))).times("<Deleted>", 2).hides("<Error>"),
			remove(deletion(object("k"))).shows("<Deleted><Key>k</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>").hides("<VersionId>").save("m2=DeleteMarkerVersionId"), get("/{b}?versions").shows("<VersionId>{m2}</VersionId>"),
			remove(deletion(object("k", "<VersionId>guess</VersionId>"))).shows("<Error><Key>k</Key><VersionId>guess</VersionId><Code>NoSuchVersion</Code>"),
		}},
		{"marker of nothing", []step{enable, remove(deletion(object("never"))).shows("<DeleteMarker>true</DeleteMarker>").save("m=DeleteMarkerVersionId"), get("/{b}?versions").shows("<VersionId>{m}</VersionId>").times("<DeleteMarker>", 1)}},
		{"conditions", []step{
			put("/{b}/k", "bar"), do("DELETE", "/{b}/k").with("If-Match: badetag").fails(412, "PreconditionFailed"), do("DELETE", "/{b}/k").with("x-amz-if-match-size: 9999").fails(412, "PreconditionFailed"),
			do("DELETE", "/{b}/k").with("x-amz-if-match-last-modified-time: Thu, 01 Jan 2015 00:00:00 GMT").fails(412, "PreconditionFailed"), head("/{b}/k").save("at=@Last-Modified"),
			do("DELETE", "/{b}/k").with("x-amz-if-match-size: many").fails(400, "InvalidArgument"), do("DELETE", "/{b}/k").with("x-amz-if-match-last-modified-time: soon").fails(400, "InvalidArgument"),
			do("DELETE", "/{b}/k").with(`If-Match: ""`).fails(400, "InvalidArgument"), do("DELETE", "/{b}/k").with("If-Match: ").fails(400, "InvalidArgument"), do("DELETE", "/{b}/k").with("x-amz-if-match-size: ").fails(400, "InvalidArgument"), do("DELETE", "/{b}/k").with("x-amz-if-match-last-modified-time: ").fails(400, "InvalidArgument"),
			remove(deletion(object("k", "<ETag>&quot;&quot;</ETag>"))).shows("<Code>InvalidArgument</Code>").hides("<Deleted>"), get("/{b}/k").shows("bar"),
			do("DELETE", "/{b}/k").with("If-None-Match: *").fails(501, "NotImplemented"),
			del("/{b}/k").with("If-Match: "+barETag, "x-amz-if-match-size: 3", "x-amz-if-match-last-modified-time: {at}"), get("/{b}/k").fails(404, "NoSuchKey"),
			put("/{b}/k", "bar"), del("/{b}/k").with("If-Match: *"),
			put("/{b}/k", "bar"), remove(deletion(object("k", "<ETag>badetag</ETag>"))).shows("<Code>PreconditionFailed</Code>").hides("<Deleted>"), remove(deletion(object("k", "<Size>9</Size>"))).shows("<Code>PreconditionFailed</Code>"),
			remove(deletion(object("k", "<LastModifiedTime>2015-01-01T00:00:00.000Z</LastModifiedTime>"))).shows("<Code>PreconditionFailed</Code>"),
			remove(deletion(object("k", "<ETag>"+strings.ReplaceAll(barETag, `"`, "&quot;")+"</ETag>", "<Size>3</Size>"))).shows("<Deleted>"),
		}},
	}}
}

func conditionCases() section {
	missing := func(condition string) step { return put("/{b}/k", "x").with(condition).fails(404, "NoSuchKey") }
	failed := func(condition string) step {
		return put("/{b}/k", "x").with(condition).fails(412, "PreconditionFailed")
	}
	story := []step{
		missing("If-Match: *"), missing("If-Match: badetag"), put("/{b}/k", "bar").with("If-None-Match: *"), failed("If-None-Match: *"), failed("If-None-Match: " + barETag), failed(`If-None-Match: 37b51d194a7513e45b56f6524f2d51f2`),
		get("/{b}/k").shows("bar"), put("/{b}/k", "bar").with("If-None-Match: badetag"), put("/{b}/k", "bar").with("If-Match: " + barETag), put("/{b}/k", "bar").with("If-Match: *"), failed("If-Match: badetag"), failed(`If-Match: ` + emptyETag),
		put("/{b}/k", "x").with("If-Match: *", "If-None-Match: *").fails(501, "NotImplemented"), put("/{b}/k", "x").with("If-Match: ").fails(400, "InvalidArgument"),
		del("/{b}/k"), missing("If-Match: *"), missing("If-Match: " + barETag), put("/{b}/k", "new").with("If-None-Match: " + barETag), get("/{b}/k").shows("new"),
	}
	upload := func(condition string) []step {
		return []step{
			post("/{b}/k?uploads", "").save("u=UploadId"), put("/{b}/k?partNumber=1&uploadId={u}", "bar").save("e=@Etag"),
			post("/{b}/k?uploadId={u}", parts("1", "{e}")).with(condition),
		}
	}
	ends := func(steps []step, status int, code string) []step {
		last := len(steps) - 1
		steps[last] = steps[last].fails(status, code)
		return steps
	}
	done := func(steps []step) []step {
		last := len(steps) - 1
		steps[last] = steps[last].save("etag=ETag")
		return steps
	}
	completes := join(ends(upload("If-Match: *"), 404, "NoSuchKey"), ends(upload("If-Match: badetag"), 404, "NoSuchKey"), done(upload("If-None-Match: *")), ends(upload("If-None-Match: *"), 412, "PreconditionFailed"),
		ends(upload("If-None-Match: {etag}"), 412, "PreconditionFailed"), done(upload("If-None-Match: badetag")), done(upload("If-Match: {etag}")), done(upload("If-Match: *")), ends(upload("If-Match: badetag"), 412, "PreconditionFailed"), []step{del("/{b}/k")},
		ends(upload("If-Match: *"), 404, "NoSuchKey"), ends(upload("If-Match: {etag}"), 404, "NoSuchKey"), done(upload("If-None-Match: {etag}")))
	enable := []step{put("/{b}?versioning", versioning("Enabled"))}
	return section{"condition", []testCase{
		{"put", story}, {"put with versions", join(enable, story)}, {"complete", completes}, {"complete with versions", join(enable, completes)},
		{"put replaces nothing when refused", []step{put("/{b}/k", "bar").save("e=@Etag"), put("/{b}/k", "zar").save("e2=@Etag"), failed("If-Match: {e}"), get("/{b}/k").shows("zar"), put("/{b}/k", "soup").with("If-Match: {e2}"), get("/{b}/k").shows("soup")}},
		{"copy", []step{
			put("/{b}/s", "bar"), put("/{b}/k", "").with("x-amz-copy-source: {b}/s", "If-Match: *").fails(404, "NoSuchKey"), put("/{b}/k", "").with("x-amz-copy-source: {b}/s", "If-None-Match: *"),
			put("/{b}/k", "").with("x-amz-copy-source: {b}/s", "If-None-Match: *").fails(412, "PreconditionFailed"), put("/{b}/k", "").with("x-amz-copy-source: {b}/s", "If-Match: "+barETag),
		}},
	}}
}
