package conform

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// who sends a request.
type who uint8

const (
	main who = iota // owner of the case's bucket
	alt
	other
	nobody // anonymous
)

// step is one request and what must come back. Strings may hold {b}, {c} and what an earlier step saved as {name}.
type step struct {
	method, target string // escaped path and query, sent as they are
	header         []string
	content        string
	user           who
	digest         bool                                                // with a Content-MD5
	v2             bool                                                // signed by version 2
	prepare        func(s *Site, st *step, expand func(string) string) // writes what depends on users and time, before the request

	status  int
	code    string // of the error document; "" = none
	has     []string
	hasNot  []string
	replies []string // headers: "Name: value", "Name:" must be absent, "Name: *" must be there
	saved   []string // "name=Element" of the document, or "name=@Header"
	counts  []count
	ordered []string
}

// count is how often something stands in a document.
type count struct {
	what string
	n    int
}

func do(method, target string) step {
	return step{method: method, target: target, status: http.StatusOK}
}

func get(target string) step        { return do("GET", target) }
func head(target string) step       { return do("HEAD", target) }
func put(target, body string) step  { return do("PUT", target).body(body) }
func post(target, body string) step { return do("POST", target).body(body) }
func del(target string) step        { return do("DELETE", target).gives(http.StatusNoContent) }

func (s step) body(b string) step { s.content = b; return s }

// with adds request headers.
func (s step) with(headers ...string) step {
	s.header = append(s.header[:len(s.header):len(s.header)], headers...)
	return s
}

func (s step) by(w who) step { s.user = w; return s }

// gives is the status of a success, and parts of the document.
func (s step) gives(status int, has ...string) step {
	s.status, s.has = status, append(s.has[:len(s.has):len(s.has)], has...)
	return s
}

// shows are parts of a document with status 200.
func (s step) shows(has ...string) step { return s.gives(s.status, has...) }

func (s step) hides(hasNot ...string) step { s.hasNot = hasNot; return s }

// fails is the status and code of a refusal.
func (s step) fails(status int, code string) step { s.status, s.code = status, code; return s }

// replyHeader are headers that the reply has, or has not.
func (s step) replyHeader(headers ...string) step {
	s.replies = append(s.replies[:len(s.replies):len(s.replies)], headers...)
	return s
}

// times says how often something stands in the document.
func (s step) times(what string, n int) step {
	s.counts = append(s.counts[:len(s.counts):len(s.counts)], count{what, n})
	return s
}

// inOrder says that these stand in the document one behind the other.
func (s step) inOrder(what ...string) step { s.ordered = what; return s }

// withMD5 adds the Content-MD5 of the body as it is sent.
func (s step) withMD5() step { s.digest = true; return s }

func (s step) save(names ...string) step { s.saved = names; return s }

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// element returns what stands between the first element of a name and its end.
func (r *reply) element(name string) (string, bool) {
	_, rest, ok := strings.Cut(r.body, "<"+name+">")
	if !ok {
		return "", false
	}
	v, _, ok := strings.Cut(rest, "</"+name+">")
	return strings.ReplaceAll(v, "&quot;", `"`), ok
}

// run sends the step and checks the reply; vars are the names that it may use, and gets those that it saves.
func (s step) run(t *testing.T, site *Site, vars map[string]string) {
	t.Helper()
	expand := func(v string) string {
		for name, value := range vars {
			v = strings.ReplaceAll(v, "{"+name+"}", value)
		}
		return v
	}
	if s.prepare != nil {
		s.prepare(site, &s, expand)
	}
	s.target, s.content = expand(s.target), expand(s.content)
	for i, h := range s.header {
		s.header[i] = expand(h)
	}
	if s.digest {
		sum := md5.Sum([]byte(s.content))
		s.header = append(s.header, "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]))
	}
	got := site.do(t, &s)
	problem := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s %q: "+format+"\n%d %v\n%.2000s", append(append([]any{s.method, s.target, s.header}, args...), got.status, got.header, got.body)...)
	}
	code, _ := got.element("Code")
	if !strings.Contains(got.body, "<Error>") || got.status < http.StatusMultipleChoices {
		code = ""
	}
	if got.status != s.status || code != s.code && s.method != http.MethodHead {
		problem("got %d %s, want %d %s", got.status, code, s.status, s.code)
		return
	}
	for _, part := range s.has {
		if part = expand(part); !strings.Contains(got.body, part) {
			problem("the reply lacks %q", part)
		}
	}
	for _, part := range s.hasNot {
		if part = expand(part); strings.Contains(got.body, part) {
			problem("the reply has %q", part)
		}
	}
	for _, c := range s.counts {
		if n := strings.Count(got.body, c.what); n != c.n {
			problem("%q is there %d times, want %d", c.what, n, c.n)
		}
	}
	rest := got.body
	for _, what := range s.ordered {
		_, behind, ok := strings.Cut(rest, expand(what))
		if !ok {
			problem("%q is not there, or not in order", what)
			break
		}
		rest = behind
	}
	for _, h := range s.replies {
		name, want, _ := strings.Cut(expand(h), ":")
		want = strings.TrimSpace(want)
		if v := got.header.Get(name); v != want && (want != "*" || v == "") {
			problem("%s is %q, want %q", name, v, want)
		}
	}
	if got.header.Get("X-Amz-Request-Id") == "" || got.header.Get("Date") == "" {
		problem("no request id or date")
	}
	if id, ok := got.element("RequestId"); code != "" && (!ok || id != got.header.Get("X-Amz-Request-Id")) {
		problem("the document's request id is not the header's")
	}
	if got.header.Get("Content-Type") == "application/xml" && got.body != "" {
		if err := wellFormed(got.body); err != nil {
			problem("the document is not well formed: %v", err)
		}
	}
	for _, v := range s.saved {
		name, from, _ := strings.Cut(v, "=")
		if h, ok := strings.CutPrefix(from, "@"); ok {
			vars[name] = got.header.Get(h)
		} else {
			vars[name], _ = got.element(from)
		}
		if vars[name] == "" {
			problem("no %s to save", from)
		}
	}
}

func wellFormed(doc string) error {
	dec := xml.NewDecoder(strings.NewReader(doc))
	for {
		if _, err := dec.Token(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
