package gateway

import (
	"net/http"

	"ostor/gateway/s3"
	"ostor/gateway/sigv2"
	"ostor/gateway/sigv4"
	"ostor/internal/cluster"
)

// principal is who a request comes from.
type principal struct {
	user      cluster.UserID // 0 when anonymous
	name      string         // shown as DisplayName; "" = the id
	accessKey string
	anonymous bool
}

// authenticate finds out who signed the request. It is the only way to a handler: it fills c.who, and c.sig, without which no body is opened, so that what a handler
// reads is what was signed. A request that carries any credentials must carry right ones; only one without any is anonymous.
func (c *call) authenticate() error {
	r, g := c.r, c.g
	now := g.clock()
	var err error
	switch {
	case sigv4.InHeader(r) || sigv4.InQuery(r):
		c.sig, err = g.verifier.Verify(r, now, g.lookup)
	case sigv2.InHeader(r) || sigv2.InQuery(r):
		c.sig, err = sigv2.Verify(r, now, c.hosted, g.lookup)
	case len(r.Header["Authorization"]) > 0:
		return invalidArgument("Unsupported Authorization Type")
	default:
		c.who.anonymous = true
		return nil
	}
	if err != nil {
		c.sig = nil
		return err
	}
	if err := signedHeaders(r.Header, c.sig); err != nil {
		return err
	}
	cred := &c.sig.Credential
	c.who = principal{user: cluster.UserID(cred.UserID), accessKey: cred.AccessKey}
	return nil
}

// signedHeaders refuses a header that changes what a request does and that its signature does not cover: whoever holds a presigned URL, or sits in between, could add
// x-amz-copy-source to it and read any object of the signer. The verifiers refuse it as well; here it stands beside what it protects.
func signedHeaders(h http.Header, sig *s3.Signature) error {
	for name := range h {
		if len(name) > 6 && name[:6] == "X-Amz-" && !harmlessUnsigned[name] && !sig.Signed(lowerASCII(name)) {
			return s3.ErrAccessDenied.With("There were headers present in the request which were not signed")
		}
	}
	return nil
}

// harmlessUnsigned are headers that clients add after signing and that a signature protects otherwise or that do nothing.
var harmlessUnsigned = set("X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-User-Agent")

// lowerASCII lowers a canonical header name without allocating for short ones.
func lowerASCII(name string) string {
	var buf [64]byte
	if len(name) > len(buf) {
		return http.CanonicalHeaderKey(name) // longer than any name that a signature may cover: never found
	}
	b := buf[:len(name)]
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b[i] = c
	}
	return string(b)
}
