package s3

import (
	"bytes"
	"encoding/xml"
)

// ACL is an access control policy document in a reply.
type ACL struct {
	Owner  Owner
	Grants []Grant
}

// Grant is one grant of a reply: to a group when URI is set, else to a user.
type Grant struct {
	Owner      Owner
	URI        string
	Permission string
}

const schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"

// Write writes the document.
func (a *ACL) Write(x *XML) {
	x.Begin("AccessControlPolicy")
	x.Owner("Owner", a.Owner)
	x.Open("AccessControlList")
	for i := range a.Grants {
		g := &a.Grants[i]
		x.Open("Grant")
		if g.URI != "" {
			x.b = append(x.b, `<Grantee xmlns:xsi="`+schemaInstance+`" xsi:type="Group">`...)
			x.Text("URI", g.URI)
		} else {
			x.b = append(x.b, `<Grantee xmlns:xsi="`+schemaInstance+`" xsi:type="CanonicalUser">`...)
			x.Text("ID", g.Owner.ID)
			x.Text("DisplayName", g.Owner.DisplayName)
		}
		x.Close("Grantee")
		x.Text("Permission", g.Permission)
		x.Close("Grant")
	}
	x.Close("AccessControlList")
	x.Close("AccessControlPolicy")
}

// GivenACL is an access control policy document of a request.
type GivenACL struct {
	OwnerID string // "" = not given
	Grants  []GivenGrant
}

// GivenGrant is one of its grants. Exactly one of ID, Email and URI is set.
type GivenGrant struct {
	ID, Email, URI string
	Permission     string
}

// ParseACL reads an AccessControlPolicy. It returns ErrMalformedACL for a document that is not one, a grantee without or with two names, or a type that does not fit.
func ParseACL(doc []byte) (GivenACL, error) {
	var in struct {
		XMLName xml.Name `xml:"AccessControlPolicy"`
		Owner   *struct {
			ID string `xml:"ID"`
		} `xml:"Owner"`
		List *struct {
			Grants []struct {
				Grantee struct {
					Type  string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
					ID    string `xml:"ID"`
					Email string `xml:"EmailAddress"`
					URI   string `xml:"URI"`
				} `xml:"Grantee"`
				Permission string `xml:"Permission"`
			} `xml:"Grant"`
		} `xml:"AccessControlList"`
	}
	var out GivenACL
	if err := DecodeXML(bytes.NewReader(doc), int64(len(doc)), &in); err != nil || in.List == nil {
		return out, ErrMalformedACL
	}
	if in.Owner != nil {
		out.OwnerID = in.Owner.ID
	}
	for i := range in.List.Grants {
		g := &in.List.Grants[i]
		n := GivenGrant{ID: g.Grantee.ID, Email: g.Grantee.Email, URI: g.Grantee.URI, Permission: g.Permission}
		kind := ""
		for _, f := range []struct{ value, kind string }{{n.ID, "CanonicalUser"}, {n.Email, "AmazonCustomerByEmail"}, {n.URI, "Group"}} {
			switch {
			case f.value == "":
			case kind != "":
				return out, ErrMalformedACL
			default:
				kind = f.kind
			}
		}
		if kind == "" || g.Grantee.Type != "" && g.Grantee.Type != kind {
			return out, ErrMalformedACL
		}
		out.Grants = append(out.Grants, n)
	}
	return out, nil
}
