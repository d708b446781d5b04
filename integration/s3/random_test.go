package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ostor/gateway/account"
)

// generator makes requests that no client would: samples with parts of other samples and odd values put in. Its seed replays them.
type generator struct {
	rng     *rand.Rand
	samples []sample
}

// oddText are values for any place where text is expected.
var oddText = []string{"", "0", "1", "-1", "+1", "00", "0x10", "2147483648", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "1e9", "NaN", "null", "true", "TRUE", "*", "a", "a,b", "a=b", "a=b&a=c", "\"\"", "\"x",
	"..", "../x", "/", "//", "\\", "%00", "%2e%2e%2f", "%252e", "%FF", "%zz", "%", "ä", "\U0001F600", "'", "<x>", "&amp;", "box/key", "bobs/secret", "/box/key?versionId=null", "box/key?versionId=", "box/%2e%2e/x", "id=\"0\"", "uri=x",
	"emailAddress=bob@example.com", "bytes=0-0", "bytes=-1", "bytes=5-1", "bytes=0-99999999999999999999", "bytes=18446744073709551615-", "bytes=" + strings.Repeat("0-0,", 1000), "REPLACE", "COPY", "ENABLED", "CRC32", "SHA256", "CRC64NVME", "COMPOSITE",
	"FULL_OBJECT", "AAAAAA==", "AAAA", "1B2M2Y8AsgTpgAmY7PhCfg==", "d41d8cd98f00b204e9800998ecf8427e", "Enabled", "Suspended", "GOVERNANCE", "COMPLIANCE", "ON", "OFF", "STANDARD", "GLACIER", "public-read-write", "bucket-owner-full-control",
	"2030-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-00-00T00:00:00Z", "Tue, 27 Mar 2007 21:15:45 GMT", "Tue, 99 Mar 2007 21:15:45 GMT", "gzip,aws-chunked", "text/html", "url", strings.Repeat("x", 300), strings.Repeat("k/", 513), "0000000000000000"}

// oddKeys are escaped paths.
var oddKeys = []string{"", "/", "/key", "/key/", "//key", "/..", "/../x", "/a/../../b", "/%2e%2e%2f", "/%252e", "/%00", "/%01%1f", "/%ff", "/%5c..%5c", "/" + strings.Repeat("k", 1024), "/" + strings.Repeat("k", 1025), "/%F0%9F%98%80", "/+", "/%2B", "/a%20b", "/.", "/old", "/parts", "/aborted", "/begun", "/put", "/none"}

var oddBuckets = []string{"box", "ruled", "vault", "bobs", "empty", "none", "new", "x", "..", "%2e%2e", "BOX", "a.b", "127.0.0.1", "%00", "-a-", strings.Repeat("b", 64), "u", "m", "tmp", ".service", "box%2Fkey"}

var subresources = strings.Fields(`abac accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle list-type=2 location logging metadataTable metrics notification object-lock ownershipControls
	policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select select-type=2 session tagging torrent uploads versions versioning website`)

var parameters = strings.Fields(`uploadId partNumber versionId max-keys marker prefix delimiter encoding-type continuation-token start-after fetch-owner list-type key-marker upload-id-marker version-id-marker max-uploads max-parts
	part-number-marker max-buckets bucket-region response-content-type response-expires response-cache-control x-id`)

var headerNames = strings.Fields(`Range If-Match If-None-Match If-Modified-Since If-Unmodified-Since Content-Type Content-MD5 Content-Encoding Content-Language Content-Disposition Cache-Control Expires Origin Access-Control-Request-Method
	Access-Control-Request-Headers x-amz-acl x-amz-grant-read x-amz-grant-write x-amz-grant-full-control x-amz-grant-read-acp x-amz-grant-write-acp x-amz-copy-source x-amz-copy-source-range x-amz-copy-source-if-match x-amz-copy-source-if-none-match
	x-amz-copy-source-if-modified-since x-amz-copy-source-if-unmodified-since x-amz-metadata-directive x-amz-tagging-directive x-amz-tagging x-amz-meta-a x-amz-meta- x-amz-storage-class x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme
	x-amz-checksum-sha1 x-amz-checksum-sha256 x-amz-checksum-algorithm x-amz-checksum-type x-amz-checksum-mode x-amz-sdk-checksum-algorithm x-amz-trailer x-amz-decoded-content-length x-amz-mp-object-size x-amz-object-attributes x-amz-max-parts
	x-amz-part-number-marker x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold x-amz-bucket-object-lock-enabled x-amz-bypass-governance-retention x-amz-object-ownership x-amz-expected-bucket-owner
	x-amz-source-expected-bucket-owner x-amz-request-payer x-amz-optional-object-attributes x-amz-if-match-size x-amz-if-match-last-modified-time x-amz-server-side-encryption x-amz-website-redirect-location x-amz-write-offset-bytes x-amz-mfa
	x-amz-confirm-remove-self-bucket-access x-amz-security-token x-amz-rename-source X-Forwarded-Host Transfer-Encoding-X`)

func pick[T any](g *generator, list []T) T { return list[g.rng.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

// next makes a request.
func (g *generator) next() ask {
	a := pick(g, g.samples).ask
	a.header = append([]string(nil), a.header...)
	if g.chance(25) {
		a.method = pick(g, []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "BREW"})
	}
	path, query, _ := strings.Cut(a.target, "?")
	if g.chance(25) {
		path = "/" + pick(g, oddBuckets) + pick(g, oddKeys)
	}
	if g.chance(25) {
		query = pick(g, subresources)
	}
	for g.chance(40) {
		if query != "" {
			query += "&"
		}
		query += pick(g, parameters) + "=" + escapeSpaces(pick(g, oddText))
	}
	if a.target = path; query != "" {
		a.target += "?" + query
	}
	for g.chance(45) {
		a.header = append(a.header, pick(g, headerNames)+": "+pick(g, oddText))
	}
	switch g.rng.IntN(8) {
	case 0:
		a.body = pick(g, g.samples).body
	case 1:
		a.body = pick(g, oddText)
	case 2, 3:
		a.body = g.mutate(a.body)
	}
	return a
}

// mutate changes a document: text, elements taken out, doubled, nested.
func (g *generator) mutate(doc string) string {
	parts := regexp.MustCompile(`<[^>]*>|[^<]+`).FindAllString(doc, -1)
	for range 1 + g.rng.IntN(3) {
		if len(parts) == 0 {
			return pick(g, oddText)
		}
		i := g.rng.IntN(len(parts))
		switch g.rng.IntN(5) {
		case 0:
			parts[i] = pick(g, oddText)
		case 1:
			parts = append(parts[:i:i], parts[i+1:]...)
		case 2:
			parts = append(parts[:i:i], append([]string{parts[i]}, parts[i:]...)...)
		case 3:
			parts[i] += xmlEscape(pick(g, oddText))
		case 4:
			parts[i] = strings.Repeat(parts[i], g.rng.IntN(40))
		}
	}
	return strings.Join(parts, "")
}

func escapeSpaces(s string) string {
	return strings.NewReplacer(" ", "%20", "#", "%23", "\"", "%22", "<", "%3C", ">", "%3E").Replace(s)
}

// TestRandomRequests sends requests of a generator to a whole site: whatever they ask, the answer is whole, well formed and no fault of the server's. OSTOR_RANDOM_REQUESTS sets how
// many (2000), OSTOR_SEED replays.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	count, seed := 2000, rand.Uint64()
	if v, err := strconv.Atoi(os.Getenv("OSTOR_RANDOM_REQUESTS")); err == nil {
		count = v
	}
	if v, err := strconv.ParseUint(os.Getenv("OSTOR_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("OSTOR_SEED=%d", seed)
	s := newSite(t, 2, 2)
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), samples: s.samples()}
	classes, failures := map[int]int{}, 0
	for i := range count {
		if i%200 == 199 { // what was deleted is made again
			for _, target := range []string{"/box", "/ruled", "/box/key", "/box/old", "/vault/key"} {
				s.do(ask{method: "PUT", target: target})
			}
		}
		a := g.next()
		who := pick(g, []*account.User{&s.alice, &s.alice, &s.alice, &s.bob, nil})
		w := pick(g, ways)
		req := s.request(a)
		if who != nil {
			req = w.sign(s, a, who, time.Now())
		}
		what := fmt.Sprintf("OSTOR_SEED=%d, request %d: %s %s %q, %s, body %.300q", seed, i, a.method, a.target, a.header, w.name, a.body)
		got, err := s.exchange(req)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		classes[got.status/100]++
		if problem := wellFormed(req.Method, got); problem != "" {
			if t.Errorf("%s: %s: %d %v %.500s", what, problem, got.status, got.header, got.body); failures == 10 {
				t.Fatal("and so on")
			}
			failures++
		}
	}
	t.Logf("%d requests: %v", count, classes)
	if classes[2] < count/20 || classes[4] < count/20 {
		t.Errorf("too few of some class: %v", classes)
	}
	s.noPanics()
}

// exchange sends a request that may be odd; a client's refusal to send it is an answer too.
func (s *site) exchange(req *http.Request) (answer, error) {
	if rest, ok := strings.CutPrefix(req.URL.Opaque, "//"); ok {
		req.URL.Opaque = rest[strings.IndexByte(rest, '/'):]
	}
	resp, err := (&http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end or to its error
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// controlReference is a character that XML 1.0 cannot have: lists show keys with them as S3 does (docs/s3.md).
var controlReference = regexp.MustCompile(`&#x?[0-9A-Fa-f]+;`)

// wellFormed says what is wrong with the form of an answer, "" if nothing.
func wellFormed(method string, got answer) string {
	switch {
	case got.status >= 500 && !(got.status == 501 && (method == "HEAD" || got.code() == "NotImplemented")):
		return "a fault of the server"
	case got.status < 200:
		return "no final status"
	case got.header.Get("X-Amz-Request-Id") == "" || got.header.Get("X-Content-Type-Options") != "nosniff":
		return "a header is missing"
	case method == "HEAD" || got.status == 204 || got.status == 304:
		if got.body != "" {
			return "a body where none may be"
		}
		return ""
	case got.status >= 400 && got.code() == "":
		return "an error without a document"
	}
	if got.header.Get("Content-Type") == "application/xml" && strings.HasPrefix(got.body, "<?xml") {
		dec := xml.NewDecoder(strings.NewReader(controlReference.ReplaceAllString(got.body, "")))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				return ""
			} else if err != nil {
				return "malformed XML: " + err.Error()
			}
		}
	}
	return ""
}

// noPanics checks that no request ended in one.
func (s *site) noPanics() {
	s.t.Helper()
	families, err := s.metrics.Gather()
	s.must(err)
	for _, f := range families {
		if f.GetName() == "ostor_s3gw_panics_total" && f.GetMetric()[0].GetCounter().GetValue() != 0 {
			s.t.Error("a request panicked")
		}
	}
}

// TestErrorOfOddKeys: the error document of a key that XML has no way to write can be parsed. (It held the characters themselves, as references that XML 1.0 forbids: SDKs saw
// no code.)
func TestErrorOfOddKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	for _, key := range []string{"%00", "%01%1F", "%7f", "%EF%BF%BE", "a%0Ab"} {
		if got := s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/" + key}); !strings.Contains(got.between("Resource"), "/box/") {
			t.Errorf("%s: %s", key, got.body)
		}
	}
	s.want(400, "InvalidURI", ask{method: "GET", target: "/box/%ff"})
}
