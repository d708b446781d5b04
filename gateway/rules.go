package gateway

import (
	"fmt"

	"ostor/gateway/acl"
	"ostor/gateway/policy"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// rules is what a bucket's record says about who may do what: decoded, and not modified.
type rules struct {
	list      acl.ACL // of the bucket; nil: private
	policy    *policy.Policy
	public    bool // the policy gives something to everybody
	ownership ownership
	block     publicBlock
	requester bool // callers other than the owner must say that they pay
}

// ownership says who owns objects that others than the bucket's owner write (S3 User Guide, "Controlling ownership of objects"). The numbers are stored: append only.
type ownership uint8

const (
	objectWriter         ownership = 0 // also of a bucket without ownership controls
	bucketOwnerPreferred ownership = 1
	bucketOwnerEnforced  ownership = 2 // and access control lists have no meaning
)

var ownershipNames = [...]string{"ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"}

func (o ownership) String() string { return ownershipNames[o] }

// publicBlock is a set of the four settings of a public access block. The bits are stored: append only.
type publicBlock uint8

const (
	blockPublicACLs       publicBlock = 1 << iota // refuse to set public lists
	ignorePublicACLs                              // public grants give nothing
	blockPublicPolicy                             // refuse to set a public policy
	restrictPublicBuckets                         // a public policy lets in nobody but the owner
	publicBlockEnd
)

// settingVersion is the first byte of the attributes that hold them: FORMAT.md.
const settingVersion = 1

// requesterPays is the value of cluster.AttrPayer.
const requesterPays = 1

func (o ownership) encode() []byte { return []byte{settingVersion, byte(o)} }

func (b publicBlock) encode() []byte { return []byte{settingVersion, byte(b)} }

var noRules rules

// rulesOf returns a bucket's rules: those kept beside its record, if the record came from the cache. Damage is fault.Corrupt: what cannot be read lets nobody in.
func (g *Gateway) rulesOf(b *cluster.Bucket) (*rules, error) {
	any := false
	for i := range b.Attrs {
		switch b.Attrs[i].ID {
		case cluster.AttrACL, cluster.AttrPolicy, cluster.AttrOwnership, cluster.AttrPublic, cluster.AttrPayer:
			any = true
		}
	}
	if !any {
		return &noRules, nil
	}
	e := g.buckets.find(b.Name)
	if e == nil || e.b != b {
		return decodeRules(b)
	}
	if r := e.rules.Load(); r != nil {
		return r, nil
	}
	r, err := decodeRules(b)
	if err == nil {
		e.rules.Store(r)
	}
	return r, err
}

func decodeRules(b *cluster.Bucket) (*rules, error) {
	r := &rules{}
	damaged := func(what string, err error) error {
		return fault.Wrap(fault.Corrupt, err, "%s of bucket %s", what, b.Name)
	}
	for i := range b.Attrs {
		v := b.Attrs[i].Value
		var err error
		switch b.Attrs[i].ID {
		case cluster.AttrACL:
			if r.list, err = acl.Decode(v); err != nil {
				return nil, damaged("the access control list", err)
			}
		case cluster.AttrPolicy:
			if r.policy, err = policy.Parse(v, b.Name); err != nil {
				return nil, damaged("the policy", err)
			}
			r.public = r.policy.Public()
		case cluster.AttrOwnership:
			if len(v) != 2 || v[0] != settingVersion || int(v[1]) >= len(ownershipNames) {
				return nil, damaged("the ownership", fmt.Errorf("value %x", v))
			}
			r.ownership = ownership(v[1])
		case cluster.AttrPublic:
			if len(v) != 2 || v[0] != settingVersion || publicBlock(v[1]) >= publicBlockEnd {
				return nil, damaged("the public access block", fmt.Errorf("value %x", v))
			}
			r.block = publicBlock(v[1])
		case cluster.AttrPayer:
			if len(v) != 2 || v[0] != settingVersion || v[1] != requesterPays {
				return nil, damaged("the payer", fmt.Errorf("value %x", v))
			}
			r.requester = true
		}
	}
	return r, nil
}

func (r *rules) has(b publicBlock) bool { return r.block&b != 0 }

// listOf returns the bucket's access control list.
func (r *rules) listOf(b *cluster.Bucket) acl.ACL {
	if r.list == nil {
		return acl.Private(uint64(b.Owner))
	}
	return r.list
}

// revoked reports whether the bucket has a list that gives nobody anything: it takes listing and writing from the owner too, who can still change the list.
func (r *rules) revoked() bool { return r.list != nil && len(r.list) == 0 }

// caller is how lists see who asks.
func (r *rules) caller(who principal) acl.Caller {
	return acl.Caller{User: uint64(who.user), Authenticated: !who.anonymous, PublicIgnored: r.has(ignorePublicACLs)}
}

// objectList returns an object's access control list. It returns fault.Corrupt when it cannot be read.
func objectList(e *cluster.Entry) (acl.ACL, error) {
	v := attr(e.Attrs, cluster.AttrACL)
	if v == nil {
		return acl.Private(uint64(e.Owner)), nil
	}
	list, err := acl.Decode(v)
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "the access control list of an object")
	}
	return list, nil
}
