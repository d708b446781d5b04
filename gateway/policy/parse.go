package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a document.
const (
	MaxBytes = 20 << 10 // S3: 20 KB
	maxAny   = 32       // wildcards of one character, in all: each costs a pass over the value, for every place where a star could end
	maxDepth = 8        // a condition's values are at depth 6
)

// Version is the language of a policy. Variables have a meaning only in the newer one.
const (
	version2008 = "2008-10-17" // also when none is given
	version2012 = "2012-10-17"
)

// Error says what is wrong with a document and where.
type Error struct {
	Path    string // of the element, as Statement[0].Condition.IpAddress; "" the document
	Line    int    // from 1
	Column  int    // in bytes, from 1
	Message string // a sentence without period
}

func (e *Error) Error() string {
	at := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		at = e.Path + " (" + at + ")"
	}
	return e.Message + ", at " + at
}

// Policy is a parsed bucket policy.
type Policy struct {
	statements []statement
}

// statement is one rule. Each of the pairs Principal and NotPrincipal, ... is one field with a flag.
type statement struct {
	deny         bool
	principals   principals
	notPrincipal bool
	actions      []pattern // lower case
	notAction    bool
	resources    []pattern // of what follows arn:aws:s3:::
	notResource  bool
	conditions   []condition
}

// principals is who a statement is about.
type principals struct {
	all bool     // "*": everybody, also anonymous
	ids []string // 16 hex digits
}

// Parse reads the policy of a bucket. Any error is an *Error. What it checks beyond the grammar: every resource can be the bucket or in it, every action is known, and what a
// Deny names applies to a resource of its statement.
func Parse(doc []byte, bucket string) (*Policy, error) {
	p := parser{doc: doc}
	if len(doc) > MaxBytes {
		return nil, p.fail("", MaxBytes, "the policy has more than %d bytes", MaxBytes)
	}
	if !utf8.Valid(doc) {
		return nil, p.fail("", 0, "the policy is not UTF-8")
	}
	root, err := p.tree()
	if err != nil {
		return nil, err
	}
	if p.any > maxAny {
		return nil, p.fail("", 0, "the policy has more than %d question marks", maxAny)
	}
	return p.policy(root, bucket)
}

func (p *parser) policy(root *node, bucket string) (*Policy, error) {
	if root.kind != object {
		return nil, p.at(root, "", "a policy is a JSON object")
	}
	if err := p.only(root, "", "Version", "Id", "Statement"); err != nil {
		return nil, err
	}
	variables := false
	if v := root.member("Version"); v != nil {
		if v.kind != text || v.s != version2008 && v.s != version2012 {
			return nil, p.at(v, "Version", "the version must be %s or %s", version2012, version2008)
		}
		variables = v.s == version2012
	}
	if v := root.member("Id"); v != nil && v.kind != text {
		return nil, p.at(v, "Id", "an id is a string")
	}
	list := root.member("Statement")
	if list == nil {
		return nil, p.at(root, "", "the policy has no Statement")
	}
	items := list.items
	if list.kind == object {
		items = []*node{list}
	} else if list.kind != array || len(items) == 0 {
		return nil, p.at(list, "Statement", "Statement is an object, or a list of at least one")
	}
	out := &Policy{statements: make([]statement, len(items))}
	sids := map[string]bool{}
	for i, n := range items {
		path := fmt.Sprintf("Statement[%d]", i)
		if sid := n.member("Sid"); sid != nil {
			if sid.kind != text {
				return nil, p.at(sid, path+".Sid", "a Sid is a string")
			}
			if sids[sid.s] {
				return nil, p.at(sid, path+".Sid", "two statements have the Sid %q", sid.s)
			}
			sids[sid.s] = sid.s != ""
		}
		if err := p.statement(n, path, bucket, variables, &out.statements[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) statement(n *node, path, bucket string, variables bool, s *statement) error {
	if n.kind != object {
		return p.at(n, path, "a statement is an object")
	}
	if err := p.only(n, path, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"); err != nil {
		return err
	}
	effect := n.member("Effect")
	if effect == nil || effect.kind != text || effect.s != "Allow" && effect.s != "Deny" {
		return p.at(effect.or(n), path+".Effect", "Effect must be Allow or Deny")
	}
	s.deny = effect.s == "Deny"

	who, not, err := p.either(n, path, "Principal")
	if err != nil {
		return err
	}
	s.notPrincipal = not
	if not && !s.deny {
		// S3 has it only with Deny: everybody but one user is everybody, for that user can ask without signing.
		return p.at(who, path+".NotPrincipal", "NotPrincipal goes with Deny only")
	}
	if err := p.principals(who, path, not, &s.principals); err != nil {
		return err
	}

	acts, not, err := p.either(n, path, "Action")
	if err != nil {
		return err
	}
	s.notAction = not
	actions, err := p.strings(acts, path+"."+notName(not, "Action"))
	if err != nil {
		return err
	}
	for _, a := range actions {
		if !known(a.s) {
			return p.at(a, path+"."+notName(not, "Action"), "%q is no action of S3", a.s)
		}
		s.actions = append(s.actions, compile(strings.ToLower(a.s), false))
	}

	res, not, err := p.either(n, path, "Resource")
	if err != nil {
		return err
	}
	s.notResource = not
	resources, err := p.strings(res, path+"."+notName(not, "Resource"))
	if err != nil {
		return err
	}
	for _, r := range resources {
		pat, ok := resource(r.s, bucket, variables)
		if !ok {
			return p.at(r, path+"."+notName(not, "Resource"), "%q is not the bucket arn:aws:s3:::%s or in it", r.s, bucket)
		}
		s.resources = append(s.resources, pat)
	}
	// An Allow of what cannot be there gives nothing; a Deny that protects nothing is a mistake to hear of.
	if s.deny && !s.notAction && !s.notResource {
		for i, a := range actions {
			if !applies(s.actions[i], s.resources, bucket) {
				return p.at(a, path+".Action", "the action %q does not apply to any resource of the statement", a.s)
			}
		}
	}
	if cond := n.member("Condition"); cond != nil {
		return p.conditions(cond, path+".Condition", variables, s)
	}
	return nil
}

func notName(not bool, name string) string {
	if not {
		return "Not" + name
	}
	return name
}

// either returns the member name or Not<name>: exactly one must be there.
func (p *parser) either(n *node, path, name string) (v *node, not bool, err error) {
	yes, no := n.member(name), n.member("Not"+name)
	switch {
	case yes != nil && no != nil:
		return nil, false, p.at(no, path, "a statement has %s or Not%s, not both", name, name)
	case yes != nil:
		return yes, false, nil
	case no != nil:
		return no, true, nil
	}
	return nil, false, p.at(n, path, "the statement has no %s", name)
}

// strings reads a string or a list of at least one.
func (p *parser) strings(n *node, path string) ([]*node, error) {
	if n.kind == text {
		return []*node{n}, nil
	}
	if n.kind != array || len(n.items) == 0 {
		return nil, p.at(n, path, "want a string, or a list of at least one")
	}
	for _, item := range n.items {
		if item.kind != text {
			return nil, p.at(item, path, "want a string")
		}
	}
	return n.items, nil
}

// principals reads "*", {"AWS": ...} or {"CanonicalUser": ...}. A user is given by id: alone, as arn:aws:iam::<id>:root, arn:aws:iam::<id>:user/<any> or arn:aws:iam:::user/<id>.
// The ARN of an account that has no such id belongs to another system: nobody here, and so it is kept out of ids.
func (p *parser) principals(n *node, path string, not bool, out *principals) error {
	path += "." + notName(not, "Principal")
	if n.kind == text {
		if n.s != "*" || not {
			return p.at(n, path, "a principal is \"*\", {\"AWS\": ...} or {\"CanonicalUser\": ...}")
		}
		out.all = true
		return nil
	}
	if n.kind != object || len(n.items) == 0 {
		return p.at(n, path, "a principal is \"*\", {\"AWS\": ...} or {\"CanonicalUser\": ...}")
	}
	if err := p.only(n, path, "AWS", "CanonicalUser"); err != nil {
		return err
	}
	for i, v := range n.items {
		values, err := p.strings(v, path+"."+n.names[i])
		if err != nil {
			return err
		}
		for _, v := range values {
			if v.s == "*" && n.names[i] == "AWS" {
				out.all = true
				continue
			}
			id, ok := principalID(v.s)
			if !ok && n.names[i] == "AWS" && foreignARN(v.s) {
				continue
			}
			if !ok {
				return p.at(v, path+"."+n.names[i], "%q is not a user: want an id of 16 hex digits or arn:aws:iam::<id>:root", v.s)
			}
			if !slices.Contains(out.ids, id) {
				out.ids = append(out.ids, id)
			}
		}
	}
	if not && out.all {
		return p.at(n, path, "NotPrincipal cannot be everybody")
	}
	return nil
}

func principalID(s string) (string, bool) {
	if rest, ok := strings.CutPrefix(s, "arn:aws:iam::"); ok {
		account, name, _ := strings.Cut(rest, ":")
		switch {
		case name == "root" || account != "" && strings.HasPrefix(name, "user/"):
			s = account
		case account == "":
			if s, ok = strings.CutPrefix(name, "user/"); !ok {
				return "", false
			}
		default:
			return "", false
		}
	}
	if len(s) != 16 {
		return "", false
	}
	s = strings.ToLower(s)
	for i := range len(s) {
		if !(s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f') {
			return "", false
		}
	}
	return s, true
}

// foreignARN reports whether s is the ARN of a principal of an account whose name is no user's id here.
func foreignARN(s string) bool {
	rest, ok := strings.CutPrefix(s, "arn:aws:iam::")
	account, name, _ := strings.Cut(rest, ":")
	if !ok || account == "" || len(account) > 64 || strings.Trim(account, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return false
	}
	if _, ours := principalID(account); ours {
		return false
	}
	kind, id, _ := strings.Cut(name, "/")
	return name == "root" || (kind == "user" || kind == "role") && id != "" && !strings.ContainsAny(id, "*?")
}

// resource reads arn:aws:s3:<any or nothing>:<any or nothing>:bucket[/key], or "*", and reports whether it can name the bucket or something in it.
func resource(arn, bucket string, variables bool) (pattern, bool) {
	if arn == "*" {
		return compile("*", false), true
	}
	rest, ok := strings.CutPrefix(arn, "arn:aws:s3:")
	if !ok {
		return pattern{}, false
	}
	fields := strings.SplitN(rest, ":", 3)
	if len(fields) != 3 || fields[0] != "" && fields[0] != "*" || fields[1] != "" && fields[1] != "*" || fields[2] == "" {
		return pattern{}, false
	}
	if variables && !variablesKnown(fields[2]) {
		return pattern{}, false
	}
	name, _, _ := strings.Cut(fields[2], "/")
	pat := compile(fields[2], variables)
	// A star in the bucket's part may reach over the slash.
	if strings.ContainsAny(name, "*?") {
		head := compile(name, false)
		return pat, head.match(bucket, nil) || strings.Contains(name, "*") && head.matchPrefix(bucket)
	}
	return pat, name == bucket
}

// Principals returns the ids of the users that the policy names, 16 hex digits each, unsorted, without repetition.
func (p *Policy) Principals() []string {
	var ids []string
	for i := range p.statements {
		for _, id := range p.statements[i].principals.ids {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
