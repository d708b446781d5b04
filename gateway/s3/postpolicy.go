package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// PostPolicy is a policy document of POST Object: what a form may hold, and until when.
type PostPolicy struct {
	expires    time.Time
	conditions []postCondition
	min, max   int64 // bytes of the file
}

type postCondition struct {
	field  string // lower case
	value  string
	shown  string // the field as the policy writes it
	prefix bool   // starts-with, else eq
	length bool   // content-length-range of what are no numbers
	never  bool   // it names no field, so nothing fulfils it
}

func (c *postCondition) String() string {
	op := "eq"
	switch {
	case c.length:
		op = "content-length-range"
	case c.prefix:
		op = "starts-with"
	}
	return "[" + strconv.Quote(op) + ", " + strconv.Quote(c.shown) + ", " + strconv.Quote(c.value) + "]"
}

// holds reports whether a field's value fulfils the condition.
func (c *postCondition) holds(v string) bool {
	switch {
	case c.never:
		return false
	case !c.prefix:
		return v == c.value
	case c.field != "content-type":
		return strings.HasPrefix(v, c.value)
	}
	for part := range strings.SplitSeq(v, ",") { // a list: every type must begin like that
		if !strings.HasPrefix(part, c.value) {
			return false
		}
	}
	return true
}

func badPolicy(what string) error { return ErrInvalidPolicyDocument.With("Invalid Policy: " + what) }

func policyFailed(what string) error {
	return ErrAccessDenied.With("Invalid according to Policy: " + what)
}

// ParsePostPolicy reads a policy in base64. It returns ErrInvalidPolicyDocument when it is none. Names of its members are case-sensitive, those of fields and operators are not.
func ParsePostPolicy(encoded string, maxBytes int64) (*PostPolicy, error) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("not base64.")
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(unescapeDollar(text), &doc); err != nil {
		return nil, badPolicy("Invalid JSON.")
	}
	p := &PostPolicy{max: maxBytes}
	var expiration string
	if json.Unmarshal(doc["expiration"], &expiration) != nil {
		return nil, badPolicy("Policy missing expiration.")
	}
	if p.expires, err = time.Parse(time.RFC3339, expiration); err != nil {
		return nil, badPolicy("Invalid 'expiration' value: " + strconv.Quote(expiration))
	}
	var conditions []json.RawMessage
	if json.Unmarshal(doc["conditions"], &conditions) != nil || conditions == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	for _, c := range conditions {
		if err := p.addCondition(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// unescapeDollar makes of "\$", an escape that POST policies have and JSON has not ("POST Policy", "Character Escaping"), the dollar sign. A backslash that is escaped itself stays.
func unescapeDollar(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\$`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
			if text[i] != '$' {
				out = append(out, '\\')
			}
		}
		out = append(out, text[i])
	}
	return out
}

func (p *PostPolicy) addCondition(raw json.RawMessage) error {
	var object map[string]any
	if json.Unmarshal(raw, &object) == nil {
		if len(object) != 1 {
			return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for k, v := range object {
			value, ok := v.(string)
			if !ok {
				return badPolicy("Invalid Simple-Condition: value must be a string.")
			}
			p.conditions = append(p.conditions, postCondition{field: strings.ToLower(k), value: value, shown: "$" + k})
		}
		return nil
	}
	var list []any
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 {
		return badPolicy("Invalid condition: want an object of strings or a list of three.")
	}
	op, _ := list[0].(string)
	if strings.EqualFold(op, "content-length-range") {
		return p.addRange(list[1], list[2])
	}
	field, ok1 := list[1].(string)
	value, ok2 := list[2].(string)
	name, dollar := strings.CutPrefix(field, "$")
	c := postCondition{field: strings.ToLower(name), value: value, shown: field, prefix: strings.EqualFold(op, "starts-with"), never: !dollar}
	if !ok1 || !ok2 || !c.prefix && !strings.EqualFold(op, "eq") {
		return badPolicy("Invalid condition of " + strconv.Quote(op) + ".")
	}
	p.conditions = append(p.conditions, c)
	return nil
}

// addRange adds a content-length-range. Text that is no number is a condition that never holds, as in S3.
func (p *PostPolicy) addRange(from, to any) error {
	lo, ok1 := policyNumber(from)
	hi, ok2 := policyNumber(to)
	if ok1 && ok2 {
		p.min, p.max = max(p.min, lo), min(p.max, hi)
		return nil
	}
	a, text1 := from.(string)
	b, text2 := to.(string)
	if !text1 || !text2 {
		return badPolicy("content-length-range needs two numbers.")
	}
	p.conditions = append(p.conditions, postCondition{shown: a, value: b, length: true, never: true})
	return nil
}

func policyNumber(v any) (int64, bool) {
	switch n := v.(type) {
	case float64:
		return int64(n), n >= 0 && n < 1<<62 && n == float64(int64(n))
	case string:
		i, err := strconv.ParseInt(n, 10, 64)
		return i, err == nil && i >= 0
	}
	return 0, false
}

// checksumField reports whether a field only says which bytes the file has.
func checksumField(name string) bool {
	return strings.HasPrefix(name, "x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm" || name == "content-md5"
}

// Check decides whether a form fulfils the policy at time now. fields are those of the form, with "bucket" among them and "key" as the object gets it. Every field must be
// named by a condition, so that the signer has seen it; x-ignore-*, checksums of the file and those of the signature itself excepted. It returns ErrAccessDenied.
func (p *PostPolicy) Check(fields []FormField, now time.Time) error {
	if !now.Before(p.expires) {
		return policyFailed("Policy expired.")
	}
	values := make(map[string]string, len(fields))
	for i := range fields {
		values[fields[i].Name] = fields[i].Value
	}
	named := make(map[string]bool, len(p.conditions))
	for i := range p.conditions {
		c := &p.conditions[i]
		named[c.field] = true
		if !c.holds(values[c.field]) {
			return policyFailed("Policy Condition failed: " + c.String())
		}
	}
	for i := range fields {
		switch name := fields[i].Name; name {
		case "signature", "x-amz-signature", "awsaccesskeyid", "policy":
		default:
			if !named[name] && !strings.HasPrefix(name, "x-ignore-") && !checksumField(name) {
				return policyFailed("Extra input fields: " + name)
			}
		}
	}
	return nil
}

// CheckSize returns ErrEntityTooSmall or ErrEntityTooLarge when a file of size bytes is out of the policy's range.
func (p *PostPolicy) CheckSize(size int64) error {
	switch {
	case size < p.min:
		return Explain(ErrEntityTooSmall, Sizes("ProposedSize", size, "MinSizeAllowed", p.min)...)
	case size > p.max:
		return TooLarge(size, p.max)
	}
	return nil
}

// PostResponse is the reply of POST Object with success_action_status 201.
type PostResponse struct{ Location, Bucket, Key, ETag string }

// Write writes the document.
func (r *PostResponse) Write(x *XML) {
	x.BeginBare("PostResponse")
	x.Text("Location", r.Location)
	x.Text("Bucket", r.Bucket)
	x.Text("Key", r.Key)
	x.ETag(r.ETag)
	x.Close("PostResponse")
}
