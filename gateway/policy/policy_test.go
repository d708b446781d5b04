package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const (
	alice = "00000000000a11ce"
	bob   = "0000000000000b0b"
)

// facts are the condition keys of a request.
type facts map[string]string

func (f facts) values(key string) []string {
	if v, ok := f[key]; ok {
		return strings.Split(v, "|")
	}
	return nil
}

func mustParse(t *testing.T, doc string) *Policy {
	t.Helper()
	p, err := Parse([]byte(doc), "box")
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return p
}

func TestDecide(t *testing.T) {
	t.Parallel()
	type question struct {
		user, action, resource string
		want                   Decision
	}
	for _, tc := range []struct {
		name, doc string
		ask       []question
	}{
		{"everybody reads", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}}`, []question{
			{"", "s3:GetObject", "box/a/b", Allow}, {alice, "S3:GETOBJECT", "box/a", Allow}, {"", "s3:PutObject", "box/a", None}, {"", "s3:GetObject", "other/a", None}, {"", "s3:GetObjectVersion", "box/a", None},
			{"", "s3:GetObject", "box", None},
		}},
		{"deny beats allow", `{"Version":"2012-10-17","Id":"x","Statement":[
			{"Sid":"1","Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:*"],"Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]},
			{"Sid":"2","Effect":"Deny","Principal":{"AWS":["arn:aws:iam::` + bob + `:root"]},"Action":"s3:Delete*","Resource":"arn:aws:s3:::box/keep/*"}]}`, []question{
			{alice, "s3:DeleteObject", "box/keep/a", Allow}, {bob, "s3:DeleteObject", "box/keep/a", Deny}, {bob, "s3:DeleteObject", "box/a", Allow}, {bob, "s3:GetObject", "box/keep/a", Allow}, {"", "s3:DeleteObjectVersion", "box/keep/", Allow},
		}},
		{"deny first", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"*"},{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`, []question{
			{alice, "s3:GetObject", "box/a", Deny}, {alice, "s3:PutObject", "box/a", Allow},
		}},
		{"forms of principals", `{"Statement":[{"Effect":"Allow","Principal":{"CanonicalUser":"` + strings.ToUpper(alice) + `","AWS":["` + bob + `","arn:aws:iam:::user/0000000000000001","arn:aws:iam::0000000000000002:user/x"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}]}`, []question{
			{alice, "s3:GetObject", "box/a", Allow}, {bob, "s3:GetObject", "box/a", Allow}, {"0000000000000001", "s3:GetObject", "box/a", Allow}, {"0000000000000002", "s3:GetObject", "box/a", Allow},
			{"", "s3:GetObject", "box/a", None}, {"0000000000000003", "s3:GetObject", "box/a", None},
		}},
		{"not principal", `{"Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"` + alice + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}]}`, []question{
			{alice, "s3:GetObject", "box/a", None}, {bob, "s3:GetObject", "box/a", Deny}, {"", "s3:GetObject", "box/a", Deny},
		}},
		{"not action", `{"Statement":[{"Effect":"Allow","Principal":"*","NotAction":["s3:Delete*","s3:PutObject"],"Resource":"arn:aws:s3:::box/*"}]}`, []question{
			{bob, "s3:GetObject", "box/a", Allow}, {bob, "s3:DeleteObject", "box/a", None}, {bob, "s3:PutObject", "box/a", None}, {bob, "s3:PutObjectAcl", "box/a", Allow},
		}},
		{"not resource", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":["arn:aws:s3:::box/public/*"]}]}`, []question{
			{bob, "s3:GetObject", "box/public/a", None}, {bob, "s3:GetObject", "box/secret", Deny}, {bob, "s3:ListBucket", "box", Deny},
		}},
		{"wildcards", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:?etObject","Resource":["arn:aws:s3:::b*x/?/*.jp*g","arn:aws:s3:::box/**"]},{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/no*"}]}`, []question{
			{bob, "s3:GetObject", "box/ä/x.jpeg", Allow}, {bob, "s3:PetObject", "box/a", Allow}, {bob, "s3:GetObject", "box/no", Deny}, {bob, "s3:GetObject", "box/n", Allow},
		}},
		{"a wildcard of the request is text", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/${aws:userid}/*"}]}`, []question{
			{alice, "s3:GetObject", "box/" + alice + "/a", Allow}, {alice, "s3:GetObject", "box/" + bob + "/a", None}, {"*", "s3:GetObject", "box/" + bob + "/a", None}, {"", "s3:GetObject", "box//a", None},
		}},
		{"variables of the old language are text", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/${aws:userid}/*"}]}`, []question{
			{alice, "s3:GetObject", "box/" + alice + "/a", None}, {alice, "s3:GetObject", "box/${aws:userid}/a", Allow},
		}},
		{"fallbacks and escapes", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":["arn:aws:s3:::box/${aws:userid, 'guest'}/a","arn:aws:s3:::box/${*}${?}${$}"]}]}`, []question{
			{"", "s3:GetObject", "box/guest/a", Allow}, {alice, "s3:GetObject", "box/guest/a", None}, {"", "s3:GetObject", "box/*?$", Allow}, {"", "s3:GetObject", "box/ab$", None},
		}},
	} {
		p := mustParse(t, tc.doc)
		for _, q := range tc.ask {
			f := facts{}
			if q.user != "" {
				f["aws:userid"] = q.user
			}
			if got := p.Decide(&Request{User: q.user, Action: q.action, Resource: q.resource, Condition: f.values}); got != q.want {
				t.Errorf("%s: %q %s %s: got %s, want %s", tc.name, q.user, q.action, q.resource, got, q.want)
			}
		}
	}
	if got := (*Policy)(nil).Decide(&Request{}); got != None {
		t.Errorf("no policy: %s", got)
	}
}

// TestOperators has for every operator a value that makes it true, one that makes it false, and what it says of a missing key.
func TestOperators(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tc := range []struct {
		op, key, values string // values: JSON
		yes, no         []string
		missing         bool
	}{
		{"StringEquals", "s3:prefix", `["a","b"]`, []string{"a", "b"}, []string{"A", "", "ab", "*"}, false},
		{"StringNotEquals", "s3:prefix", `["a","b"]`, []string{"A", "c", ""}, []string{"a", "b"}, true},
		{"StringEqualsIgnoreCase", "s3:prefix", `"aÄ"`, []string{"Aä", "aÄ"}, []string{"a", "b"}, false},
		{"StringNotEqualsIgnoreCase", "s3:prefix", `"a"`, []string{"b"}, []string{"A", "a"}, true},
		{"StringLike", "s3:prefix", `["a*","?x"]`, []string{"a", "abc", "yx"}, []string{"ba", "x", ""}, false},
		{"StringNotLike", "s3:prefix", `["a*"]`, []string{"b"}, []string{"a", "abc"}, true},
		{"NumericEquals", "s3:max-keys", `[10,"2.50"]`, []string{"10", "10.0", "2.5"}, []string{"11", "", "ten", "1e1"}, false},
		{"NumericNotEquals", "s3:max-keys", `10`, []string{"11"}, []string{"10", "010"}, true},
		{"NumericLessThan", "s3:max-keys", `10`, []string{"9", "-1"}, []string{"10", "11", "x"}, false},
		{"NumericLessThanEquals", "s3:max-keys", `"10"`, []string{"10"}, []string{"11", "10.1"}, false},
		{"NumericGreaterThan", "s3:max-keys", `10`, []string{"11", "99999999999999999999"}, []string{"10", "x"}, false},
		{"NumericGreaterThanEquals", "s3:max-keys", `10`, []string{"10"}, []string{"9"}, false},
		{"DateEquals", "aws:CurrentTime", `"2026-01-02T03:04:05Z"`, []string{"2026-01-02T04:04:05+01:00", "1767323045"}, []string{"2026-01-02T03:04:06Z", "x"}, false},
		{"DateNotEquals", "aws:CurrentTime", `"2026-01-02"`, []string{"2026-01-03"}, []string{"2026-01-02T00:00:00Z"}, true},
		{"DateLessThan", "aws:CurrentTime", `"2026-01-02"`, []string{"2026-01-01"}, []string{"2026-01-02", "2027"}, false},
		{"DateLessThanEquals", "aws:CurrentTime", `"2026-01-02"`, []string{"2026-01-02"}, []string{"2026-01-03"}, false},
		{"DateGreaterThan", "aws:CurrentTime", `1767323045`, []string{"2026-01-03"}, []string{"2026-01-02T03:04:05Z"}, false},
		{"DateGreaterThanEquals", "aws:EpochTime", `"2026-01-02T03:04:05Z"`, []string{"1767323045"}, []string{"1767323044"}, false},
		{"Bool", "aws:SecureTransport", `"true"`, []string{"true", "TRUE"}, []string{"false", "1"}, false},
		{"Bool", "aws:SecureTransport", `[true,false]`, []string{"true", "false"}, []string{""}, false},
		{"BinaryEquals", "s3:prefix", `"YWI="`, []string{"ab"}, []string{"YWI=", "a"}, false},
		{"IpAddress", "aws:SourceIp", `["10.0.0.0/8","192.0.2.7","2001:db8::/32"]`, []string{"10.1.2.3", "192.0.2.7", "::ffff:10.1.1.1", "2001:db8::1"}, []string{"11.0.0.1", "192.0.2.8", "2001:db9::1", "x", "10.1"}, false},
		{"NotIpAddress", "aws:SourceIp", `"10.0.0.0/8"`, []string{"11.0.0.1"}, []string{"10.0.0.1"}, true},
		{"IpAddress", "aws:SourceIp", `"::ffff:10.0.0.0/104"`, []string{"10.9.9.9"}, []string{"11.0.0.1"}, false},
		{"ArnEquals", "aws:PrincipalArn", `"arn:aws:iam::*:root"`, []string{"arn:aws:iam::1:root"}, []string{"arn:aws:iam::1:user/a", "arn:aws:iam::1:2:root", "root"}, false},
		{"ArnLike", "aws:PrincipalArn", `["arn:aws:iam::?:user/*"]`, []string{"arn:aws:iam::1:user/a:b"}, []string{"arn:aws:iam::12:user/a"}, false},
		{"ArnNotEquals", "aws:PrincipalArn", `"arn:aws:iam::1:root"`, []string{"arn:aws:iam::2:root"}, []string{"arn:aws:iam::1:root"}, true},
		{"ArnNotLike", "aws:PrincipalArn", `"arn:aws:iam::1*:root"`, []string{"arn:aws:iam::2:root"}, []string{"arn:aws:iam::12:root"}, true},
		{"Null", "s3:prefix", `true`, nil, []string{"a", ""}, true},
		{"Null", "s3:prefix", `"false"`, []string{"a", ""}, nil, false},

		{"StringEqualsIfExists", "s3:prefix", `"a"`, []string{"a"}, []string{"b"}, true},
		{"NumericLessThanIfExists", "s3:max-keys", `5`, []string{"4"}, []string{"5"}, true},
		{"ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", `["a","b"]`, []string{"a", "x|b"}, []string{"x", "x|y"}, false},
		{"ForAnyValue:StringNotEquals", "s3:RequestObjectTagKeys", `["a","b"]`, []string{"x", "a|x"}, []string{"a", "a|b"}, false},
		{"ForAllValues:StringEquals", "s3:RequestObjectTagKeys", `["a","b"]`, []string{"a", "a|b"}, []string{"x", "a|x"}, true},
		{"ForAllValues:StringNotLike", "s3:RequestObjectTagKeys", `["a*"]`, []string{"x", "x|y"}, []string{"x|ab"}, true},
		{"StringEquals", "s3:RequestObjectTagKeys", `["a","b"]`, []string{"x|b"}, []string{"x|y"}, false},
		{"StringNotEquals", "s3:RequestObjectTagKeys", `["a","b"]`, []string{"x|y"}, []string{"x|b"}, true},
	} {
		seen[tc.op] = true
		p := mustParse(t, fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{%q:{%q:%s}}}}`, tc.op, tc.key, tc.values))
		holds := func(f facts) bool {
			return p.Decide(&Request{Action: "s3:ListBucket", Resource: "box", Condition: f.values}) == Allow
		}
		for _, v := range tc.yes {
			if !holds(facts{strings.ToLower(tc.key): v}) {
				t.Errorf("%s %s: %q does not hold", tc.op, tc.values, v)
			}
		}
		for _, v := range tc.no {
			if holds(facts{strings.ToLower(tc.key): v}) {
				t.Errorf("%s %s: %q holds", tc.op, tc.values, v)
			}
		}
		if got := holds(nil); got != tc.missing {
			t.Errorf("%s %s: a missing key gives %v", tc.op, tc.values, got)
		}
	}
	for name := range operators {
		if !seen[name] {
			t.Errorf("%s is not tested", name)
		}
	}
}

// TestConditionsTogether has all operators and keys of a statement hold, variables in values, and every key of the table in a condition that it makes true and false.
func TestConditionsTogether(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::box","Condition":{
		"StringLike":{"s3:prefix":"${aws:username}/*","s3:delimiter":"/"},"NumericLessThanEquals":{"s3:max-keys":100}}}}`)
	good := facts{"s3:prefix": "eve*/x", "s3:delimiter": "/", "s3:max-keys": "100", "aws:username": "eve*"}
	ask := func(f facts) Decision {
		return p.Decide(&Request{User: alice, Action: "s3:ListBucket", Resource: "box", Condition: f.values})
	}
	if got := ask(good); got != Allow {
		t.Errorf("all hold: %s", got)
	}
	for key, bad := range map[string]string{"s3:prefix": "even/x", "s3:delimiter": "-", "s3:max-keys": "101", "aws:username": "eve"} {
		f := facts{}
		for k, v := range good {
			f[k] = v
		}
		f[key] = bad
		if got := ask(f); got != None {
			t.Errorf("%s %q: %s", key, bad, got)
		}
		delete(f, key)
		if got := ask(f); got != None {
			t.Errorf("without %s: %s", key, got)
		}
	}
	all := []string{"s3:ExistingObjectTag/team", "s3:RequestObjectTag/team"}
	for k := range keys {
		all = append(all, k)
	}
	for _, k := range all {
		p := mustParse(t, fmt.Sprintf(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{%q:"v"}}}}`, k))
		for v, want := range map[string]Decision{"v": Deny, "w": None} {
			if got := p.Decide(&Request{Action: "s3:GetObject", Resource: "box/a", Condition: facts{strings.ToLower(k): v}.values}); got != want {
				t.Errorf("%s is %q: %s", k, v, got)
			}
		}
	}
	if p := mustParse(t, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/a":"v"}}}}`); !p.NeedsObjectTags() || p.NeedsRequestTags() {
		t.Error("the need of tags is not seen")
	}
	if p := mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/${s3:RequestObjectTag/a}"}}`); p.NeedsObjectTags() || !p.NeedsRequestTags() {
		t.Error("the need of tags in a variable is not seen")
	}
}

func TestAppendixD(t *testing.T) {
	t.Parallel()
	for _, a := range strings.Fields(`s3:AbortMultipartUpload s3:DeleteObject s3:DeleteObjectTagging s3:DeleteObjectVersion s3:DeleteObjectVersionTagging s3:GetObject s3:GetObjectAcl s3:GetObjectTagging
		s3:GetObjectTorrent s3:GetObjectVersion s3:GetObjectVersionAcl s3:GetObjectVersionTagging s3:ListMultipartUploadParts s3:PutObject s3:PutObjectAcl s3:PutObjectTagging s3:PutObjectVersionAcl
		s3:PutObjectVersionTagging s3:RestoreObject`) {
		if !slices.Contains(ObjectActions, a) {
			t.Errorf("%s is no action on objects", a)
		}
	}
	for _, a := range strings.Fields(`s3:CreateBucket s3:DeleteBucket s3:ListBucket s3:ListBucketMultipartUploads s3:ListBucketVersions s3:DeleteBucketPolicy s3:DeleteBucketWebsite s3:GetBucketAcl
		s3:GetBucketCORS s3:GetBucketLocation s3:GetBucketLogging s3:GetBucketNotification s3:GetBucketPolicy s3:GetBucketRequestPayment s3:GetBucketTagging s3:GetBucketVersioning s3:GetBucketWebsite
		s3:GetLifecycleConfiguration s3:GetReplicationConfiguration s3:PutBucketAcl s3:PutBucketCORS s3:PutBucketLogging s3:PutBucketNotification s3:PutBucketPolicy s3:PutBucketRequestPayment
		s3:PutBucketTagging s3:PutBucketVersioning s3:PutBucketWebsite s3:PutLifecycleConfiguration s3:PutReplicationConfiguration`) {
		if !slices.Contains(BucketActions, a) {
			t.Errorf("%s is no action on buckets", a)
		}
	}
	if !slices.IsSorted(ObjectActions) || !slices.IsSorted(BucketActions) {
		t.Error("the actions are not sorted")
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	statement := func(members string) string {
		return "{\"Statement\":[\n {" + members + "}]}"
	}
	const rest = `"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`
	for _, tc := range []struct{ name, doc, want string }{
		{"nothing", ``, "not valid JSON, at line 1, column 1"},
		{"no JSON", `{"Statement":`, "not valid JSON"},
		{"no object", `[]`, "a policy is a JSON object"},
		{"junk behind", `{"Statement":[]} x`, "behind the policy"},
		{"two policies", `{"Statement":[]}{}`, "behind the policy"},
		{"no statement", `{"Version":"2012-10-17"}`, "no Statement"},
		{"empty list", `{"Statement":[]}`, "at least one"},
		{"unknown member", `{"Statement":[],"Statements":1}`, `unknown element "Statements"`},
		{"bad version", `{"Version":"2012","Statement":[]}`, "the version must be"},
		{"bad id", `{"Id":1,"Statement":[]}`, "an id is a string"},
		{"twice", statement(`"Effect":"Allow","Effect":"Deny",` + rest), `"Effect" comes twice, at line 2, column 20`},
		{"no effect", statement(rest), "Effect must be Allow or Deny"},
		{"lower-case effect", statement(`"Effect":"allow",` + rest), "Statement[0].Effect (line 2, column 12)"},
		{"effect is a list", statement(`"Effect":["Allow"],` + rest), "Effect must be"},
		{"no principal", statement(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "no Principal"},
		{"both principals", statement(`"Effect":"Allow","NotPrincipal":{"AWS":"` + bob + `"},` + rest), "not both"},
		{"everybody but one", statement(`"Effect":"Allow","NotPrincipal":{"AWS":"` + bob + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "NotPrincipal goes with Deny only, at Statement[0].NotPrincipal"},
		{"a foreign account without a name", statement(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::other:"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "is not a user"},
		{"all of a foreign account", statement(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::other:user/*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "is not a user"},
		{"a foreign canonical user", statement(`"Effect":"Allow","Principal":{"CanonicalUser":"arn:aws:iam::other:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "is not a user"},
		{"principal by name", statement(`"Effect":"Allow","Principal":"bob","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "a principal is"},
		{"bad user", statement(`"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), `"bob" is not a user`},
		{"a service", statement(`"Effect":"Allow","Principal":{"Service":"x"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), `unknown element "Service"`},
		{"nobody", statement(`"Effect":"Allow","Principal":{"AWS":[]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "at least one"},
		{"all canonical", statement(`"Effect":"Allow","Principal":{"CanonicalUser":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "not a user"},
		{"not everybody", statement(`"Effect":"Deny","NotPrincipal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "a principal is"},
		{"not everybody in a list", statement(`"Effect":"Deny","NotPrincipal":{"AWS":["*"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"`), "NotPrincipal cannot be everybody"},
		{"no action", statement(`"Effect":"Allow","Principal":"*","Resource":"arn:aws:s3:::box/*"`), "no Action"},
		{"unknown action", statement(`"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:Fly"],"Resource":"arn:aws:s3:::box/*"`), `"s3:Fly" is no action`},
		{"action of another service", statement(`"Effect":"Allow","Principal":"*","Action":"iam:*","Resource":"arn:aws:s3:::box/*"`), "no action"},
		{"action is a number", statement(`"Effect":"Allow","Principal":"*","Action":[1],"Resource":"arn:aws:s3:::box/*"`), "want a string"},
		{"wrong resource", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"`), "Statement[0].Resource"},
		{"prefix of the bucket", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bo/*"`), "not the bucket"},
		{"wildcard of others", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::a*/x"`), "not the bucket"},
		{"no arn", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"box/*"`), "not the bucket"},
		{"arn without bucket", statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::"`), "not the bucket"},
		{"bucket action on objects", statement(`"Effect":"Deny","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::box/*"`), "does not apply"},
		{"object action on the bucket", statement(`"Effect":"Deny","Principal":"*","Action":["s3:ListBucket","s3:Get*Acl","s3:PutObject"],"Resource":"arn:aws:s3:::box"`), `"s3:PutObject" does not apply`},
		{"same Sid", `{"Statement":[{"Sid":"a","Effect":"Allow",` + rest + `},{"Sid":"a","Effect":"Allow",` + rest + `}]}`, `the Sid "a"`},
		{"condition is a list", statement(`"Effect":"Allow","Condition":[],` + rest), "Condition is an object"},
		{"unknown operator", statement(`"Effect":"Allow","Condition":{"StringIs":{"s3:prefix":"a"}},` + rest), `"StringIs" is no operator`},
		{"NullIfExists", statement(`"Effect":"Allow","Condition":{"NullIfExists":{"s3:prefix":true}},` + rest), "no operator"},
		{"unknown key", statement(`"Effect":"Allow","Condition":{"StringEquals":{"s3:colour":"a"}},` + rest), `"s3:colour" is no condition key, at Statement[0].Condition.StringEquals`},
		{"tag without name", statement(`"Effect":"Allow","Condition":{"StringEquals":{"s3:ExistingObjectTag/":"a"}},` + rest), "no condition key"},
		{"no values", statement(`"Effect":"Allow","Condition":{"StringEquals":{"s3:prefix":[]}},` + rest), "at least one value"},
		{"no keys", statement(`"Effect":"Allow","Condition":{"StringEquals":{}},` + rest), "want an object"},
		{"null value", statement(`"Effect":"Allow","Condition":{"StringEquals":{"s3:prefix":null}},` + rest), "is no value"},
		{"bad number", statement(`"Effect":"Allow","Condition":{"NumericEquals":{"s3:max-keys":"1e999999999"}},` + rest), "is no value for NumericEquals"},
		{"bad date", statement(`"Effect":"Allow","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}},` + rest), "is no value"},
		{"bad address", statement(`"Effect":"Allow","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}},` + rest), "is no value"},
		{"bad bool", statement(`"Effect":"Allow","Condition":{"Bool":{"aws:SecureTransport":"yes"}},` + rest), "is no value"},
		{"bad binary", statement(`"Effect":"Allow","Condition":{"BinaryEquals":{"s3:prefix":"?"}},` + rest), "is no value"},
		{"bad ARN", statement(`"Effect":"Allow","Condition":{"ArnLike":{"aws:PrincipalArn":"root"}},` + rest), "is no value"},
		{"unknown variable", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Condition":{"StringEquals":{"s3:prefix":"${aws:nobody}"}},` + rest + `}}`, "is no value"},
		{"unknown variable in a resource", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/${aws:nobody}"}}`, "not the bucket"},
		{"deep", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 8, at line 1, column 10"},
		{"deep objects", strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), "nested deeper"},
		{"no UTF-8", "{\"\xff\":1}", "not UTF-8"},
		{"too long", `{"Id":"` + strings.Repeat("a", MaxBytes) + `","Statement":[]}`, "more than 20480 bytes"},
	} {
		_, err := Parse([]byte(tc.doc), "box")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: %T", tc.name, err)
		}
	}
	longest := `{"Id":"` + strings.Repeat("a", MaxBytes-len(`{"Id":"","Statement":{"Effect":"Allow",`+rest+`}}`)) + `","Statement":{"Effect":"Allow",` + rest + `}}`
	if _, err := Parse([]byte(longest), "box"); err != nil || len(longest) != MaxBytes {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		effect, principal, condition string
		want                         bool
	}{
		{"Allow", `"*"`, ``, true},
		{"Allow", `{"AWS":["` + bob + `","*"]}`, ``, true},
		{"Allow", `{"AWS":"` + bob + `"}`, ``, false},
		{"Deny", `"*"`, ``, false},
		{"Allow", `"*"`, `"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}`, false},
		{"Allow", `"*"`, `"IpAddress":{"aws:SourceIp":["10.0.0.0/32","0.0.0.0/0"]}`, true},
		{"Allow", `"*"`, `"IpAddress":{"aws:SourceIp":"2001::/16"}`, true},
		{"Allow", `"*"`, `"NotIpAddress":{"aws:SourceIp":"10.0.0.0/32"}`, true},
		{"Allow", `"*"`, `"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/32"}`, true},
		{"Allow", `"*"`, `"StringEquals":{"aws:userid":"` + bob + `"}`, false},
		{"Allow", `"*"`, `"StringLike":{"aws:userid":"*"}`, true},
		{"Allow", `"*"`, `"StringLike":{"aws:SourceIp":"10.0.0.1"}`, true},
		{"Allow", `"*"`, `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::` + bob + `:root"}`, false},
		{"Allow", `"*"`, `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:root"}`, true},
		{"Allow", `"*"`, `"StringEquals":{"s3:prefix":"a"}`, true},
		{"Allow", `"*"`, `"Null":{"aws:userid":false}`, true},
	} {
		p := mustParse(t, fmt.Sprintf(`{"Statement":{"Effect":%q,"Principal":%s,"Action":"*","Resource":"*","Condition":{%s}}}`, tc.effect, tc.principal, tc.condition))
		if got := p.Public(); got != tc.want {
			t.Errorf("%s %s %s: got %v", tc.effect, tc.principal, tc.condition, got)
		}
	}
	if p := mustParse(t, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"`+bob+`"},"Action":"*","Resource":"*"}}`); p.Public() || !slices.Equal(p.Principals(), []string{bob}) {
		t.Errorf("all but bob: %v, %v", p.Public(), p.Principals())
	}
}

// TestForeignPrincipals names accounts of another system: they are nobody here, and a Deny of all but them holds for everybody.
func TestForeignPrincipals(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"arn:aws:iam::123456789012:root", "arn:aws:iam::s3tenant1:root", "arn:aws:iam::123456789012:user/eve", "arn:aws:iam::123456789012:role/x/y"} {
		allow := mustParse(t, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"`+who+`"},"Action":"*","Resource":"*"}}`)
		deny := mustParse(t, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"`+who+`"},"Action":"*","Resource":"*"}}`)
		for _, user := range []string{"", alice, bob} {
			r := &Request{User: user, Action: "s3:GetObject", Resource: "box/a"}
			if got := allow.Decide(r); got != None {
				t.Errorf("%s is allowed, %q gets %s", who, user, got)
			}
			if got := deny.Decide(r); got != Deny {
				t.Errorf("all but %s are denied, %q gets %s", who, user, got)
			}
		}
		if allow.Public() || len(allow.Principals()) > 0 {
			t.Errorf("%s: public %v, principals %v", who, allow.Public(), allow.Principals())
		}
	}
}

// TestAllowOfNothing accepts an Allow whose actions no resource of it can have: it gives nothing.
func TestAllowOfNothing(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box"}}`)
	if got := p.Decide(&Request{User: bob, Action: "s3:PutObject", Resource: "box/a"}); got != None {
		t.Errorf("got %s", got)
	}
}

// TestWildcardsAreBounded: patterns that make a matcher go back and forth. Before there was a bound, one policy of 9,900 question marks made every request with a long User-Agent cost
// seconds of a processor.
func TestWildcardsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 30_000)
	for _, pattern := range []string{strings.Repeat("*a", 5000) + "b", "*" + strings.Repeat("a", 10_000) + "b", "*" + strings.Repeat("?a", 32) + "b", strings.Repeat("*?", 64) + "b"} {
		p := compile(pattern, false)
		if p.match(long, nil) {
			t.Errorf("%.20q matches", pattern)
		}
	}
	p := compile("*"+strings.Repeat("${aws:useragent}", 1000)+"b", true)
	for _, agent := range []string{"a", long} {
		if p.match(long, &Request{Condition: func(string) []string { return []string{agent} }}) {
			t.Error("a pattern of many variables matches")
		}
	}
	doc := func(marks string) string {
		return `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*","Condition":{"StringLike":{"aws:UserAgent":"*` + marks + `b"}}}]}`
	}
	if _, err := Parse([]byte(doc(strings.Repeat("?", maxAny))), "box"); err != nil {
		t.Error(err)
	}
	for _, marks := range []string{strings.Repeat("?", maxAny+1), strings.Repeat(`\u003f`, maxAny+1)} {
		if _, err := Parse([]byte(doc(marks)), "box"); err == nil || !strings.Contains(err.Error(), "question marks") {
			t.Errorf("%d question marks: %v", maxAny+1, err)
		}
	}
}

// TestWildcards compares with a matcher that tries everything.
func TestWildcards(t *testing.T) {
	t.Parallel()
	var all func(pattern, s string) bool
	all = func(pattern, s string) bool {
		switch {
		case pattern == "":
			return s == ""
		case pattern[0] == '*':
			return all(pattern[1:], s) || s != "" && all(pattern, s[1:])
		case pattern[0] == '?':
			return s != "" && all(pattern[1:], s[1:])
		}
		return s != "" && s[0] == pattern[0] && all(pattern[1:], s[1:])
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	word := func(letters string, n int) string {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	matched := 0
	for range 20_000 {
		pattern, s := word("ab*?", 9), word("ab", 12)
		p, want := compile(pattern, false), all(pattern, s)
		if got := p.match(s, nil); got != want {
			t.Fatalf("seed %d: %q matches %q: %v", seed, pattern, s, got)
		}
		if want {
			matched++
		}
		// A prefix matches when something can be put behind it.
		can := false
		for _, more := range []string{"", "a", "b", "ab", "ba", "aab", "abb", "bba", "baa", "aaaaaaaa", "bbbbbbbb"} {
			can = can || all(pattern, s+more)
		}
		if can && !wild(p.parts, s, true) && !p.plain {
			t.Fatalf("seed %d: %q cannot begin with %q", seed, pattern, s)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d of the pairs match", matched)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Sid":"1","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:*"],"Resource":["arn:aws:s3:::box/${aws:userid,'x'}/*"],"Condition":{"StringLike":{"s3:prefix":"${aws:username}*"},"Null":{"s3:prefix":true}}}]}`, "box/a")
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"CanonicalUser":"0000000000000b0b"},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::b*/?","Condition":{"ForAnyValue:IpAddressIfExists":{"aws:SourceIp":["10.0.0.0/8"]}}}}`, "box")
	f.Add(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:userid}:*"},"DateLessThan":{"aws:CurrentTime":"2026"},"NumericEquals":{"s3:max-keys":1.5}}}]}`, "*")
	f.Fuzz(func(t *testing.T, doc, value string) {
		p, err := Parse([]byte(doc), "box")
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		_ = p.Public() // must not panic
		r := &Request{User: alice, Action: "s3:GetObject", Resource: "box/" + value, Condition: func(string) []string { return []string{value} }}
		first := p.Decide(r)
		if again := p.Decide(r); again != first {
			t.Fatalf("%s, then %s", first, again)
		}
		again, err := Parse([]byte(" "+doc+"\n"), "box")
		if err != nil && len(doc)+2 <= MaxBytes || err == nil && again.Decide(r) != first {
			t.Fatalf("with space around it: %v", err)
		}
	})
}
