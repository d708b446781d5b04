package gateway

import (
	"context"
	"errors"
	"net/http"

	"ostor/gateway/acl"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// grantHeaders are the headers of explicit grants, in the order in which a list made of them is shown.
var grantHeaders = [...]struct {
	name string
	p    acl.Permission
}{
	{"X-Amz-Grant-Read", acl.Read},
	{"X-Amz-Grant-Write", acl.Write},
	{"X-Amz-Grant-Read-Acp", acl.ReadACP},
	{"X-Amz-Grant-Write-Acp", acl.WriteACP},
	{"X-Amz-Grant-Full-Control", acl.FullControl},
}

// givesACL reports whether the request's headers give an access control list.
func (c *call) givesACL() bool {
	h := c.r.Header
	if len(h["X-Amz-Acl"]) > 0 {
		return true
	}
	for i := range grantHeaders {
		if len(h[grantHeaders[i].name]) > 0 {
			return true
		}
	}
	return false
}

// headerACL returns the list that the request's headers give to something of owner, nil when they give none. canned makes the list of a canned name.
func (c *call) headerACL(canned func(name string) (acl.ACL, error)) (acl.ACL, error) {
	h := c.r.Header
	var list acl.ACL
	for i := range grantHeaders {
		values := h[grantHeaders[i].name]
		if len(values) > 1 {
			return nil, invalidArgument("A grant header is given more than once.")
		}
		for _, v := range values {
			named, err := acl.ParseHeader(v)
			if err != nil {
				return nil, aclError(err)
			}
			for _, n := range named {
				g, err := c.g.grantee(c.r.Context(), n)
				if err != nil {
					return nil, err
				}
				list = append(list, acl.Grant{Grantee: g, Permission: grantHeaders[i].p})
			}
		}
	}
	name := h["X-Amz-Acl"]
	switch {
	case len(name) > 1:
		return nil, invalidArgument("x-amz-acl is given more than once.")
	case len(name) == 1 && list != nil:
		return nil, invalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
	case len(list) > acl.MaxGrants:
		return nil, aclError(acl.ErrTooMany)
	case len(name) == 0:
		return list, nil
	case name[0] == "aws-exec-read":
		return nil, notImplemented("The canned ACL aws-exec-read")
	case name[0] == "":
		return nil, invalidArgument("x-amz-acl is empty.")
	}
	list, err := canned(name[0])
	if errors.Is(err, acl.ErrCanned) {
		return nil, badArgument("x-amz-acl", name[0], "Unknown canned ACL")
	}
	return list, aclError(err)
}

// grantee finds who a request names.
func (g *Gateway) grantee(ctx context.Context, n acl.Named) (acl.Grantee, error) {
	switch {
	case n.ID != "":
		id, known, err := g.knownUser(ctx, n.ID)
		if err == nil && !known {
			err = invalidArgument("Invalid id")
		}
		return acl.Grantee{Kind: acl.User, User: uint64(id)}, err
	case n.Email != "":
		id, err := g.userByEmail(ctx, n.Email)
		return acl.Grantee{Kind: acl.User, User: uint64(id)}, err
	}
	kind, err := acl.ParseGroup(n.URI)
	return acl.Grantee{Kind: kind}, aclError(err)
}

// aclError says of a list what package acl says.
func aclError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, acl.ErrGroup):
		return invalidArgument("Invalid group uri")
	case errors.Is(err, acl.ErrTooMany):
		return s3.ErrMalformedACL.With("An access control list has at most 100 grants.")
	}
	return invalidArgument("A grant is not of the form id=..., emailAddress=... or uri=...")
}

// newObject returns the owner of an object that the request makes, and its list as an attribute value, nil for the private one. What an anonymous caller writes belongs
// to the bucket's owner: nobody else could ever change it.
func (c *call) newObject() (owner cluster.UserID, value []byte, err error) {
	owner = c.who.user
	if c.who.anonymous || c.rules.ownership == bucketOwnerEnforced {
		owner = c.bkt.Owner
	}
	if !c.givesACL() {
		return owner, nil, nil
	}
	canned := c.header("X-Amz-Acl")
	list, err := c.headerACL(func(name string) (acl.ACL, error) {
		return acl.CannedObject(name, uint64(owner), uint64(c.bkt.Owner))
	})
	if err != nil {
		return 0, nil, err
	}
	if c.rules.ownership == bucketOwnerEnforced {
		if canned == "bucket-owner-full-control" || list.IsPrivate(uint64(owner)) && canned == "" {
			return owner, nil, nil
		}
		return 0, nil, s3.ErrAccessControlListNotSupported
	}
	if c.rules.ownership == bucketOwnerPreferred && canned == "bucket-owner-full-control" {
		return c.bkt.Owner, nil, nil
	}
	if c.rules.has(blockPublicACLs) && list.Public() {
		return 0, nil, s3.ErrAccessDenied
	}
	if list.IsPrivate(uint64(owner)) {
		return owner, nil, nil
	}
	return owner, list.Encode(), nil
}

// givenACL reads the list of a PutBucketAcl or PutObjectAcl, by headers or document, for something of owner.
func (c *call) givenACL(owner cluster.UserID, canned func(name string) (acl.ACL, error)) (acl.ACL, error) {
	list, err := c.headerACL(canned)
	if err != nil {
		return nil, err
	}
	body, err := c.wholeBody(maxSmallXML)
	switch {
	case err != nil:
		return nil, err
	case c.givesACL() && len(body) > 0:
		return nil, s3.ErrUnexpectedContent
	case c.givesACL():
		return list, nil
	case len(body) == 0:
		return nil, s3.ErrMissingSecurityHeader.With("Your request was missing a required header: x-amz-acl, a grant header, or a document.")
	}
	doc, err := s3.ParseACL(body)
	if err != nil {
		return nil, err
	}
	if doc.OwnerID != "" && doc.OwnerID != owner.String() {
		return nil, s3.ErrAccessDenied
	}
	list = make(acl.ACL, 0, len(doc.Grants))
	if len(doc.Grants) > acl.MaxGrants {
		return nil, aclError(acl.ErrTooMany)
	}
	for i := range doc.Grants {
		g := &doc.Grants[i]
		p, err := acl.ParsePermission(g.Permission)
		if err != nil {
			return nil, s3.ErrMalformedACL
		}
		who, err := c.g.grantee(c.r.Context(), acl.Named{ID: g.ID, Email: g.Email, URI: g.URI})
		if err != nil {
			return nil, err
		}
		list = append(list, acl.Grant{Grantee: who, Permission: p})
	}
	return list, nil
}

// permitACL checks a list against the bucket's settings before it is kept.
func (r *rules) permitACL(list acl.ACL, owner cluster.UserID) error {
	if r.ownership == bucketOwnerEnforced && !list.IsPrivate(uint64(owner)) {
		return s3.ErrAccessControlListNotSupported
	}
	if r.has(blockPublicACLs) && list.Public() {
		return s3.ErrAccessDenied
	}
	return nil
}

// storedACL returns the attribute value of a list; nil for the private one.
func storedACL(list acl.ACL, owner cluster.UserID) []byte {
	if list.IsPrivate(uint64(owner)) {
		return nil
	}
	return list.Encode()
}

// replyACL sends a list: what groups have, then what users have, each in the order in which it was given. S3 promises no order; tools that compare lists expect this one.
func (c *call) replyACL(owner cluster.UserID, list acl.ACL) error {
	doc := s3.ACL{Owner: c.owner(owner), Grants: make([]s3.Grant, 0, len(list))}
	for _, g := range list {
		if g.Grantee.Kind != acl.User {
			doc.Grants = append(doc.Grants, s3.Grant{URI: g.Grantee.Kind.URI(), Permission: g.Permission.String()})
		}
	}
	for _, g := range list {
		if g.Grantee.Kind == acl.User {
			doc.Grants = append(doc.Grants, s3.Grant{Owner: c.owner(cluster.UserID(g.Grantee.User)), Permission: g.Permission.String()})
		}
	}
	return c.replyXMLStatus(http.StatusOK, doc.Write)
}
