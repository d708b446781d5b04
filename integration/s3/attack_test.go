package s3

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ostor/gateway/account"
)

// attack bends a request that is good: before it is signed, or on its way.
type attack struct {
	name    string
	fits    func(w way, sm *sample) bool // nil: all
	prepare func(a *ask)
	who     func(s *site) *account.User // nil: alice
	at      time.Duration               // when it is signed, from now
	change  func(s *site, w way, r *http.Request)
	codes   string // that may be the answer; "malformed": that of the way
}

func v4Only(w way, _ *sample) bool        { return w.version == 4 }
func headerOnly(w way, _ *sample) bool    { return !w.presigned }
func presignedOnly(w way, _ *sample) bool { return w.presigned }
func withBody(_ way, sm *sample) bool     { return sm.body != "" }

func isBob(s *site) *account.User   { return &s.bob }
func isCarol(s *site) *account.User { return &s.carol } // disabled by then

// bent are attacks on the proof of who sends a request and what was sent. Expected: the documented error, and nothing written, shown or broken.
var bent = []attack{
	{name: "anonymous", change: stripCredentials, codes: "AccessDenied"},
	{name: "not the owner", fits: func(_ way, sm *sample) bool { return !sm.everybody }, who: isBob, codes: "AccessDenied"},
	{name: "disabled user", who: isCarol, codes: "InvalidAccessKeyId"},
	{name: "bad signature", change: bendSignature, codes: "SignatureDoesNotMatch"},
	{name: "unknown key", change: func(s *site, w way, r *http.Request) { replaceKey(s, r, "00000000000000ffZZZZ") }, codes: "InvalidAccessKeyId"},
	{name: "key of nonsense", change: func(s *site, w way, r *http.Request) { replaceKey(s, r, "../u/x") }, codes: "InvalidAccessKeyId"},
	{name: "another's key", change: func(s *site, w way, r *http.Request) { replaceKey(s, r, s.bob.Keys[0].AccessKey) }, codes: "SignatureDoesNotMatch"},
	{name: "header and query credentials", change: bothMechanisms, codes: "InvalidArgument"},
	{name: "two Authorization headers", fits: headerOnly, change: func(_ *site, _ way, r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, codes: "InvalidArgument"},
	{name: "other scheme", change: func(_ *site, _ way, r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") }, codes: "InvalidArgument"},
	{name: "empty Authorization", fits: headerOnly, change: func(_ *site, _ way, r *http.Request) { r.Header.Set("Authorization", "") }, codes: "AccessDenied"},

	{name: "other host", fits: v4Only, change: func(_ *site, _ way, r *http.Request) { r.Host = "other.example.com" }, codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "bucket by host instead of path", change: func(_ *site, _ way, r *http.Request) { r.Host = "bobs." + domain }, codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "forwarded host", who: isBob, fits: func(_ way, sm *sample) bool { return !sm.everybody }, change: func(s *site, _ way, r *http.Request) {
		for _, name := range []string{"X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override"} {
			r.Header.Set(name, "/bobs/secret")
		}
	}, codes: "AccessDenied"},
	{name: "host not signed", fits: v4Only, change: func(_ *site, w way, r *http.Request) {
		if w.presigned {
			setQuery(r, "X-Amz-SignedHeaders", "x-amz-date")
		} else {
			replaceAuth(r, "host;", "")
		}
	}, codes: "malformed"},
	{name: "wrong region", fits: v4Only, change: replaceScope("us-east-1", "eu-west-1"), codes: "malformed"},
	{name: "wrong service", fits: v4Only, change: replaceScope("/s3/", "/iam/"), codes: "malformed"},
	{name: "wrong end of scope", fits: v4Only, change: replaceScope("aws4_request", "aws5_request"), codes: "malformed"},
	{name: "wrong day", fits: v4Only, change: replaceScope(time.Now().UTC().Format("/2006"), "/1999"), codes: "malformed"},

	{name: "signed too long ago", fits: headerOnly, at: -15*time.Minute - 5*time.Second, codes: "RequestTimeTooSkewed"},
	{name: "signed in the future", fits: headerOnly, at: 16 * time.Minute, codes: "RequestTimeTooSkewed"},
	{name: "presigned and expired", fits: presignedOnly, at: -62 * time.Second, codes: "AccessDenied"},
	{name: "presigned in the future", fits: func(w way, _ *sample) bool { return w.presigned && w.version == 4 }, at: 16 * time.Minute, codes: "AccessDenied"},
	{name: "Expires absent", fits: presignedOnly, change: setExpires(""), codes: "malformed"},
	{name: "Expires 0", fits: presignedOnly, change: setExpires("0"), codes: "malformed AccessDenied"},
	{name: "Expires -1", fits: presignedOnly, change: setExpires("-1"), codes: "malformed AccessDenied"},
	{name: "Expires beyond a week", fits: v4Only, change: func(s *site, w way, r *http.Request) {
		if w.presigned {
			setExpires("604801")(s, w, r)
			return
		}
		addQuery(r, "X-Amz-Expires=604801") // said to a request that is signed in its header: only a parameter that was not signed
	}, codes: "AccessDenied malformed SignatureDoesNotMatch"},
	{name: "Expires overflows", fits: presignedOnly, change: setExpires("99999999999999999999"), codes: "malformed AccessDenied"},
	{name: "Expires later", fits: presignedOnly, change: func(s *site, w way, r *http.Request) {
		later := "61"
		if w.version == 2 {
			later = fmt.Sprint(time.Now().Add(time.Hour).Unix())
		}
		setExpires(later)(s, w, r)
	}, codes: "SignatureDoesNotMatch"},

	{name: "method changed to PUT", fits: notMethod("PUT"), change: setMethod("PUT"), codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "method changed to DELETE", fits: notMethod("DELETE"), change: setMethod("DELETE"), codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "method changed to GET", fits: notMethod("GET"), change: setMethod("GET"), codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "another key", change: func(_ *site, _ way, r *http.Request) { r.URL.Opaque = strings.TrimSuffix(r.URL.Opaque, "/") + "/x" }, codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "another bucket", change: func(_ *site, w way, r *http.Request) {
		if _, rest, ok := strings.Cut(r.Host, "."+domain); w.hosted && ok {
			r.Host = "bobs." + domain + rest
			return
		}
		host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Opaque, "//"), "/")
		_, key, _ := strings.Cut(path, "/")
		r.URL.Opaque = "//" + host + "/bobs/" + key
	}, codes: "SignatureDoesNotMatch MethodNotAllowed"},
	{name: "response header asked for", change: appendQuery("response-content-type=text/html"), codes: "SignatureDoesNotMatch"},
	{name: "version asked for", change: appendQuery("versionId=null"), codes: "SignatureDoesNotMatch"},
	{name: "parameter twice", change: appendQuery("x-id=1&x-id=1"), codes: "InvalidArgument"},
	{name: "parameter twice, once escaped", change: appendQuery("x-id=1&x%2Did=2"), codes: "InvalidArgument"},
	{name: "sub-resource added", change: appendQuery("policy"), codes: "SignatureDoesNotMatch InvalidArgument MethodNotAllowed"},
	{name: "malformed escape in the query", change: appendQuery("x=%zz"), codes: "InvalidURI"},
	{name: "semicolon in the query", change: appendQuery("x=1;y=2"), codes: "InvalidURI"},
	{name: "signed header twice", prepare: addHeader("X-Amz-Meta-A: 1"), change: func(_ *site, _ way, r *http.Request) { r.Header.Add("X-Amz-Meta-A", "2") }, codes: "SignatureDoesNotMatch"},
	{name: "signed header changed", prepare: addHeader("X-Amz-Meta-A: 1"), change: func(_ *site, _ way, r *http.Request) { r.Header.Set("X-Amz-Meta-A", "2") }, codes: "SignatureDoesNotMatch"},
	{name: "signed header taken away", prepare: addHeader("X-Amz-Meta-A: 1"), change: func(_ *site, _ way, r *http.Request) { r.Header.Del("X-Amz-Meta-A") }, codes: "SignatureDoesNotMatch"},

	{name: "other body", fits: func(w way, sm *sample) bool { return withBody(w, sm) && w.version == 4 && !w.presigned }, change: func(_ *site, _ way, r *http.Request) {
		b := strings.Repeat("x", int(r.ContentLength))
		r.Body = io.NopCloser(strings.NewReader(b))
	}, codes: "XAmzContentSHA256Mismatch"},
	{name: "Content-MD5 of another body", fits: withBody, prepare: digest(md5Header("another")), codes: "BadDigest"},
	{name: "Content-MD5 malformed", fits: withBody, prepare: digest("Content-MD5: bm90IGl0"), codes: "InvalidDigest"},
	{name: "checksum of another body", fits: func(w way, sm *sample) bool { return withBody(w, sm) && sm.op != "CompleteMultipartUpload" }, // there it is the object's
		prepare: addHeader("X-Amz-Checksum-Crc32: " + crc32Of("another")), codes: "BadDigest"},
	{name: "unsigned chunks with a garbage signature", fits: func(w way, sm *sample) bool { return withBody(w, sm) && w.version == 4 && !w.presigned }, prepare: func(a *ask) {
		a.header = append(a.header, "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Trailer: x-amz-checksum-crc32", fmt.Sprintf("X-Amz-Decoded-Content-Length: %d", len(a.body)))
		a.body = fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(a.body), a.body, crc32Of(a.body))
	}, change: bendSignature, codes: "SignatureDoesNotMatch"},
	{name: "signed chunks without a chain", fits: func(w way, sm *sample) bool { return withBody(w, sm) && w.version == 2 }, prepare: func(a *ask) {
		a.header = append(a.header, "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD", fmt.Sprintf("X-Amz-Decoded-Content-Length: %d", len(a.body)))
	}, codes: "InvalidRequest"},
}

// added are headers that would change what a request does, or for whom, put beside the signature of somebody else's request.
var added = []string{
	"X-Amz-Copy-Source: bobs/secret", "X-Amz-Copy-Source: box/key", "X-Amz-Copy-Source-Range: bytes=0-1", "X-Amz-Acl: public-read", "X-Amz-Grant-Read: uri=http://acs.amazonaws.com/groups/global/AllUsers",
	"X-Amz-Meta-A: b", "X-Amz-Tagging: a=b", "X-Amz-Security-Token: t", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", "X-Amz-Bypass-Governance-Retention: true", "X-Amz-Object-Lock-Legal-Hold: OFF",
	"X-Amz-Storage-Class: STANDARD", "X-Amz-Metadata-Directive: REPLACE", "X-Amz-Expected-Bucket-Owner: 0", "X-Amz-Object-Ownership: ObjectWriter", "X-Amz-Date: 20300101T000000Z", "X-Amz-New: 1",
}

func unsignedHeaders() []attack {
	list := make([]attack, len(added))
	for i, h := range added {
		name, value, _ := strings.Cut(h, ": ")
		list[i] = attack{name: "unsigned " + h, change: func(_ *site, _ way, r *http.Request) { r.Header.Add(name, value) },
			codes: "AccessDenied SignatureDoesNotMatch InvalidArgument RequestTimeTooSkewed"}
	}
	return list
}

// TestAttacks tries every attack on every operation by every way in. Afterwards every operation still does its work.
func TestAttacks(t *testing.T) {
	t.Parallel()
	attacks := slices.Concat(bent, unsignedHeaders())
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2, 1)
			samples := s.samples()
			s.must(s.accounts.SetDisabled(t.Context(), s.carol.ID, true))
			tried := 0
			for i := range samples {
				sm := &samples[i]
				if sm.unsigned {
					continue
				}
				for j := range attacks {
					if a := &attacks[j]; a.fits == nil || a.fits(w, sm) {
						s.try(w, sm, a)
						tried++
					}
				}
			}
			for i := range samples {
				if sm := &samples[i]; !sm.unsigned {
					if got := s.send(w.sign(s, sm.ask, &s.alice, time.Now())); got.status != sm.status {
						t.Errorf("%s: the good request got %d %s", sm.op, got.status, got.body)
					}
				} else if got := s.do(sm.ask); got.status != sm.status {
					t.Errorf("%s: the good request got %d %s", sm.op, got.status, got.body)
				}
			}
			s.allServed(samples)
			t.Logf("%d attacks", tried)
		})
	}
}

// try makes one attack and checks the answer, and that nothing came of it.
func (s *site) try(w way, sm *sample, a *attack) {
	s.t.Helper()
	before := s.writes()
	target := sm.ask
	target.header = slices.Clone(target.header)
	if a.prepare != nil {
		a.prepare(&target)
	}
	who := &s.alice
	if a.who != nil {
		who = a.who(s)
	}
	req := w.sign(s, target, who, time.Now().Add(a.at))
	if a.change != nil {
		a.change(s, w, req)
	}
	s.refused(sm.op+", "+a.name, s.send(req), req.Method, wantCodes(w, a.codes))
	if after := s.writes(); after != before {
		s.t.Errorf("%s, %s: something was written: %s, then %s", sm.op, a.name, before, after)
	}
}

func wantCodes(w way, codes string) []string {
	malformed := "AuthorizationHeaderMalformed"
	switch {
	case w.version == 2:
		malformed = "AccessDenied"
	case w.presigned:
		malformed = "AuthorizationQueryParametersError"
	}
	return strings.Fields(strings.Replace(codes, "malformed", malformed, 1))
}

// refused checks a refusal: its status, its code, its form, and that it shows nothing.
func (s *site) refused(what string, got answer, method string, codes []string) {
	s.t.Helper()
	if got.status < 400 || got.status >= 500 || method != "HEAD" && !slices.Contains(codes, got.code()) {
		s.t.Errorf("%s: got %d %s, want %s", what, got.status, got.body, codes)
	}
	shown := got.body + fmt.Sprint(got.header)
	for _, secret := range []string{"c0ntent", "s3cr3t", s.alice.Keys[0].Secret, s.bob.Keys[0].Secret, "alice@"} {
		if strings.Contains(shown, secret) {
			s.t.Errorf("%s: %q is shown: %s", what, secret, shown)
		}
	}
	h := got.header
	if h.Get("X-Amz-Request-Id") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "application/xml" {
		s.t.Errorf("%s: the headers are %v", what, h)
	}
}

// writes counts what was ever written on the servers.
func (s *site) writes() string {
	var names, objects uint64
	for _, n := range s.names {
		names += n.Stats().Store.Updates
	}
	for _, o := range s.objects {
		objects += o.Stats().Store.Updates
	}
	return fmt.Sprintf("%d writes of names, %d of objects", names, objects)
}

// allServed checks that every operation the gateway knows was answered well by one of the samples: a new one has to have one.
func (s *site) allServed(samples []sample) {
	s.t.Helper()
	families, err := s.metrics.Gather()
	s.must(err)
	served, sampled := map[string]float64{"None": 1}, map[string]bool{"None": true}
	for i := range samples {
		sampled[samples[i].op] = true
	}
	panics := -1.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "ostor_s3gw_req_total":
				class, op := m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue()
				if class == "2xx" || op == "NotImplemented" || op == "GetObjectTorrent" {
					served[op] += m.GetCounter().GetValue()
				}
			case "ostor_s3gw_panics_total":
				panics = m.GetCounter().GetValue()
			}
		}
	}
	for op, n := range served {
		if n == 0 || !sampled[op] {
			s.t.Errorf("operation %s has no sample that does it", op)
		}
	}
	if len(served) < 50 || panics != 0 {
		s.t.Errorf("%d operations, %v panics", len(served), panics)
	}
}

func stripCredentials(_ *site, _ way, r *http.Request) {
	r.Header.Del("Authorization")
	q := r.URL.Query()
	for name := range q {
		if strings.HasPrefix(name, "X-Amz-") || name == "AWSAccessKeyId" || name == "Signature" || name == "Expires" {
			q.Del(name)
		}
	}
	r.URL.RawQuery = q.Encode()
}

func bendSignature(_ *site, w way, r *http.Request) {
	bend := func(v string) string {
		digit := "0"
		if v[0] == '0' {
			digit = "1"
		}
		return digit + v[1:]
	}
	switch {
	case w.presigned && w.version == 4:
		setQuery(r, "X-Amz-Signature", bend(r.URL.Query().Get("X-Amz-Signature")))
	case w.presigned:
		setQuery(r, "Signature", bend(r.URL.Query().Get("Signature")))
	default:
		a := r.Header.Get("Authorization")
		i := strings.LastIndexAny(a, "=:") + 1
		if w.version == 2 {
			i = strings.IndexByte(a, ':') + 1
		}
		r.Header.Set("Authorization", a[:i]+bend(a[i:]))
	}
}

func bothMechanisms(s *site, w way, r *http.Request) {
	if w.presigned {
		r.Header.Set("Authorization", "AWS "+s.bob.Keys[0].AccessKey+":"+base64.StdEncoding.EncodeToString(make([]byte, 20)))
		return
	}
	addQuery(r, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00")
}

func replaceAuth(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

// replaceKey puts another access key in place of alice's.
func replaceKey(s *site, r *http.Request, key string) {
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, s.alice.Keys[0].AccessKey, strings.ReplaceAll(key, "/", "%2F"), 1)
	if r.Header.Get("Authorization") != "" {
		replaceAuth(r, s.alice.Keys[0].AccessKey, key)
	}
}

func replaceScope(from, to string) func(*site, way, *http.Request) {
	return func(_ *site, w way, r *http.Request) {
		if w.presigned {
			setQuery(r, "X-Amz-Credential", strings.Replace(r.URL.Query().Get("X-Amz-Credential"), from, to, 1))
			return
		}
		replaceAuth(r, from, to)
	}
}

func setExpires(v string) func(*site, way, *http.Request) {
	return func(_ *site, w way, r *http.Request) {
		if w.version == 4 {
			setQuery(r, "X-Amz-Expires", v)
		} else {
			setQuery(r, "Expires", v)
		}
	}
}

func notMethod(m string) func(way, *sample) bool {
	return func(_ way, sm *sample) bool { return sm.method != m }
}

func setMethod(m string) func(*site, way, *http.Request) {
	return func(_ *site, _ way, r *http.Request) { r.Method = m }
}

func appendQuery(raw string) func(*site, way, *http.Request) {
	return func(_ *site, _ way, r *http.Request) { addQuery(r, raw) }
}

func addHeader(h string) func(*ask) {
	return func(a *ask) { a.header = append(a.header, h) }
}

// digest replaces the digest that a sample has.
func digest(h string) func(*ask) {
	return func(a *ask) {
		a.header = append(slices.DeleteFunc(a.header, func(h string) bool { return strings.HasPrefix(h, "Content-MD5") }), h)
	}
}
