package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
)

const browserAccept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

// pageSeen is what a browser sees of a page.
type pageSeen struct {
	links    []string // href, resolved, in order
	texts    map[string]bool
	elements map[string]int
	text     string
	style    string
}

func seePage(t *testing.T, base, body string) pageSeen {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := pageSeen{texts: map[string]bool{}, elements: map[string]int{}}
	var all strings.Builder
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		switch n.Type {
		case html.ElementNode:
			p.elements[n.Data]++
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") {
					t.Errorf("attribute %s", a.Key)
				}
				if a.Key == "href" {
					u, err := url.Parse(a.Val)
					if err != nil {
						t.Errorf("link %q: %v", a.Val, err)
						continue
					}
					p.links = append(p.links, at.ResolveReference(u).String())
				}
			}
			if n.Data == "style" {
				p.style = n.FirstChild.Data
			}
			if n.Data == "bdi" && n.FirstChild != nil {
				p.texts[n.FirstChild.Data] = true
			}
		case html.TextNode:
			all.WriteString(n.Data)
		}
		for child := n.FirstChild; child != nil; child = child.NextSibling {
			walk(child)
		}
	}
	walk(root)
	p.text = all.String()
	return p
}

// public makes a bucket that everybody may list and read.
func (s *site) public(bucket string) {
	s.t.Helper()
	s.want(200, "", ask{method: "PUT", target: "/" + bucket})
	s.want(204, "", ask{method: "PUT", target: "/" + bucket + "?policy", body: `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::` + bucket + `"},
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`})
}

// TestListingInBrowser: who looks with a browser gets a page, everybody else XML.
func TestListingInBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.public("shelf")
	s.want(200, "", ask{method: "PUT", target: "/shelf/photos/"})
	for _, key := range []string{"a.txt", "photos/2024/one.jpg", "photos/two.jpg", "z.bin"} {
		s.want(200, "", ask{method: "PUT", target: "/shelf/" + key, body: strings.Repeat("x", 1536)})
	}
	for _, tc := range []struct {
		name, target, accept string
		signed, page         bool
	}{
		{"a browser", "/shelf", browserAccept, false, true},
		{"another browser", "/shelf/", "Accept: text/html", false, true},
		{"a browser in a directory", "/shelf?prefix=photos/", browserAccept, false, true},
		{"curl", "/shelf", "Accept: */*", false, false},
		{"nothing said", "/shelf", "", false, false},
		{"XML first", "/shelf", "Accept: text/html;q=0.5, application/xml", false, false},
		{"as much", "/shelf", "Accept: text/html, application/xml", false, false},
		{"not wanted", "/shelf", "Accept: text/html;q=0, */*;q=0.1", false, false},
		{"garbage", "/shelf", "Accept: text/html;q=x;;,,", false, false},
		{"version 2", "/shelf?list-type=2", browserAccept, false, false},
		{"an encoding", "/shelf?encoding-type=url", browserAccept, false, false},
		{"versions", "/shelf?versions", browserAccept, true, false},
		{"signed", "/shelf", browserAccept, true, false},
	} {
		a := ask{method: "GET", target: tc.target, anonymous: !tc.signed}
		if tc.accept != "" {
			a.header = []string{tc.accept}
		}
		got := s.want(200, "", a)
		kind := got.header.Get("Content-Type")
		if page := strings.HasPrefix(kind, "text/html"); page != tc.page || !page && kind != "application/xml" {
			t.Errorf("%s: got %s", tc.name, kind)
		}
	}
	s.want(403, "AccessDenied", ask{method: "GET", target: "/shelf?uploads", anonymous: true, header: []string{browserAccept}})
	s.want(200, "", ask{method: "PUT", target: "/private"})
	s.want(403, "AccessDenied", ask{method: "GET", target: "/private", anonymous: true, header: []string{browserAccept}})
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/nothing-there", anonymous: true, header: []string{browserAccept}})

	got := s.want(200, "", ask{method: "GET", target: "/shelf?prefix=photos/", anonymous: true, header: []string{browserAccept}})
	p := seePage(t, "http://h/shelf?prefix=photos/", got.body)
	want := []string{"http://h/shelf", "http://h/shelf", "http://h/shelf?prefix=photos/2024/", "http://h/shelf/photos/two.jpg"}
	if fmt.Sprint(p.links) != fmt.Sprint(want) {
		t.Errorf("links %v\nwant %v", p.links, want)
	}
	if !p.texts["2024/"] || !p.texts["two.jpg"] || !p.texts["shelf"] || !strings.Contains(p.text, "1.5 KiB") || !strings.Contains(p.text, time.Now().UTC().Format("2006-01-")) || !strings.Contains(p.text, "1 folder, 1 object") {
		t.Errorf("page shows %v\n%s", p.texts, p.text)
	}
	sum := sha256.Sum256([]byte(p.style))
	rules := got.header.Get("Content-Security-Policy")
	if !strings.Contains(rules, "default-src 'none'") || !strings.Contains(rules, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || strings.Contains(rules, "unsafe") {
		t.Errorf("rules %q do not allow the style alone", rules)
	}
	if got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(strings.Join(got.header["Vary"], ","), "Accept") {
		t.Errorf("headers %v", got.header)
	}
	// As a virtual host.
	got = s.want(200, "", ask{method: "GET", target: "/", host: "shelf." + domain, anonymous: true, header: []string{browserAccept}})
	p = seePage(t, "http://shelf/", got.body)
	if want := "[http://shelf/?prefix=photos/ http://shelf/a.txt http://shelf/z.bin]"; fmt.Sprint(p.links) != want {
		t.Errorf("links %v, want %s", p.links, want)
	}
}

// TestListingPages walks the pages of a bucket by their links: every object once, and none twice.
func TestListingPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.public("long")
	for i := range 25 {
		s.want(200, "", ask{method: "PUT", target: fmt.Sprintf("/long/d/k%02d", i), body: "x"})
	}
	seen := map[string]int{}
	next, pages := "/long?prefix=d/&max-keys=10", 0
	for ; next != "" && pages < 9; pages++ {
		got := s.want(200, "", ask{method: "GET", target: next, anonymous: true, header: []string{browserAccept}})
		p := seePage(t, "http://h/", got.body)
		next = ""
		for _, l := range p.links {
			switch rest := strings.TrimPrefix(l, "http://h"); {
			case strings.HasPrefix(rest, "/long/"):
				seen[rest]++
			case strings.Contains(rest, "marker="):
				next = rest
			}
		}
	}
	if pages != 3 || len(seen) != 25 {
		t.Errorf("%d pages with %d objects: %v", pages, len(seen), seen)
	}
}

// TestListingOfOddKeys lists keys made to break out of a page. No element but the page's own comes from them, each link leads back to its object, and none out of the bucket.
func TestListingOfOddKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.public("odd")
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	keys := []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</style><script>", "javascript:alert(1)", "/evil.example/x", "//evil.example/x", "a b+c%2F&d=e?f#g", "\\evil", "tab\there\nand\rthere",
		"\x01\x7f", "{{.}}", "äöü ☃ \u202egnp.exe", "..", "../x", "a/../../b", "./y", "x/", "&lt;b&gt;", "'single'", "`tick`", "\u2028", "data:text/html,x", "%2e%2e/z", "-", "a:b"}
	for range 40 {
		b := make([]rune, 1+rng.IntN(12))
		for i := range b {
			for b[i] = rune(rng.IntN(0x300)); !utf8.ValidRune(b[i]) || b[i] == 0; b[i]++ {
			}
		}
		keys = append(keys, string(b))
	}
	stored := map[string]bool{}
	for _, key := range keys {
		if a := s.do(ask{method: "PUT", target: "/odd/" + url.PathEscape(key), body: "x"}); a.status == 200 {
			stored[key] = true
		}
	}
	if len(stored) < 50 {
		t.Fatalf("only %d of %d keys could be stored", len(stored), len(keys))
	}
	linked := 0
	todo, done := []string{"/odd"}, map[string]bool{}
	for len(todo) > 0 {
		target := todo[0]
		todo = todo[1:]
		if done[target] {
			continue
		}
		done[target] = true
		got := s.want(200, "", ask{method: "GET", target: target, anonymous: true, header: []string{browserAccept}})
		p := seePage(t, "http://h/odd", got.body)
		for _, bad := range []string{"script", "img", "iframe", "form", "base", "object", "svg"} {
			if p.elements[bad] > 0 {
				t.Errorf("seed %d: %s has an element %s", seed, target, bad)
			}
		}
		if p.elements["style"] != 1 || p.elements["title"] != 1 {
			t.Errorf("seed %d: elements %v", seed, p.elements)
		}
		for _, l := range p.links {
			u, err := url.Parse(l)
			if err != nil || u.Host != "h" || u.Path != "/odd" && !strings.HasPrefix(u.Path, "/odd/") {
				t.Errorf("seed %d: link %q leads out of the bucket", seed, l)
				continue
			}
			rest := strings.TrimPrefix(l, "http://h")
			if u.Path == "/odd" {
				todo = append(todo, rest)
				continue
			}
			if key := strings.TrimPrefix(u.Path, "/odd/"); !stored[key] {
				t.Errorf("seed %d: link %q leads to %q, which is not there", seed, l, key)
			}
			if a := s.do(ask{method: "GET", target: rest, anonymous: true}); a.status != 200 {
				t.Errorf("seed %d: GET %s: %d", seed, rest, a.status)
			}
			linked++
		}
	}
	dotted := 0
	for key := range stored {
		for segment := range strings.SplitSeq(key, "/") {
			if segment == "." || segment == ".." {
				dotted++
				break
			}
		}
	}
	if linked != len(stored)-dotted {
		t.Errorf("seed %d: %d objects are linked, want %d", seed, linked, len(stored)-dotted)
	}
}
