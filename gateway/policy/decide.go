package policy

import (
	"slices"
	"strings"
)

// Request is what a decision is about. It is not kept.
type Request struct {
	User      string // id of the user, 16 lower-case hex digits; "" when anonymous
	Action    string // as "s3:GetObject", in any case
	Resource  string // bucket, or bucket/key: what follows arn:aws:s3:::
	Condition func(key string) []string
	// Condition returns the values of a condition key, which it gets in lower case, as "s3:prefix" or "aws:sourceip"; none when the request does not have it. Tag keys come with the
	// tag's name behind the slash in lower case. nil: the request has no keys.
}

func (r *Request) values(key string) []string {
	if r.Condition == nil {
		return nil
	}
	return r.Condition(key)
}

// Decision is what a policy says about a request.
type Decision uint8

// The decisions.
const (
	None  Decision = iota // nothing: who may is decided elsewhere
	Allow                 //
	Deny                  // whatever anything else says
)

func (d Decision) String() string { return [...]string{"None", "Allow", "Deny"}[d] }

// Decide says what the policy, which may be nil, says about a request.
func (p *Policy) Decide(r *Request) Decision {
	if p == nil {
		return None
	}
	out := None
	action := strings.ToLower(r.Action)
	for i := range p.statements {
		s := &p.statements[i]
		if (out == Allow && !s.deny) || !s.matches(r, action) {
			continue
		}
		if s.deny {
			return Deny
		}
		out = Allow
	}
	return out
}

func (s *statement) matches(r *Request, action string) bool {
	if s.principals.match(r.User) == s.notPrincipal {
		return false
	}
	if slices.ContainsFunc(s.actions, func(p pattern) bool { return p.match(action, nil) }) == s.notAction {
		return false
	}
	if slices.ContainsFunc(s.resources, func(p pattern) bool { return p.match(r.Resource, r) }) == s.notResource {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r) {
			return false
		}
	}
	return true
}

func (p *principals) match(user string) bool {
	return p.all || user != "" && slices.Contains(p.ids, user)
}

// Public reports whether the policy gives something to everybody (S3 User Guide, "The meaning of public"): an Allow for all principals, or for all but some, that no condition holds to fixed
// addresses or users. It counts a statement as public when in doubt.
func (p *Policy) Public() bool {
	if p == nil {
		return false
	}
	for i := range p.statements {
		s := &p.statements[i]
		if !s.deny && (s.principals.all || s.notPrincipal) && !slices.ContainsFunc(s.conditions, fixed) {
			return true
		}
	}
	return false
}

// Widest networks that count as fixed addresses.
const (
	minIPv4Bits = 8
	minIPv6Bits = 32
)

// fixed reports whether a condition holds a statement to given callers.
func fixed(c condition) bool {
	if c.ifExists || c.set == forAllValues || c.isNull || c.op.negated {
		return false
	}
	for i := range c.operands {
		o := &c.operands[i]
		switch c.key {
		case "aws:sourceip":
			bits := minIPv4Bits
			if !o.prefix.IsValid() {
				return false
			}
			if o.prefix.Addr().Is6() {
				bits = minIPv6Bits
			}
			if o.prefix.Bits() < bits {
				return false
			}
		case "aws:userid", "aws:username":
			if !o.pat.plain || o.pat.literal == "" {
				return false
			}
		case "aws:principalarn":
			if o.bytes == "" || strings.ContainsAny(o.bytes, "*?$") {
				return false
			}
		default:
			return false
		}
	}
	return true
}
