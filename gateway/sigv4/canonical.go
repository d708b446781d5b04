package sigv4

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ostor/gateway/s3"
)

// scratch holds what building a canonical request needs, for reuse.
type scratch struct {
	b      []byte // the canonical request, then the string to sign
	name   []byte // of a header
	params []param
	text   []byte // the parameters' encoded names and values
}

// param is a query parameter. The decoded strings share the request's memory where nothing was escaped.
type param struct {
	name, value     string // decoded
	from, eq, until int    // encoded: text[from:eq] and text[eq:until]
}

// maxParams is the number of parameters that a request may have.
const maxParams = 128

var scratches = sync.Pool{New: func() any {
	return &scratch{b: make([]byte, 0, 2048), name: make([]byte, 0, 64), text: make([]byte, 0, 512)}
}}

func getScratch() *scratch { return scratches.Get().(*scratch) }

func (c *scratch) release() {
	clear(c.params) // the strings would keep the request alive
	c.params = c.params[:0]
	if cap(c.b) <= 64<<10 && cap(c.text) <= 64<<10 {
		scratches.Put(c)
	}
}

// parseQuery splits and decodes the query. It returns s3.ErrInvalidURI for a malformed escape or too many parameters, s3.ErrInvalidArgument when a name appears twice.
func (c *scratch) parseQuery(raw string) error {
	c.params, c.text = c.params[:0], c.text[:0]
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if len(c.params) == maxParams {
			return s3.ErrInvalidURI.With("The query has too many parameters.")
		}
		name, value, _ := strings.Cut(part, "=")
		var p param
		var err1, err2 error
		p.name, err1 = url.QueryUnescape(name)
		p.value, err2 = url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return s3.ErrInvalidURI
		}
		for i := range c.params {
			if c.params[i].name == p.name {
				return s3.ErrInvalidArgument.With("Query parameter " + strconv.Quote(p.name) + " is given more than once.")
			}
		}
		p.from = len(c.text)
		c.text = appendEncoded(c.text, p.name, false)
		p.eq = len(c.text)
		c.text = appendEncoded(c.text, p.value, false)
		p.until = len(c.text)
		c.params = append(c.params, p)
	}
	return nil
}

// get returns a decoded parameter.
func (c *scratch) get(name string) string {
	for i := range c.params {
		if c.params[i].name == name {
			return c.params[i].value
		}
	}
	return ""
}

// authenticates reports whether the query carries a signature, of either version.
func (c *scratch) authenticates() bool {
	for i := range c.params {
		switch c.params[i].name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "Signature", "AWSAccessKeyId":
			return true
		}
	}
	return false
}

// pathStyle says which form of the path was signed.
type pathStyle uint8

const (
	canonicalPath pathStyle = iota // decoded once and encoded as Amazon does: what its SDKs sign
	sentPath                       // as it came
)

// canonical makes the canonical request in c.b.
func (c *scratch) canonical(r *http.Request, signed []string, payload string, presigned bool, style pathStyle) {
	b := append(c.b[:0], r.Method...)
	b = append(b, '\n')
	switch {
	case style == sentPath:
		b = append(b, r.URL.RawPath...)
	case r.URL.Path == "":
		b = append(b, '/')
	default:
		b = appendEncoded(b, r.URL.Path, true)
	}
	b = append(b, '\n')
	b = c.appendQuery(b, presigned)
	b = append(b, '\n')
	for _, name := range signed {
		b = append(b, name...)
		b = append(b, ':')
		b = c.appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	c.b = append(b, payload...)
}

// appendQuery appends the parameters by their encoded names, without the signature itself when presigned.
func (c *scratch) appendQuery(b []byte, presigned bool) []byte {
	slices.SortFunc(c.params, func(p, q param) int {
		return bytes.Compare(c.text[p.from:p.eq], c.text[q.from:q.eq])
	})
	first := true
	for i := range c.params {
		p := &c.params[i]
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = append(b, c.text[p.from:p.eq]...)
		b = append(b, '=')
		b = append(b, c.text[p.eq:p.until]...)
	}
	return b
}

// appendHeader appends a header's canonical value: several are joined by commas, space around is dropped and runs of it become one.
func (c *scratch) appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return append(b, r.Host...)
	case "content-length":
		if r.ContentLength >= 0 { // net/http keeps the header, FastCGI may not
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	case "transfer-encoding":
		return append(b, strings.Join(r.TransferEncoding, ",")...)
	}
	for i, v := range r.Header[string(c.canonicalName(name))] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

// canonicalName returns the key of a lower-case name in an http.Header, valid until the next call.
func (c *scratch) canonicalName(name string) []byte {
	n := c.name[:0]
	upper := true
	for i := 0; i < len(name); i++ {
		ch := name[i]
		if upper && ch >= 'a' && ch <= 'z' {
			ch -= 'a' - 'A'
		}
		upper = ch == '-'
		n = append(n, ch)
	}
	c.name = n
	return n
}

// checkHeaders refuses x-amz-* headers that are not signed: whoever sent them need not know the secret.
func (c *scratch) checkHeaders(h http.Header, signed []string) error {
	for key := range h {
		if len(key) < len("X-Amz-") || key[:len("X-Amz-")] != "X-Amz-" {
			continue
		}
		if !c.isSigned(key, signed) {
			return s3.ErrAccessDenied.With("There were headers present in the request which were not signed: " + strings.ToLower(key))
		}
	}
	return nil
}

func (c *scratch) isSigned(key string, signed []string) bool {
	for _, name := range signed {
		if len(name) == len(key) && string(c.canonicalName(name)) == key {
			return true
		}
	}
	return false
}

func appendTrimmed(b []byte, v string) []byte {
	start := len(b)
	space := false
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' || v[i] == '\t' {
			space = true
			continue
		}
		if space && len(b) > start {
			b = append(b, ' ')
		}
		space = false
		b = append(b, v[i])
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// plain marks what UriEncode leaves: the unreserved characters of RFC 3986.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
	}
	return t
}()

// appendEncoded appends s as Amazon's UriEncode does.
func appendEncoded(b []byte, s string, keepSlash bool) []byte {
	for i := 0; i < len(s); i++ {
		if ch := s[i]; plain[ch] || keepSlash && ch == '/' {
			b = append(b, ch)
		} else {
			b = append(b, '%', upperHex[ch>>4], upperHex[ch&15])
		}
	}
	return b
}
