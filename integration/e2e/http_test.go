package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"
)

// What needs no S3 client: forms and URLs that somebody else signed, and buckets open to all, with curl.

// curl returns the status and the body; args end with the URL.
func (s *site) curl(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	out := s.tool(t, "curl", append([]string{"-sS", "-w", "\n%{http_code}"}, args...)...)
	i := strings.LastIndexByte(out, '\n')
	return out[i+1:], out[:i]
}

func (s *site) want(t *testing.T, wantStatus, wantBody string, args ...string) {
	t.Helper()
	if status, body := s.curl(t, args...); status != wantStatus || !strings.Contains(body, wantBody) {
		t.Errorf("curl %s: status %s, want %s and %q in\n%s", strings.Join(args, " "), status, wantStatus, wantBody, body)
	}
}

// forms uploads files from HTML forms (POST Object), with policies signed by both versions.
func forms(t *testing.T, s *site) {
	c := newSDK(s)
	c.makeBucket(t, "forms")
	dir := t.TempDir()
	file, long := filepath.Join(dir, "holiday.txt"), filepath.Join(dir, "long.txt")
	for name, text := range map[string]string{file: "sun and sea", long: strings.Repeat("rain ", 100)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	day, stamp := now.Format("20060102"), now.Format("20060102T150405Z")
	credential := s.access + "/" + day + "/us-east-1/s3/aws4_request"
	policy := func(expires time.Duration, conditions string) string {
		return base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":"forms"},["starts-with","$key","up/"],["content-length-range",1,100]%s]}`,
			now.Add(expires).Format("2006-01-02T15:04:05.000Z"), conditions)))
	}
	v4 := func(p string) []string {
		key := []byte("AWS4" + s.secret)
		for _, part := range []string{day, "us-east-1", "s3", "aws4_request"} {
			key = sum256(key, part)
		}
		return []string{"x-amz-algorithm=AWS4-HMAC-SHA256", "x-amz-credential=" + credential, "x-amz-date=" + stamp, "policy=" + p, "x-amz-signature=" + hex.EncodeToString(sum256(key, p))}
	}
	const v4Conditions = `,["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""],["starts-with","$x-amz-algorithm",""]`
	v2 := func(p string) []string {
		h := hmac.New(sha1.New, []byte(s.secret))
		h.Write([]byte(p))
		return []string{"AWSAccessKeyId=" + s.access, "policy=" + p, "signature=" + base64.StdEncoding.EncodeToString(h.Sum(nil))}
	}
	post := func(status, body, file string, fields ...string) {
		t.Helper()
		var args []string
		for _, f := range fields {
			args = append(args, "-F", f)
		}
		s.want(t, status, body, append(args, "-F", "file=@"+file+";type=text/plain", s.endpoint+"/forms")...)
	}
	good := policy(time.Hour, v4Conditions)
	post("204", "", file, append(v4(good), "key=up/${filename}")...)
	post("204", "", file, append(v2(policy(time.Hour, "")), "key=up/v2")...)
	post("201", "<Key>up/created</Key>", file, append(v4(policy(time.Hour, v4Conditions+`,{"success_action_status":"201"}`)), "key=up/created", "success_action_status=201")...)
	post("303", "", file, append(v2(policy(time.Hour, `,["starts-with","$success_action_redirect","http://example.com/"]`)), "key=up/redirected", "success_action_redirect=http://example.com/done")...)
	post("204", "", file, append(v4(policy(time.Hour, v4Conditions+`,{"x-amz-meta-place":"sea"},["starts-with","$Content-Type","text/"]`)), "key=up/meta", "x-amz-meta-place=sea", "Content-Type=text/x-sea")...)
	post("400", "<Code>EntityTooLarge</Code>", long, append(v4(good), "key=up/long")...)
	post("403", "<Code>AccessDenied</Code>", file, append(v4(good), "key=down/x")...)
	post("403", "<Code>AccessDenied</Code>", file, append(v4(good), "key=up/x", "x-amz-meta-extra=1")...)
	post("403", "<Code>AccessDenied</Code>", file, append(v4(policy(-time.Hour, v4Conditions)), "key=up/x")...)
	post("403", "<Code>SignatureDoesNotMatch</Code>", file, append(v4(good + "")[:4], "x-amz-signature="+strings.Repeat("0", 64), "key=up/x")...)
	post("403", "<Code>AccessDenied</Code>", file, "key=up/anonymous")
	for _, key := range []string{"up/holiday.txt", "up/v2", "up/created", "up/redirected", "up/meta"} {
		back := filepath.Join(t.TempDir(), "back")
		c.download(t, "forms", key, back)
		if got, err := os.ReadFile(back); string(got) != "sun and sea" {
			t.Errorf("%s holds %q, %v", key, got, err)
		}
	}
	head, err := c.c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: ptr("forms"), Key: ptr("up/meta")})
	if err != nil || head.Metadata["place"] != "sea" || *head.ContentType != "text/x-sea" {
		t.Errorf("up/meta: %+v, %v", head, err)
	}
	if n := c.count(t, "forms", ""); n != 5 {
		t.Errorf("%d objects, want 5", n)
	}
}

func sum256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signedURLs uses with curl what each SDK and tool signs.
func signedURLs(t *testing.T, s *site) {
	c := newSDK(s)
	const bucket, key, text = "signed-urls", "a b/ü+%41", "through a presigned URL"
	c.makeBucket(t, bucket)
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(u string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(u)
	}
	aws := awss3.NewPresignClient(c.c)
	v4 := newMinio(t, s).c
	v2, err := minio.New(s.host(t), &minio.Options{Creds: miniocreds.NewStaticV2(s.access, s.secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
	if err != nil {
		t.Fatal(err)
	}
	text4 := func(u *url.URL, err error) (string, error) {
		if err != nil {
			return "", err
		}
		return u.String(), nil
	}
	awsPut, err := aws.PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: ptr(bucket), Key: ptr(key)})
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]string{
		"aws-sdk-go-v2":  awsPut.URL,
		"minio-go SigV4": must(text4(v4.PresignedPutObject(t.Context(), bucket, key, time.Hour))),
		"minio-go SigV2": must(text4(v2.PresignedPutObject(t.Context(), bucket, key, time.Hour))),
	} {
		t.Log(name)
		s.want(t, "200", "", "-T", src, put)
	}
	awsGet, err := aws.PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: ptr(bucket), Key: ptr(key)})
	if err != nil {
		t.Fatal(err)
	}
	gets := map[string]string{
		"aws-sdk-go-v2":  awsGet.URL,
		"minio-go SigV4": must(text4(v4.PresignedGetObject(t.Context(), bucket, key, time.Hour, nil))),
		"minio-go SigV2": must(text4(v2.PresignedGetObject(t.Context(), bucket, key, time.Hour, nil))),
		"awscli":         must(s.aws(t, "s3", "presign", "s3://"+bucket+"/"+key), nil),
		"s3cmd":          must(newS3cmd(t, s).run(t, "signurl", "s3://"+bucket+"/"+key, "+3600"), nil),
		"rclone":         must(newRclone(t, s).run(t, "link", "--expire", "1h", "o:"+bucket+"/"+key), nil),
	}
	for name, get := range gets {
		t.Log(name)
		s.want(t, "200", text, get)
		s.want(t, "206", text[8:17], "-r", "8-16", get)
		u, err := url.Parse(get)
		if err != nil {
			t.Fatal(err)
		}
		u.Path, u.RawPath = u.Path+"x", ""
		s.want(t, "403", "<Code>SignatureDoesNotMatch</Code>", u.String()) // no word of whether it exists
		s.want(t, "403", "<Code>SignatureDoesNotMatch</Code>", "-X", "DELETE", get)
		s.want(t, "403", "<Code>SignatureDoesNotMatch</Code>", "-T", src, get)
	}
	s.want(t, "403", "<Code>AccessDenied</Code>", s.endpoint+"/"+bucket+"/x")
}

// openBucket reads a bucket that all may read as a browser does.
func openBucket(t *testing.T, s *site) {
	c := newSDK(s)
	c.makeBucket(t, "open")
	for key, body := range map[string]string{"index.html": "<h1>hello</h1>", "img/ü 1.svg": "<svg/>", "closed.txt": "closed"} {
		in := &awss3.PutObjectInput{Bucket: ptr("open"), Key: &key, Body: strings.NewReader(body), ACL: types.ObjectCannedACLPublicRead, ContentType: ptr("text/html; charset=utf-8"), CacheControl: ptr("max-age=60")}
		if key == "closed.txt" {
			in.ACL = types.ObjectCannedACLPrivate
		}
		if _, err := c.c.PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	base := s.endpoint + "/open"
	browser := []string{"-A", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "-H", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "-H", "Accept-Language: de,en;q=0.5", "--compressed"}
	get := func(status, body, url string, more ...string) {
		t.Helper()
		s.want(t, status, body, append(append(append([]string{}, browser...), more...), url)...)
	}
	get("403", "AccessDenied", base+"/")
	if _, err := c.c.PutBucketAcl(t.Context(), &awss3.PutBucketAclInput{Bucket: ptr("open"), ACL: types.BucketCannedACLPublicRead}); err != nil {
		t.Fatal(err)
	}
	// Another gateway, or this one's cache, may take up to five seconds to see it.
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if status, _ := s.curl(t, base+"/"); status == "200" || time.Now().After(end) {
			break
		}
	}
	get("200", `href="/open/index.html"`, base+"/") // a page for people, at either address of the bucket
	get("200", `href="/open/index.html"`, base)
	s.want(t, "200", "<Key>index.html</Key>", base+"/") // and XML for programs
	get("200", "<h1>hello</h1>", base+"/index.html")
	get("200", "<svg/>", base+"/img/%C3%BC%201.svg")
	get("200", "<h1>hello</h1>", base+"/index.html?utm_source=elsewhere") // a page's address may carry anything
	get("403", "AccessDenied", base+"/closed.txt")
	get("403", "AccessDenied", base+"/none.txt", "-X", "PUT", "-d", "x")
	status, head := s.curl(t, "-I", base+"/index.html")
	if status != "200" {
		t.Fatalf("HEAD: status %s", status)
	}
	headers := map[string]string{}
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		headers[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	if headers["content-type"] != "text/html; charset=utf-8" || headers["cache-control"] != "max-age=60" || headers["content-length"] != "14" || headers["accept-ranges"] != "bytes" {
		t.Errorf("HEAD: %q", headers)
	}
	get("304", "", base+"/index.html", "-H", "If-None-Match: "+headers["etag"])
	get("304", "", base+"/index.html", "-H", "If-Modified-Since: "+headers["last-modified"])
	get("206", "hello", base+"/index.html", "-H", "Range: bytes=4-8", "-H", "If-Range: "+headers["etag"])
	// A page of another origin: the default CORS rule lets it read.
	if _, head := s.curl(t, "-I", "-H", "Origin: https://app.example.com", base+"/index.html"); !strings.Contains(strings.ToLower(head), "access-control-allow-origin: ") {
		t.Errorf("no Access-Control-Allow-Origin in\n%s", head)
	}
	get("200", "", base+"/index.html", "-X", "OPTIONS", "-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: GET")
}
