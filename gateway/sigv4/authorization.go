package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ostor/gateway/s3"
)

// Algorithm is the value that announces a signature.
const Algorithm = "AWS4-HMAC-SHA256"

const (
	timeFormat = "20060102T150405Z"
	terminator = "aws4_request"
)

// authorization is what a request says about its signature. The strings are those of the request.
type authorization struct {
	accessKey string
	date      string // scope: 8 digits
	region    string
	service   string
	signed    []string // sorted, unique, lower case; "host" is in it
	signature [sha256.Size]byte
	time      string        // as signed, in timeFormat
	expires   time.Duration // presigned: in [1 s, MaxExpires]
}

func headerError(what string) error {
	return s3.ErrAuthorizationHeaderMalformed.With("The authorization header is malformed; " + what + ".")
}

func queryError(what string) error { return s3.ErrAuthorizationQueryParameters.With(what + ".") }

// InHeader reports whether a request claims to be signed in its header.
func InHeader(r *http.Request) bool {
	for _, v := range r.Header["Authorization"] {
		if strings.HasPrefix(v, Algorithm) {
			return true
		}
	}
	return false
}

// InQuery reports whether a request claims to be presigned.
func InQuery(r *http.Request) bool {
	q := r.URL.RawQuery
	return strings.Contains(q, "X-Amz-Algorithm=") || strings.Contains(q, "X-Amz-Signature=") || strings.Contains(q, "X-Amz-Credential=")
}

// parseHeader reads the Authorization header: the algorithm, then Credential, SignedHeaders and Signature, each once, separated by commas.
func parseHeader(h http.Header) (a authorization, err error) {
	values := h["Authorization"]
	if len(values) != 1 {
		return a, s3.ErrInvalidArgument.With("Only one Authorization header is allowed.")
	}
	rest, ok := strings.CutPrefix(values[0], Algorithm+" ")
	if !ok {
		return a, headerError("the algorithm is not " + Algorithm)
	}
	var credential, signed, signature string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &signed
		case "Signature":
			field = &signature
		}
		if !ok || field == nil || *field != "" || value == "" {
			return a, headerError("it must have exactly the fields Credential, SignedHeaders and Signature, each once and not empty")
		}
		*field = value
	}
	if credential == "" || signed == "" || signature == "" {
		return a, headerError("it must have the fields Credential, SignedHeaders and Signature")
	}
	if what := a.fill(credential, signed, signature); what != "" {
		return a, headerError(what)
	}
	return a, nil
}

// presigned reads the X-Amz-* parameters of the query.
func (c *scratch) presigned() (a authorization, err error) {
	var credential, signed, signature, expires string
	for _, f := range [...]struct {
		name string
		to   *string
	}{{"X-Amz-Credential", &credential}, {"X-Amz-SignedHeaders", &signed}, {"X-Amz-Signature", &signature}, {"X-Amz-Expires", &expires}, {"X-Amz-Date", &a.time}} {
		if *f.to = c.get(f.name); *f.to == "" {
			return a, queryError("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters")
		}
	}
	if c.get("X-Amz-Algorithm") != Algorithm {
		return a, queryError(`X-Amz-Algorithm only supports "` + Algorithm + `"`)
	}
	n, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil && !strings.Contains(err.Error(), "range"):
		return a, queryError("X-Amz-Expires should be a number")
	case err != nil && expires[0] != '-' || n > int64(MaxExpires/time.Second):
		return a, s3.ErrAccessDenied.With("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	case expires[0] == '+':
		return a, queryError("X-Amz-Expires should be a number")
	case n <= 0:
		return a, s3.ErrAccessDenied.With("X-Amz-Expires must be positive")
	}
	a.expires = time.Duration(n) * time.Second
	if what := a.fill(credential, signed, signature); what != "" {
		return a, queryError(what)
	}
	return a, nil
}

// fill reads the three fields that both forms have. It returns what is wrong, "" when nothing is.
func (a *authorization) fill(credential, signed, signature string) string {
	rest, ok := strings.CutSuffix(credential, "/"+terminator)
	if !ok {
		return `the credential must be of the form "<access key>/YYYYMMDD/region/s3/aws4_request"`
	}
	for _, f := range [...]*string{&a.service, &a.region, &a.date} { // from the end: an access key may hold slashes
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			return `the credential must be of the form "<access key>/YYYYMMDD/region/s3/aws4_request"`
		}
		rest, *f = rest[:i], rest[i+1:]
	}
	if a.accessKey = rest; rest == "" || len(a.date) != 8 || a.region == "" || len(credential) > 256 {
		return `the credential must be of the form "<access key>/YYYYMMDD/region/s3/aws4_request"`
	}
	if what := a.setSigned(signed); what != "" {
		return what
	}
	if len(signature) != 2*sha256.Size {
		return "the signature must be 64 hexadecimal digits"
	}
	var digits [2 * sha256.Size]byte
	copy(digits[:], signature)
	if _, err := hex.Decode(a.signature[:], digits[:]); err != nil {
		return "the signature must be 64 hexadecimal digits"
	}
	return ""
}

// maxSigned is the number of headers that may be signed.
const maxSigned = 128

// setSigned reads the list of signed headers.
func (a *authorization) setSigned(list string) string {
	n := strings.Count(list, ";") + 1
	if n > maxSigned {
		return "too many headers are signed"
	}
	a.signed = make([]string, 0, n)
	host, last := false, ""
	for name := range strings.SplitSeq(list, ";") {
		if name <= last { // "" too
			return "the signed headers must be sorted, unique and not empty"
		}
		for i := 0; i < len(name); i++ {
			if c := name[i]; c >= 'A' && c <= 'Z' || c <= ' ' || c >= 0x7f {
				return "the signed headers must be in lower case"
			}
		}
		host = host || name == "host"
		a.signed = append(a.signed, name)
		last = name
	}
	if !host {
		return "the header 'host' must be signed"
	}
	return ""
}

func (a *authorization) appendScope(b []byte) []byte {
	b = append(b, a.date...)
	b = append(b, '/')
	b = append(b, a.region...)
	b = append(b, '/')
	b = append(b, a.service...)
	return append(b, "/"+terminator...)
}

// parseTime reads timeFormat strictly.
func parseTime(s string) (time.Time, error) {
	if len(s) != len(timeFormat) {
		return time.Time{}, s3.ErrAccessDenied
	}
	return time.Parse(timeFormat, s)
}
