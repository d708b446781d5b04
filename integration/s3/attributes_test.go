package s3

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"ostor/internal/cluster"
)

// TestObjectAttributes uploads the same bytes whole and in parts, with each type of checksum, and reads what is told about them.
func TestObjectAttributes(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	big := strings.Repeat("0123456789abcdef", cluster.MinPartBytes/16)
	bodies := []string{big, "tail"}
	sums := [][]byte{decode(crc32Of(big)), decode(crc32Of("tail"))}
	c := crc32.ChecksumIEEE(append(append([]byte{}, sums[0]...), sums[1]...))
	composite := base64.StdEncoding.EncodeToString([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)}) + "-2"
	upload := func(key, kind string, whole string) answer {
		header := []string{"X-Amz-Checksum-Algorithm: CRC32", "X-Amz-Checksum-Type: " + kind}
		id := s.want(200, "", ask{method: "POST", target: "/box/" + key + "?uploads", header: header}).between("UploadId")
		doc := "<CompleteMultipartUpload>"
		for i, body := range bodies {
			put := s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("/box/%s?partNumber=%d&uploadId=%s", key, 2*i+1, id), body: body})
			if got := put.header.Get("X-Amz-Checksum-Crc32"); got != crc32Of(body) {
				t.Errorf("%s: part %d has the checksum %q", kind, i, got)
			}
			doc += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumCRC32>%s</ChecksumCRC32></Part>", 2*i+1, xmlEscape(put.header.Get("ETag")), crc32Of(body))
		}
		at := ask{method: "POST", target: "/box/" + key + "?uploadId=" + id, body: doc + "</CompleteMultipartUpload>"}
		wrong := at
		wrong.header = []string{"X-Amz-Checksum-Crc32: AAAAAA=="}
		s.want(400, "BadDigest", wrong)
		wrong.header = []string{"X-Amz-Mp-Object-Size: 7"}
		s.want(400, "InvalidRequest", wrong)
		at.header = []string{"X-Amz-Checksum-Crc32: " + strings.TrimSuffix(whole, "-2"), "X-Amz-Checksum-Type: " + kind}
		return s.want(200, "", at)
	}
	upload("composite", "COMPOSITE", composite)
	upload("full", "FULL_OBJECT", crc32Of(big+"tail"))
	s.want(200, "", ask{method: "PUT", target: "/box/plain", body: "tail", header: []string{"X-Amz-Checksum-Crc32: " + crc32Of("tail")}})
	all := "X-Amz-Object-Attributes: ETag,Checksum,ObjectParts, StorageClass,ObjectSize"
	part := func(n int, body string) string {
		return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><Size>%d</Size><ChecksumCRC32>%s</ChecksumCRC32></Part>", n, len(body), crc32Of(body))
	}
	s.run([]step{
		{ask: ask{method: "GET", target: "/box/composite?attributes", header: []string{all}}, status: 200, headers: map[string]string{"X-Amz-Version-Id": ""},
			has: []string{"<ChecksumCRC32>" + composite + "</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>", "<PartsCount>2</PartsCount>", part(1, big) + part(3, "tail"),
				"<StorageClass>STANDARD</StorageClass>", fmt.Sprintf("<ObjectSize>%d</ObjectSize>", len(big)+4), "-2</ETag>"}},
		{ask: ask{method: "GET", target: "/box/full?attributes", header: []string{all}}, status: 200,
			has: []string{"<ChecksumCRC32>" + crc32Of(big+"tail") + "</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"}},
		{ask: ask{method: "GET", target: "/box/full?attributes", header: []string{"X-Amz-Object-Attributes: ObjectParts", "X-Amz-Max-Parts: 1"}}, status: 200,
			has: []string{part(1, big), "<NextPartNumberMarker>1</NextPartNumberMarker>", "<IsTruncated>true</IsTruncated>"}, hasNot: []string{part(3, "tail"), "ETag", "ObjectSize"}},
		{ask: ask{method: "GET", target: "/box/full?attributes", header: []string{"X-Amz-Object-Attributes: ObjectParts", "X-Amz-Part-Number-Marker: 1"}}, status: 200,
			has: []string{part(3, "tail"), "<IsTruncated>false</IsTruncated>"}, hasNot: []string{part(1, big)}},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{all}}, status: 200,
			has: []string{"<ETag>" + strings.Trim(etagOf("tail"), `"`) + "</ETag>", "<ObjectSize>4</ObjectSize>", "FULL_OBJECT"}, hasNot: []string{"ObjectParts"}},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{"X-Amz-Object-Attributes: ETag", "X-Amz-Object-Attributes: ObjectSize"}}, status: 200, has: []string{"<ETag>", "<ObjectSize>4"}},
		{ask: ask{method: "GET", target: "/box/plain?attributes"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{"X-Amz-Object-Attributes: Colour"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{all, "X-Amz-Max-Parts: x"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box/none?attributes", header: []string{all}}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{all}, who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{all}, anonymous: true}, status: 403, code: "AccessDenied"},
	})
	s.versioning("box", "Enabled")
	marker := s.want(204, "", ask{method: "DELETE", target: "/box/plain"}).header.Get("X-Amz-Version-Id")
	s.run([]step{
		{ask: ask{method: "GET", target: "/box/plain?attributes", header: []string{all}}, status: 404, code: "NoSuchKey", headers: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{ask: ask{method: "GET", target: "/box/plain?attributes&versionId=" + marker, header: []string{all}}, status: 405, code: "MethodNotAllowed"},
		{ask: ask{method: "GET", target: "/box/plain?attributes&versionId=null", header: []string{all}}, status: 200, headers: map[string]string{"X-Amz-Version-Id": "null"}},
	})
}

func decode(v string) []byte {
	b, _ := base64.StdEncoding.DecodeString(v) // of a test
	return b
}

// TestConditionalWrites tries every condition on every operation that writes, over an object, a missing key and a key under a delete marker.
func TestConditionalWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	s.versioning("box", "Enabled")
	s.want(200, "", ask{method: "PUT", target: "/box/source", body: "source"})
	good, bad := "If-Match: "+etagOf("here"), `If-Match: "00000000000000000000000000000000"`
	for _, op := range []string{"put", "copy", "complete"} {
		write := func(key string, header ...string) ask {
			switch op {
			case "put":
				return ask{method: "PUT", target: "/box/" + key, body: "new", header: header}
			case "copy":
				return ask{method: "PUT", target: "/box/" + key, header: append(header, "X-Amz-Copy-Source: box/source")}
			}
			id := s.want(200, "", ask{method: "POST", target: "/box/" + key + "?uploads"}).between("UploadId")
			etag := s.want(200, "", ask{method: "PUT", target: "/box/" + key + "?partNumber=1&uploadId=" + id, body: "new"}).header.Get("ETag")
			return ask{method: "POST", target: "/box/" + key + "?uploadId=" + id, header: header,
				body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + xmlEscape(etag) + "</ETag></Part></CompleteMultipartUpload>"}
		}
		here := op + "/here"
		s.want(200, "", ask{method: "PUT", target: "/box/" + here, body: "here"})
		s.want(204, "", ask{method: "DELETE", target: "/box/" + op + "/hidden"})
		s.run([]step{
			{ask: write(here, "If-None-Match: *"), status: 412, code: "PreconditionFailed"},
			{ask: write(here, bad), status: 412, code: "PreconditionFailed"},
			{ask: write(here, good, "If-None-Match: *"), status: 501, code: "NotImplemented"},
			{ask: write(op+"/none", good), status: 404, code: "NoSuchKey"},
			{ask: write(op+"/none", "If-Match: *"), status: 404, code: "NoSuchKey"},
			{ask: write(op+"/hidden", good), status: 404, code: "NoSuchKey"},
			{ask: write(op+"/hidden", "If-None-Match: *"), status: 200},
			{ask: write(op+"/none", "If-None-Match: *"), status: 200},
			{ask: write(op+"/none", "If-None-Match: *"), status: 412, code: "PreconditionFailed"},
			{ask: write(here, good), status: 200},
			{ask: write(here, good), status: 412, code: "PreconditionFailed"},
			{ask: write(here, "If-Match: *"), status: 200},
		})
	}
	s.want(200, "", ask{method: "PUT", target: "/box/here", body: "here"})
	s.run([]step{
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{bad}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{"If-None-Match: *"}}, status: 501, code: "NotImplemented"},
		{ask: ask{method: "DELETE", target: "/box/none", header: []string{"If-Match: *"}}, status: 404, code: "NoSuchKey"},
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{"X-Amz-If-Match-Size: 5"}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{"X-Amz-If-Match-Last-Modified-Time: Mon, 02 Jan 2006 15:04:05 GMT"}}, status: 412, code: "PreconditionFailed"},
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{good, "X-Amz-If-Match-Size: 4"}}, status: 204, headers: map[string]string{"X-Amz-Delete-Marker": "true"}},
		{ask: ask{method: "DELETE", target: "/box/here", header: []string{good}}, status: 404, code: "NoSuchKey"},
	})
}

func TestRequestPayment(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	doc := func(payer string) string {
		return "<RequestPaymentConfiguration><Payer>" + payer + "</Payer></RequestPaymentConfiguration>"
	}
	s.run([]step{
		{ask: ask{method: "GET", target: "/box?requestPayment"}, status: 200, has: []string{"<Payer>BucketOwner</Payer>"}},
		{ask: ask{method: "PUT", target: "/box?requestPayment", body: doc("BucketOwner")}, status: 200},
		{ask: ask{method: "PUT", target: "/box?requestPayment", body: doc("Requester")}, status: 200},
		{ask: ask{method: "PUT", target: "/box?requestPayment", body: doc("Somebody")}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?requestPayment", body: doc("BucketOwner"), who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box?requestPayment", anonymous: true}, status: 403, code: "AccessDenied"},
	})
}
