package s3

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// CORSConfiguration is the request body of PutBucketCors and what a bucket keeps of it.
type CORSConfiguration struct {
	Rules []CORSRule `xml:"CORSRule"`
}

// CORSRule says which requests of pages of other origins a browser may make. Origins and headers have at most one "*" each.
type CORSRule struct {
	ID      string   `xml:"ID"`
	Origins []string `xml:"AllowedOrigin"`
	Methods []string `xml:"AllowedMethod"`
	Headers []string `xml:"AllowedHeader"`
	Expose  []string `xml:"ExposeHeader"`
	MaxAge  *int64   `xml:"MaxAgeSeconds"` // nil = not said
}

// Limits of a configuration (PutBucketCors).
const (
	maxCORSRules = 100
	maxCORSID    = 255
)

// The errors of preflight requests.
var (
	ErrCORSNotEnabled = &Error{"AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.", http.StatusForbidden}
	ErrCORSNotAllowed = ErrCORSNotEnabled.With("CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
)

// Check returns ErrMalformedXML or ErrInvalidRequest unless the configuration may be stored.
func (c *CORSConfiguration) Check() error {
	if len(c.Rules) == 0 || len(c.Rules) > maxCORSRules {
		return ErrMalformedXML
	}
	for i := range c.Rules {
		r := &c.Rules[i]
		if len(r.Origins) == 0 || len(r.Methods) == 0 || len(r.ID) > maxCORSID || r.MaxAge != nil && *r.MaxAge < 0 {
			return ErrMalformedXML
		}
		for _, m := range r.Methods {
			switch m {
			case "GET", "PUT", "HEAD", "POST", "DELETE":
			default:
				return ErrInvalidRequest.With("Found unsupported HTTP method in CORS config. Unsupported method is " + strconv.Quote(m))
			}
		}
		for _, o := range r.Origins {
			if strings.Count(o, "*") > 1 {
				return ErrInvalidRequest.With("AllowedOrigin " + strconv.Quote(o) + " can not have more than one wildcard.")
			}
		}
		for _, h := range r.Headers {
			if strings.Count(h, "*") > 1 {
				return ErrInvalidRequest.With("AllowedHeader " + strconv.Quote(h) + " can not have more than one wildcard.")
			}
		}
		for _, h := range r.Expose {
			if strings.Contains(h, "*") {
				return ErrInvalidRequest.With("ExposeHeader " + strconv.Quote(h) + " contains wildcard. We currently do not support wildcard for ExposeHeader.")
			}
		}
		for _, text := range slices.Concat(r.Origins, r.Headers, r.Expose) { // they come back in headers
			if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
				return ErrInvalidRequest.With(strconv.Quote(text) + " is neither an origin nor the name of a header.")
			}
		}
	}
	return nil
}

// Match returns the first rule for an origin, a method and the headers that the page wants to send, and the pattern that the origin matched; nil when none allows it.
func (c *CORSConfiguration) Match(origin, method string, headers []string) (rule *CORSRule, pattern string) {
	for i := range c.Rules {
		r := &c.Rules[i]
		at := slices.IndexFunc(r.Origins, func(p string) bool { return matchStar(p, origin) })
		if at >= 0 && slices.Contains(r.Methods, method) && r.allows(headers) {
			return r, r.Origins[at]
		}
	}
	return nil, ""
}

func (r *CORSRule) allows(headers []string) bool {
	for _, h := range headers {
		h = strings.ToLower(h)
		if !slices.ContainsFunc(r.Headers, func(p string) bool { return matchStar(strings.ToLower(p), h) }) {
			return false
		}
	}
	return true
}

// matchStar reports whether s matches a pattern with at most one "*", which stands for any characters.
func matchStar(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// Write writes the reply of GetBucketCors.
func (c *CORSConfiguration) Write(x *XML) {
	x.Begin("CORSConfiguration")
	for i := range c.Rules {
		r := &c.Rules[i]
		x.Open("CORSRule")
		x.Optional("ID", r.ID)
		for _, list := range []struct {
			name   string
			values []string
		}{{"AllowedHeader", r.Headers}, {"AllowedMethod", r.Methods}, {"AllowedOrigin", r.Origins}, {"ExposeHeader", r.Expose}} {
			for _, v := range list.values {
				x.Text(list.name, v)
			}
		}
		if r.MaxAge != nil {
			x.Int("MaxAgeSeconds", *r.MaxAge)
		}
		x.Close("CORSRule")
	}
	x.Close("CORSConfiguration")
}
