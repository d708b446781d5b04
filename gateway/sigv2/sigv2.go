// Package sigv2 verifies AWS Signature Version 2 of S3 requests, in the Authorization header and in the query.
// (Amazon S3 developer guide, API version 2006-03-01, "Signing and Authenticating REST Requests".)
//
// Version 2 signs the method, the path, the sub-resources, Content-MD5, Content-Type, the date and every x-amz-* header that is sent. It signs neither the body, nor the
// other headers and parameters: that is its weakness, not ours, and the reason for version 4. An unknown access key takes the same steps as a wrong signature; signatures are compared in
// constant time. The package has no state.
package sigv2

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ostor/gateway/s3"
)

// Skew is the greatest difference between the client's clock and ours.
const Skew = 15 * time.Minute

// maxParams is the number of query parameters that a request may have.
const maxParams = 128

// InHeader reports whether a request claims to be signed in its header.
func InHeader(r *http.Request) bool {
	for _, v := range r.Header["Authorization"] {
		if strings.HasPrefix(v, "AWS ") {
			return true
		}
	}
	return false
}

// InQuery reports whether a request claims to be signed in its query.
func InQuery(r *http.Request) bool {
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if strings.HasPrefix(part, "AWSAccessKeyId=") || strings.HasPrefix(part, "Signature=") {
			return true
		}
	}
	return false
}

// request is what a request says about its signature.
type request struct {
	accessKey string
	signature []byte // raw
	date      string // the third line of the string to sign
	params    []param
}

type param struct{ name, value string }

func (q *request) get(name string) string {
	for i := range q.params {
		if q.params[i].name == name {
			return q.params[i].value
		}
	}
	return ""
}

// Verify checks the signature of a request that [InHeader] or [InQuery] recognised, at time now. bucket is the one that the Host header names, "" for path style. Errors:
// s3.ErrInvalidArgument (form, two mechanisms), s3.ErrAccessDenied (no date, expired), s3.ErrRequestTimeTooSkewed, s3.ErrInvalidAccessKeyID, s3.ErrSignatureDoesNotMatch, and those of lookup.
func Verify(r *http.Request, now time.Time, bucket string, lookup s3.Lookup) (*s3.Signature, error) {
	var q request
	if err := q.parseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	sig := &s3.Signature{Version: 2}
	var err error
	if InHeader(r) {
		err = q.header(r, sig, now)
	} else {
		sig.Presigned = true
		err = q.query(r, sig, now)
	}
	if err != nil {
		return nil, err
	}
	amz := q.amzHeaders(r.Header, sig.Presigned)
	sig.SignedHeaders = signedHeaders(r.Header, amz)
	for _, name := range [...]string{"Content-Md5", "Content-Type", "Date", "X-Amz-Date", "X-Amz-Content-Sha256"} {
		if len(r.Header[name]) > 1 {
			return nil, s3.ErrInvalidArgument.With("The header " + name + " is given more than once.")
		}
	}
	if sig.Payload, sig.SHA256, err = s3.ParsePayload(r.Header.Get("X-Amz-Content-Sha256")); err != nil {
		return nil, err
	}

	cred, unknown := lookup(r.Context(), q.accessKey)
	if unknown != nil {
		if !errors.Is(unknown, s3.ErrInvalidAccessKeyID) {
			return nil, unknown
		}
		cred = s3.Credential{Secret: strings.Repeat("0", 40)}
	}
	text := q.stringToSign(r, amz, bucket, r.URL.EscapedPath())
	ok := q.matches(text, cred.Secret)
	if path := encodePath(r.URL.Path); !ok && path != r.URL.EscapedPath() {
		ok = q.matches(q.stringToSign(r, amz, bucket, path), cred.Secret) // behind a proxy that took escapes off
	}
	if path := r.URL.EscapedPath(); !ok && bucket == "" && len(path) > 1 && strings.LastIndexByte(path, '/') == 0 {
		ok = q.matches(q.stringToSign(r, amz, bucket, path+"/"), cred.Secret) // boto3 signs /bucket/ and asks for /bucket, which is the same
	}
	if !ok && unknown == nil {
		unknown = s3.ErrSignatureDoesNotMatch
	}
	if unknown != nil { // either way the same elements
		return nil, s3.Explain(unknown, s3.SignatureDetails(q.accessKey, base64.StdEncoding.EncodeToString(q.signature), text, nil)...)
	}
	cred.AccessKey = q.accessKey
	sig.Credential = cred
	return sig, nil
}

// parseQuery splits and decodes the query: a parameter given twice is refused.
func (q *request) parseQuery(raw string) error {
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if len(q.params) == maxParams {
			return s3.ErrInvalidURI.With("The query has too many parameters.")
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return s3.ErrInvalidURI
		}
		for i := range q.params {
			if q.params[i].name == name {
				return s3.ErrInvalidArgument.With("Query parameter " + strconv.Quote(name) + " is given more than once.")
			}
		}
		q.params = append(q.params, param{name, value})
	}
	return nil
}

const bothMechanisms = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified."

// header reads "AWS <access key>:<signature>" and the date.
func (q *request) header(r *http.Request, sig *s3.Signature, now time.Time) error {
	values := r.Header["Authorization"]
	for i := range q.params {
		switch q.params[i].name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "Signature", "AWSAccessKeyId":
			return s3.ErrInvalidArgument.With(bothMechanisms)
		}
	}
	if len(values) != 1 {
		return s3.ErrInvalidArgument.With("Only one Authorization header is allowed.")
	}
	rest := strings.TrimPrefix(values[0], "AWS ")
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 || !q.setSignature(rest[i+1:]) {
		return s3.ErrInvalidArgument.With("AWS authorization header is invalid. Expected AwsAccessKeyId:signature")
	}
	q.accessKey = rest[:i]

	var text string
	if amz := r.Header["X-Amz-Date"]; len(amz) > 0 {
		text = amz[0] // even an empty one: it is in Date's place, whose line is empty then
	} else {
		text = r.Header.Get("Date")
		q.date = text
	}
	t, err := parseDate(text)
	if err != nil || t.Unix() < 0 { // before the epoch is no date to S3
		return s3.ErrAccessDenied.With("AWS authentication requires a valid Date or x-amz-date header")
	}
	if d := now.Sub(t); d > Skew || d < -Skew {
		return s3.Explain(s3.ErrRequestTimeTooSkewed, s3.Detail{Name: "RequestTime", Value: text}, s3.Detail{Name: "ServerTime", Value: s3.ErrorTime(now)},
			s3.Detail{Name: "MaxAllowedSkewMilliseconds", Value: strconv.FormatInt(Skew.Milliseconds(), 10)})
	}
	sig.Time = t
	return nil
}

// query reads AWSAccessKeyId, Expires and Signature.
func (q *request) query(r *http.Request, sig *s3.Signature, now time.Time) error {
	if len(r.Header["Authorization"]) > 0 || q.get("X-Amz-Algorithm") != "" {
		return s3.ErrInvalidArgument.With(bothMechanisms)
	}
	q.accessKey, q.date = q.get("AWSAccessKeyId"), q.get("Expires")
	if q.accessKey == "" || q.date == "" || !q.setSignature(q.get("Signature")) {
		return s3.ErrAccessDenied.With("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
	}
	expires, err := strconv.ParseInt(q.date, 10, 64)
	if err != nil || q.date[0] < '0' || q.date[0] > '9' {
		return s3.ErrAccessDenied.With("Invalid date (should be seconds since epoch): " + q.date)
	}
	if expires < now.Unix() {
		return s3.Explain(s3.ErrRequestExpired, s3.Detail{Name: "Expires", Value: s3.ErrorTime(time.Unix(expires, 0))}, s3.Detail{Name: "ServerTime", Value: s3.ErrorTime(now)})
	}
	sig.Time = now // version 2 does not say when
	sig.Expires = time.Duration(min(expires-now.Unix(), int64(100*365*24*time.Hour/time.Second))) * time.Second
	return nil
}

func (q *request) setSignature(text string) bool {
	sum, err := base64.StdEncoding.Strict().DecodeString(text)
	q.signature = sum
	return err == nil && len(sum) == sha1.Size
}

// parseDate reads the formats that clients send: those of HTTP, RFC 822 with a numeric zone (date -R), and the long ISO 8601 of version 4.
func parseDate(s string) (time.Time, error) {
	t, err := http.ParseTime(s)
	for _, layout := range [...]string{time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 -0700", "Mon, _2 Jan 2006 15:04:05 MST", "20060102T150405Z", time.RFC3339} {
		if err == nil {
			break
		}
		t, err = time.Parse(layout, s)
	}
	return t, err
}

// amzHeaders returns the canonical lines "name:value\n" of the x-amz-* headers, by name; of a presigned request also of those that its signer put into the query.
func (q *request) amzHeaders(h http.Header, presigned bool) []string {
	var lines []string
	for i := range q.params {
		p := &q.params[i]
		name := strings.ToLower(p.name)
		if presigned && strings.HasPrefix(name, "x-amz-") && h[textproto.CanonicalMIMEHeaderKey(name)] == nil {
			lines = append(lines, name+":"+strings.TrimSpace(p.value)+"\n")
		}
	}
	for key, values := range h {
		if !strings.HasPrefix(key, "X-Amz-") {
			continue
		}
		b := append([]byte(strings.ToLower(key)), ':')
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, strings.TrimSpace(v)...)
		}
		lines = append(lines, string(append(b, '\n')))
	}
	// By name, not by line: a '-' in a longer name sorts before the ':' that ends a shorter one.
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, ':')], b[:strings.IndexByte(b, ':')])
	})
	return lines
}

// signedHeaders returns the sorted names of the headers that version 2 covers.
func signedHeaders(h http.Header, amz []string) []string {
	names := make([]string, 0, len(amz)+3)
	for _, name := range [...]string{"Content-Md5", "Content-Type", "Date"} {
		if _, ok := h[name]; ok {
			names = append(names, strings.ToLower(name))
		}
	}
	for _, line := range amz {
		names = append(names, line[:strings.IndexByte(line, ':')])
	}
	return names // sorted: content-*, date, x-amz-*
}

// stringToSign builds what the client signed.
func (q *request) stringToSign(r *http.Request, amz []string, bucket, path string) []byte {
	b := make([]byte, 0, 512)
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, r.Header.Get("Content-Md5")...)
	b = append(b, '\n')
	b = append(b, r.Header.Get("Content-Type")...)
	b = append(b, '\n')
	b = append(b, q.date...)
	b = append(b, '\n')
	for _, line := range amz {
		b = append(b, line...)
	}
	if bucket != "" {
		b = append(b, '/')
		b = append(b, bucket...)
	}
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	return q.appendSubresources(b)
}

// appendSubresources appends the parameters that version 2 signs, by name, with their decoded values.
func (q *request) appendSubresources(b []byte) []byte {
	slices.SortFunc(q.params, func(a, b param) int { return strings.Compare(a.name, b.name) })
	sep := byte('?')
	for i := range q.params {
		p := &q.params[i]
		if !subresources[p.name] {
			continue
		}
		b = append(b, sep)
		sep = '&'
		b = append(b, p.name...)
		if p.value != "" {
			b = append(b, '=')
			b = append(b, p.value...)
		}
	}
	return b
}

func (q *request) matches(text []byte, secret string) bool {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write(text)
	return subtle.ConstantTimeCompare(h.Sum(nil), q.signature) == 1
}

// encodePath encodes a path as Amazon does.
func encodePath(s string) string {
	const upperHex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// subresources are the parameters that name what a request is about, and those that override headers of the reply: all of S3's and our own, so that
// none can be added behind the signer's back.
var subresources = func() map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		abac accelerate acl analytics attributes cors defaultObjectAcl delete encryption intelligent-tiering inventory legal-hold lifecycle location logging
		metadataConfiguration metadataTable metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock
		renameObject replication requestPayment restore retention select select-type session storageClass tagging torrent uploadId uploads versionId versioning versions website
		response-cache-control response-content-disposition response-content-encoding response-content-language response-content-type response-expires
		ostor-accounts ostor-buckets ostor-limits ostor-quotas ostor-settings ostor-usage ostor-users`) {
		m[name] = true
	}
	return m
}()
