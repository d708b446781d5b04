package policy

import (
	"strings"
	"unicode/utf8"
)

// pattern is text with wildcards ("*" any text, "?" one character) and policy variables, compiled.
type pattern struct {
	parts   []part
	literal string // when it is nothing but text
	plain   bool
}

// part is text, a wildcard or a variable.
type part struct {
	kind     partKind
	text     string // literal text; the key of a variable, lower case
	fallback string // of a variable
	has      bool   // there is a fallback
}

type partKind uint8

const (
	partText partKind = iota
	partStar
	partAny
	partVariable
)

// compile reads a pattern. With variables, ${key}, ${key, 'fallback'}, ${*}, ${?} and ${$} are what IAM says; a malformed one is text.
func compile(s string, variables bool) pattern {
	return compileParts(s, variables, true)
}

// compileText reads text in which only variables have a meaning.
func compileText(s string, variables bool) pattern {
	return compileParts(s, variables, false)
}

func compileParts(s string, variables, wildcards bool) pattern {
	var p pattern
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			p.parts = append(p.parts, part{kind: partText, text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case wildcards && c == '*':
			flush()
			if n := len(p.parts); n == 0 || p.parts[n-1].kind != partStar {
				p.parts = append(p.parts, part{kind: partStar})
			}
		case wildcards && c == '?':
			flush()
			p.parts = append(p.parts, part{kind: partAny})
		case variables && c == '$' && strings.HasPrefix(s[i:], "${"):
			inner, _, ok := strings.Cut(s[i+2:], "}")
			if !ok {
				lit.WriteByte(c)
				continue
			}
			i += len(inner) + 2
			if inner == "*" || inner == "?" || inner == "$" {
				lit.WriteString(inner)
				continue
			}
			flush()
			p.parts = append(p.parts, variable(inner))
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	switch {
	case len(p.parts) == 0:
		p.plain = true
	case len(p.parts) == 1 && p.parts[0].kind == partText:
		p.plain, p.literal = true, p.parts[0].text
	}
	return p
}

func variable(inner string) part {
	name, fallback, has := strings.Cut(inner, ",")
	v := part{kind: partVariable, text: strings.ToLower(strings.TrimSpace(name))}
	if fallback = strings.TrimSpace(fallback); has && len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\'' {
		v.fallback, v.has = fallback[1:len(fallback)-1], true
	}
	return v
}

// variablesKnown reports whether every variable of s is a condition key.
func variablesKnown(s string) bool {
	for _, p := range compile(s, true).parts {
		if p.kind == partVariable && !keyKnown(p.text) {
			return false
		}
	}
	return true
}

// maxExpanded bounds the text that variables stand for: more than any value that it could be compared with.
const maxExpanded = 64 << 10

// expand puts the request's values in the place of variables, as text. It reports false when one has no value and no fallback, or all are longer than maxExpanded: then nothing matches.
func (p pattern) expand(r *Request) (pattern, bool) {
	if p.plain {
		return p, true
	}
	for i := range p.parts {
		if p.parts[i].kind != partVariable {
			continue
		}
		out := pattern{parts: append(make([]part, 0, len(p.parts)), p.parts[:i]...)}
		size := 0
		for _, v := range p.parts[i:] {
			if v.kind == partVariable {
				value, ok := v.fallback, v.has
				if r != nil {
					if vs := r.values(v.text); len(vs) == 1 {
						value, ok = vs[0], true
					}
				}
				if size += len(value); !ok || size > maxExpanded {
					return pattern{}, false
				}
				v = part{kind: partText, text: value}
			}
			if n := len(out.parts); v.kind == partText && n > 0 && out.parts[n-1].kind == partText {
				out.parts[n-1].text += v.text // wild is fast when text is one part
			} else {
				out.parts = append(out.parts, v)
			}
		}
		return out, true
	}
	return p, true
}

// text returns what the pattern stands for when it has no wildcards.
func (p pattern) text(r *Request) (string, bool) {
	if p.plain {
		return p.literal, true
	}
	p, ok := p.expand(r)
	var b strings.Builder
	for i := range p.parts {
		b.WriteString(p.parts[i].text)
	}
	return b.String(), ok
}

// match reports whether s is what the pattern says, with the variables of r.
func (p pattern) match(s string, r *Request) bool {
	if p.plain {
		return s == p.literal
	}
	p, ok := p.expand(r)
	return ok && wild(p.parts, s, false)
}

// matchPrefix reports whether the pattern can match s with something behind it.
func (p pattern) matchPrefix(s string) bool {
	return wild(p.parts, s, true)
}

// wild matches by going back to the last star only, and finds text behind a star by searching for it: O(len(s)) for each part that is no text, of which a policy has maxAny. With prefix it is enough that s ends inside of the pattern.
func wild(parts []part, s string, prefix bool) bool {
	i, at := 0, 0
	star, starAt := -1, 0
	for {
		switch {
		case i < len(parts) && parts[i].kind == partStar:
			star, starAt = i, at
			i++
			if i < len(parts) && parts[i].kind == partText {
				n := strings.Index(s[at:], parts[i].text)
				if n < 0 {
					return prefix // it may stand behind s
				}
				at += n
				starAt = at
			}
			continue
		case i < len(parts) && parts[i].kind == partAny && at < len(s):
			_, n := utf8.DecodeRuneInString(s[at:])
			at += n
			i++
			continue
		case i < len(parts) && parts[i].kind == partText && strings.HasPrefix(s[at:], parts[i].text):
			at += len(parts[i].text)
			i++
			continue
		case i == len(parts) && at == len(s):
			return true
		}
		if prefix && (star >= 0 || i < len(parts) && (at == len(s) || parts[i].kind == partText && strings.HasPrefix(parts[i].text, s[at:]))) {
			return true
		}
		if star < 0 || starAt >= len(s) {
			return false
		}
		if i == len(parts) && star == i-1 {
			return true // the star is last and takes the rest
		}
		_, n := utf8.DecodeRuneInString(s[starAt:])
		at = starAt + n
		i = star // which looks for the text behind it again
	}
}
