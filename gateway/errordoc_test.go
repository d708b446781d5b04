package gateway

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestErrorDetails asks for errors whose documents have more than the common elements.
func TestErrorDetails(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "body"})
	now := time.Now().UTC()
	zeros, stamp := strings.Repeat("0", 64), now.Format("20060102T150405Z")
	scope := now.Format("20060102") + "/us-east-1/s3/aws4_request"
	bent := "Authorization: AWS4-HMAC-SHA256 Credential=" + alice + "/" + scope + ",SignedHeaders=host;x-amz-content-sha256;x-amz-date%s,Signature=" + zeros
	own := []string{"X-Amz-Date: " + stamp, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD"}
	signed := func(key, at string) []string {
		return []string{"X-Amz-Date: " + at, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", "X-Proxy-Secret: hidden",
			"Authorization: AWS4-HMAC-SHA256 Credential=" + key + "/" + scope + ",SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-proxy-secret,Signature=" + zeros}
	}
	presigned := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKALICE%2F20200102%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20200102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + zeros
	s.want(200, "", ask{method: "PUT", target: "/lock", header: []string{"X-Amz-Bucket-Object-Lock-Enabled: true"}})
	for _, tc := range []struct {
		ask    ask
		status int
		code   string
		has    []string
	}{
		{ask{method: "GET", target: "/none"}, 404, "NoSuchBucket", []string{"<BucketName>none</BucketName>"}},
		{ask{method: "GET", target: "/box?policy"}, 404, "NoSuchBucketPolicy", []string{"<BucketName>box</BucketName>"}},
		{ask{method: "GET", target: "/box?tagging"}, 404, "NoSuchTagSet", []string{"<BucketName>box</BucketName>"}},
		{ask{method: "GET", target: "/box/a%3Cb%01"}, 404, "NoSuchKey", []string{"<Key>a&lt;b\uFFFD</Key>"}},
		{ask{method: "GET", target: "/box/key?uploadId=" + strings.Repeat("u", 7000)}, 404, "NoSuchUpload", []string{"<UploadId>" + strings.Repeat("u", 6144) + "</UploadId>"}},
		{ask{method: "GET", target: "/box?max-keys=x"}, 400, "InvalidArgument", []string{"<ArgumentName>max-keys</ArgumentName><ArgumentValue>x</ArgumentValue>"}},
		{ask{method: "GET", target: "/box/key?versionId=guess"}, 400, "InvalidArgument", []string{"<ArgumentName>versionId</ArgumentName><ArgumentValue>guess</ArgumentValue>"}},
		{ask{method: "GET", target: "/box?versions&key-marker=a&version-id-marker=guess"}, 400, "InvalidArgument", []string{"<ArgumentName>version-id-marker</ArgumentName><ArgumentValue>guess</ArgumentValue>"}},
		{ask{method: "PUT", target: "/box/key", header: []string{"X-Amz-Acl: open"}}, 400, "InvalidArgument", []string{"<ArgumentName>x-amz-acl</ArgumentName><ArgumentValue>open</ArgumentValue>"}},
		{ask{method: "PUT", target: "/lock/key", body: "body", header: []string{"X-Amz-Object-Lock-Legal-Hold: wrong", "Content-MD5: hBotaJrYa9FhFEdFPCLG/A=="}}, 400, "InvalidArgument", []string{"<ArgumentName>x-amz-object-lock-legal-hold</ArgumentName><ArgumentValue>wrong</ArgumentValue>"}},
		{ask{method: "PUT", target: "/lock/key", body: "body", header: []string{"X-Amz-Object-Lock-Mode: GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date: 2020-01-01T00:00:00Z", "Content-MD5: hBotaJrYa9FhFEdFPCLG/A=="}}, 400, "InvalidArgument",
			[]string{"<ArgumentName>x-amz-object-lock-retain-until-date</ArgumentName><ArgumentValue>2020-01-01T00:00:00Z</ArgumentValue>"}},
		{ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box"}}, 400, "InvalidArgument", []string{"<ArgumentName>x-amz-copy-source</ArgumentName><ArgumentValue>box</ArgumentValue>"}},
		{ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: box/key", "X-Amz-Metadata-Directive: MOVE"}}, 400, "InvalidArgument", []string{"<ArgumentName>x-amz-metadata-directive</ArgumentName><ArgumentValue>MOVE</ArgumentValue>"}},
		{ask{method: "GET", target: "/box/key", header: []string{"Range: bytes=9-"}}, 416, "InvalidRange", []string{"<RangeRequested>bytes=9-</RangeRequested><ActualObjectSize>4</ActualObjectSize>"}},
		{ask{method: "GET", target: "/box/key", header: []string{`If-Match: "x"`}}, 412, "PreconditionFailed", []string{"<Condition>If-Match</Condition>"}},
		{ask{method: "GET", target: "/box/key", header: []string{"If-None-Match: x", "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT"}}, 412, "PreconditionFailed", []string{"<Condition>If-Unmodified-Since</Condition>"}},
		{ask{method: "PUT", target: "/box/key", header: []string{"If-None-Match: *"}}, 412, "PreconditionFailed", []string{"<Condition>If-None-Match</Condition>"}},
		{ask{method: "POST", target: "/"}, 405, "MethodNotAllowed", []string{"<Method>POST</Method><ResourceType>SERVICE</ResourceType>"}},
		{ask{method: "PUT", target: "/box/key?policy"}, 405, "MethodNotAllowed", []string{"<Method>PUT</Method><ResourceType>OBJECT</ResourceType>"}},
		{ask{method: "PUT", target: "/box/" + strings.Repeat("k", 1025)}, 400, "KeyTooLongError", []string{"<Size>1025</Size><MaxSizeAllowed>1024</MaxSizeAllowed>"}},
		{ask{method: "PUT", target: "/box/m", header: []string{"X-Amz-Meta-A: " + strings.Repeat("v", 2048)}}, 400, "MetadataTooLarge", []string{"<Size>2049</Size><MaxSizeAllowed>2048</MaxSizeAllowed>"}},
		{ask{method: "PUT", target: "/box/d", body: "bar", header: []string{"Content-MD5: rL0Y20xC+Fzt72VPzMSk2A=="}}, 400, "BadDigest",
			[]string{"<ExpectedDigest>rL0Y20xC+Fzt72VPzMSk2A==</ExpectedDigest><CalculatedDigest>N7UdGUp1E+RbVvZSTy1R8g==</CalculatedDigest>"}},
		{ask{method: "PUT", target: "/box/d", body: "bar", header: []string{"Content-MD5: <"}}, 400, "InvalidDigest", []string{"<Content-MD5>&lt;</Content-MD5>"}},
		{ask{method: "GET", target: "/box/key", key: "-", header: signed("AKNOBODY", stamp)}, 403, "InvalidAccessKeyId", []string{"<AWSAccessKeyId>AKNOBODY</AWSAccessKeyId>"}},
		{ask{method: "GET", target: "/box/key", key: "-", header: signed(alice, stamp)}, 403, "SignatureDoesNotMatch", []string{"<AWSAccessKeyId>AKALICE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256&#xa;" + stamp + "&#xa;" + scope + "&#xa;",
			"<SignatureProvided>" + zeros + "</SignatureProvided><StringToSignBytes>41 57 53 34 2d "}},
		{ask{method: "GET", target: "/box/a%2Bb?x=1", key: "-", header: append(own, fmt.Sprintf(bent, ""))}, 403, "SignatureDoesNotMatch", []string{"</StringToSignBytes><CanonicalRequest>GET&#xa;/box/a%2Bb&#xa;x=1&#xa;host:",
			"&#xa;x-amz-content-sha256:UNSIGNED-PAYLOAD&#xa;x-amz-date:" + stamp + "&#xa;&#xa;host;x-amz-content-sha256;x-amz-date&#xa;UNSIGNED-PAYLOAD</CanonicalRequest><CanonicalRequestBytes>47 45 54 0a 2f "}},
		{ask{method: "GET", target: "/box/key", key: "-", header: []string{"Date: " + now.Format(http.TimeFormat), "Authorization: AWS " + alice + ":AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}, 403, "SignatureDoesNotMatch",
			[]string{"<StringToSign>GET&#xa;&#xa;&#xa;" + now.Format(http.TimeFormat) + "&#xa;/box/key</StringToSign><SignatureProvided>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</SignatureProvided><StringToSignBytes>47 45 54 0a "}},
		{ask{method: "GET", target: "/box/key", key: "-", header: []string{"Date: " + now.Format(http.TimeFormat), "X-Amz-Security-Token: hidden", "Authorization: AWS " + alice + ":AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}, 403, "SignatureDoesNotMatch", nil},
		{ask{method: "GET", target: "/box/key?X-Amz-Security-Token=hidden", key: "-", header: append(own, fmt.Sprintf(bent, ""))}, 403, "SignatureDoesNotMatch", nil},
		{ask{method: "GET", target: "/box/key", key: "-", header: append(own, "X-Amz-Server-Side-Encryption-Customer-Key: hidden", fmt.Sprintf(bent, ";x-amz-server-side-encryption-customer-key"))}, 403, "SignatureDoesNotMatch", nil},
		{ask{method: "GET", target: "/box/key", key: "-", header: signed(alice, "20200102T030405Z")}, 403, "RequestTimeTooSkewed", []string{"<RequestTime>20200102T030405Z</RequestTime><ServerTime>20", "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>"}},
		{ask{method: "GET", target: "/box/key?" + presigned, key: "-"}, 403, "AccessDenied", []string{"<X-Amz-Expires>60</X-Amz-Expires><Expires>2020-01-02T03:05:05Z</Expires><ServerTime>20"}},
	} {
		got := s.want(tc.status, tc.code, tc.ask)
		for _, want := range tc.has {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s %.80s %s: no %.80s in %s", tc.ask.method, tc.ask.target, tc.code, want, got.body)
			}
		}
		if err := xml.Unmarshal([]byte(got.body), new(struct{})); err != nil {
			t.Errorf("%s %.80s: %v", tc.ask.method, tc.ask.target, err)
		}
		if strings.Contains(got.body, "hidden") || strings.Contains(got.body, "secret") && tc.code != "SignatureDoesNotMatch" { // whose message speaks of the secret access key
			t.Errorf("%s %.80s: a secret in %s", tc.ask.method, tc.ask.target, got.body)
		}
	}
}
