package sigv2

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"ostor/gateway/s3"
)

// VerifyForm checks the signature of a form (POST Object): of its policy, which the caller checks afterwards. Errors: s3.ErrInvalidAccessKeyID, s3.ErrSignatureDoesNotMatch, and those of lookup.
func VerifyForm(ctx context.Context, form *s3.Form, now time.Time, lookup s3.Lookup) (*s3.Signature, error) {
	accessKey := form.Get("awsaccesskeyid")
	given, err := base64.StdEncoding.DecodeString(form.Get("signature"))
	if err != nil || len(given) != sha1.Size {
		given = make([]byte, sha1.Size) // goes the same way, and fails
	}
	cred, unknown := lookup(ctx, accessKey)
	if unknown != nil {
		if !errors.Is(unknown, s3.ErrInvalidAccessKeyID) {
			return nil, unknown
		}
		cred = s3.Credential{Secret: strings.Repeat("0", 40)}
	}
	mac := hmac.New(sha1.New, []byte(cred.Secret))
	mac.Write([]byte(form.Get("policy")))
	switch ok := subtle.ConstantTimeCompare(mac.Sum(nil), given) == 1; {
	case unknown != nil:
		return nil, unknown
	case !ok || err != nil:
		return nil, s3.ErrSignatureDoesNotMatch
	}
	cred.AccessKey = accessKey
	return &s3.Signature{Version: 2, Credential: cred, Time: now}, nil
}
