package s3

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFormAttacks bends a form that is good, signed by both versions, as TestAttacks does with other requests.
func TestFormAttacks(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.furnish()
	s.must(s.accounts.SetDisabled(t.Context(), s.carol.ID, true))
	field := func(f *form, name string) *string {
		for i := 0; i < len(f.fields); i += 2 {
			if strings.EqualFold(f.fields[i], name) {
				return &f.fields[i+1]
			}
		}
		return new(string)
	}
	signature := func(f *form) *string {
		if v := field(f, "Signature"); *v != "" {
			return v
		}
		return field(f, "X-Amz-Signature")
	}
	key := func(f *form) *string {
		if v := field(f, "AWSAccessKeyId"); *v != "" {
			return v
		}
		return field(f, "X-Amz-Credential")
	}
	drop := func(f *form, name string) {
		i := slices.IndexFunc(f.fields, func(v string) bool { return strings.EqualFold(v, name) })
		f.fields = slices.Delete(f.fields, i, i+2)
	}
	attacks := []struct {
		name, codes string
		form        func(f *form)
		ask         func(a *ask)
	}{
		{name: "bad signature", codes: "SignatureDoesNotMatch", form: func(f *form) {
			v := signature(f)
			first := "0" // a digit of hex and of base64
			if (*v)[0] == '0' {
				first = "1"
			}
			*v = first + (*v)[1:]
		}},
		{name: "unknown key", codes: "InvalidAccessKeyId", form: func(f *form) {
			v := key(f)
			*v = strings.Replace(*v, s.alice.Keys[0].AccessKey, "00000000000000ffZZZZ", 1)
		}},
		{name: "another's key", codes: "SignatureDoesNotMatch", form: func(f *form) {
			v := key(f)
			*v = strings.Replace(*v, s.alice.Keys[0].AccessKey, s.bob.Keys[0].AccessKey, 1)
		}},
		{name: "another policy", codes: "SignatureDoesNotMatch", form: func(f *form) { *field(f, "Policy") = policy(2*time.Hour, inBox, anyKey) }},
		{name: "no policy", codes: "InvalidArgument", form: func(f *form) { drop(f, "Policy") }},
		{name: "no key", codes: "InvalidArgument", form: func(f *form) { drop(f, "key") }},
		{name: "both versions", codes: "InvalidArgument", form: func(f *form) {
			f.fields = append(f.fields, "X-Amz-Signature", strings.Repeat("0", 64), "Signature", "AAAA")
		}},
		{name: "acl added", codes: "AccessDenied", form: func(f *form) { f.fields = append(f.fields, "acl", "public-read") }},
		{name: "metadata added", codes: "AccessDenied", form: func(f *form) { f.fields = append(f.fields, "x-amz-meta-a", "b") }},
		{name: "tagging added", codes: "AccessDenied", form: func(f *form) { f.fields = append(f.fields, "tagging", tagXML("a", "b")) }},
		{name: "copy source added", codes: "AccessDenied", form: func(f *form) { f.fields = append(f.fields, "x-amz-copy-source", "bobs/secret") }},
		{name: "redirect added", codes: "AccessDenied", form: func(f *form) { f.fields = append(f.fields, "success_action_redirect", "http://evil.example/") }},
		{name: "field twice", codes: "InvalidArgument", form: func(f *form) { f.fields = append(f.fields, "KEY", "other") }},
		{name: "another bucket", codes: "AccessDenied", ask: func(a *ask) { a.target = "/bobs" }},
		{name: "another bucket by host", codes: "AccessDenied", ask: func(a *ask) { a.target, a.host = "/", "bobs."+domain }},
		{name: "a key in the URL", codes: "MethodNotAllowed", ask: func(a *ask) { a.target = "/box/key" }},
		{name: "Authorization too", codes: "InvalidArgument", ask: func(a *ask) { a.header = append(a.header, "Authorization: AWS a:b") }},
		{name: "presigned too", codes: "InvalidArgument", ask: func(a *ask) { a.target += "?X-Amz-Signature=00" }},
		{name: "no file", codes: "IncorrectNumberOfFilesInPostRequest", form: func(f *form) { f.noFile = true }},
		{name: "cut off", codes: "MalformedPOSTRequest IncompleteBody", ask: func(a *ask) { a.body = a.body[:len(a.body)-8] }},
		{name: "another boundary", codes: "MalformedPOSTRequest", ask: func(a *ask) { a.header = []string{"Content-Type: multipart/form-data; boundary=other"} }},
		{name: "no boundary", codes: "RequestIsNotMultiPartContent", ask: func(a *ask) { a.header = []string{"Content-Type: multipart/form-data"} }},
		{name: "policy of deep nesting", codes: "SignatureDoesNotMatch", form: func(f *form) {
			*field(f, "Policy") = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("[", 10000)))
		}},
	}
	tried := 0
	try := func(name, version string, a ask, codes string) {
		t.Helper()
		before := s.writes()
		s.refused("form "+version+", "+name, s.do(a), "POST", strings.Fields(codes))
		if after := s.writes(); after != before {
			t.Errorf("form %s, %s: something was written: %s, then %s", version, name, before, after)
		}
		tried++
	}
	for _, version := range []string{"V2", "V4"} {
		for _, at := range attacks {
			f := s.goodForm(version, &s.alice)
			if at.form != nil {
				at.form(&f)
			}
			a := f.ask("/box")
			if at.ask != nil {
				at.ask(&a)
			}
			try(at.name, version, a, at.codes)
		}
		try("not the owner", version, s.goodForm(version, &s.bob).ask("/box"), "AccessDenied")
		try("disabled user", version, s.goodForm(version, &s.carol).ask("/box"), "InvalidAccessKeyId")
	}
	try("anonymous", "", form{fields: []string{"key", "form"}, file: "x"}.ask("/box"), "AccessDenied")
	for _, version := range []string{"V2", "V4"} {
		s.want(204, "", s.goodForm(version, &s.alice).ask("/box"))
	}
	t.Logf("%d attacks", tried)
}
