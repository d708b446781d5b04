package s3

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
	"time"

	"ostor/gateway/account"
)

// form is a POST Object request; fields are name, value pairs in order.
type form struct {
	fields   []string
	file     string
	filename string
	after    []string // fields behind the file
	noFile   bool
}

func (f form) ask(target string) ask {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.SetBoundary("a-boundary") // valid
	for i := 0; i+1 < len(f.fields); i += 2 {
		_ = w.WriteField(f.fields[i], f.fields[i+1]) // a buffer does not fail
	}
	if !f.noFile {
		name := f.filename
		if name == "" {
			name = "file.txt"
		}
		part, _ := w.CreateFormFile("file", name)
		_, _ = part.Write([]byte(f.file))
	}
	for i := 0; i+1 < len(f.after); i += 2 {
		_ = w.WriteField(f.after[i], f.after[i+1])
	}
	_ = w.Close()
	return ask{method: "POST", target: target, body: b.String(), anonymous: true, header: []string{"Content-Type: " + w.FormDataContentType()}}
}

// policy is a policy document of some conditions, valid for so long.
func policy(life time.Duration, conditions ...string) string {
	doc := fmt.Sprintf(`{"expiration": %q, "conditions": [%s]}`, time.Now().Add(life).UTC().Format("2006-01-02T15:04:05.000Z"), strings.Join(conditions, ","))
	return base64.StdEncoding.EncodeToString([]byte(doc))
}

func signV2(u *account.User, policy string) []string {
	mac := hmac.New(sha1.New, []byte(u.Keys[0].Secret))
	mac.Write([]byte(policy))
	return []string{"AWSAccessKeyId", u.Keys[0].AccessKey, "Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)), "Policy", policy}
}

// v4Fields returns the credential and date of a form, and signV4 signs the policy that must name them.
func v4Fields(u *account.User) (fields []string, conditions []string) {
	date := time.Now().UTC()
	fields = []string{"X-Amz-Algorithm", "AWS4-HMAC-SHA256", "X-Amz-Credential", u.Keys[0].AccessKey + "/" + date.Format("20060102") + "/us-east-1/s3/aws4_request", "X-Amz-Date", date.Format("20060102T150405Z")}
	for i := 0; i < len(fields); i += 2 {
		conditions = append(conditions, fmt.Sprintf(`{%q: %q}`, strings.ToLower(fields[i]), fields[i+1]))
	}
	return fields, conditions
}

func signV4(u *account.User, fields []string, policy string) []string {
	key := []byte("AWS4" + u.Keys[0].Secret)
	for _, part := range append(strings.Split(fields[3], "/")[1:], policy) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return append(append([]string{}, fields...), "Policy", policy, "X-Amz-Signature", hex.EncodeToString(key))
}

const (
	inBox  = `{"bucket": "box"}`
	anyKey = `["starts-with", "$key", ""]`
)

// TestPostObject uploads by forms, signed by both versions, with every outcome that a form can ask for.
func TestPostObject(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	p := policy(time.Hour, inBox, anyKey, `["starts-with", "$content-type", "text/"]`, `{"x-amz-meta-color": "blue"}`, `["eq", "$success_action_status", "201"]`, `["content-length-range", 1, "100"]`, `["starts-with","$tagging",""]`)
	fields := append(signV2(&s.alice, p), "key", "dir/${filename}", "Content-Type", "text/x", "X-Amz-Meta-Color", "blue", "success_action_status", "201", "x-ignore-this", "1", "tagging", tagXML("a", "b c"))
	s.run([]step{
		{ask: form{fields: fields, file: "hello", filename: `C:\temp\it.txt`, after: []string{"submit", "Upload"}}.ask("/box"), status: 201,
			has: []string{"<PostResponse>", "<Bucket>box</Bucket>", "<Key>dir/it.txt</Key>", "/box/dir/it.txt</Location>", "<ETag>&quot;"}, headers: map[string]string{"Etag": etagOf("hello")}},
		{ask: ask{method: "GET", target: "/box/dir/it.txt"}, status: 200, has: []string{"hello"}, headers: map[string]string{"Content-Type": "text/x", "X-Amz-Meta-Color": "blue", "X-Amz-Tagging-Count": "1"}},
		{ask: form{fields: fields, file: ""}.ask("/box"), status: 400, code: "EntityTooSmall"},
		{ask: form{fields: fields, file: strings.Repeat("x", 101)}.ask("/box"), status: 400, code: "EntityTooLarge"},
		{ask: form{fields: fields, file: strings.Repeat("x", 1<<20)}.ask("/box"), status: 400, code: "EntityTooLarge"},
	})
	v4, conditions := v4Fields(&s.alice)
	p4 := policy(time.Hour, append(conditions, inBox, anyKey, `["starts-with", "$success_action_redirect", ""]`, `["starts-with", "$x-amz-checksum-crc32", ""]`)...)
	signed := append(signV4(&s.alice, v4, p4), "key", "v4", "success_action_redirect", "http://x.test/?a=b", "x-amz-checksum-crc32")
	got := s.want(303, "", form{fields: append(signed, crc32Of("four")), file: "four"}.ask("/box"))
	if want := "http://x.test/?a=b&bucket=box&key=v4&etag=" + url.QueryEscape(etagOf("four")); got.header.Get("Location") != want {
		t.Errorf("redirected to %q, want %q", got.header.Get("Location"), want)
	}
	s.want(400, "BadDigest", form{fields: append(signed, crc32Of("five")), file: "four"}.ask("/box"))
	if got := s.want(200, "", ask{method: "GET", target: "/box/v4", header: []string{"X-Amz-Checksum-Mode: ENABLED"}}); got.body != "four" || got.header.Get("X-Amz-Checksum-Crc32") != crc32Of("four") {
		t.Errorf("got %q, %v", got.body, got.header)
	}
	// Large files stream, in a form whose last field they are, also over a virtual host.
	big := string(content(3<<20 + 17))
	plain := append(signV2(&s.alice, policy(time.Hour, inBox, anyKey)), "key", "big")
	a := form{fields: plain, file: big}.ask("/")
	a.host = "box." + domain
	s.want(204, "", a)
	if got := s.want(200, "", ask{method: "GET", target: "/box/big"}); got.body != big {
		t.Errorf("got %d bytes of %d", len(got.body), len(big))
	}
	s.want(400, "MalformedPOSTRequest", form{fields: plain, file: big, after: []string{"submit", "x"}}.ask("/box"))
	cut := form{fields: plain, file: big}.ask("/box")
	cut.body = cut.body[:len(cut.body)-10]
	s.want(400, "MalformedPOSTRequest", cut)
	for _, key := range []string{"dir/it.txt", "v4", "big"} {
		s.want(204, "", ask{method: "DELETE", target: "/box/" + key})
	}
	s.nothingLeft() // also of the forms that failed
}

// TestPostRefusals alters one thing of a form that is good; nothing is stored.
func TestPostRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/bobs", who: &s.bob})
	good := policy(time.Hour, inBox, anyKey)
	try := func(status int, code string, fields ...string) {
		t.Helper()
		s.want(status, code, form{fields: fields, file: "x"}.ask("/box"))
	}
	encode := func(doc string) string { return base64.StdEncoding.EncodeToString([]byte(doc)) }
	v2 := func(p string) []string { return signV2(&s.alice, p) }
	with := func(p string, more ...string) []string { return append(v2(p), append(more, "key", "k")...) }
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	try(403, "AccessDenied", "key", "k") // anonymous
	try(403, "AccessDenied", append(signV2(&s.bob, good), "key", "k")...)
	try(403, "AccessDenied", with(policy(-time.Second, inBox, anyKey))...)
	try(403, "AccessDenied", with(policy(time.Hour, anyKey))...)                        // no condition of the bucket
	try(403, "AccessDenied", with(policy(time.Hour, `{"bucket": "other"}`, anyKey))...) // another bucket
	try(403, "AccessDenied", with(policy(time.Hour, inBox))...)                         // no condition of the key
	try(403, "AccessDenied", with(policy(time.Hour, inBox, `{"key": "other"}`))...)
	try(403, "AccessDenied", with(policy(time.Hour, inBox, `["starts-with", "$key", "dir/"]`))...)
	try(403, "AccessDenied", with(good, "x-amz-meta-extra", "1")...)
	try(403, "AccessDenied", with(policy(time.Hour, inBox, anyKey, `["starts-with", "$x-amz-meta-foo", "bar"]`))...)
	for _, p := range []string{"%%%", encode("{"), encode("[]"), encode(`{"conditions": []}`), encode(`{"EXPIRATION": "` + expires + `", "conditions": []}`), encode(`{"expiration": "` + expires + `"}`),
		encode(`{"expiration": "` + expires + `", "CONDITIONS": []}`), encode(`{"expiration": "tomorrow", "conditions": []}`), policy(time.Hour, "{}"), policy(time.Hour, `["content-length-range", 0]`),
		policy(time.Hour, `["content-length-range", -1, 0]`), policy(time.Hour, `["content-length-range", "a", 0]`), policy(time.Hour, `["matches", "$key", ""]`), policy(time.Hour, inBox, `{"key": "k", "acl": "private"}`), policy(time.Hour, inBox, `{"key": 7}`), policy(time.Hour, `7`)} {
		try(400, "InvalidPolicyDocument", with(p)...)
	}
	sig := v2(good)
	for _, c := range []string{`["eq", "key", "k"]`, `["content-length-range", "one", "10"]`} { // nothing fulfils them
		try(403, "AccessDenied", with(policy(time.Hour, inBox, anyKey, c))...)
	}
	try(403, "AccessDenied", "key", "k", "Policy", good) // that nobody signed
	try(400, "InvalidArgument", "key", "k", sig[0], sig[1], sig[2], sig[3])
	try(400, "InvalidArgument", "key", "k", sig[2], sig[3], sig[4], sig[5])
	try(400, "InvalidArgument", "key", "k", sig[0], sig[1], sig[4], sig[5])
	try(400, "InvalidArgument", with(good, "KEY", "twice")...)
	try(400, "InvalidArgument", sig...) // no key
	try(403, "SignatureDoesNotMatch", "key", "k", sig[0], sig[1], sig[2], "bm90IGl0", sig[4], sig[5])
	try(403, "InvalidAccessKeyId", "key", "k", sig[0], "0000000000000000NONE", sig[2], sig[3], sig[4], sig[5])
	try(400, "MaxPostPreDataLengthExceeded"+"Error", with(good, "x-ignore-long", strings.Repeat("x", 21<<10))...)
	try(400, "KeyTooLongError", append(v2(good), "key", strings.Repeat("k", 1025))...)
	v4, conditions := v4Fields(&s.alice)
	p4 := policy(time.Hour, append(conditions, inBox, anyKey)...)
	wrong := signV4(&s.alice, v4, p4)
	wrong[len(wrong)-1] = strings.Repeat("0", 64)
	try(403, "SignatureDoesNotMatch", append(wrong, "key", "k")...)
	for i, v := range map[int]string{1: "AWS4-ECDSA", 3: "x/y", 5: "today"} {
		bad := signV4(&s.alice, v4, p4)
		bad[i] = v
		try(400, "InvalidArgument", append(bad, "key", "k")...)
	}
	s.want(400, "IncorrectNumberOfFilesInPostRequest", form{fields: with(good), noFile: true}.ask("/box"))
	s.want(412, "RequestIsNotMultiPartContent", ask{method: "POST", target: "/box", body: "x", anonymous: true})
	s.want(404, "NoSuchBucket", form{fields: append(v2(policy(time.Hour, `{"bucket": "none"}`, anyKey)), "key", "k"), file: "x"}.ask("/none"))
	s.want(405, "MethodNotAllowed", form{fields: with(good), file: "x"}.ask("/box/key"))
	if got := s.want(200, "", ask{method: "GET", target: "/box"}); strings.Contains(got.body, "<Contents>") {
		t.Errorf("something was stored: %s", got.body)
	}
}
