package conform

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/minio/crc64nvme"
)

// algorithm is an additional checksum; full says that a multipart object has it of its whole content.
type algorithm struct {
	name string
	full bool
	sum  func(string) []byte
}

var algorithms = []algorithm{
	{"CRC32", true, func(s string) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s))) }},
	{"CRC32C", true, func(s string) []byte {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli)))
	}},
	{"CRC64NVME", true, func(s string) []byte { return binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum([]byte(s))) }},
	{"SHA1", false, func(s string) []byte { h := sha1.Sum([]byte(s)); return h[:] }},
	{"SHA256", false, func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }},
}

func (a *algorithm) text(s string) string { return base64.StdEncoding.EncodeToString(a.sum(s)) }

func (a *algorithm) header(value string) string {
	return "x-amz-checksum-" + strings.ToLower(a.name) + ": " + value
}

func (a *algorithm) element(value string) string {
	return "<Checksum" + a.name + ">" + value + "</Checksum" + a.name + ">"
}

const enabled = "x-amz-checksum-mode: ENABLED"

func checksumCases() section {
	var cases []testCase
	for i := range algorithms {
		a := &algorithms[i]
		cases = append(cases, testCase{a.name, a.objectSteps()}, testCase{a.name + " composite", a.uploadSteps(false)})
		if a.full {
			cases = append(cases, testCase{a.name + " full object", a.uploadSteps(true)})
		}
	}
	cases = append(cases,
		testCase{"contradictions", []step{
			put("/{b}/k", "x").with(algorithms[0].header(algorithms[0].text("x")), algorithms[4].header(algorithms[4].text("x"))).fails(400, "InvalidRequest"), put("/{b}/k", "x").with("x-amz-checksum-md4: abcd").fails(400, "InvalidRequest"),
			put("/{b}/k", "x").with("x-amz-checksum-algorithm: MD4").fails(400, "InvalidRequest"), put("/{b}/k", "x").with("x-amz-sdk-checksum-algorithm: CRC32", algorithms[4].header(algorithms[4].text("x"))).fails(400, "InvalidRequest"),
			post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: SHA256", "x-amz-checksum-type: FULL_OBJECT").fails(400, "InvalidRequest"), post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: CRC64NVME", "x-amz-checksum-type: COMPOSITE").fails(400, "InvalidRequest"),
			post("/{b}/k?uploads", "").with("x-amz-checksum-type: COMPOSITE").fails(400, "InvalidRequest"), post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: CRC32", "x-amz-checksum-type: HALF").fails(400, "InvalidRequest"),
			post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: SHA1").replyHeader("x-amz-checksum-algorithm: SHA1", "x-amz-checksum-type: COMPOSITE").save("u=UploadId"), put("/{b}/k?partNumber=1&uploadId={u}", "x").with(algorithms[0].header(algorithms[0].text("x"))).fails(400, "InvalidRequest"),
			put("/{b}/k?partNumber=1&uploadId={u}", "x").replyHeader(algorithms[3].header(algorithms[3].text("x"))),
		}},
		testCase{"attributes", []step{
			put("/{b}/k", "foo").save("e=@Etag"), get("/{b}/k?attributes").with("x-amz-object-attributes: ETag,Checksum,ObjectParts,StorageClass,ObjectSize").shows("<GetObjectAttributesResponse", "<ETag>acbd18db4cc2f85cedef654fccc4a4d8</ETag>", "<StorageClass>STANDARD</StorageClass>", "<ObjectSize>3</ObjectSize>").
				hides("<ObjectParts>", "<Checksum>").replyHeader("Last-Modified: *", "x-amz-version-id:"),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ObjectSize").shows("<ObjectSize>3</ObjectSize>").hides("<ETag>", "<StorageClass>"), get("/{b}/k?attributes").with("x-amz-object-attributes: ETag", "x-amz-object-attributes: ObjectSize").shows("<ETag>", "<ObjectSize>"),
			get("/{b}/k?attributes").fails(400, "InvalidArgument"), get("/{b}/k?attributes").with("x-amz-object-attributes: Colour").fails(400, "InvalidArgument"), get("/{b}/k?attributes").with("x-amz-object-attributes: ETag", "x-amz-max-parts: x").fails(400, "InvalidArgument"),
			get("/{b}/none?attributes").with("x-amz-object-attributes: ETag").fails(404, "NoSuchKey"), get("/{b}/k?attributes").with("x-amz-object-attributes: ETag").by(alt).fails(403, "AccessDenied"), head("/{b}/k?attributes").fails(405, ""),
			put("/{b}?versioning", versioning("Enabled")), put("/{b}/k", "new").save("v=@X-Amz-Version-Id"), get("/{b}/k?attributes&versionId=null").with("x-amz-object-attributes: ETag").shows("acbd18db4cc2f85cedef654fccc4a4d8").replyHeader("x-amz-version-id: null", "x-amz-delete-marker:"),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ETag").replyHeader("x-amz-version-id: {v}"), del("/{b}/k").save("m=@X-Amz-Version-Id"), get("/{b}/k?attributes").with("x-amz-object-attributes: ETag").fails(404, "NoSuchKey").replyHeader("x-amz-delete-marker: true"),
			get("/{b}/k?attributes&versionId={m}").with("x-amz-object-attributes: ETag").fails(405, "MethodNotAllowed").replyHeader("x-amz-delete-marker: true", "Allow: DELETE"),
		}},
		testCase{"attributes of parts", []step{
			post("/{b}/k?uploads", "").save("u=UploadId"), put("/{b}/k?partNumber=1&uploadId={u}", strings.Repeat("a", 5*mib)).save("e1=@Etag"), put("/{b}/k?partNumber=2&uploadId={u}", strings.Repeat("b", 5*mib)).save("e2=@Etag"), put("/{b}/k?partNumber=4&uploadId={u}", "c").save("e4=@Etag"),
			post("/{b}/k?uploadId={u}", parts("1", "{e1}", "2", "{e2}", "4", "{e4}")),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ObjectParts,ETag").times("<Part>", 3).shows("<PartsCount>3</PartsCount>", "<IsTruncated>false</IsTruncated>", "<MaxParts>1000</MaxParts>", "<PartNumberMarker>0</PartNumberMarker>", "<PartNumber>4</PartNumber><Size>1</Size>", "-3</ETag>"),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ObjectParts", "x-amz-max-parts: 1", "x-amz-part-number-marker: 1").times("<Part>", 1).shows("<PartsCount>3</PartsCount>", "<PartNumberMarker>1</PartNumberMarker>", "<NextPartNumberMarker>2</NextPartNumberMarker>", "<MaxParts>1</MaxParts>", "<IsTruncated>true</IsTruncated>"),
			get("/{b}/k?attributes").with("x-amz-object-attributes: ObjectParts", "x-amz-max-parts: 10", "x-amz-part-number-marker: 2").times("<Part>", 1).shows("<IsTruncated>false</IsTruncated>", "<PartNumber>4</PartNumber>"),
		}})
	return section{"checksum", cases}
}

// objectSteps puts, reads and copies an object with the checksum.
func (a *algorithm) objectSteps() []step {
	text := strings.Repeat("A", 1024)
	sum := a.header(a.text(text))
	none := a.header("")
	kind := "x-amz-checksum-type: FULL_OBJECT"
	return []step{
		put("/{b}/k", text).with(sum, "x-amz-sdk-checksum-algorithm: "+a.name).replyHeader(sum, kind), head("/{b}/k").replyHeader(none), head("/{b}/k").with(enabled).replyHeader(sum, kind), get("/{b}/k").with(enabled).replyHeader(sum, kind),
		get("/{b}/k").with(enabled, "Range: bytes=0-9").gives(206).replyHeader(none), get("/{b}/k?partNumber=1").with(enabled).gives(206).replyHeader(sum, kind),
		put("/{b}/k", text).with(a.header("bad")).fails(400, "BadDigest"), put("/{b}/k", text).with(a.header(a.text("other"))).fails(400, "BadDigest"), get("/{b}/k").shows(text),
		put("/{b}/j", text).with("x-amz-checksum-algorithm: " + a.name).replyHeader(sum), put("/{b}/copy", "").with("x-amz-copy-source: {b}/k").shows(a.element(a.text(text)), "<ChecksumType>FULL_OBJECT</ChecksumType>"), head("/{b}/copy").with(enabled).replyHeader(sum),
		put("/{b}/plain", text), put("/{b}/copy", "").with("x-amz-copy-source: {b}/plain", "x-amz-checksum-algorithm: "+a.name).shows(a.element(a.text(text))), head("/{b}/copy").with(enabled).replyHeader(sum),
		get("/{b}/k?attributes").with("x-amz-object-attributes: Checksum").shows("<Checksum>"+a.element(a.text(text)), "<ChecksumType>FULL_OBJECT</ChecksumType>"), get("/{b}?prefix=k").shows("<ChecksumAlgorithm>"+a.name+"</ChecksumAlgorithm>", "<ChecksumType>FULL_OBJECT</ChecksumType>"),
	}
}

// uploadSteps makes an object of three parts with the checksum.
func (a *algorithm) uploadSteps(full bool) []step {
	if !full && a.name == "CRC64NVME" {
		return nil // has no such type
	}
	one, two, three := strings.Repeat("A", 5*mib), strings.Repeat("B", 5*mib), strings.Repeat("C", 1024)
	kind := "COMPOSITE"
	whole := base64.StdEncoding.EncodeToString(a.sum(string(a.sum(one))+string(a.sum(two))+string(a.sum(three)))) + "-3"
	if full {
		kind, whole = "FULL_OBJECT", a.text(one+two+three)
	}
	typed := "x-amz-checksum-type: " + kind
	part := func(n, body, save string) step {
		return put("/{b}/k?partNumber="+n+"&uploadId={u}", body).with(a.header(a.text(body))).replyHeader(a.header(a.text(body))).save(save + "=@Etag")
	}
	named := func(n, tag, body string) string {
		return "<Part><PartNumber>" + n + "</PartNumber><ETag>" + tag + "</ETag>" + a.element(a.text(body)) + "</Part>"
	}
	doc := "<CompleteMultipartUpload>" + named("1", "{e1}", one) + named("2", "{e2}", two) + named("3", "{e3}", three) + "</CompleteMultipartUpload>"
	wrong := "<CompleteMultipartUpload>" + named("1", "{e1}", two) + named("2", "{e2}", two) + named("3", "{e3}", three) + "</CompleteMultipartUpload>"
	complete := post("/{b}/k?uploadId={u}", doc)
	return []step{
		post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: "+a.name, typed).replyHeader("x-amz-checksum-algorithm: "+a.name, typed).save("u=UploadId"),
		put("/{b}/k?partNumber=1&uploadId={u}", "x").with(a.header(a.text("y"))).fails(400, "BadDigest"), part("1", one, "e1"), part("2", two, "e2"), part("3", three, "e3"),
		get("/{b}/k?uploadId={u}").shows("<ChecksumAlgorithm>"+a.name+"</ChecksumAlgorithm>", "<ChecksumType>"+kind+"</ChecksumType>", a.element(a.text(one))), get("/{b}?uploads").shows("<ChecksumAlgorithm>"+a.name+"</ChecksumAlgorithm>", "<ChecksumType>"+kind+"</ChecksumType>"),
		complete.with(a.header("bad")).fails(400, "BadDigest"), complete.with(a.header(a.text("other"))).fails(400, "BadDigest"), complete.body(wrong).fails(400, "InvalidPart").shows("<PartNumber>"), complete.with(typed, a.header(whole)).shows(a.element(whole), "<ChecksumType>"+kind+"</ChecksumType>"),
		complete.with(a.header(whole)).shows(a.element(whole)), // again
		head("/{b}/k").replyHeader(a.header("")), head("/{b}/k").with(enabled).replyHeader(a.header(whole), typed), get("/{b}/k?partNumber=1").with(enabled).gives(206).replyHeader(a.header(a.text(one)), typed),
		head("/{b}/k?partNumber=3").with(enabled).gives(206).replyHeader(a.header(a.text(three)), typed), head("/{b}/k?partNumber=3").gives(206).replyHeader(a.header("")),
		get("/{b}/k?attributes").with("x-amz-object-attributes: Checksum,ObjectParts").shows("<Checksum>"+a.element(whole), "<ChecksumType>"+kind+"</ChecksumType>", "<PartNumber>2</PartNumber>", a.element(a.text(two))),
		get("/{b}").shows("<ChecksumAlgorithm>"+a.name+"</ChecksumAlgorithm>", "<ChecksumType>"+kind+"</ChecksumType>"),
		// Parts named without their checksums are those recorded.
		post("/{b}/k?uploads", "").with("x-amz-checksum-algorithm: "+a.name, typed).save("u=UploadId"), put("/{b}/k?partNumber=1&uploadId={u}", three).save("e1=@Etag"), post("/{b}/k?uploadId={u}", parts("1", "{e1}")).shows("<Checksum" + a.name + ">"),
	}
}
