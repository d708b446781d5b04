package gateway

import (
	"net/url"
	"strconv"
	"strings"

	"ostor/gateway/s3"
)

// query holds the parameters of a request in the order of the URL. Names are unique: a parameter given twice has no meaning that everybody who
// looks at it (the signature, a policy, the operation) would agree on.
type query []param

type param struct{ name, value string }

const maxParams = 128

// parseQuery splits and unescapes a raw query. A parameter that is given twice, a malformed escape or a semicolon is refused.
func parseQuery(raw string) (query, error) {
	if raw == "" {
		return nil, nil
	}
	q := make(query, 0, strings.Count(raw, "&")+1)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if strings.Contains(part, ";") || len(q) == maxParams {
			return nil, s3.ErrInvalidURI
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, s3.ErrInvalidURI
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, s3.ErrInvalidURI
		}
		if q.has(name) {
			return nil, invalidArgument("Query parameter " + strconv.Quote(name) + " is given more than once.")
		}
		q = append(q, param{name, value})
	}
	return q, nil
}

// has reports whether a parameter is there, with or without a value.
func (q query) has(name string) bool {
	_, ok := q.lookup(name)
	return ok
}

// get returns a parameter's value, "" when it is not there.
func (q query) get(name string) string {
	v, _ := q.lookup(name)
	return v
}

func (q query) lookup(name string) (string, bool) {
	for i := range q {
		if q[i].name == name {
			return q[i].value, true
		}
	}
	return "", false
}

// count returns the value of a max-* parameter: def when it is not there or empty, at most limit. Anything but a number in [0, 2^31-1] is refused as S3 does.
func (q query) count(name string, def, limit int) (int, error) {
	v := q.get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return 0, badArgument(name, v, "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return min(int(n), limit), nil
}

// encodingURL reads encoding-type.
func (q query) encodingURL() (bool, error) {
	switch q.get("encoding-type") {
	case "":
		return false, nil
	case "url":
		return true, nil
	}
	return false, badArgument("encoding-type", q.get("encoding-type"), "Invalid Encoding Method specified in Request")
}
