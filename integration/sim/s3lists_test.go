package sim

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
)

// listPage is a page of ListObjects, old or new.
type listPage struct {
	Contents []struct {
		Key  string
		ETag string
		Size int
	}
	CommonPrefixes        []struct{ Prefix string }
	IsTruncated           bool
	NextMarker            string
	NextContinuationToken string
}

// list lists a bucket by pages, in one of the two ways, with or without a prefix and a delimiter. Every page is a look at each key that it covers.
func (c *s3client) list() {
	bucket := c.rnd.IntN(2)
	prefix := [...]string{"", "", "a/", "k"}[c.rnd.IntN(4)]
	delimiter := [...]string{"", "/"}[c.rnd.IntN(2)]
	limit := [...]int{1000, 3, 5}[c.rnd.IntN(3)]
	v2 := c.rnd.IntN(2) == 0
	after, token := "", ""
	for range allKeys + 2 {
		q := url.Values{"max-keys": {fmt.Sprint(limit)}, "prefix": {prefix}, "delimiter": {delimiter}}
		switch {
		case v2:
			q.Set("list-type", "2")
			if token != "" {
				q.Set("continuation-token", token)
			}
		case after != "":
			q.Set("marker", after)
		}
		call := c.w.site.s3.tick()
		r := c.do("GET", "/"+s3buckets[bucket]+"?"+strings.ReplaceAll(q.Encode(), "+", "%20"), nil)
		if !r.ok() {
			if !r.unknown() && r.status != -1 {
				c.w.violation("list %s: %v", s3buckets[bucket], r)
			}
			return
		}
		var p listPage
		if err := xml.Unmarshal(r.body, &p); err != nil {
			c.w.violation("list %s: %v: %v", s3buckets[bucket], err, r)
			return
		}
		last := c.covered(bucket, &p, prefix, delimiter, after, call)
		if !p.IsTruncated {
			return
		}
		if last <= after {
			c.w.violation("list %s after %q: a page that does not go on: %v", s3buckets[bucket], after, r)
			return
		}
		after, token = last, p.NextContinuationToken
	}
	c.w.violation("list %s: more pages than keys", s3buckets[bucket])
}

// covered notes what a page says of each key behind after, and returns the last name that it covers.
func (c *s3client) covered(bucket int, p *listPage, prefix, delimiter, after string, call int64) (last string) {
	h := &c.w.site.s3
	contents := map[string]int64{}
	for i := range p.Contents {
		e := &p.Contents[i]
		content, ok := h.contentOfETag(e.ETag)
		if _, twice := contents[e.Key]; twice || !ok || e.Size != h.sizeOf(content) {
			c.w.violation("list %s: key %q, %d bytes, ETag %s: twice, or nothing that was written", s3buckets[bucket], e.Key, e.Size, e.ETag)
			continue
		}
		contents[e.Key] = content
		last = max(last, e.Key)
	}
	groups := map[string]bool{}
	for _, g := range p.CommonPrefixes {
		groups[g.Prefix] = true
		last = max(last, g.Prefix+"\xff") // keys below it are covered
	}
	known := 0
	for key := range allKeys {
		name := keyIn(key)
		if versioned(key) != (bucket == 1) || !strings.HasPrefix(name, prefix) {
			continue
		}
		content, shown := contents[name]
		if shown {
			known++
		}
		if name <= after || p.IsTruncated && name > last {
			if shown {
				c.w.violation("list %s after %q shows %q", s3buckets[bucket], after, name)
			}
			continue
		}
		if delimiter != "" {
			if at := strings.Index(name[len(prefix):], delimiter); at >= 0 {
				group := name[:len(prefix)+at+1]
				if groups[group] { // some key of it is there
					continue
				}
			}
		}
		h.saw(s3op{key: key, kind: s3Seen, out: content}, call)
		c.w.n.observed.Add(1)
	}
	if known < len(contents) {
		c.w.violation("list %s shows a key that nobody wrote: %v", s3buckets[bucket], contents)
	}
	for g := range groups {
		if g != "a/" && g != "b/" {
			c.w.violation("list %s shows a prefix that nobody wrote: %q", s3buckets[bucket], g)
		}
	}
	return last
}

func (h *s3history) sizeOf(content int64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blobs[content].size()
}
