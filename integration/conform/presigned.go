package conform

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// presigned makes the request a URL that its user signed so long ago for so long, and that anybody sends. Its headers are signed and sent.
func (s step) presigned(age, life time.Duration) step {
	who := s.user
	s.prepare = func(site *Site, st *step, expand func(string) string) {
		path, query, _ := strings.Cut(expand(st.target), "?")
		req, err := http.NewRequest(st.method, site.Endpoint, nil) //nolint:noctx // never sent
		if err != nil {
			return // the request is sent unsigned, and refused
		}
		if query != "" {
			query += "&"
		}
		req.URL.Opaque, req.URL.RawQuery = "//"+req.URL.Host+path, query+"X-Amz-Expires="+strconv.Itoa(int(life/time.Second))
		for _, h := range st.header {
			name, value, _ := strings.Cut(expand(h), ": ")
			req.Header.Set(name, value)
		}
		u := site.user(who)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
		signed, _, err := signer.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: u.AccessKey, SecretAccessKey: u.SecretKey}, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now().Add(-age))
		if err == nil {
			_, query, _ = strings.Cut(signed, "?")
			st.target = path + "?" + query
		}
	}
	return s.by(nobody)
}

// presignedV2 is the same by version 2, which says until when the URL is good. Parameters x-amz-* of the target are signed as headers.
func (s step) presignedV2(life time.Duration) step {
	who := s.user
	s.prepare = func(site *Site, st *step, expand func(string) string) {
		path, query, _ := strings.Cut(expand(st.target), "?")
		expires := strconv.FormatInt(time.Now().Add(life).Unix(), 10)
		var amz []string
		for p := range strings.SplitSeq(query, "&") {
			if name, value, _ := strings.Cut(p, "="); strings.HasPrefix(strings.ToLower(name), "x-amz-") {
				amz = append(amz, strings.ToLower(name)+":"+value+"\n")
			}
		}
		slices.Sort(amz)
		u := site.user(who)
		mac := hmac.New(sha1.New, []byte(u.SecretKey))
		mac.Write([]byte(st.method + "\n\n\n" + expires + "\n" + strings.Join(amz, "") + path))
		st.target = path + "?" + strings.TrimPrefix(query+"&", "&") + "AWSAccessKeyId=" + u.AccessKey + "&Expires=" + expires + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return s.by(nobody)
}

func presignedCases() section {
	const day = 24 * time.Hour
	return section{"presigned", []testCase{
		{"get", []step{
			put("/{b}/foo", "bar"), get("/{b}/foo").presigned(0, 100000*time.Second).shows("bar"), head("/{b}/foo").presigned(0, time.Hour), get("/{b}/foo?response-content-type=foo/bar&response-cache-control=no-cache").presigned(0, time.Hour).shows("bar").replyHeader("Content-Type: foo/bar", "Cache-Control: no-cache"),
			get("/{b}/foo").presigned(0, 0).fails(403, denied), get("/{b}/foo").presigned(0, -7*time.Second).fails(403, denied), get("/{b}/foo").presigned(0, 609901*time.Second).fails(403, denied),
			get("/{b}/foo").presigned(0, 7*day).shows("bar"), get("/{b}/foo").presigned(2*time.Hour, time.Hour).fails(403, denied), get("/{b}/foo").by(alt).presigned(0, time.Hour).fails(403, denied),
			get("/{b}/none").presigned(0, time.Hour).fails(404, "NoSuchKey"), get("/{c}/none").presigned(0, time.Hour).fails(404, "NoSuchBucket"),
			get("/{b}/foo").presignedV2(time.Hour).shows("bar"), get("/{b}/foo").presignedV2(-time.Hour).fails(403, denied), get("/{b}/foo").by(alt).presignedV2(time.Hour).fails(403, denied),
		}},
		{"put", []step{
			put("/{b}/foo", "bar").presigned(0, time.Hour), get("/{b}/foo").shows("bar"), put("/{b}/foo", "soup").presigned(0, -1000*time.Second).fails(403, denied), get("/{b}/foo").shows("bar"),
			put("/{b}/foo", "x").with("x-amz-acl: public-read").presigned(0, time.Hour), get("/{b}/foo").by(nobody).shows("x"),
			put("/{b}/foo", "x").with("x-amz-acl: private").presigned(0, time.Hour), get("/{b}/foo").by(nobody).fails(403, denied),
			put("/{b}/foo", "y").presignedV2(time.Hour), get("/{b}/foo").shows("y"), put("/{b}/foo", "y").presignedV2(-time.Hour).fails(403, denied), do("DELETE", "/{b}/foo").gives(204).presigned(0, time.Hour), get("/{b}/foo").fails(404, "NoSuchKey"),
		}},
		{"headers in the query", []step{
			put("/{b}/foo?x-amz-acl=public-read&X-Amz-Tagging=a%3D1&x-amz-meta-color=blue", "x").presigned(0, time.Hour), get("/{b}/foo").by(nobody).shows("x").replyHeader("x-amz-meta-color: blue"), head("/{b}/foo").replyHeader("x-amz-tagging-count: 1"),
			put("/{b}/v2?x-amz-acl=public-read&x-amz-meta-color=red", "x").presignedV2(time.Hour), get("/{b}/v2").by(nobody).shows("x").replyHeader("x-amz-meta-color: red"),
			put("/{b}/lock?x-amz-object-lock-legal-hold=ON", "x").presigned(0, time.Hour).fails(400, "InvalidRequest"), put("/{b}/copy?x-amz-copy-source={b}/foo", "").presigned(0, time.Hour).shows("<CopyObjectResult"), get("/{b}/copy").shows("x"),
			put("/{b}/sum?x-amz-sdk-checksum-algorithm=SHA256", "x").presigned(0, time.Hour), put("/{b}/sum?x-amz-sdk-checksum-algorithm=SHA256", "y").presignedV2(time.Hour), get("/{b}/sum").shows("y"),
			put("/{b}/foo?x-amz-acl=public-read", "x").with("x-amz-acl: private").presigned(0, time.Hour).fails(400, "InvalidRequest"), put("/{b}/foo?x-amz-acl=secret", "x").presigned(0, time.Hour).fails(400, "InvalidArgument"),
			put("/{b}/foo?x-amz-acl=private", "z"), get("/{b}/foo").shows("z"), // of a request that is signed in its header the query is no header
		}},
	}}
}
