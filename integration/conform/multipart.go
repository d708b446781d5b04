package conform

import (
	"fmt"
	"strings"
)

const mib = 1 << 20

// parts is a document of CompleteMultipartUpload of numbers and ETags in turn.
func parts(numbersAndTags ...string) string {
	var b strings.Builder
	b.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i := 0; i < len(numbersAndTags); i += 2 {
		fmt.Fprintf(&b, "<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>", numbersAndTags[i], numbersAndTags[i+1])
	}
	return b.String() + "</CompleteMultipartUpload>"
}

func multipartCases() section {
	begin := post("/{b}/k?uploads", "").save("u=UploadId")
	part := func(n int, body, save string) step {
		return put(fmt.Sprintf("/{b}/k?partNumber=%d&uploadId={u}", n), body).save(save + "=@Etag")
	}
	complete := func(doc string) step { return post("/{b}/k?uploadId={u}", doc) }
	big := strings.Repeat("0123456789abcdef", 5*mib/16)
	copied := func(n int, more ...string) step {
		return put(fmt.Sprintf("/{b}/k?partNumber=%d&uploadId={u}", n), "").with("x-amz-copy-source: {b}/src").with(more...)
	}
	return section{"multipart", []testCase{
		{"upload", []step{
			post("/{b}/k?uploads", "").with("Content-Type: text/bla", "x-amz-meta-foo: bar").shows("<InitiateMultipartUploadResult", "<Bucket>{b}</Bucket><Key>k</Key><UploadId>").save("u=UploadId"),
			part(1, big, "e1").replyHeader("ETag: *"), part(1, big, "e1"), part(3, big[1:]+"x", "e3"), part(7, "end", "e7"),
			get("/{b}/k").fails(404, "NoSuchKey"), get("/{b}/k?partNumber=1").fails(404, "NoSuchKey"), get("/{b}").hides("<Contents>"),
			complete(parts("1", "{e1}", "3", "{e3}", "7", "{e7}")).shows("<CompleteMultipartUploadResult", "<Location>http", "<Bucket>{b}</Bucket>", "<Key>k</Key>", "-3&quot;</ETag>").save("etag=ETag"),
			complete(parts("1", "{e1}", "3", "{e3}", "7", "{e7}")).shows("-3&quot;</ETag>"), // again
			get("/{b}/k").shows(big+big[1:]+"xend").replyHeader("ETag: {etag}", "Content-Type: text/bla", "x-amz-meta-foo: bar", fmt.Sprint("Content-Length: ", 10*mib+3), "x-amz-mp-parts-count:"),
			get("/{b}").shows(fmt.Sprintf("<Size>%d</Size>", 10*mib+3)), get("/{b}/k").with(fmt.Sprintf("Range: bytes=%d-%d", 5*mib-2, 5*mib+1)).gives(206, "ef12").replyHeader("Content-Length: 4"),
			get("/{b}/k").with("Range: bytes=-4").gives(206, "xend"), get("/{b}/k").with(fmt.Sprintf("Range: bytes=%d-", 10*mib+3)).fails(416, "InvalidRange"),
			get("/{b}/k?partNumber=1").gives(206).replyHeader("x-amz-mp-parts-count: 3", fmt.Sprint("Content-Length: ", 5*mib), "ETag: {etag}"), get("/{b}/k?partNumber=7").gives(206, "end").replyHeader("x-amz-mp-parts-count: 3", "Content-Length: 3"),
			head("/{b}/k?partNumber=3").gives(206).replyHeader("x-amz-mp-parts-count: 3", fmt.Sprintf("Content-Range: bytes %d-%d/%d", 5*mib, 10*mib-1, 10*mib+3)), get("/{b}/k?partNumber=2").fails(400, "InvalidPart"), get("/{b}/k?partNumber=8").fails(400, "InvalidPart"), head("/{b}/k?partNumber=8").fails(400, ""),
			get("/{b}/k?uploadId={u}").fails(404, "NoSuchUpload").shows("<UploadId>{u}</UploadId>"), do("DELETE", "/{b}/k?uploadId={u}").fails(404, "NoSuchUpload"), part(1, "x", "e").fails(404, "NoSuchUpload").save(),
		}},
		{"small and single", []step{
			begin, part(1, "x", "e"), complete(parts("1", "{e}")).shows("-1&quot;"), get("/{b}/k").shows("x"), complete(parts("1", "{e}")).shows("-1&quot;"), head("/{b}/k?partNumber=1").gives(206).replyHeader("x-amz-mp-parts-count: 1"), get("/{b}/k?partNumber=5").fails(400, "InvalidPart"),
			begin, part(1, "", "e"), complete(parts("1", "{e}")).shows("-1&quot;"), head("/{b}/k").replyHeader("Content-Length: 0"), get("/{b}/k?partNumber=1").replyHeader("Content-Length: 0", "x-amz-mp-parts-count: 1"),
			begin, part(10000, "last number", "e"), complete(parts("10000", "{e}")), get("/{b}/k").shows("last number"),
		}},
		{"refused completes", []step{
			begin, part(1, big, "e1"), part(2, "b", "e2"), complete("").fails(400, "MalformedXML"), complete(parts()).fails(400, "MalformedXML"), complete("<CompleteMultipartUpload>").fails(400, "MalformedXML"), complete("no xml").fails(400, "MalformedXML"),
			complete(parts("2", "{e2}", "1", "{e1}")).fails(400, "InvalidPartOrder"), complete(parts("1", "{e1}", "1", "{e1}")).fails(400, "InvalidPartOrder"), complete(parts("9999", "{e1}")).fails(400, "InvalidPart"), complete(parts("1", "{e1}", "3", "{e2}")).fails(400, "InvalidPart").shows("<UploadId>{u}</UploadId><PartNumber>3</PartNumber><ETag>"),
			complete(parts("1", strings.Repeat("f", 32))).fails(400, "InvalidPart"), complete(parts("1", "{e2}")).fails(400, "InvalidPart"), complete(parts("0", "{e1}")).fails(400, "InvalidArgument"), complete(parts("1", "short")).fails(400, "InvalidPart").shows("<UploadId>{u}</UploadId><PartNumber>1</PartNumber><ETag>short</ETag>"),
			complete(parts("1", "{e1}", "2", "{e2}")).by(alt).fails(403, "AccessDenied"), complete(parts("1", "{e1}", "2", "{e2}")).by(nobody).fails(403, "AccessDenied"), complete(parts("1", "{e1}", "2", "{e2}")).with("x-amz-mp-object-size: 7").fails(400, "InvalidRequest"),
			post("/{b}/j?uploadId={u}", parts("1", "{e1}")).fails(404, "NoSuchUpload"), post("/{b}/k?uploadId=abc1234def", parts("1", "1234")).fails(404, "NoSuchUpload"),
			get("/{b}/k").fails(404, "NoSuchKey"), complete(parts("1", "{e1}", "2", "{e2}")).with(fmt.Sprint("x-amz-mp-object-size: ", 5*mib+1)), get("/{b}/k").shows(big + "b"),
		}},
		{"too small", []step{begin, part(1, "a", "e1"), part(2, "b", "e2"), complete(parts("1", "{e1}", "2", "{e2}")).fails(400, "EntityTooSmall").shows("<ProposedSize>1</ProposedSize><MinSizeAllowed>5242880</MinSizeAllowed><PartNumber>1</PartNumber><ETag>0cc175b9c0f1b6a831c399e269772661</ETag>"), part(1, big[:5*mib-1], "e1"), complete(parts("1", "{e1}", "2", "{e2}")).fails(400, "EntityTooSmall"),
			part(1, big, "e1"), complete(parts("1", "{e1}", "2", "{e2}"))}},
		{"a part again", []step{begin, part(1, "first", "e1"), part(1, "second", "e2"), complete(parts("1", "{e1}")).fails(400, "InvalidPart"), complete(parts("1", "{e2}")), get("/{b}/k").shows("second")}},
		{"over an object", []step{put("/{b}/k", "old"), begin, part(1, "new", "e"), get("/{b}/k").shows("old"), complete(parts("1", "{e}")), get("/{b}/k").shows("new"),
			begin, part(1, "x", "e"), get("/{b}/k").shows("new"), del("/{b}/k?uploadId={u}"), get("/{b}/k").shows("new")}},
		{"two uploads of a key", []step{begin, post("/{b}/k?uploads", "").save("w=UploadId"), part(1, "one", "e1"), put("/{b}/k?partNumber=1&uploadId={w}", "two").save("e2=@Etag"), complete(parts("1", "{e2}")).fails(400, "InvalidPart"),
			post("/{b}/k?uploadId={w}", parts("1", "{e2}")), get("/{b}/k").shows("two"), complete(parts("1", "{e1}")), get("/{b}/k").shows("one")}},
		{"part arguments", []step{
			begin, part(0, "x", "").fails(400, "InvalidArgument").save(), part(10001, "x", "").fails(400, "InvalidArgument").save(), put("/{b}/k?partNumber=x&uploadId={u}", "x").fails(400, "InvalidArgument"), put("/{b}/k?uploadId={u}", "x").fails(400, "InvalidArgument"),
			put("/{b}/k?partNumber=1&uploadId=56788", "x").fails(404, "NoSuchUpload"), put("/{b}/k?partNumber=1&uploadId=", "x").fails(404, "NoSuchUpload"), put("/{b}/j?partNumber=1&uploadId={u}", "x").fails(404, "NoSuchUpload"), part(1, "x", "").by(alt).fails(403, "AccessDenied").save(),
			part(1, "bar", "").with("Content-MD5: rL0Y20xC+Fzt72VPzMSk2A==").fails(400, "BadDigest").save(), part(1, "bar", "e").with("Content-MD5: " + barMD5), put("/{b}/k?partNumber=1&uploadId={u}", "x").with("x-amz-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"),
			part(2, "bar", "e").with("Transfer-Encoding: chunked"),
		}},
		{"abort", []step{
			begin, part(1, "x", "e"), do("DELETE", "/{b}/k?uploadId={u}").by(alt).fails(403, "AccessDenied"), del("/{b}/k?uploadId={u}"), do("DELETE", "/{b}/k?uploadId={u}").fails(404, "NoSuchUpload"), complete(parts("1", "{e}")).fails(404, "NoSuchUpload"),
			get("/{b}/k?uploadId={u}").fails(404, "NoSuchUpload"), do("DELETE", "/{b}/k?uploadId=56788").fails(404, "NoSuchUpload"), get("/{b}?uploads").hides("<Upload>"), get("/{b}").hides("<Contents>"),
		}},
		{"copied parts", []step{
			put("/{b}/src", big+"tail"), begin, copied(1, fmt.Sprintf("x-amz-copy-source-range: bytes=0-%d", 5*mib-1)).shows("<CopyPartResult", "<LastModified>2").save("e1=ETag"), copied(2, fmt.Sprintf("x-amz-copy-source-range: bytes=%d-%d", 5*mib, 5*mib+3)).save("e2=ETag"),
			copied(3, "x-amz-copy-source-range: bytes=0-99999999").fails(416, "InvalidRange"), copied(3, "x-amz-copy-source-range: 0-2").fails(400, "InvalidArgument"), copied(3, "x-amz-copy-source-range: bytes=0").fails(400, "InvalidArgument"),
			copied(3, "x-amz-copy-source-range: bytes=hello-world").fails(400, "InvalidArgument"), copied(3, "x-amz-copy-source-range: bytes=0-bar").fails(400, "InvalidArgument"), copied(3, "x-amz-copy-source-range: bytes=hello-").fails(400, "InvalidArgument"),
			copied(3, "x-amz-copy-source-range: bytes=0-2,3-5").fails(400, "InvalidArgument"), copied(3, "x-amz-copy-source-if-match: x").fails(412, "PreconditionFailed"), copied(3, "x-amz-copy-source-if-none-match: *").fails(412, "PreconditionFailed"),
			copied(10001).fails(400, "InvalidArgument"), put("/{b}/k?partNumber=3&uploadId={u}", "").with("x-amz-copy-source: {b}/none").fails(404, "NoSuchKey"), put("/{b}/k?partNumber=3&uploadId=guess", "").with("x-amz-copy-source: {b}/src").fails(404, "NoSuchUpload"),
			complete(parts("1", "{e1}", "2", "{e2}")), get("/{b}/k").shows(big + "tail"), begin, copied(1).save("e=ETag"), complete(parts("1", "{e}")), get("/{b}/k").shows(big + "tail"),
		}},
		{"copied parts of versions", []step{
			put("/{b}?versioning", versioning("Enabled")), put("/{b}/src", "one").save("v1=@X-Amz-Version-Id"), put("/{b}/src", "two").save("v2=@X-Amz-Version-Id"), begin,
			put("/{b}/k?partNumber=1&uploadId={u}", "").with("x-amz-copy-source: {b}/src?versionId={v1}").replyHeader("x-amz-copy-source-version-id: {v1}").save("e=ETag"),
			complete(parts("1", "{e}")).replyHeader("x-amz-version-id: *").save("v=@X-Amz-Version-Id"), get("/{b}/k").shows("one").replyHeader("x-amz-version-id: {v}"), complete(parts("1", "{e}")).replyHeader("x-amz-version-id: {v}"),
		}},
		{"copied as a whole", []step{begin, part(1, big, "e1"), part(2, "b", "e2"), complete(parts("1", "{e1}", "2", "{e2}")), put("/{b}/j", "").with("x-amz-copy-source: {b}/k").hides("-2&quot;"), get("/{b}/j").shows(big + "b").replyHeader("x-amz-mp-parts-count:"), get("/{b}/j?partNumber=2").fails(400, "InvalidPart")}},
		{"options that are not here", []step{
			begin, part(1, "x", "e"), complete(parts("1", "{e}")).with("x-amz-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"), get("/{b}/k?uploadId={u}").with("x-amz-server-side-encryption-customer-algorithm: AES256").fails(501, "NotImplemented"),
			do("DELETE", "/{b}/k?uploadId={u}").with("x-amz-if-match-initiated-time: Thu, 01 Jan 2026 00:00:00 GMT").fails(501, "NotImplemented"), complete(parts("1", "{e}")),
		}},
		{"odd create", []step{
			post("/{b}/k?uploads", "").with("x-amz-storage-class: CHEAP").fails(400, "InvalidStorageClass"), post("/{b}/k?uploads", "").with("x-amz-server-side-encryption: AES256").fails(501, "NotImplemented"), post("/{b}/k?uploads", "").by(alt).fails(403, "AccessDenied"),
			post("/{b}/k?uploads", "").by(nobody).fails(403, "AccessDenied"), post("/{c}/k?uploads", "").fails(404, "NoSuchBucket"), put("/{b}/k?uploads", "").fails(405, "MethodNotAllowed"), post("/{b}/k", "").fails(405, "MethodNotAllowed"),
		}},
	}}
}

func uploadListCases() section {
	begin := func(key, save string) step { return post("/{b}/"+key+"?uploads", "").save(save + "=UploadId") }
	three := []step{begin("a", "a1"), begin("a", "a2"), begin("dir/x", "x1"), begin("dir/y", "y1"), begin("z", "z1")}
	return section{"uploads", []testCase{
		{"uploads", join(three, []step{
			get("/{b}?uploads").times("<Upload>", 5).shows("<ListMultipartUploadsResult", "<Bucket>{b}</Bucket>", "<KeyMarker></KeyMarker>", "<UploadIdMarker></UploadIdMarker>", "<MaxUploads>1000</MaxUploads>", "<IsTruncated>false</IsTruncated>", "<Initiator><ID>{main}</ID>",
				"<Owner><ID>{main}</ID>", "<StorageClass>STANDARD</StorageClass>", "<Initiated>2").inOrder("<Key>a</Key>", "<Key>a</Key>", "{x1}", "{y1}", "{z1}"),
			get("/{b}?uploads&prefix=dir/").times("<Upload>", 2).shows("<Prefix>dir/</Prefix>"), get("/{b}?uploads&delimiter=/").times("<Upload>", 3).times("<CommonPrefixes>", 1).shows("<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>", "<Delimiter>/</Delimiter>"),
			get("/{b}?uploads&prefix=q").hides("<Upload>"), // Uploads begun in the same millisecond may stand in either order.
			get("/{b}?uploads&max-uploads=1").times("<Upload>", 1).shows("<IsTruncated>true</IsTruncated>", "<NextKeyMarker>a</NextKeyMarker>", "<MaxUploads>1</MaxUploads>").save("first=NextUploadIdMarker"),
			get("/{b}?uploads&max-uploads=1&key-marker=a&upload-id-marker={first}").times("<Upload>", 1).shows("<Key>a</Key>", "<UploadIdMarker>{first}</UploadIdMarker>", "<KeyMarker>a</KeyMarker>").hides("<UploadId>{first}</UploadId>").save("second=NextUploadIdMarker"),
			get("/{b}?uploads&key-marker=a").times("<Upload>", 3).hides("<Key>a</Key>"),
			get("/{b}?uploads&key-marker=a&upload-id-marker={second}").times("<Upload>", 3), get("/{b}?uploads&max-uploads=2&delimiter=/&key-marker=a").shows("<Prefix>dir/</Prefix>", "{z1}", "<IsTruncated>false</IsTruncated>"),
			get("/{b}?uploads&upload-id-marker=guess").times("<Upload>", 5), get("/{b}?uploads&key-marker=a&upload-id-marker=guess").fails(400, "InvalidArgument"), get("/{b}?uploads&max-uploads=x").fails(400, "InvalidArgument"), get("/{b}?uploads&max-uploads=-1").fails(400, "InvalidArgument"),
			get("/{b}?uploads&encoding-type=url&prefix=dir/").shows("<EncodingType>url</EncodingType>", "<Key>dir/x</Key>"), get("/{b}?uploads&encoding-type=x").fails(400, "InvalidArgument"), get("/{b}?uploads").by(alt).fails(403, "AccessDenied"), get("/{b}?uploads&max-uploads=0").hides("<Upload>"),
		})},
		{"of others", []step{
			put("/{c}", "").with("x-amz-acl: public-read-write"), post("/{c}/k1?uploads", "").save("u1=UploadId"), post("/{c}/k2?uploads", "").by(alt).save("u2=UploadId"),
			get("/{c}?uploads").shows("<Initiator><ID>{alt}</ID>", "<Owner><ID>{alt}</ID>", "<Initiator><ID>{main}</ID>").inOrder("{u1}", "{u2}"), get("/{c}?uploads").by(alt).times("<Upload>", 2),
			get("/{c}/k2?uploadId={u2}").by(alt).shows("<Initiator><ID>{alt}</ID>", "<Owner><ID>{alt}</ID>"), get("/{c}/k2?uploadId={u2}").by(other).fails(403, "AccessDenied"), do("DELETE", "/{c}/k1?uploadId={u1}").by(alt).fails(403, "AccessDenied"),
			put("/{c}/k2?partNumber=1&uploadId={u2}", "x").by(alt).save("e=@Etag"), post("/{c}/k2?uploadId={u2}", parts("1", "{e}")).by(alt), get("/{c}/k2").by(alt).shows("x"), get("/{c}/k2").fails(403, "AccessDenied"), del("/{c}/k1?uploadId={u1}"),
		}},
		{"parts", []step{
			post("/{b}/k?uploads", "").save("u=UploadId"), put("/{b}/k?partNumber=1&uploadId={u}", "bar").save("e=@Etag"), put("/{b}/k?partNumber=5&uploadId={u}", "five"), put("/{b}/k?partNumber=10000&uploadId={u}", "last"),
			get("/{b}/k?uploadId={u}").times("<Part>", 3).shows("<ListPartsResult", "<Bucket>{b}</Bucket>", "<Key>k</Key>", "<UploadId>{u}</UploadId>", "<PartNumberMarker>0</PartNumberMarker>", "<MaxParts>1000</MaxParts>", "<IsTruncated>false</IsTruncated>", "<StorageClass>STANDARD</StorageClass>",
				"<Initiator><ID>{main}</ID>", "<Owner><ID>{main}</ID>", "<PartNumber>1</PartNumber><LastModified>2", "<ETag>&quot;37b51d194a7513e45b56f6524f2d51f2&quot;</ETag><Size>3</Size>").inOrder("<PartNumber>1<", "<PartNumber>5<", "<PartNumber>10000<"),
			get("/{b}/k?uploadId={u}&max-parts=1").times("<Part>", 1).shows("<NextPartNumberMarker>1</NextPartNumberMarker>", "<IsTruncated>true</IsTruncated>"), get("/{b}/k?uploadId={u}&max-parts=2&part-number-marker=1").times("<Part>", 2).shows("<PartNumberMarker>1</PartNumberMarker>", "<IsTruncated>false</IsTruncated>"),
			get("/{b}/k?uploadId={u}&part-number-marker=10000").hides("<Part>"), get("/{b}/k?uploadId={u}&part-number-marker=x").fails(400, "InvalidArgument"), get("/{b}/k?uploadId={u}&max-parts=x").fails(400, "InvalidArgument"), get("/{b}/k?uploadId={u}&max-parts=-1").fails(400, "InvalidArgument"),
			get("/{b}/j?uploadId={u}").fails(404, "NoSuchUpload"), get("/{b}/k?uploadId=guess").fails(404, "NoSuchUpload"), get("/{b}/k?uploadId={u}").by(alt).fails(403, "AccessDenied"),
		}},
	}}
}
