package conform

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// form is a POST Object request. Its policy is signed when it is sent, for its conditions name the bucket.
type form struct {
	to         string   // bucket; "" = {b}
	conditions []string // JSON, of the policy; nil: no policy
	document   string   // the policy instead, "" = conditions that are valid for an hour
	life       time.Duration
	v4         bool
	alter      func(fields []string) []string // of the signed fields: pairs of name and value
	fields     []string                       // pairs, in order, behind those of the signature
	file       string
	filename   string
	after      []string // fields behind the file
}

const boundary = "a-boundary-of-forms"

// step returns the request, which nobody signs as a whole.
func (f form) step() step {
	if f.to == "" {
		f.to = "{b}"
	}
	st := post("/"+f.to, "").by(nobody).gives(204).with("Content-Type: multipart/form-data; boundary=" + boundary)
	st.prepare = func(site *Site, st *step, expand func(string) string) {
		fields := f.signed(&site.Main, expand)
		if f.alter != nil {
			fields = f.alter(fields)
		}
		var b strings.Builder
		write := func(pairs []string) {
			for i := 0; i+1 < len(pairs); i += 2 { // with a file name each, as some clients send them
				b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + pairs[i] + "\"; filename=\"" + pairs[i] + "\"\r\n\r\n" + expand(pairs[i+1]) + "\r\n")
			}
		}
		write(append(fields, f.fields...))
		name := f.filename
		if name == "" {
			name = "file"
		}
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\nContent-Type: text/x-file\r\n\r\n" + f.file + "\r\n")
		write(f.after)
		b.WriteString("--" + boundary + "--\r\n")
		st.content = b.String()
	}
	return st
}

// signed returns the fields of the signature, none of a form without a policy.
func (f form) signed(u *User, expand func(string) string) []string {
	if f.conditions == nil && f.document == "" {
		return nil
	}
	now := time.Now().UTC()
	life := f.life
	if life == 0 {
		life = time.Hour
	}
	conditions := f.conditions
	scope := []string{now.Format("20060102"), "us-east-1", "s3", "aws4_request"}
	v4 := []string{"X-Amz-Algorithm", "AWS4-HMAC-SHA256", "X-Amz-Credential", u.AccessKey + "/" + strings.Join(scope, "/"), "X-Amz-Date", now.Format("20060102T150405Z")}
	if f.v4 {
		for i := 0; i < len(v4); i += 2 {
			conditions = append(conditions[:len(conditions):len(conditions)], `{"`+strings.ToLower(v4[i])+`":"`+v4[i+1]+`"}`)
		}
	}
	doc := f.document
	if doc == "" {
		doc = `{"expiration":"` + now.Add(life).Format("2006-01-02T15:04:05Z") + `","conditions":[` + strings.Join(conditions, ",") + "]}"
	}
	policy := base64.StdEncoding.EncodeToString([]byte(expand(strings.ReplaceAll(doc, "{expires}", now.Add(life).Format("2006-01-02T15:04:05Z")))))
	if !f.v4 {
		mac := hmac.New(sha1.New, []byte(u.SecretKey))
		mac.Write([]byte(policy))
		return []string{"AWSAccessKeyId", u.AccessKey, "signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)), "policy", policy}
	}
	key := []byte("AWS4" + u.SecretKey)
	for _, part := range append(scope, policy) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return append(v4, "policy", policy, "X-Amz-Signature", hex.EncodeToString(key))
}

// usual are conditions and fields of most forms, with some more of each.
func usual(more ...string) []string {
	return append([]string{`{"bucket":"{b}"}`, `["starts-with","$key","foo"]`, `{"acl":"private"}`, `["starts-with","$Content-Type","text/plain"]`, `["content-length-range",0,1024]`}, more...)
}

func usually(more ...string) []string {
	return append([]string{"key", "foo.txt", "acl", "private", "Content-Type", "text/plain"}, more...)
}

func formCases() section {
	without := func(name string) func([]string) []string {
		return func(fields []string) []string {
			var out []string
			for i := 0; i < len(fields); i += 2 {
				if !strings.EqualFold(fields[i], name) {
					out = append(out, fields[i], fields[i+1])
				}
			}
			return out
		}
	}
	with := func(name, value string) func([]string) []string {
		return func(fields []string) []string { return append(without(name)(fields), name, value) }
	}
	bar := func(f form) step {
		if f.file == "" {
			f.file = "bar"
		}
		return f.step()
	}
	public := put("/{b}?acl", "").with("x-amz-acl: public-read-write")
	plain := []string{"key", "foo.txt", "acl", "public-read", "Content-Type", "text/plain"}
	read := get("/{b}/foo.txt").shows("bar")
	var cases []testCase
	add := func(name string, steps ...step) { cases = append(cases, testCase{name, steps}) }
	add("anonymous", bar(form{fields: plain}).fails(403, denied), public, bar(form{fields: plain}).replyHeader("ETag: "+barETag, "Content-Length:"), read.replyHeader("Content-Type: text/plain"), get("/{b}/foo.txt").by(nobody).shows("bar"),
		bar(form{fields: append(plain, "success_action_status", "201")}).gives(201, "<PostResponse><Location>", "<Bucket>{b}</Bucket><Key>foo.txt</Key><ETag>&quot;"), bar(form{fields: append(plain, "success_action_status", "200")}).gives(200), bar(form{fields: append(plain, "success_action_status", "404")}).gives(204),
		bar(form{fields: append(plain, "tagging", tagSet("0", "0", "1", "1"))}), get("/{b}/foo.txt?tagging").shows(shownTags("0", "0", "1", "1")), bar(form{fields: append(plain, "tagging", "no xml")}).fails(400, "MalformedXML"),
		bar(form{fields: []string{"acl", "public-read"}}).fails(400, "InvalidArgument"), bar(form{fields: append(plain, "acl", "private")}).fails(400, "InvalidArgument"), bar(form{fields: []string{"key", "foo.txt", "acl", "secret"}}).fails(400, "InvalidArgument"),
		bar(form{fields: append(plain, "x-amz-storage-class", "FAST")}).fails(400, "InvalidStorageClass"))
	for _, v4 := range []bool{false, true} {
		v := map[bool]string{false: "2", true: "4"}[v4]
		sign := func(f form) step { f.v4 = v4; return bar(f) }
		add("signed by version "+v,
			sign(form{conditions: usual(), fields: usually()}).replyHeader("ETag: "+barETag, "Location: *"), read,
			sign(form{conditions: usual(), fields: usually("x-ignore-foo", "bar")}), sign(form{conditions: usual(), fields: usually(), after: []string{"submit", "Upload"}}),
			sign(form{conditions: usual(), fields: []string{"key", "${filename}", "acl", "private", "Content-Type", "text/plain"}, filename: "foo.txt", file: "named"}), get("/{b}/foo.txt").shows("named"),
			sign(form{conditions: usual(`["starts-with","$x-amz-meta-name",""]`), fields: []string{"key", "foo/${filename}", "acl", "private", "Content-Type", "text/plain", "x-amz-meta-name", "of ${filename}"}, filename: `C:\dir\a.txt`}), get("/{b}/foo/a.txt").shows("bar").replyHeader("x-amz-meta-name: of a.txt"),
			sign(form{conditions: usual(`["starts-with","$x-amz-meta-foo","bar"]`), fields: usually("x-amz-meta-foo", "barclamp")}), head("/{b}/foo.txt").replyHeader("x-amz-meta-foo: barclamp"),
			sign(form{conditions: usual(`{"x-amz-meta-tag":"Ninja,Stallman"}`), fields: usually("x-amz-meta-tag", "Ninja", "x-amz-meta-tag", "Stallman")}), head("/{b}/foo.txt").replyHeader("x-amz-meta-tag: Ninja,Stallman"),
			sign(form{conditions: usual(`["starts-with","$tagging",""]`), fields: usually("tagging", tagSet("a", "b"))}), get("/{b}/foo.txt?tagging").shows(shownTags("a", "b")),
			sign(form{conditions: []string{`{"bUcKeT":"{b}"}`, `["StArTs-WiTh","$KeY","foo"]`, `{"AcL":"private"}`, `["StArTs-WiTh","$CoNtEnT-TyPe","text/plain"]`, `["content-length-range",0,1024]`}, fields: []string{"kEy", "foo.txt", "aCl", "private", "Content-Type", "text/plain"}}),
			sign(form{conditions: []string{`{"bucket":"{b}"}`, `["starts-with","$key","\\$foo"]`, `{"acl":"private"}`}, fields: []string{"key", `\$foo.txt`, "acl", "private"}}), get("/{b}/%5C%24foo.txt").shows("bar"),
			sign(form{conditions: []string{`{"bucket":"{b}"}`, `["eq","$key","\$rose"]`}, fields: []string{"key", "$rose"}}), get("/{b}/%24rose").shows("bar"),
			sign(form{conditions: usual(`["eq","$success_action_status","201"]`), fields: usually("success_action_status", "201")}).gives(201, "<Key>foo.txt</Key>"),
			sign(form{conditions: []string{`{"bucket":"{b}"}`, `["starts-with","$key","foo"]`, `["content-length-range",0,5242880]`}, fields: []string{"key", "foo.txt"}, file: strings.Repeat("foo", 1<<20)}), head("/{b}/foo.txt").replyHeader("Content-Length: "+strconv.Itoa(3<<20)),
			sign(form{conditions: []string{`{"bucket":"{b}"}`, `["starts-with","$key","foo"]`, `["content-length-range",4194304,12582912]`}, fields: []string{"key", "foo.txt"}, file: strings.Repeat("x", 4<<20+200)}),
			sign(form{conditions: usual(), fields: usually("x-amz-checksum-sha256", "/N4rLtulbouNPKwDUUIRJ8AEP1ocIuqFGGyjbTE=")}).fails(400, "BadDigest"),
			sign(form{conditions: usual(), fields: usually("x-amz-checksum-sha256", sha256Of("bar"))}), get("/{b}/foo.txt").with("x-amz-checksum-mode: ENABLED").shows("bar").replyHeader("x-amz-checksum-sha256: "+sha256Of("bar")),
			sign(form{conditions: usual(), fields: usually("x-amz-checksum-sha256", sha256Of("soup"))}).fails(400, "BadDigest"), sign(form{conditions: usual(), fields: usually("x-amz-checksum-sha256", "sailorjerry")}).fails(400, "BadDigest"),
			sign(form{conditions: usual(), fields: usually("Content-MD5", barMD5)}), sign(form{conditions: usual(), fields: usually("Content-MD5", "rL0Y20xC+Fzt72VPzMSk2A==")}).fails(400, "BadDigest"),
			sign(form{conditions: usual(`["starts-with","$Cache-Control","max"]`, `["starts-with","$Content-Disposition",""]`, `["starts-with","$Expires",""]`, `["starts-with","$Content-Encoding",""]`), fields: usually("Cache-Control", "max-age=1", "Content-Disposition", "inline", "Content-Encoding", "gzip", "Expires", "Thu, 01 Jan 2026 00:00:00 GMT")}),
			head("/{b}/foo.txt").replyHeader("Cache-Control: max-age=1", "Content-Disposition: inline", "Content-Encoding: gzip", "Expires: Thu, 01 Jan 2026 00:00:00 GMT"),
		)
		add("refused of version "+v,
			sign(form{conditions: usual(), fields: usually(), alter: with(map[bool]string{false: "signature", true: "X-Amz-Signature"}[v4], map[bool]string{false: "c2lnbmF0dXJlIG9mIG5vYm9keQ==", true: strings.Repeat("0", 64)}[v4])}).fails(403, "SignatureDoesNotMatch"),
			sign(form{conditions: usual(), fields: usually(), alter: without(map[bool]string{false: "signature", true: "X-Amz-Signature"}[v4])}).fails(400, "InvalidArgument"), sign(form{conditions: usual(), fields: usually(), alter: without("policy")}).fails(400, "InvalidArgument"),
			sign(form{conditions: usual(), fields: usually(), alter: without(map[bool]string{false: "AWSAccessKeyId", true: "X-Amz-Credential"}[v4])}).fails(400, "InvalidArgument"),
			sign(form{conditions: usual(), fields: usually(), life: -6000 * time.Second}).fails(403, denied),
			sign(form{conditions: []string{`["starts-with","$key","foo"]`, `{"acl":"private"}`, `["starts-with","$Content-Type","text/plain"]`}, fields: usually()}).fails(403, denied), sign(form{conditions: usual(`["starts-with","$x-amz-meta-foo","bar"]`), fields: usually()}).fails(403, denied),
			sign(form{conditions: usual(`["eq","$x-amz-meta-foo",""]`), fields: usually("x-amz-meta-foo", "barclamp")}).fails(403, denied), sign(form{conditions: usual(), fields: usually("x-amz-meta-foo", "barclamp")}).fails(403, denied), sign(form{conditions: usual(), fields: usually("bucket", "{b}", "filename", "x")}).fails(403, denied),
			sign(form{conditions: usual(), fields: []string{"key", "goo.txt", "acl", "private", "Content-Type", "text/plain"}}).fails(403, denied), sign(form{conditions: usual(), fields: []string{"key", "foo.txt", "acl", "public-read", "Content-Type", "text/plain"}}).fails(403, denied),
			sign(form{conditions: usual(), fields: []string{"key", "foo.txt", "acl", "private", "Content-Type", "text/plain,image/gif"}}).fails(403, denied), sign(form{conditions: usual(), fields: []string{"acl", "private", "Content-Type", "text/plain"}}).fails(400, "InvalidArgument"),
			put("/{c}", ""), sign(form{to: "{c}", conditions: usual(), fields: usually("bucket", "{b}")}).fails(403, denied),
			sign(form{conditions: usual(`["content-length-range",0,0]`), fields: usually()}).fails(400, "EntityTooLarge").shows("<ProposedSize>3</ProposedSize><MaxSizeAllowed>0</MaxSizeAllowed>"), sign(form{conditions: usual(`["content-length-range",512,1000]`), fields: usually()}).fails(400, "EntityTooSmall"),
			sign(form{conditions: usual(`["content-length-range",3,"3"]`), fields: usually()}), sign(form{conditions: usual(`["content-length-range","three","3"]`), fields: usually()}).fails(403, denied), sign(form{conditions: usual(`["eq","acl","private"]`), fields: usually()}).fails(403, denied),
		)
		var bad []step
		for _, c := range []string{`["content-length-range",0]`, `["content-length-range",-1,0]`, `{}`, `{"acl":"private","key":"foo.txt"}`, `{"acl":7}`, `["like","$acl","private"]`, `7`, `[]`, `["eq","$acl"]`} {
			bad = append(bad, sign(form{conditions: usual(c), fields: usually()}).fails(400, "InvalidPolicyDocument"))
		}
		if !v4 { // the conditions of version 4 are in no such document
			for _, doc := range []string{`{"expiration":"{expires}","CONDITIONS":[{"bucket":"{b}"}]}`, `{"EXPIRATION":"{expires}","conditions":[{"bucket":"{b}"}]}`, `{"conditions":[{"bucket":"{b}"}]}`, `{"expiration":"{expires}"}`, `{"expiration":"2126-01-01 00:00:00.123456+00:00","conditions":[]}`,
				`{"expiration":7,"conditions":[]}`, `{"expiration":"{expires}","conditions":{}}`, `{"expiration":"{expires}","conditions":[]`, `[]`, `x`} {
				bad = append(bad, sign(form{document: doc, fields: usually()}).fails(400, "InvalidPolicyDocument"))
			}
		}
		add("bad policies of version "+v, bad...)
	}
	add("bad keys and forms", public,
		bar(form{conditions: usual(), fields: usually(), alter: with("AWSAccessKeyId", "foo")}).fails(403, "InvalidAccessKeyId"), bar(form{fields: append(plain, "policy", "bm9ib2R5")}), // a policy that nobody signed is none
		bar(form{conditions: usual(), fields: usually("X-Amz-Signature", strings.Repeat("0", 64))}).fails(400, "InvalidArgument"), bar(form{v4: true, conditions: usual(), fields: usually(), alter: with("X-Amz-Credential", "x/y")}).fails(400, "InvalidArgument"),
		bar(form{v4: true, conditions: usual(), fields: usually(), alter: with("X-Amz-Date", "today")}).fails(400, "InvalidArgument"), bar(form{v4: true, conditions: usual(), fields: usually(), alter: with("X-Amz-Algorithm", "AWS4-ECDSA")}).fails(400, "InvalidArgument"),
		post("/{b}", "x").by(nobody).fails(412, "RequestIsNotMultiPartContent"), post("/{b}", "--x--\r\n").by(nobody).with("Content-Type: multipart/form-data; boundary=x").fails(400, "IncorrectNumberOfFilesInPostRequest"),
		post("/{b}", "--x\r\n").by(nobody).with("Content-Type: multipart/form-data; boundary=x").fails(400, "MalformedPOSTRequest"), bar(form{fields: append(plain, "x-ignore-long", strings.Repeat("x", 21<<10))}).fails(400, "MaxPostPreDataLengthExceededError"),
		bar(form{fields: []string{"key", strings.Repeat("k", 1025)}}).fails(400, "KeyTooLongError"), bar(form{to: "{c}", fields: plain}).fails(404, "NoSuchBucket"))
	redirect := "http://a.test/done"
	location := "Location: " + redirect + "?bucket={b}&key=foo.txt&etag=" + url.QueryEscape(barETag)
	add("redirect", public,
		bar(form{conditions: usual(`["eq","$success_action_redirect","` + redirect + `"]`), fields: usually("success_action_redirect", redirect)}).gives(303).replyHeader(location), bar(form{fields: append(plain, "redirect", redirect)}).gives(303).replyHeader(location),
		bar(form{fields: append(plain, "success_action_redirect", redirect+"?a=b")}).gives(303).replyHeader(strings.Replace(location, "?", "?a=b&", 1)), bar(form{fields: append(plain, "success_action_redirect", "/relative")}), bar(form{fields: append(plain, "success_action_redirect", "javascript:alert(1)", "success_action_status", "200")}).gives(200),
		bar(form{conditions: usual(`["eq","$success_action_redirect","` + redirect + `"]`), fields: usually("success_action_redirect", "http://b.test/")}).fails(403, denied))
	return section{"form", cases}
}

func sha256Of(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
