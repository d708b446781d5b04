package conform

func versionCases() section {
	enable, suspend := put("/{b}?versioning", versioning("Enabled")), put("/{b}?versioning", versioning("Suspended"))
	gone := get("/{b}/k").fails(404, "NoSuchKey").shows("<Key>k</Key>").replyHeader("x-amz-delete-marker: true", "x-amz-version-id: *")
	return section{"version", []testCase{
		{"create read remove", []step{
			enable, put("/{b}/k", "one").replyHeader("x-amz-version-id: *").save("v1=@X-Amz-Version-Id"), put("/{b}/k", "two").save("v2=@X-Amz-Version-Id"), put("/{b}/k", "three").save("v3=@X-Amz-Version-Id"),
			get("/{b}/k").shows("three").replyHeader("x-amz-version-id: {v3}"), get("/{b}/k?versionId={v1}").shows("one").replyHeader("x-amz-version-id: {v1}"), head("/{b}/k?versionId={v2}").replyHeader("Content-Length: 3", "x-amz-version-id: {v2}"),
			get("/{b}/k?versionId=null").fails(404, "NoSuchVersion").shows("<VersionId>null</VersionId>"), get("/{b}/k?versionId=").fails(400, "InvalidArgument"), get("/{b}/k?versionId=guess").fails(400, "InvalidArgument"),
			get("/{b}/other?versionId={v1}").fails(404, "NoSuchVersion"),
			del("/{b}/k?versionId={v3}").replyHeader("x-amz-version-id: {v3}", "x-amz-delete-marker:"), get("/{b}/k").shows("two"), get("/{b}/k?versionId={v3}").fails(404, "NoSuchVersion"),
			del("/{b}/k?versionId={v3}"), // again: nothing to do
			del("/{b}/k").replyHeader("x-amz-delete-marker: true", "x-amz-version-id: *").save("m=@X-Amz-Version-Id"), gone.replyHeader("x-amz-version-id: {m}"), head("/{b}/k").fails(404, "").replyHeader("x-amz-delete-marker: true", "x-amz-version-id: {m}"),
			get("/{b}/k?versionId={m}").fails(405, "MethodNotAllowed").replyHeader("x-amz-delete-marker: true", "Allow: DELETE", "Last-Modified: *"), head("/{b}/k?versionId={m}").fails(405, "").replyHeader("x-amz-delete-marker: true"),
			get("/{b}").hides("<Contents>"), get("/{b}/k?versionId={v1}").shows("one"),
			del("/{b}/k?versionId={m}").replyHeader("x-amz-delete-marker: true", "x-amz-version-id: {m}"), get("/{b}/k").shows("two"),
		}},
		{"stacked delete markers", []step{
			enable, put("/{b}/k", "x"), del("/{b}/k"), del("/{b}/k"), del("/{b}/k"), get("/{b}?versions").shows("<Version>").times("<DeleteMarker>", 3).times("<Version>", 1).times("<IsLatest>true</IsLatest>", 1),
			del("/{b}/never").replyHeader("x-amz-delete-marker: true").save("m=@X-Amz-Version-Id"), del("/{b}/never?versionId={m}"), get("/{b}/never").fails(404, "NoSuchKey").replyHeader("x-amz-delete-marker:"),
		}},
		{"null version", []step{
			put("/{b}/k", "old").replyHeader("x-amz-version-id:"), get("/{b}/k?versionId=null").shows("old"), enable, get("/{b}/k").shows("old").replyHeader("x-amz-version-id: null"),
			put("/{b}/k", "new").save("v=@X-Amz-Version-Id"), get("/{b}/k?versionId=null").shows("old"), get("/{b}?versions").times("<Version>", 2).shows("<VersionId>null</VersionId><IsLatest>false</IsLatest>"),
			del("/{b}/k?versionId={v}"), get("/{b}/k").shows("old"), del("/{b}/k?versionId=null").replyHeader("x-amz-version-id: null"), get("/{b}/k").fails(404, "NoSuchKey"), get("/{b}?versions").hides("<Version>", "<DeleteMarker>"),
		}},
		{"suspended", []step{
			put("/{b}/k", "first"), enable, put("/{b}/k", "one").save("v1=@X-Amz-Version-Id"), suspend, put("/{b}/k", "null").replyHeader("x-amz-version-id:"), head("/{b}/k").replyHeader("x-amz-version-id: null"), put("/{b}/c", "").with("x-amz-copy-source: {b}/k").replyHeader("x-amz-version-id:", "x-amz-copy-source-version-id: null"), del("/{b}/c?versionId=null"), get("/{b}/k").shows("null"), get("/{b}?versions").times("<Version>", 2),
			put("/{b}/k", "null again"), get("/{b}?versions").times("<Version>", 2).times("<VersionId>null</VersionId>", 1),
			del("/{b}/k").replyHeader("x-amz-delete-marker: true", "x-amz-version-id: null"), gone.replyHeader("x-amz-version-id: null"), get("/{b}?versions").times("<Version>", 1).times("<DeleteMarker>", 1).shows("<VersionId>null</VersionId>"),
			del("/{b}/k"), get("/{b}?versions").times("<DeleteMarker>", 1), put("/{b}/k", "null third"), get("/{b}?versions").times("<DeleteMarker>", 0).times("<Version>", 2), get("/{b}/k?versionId={v1}").shows("one"),
			enable, put("/{b}/k", "two").replyHeader("x-amz-version-id: *"), get("/{b}?versions").times("<Version>", 3), del("/{b}/k?versionId=null"), get("/{b}?versions").times("<Version>", 2).hides("null"),
		}},
		{"uploads say their version", []step{
			post("/{b}/m?uploads", "").save("u=UploadId"), put("/{b}/m?partNumber=1&uploadId={u}", "x").replyHeader("x-amz-version-id:").save("e=@Etag"), post("/{b}/m?uploadId={u}", parts("1", "{e}")).replyHeader("x-amz-version-id:"),
			enable, post("/{b}/m?uploads", "").save("u=UploadId"), put("/{b}/m?partNumber=1&uploadId={u}", "x").save("e=@Etag"), post("/{b}/m?uploadId={u}", parts("1", "{e}")).replyHeader("x-amz-version-id: *").save("v=@X-Amz-Version-Id"), get("/{b}?versions").shows("<VersionId>{v}</VersionId><IsLatest>true<"),
			suspend, post("/{b}/m?uploads", "").save("u=UploadId"), put("/{b}/m?partNumber=1&uploadId={u}", "y").save("e=@Etag"), post("/{b}/m?uploadId={u}", parts("1", "{e}")).replyHeader("x-amz-version-id:"), get("/{b}/m").shows("y").replyHeader("x-amz-version-id: null"), get("/{b}/m?versionId={v}").shows("x"),
		}},
		{"special names", []step{
			enable, put("/{b}/_k", "a").save("a=@X-Amz-Version-Id"), put("/{b}/_", "b").save("b1=@X-Amz-Version-Id"), put("/{b}/%3A", "c").save("c1=@X-Amz-Version-Id"), put("/{b}/%20", "d").save("d=@X-Amz-Version-Id"),
			get("/{b}/_k?versionId={a}").shows("a"), get("/{b}/_?versionId={b1}").shows("b"), get("/{b}/%3A?versionId={c1}").shows("c"), get("/{b}/%20?versionId={d}").shows("d"), del("/{b}/%20?versionId={d}"), get("/{b}?versions").times("<Version>", 3),
		}},
	}}
}

func versionListCases() section {
	enable := put("/{b}?versioning", versioning("Enabled"))
	two := join([]step{enable}, []step{
		put("/{b}/a", "1").save("a1=@X-Amz-Version-Id"), put("/{b}/a", "2").save("a2=@X-Amz-Version-Id"), put("/{b}/a-1", "3").save("d1=@X-Amz-Version-Id"), put("/{b}/dir/x", "4").save("x1=@X-Amz-Version-Id"), put("/{b}/dir/y", "5"),
		del("/{b}/a-1").save("m=@X-Amz-Version-Id"),
	})
	return section{"versions", []testCase{
		{"empty", []step{get("/{b}?versions").shows("<ListVersionsResult", "<Name>{b}</Name>", "<Prefix></Prefix>", "<KeyMarker></KeyMarker>", "<VersionIdMarker></VersionIdMarker>", "<MaxKeys>1000</MaxKeys>", "<IsTruncated>false</IsTruncated>").hides("<Version>", "<DeleteMarker>")}},
		{"unversioned", []step{put("/{b}/k", "bar"), get("/{b}?versions").times("<Version>", 1).shows("<Key>k</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>", "<Size>3</Size>", "<StorageClass>STANDARD</StorageClass>", "<Owner><ID>{main}</ID>")}},
		{"order", join(two, []step{
			get("/{b}?versions").times("<Version>", 5).times("<DeleteMarker>", 1).shows("<Key>a</Key><VersionId>{a2}</VersionId><IsLatest>true</IsLatest>", "<Key>a</Key><VersionId>{a1}</VersionId><IsLatest>false</IsLatest>",
				"<DeleteMarker><Key>a-1</Key><VersionId>{m}</VersionId><IsLatest>true</IsLatest>", "<Key>a-1</Key><VersionId>{d1}</VersionId><IsLatest>false</IsLatest>").inOrder("{a2}", "{a1}", "{m}", "{d1}", "{x1}", "<Key>dir/y</Key>"),
			get("/{b}?versions&prefix=dir/").times("<Version>", 2).shows("<Prefix>dir/</Prefix>"), get("/{b}?versions&delimiter=/").times("<Version>", 3).times("<CommonPrefixes>", 1).shows("<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>", "<Delimiter>/</Delimiter>"),
			get("/{b}?versions&encoding-type=url&prefix=dir/").shows("<EncodingType>url</EncodingType>", "<Key>dir/x</Key>"),
		})},
		{"pages", join(two, []step{
			get("/{b}?versions&max-keys=1").shows("{a2}", "<IsTruncated>true</IsTruncated>", "<NextKeyMarker>a</NextKeyMarker>", "<NextVersionIdMarker>{a2}</NextVersionIdMarker>", "<MaxKeys>1</MaxKeys>").hides("{a1}"),
			get("/{b}?versions&max-keys=1&key-marker=a&version-id-marker={a2}").shows("<KeyMarker>a</KeyMarker>", "<VersionIdMarker>{a2}</VersionIdMarker>", "<VersionId>{a1}</VersionId>", "<NextVersionIdMarker>{a1}</NextVersionIdMarker>").times("<Version>", 1),
			get("/{b}?versions&max-keys=1&key-marker=a&version-id-marker={a1}").times("<DeleteMarker>", 1).times("<Version>", 0).shows("<NextVersionIdMarker>{m}</NextVersionIdMarker>"),
			get("/{b}?versions&key-marker=a").hides("<Key>a</Key>").shows("<Key>a-1</Key>").times("<Version>", 3), get("/{b}?versions&max-keys=4&delimiter=/").shows("{d1}", "<NextKeyMarker>a-1</NextKeyMarker>", "<IsTruncated>true</IsTruncated>").hides("<CommonPrefixes>"),
			get("/{b}?versions&max-keys=5&delimiter=/").shows("<IsTruncated>false</IsTruncated>", "<CommonPrefixes>"), get("/{b}?versions&max-keys=1&delimiter=/&key-marker=a-1").shows("<Prefix>dir/</Prefix>", "<IsTruncated>false</IsTruncated>"),
			get("/{b}?versions&delimiter=/&key-marker=dir/").hides("<CommonPrefixes>", "<Version>"), get("/{b}?versions&max-keys=0").shows("<IsTruncated>false</IsTruncated>").hides("<Version>"),
			get("/{b}?versions&version-id-marker={a1}").fails(400, "InvalidArgument"), get("/{b}?versions&key-marker=a&version-id-marker=").fails(400, "InvalidArgument"), get("/{b}?versions&key-marker=a&version-id-marker=guess").fails(400, "InvalidArgument"),
			get("/{b}?versions&max-keys=x").fails(400, "InvalidArgument"), get("/{b}?versions").by(alt).fails(403, "AccessDenied"), get("/{b}?versions&encoding-type=x").fails(400, "InvalidArgument"),
		})},
		{"page behind a null version", []step{
			put("/{b}/k", "null"), enable, put("/{b}/k", "two").save("v=@X-Amz-Version-Id"), put("/{b}/l", "3"),
			get("/{b}?versions&max-keys=2").shows("{v}", "<VersionId>null</VersionId>", "<NextKeyMarker>k</NextKeyMarker>").save("next=NextVersionIdMarker"),
			get("/{b}?versions&key-marker=k&version-id-marker={next}").times("<Version>", 1).shows("<Key>l</Key>"), get("/{b}?versions&key-marker=k&version-id-marker=null").times("<Version>", 1).shows("<Key>l</Key>"),
		}},
	}}
}

// deletion is a document of DeleteObjects.
func deletion(objects string) string {
	return `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + objects + `</Delete>`
}

func object(key string, more ...string) string {
	doc := "<Object><Key>" + key + "</Key>"
	for _, m := range more {
		doc += m
	}
	return doc + "</Object>"
}
