package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// A public bucket looked at with a browser shows a page instead of XML. SDKs and curl take anything (*/*) and get XML; so does every request that is signed, or that asks for the second version or for an encoding:
// a program made it. The page has no script and loads nothing.

//go:embed listpage.html
var listPageHTML string

//go:embed listpage.css
var listPageCSS string

var (
	listPage = template.Must(template.New("list").Parse(listPageHTML))
	// The style is allowed by its digest and nothing else is: a name that found a way out of its escaping could do nothing.
	listPageRules = []string{"default-src 'none'; style-src 'sha256-" + digestOfStyle() + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
)

func digestOfStyle() string {
	sum := sha256.Sum256([]byte(listPageCSS))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// wantsPage reports whether somebody looks at a listing with a browser.
func (c *call) wantsPage() bool {
	return c.op == opListObjects && c.who.anonymous && !c.query.has("encoding-type") && prefersHTML(c.r.Header["Accept"])
}

// prefersHTML reports whether text/html is named, and wanted more than XML: RFC 9110, 12.5.1.
func prefersHTML(accept []string) bool {
	html, xml := 0.0, -1.0
	any := 0.0
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(part, ";")
			q := 1.0
			for p := range strings.SplitSeq(params, ";") {
				if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
					var err error
					if q, err = strconv.ParseFloat(v, 64); err != nil || q < 0 || q > 1 {
						q = 0
					}
				}
			}
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "text/html":
				html = max(html, q)
			case "application/xml", "text/xml":
				xml = max(xml, q)
			case "*/*", "application/*":
				any = max(any, q)
			}
		}
	}
	if xml < 0 {
		xml = any
	}
	return html > 0 && html > xml
}

// pageData is what the page shows. A URL that is empty is no link.
type pageData struct {
	Title, Count    string
	Style           template.CSS
	Crumbs          []pageLink
	Up, First, Next template.URL
	Folders         []pageLink
	Files           []pageFile
	Empty           bool
}

type pageLink struct {
	Name string
	URL  template.URL
}

type pageFile struct {
	pageLink
	Size, Date, Stamp string
	Bytes             int64
}

// listPage answers ListObjects with a page: one directory, whose separator is a slash unless the URL gives another one, from marker on.
func (g *Gateway) listPage(c *call) error {
	q := c.query
	r := cluster.ListRequest{Bucket: c.bkt.ID, Prefix: q.get("prefix"), Delimiter: "/", After: q.get("marker")}
	if q.has("delimiter") {
		r.Delimiter = q.get("delimiter")
	}
	var err error
	if r.Limit, err = q.count("max-keys", maxListKeys, maxListKeys); err != nil {
		return err
	}
	var page listed
	if r.Limit > 0 {
		if page, err = g.list(c.r.Context(), r); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := listPage.Execute(&b, c.pageOf(r, &page)); err != nil {
		return err
	}
	h := c.w.Header()
	h["Vary"] = append(append([]string(nil), h["Vary"]...), "Accept")
	h["Content-Security-Policy"] = listPageRules
	c.set("Content-Type", "text/html; charset=utf-8")
	c.set("Content-Length", strconv.Itoa(b.Len()))
	c.w.WriteHeader(http.StatusOK)
	_, err = c.w.Write(b.Bytes())
	return err
}

func (c *call) pageOf(r cluster.ListRequest, page *listed) *pageData {
	d := &pageData{Style: template.CSS(listPageCSS)}
	dir := r.Prefix[:lastDelimiter(r.Prefix, r.Delimiter)]
	d.Crumbs = []pageLink{{c.bucket, c.listURL("", "", r)}}
	for rest, done := dir, ""; rest != ""; {
		i := strings.Index(rest, r.Delimiter) + len(r.Delimiter)
		d.Up = d.Crumbs[len(d.Crumbs)-1].URL
		done += rest[:i]
		d.Crumbs = append(d.Crumbs, pageLink{shown(strings.TrimSuffix(rest[:i], r.Delimiter)), c.listURL(done, "", r)})
		rest = rest[i:]
	}
	if rest := r.Prefix[len(dir):]; rest != "" {
		d.Crumbs = append(d.Crumbs, pageLink{Name: shown(rest) + "…"})
	} else {
		d.Crumbs[len(d.Crumbs)-1].URL = ""
	}
	d.Title = c.bucket
	if r.Prefix != "" {
		d.Title += "/" + shown(r.Prefix)
	}
	for _, p := range page.prefixes {
		d.Folders = append(d.Folders, pageLink{shown(p[len(dir):]), c.listURL(p, "", r)})
	}
	for _, e := range page.entries {
		name := shown(e.Key[len(dir):])
		if name == "" {
			if e.Size == 0 {
				continue // what some clients make so that an empty directory is there
			}
			name = "./"
		}
		t := e.Modified.UTC()
		d.Files = append(d.Files, pageFile{pageLink{name, c.objectURL(e.Key)}, humanSize(e.Size), t.Format("2006-01-02 15:04"), t.Format(time.RFC3339), e.Size})
	}
	d.Empty = len(d.Folders)+len(d.Files) == 0
	d.Count = plural(len(d.Folders), "folder") + ", " + plural(len(d.Files), "object")
	if r.After != "" {
		d.First = c.listURL(r.Prefix, "", r)
	}
	if page.more {
		d.Next = c.listURL(r.Prefix, page.last, r)
		d.Count += ", and more"
	}
	return d
}

// lastDelimiter returns where what follows the last delimiter of a prefix begins: 0 when there is none.
func lastDelimiter(prefix, delimiter string) int {
	if delimiter == "" {
		return 0
	}
	if i := strings.LastIndex(prefix, delimiter); i >= 0 {
		return i + len(delimiter)
	}
	return 0
}

// base is the path of the bucket as this request addressed it.
func (c *call) base() string {
	if c.hosted != "" {
		return "/"
	}
	return "/" + c.bucket
}

// listURL is the page of a directory, with the options that this request had.
func (c *call) listURL(prefix, marker string, r cluster.ListRequest) template.URL {
	var q []string
	add := func(name, value string) { q = append(q, name+"="+s3.URLEncode(value)) }
	if prefix != "" {
		add("prefix", prefix)
	}
	if marker != "" {
		add("marker", marker)
	}
	for _, name := range []string{"delimiter", "max-keys"} {
		if v, ok := c.query.lookup(name); ok {
			add(name, v)
		}
	}
	if len(q) == 0 {
		return template.URL(c.base())
	}
	return template.URL(c.base() + "?" + strings.Join(q, "&"))
}

// objectURL is the path of an object, "" when browsers would not ask for it: they take segments of dots, however escaped, out of a path. A slash at the beginning is escaped, for two of them begin a host.
func (c *call) objectURL(key string) template.URL {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return ""
		}
	}
	rest := strings.TrimLeft(key, "/")
	path := strings.TrimSuffix(c.base(), "/") + "/" + strings.Repeat("%2F", len(key)-len(rest)) + s3.URLEncode(rest)
	return template.URL(path)
}

// shown makes control characters visible and what is no UTF-8 a replacement character: it is text, and nothing of it may be missing from the page.
func shown(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ':
			return 0x2400 + r // SYMBOL FOR ...
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0:
			return 0xfffd
		}
		return r
	}, strings.ToValidUTF8(name, "\ufffd"))
}

// humanSize gives a size with three digits or so.
func humanSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	unit := -1
	for v >= 999.5 && unit < 5 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.*f %ciB", map[bool]int{true: 1, false: 0}[v < 99.95], v, "KMGTPE"[max(unit, 0)])
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
