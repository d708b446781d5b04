package gateway

import (
	"net/textproto"
	"strings"

	"ostor/gateway/s3"
	"ostor/gateway/sigv2"
	"ostor/gateway/sigv4"
	"ostor/internal/cluster"
)

// errNoSigV2 is what S3 says where it takes version 4 only.
var errNoSigV2 = s3.ErrInvalidRequest.With("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")

// principal is who a request comes from.
type principal struct {
	user      cluster.UserID // 0 when anonymous
	name      string         // shown as DisplayName; "" = the id
	anonymous bool
}

// authenticate finds out who signed the request. It is the only way to a handler: it fills c.who, and c.sig, without which no body is opened, so that what a handler
// reads is what was signed. The verifiers refuse headers that change what a request does and that its signature does not cover (x-amz-copy-source added to somebody's
// presigned URL would read any object of the signer). A request that carries any credentials must carry right ones; only one without any is anonymous.
func (c *call) authenticate() error {
	if c.op == opPostObject {
		return c.openForm()
	}
	r, g := c.r, c.g
	now := g.clock()
	var err error
	switch {
	case sigv4.InHeader(r) || sigv4.InQuery(r):
		c.sig, err = g.verifier.Verify(r, now, g.lookup)
	case (sigv2.InHeader(r) || sigv2.InQuery(r)) && !g.sigV2():
		return errNoSigV2
	case sigv2.InHeader(r) || sigv2.InQuery(r):
		c.sig, err = sigv2.Verify(r, now, c.hosted, g.lookup)
	case c.header("Authorization") != "":
		return invalidArgument("Unsupported Authorization Type")
	case len(r.Header["Authorization"]) > 0: // and empty
		return s3.ErrAccessDenied
	default:
		c.who.anonymous = true
		return nil
	}
	if err != nil {
		c.sig, c.who = nil, principal{}
		return err
	}
	cred := &c.sig.Credential
	c.who = principal{user: cluster.UserID(cred.UserID), name: cred.Email}
	if c.sig.Presigned {
		return c.hoisted()
	}
	return nil
}

// hoisted gives the headers that a signer put into the query of a presigned URL to the operation, as if they had been sent: S3 takes x-amz-* there, and an SDK that moved a lock or a
// list would otherwise have it ignored. Version 4 signs the whole query, version 2 these parameters as headers.
func (c *call) hoisted() error {
	found := false
	for _, p := range c.query {
		name := textproto.CanonicalMIMEHeaderKey(p.name)
		if !strings.HasPrefix(name, "X-Amz-") || signatureParams[name] {
			continue
		}
		if sent := c.r.Header[name]; len(sent) > 0 && (len(sent) > 1 || sent[0] != p.value) {
			return invalidRequest("The header " + p.name + " and the query parameter of that name differ.")
		}
		if strings.ContainsFunc(p.value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return invalidArgument("The query parameter " + p.name + " has control characters.")
		}
		c.r.Header[name] = []string{strings.TrimSpace(p.value)}
		found = true
	}
	if !found {
		return nil
	}
	var err error
	c.op, err = operationOf(c.r, c.address, c.query) // a copy shows itself by a header
	return err
}

// signatureParams are the parameters that are the signature's own, and the name of an algorithm that boto3 leaves in a URL although nobody knows the checksum yet.
var signatureParams = set("X-Amz-Sdk-Checksum-Algorithm", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signedheaders", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256")
