package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

type kind uint8

const (
	text kind = iota
	number
	boolean
	null
	array
	object
)

// node is a JSON value with its place in the document.
type node struct {
	kind   kind
	s      string   // of text; the literal of number and boolean
	names  []string // of an object's items, unique
	items  []*node
	offset int
}

func (n *node) member(name string) *node {
	if n.kind != object {
		return nil
	}
	if i := slices.Index(n.names, name); i >= 0 {
		return n.items[i]
	}
	return nil
}

// or returns n, or other when there is no n.
func (n *node) or(other *node) *node {
	if n == nil {
		return other
	}
	return n
}

// parser reads one document.
type parser struct {
	doc []byte
	dec *json.Decoder
	any int // question marks in all texts
}

func (p *parser) fail(path string, offset int, format string, args ...any) *Error {
	offset = min(offset, len(p.doc))
	line := 1 + bytes.Count(p.doc[:offset], []byte{'\n'})
	column := offset - bytes.LastIndexByte(p.doc[:offset], '\n')
	return &Error{Path: path, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) at(n *node, path, format string, args ...any) error {
	return p.fail(path, n.offset, format, args...)
}

// only refuses members of other names.
func (p *parser) only(n *node, path string, names ...string) error {
	for i, name := range n.names {
		if !slices.Contains(names, name) {
			return p.at(n.items[i], path, "unknown element %q", name)
		}
	}
	return nil
}

// tree reads the whole document. A name that comes twice in an object is refused: readers would not agree on its meaning.
func (p *parser) tree() (*node, error) {
	p.dec = json.NewDecoder(bytes.NewReader(p.doc))
	p.dec.UseNumber()
	root, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return nil, p.fail("", int(p.dec.InputOffset()), "there is something behind the policy")
	}
	return root, nil
}

func (p *parser) token() (json.Token, int, error) {
	t, err := p.dec.Token()
	end := int(p.dec.InputOffset())
	if err != nil {
		return nil, end, p.fail("", end, "the policy is not valid JSON")
	}
	return t, end, nil
}

// start skips to the next value, for its place.
func (p *parser) start() int {
	i := int(p.dec.InputOffset())
	for i < len(p.doc) && bytes.IndexByte([]byte(" \t\r\n,:"), p.doc[i]) >= 0 {
		i++
	}
	return i
}

func (p *parser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.fail("", p.start(), "the policy is nested deeper than %d", maxDepth)
	}
	n := &node{offset: p.start()}
	t, _, err := p.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case string:
		n.kind, n.s = text, t
		p.any += strings.Count(t, "?")
	case json.Number:
		n.kind, n.s = number, t.String()
	case bool:
		n.kind, n.s = boolean, fmt.Sprint(t)
	case nil:
		n.kind = null
	case json.Delim:
		n.kind = array
		if t == '{' {
			n.kind = object
		}
		return n, p.members(n, depth)
	}
	return n, nil
}

func (p *parser) members(n *node, depth int) error {
	for p.dec.More() {
		if n.kind == object {
			offset := p.start()
			t, _, err := p.token()
			if err != nil {
				return err
			}
			name, _ := t.(string) // the decoder gives nothing else here
			if slices.Contains(n.names, name) {
				return p.fail("", offset, "the element %q comes twice", name)
			}
			n.names = append(n.names, name)
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, _, err := p.token() // the closing bracket
	return err
}
