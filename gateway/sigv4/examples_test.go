package sigv4

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ostor/gateway/s3"
)

// The credentials and the day of Amazon's published examples (API reference, "Signature Calculations for the Authorization Header", "... Transferring Payload in Multiple
// Chunks", "... Using Query Parameters").
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleLookup(_ context.Context, accessKey string) (s3.Credential, error) {
	if accessKey != exampleKey {
		return s3.Credential{}, s3.ErrInvalidAccessKeyID
	}
	return s3.Credential{AccessKey: exampleKey, Secret: exampleSecret, UserID: 7}, nil
}

// request reads a request as net/http does. Lines end with a bare LF in text.
func request(t testing.TB, text, body string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n" + body)))
	if err != nil {
		t.Fatalf("the test's request: %v", err)
	}
	return r
}

const credential = "Credential=" + exampleKey + "/20130524/us-east-1/s3/aws4_request,"

func TestPublishedExamples(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		presigned  bool
		payload    s3.PayloadMode
	}{
		{"get object", `GET /test.txt HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Range: bytes=0-9
x-amz-content-sha256:` + emptyHash + `
x-amz-date: 20130524T000000Z
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41
`, false, s3.PayloadHashed},
		{"put object", `PUT /test$file.text HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Date: Fri, 24 May 2013 00:00:00 GMT
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd
`, false, s3.PayloadHashed},
		{"get bucket lifecycle", `GET /?lifecycle HTTP/1.1
Host: examplebucket.s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-content-sha256: ` + emptyHash + `
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543
`, false, s3.PayloadHashed},
		{"list objects", `GET /?max-keys=2&prefix=J HTTP/1.1
Host: examplebucket.s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-content-sha256: ` + emptyHash + `
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7
`, false, s3.PayloadHashed},
		{"presigned", `GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1
Host: examplebucket.s3.amazonaws.com
`, true, s3.PayloadUnsigned},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := New(Options{})
			r := request(t, tc.text, "")
			if InQuery(r) != tc.presigned || InHeader(r) == tc.presigned {
				t.Errorf("InQuery = %v, InHeader = %v", InQuery(r), InHeader(r))
			}
			sig, err := v.Verify(r, exampleTime, exampleLookup)
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if sig.Version != 4 || sig.Credential.UserID != 7 || sig.Credential.AccessKey != exampleKey || sig.Presigned != tc.presigned || sig.Payload != tc.payload ||
				sig.Region != "us-east-1" || !sig.Time.Equal(exampleTime) || !sig.Signed("host") || sig.Signed("content-type") {
				t.Errorf("got %+v", sig)
			}
			// One bit less is not enough.
			wrong := request(t, strings.Replace(strings.Replace(tc.text, "Signature=f", "Signature=e", 1), "HTTP/1.1\nHost: e", "HTTP/1.1\nHost: f", 1), "")
			if _, err := v.Verify(wrong, exampleTime, exampleLookup); !errors.Is(err, s3.ErrSignatureDoesNotMatch) {
				t.Errorf("another host: %v, want SignatureDoesNotMatch", err)
			}
		})
	}
}

const chunkedHead = `PUT /examplebucket/chunkObject.txt HTTP/1.1
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
Content-Length: 66824
`

// The three chunks of the documented example.
var exampleChunks = []string{
	"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n",
	"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n",
	"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
}

const trailerHead = `PUT /examplebucket/chunkObject.txt HTTP/1.1
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
Authorization: AWS4-HMAC-SHA256 ` + credential + `SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
x-amz-trailer: x-amz-checksum-crc32c
Content-Length: 66946
`

var exampleTrailerChunks = []string{
	"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) + "\r\n",
	"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) + "\r\n",
	"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
	"x-amz-checksum-crc32c:sOO8/Q==\r\n",
	"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
	"\r\n",
}

// send verifies a chunked example with the given body and reads it to the end.
func send(t *testing.T, head, body string) ([]byte, error) {
	t.Helper()
	r := request(t, head, body)
	// The body must end where the test ends it, as a connection that is cut does.
	r.Body = io.NopCloser(strings.NewReader(body))
	sig, err := New(Options{}).Verify(r, exampleTime, exampleLookup)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	b, err := s3.OpenBody(r, sig, 5<<30)
	if err != nil {
		t.Fatalf("OpenBody: %v", err)
	}
	return io.ReadAll(b)
}

func TestPublishedChunks(t *testing.T) {
	t.Parallel()
	got, err := send(t, chunkedHead, strings.Join(exampleChunks, ""))
	if err != nil || len(got) != 66560 || strings.Trim(string(got), "a") != "" {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	got, err = send(t, trailerHead, strings.Join(exampleTrailerChunks, ""))
	if err != nil || len(got) != 66560 {
		t.Errorf("with trailer: got %d bytes, %v", len(got), err)
	}
}
