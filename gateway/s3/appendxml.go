package s3

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Namespace is the XML namespace of every S3 document.
const Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// XML builds a reply document by appending to a buffer: a listing of a thousand keys costs one buffer and no reflection. The zero value is ready.
// Element names are written as they are; text is escaped.
type XML struct {
	b []byte
}

// Reset begins a document that reuses buf, which may be nil, from its start.
func (x *XML) Reset(buf []byte) { x.b = buf[:0] }

// Bytes returns the document so far. It is valid until the next call of a method.
func (x *XML) Bytes() []byte { return x.b }

// Begin writes the declaration and opens the root element with the S3 namespace.
func (x *XML) Begin(root string) {
	x.b = append(x.b, `<?xml version="1.0" encoding="UTF-8"?>`...)
	x.b = append(x.b, "\n<"...)
	x.b = append(x.b, root...)
	x.b = append(x.b, ` xmlns="`+Namespace+`">`...)
}

// BeginBare writes the declaration and opens a root element without a namespace, as error documents have it.
func (x *XML) BeginBare(root string) {
	x.b = append(x.b, `<?xml version="1.0" encoding="UTF-8"?>`...)
	x.b = append(x.b, '\n')
	x.Open(root)
}

// Open opens an element.
func (x *XML) Open(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

// Close closes an element.
func (x *XML) Close(name string) {
	x.b = append(x.b, '<', '/')
	x.b = append(x.b, name...)
	x.b = append(x.b, '>')
}

// Empty writes an element without content.
func (x *XML) Empty(name string) {
	x.b = append(x.b, '<')
	x.b = append(x.b, name...)
	x.b = append(x.b, '/', '>')
}

// Text writes an element that holds s.
func (x *XML) Text(name, s string) {
	x.Open(name)
	x.b = appendText(x.b, s)
	x.Close(name)
}

// Optional writes an element that holds s, unless s is empty.
func (x *XML) Optional(name, s string) {
	if s != "" {
		x.Text(name, s)
	}
}

// ETag writes an ETag element: the value in double quotes.
func (x *XML) ETag(etag string) {
	x.b = append(x.b, "<ETag>&quot;"...)
	x.b = appendText(x.b, etag)
	x.b = append(x.b, "&quot;</ETag>"...)
}

// Int writes an element that holds a number.
func (x *XML) Int(name string, n int64) {
	x.Open(name)
	x.b = strconv.AppendInt(x.b, n, 10)
	x.Close(name)
}

// Bool writes an element that holds true or false.
func (x *XML) Bool(name string, v bool) {
	x.Open(name)
	x.b = strconv.AppendBool(x.b, v)
	x.Close(name)
}

// Time writes an element that holds t as S3 writes times in documents: 2009-10-12T17:50:30.000Z.
func (x *XML) Time(name string, t time.Time) {
	x.Open(name)
	x.b = AppendTime(x.b, t)
	x.Close(name)
}

// AppendTime appends t in UTC with milliseconds, as 2009-10-12T17:50:30.000Z. Years outside [0, 9999] are cut to the nearest.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, min(max(year, 0), 9999), 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1e6, 3)
	return append(b, 'Z')
}

// appendDigits appends the last n decimal digits of v >= 0, n at most 4.
func appendDigits(b []byte, v, n int) []byte {
	var d [4]byte
	for i := n - 1; i >= 0; i-- {
		d[i] = byte('0' + v%10)
		v /= 10
	}
	return append(b, d[:n]...)
}

// appendText appends s as character data. Control characters become character references, also those that XML 1.0 has no way to write (S3 does
// the same: a client that needs such keys asks for encoding-type=url). Bytes that are not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if textSafe[c] {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '"':
			b = append(b, "&quot;"...)
		default:
			b = append(b, "&#x"...)
			b = strconv.AppendUint(b, uint64(c), 16)
			b = append(b, ';')
		}
		i++
		from = i
	}
	return append(b, s[from:]...)
}

// textSafe marks the ASCII bytes that stand for themselves in character data.
var textSafe = func() (t [utf8.RuneSelf]bool) {
	for c := byte(0x20); c < 0x7f; c++ {
		t[c] = c != '&' && c != '<' && c != '>' && c != '"'
	}
	return t
}()

// URLEncode encodes a name for encoding-type=url: every byte but unreserved characters (RFC 3986) and "/" as %XX, so that a decoder of paths and one of
// queries (which reads "+" as a blank) both get the name back.
func URLEncode(s string) string {
	n := 0
	for i := range len(s) {
		if !urlSafe[s[i]] {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hexDigits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; urlSafe[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

var urlSafe = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/") {
		t[c] = true
	}
	return t
}()
