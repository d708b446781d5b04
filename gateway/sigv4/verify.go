package sigv4

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ostor/gateway/s3"
)

// Options configure a [Verifier].
type Options struct {
	Region    string        // that scopes must name; "" = us-east-1
	AnyRegion bool          // accept whatever region a scope names
	Skew      time.Duration // between the client's clock and ours; 0 = 15 minutes
}

// Verifier checks signatures.
type Verifier struct {
	region string
	any    bool
	skew   time.Duration
	keys   keyCache
	decoy  string // secret of unknown access keys
}

// The defaults of [Options], and the life of a presigned request at most.
const (
	DefaultRegion = "us-east-1"
	DefaultSkew   = 15 * time.Minute
	MaxExpires    = 7 * 24 * time.Hour
)

// New returns a Verifier.
func New(o Options) *Verifier {
	v := &Verifier{region: o.Region, any: o.AnyRegion, skew: o.Skew, decoy: rand.Text()}
	if v.region == "" {
		v.region = DefaultRegion
	}
	if v.skew == 0 {
		v.skew = DefaultSkew
	}
	return v
}

// Verify checks the signature of a request that [InHeader] or [InQuery] recognised, at time now. It does not read the body: [s3.OpenBody] does, with the result. Errors:
// s3.ErrAuthorizationHeaderMalformed and s3.ErrAuthorizationQueryParameters (form, scope, region), s3.ErrInvalidArgument (two mechanisms), s3.ErrAccessDenied (no date, headers not
// signed, expired), s3.ErrRequestTimeTooSkewed, s3.ErrInvalidAccessKeyID, s3.ErrSignatureDoesNotMatch, and those of lookup.
func (v *Verifier) Verify(r *http.Request, now time.Time, lookup s3.Lookup) (*s3.Signature, error) {
	c := getScratch()
	defer c.release()
	var a authorization
	var err error
	sig := &s3.Signature{Version: 4}
	if err := c.parseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	const both = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified."
	switch {
	case !InHeader(r):
		if len(r.Header["Authorization"]) > 0 {
			return nil, s3.ErrInvalidArgument.With(both)
		}
		sig.Presigned = true
		if a, err = c.presigned(); err == nil {
			err = v.checkPresigned(&a, sig, now)
		}
	case c.authenticates():
		err = s3.ErrInvalidArgument.With(both)
	default:
		if a, err = parseHeader(r.Header); err == nil {
			err = v.checkDate(&a, r.Header, sig, now)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := v.checkScope(&a, sig); err != nil {
		return nil, err
	}
	payload, err := v.payload(&a, r.Header, c, sig)
	if err != nil {
		return nil, err
	}
	if err := c.checkHeaders(r.Header, a.signed); err != nil {
		return nil, err
	}

	cred, unknown := lookup(r.Context(), a.accessKey)
	if unknown != nil {
		if !errors.Is(unknown, s3.ErrInvalidAccessKeyID) {
			return nil, unknown
		}
		cred = s3.Credential{Secret: v.decoy}
	}
	key := v.keys.get(cred.AccessKey, cred.Secret, a.date, a.region)
	ok := v.matches(r, c, &a, sig, &key, payload, canonicalPath)
	if !ok && r.URL.RawPath != "" {
		// Some clients sign the path as they send it instead of in Amazon's encoding. It names the same key.
		ok = v.matches(r, c, &a, sig, &key, payload, sentPath)
	}
	switch {
	case unknown != nil:
		return nil, c.refuse(unknown, r, &a, payload, sig.Presigned)
	case !ok:
		return nil, c.refuse(s3.ErrSignatureDoesNotMatch, r, &a, payload, sig.Presigned)
	}
	cred.AccessKey = a.accessKey
	sig.Credential = cred
	sig.Region = a.region
	sig.SignedHeaders = a.signed
	if sig.Payload == s3.PayloadChunked || sig.Payload == s3.PayloadChunkedTrailer {
		if !sig.Presigned {
			sig.Chunks = newChain(key, &a)
		}
	}
	return sig, nil
}

// matches computes the signature and compares it.
func (v *Verifier) matches(r *http.Request, c *scratch, a *authorization, sig *s3.Signature, key *[sha256.Size]byte, payload string, style pathStyle) bool {
	c.canonical(r, a.signed, payload, sig.Presigned, style)
	c.stringToSign(a)
	var mac [sha256.Size]byte
	hmacSHA256(&mac, key[:], c.b)
	return subtle.ConstantTimeCompare(mac[:], a.signature[:]) == 1
}

// stringToSign makes the string to sign of the canonical request in c.b, in its place.
func (c *scratch) stringToSign(a *authorization) {
	sum := sha256.Sum256(c.b)
	c.b = append(c.b[:0], Algorithm+"\n"...)
	c.b = append(c.b, a.time...)
	c.b = append(c.b, '\n')
	c.b = a.appendScope(c.b)
	c.b = append(c.b, '\n')
	c.b = hex.AppendEncode(c.b, sum[:])
}

// refuse tells a client what it should have signed. An unknown access key takes the same steps as a wrong signature. The canonical request is only sent when all headers in it are the client's own: one that claimed to have signed a header that
// a proxy adds would be shown its value. A proxy cannot add to the query or X-Amz-* without breaking every signature.
func (c *scratch) refuse(err error, r *http.Request, a *authorization, payload string, presigned bool) error {
	c.canonical(r, a.signed, payload, presigned, canonicalPath)
	var canonical []byte
	if !slices.ContainsFunc(a.signed, foreign) {
		canonical = bytes.Clone(c.b)
	}
	c.stringToSign(a)
	return s3.Explain(err, s3.SignatureDetails(a.accessKey, hex.EncodeToString(a.signature[:]), c.b, canonical)...)
}

// foreign reports whether a header, in lower case, may be another's than the client's.
func foreign(name string) bool {
	switch name {
	case "accept", "accept-encoding", "cache-control", "date", "expect", "host", "range", "user-agent":
		return false
	}
	return !strings.HasPrefix(name, "x-amz-") && !strings.HasPrefix(name, "amz-sdk-") && !strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "if-")
}

// checkDate finds the time of a request signed in its header: X-Amz-Date, else Date.
func (v *Verifier) checkDate(a *authorization, h http.Header, sig *s3.Signature, now time.Time) error {
	var err error
	switch d := h["X-Amz-Date"]; {
	case len(d) == 1:
		a.time = d[0]
		sig.Time, err = parseTime(a.time)
	case len(d) > 1:
		return s3.ErrAccessDenied.With("X-Amz-Date is given more than once.")
	default:
		d := h["Date"]
		if len(d) != 1 {
			return s3.ErrAccessDenied.With("AWS authentication requires a valid Date or x-amz-date header")
		}
		if sig.Time, err = parseTime(d[0]); err != nil {
			sig.Time, err = http.ParseTime(d[0])
		}
		a.time = sig.Time.UTC().Format(timeFormat)
	}
	if err != nil || sig.Time.Unix() < 0 { // before the epoch is no date to S3
		return s3.ErrAccessDenied.With("AWS authentication requires a valid Date or x-amz-date header")
	}
	if d := now.Sub(sig.Time); d > v.skew || d < -v.skew {
		return s3.Explain(s3.ErrRequestTimeTooSkewed, s3.Detail{Name: "RequestTime", Value: a.time}, s3.Detail{Name: "ServerTime", Value: s3.ErrorTime(now)},
			s3.Detail{Name: "MaxAllowedSkewMilliseconds", Value: strconv.FormatInt(v.skew.Milliseconds(), 10)})
	}
	return nil
}

// checkPresigned checks the validity of a presigned request at time now.
func (v *Verifier) checkPresigned(a *authorization, sig *s3.Signature, now time.Time) error {
	t, err := parseTime(a.time)
	if err != nil {
		return queryError(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	sig.Time, sig.Expires = t, a.expires
	switch {
	case t.Sub(now) > v.skew:
		return s3.ErrAccessDenied.With("Request is not valid yet")
	case now.Sub(t) > a.expires:
		return s3.Explain(s3.ErrRequestExpired, s3.Detail{Name: "X-Amz-Expires", Value: strconv.FormatInt(int64(a.expires/time.Second), 10)},
			s3.Detail{Name: "Expires", Value: s3.ErrorTime(t.Add(a.expires))}, s3.Detail{Name: "ServerTime", Value: s3.ErrorTime(now)})
	}
	return nil
}

// checkScope checks the credential's scope against the request.
func (v *Verifier) checkScope(a *authorization, sig *s3.Signature) error {
	fail := headerError
	if sig.Presigned {
		fail = queryError
	}
	switch {
	case a.date != a.time[:8]:
		return fail("the credential's date is not that of the request")
	case a.service != "s3":
		return fail("the credential's service is wrong; expecting 's3'")
	case !v.any && a.region != v.region:
		return fail("the region '" + a.region + "' is wrong; expecting '" + v.region + "'")
	}
	return nil
}

// payload finds what stands for the body in the canonical request, and says in sig what it means.
func (v *Verifier) payload(a *authorization, h http.Header, c *scratch, sig *s3.Signature) (string, error) {
	values := h["X-Amz-Content-Sha256"]
	var value string
	switch {
	case len(values) > 1:
		return "", s3.ErrInvalidArgument.With("x-amz-content-sha256 is given more than once.")
	case len(values) == 1:
		value = values[0]
	case sig.Presigned:
		value = c.get("X-Amz-Content-Sha256")
	default:
		return "", s3.ErrInvalidRequest.With("Missing required header for this request: x-amz-content-sha256")
	}
	if value == "" {
		if !sig.Presigned {
			return "", s3.ErrInvalidArgument.With("x-amz-content-sha256 is empty.")
		}
		value = s3.UnsignedPayload
	}
	var err error
	sig.Payload, sig.SHA256, err = s3.ParsePayload(value)
	return value, err
}
