package s3

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPutBucketVersioning(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	s.bucket("box")
	s.run([]step{
		{ask: ask{method: "GET", target: "/box?versioning"}, status: 200, has: []string{"<VersioningConfiguration "}, hasNot: []string{"Status"}},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("On")}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: "<VersioningConfiguration/>"}, status: 400, code: "IllegalVersioningConfigurationException"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"}, status: 501, code: "NotImplemented"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Enabled"), header: []string{"X-Amz-Mfa: 1 2"}}, status: 501, code: "NotImplemented"},
		{ask: ask{method: "PUT", target: "/box?versioning"}, status: 400, code: "MissingRequestBodyError"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Enabled"), who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Enabled"), anonymous: true}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/none?versioning", body: versioningXML("Enabled")}, status: 404, code: "NoSuchBucket"},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Enabled")}, status: 200},
		{ask: ask{method: "GET", target: "/box?versioning"}, status: 200, has: []string{"<Status>Enabled</Status>"}},
		{ask: ask{method: "PUT", target: "/box?versioning", body: versioningXML("Suspended")}, status: 200},
		{ask: ask{method: "GET", target: "/box?versioning"}, status: 200, has: []string{"<Status>Suspended</Status>"}},
	})
}

type versionsPage struct {
	XMLName             xml.Name `xml:"ListVersionsResult"`
	IsTruncated         bool
	NextKeyMarker       string
	NextVersionIDMarker string `xml:"NextVersionIdMarker"`
	CommonPrefixes      []struct{ Prefix string }
	Items               []struct {
		XMLName   xml.Name
		Key       string
		VersionID string `xml:"VersionId"`
		IsLatest  bool
	} `xml:",any"`
}

// versions lists a bucket in pages of max and returns its entries as "V key id latest" and "D ..." lines, and "P prefix" at the end of a page.
func (s *site) versions(bucket, query string, max int) (lines []string) {
	s.t.Helper()
	marker := ""
	for range 1000 {
		got := s.want(200, "", ask{method: "GET", target: fmt.Sprintf("/%s?versions&max-keys=%d%s%s", bucket, max, query, marker)})
		var page versionsPage
		s.must(xml.Unmarshal([]byte(got.body), &page))
		n := len(page.CommonPrefixes)
		for _, item := range page.Items {
			if kind := item.XMLName.Local; kind == "Version" || kind == "DeleteMarker" {
				lines = append(lines, fmt.Sprintf("%s %s %s %v", kind[:1], item.Key, item.VersionID, item.IsLatest))
				n++
			}
		}
		for _, p := range page.CommonPrefixes {
			lines = append(lines, "P "+p.Prefix)
		}
		if n > max {
			s.t.Fatalf("a page of %d holds %d", max, n)
		}
		if !page.IsTruncated {
			return lines
		}
		if page.NextKeyMarker == "" {
			s.t.Fatalf("a truncated page has no marker:\n%s", got.body)
		}
		marker = "&key-marker=" + url.QueryEscape(page.NextKeyMarker)
		if page.NextVersionIDMarker != "" {
			marker += "&version-id-marker=" + page.NextVersionIDMarker
		}
	}
	s.t.Fatal("the listing does not end")
	return nil
}

// TestListObjectVersions makes versions in directories of several name servers; every page size gives the same list as the history of the writes.
func TestListObjectVersions(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3, 1)
	s.bucket("box")
	history := map[string][]string{} // newest first, "kind id"
	write := func(key string, remove bool) {
		a, kind, status := ask{method: "PUT", target: "/box/" + key, body: key}, "V", 200
		if remove {
			a, kind, status = ask{method: "DELETE", target: "/box/" + key}, "D", 204
		}
		id := s.want(status, "", a).header.Get("X-Amz-Version-Id")
		if id == "" {
			id = "null"
		}
		if id == "null" {
			history[key] = slices.DeleteFunc(history[key], func(v string) bool { return strings.HasSuffix(v, " null") })
		}
		history[key] = append([]string{kind + " " + id}, history[key]...)
	}
	keys := []string{"a", "a/1", "a/2", "b/1", "b/c/1", "c", "c/", "d/1", "d!"}
	for _, k := range keys {
		write(k, false)
	}
	s.versioning("box", "Enabled")
	for i, k := range keys {
		for range i % 4 {
			write(k, false)
		}
		if i%2 == 1 {
			write(k, true)
		}
	}
	s.versioning("box", "Suspended")
	write("b/1", false)
	write("d/1", true)
	s.versioning("box", "Enabled")
	write("b/1", false)
	var want, grouped []string
	slices.Sort(keys)
	prefixes := map[string]bool{}
	for _, k := range keys {
		for i, v := range history[k] {
			kind, id, _ := strings.Cut(v, " ")
			line := fmt.Sprintf("%s %s %s %v", kind, k, id, i == 0)
			want = append(want, line)
			if dir, _, below := strings.Cut(k, "/"); !below {
				grouped = append(grouped, line)
			} else {
				prefixes["P "+dir+"/"] = true
			}
		}
	}
	for p := range prefixes {
		grouped = append(grouped, p)
	}
	slices.Sort(grouped)
	for _, max := range []int{1, 2, 3, 5, 7, 1000} {
		if got := s.versions("box", "", max); !slices.Equal(got, want) {
			t.Errorf("in pages of %d:\n%s\nwant\n%s", max, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		got := s.versions("box", "&delimiter=/", max)
		if slices.Sort(got); !slices.Equal(got, grouped) {
			t.Errorf("with a delimiter, in pages of %d:\n%s\nwant\n%s", max, strings.Join(got, "\n"), strings.Join(grouped, "\n"))
		}
	}
	if got := s.versions("box", "&prefix=b/", 2); len(got) != len(history["b/1"])+len(history["b/c/1"]) {
		t.Errorf("below b/ there is %q", got)
	}
	// The null version's name is its marker too.
	if got := s.versions("box", "&prefix=a&key-marker=a&version-id-marker=null", 1000); len(got) == 0 || !strings.HasPrefix(got[0], "V a/1 ") && !strings.HasPrefix(got[0], "D a/1 ") {
		t.Errorf("behind the null version of a comes %q", got)
	}
	s.run([]step{
		{ask: ask{method: "GET", target: "/box?versions&max-keys=0"}, status: 200, has: []string{"<IsTruncated>false</IsTruncated>"}, hasNot: []string{"<Version>"}},
		{ask: ask{method: "GET", target: "/box?versions&version-id-marker=null"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?versions&key-marker=a&version-id-marker="}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?versions&key-marker=a&version-id-marker=x"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?versions&max-keys=x"}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "GET", target: "/box?versions&encoding-type=url&prefix=b/"}, status: 200, has: []string{"<Prefix>b/</Prefix>", "<EncodingType>url</EncodingType>", "<Owner><ID>"}},
		{ask: ask{method: "GET", target: "/box?versions", who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "GET", target: "/box?versions", anonymous: true}, status: 403, code: "AccessDenied"},
	})
	// DeleteObjects with versions empties the bucket.
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for _, line := range want {
		f := strings.Fields(line)
		fmt.Fprintf(&doc, "<Object><Key>%s</Key><VersionId>%s</VersionId></Object>", f[1], f[2])
	}
	doc.WriteString("</Delete>")
	done := s.want(200, "", ask{method: "POST", target: "/box?delete", body: doc.String(), header: []string{md5Header(doc.String())}})
	if n, markers := strings.Count(done.body, "<Deleted>"), strings.Count(done.body, "<DeleteMarker>true"); n != len(want) || markers != strings.Count("\n"+strings.Join(want, "\n"), "\nD ") {
		t.Errorf("%d of %d deleted, %d markers:\n%s", n, len(want), markers, done.body)
	}
	s.want(204, "", ask{method: "DELETE", target: "/box"})
}
