package gateway

import (
	"ostor/gateway/sigv2"
	"ostor/gateway/sigv4"
	"ostor/internal/cluster"
)

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
	case sigv2.InHeader(r) || sigv2.InQuery(r):
		c.sig, err = sigv2.Verify(r, now, c.hosted, g.lookup)
	case len(r.Header["Authorization"]) > 0:
		return invalidArgument("Unsupported Authorization Type")
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
	return nil
}
