// Package acl holds access control lists: who may read and write a bucket or an object, and who may read and write the list itself (S3 User Guide, "Access control list overview").
//
// It is pure: lists, their bytes ([FORMAT.md]) and questions about them. Whose the thing is, and whether lists count at all, is the gateway's business: an owner is not implied here.
// A list without any grant gives nobody anything. No list at all stands for the private one: FULL_CONTROL of the owner.
package acl

import (
	"errors"
	"slices"
	"strings"
)

// Permission is what one grant gives. The numbers are stored: append only.
type Permission uint8

// The permissions.
const (
	Read        Permission = 1 // list a bucket, read an object
	Write       Permission = 2 // write and delete a bucket's objects; nothing on an object
	ReadACP     Permission = 3 // read the list
	WriteACP    Permission = 4 // write the list
	FullControl Permission = 5 // all of them
)

var permissionNames = [...]string{"", "READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"}

func (p Permission) String() string {
	if int(p) < len(permissionNames) {
		return permissionNames[p]
	}
	return ""
}

// ParsePermission reads the name of a permission as S3 writes it, or returns ErrMalformed.
func ParsePermission(s string) (Permission, error) {
	if i := slices.Index(permissionNames[1:], s); i >= 0 {
		return Permission(i + 1), nil
	}
	return 0, ErrMalformed
}

// Kind says who a grantee is. The numbers are stored: append only.
type Kind uint8

// The kinds of grantees.
const (
	User               Kind = 1
	AllUsers           Kind = 2 // everybody, also anonymous
	AuthenticatedUsers Kind = 3 // every user of the system
	LogDelivery        Kind = 4 // the system when it writes access logs
)

const groupPrefix = "http://acs.amazonaws.com/groups/"

var groupNames = [...]string{AllUsers: "global/AllUsers", AuthenticatedUsers: "global/AuthenticatedUsers", LogDelivery: "s3/LogDelivery"}

// URI returns the name of a group, "" for a user.
func (k Kind) URI() string {
	if k < AllUsers || int(k) >= len(groupNames) {
		return ""
	}
	return groupPrefix + groupNames[k]
}

// ParseGroup reads the URI of a group, or returns ErrGroup.
func ParseGroup(uri string) (Kind, error) {
	for k := AllUsers; int(k) < len(groupNames); k++ {
		if uri == k.URI() {
			return k, nil
		}
	}
	return 0, ErrGroup
}

// Grantee is who gets a permission.
type Grantee struct {
	Kind Kind
	User uint64 // of kind User; 0 is the anonymous user as an owner; 0 for groups
}

// Grant gives one grantee one permission.
type Grant struct {
	Grantee    Grantee
	Permission Permission
}

// ACL is a list of grants in the order in which they were given; at most MaxGrants. nil and empty are the same: nobody.
type ACL []Grant

// MaxGrants is the most that S3 keeps in one list.
const MaxGrants = 100

// What can be wrong with a list.
var (
	ErrMalformed = errors.New("acl: not an access control list")
	ErrGroup     = errors.New("acl: unknown group")
	ErrCanned    = errors.New("acl: unknown canned list")
	ErrTooMany   = errors.New("acl: too many grants")
)

// Private is the list of a thing that only its owner may use.
func Private(owner uint64) ACL {
	return ACL{{Grantee{User, owner}, FullControl}}
}

// IsPrivate reports whether the list is that of Private.
func (a ACL) IsPrivate(owner uint64) bool {
	return len(a) == 1 && a[0] == Grant{Grantee{User, owner}, FullControl}
}

// Caller asks for something. The zero value is the anonymous one.
type Caller struct {
	User          uint64
	Authenticated bool
	// PublicIgnored takes away what the groups AllUsers and AuthenticatedUsers have (public access block, IgnorePublicAcls).
	PublicIgnored bool
}

// Allows reports whether a grant gives the caller p.
func (a ACL) Allows(c Caller, p Permission) bool {
	for _, g := range a {
		if g.Permission != p && g.Permission != FullControl {
			continue
		}
		switch g.Grantee.Kind {
		case User:
			if c.Authenticated && g.Grantee.User == c.User {
				return true
			}
		case AllUsers:
			if !c.PublicIgnored {
				return true
			}
		case AuthenticatedUsers:
			if c.Authenticated && !c.PublicIgnored {
				return true
			}
		}
	}
	return false
}

// Public reports whether the list gives something to everybody or to every user: what S3 calls public.
func (a ACL) Public() bool {
	return slices.ContainsFunc(a, func(g Grant) bool { return g.Grantee.Kind == AllUsers || g.Grantee.Kind == AuthenticatedUsers })
}

// Only reports whether nobody but the user has a grant.
func (a ACL) Only(user uint64) bool {
	return !slices.ContainsFunc(a, func(g Grant) bool { return g.Grantee != Grantee{User, user} })
}

// CannedObject returns the list of a canned name for an object of owner in a bucket of bucketOwner ("Canned ACL"); "" is private. It returns ErrCanned for another name.
func CannedObject(name string, owner, bucketOwner uint64) (ACL, error) {
	a := Private(owner)
	switch name {
	case "bucket-owner-read":
		if bucketOwner != owner {
			a = append(a, Grant{Grantee{User, bucketOwner}, Read})
		}
		return a, nil
	case "bucket-owner-full-control":
		if bucketOwner != owner {
			a = append(a, Grant{Grantee{User, bucketOwner}, FullControl})
		}
		return a, nil
	case "log-delivery-write":
		return nil, ErrCanned
	}
	return CannedBucket(name, owner)
}

// CannedBucket returns the list of a canned name for a bucket. The two that speak of a bucket's owner mean private here, as in S3. There is no EC2 here, so aws-exec-read
// is unknown too: it would grant nothing.
func CannedBucket(name string, owner uint64) (ACL, error) {
	a := Private(owner)
	grant := func(k Kind, ps ...Permission) (ACL, error) {
		for _, p := range ps {
			a = append(a, Grant{Grantee{Kind: k}, p})
		}
		return a, nil
	}
	switch name {
	case "", "private", "bucket-owner-read", "bucket-owner-full-control":
		return a, nil
	case "public-read":
		return grant(AllUsers, Read)
	case "public-read-write":
		return grant(AllUsers, Read, Write)
	case "authenticated-read":
		return grant(AuthenticatedUsers, Read)
	case "log-delivery-write":
		return grant(LogDelivery, Write, ReadACP)
	}
	return nil, ErrCanned
}

// Named is a grantee as a request names it: exactly one field is set.
type Named struct {
	ID    string // of a user
	Email string
	URI   string // of a group
}

// ParseHeader reads the value of an x-amz-grant-* header: a list of id="...", emailAddress="..." and uri="...", separated by commas. It returns ErrMalformed for anything
// else and ErrTooMany for more than MaxGrants.
func ParseHeader(v string) ([]Named, error) {
	var out []Named
	for rest := strings.TrimSpace(v); ; {
		kind, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, ErrMalformed
		}
		after = strings.TrimSpace(after)
		var value string
		if quoted, ok := strings.CutPrefix(after, `"`); ok {
			if value, after, ok = strings.Cut(quoted, `"`); !ok {
				return nil, ErrMalformed
			}
		} else if i := strings.IndexByte(after, ','); i >= 0 {
			value, after = strings.TrimSpace(after[:i]), after[i:]
		} else {
			value, after = after, ""
		}
		n := Named{}
		switch kind = strings.TrimSpace(kind); {
		case value == "":
			return nil, ErrMalformed
		case strings.EqualFold(kind, "id"):
			n.ID = value
		case strings.EqualFold(kind, "emailAddress"):
			n.Email = value
		case strings.EqualFold(kind, "uri"):
			n.URI = value
		default:
			return nil, ErrMalformed
		}
		if out = append(out, n); len(out) > MaxGrants {
			return nil, ErrTooMany
		}
		after = strings.TrimSpace(after)
		if after == "" {
			return out, nil
		}
		if rest, ok = strings.CutPrefix(after, ","); !ok {
			return nil, ErrMalformed
		}
		rest = strings.TrimSpace(rest)
	}
}
