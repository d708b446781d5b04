package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// Bounds of what a document may hold, whatever its size: parsed, a short element or attribute costs twenty times its bytes.
const (
	maxXMLDepth    = 16       // more than any document of S3 nests (the deepest, replication and lifecycle rules, use 7)
	maxXMLElements = 100_000  // more than 10,000 parts with a checksum each
	maxXMLToken    = 64 << 10 // bytes of one tag with its attributes, or one text: more than a key that is escaped throughout
)

// DecodeXML reads one document from r into v, a pointer to a struct with xml tags. It reads at most maxBytes, to the end of r, so a verifying body has been verified
// when it returns nil. Document types, entities beyond the five of XML, processing instructions, charsets other than UTF-8, more than 16 levels, 100,000
// elements or 64 KiB in one tag or text, and anything but space behind the root element are refused with ErrMalformedXML; more bytes with ErrMaxMessageLengthExceeded; an empty document with ErrMissingRequestBody. An error
// of r, an *Error or not, is returned as it is.
func DecodeXML(r io.Reader, maxBytes int64, v any) error {
	src := &xmlSource{r: r, left: maxBytes}
	in := xml.NewDecoder(src)
	dec := xml.NewTokenDecoder(&xmlGuard{in: in, src: src})
	err := dec.Decode(v)
	if err == nil {
		err = xmlEnd(dec)
	}
	switch {
	case src.err != nil: // what the source said matters more than what the parser made of it
		return src.err
	case err == nil:
		return nil
	case src.n == 0:
		return ErrMissingRequestBody
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return fmt.Errorf("%w: %w", ErrMalformedXML, err)
}

// xmlEnd reads what is behind the root element, to the end.
func xmlEnd(dec *xml.Decoder) error {
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.Comment:
		case xml.CharData:
			for _, c := range t {
				if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
					return ErrMalformedXML
				}
			}
		default:
			return ErrMalformedXML
		}
	}
}

// xmlGuard passes tokens on that a request may have.
type xmlGuard struct {
	in       *xml.Decoder
	src      *xmlSource
	depth    int
	elements int
	begun    bool
}

func (g *xmlGuard) Token() (xml.Token, error) {
	g.src.token = maxXMLToken
	tok, err := g.in.RawToken() // the decoder above matches elements and resolves name spaces
	switch t := tok.(type) {
	case xml.StartElement:
		g.depth++
		if g.elements++; g.depth > maxXMLDepth || g.elements > maxXMLElements {
			return nil, ErrMalformedXML
		}
	case xml.EndElement:
		g.depth--
	case xml.Directive: // <!DOCTYPE, <!ENTITY
		return nil, ErrMalformedXML
	case xml.ProcInst:
		if g.begun || t.Target != "xml" {
			return nil, ErrMalformedXML
		}
	}
	g.begun = g.begun || tok != nil
	return tok, err
}

// xmlSource bounds what the parser reads and keeps the reader's own error.
type xmlSource struct {
	r     io.Reader
	left  int64
	n     int64 // bytes read
	token int   // bytes that the parser may read before its next token
	err   error // of r, but io.EOF; or a limit was met
}

func (s *xmlSource) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if int64(len(p)) > s.left+1 { // one more, to see that there is more
		p = p[:s.left+1]
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if s.token -= n; s.token < 0 {
		s.err = ErrMalformedXML
		return 0, s.err
	}
	if s.left -= int64(n); s.left < 0 {
		s.err = ErrMaxMessageLengthExceeded
		return 0, s.err
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
