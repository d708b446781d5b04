package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"ostor/gateway/s3"
)

// FormAlgorithm is the x-amz-algorithm of a form.
const FormAlgorithm = "AWS4-HMAC-SHA256"

// VerifyForm checks the signature of a form (POST Object, "Creating an HTML form using AWS Signature Version 4"): of its policy, which the caller checks afterwards. The result
// protects nothing but what the policy names. Errors: s3.ErrInvalidArgument (form, scope, region), s3.ErrAccessDenied (older than a week), s3.ErrRequestTimeTooSkewed,
// s3.ErrInvalidAccessKeyID, s3.ErrSignatureDoesNotMatch, and those of lookup.
func (v *Verifier) VerifyForm(ctx context.Context, form *s3.Form, now time.Time, lookup s3.Lookup) (*s3.Signature, error) {
	if form.Get("x-amz-algorithm") != FormAlgorithm {
		return nil, s3.ErrInvalidArgument.With("x-amz-algorithm must be " + FormAlgorithm + ".")
	}
	scope := strings.Split(form.Get("x-amz-credential"), "/")
	if len(scope) < 5 {
		return nil, s3.ErrInvalidArgument.With("x-amz-credential must be of the form <access key>/YYYYMMDD/REGION/s3/aws4_request.")
	}
	n := len(scope) - 4
	accessKey, date, region := strings.Join(scope[:n], "/"), scope[n], scope[n+1]
	if scope[n+2] != "s3" || scope[n+3] != terminator || accessKey == "" || (!v.any && region != v.region) {
		return nil, s3.ErrInvalidArgument.With("The scope of x-amz-credential is wrong; expecting " + v.region + "/s3/" + terminator + ".")
	}
	at, err := time.Parse("20060102T150405Z", form.Get("x-amz-date"))
	if err != nil || at.Format("20060102") != date {
		return nil, s3.ErrInvalidArgument.With("x-amz-date must be a date in ISO 8601 of the day in x-amz-credential.")
	}
	switch {
	case at.Sub(now) > v.skew:
		return nil, s3.ErrRequestTimeTooSkewed
	case now.Sub(at) > MaxExpires:
		return nil, s3.ErrRequestExpired
	}
	given, err := hex.DecodeString(form.Get("x-amz-signature"))
	if err != nil || len(given) != sha256.Size {
		return nil, s3.ErrSignatureDoesNotMatch
	}
	cred, unknown := lookup(ctx, accessKey)
	if unknown != nil {
		if !errors.Is(unknown, s3.ErrInvalidAccessKeyID) {
			return nil, unknown
		}
		cred = s3.Credential{Secret: v.decoy}
	}
	var sum [sha256.Size]byte
	key := signingKey(cred.Secret, date, region)
	hmacSHA256(&sum, key[:], []byte(form.Get("policy")))
	switch ok := subtle.ConstantTimeCompare(sum[:], given) == 1; {
	case unknown != nil:
		return nil, unknown
	case !ok:
		return nil, s3.ErrSignatureDoesNotMatch
	}
	cred.AccessKey = accessKey
	return &s3.Signature{Version: 4, Credential: cred, Region: region, Time: at}, nil
}
