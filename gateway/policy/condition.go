package policy

import (
	"encoding/base64"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// condition is one operator over one key.
type condition struct {
	key      string // lower case
	op       *operator
	set      setOperator
	ifExists bool
	isNull   bool // the operator is Null: operand.yes says whether the key must be missing
	operands []operand
}

type setOperator uint8

const (
	noSet setOperator = iota
	forAnyValue
	forAllValues
)

// operand is one value of the policy, in the form that its operator compares.
type operand struct {
	pat    pattern
	number *big.Rat
	date   time.Time
	prefix netip.Prefix
	bytes  string
	yes    bool
}

// operator compares one value of the request with one of the policy. It reports false also when the request's value has not its form.
type operator struct {
	parse   func(s string, variables bool) (operand, bool)
	compare func(value string, o *operand, r *Request) bool
	negated bool // true when no operand compares
}

var operators = map[string]*operator{
	"StringEquals":              {parseText, equalText, false},
	"StringNotEquals":           {parseText, equalText, true},
	"StringEqualsIgnoreCase":    {parseText, equalFold, false},
	"StringNotEqualsIgnoreCase": {parseText, equalFold, true},
	"StringLike":                {parsePattern, like, false},
	"StringNotLike":             {parsePattern, like, true},
	"NumericEquals":             {parseNumber, numeric(func(c int) bool { return c == 0 }), false},
	"NumericNotEquals":          {parseNumber, numeric(func(c int) bool { return c == 0 }), true},
	"NumericLessThan":           {parseNumber, numeric(func(c int) bool { return c < 0 }), false},
	"NumericLessThanEquals":     {parseNumber, numeric(func(c int) bool { return c <= 0 }), false},
	"NumericGreaterThan":        {parseNumber, numeric(func(c int) bool { return c > 0 }), false},
	"NumericGreaterThanEquals":  {parseNumber, numeric(func(c int) bool { return c >= 0 }), false},
	"DateEquals":                {parseDate, dated(func(c int) bool { return c == 0 }), false},
	"DateNotEquals":             {parseDate, dated(func(c int) bool { return c == 0 }), true},
	"DateLessThan":              {parseDate, dated(func(c int) bool { return c < 0 }), false},
	"DateLessThanEquals":        {parseDate, dated(func(c int) bool { return c <= 0 }), false},
	"DateGreaterThan":           {parseDate, dated(func(c int) bool { return c > 0 }), false},
	"DateGreaterThanEquals":     {parseDate, dated(func(c int) bool { return c >= 0 }), false},
	"Bool":                      {parseBool, equalBool, false},
	"BinaryEquals":              {parseBinary, equalBytes, false},
	"IpAddress":                 {parsePrefix, inPrefix, false},
	"NotIpAddress":              {parsePrefix, inPrefix, true},
	"ArnEquals":                 {parseARN, likeARN, false},
	"ArnLike":                   {parseARN, likeARN, false},
	"ArnNotEquals":              {parseARN, likeARN, true},
	"ArnNotLike":                {parseARN, likeARN, true},
	"Null":                      {parseBool, nil, false},
}

// conditions reads the Condition element of a statement.
func (p *parser) conditions(n *node, path string, variables bool, s *statement) error {
	if n.kind != object {
		return p.at(n, path, "Condition is an object")
	}
	for i, block := range n.items {
		c := condition{}
		full := n.names[i]
		name, ok := strings.CutPrefix(full, "ForAnyValue:")
		if ok {
			c.set = forAnyValue
		} else if name, ok = strings.CutPrefix(full, "ForAllValues:"); ok {
			c.set = forAllValues
		}
		name, c.ifExists = strings.CutSuffix(name, "IfExists")
		c.op = operators[name]
		c.isNull = name == "Null"
		if c.op == nil || c.isNull && (c.ifExists || c.set != noSet) {
			return p.at(block, path, "%q is no operator of conditions", full)
		}
		here := path + "." + full
		if block.kind != object || len(block.items) == 0 {
			return p.at(block, here, "want an object of condition keys")
		}
		for j, values := range block.items {
			k := c
			k.key = strings.ToLower(block.names[j])
			if !keyKnown(k.key) {
				return p.at(values, here, "%q is no condition key", block.names[j])
			}
			items := values.items
			if values.kind != array {
				items = []*node{values}
			}
			if len(items) == 0 {
				return p.at(values, here+"."+block.names[j], "a condition has at least one value")
			}
			k.operands = make([]operand, len(items))
			for l, v := range items {
				ok := v.kind == text || v.kind == number || v.kind == boolean
				if ok && variables && v.kind == text {
					ok = variablesKnown(v.s)
				}
				if ok {
					k.operands[l], ok = k.op.parse(v.s, variables)
				}
				if !ok {
					return p.at(v, here+"."+block.names[j], "%q is no value for %s", v.s, full)
				}
			}
			s.conditions = append(s.conditions, k)
		}
	}
	return nil
}

// holds evaluates a condition.
func (c *condition) holds(r *Request) bool {
	values := r.values(c.key)
	if c.isNull {
		return slices.ContainsFunc(c.operands, func(o operand) bool { return o.yes == (len(values) == 0) })
	}
	if len(values) == 0 {
		switch {
		case c.ifExists || c.set == forAllValues:
			return true
		case c.set == forAnyValue:
			return false
		}
		return c.op.negated
	}
	// Without a set operator a positive one wants some value to match, a negated one every value not to.
	all := c.set == forAllValues || c.set == noSet && c.op.negated
	for _, v := range values {
		if c.one(v, r) != all {
			return !all
		}
	}
	return all
}

func (c *condition) one(value string, r *Request) bool {
	for i := range c.operands {
		if c.op.compare(value, &c.operands[i], r) {
			return !c.op.negated
		}
	}
	return c.op.negated
}

func parseText(s string, variables bool) (operand, bool) {
	return operand{pat: compileText(s, variables)}, true
}

func equalText(value string, o *operand, r *Request) bool {
	s, ok := o.pat.text(r)
	return ok && s == value
}

func equalFold(value string, o *operand, r *Request) bool {
	s, ok := o.pat.text(r)
	return ok && strings.EqualFold(s, value)
}

func parsePattern(s string, variables bool) (operand, bool) {
	return operand{pat: compile(s, variables)}, true
}

func like(value string, o *operand, r *Request) bool { return o.pat.match(value, r) }

// maxNumber bounds the text of a number: an exponent would make it as large as memory.
const maxNumber = 32

func parseRat(s string) *big.Rat {
	if len(s) > maxNumber || strings.ContainsAny(s, "eEpPxX/_oObB") {
		return nil
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	return n
}

func parseNumber(s string, _ bool) (operand, bool) {
	n := parseRat(s)
	return operand{number: n}, n != nil
}

func numeric(ok func(int) bool) func(string, *operand, *Request) bool {
	return func(value string, o *operand, _ *Request) bool {
		n := parseRat(value)
		return n != nil && ok(n.Cmp(o.number))
	}
}

// parseTime reads the W3C profile of ISO 8601, or seconds since 1970.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if layout == "2006" && len(s) != 4 {
			continue
		}
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if n := parseRat(s); n != nil && n.IsInt() && n.Num().IsInt64() {
		return time.Unix(n.Num().Int64(), 0), true
	}
	return time.Time{}, false
}

func parseDate(s string, _ bool) (operand, bool) {
	t, ok := parseTime(s)
	return operand{date: t}, ok
}

func dated(ok func(int) bool) func(string, *operand, *Request) bool {
	return func(value string, o *operand, _ *Request) bool {
		t, valid := parseTime(value)
		return valid && ok(t.Compare(o.date))
	}
}

func parseBool(s string, _ bool) (operand, bool) {
	switch strings.ToLower(s) {
	case "true":
		return operand{yes: true}, true
	case "false":
		return operand{}, true
	}
	return operand{}, false
}

func equalBool(value string, o *operand, _ *Request) bool {
	v, ok := parseBool(value, false)
	return ok && v.yes == o.yes
}

func parseBinary(s string, _ bool) (operand, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return operand{bytes: string(b)}, err == nil
}

func equalBytes(value string, o *operand, _ *Request) bool { return value == o.bytes }

func parsePrefix(s string, _ bool) (operand, bool) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return operand{}, false
		}
		a = a.Unmap()
		return operand{prefix: netip.PrefixFrom(a, a.BitLen())}, true
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return operand{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return operand{prefix: p.Masked()}, err == nil
}

func inPrefix(value string, o *operand, _ *Request) bool {
	a, err := netip.ParseAddr(value)
	return err == nil && o.prefix.Contains(a.Unmap().WithZone(""))
}

// ARNs are compared field by field: a wildcard does not reach over a colon, but in the last field.
const arnFields = 6

func parseARN(s string, variables bool) (operand, bool) {
	return operand{bytes: s, yes: variables}, s == "*" || strings.HasPrefix(s, "arn:") && len(strings.SplitN(s, ":", arnFields)) == arnFields
}

func likeARN(value string, o *operand, r *Request) bool {
	if o.bytes == "*" {
		return true
	}
	want, got := splitARN(o.bytes), strings.SplitN(value, ":", arnFields)
	if len(want) != arnFields || len(got) != arnFields {
		return false
	}
	for i := range want {
		if !compile(want[i], o.yes).match(got[i], r) {
			return false
		}
	}
	return true
}

// splitARN splits the pattern of an ARN at its first five colons outside of variables.
func splitARN(s string) []string {
	var fields []string
	from, inside := 0, false
	for i := 0; i < len(s) && len(fields) < arnFields-1; i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			inside = true
		case s[i] == '}':
			inside = false
		case s[i] == ':' && !inside:
			fields = append(fields, s[from:i])
			from = i + 1
		}
	}
	return append(fields, s[from:])
}
