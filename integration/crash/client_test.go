package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ostor/gateway/account"
)

var signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })

// client sends signed requests to a gateway, without a network between.
type client struct {
	gateway http.Handler
	user    account.User
}

// answer is a reply.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) ok() bool { return a.status/100 == 2 }

func (a answer) String() string {
	b := a.body
	if len(b) > 300 {
		b = b[:300]
	}
	return fmt.Sprintf("%d %s", a.status, b)
}

// do sends one request. Headers are names and values in turn.
func (c *client) do(method, target string, body []byte, headers ...string) answer {
	sum := sha256.Sum256(body)
	return c.send(c.request(method, target, bytes.NewReader(body), int64(len(body)), hex.EncodeToString(sum[:]), headers...))
}

// request returns a signed request whose payload hash and length are what the caller says.
func (c *client) request(method, target string, body io.Reader, length int64, hash string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://cluster"+target, body)
	r.ContentLength = length
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	key := aws.Credentials{AccessKeyID: c.user.Keys[0].AccessKey, SecretAccessKey: c.user.Keys[0].Secret}
	if err := signer.SignHTTP(context.Background(), key, r, hash, "s3", "us-east-1", time.Now()); err != nil {
		panic(err) // of a request that cannot be signed: the test is wrong
	}
	r.Header.Set("Content-Length", strconv.FormatInt(length, 10)) // as net/http hands it on, also when it is 0
	return r
}

// statusCut is what a client knows of a request whose reply was cut off.
const statusCut = 599

func (c *client) send(r *http.Request) (a answer) {
	w := httptest.NewRecorder()
	w.Body.Grow(1 << 10)
	defer func() { // as net/http does
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
			a = answer{status: statusCut}
		} else if p != nil {
			panic(p)
		}
	}()
	c.gateway.ServeHTTP(w, r)
	header := http.Header{}
	for name, v := range w.Header() { // as a client would see them: S3's spelling of ETag is not Go's
		header[http.CanonicalHeaderKey(name)] = v
	}
	return answer{w.Code, header, w.Body.Bytes()}
}

// listed is one key of a listing.
type listed struct {
	Key  string
	Size int64
}

// list returns all keys of a bucket by pages of n.
func (c *client) list(bucket string, n int) (all []listed, err error) {
	for token := ""; ; {
		target := fmt.Sprintf("/%s?list-type=2&max-keys=%d", bucket, n)
		if token != "" {
			target += "&continuation-token=" + queryEscape(token)
		}
		a := c.do("GET", target, nil)
		if !a.ok() {
			return nil, fmt.Errorf("list %s: %v", bucket, a)
		}
		var page struct {
			Contents              []listed
			IsTruncated           bool
			NextContinuationToken string
		}
		if err := xml.Unmarshal(a.body, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Contents...)
		if !page.IsTruncated {
			return all, nil
		}
		if len(page.Contents) == 0 {
			return nil, fmt.Errorf("list %s: an empty page that is not the last", bucket)
		}
		token = page.NextContinuationToken
	}
}

// upload is one of ListMultipartUploads.
type upload struct{ Key, UploadId string }

func (c *client) uploads(bucket string) ([]upload, error) {
	a := c.do("GET", "/"+bucket+"?uploads=", nil)
	var page struct {
		Upload      []upload
		IsTruncated bool
	}
	if !a.ok() {
		return nil, fmt.Errorf("list uploads of %s: %v", bucket, a)
	}
	err := xml.Unmarshal(a.body, &page)
	if err == nil && page.IsTruncated {
		err = fmt.Errorf("list uploads of %s: more than the test expects", bucket)
	}
	return page.Upload, err
}
