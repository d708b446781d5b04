package conform

func copyCases() section {
	from := func(source string, more ...string) step {
		return put("/{b}/to", "").with("x-amz-copy-source: " + source).with(more...)
	}
	src := put("/{b}/from", "bar").with("Content-Type: text/bla", "x-amz-meta-key1: value1", "x-amz-meta-key2: value2", "Cache-Control: no-store")
	return section{"copy", []testCase{
		{"plain", []step{
			src, from("{b}/from").shows("<CopyObjectResult", "<LastModified>2", "<ETag>&quot;37b51d194a7513e45b56f6524f2d51f2&quot;</ETag>").replyHeader("x-amz-copy-source-version-id:", "x-amz-version-id:"),
			get("/{b}/to").shows("bar").replyHeader("Content-Type: text/bla", "x-amz-meta-key1: value1", "x-amz-meta-key2: value2", "Cache-Control: no-store"),
			from("/{b}/from"), from("{b}%2Ffrom"), from("{b}/from", "x-amz-metadata-directive: COPY", "x-amz-meta-key3: x"), get("/{b}/to").replyHeader("x-amz-meta-key3:", "x-amz-meta-key1: value1"),
			from("{b}/from", "x-amz-metadata-directive: REPLACE", "x-amz-meta-key3: value3", "Content-Type: audio/mpeg"), get("/{b}/to").shows("bar").replyHeader("Content-Type: audio/mpeg", "x-amz-meta-key3: value3", "x-amz-meta-key1:", "Cache-Control:"),
			from("{b}/from", "x-amz-metadata-directive: MIX").fails(400, "InvalidArgument"), from("{b}/from", "x-amz-tagging-directive: MIX").fails(400, "InvalidArgument"),
		}},
		{"empty", []step{put("/{b}/from", ""), from("{b}/from"), head("/{b}/to").replyHeader("Content-Length: 0", "ETag: "+emptyETag)}},
		{"to itself", []step{
			put("/{b}/to", "bar"), from("{b}/to").fails(400, "InvalidRequest"), from("{b}/to", "x-amz-metadata-directive: REPLACE", "x-amz-meta-foo: bar"), get("/{b}/to").shows("bar").replyHeader("x-amz-meta-foo: bar"),
			from("{b}/to", "x-amz-tagging-directive: REPLACE", "x-amz-tagging: a=b"),
		}},
		{"not there", []step{
			from("{b}/none").fails(404, "NoSuchKey"), from("{c}/none").fails(404, "NoSuchBucket"), from("").fails(400, "InvalidArgument"), from("{b}").fails(400, "InvalidArgument"), from("{b}/").fails(400, "InvalidArgument"), from("{b}/a%zz").fails(400, "InvalidArgument"),
			src, from("{b}/from?versionId=guess").fails(400, "InvalidArgument"), from("{b}/from?versionId=null"), from("UPPER/from").fails(400, "InvalidBucketName"),
		}},
		{"other buckets", []step{
			src, put("/{c}", "").by(alt), put("/{c}/to", "").by(alt).with("x-amz-copy-source: {b}/from").fails(403, "AccessDenied"), put("/{c}/none", "").by(alt).with("x-amz-copy-source: {b}/none").fails(403, "AccessDenied"),
			put("/{b}/from", "open").with("x-amz-acl: public-read"), put("/{c}/to", "").by(alt).with("x-amz-copy-source: {b}/from"), get("/{c}/to").by(alt).shows("open"), get("/{c}/to").fails(403, "AccessDenied"),
			put("/{b}/mine", "").with("x-amz-copy-source: {c}/to").fails(403, "AccessDenied"), from("{b}/from", "x-amz-acl: public-read"), get("/{b}/to").by(nobody).shows("open"),
		}},
		{"special names", []step{
			put("/{b}/foo%3Fbar", "q"), from("{b}/foo%3Fbar"), get("/{b}/to").shows("q"), put("/{b}/%3FversionId", "v"), from("{b}/%3FversionId"), get("/{b}/to").shows("v"), put("/{b}/a%2525b", "p"), from("{b}/a%2525b"), get("/{b}/to").shows("p"),
			from("{b}/a%25b").fails(404, "NoSuchKey"), put("/{b}/%20", "blank"), from("{b}/%20"), get("/{b}/to").shows("blank"), put("/{b}/a%2Bb", "plus"), from("{b}/a+b"), get("/{b}/to").shows("plus"), put("/{b}/%C3%BC", "u"), from("{b}/%C3%BC"), get("/{b}/to").shows("u"),
		}},
		{"conditions", []step{
			src, head("/{b}/from").save("at=@Last-Modified"), from("{b}/from", "x-amz-copy-source-if-match: "+barETag), from("{b}/from", "x-amz-copy-source-if-match: ABCORZ").fails(412, "PreconditionFailed"),
			from("{b}/from", "x-amz-copy-source-if-none-match: "+barETag).fails(412, "PreconditionFailed"), from("{b}/from", "x-amz-copy-source-if-none-match: ABCORZ"),
			from("{b}/from", "x-amz-copy-source-if-modified-since: Sat, 29 Oct 1994 19:43:31 GMT"), from("{b}/from", "x-amz-copy-source-if-modified-since: {at}").fails(412, "PreconditionFailed"),
			from("{b}/from", "x-amz-copy-source-if-unmodified-since: Sat, 29 Oct 1994 19:43:31 GMT").fails(412, "PreconditionFailed"), from("{b}/from", "x-amz-copy-source-if-unmodified-since: {at}"),
			from("{b}/from", "x-amz-copy-source-if-match: "+barETag, "x-amz-copy-source-if-unmodified-since: Sat, 29 Oct 1994 19:43:31 GMT"),
			from("{b}/from", "x-amz-copy-source-if-none-match: "+barETag, "x-amz-copy-source-if-modified-since: Sat, 29 Oct 1994 19:43:31 GMT").fails(412, "PreconditionFailed"),
		}},
		{"versions", []step{
			put("/{b}?versioning", versioning("Enabled")), put("/{b}/from", "one").save("v1=@X-Amz-Version-Id"), put("/{b}/from", "two").save("v2=@X-Amz-Version-Id"),
			from("{b}/from?versionId={v1}").replyHeader("x-amz-copy-source-version-id: {v1}", "x-amz-version-id: *").save("t=@X-Amz-Version-Id"), get("/{b}/to").shows("one").replyHeader("x-amz-version-id: {t}"),
			from("{b}/from").replyHeader("x-amz-copy-source-version-id: {v2}"), get("/{b}/to").shows("two"), put("/{c}", ""), put("/{c}/to", "").with("x-amz-copy-source: {b}/from?versionId={v1}").replyHeader("x-amz-version-id:", "x-amz-copy-source-version-id: {v1}"), get("/{c}/to").shows("one"),
			put("/{b}/from", "").with("x-amz-copy-source: {b}/from?versionId={v1}"), get("/{b}/from").shows("one"), // an old version over the current one
			del("/{b}/from").save("m=@X-Amz-Version-Id"), from("{b}/from").fails(404, "NoSuchKey"), from("{b}/from?versionId={m}").fails(400, "InvalidRequest"), from("{b}/from?versionId={v1}"),
			del("/{b}/from?versionId={v1}"), from("{b}/from?versionId={v1}").fails(404, "NoSuchVersion"),
		}},
	}}
}
