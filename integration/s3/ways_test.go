package s3

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"ostor/gateway/account"
)

// way is how a request says who sends it.
type way struct {
	name      string
	version   int
	presigned bool
	hosted    bool // the bucket is in the host name
}

var ways = []way{
	{name: "V4 header", version: 4},
	{name: "V4 header, virtual host", version: 4, hosted: true},
	{name: "V4 presigned", version: 4, presigned: true},
	{name: "V2 header", version: 2},
	{name: "V2 query", version: 2, presigned: true},
}

// sign makes the request of a, signed by who at a time. A presigned one is good for a minute.
func (w way) sign(s *site, a ask, who *account.User, at time.Time) *http.Request {
	s.t.Helper()
	if bucket, rest, _ := strings.Cut(strings.TrimPrefix(a.target, "/"), "/"); w.hosted && a.target != "/" {
		name, query, sub := strings.Cut(bucket, "?")
		a.host, a.target = name+"."+domain, "/"+rest
		if sub {
			a.target = "/?" + query
		}
	}
	req := s.request(a)
	switch {
	case w.version == 2:
		w.signV2(req, who, at)
	case w.presigned:
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
		q := req.URL.Query()
		q.Set("X-Amz-Expires", "60")
		req.URL.RawQuery = q.Encode()
		link, _, err := signer.PresignHTTP(s.t.Context(), credentials(who), req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", at)
		s.must(err)
		_, req.URL.RawQuery, _ = strings.Cut(link, "?")
	default:
		sum := hashOf(a.body)
		if v := req.Header.Get("X-Amz-Content-Sha256"); v != "" {
			sum = v
		}
		req.Header.Set("X-Amz-Content-Sha256", sum)
		s.must(signer().SignHTTP(s.t.Context(), credentials(who), req, sum, "s3", "us-east-1", at))
	}
	return req
}

// signV2 signs as the developer guide of version 2 says. What the samples' queries hold are sub-resources, but for those of lists.
func (w way) signV2(req *http.Request, who *account.User, at time.Time) {
	date := at.UTC().Format(http.TimeFormat)
	if w.presigned {
		date = strconv.FormatInt(at.Add(time.Minute).Unix(), 10)
	} else {
		req.Header.Set("Date", date)
	}
	text := req.Method + "\n" + req.Header.Get("Content-Md5") + "\n" + req.Header.Get("Content-Type") + "\n" + date + "\n"
	var names []string
	for name := range req.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + ":" + strings.Join(req.Header.Values(name), ",") + "\n"
	}
	path := strings.TrimPrefix(req.URL.Opaque, "//")
	text += path[strings.IndexByte(path, '/'):]
	var subs []string
	for part := range strings.SplitSeq(req.URL.RawQuery, "&") {
		if part != "" && !strings.HasPrefix(part, "list-type=") {
			subs = append(subs, part)
		}
	}
	if slices.Sort(subs); len(subs) > 0 {
		text += "?" + strings.Join(subs, "&")
	}
	mac := hmac.New(sha1.New, []byte(who.Keys[0].Secret))
	mac.Write([]byte(text))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !w.presigned {
		req.Header.Set("Authorization", "AWS "+who.Keys[0].AccessKey+":"+signature)
		return
	}
	addQuery(req, "AWSAccessKeyId="+who.Keys[0].AccessKey+"&Expires="+date+"&Signature="+url.QueryEscape(signature))
}

// addQuery appends raw parameters.
func addQuery(r *http.Request, raw string) {
	if r.URL.RawQuery != "" {
		raw = "&" + raw
	}
	r.URL.RawQuery += raw
}

// setQuery changes or, with "", takes away a parameter.
func setQuery(r *http.Request, name, value string) {
	q := r.URL.Query()
	if q.Set(name, value); value == "" {
		q.Del(name)
	}
	r.URL.RawQuery = q.Encode()
}
