package gateway

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ostor/gateway/acl"
	"ostor/gateway/policy"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestEveryOperationIsGuarded has a known action for every operation on a bucket or object, of the right kind, and an operation for every action that policies may name.
func TestEveryOperationIsGuarded(t *testing.T) {
	t.Parallel()
	guards := map[string]bool{}
	note := func(names ...string) {
		for _, n := range names {
			if n == "" {
				continue
			}
			guards[n] = true
			if !slices.Contains(policy.BucketActions, n) && !slices.Contains(policy.ObjectActions, n) {
				t.Errorf("%s is no action of policies", n)
			}
		}
	}
	for op := opNone + 1; op < opCount; op++ {
		switch op {
		case opListBuckets, opDeleteObjects, opPreflight: // the account's; decided by key; asks nothing of the bucket but its CORS rules
			continue
		}
		if actions[op].name == "" {
			t.Errorf("%s has no action: only the bucket's owner may do it, and no policy can say otherwise", op)
		}
		note(actions[op].name, actions[op].versioned)
	}
	for sub, a := range absentBucketActions {
		if _, ok := bucketVerbs[sub]; !ok {
			t.Errorf("%s is no sub-resource of buckets", sub)
		}
		note(a.get, a.put, a.delete)
	}
	for sub, a := range absentObjectActions {
		if _, ok := objectVerbs[sub]; !ok {
			t.Errorf("%s is no sub-resource of objects", sub)
		}
		note(a.get, a.put, a.delete)
	}
	for _, n := range slices.Concat(policy.BucketActions, policy.ObjectActions) {
		if !guards[n] && n != "s3:BypassGovernanceRetention" { // which is asked for by a header
			t.Errorf("nothing is guarded by %s", n)
		}
	}
}

// condition evaluates one condition over the facts of a call.
func condition(t *testing.T, c *call, operator, key, value string) bool {
	t.Helper()
	p, err := policy.Parse([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"`+operator+`":{"`+key+`":"`+value+`"}}}}`), "box")
	if err != nil {
		t.Fatal(err)
	}
	version, versioned := c.query.lookup("versionId")
	f := &facts{c: c, version: version, versioned: versioned, key: c.key}
	return p.Decide(&policy.Request{Action: "s3:GetObject", Resource: "box/key", Condition: f.values}) == policy.Allow
}

// TestConditionKeys makes every condition key of a request true, false, and (but for those that every request has) missing.
func TestConditionKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	s := newSite(t, 1)
	s.gateway.clock = func() time.Time { return now }
	type build func(c *call)
	header := func(name, value string) build { return func(c *call) { c.r.Header.Set(name, value) } }
	query := func(raw string) build {
		return func(c *call) {
			c.key = ""
			c.query, _ = parseQuery(raw)
		}
	}
	versionQuery := func(raw string) build { return func(c *call) { c.query, _ = parseQuery(raw) } }
	signed := func(sig s3.Signature) build {
		return func(c *call) {
			c.sig = &sig
			c.who = principal{user: 0xb0b, name: "bob@example.com"}
		}
	}
	secure := func(version uint16) build {
		return func(c *call) { c.r.TLS = &tls.ConnectionState{Version: version} }
	}
	from := func(addr string) build { return func(c *call) { c.r.RemoteAddr = addr } }
	nothing := func(*call) {}
	for _, tc := range []struct {
		key, operator, value string
		yes, no              build
		always               bool // every request has it
	}{
		{"s3:x-amz-storage-class", "StringEquals", "STANDARD", header("X-Amz-Storage-Class", "STANDARD"), header("X-Amz-Storage-Class", "GLACIER"), false},
		{"s3:x-amz-acl", "StringEquals", "private", header("X-Amz-Acl", "private"), header("X-Amz-Acl", "public-read"), false},
		{"s3:x-amz-grant-full-control", "StringEquals", "id=1", header("X-Amz-Grant-Full-Control", "id=1"), header("X-Amz-Grant-Full-Control", "id=2"), false},
		{"s3:x-amz-grant-read", "StringEquals", "id=1", header("X-Amz-Grant-Read", "id=1"), header("X-Amz-Grant-Read", "id=2"), false},
		{"s3:x-amz-grant-read-acp", "StringEquals", "id=1", header("X-Amz-Grant-Read-Acp", "id=1"), header("X-Amz-Grant-Read-Acp", "id=2"), false},
		{"s3:x-amz-grant-write", "StringEquals", "id=1", header("X-Amz-Grant-Write", "id=1"), header("X-Amz-Grant-Write", "id=2"), false},
		{"s3:x-amz-grant-write-acp", "StringEquals", "id=1", header("X-Amz-Grant-Write-Acp", "id=1"), header("X-Amz-Grant-Write-Acp", "id=2"), false},
		{"s3:x-amz-copy-source", "StringLike", "box/a*", header("X-Amz-Copy-Source", "/box/%61b?versionId=null"), header("X-Amz-Copy-Source", "box/b"), false},
		{"s3:x-amz-copy-source", "StringLike", "/box/a*", header("X-Amz-Copy-Source", "box%2Fab"), header("X-Amz-Copy-Source", "/box/%62"), false},
		{"s3:TlsVersion", "NumericGreaterThanEquals", "1.2", secure(tls.VersionTLS13), secure(tls.VersionTLS11), false},
		{"s3:TlsVersion", "NumericEquals", "1.2", secure(tls.VersionTLS12), secure(tls.VersionTLS10), false},
		{"s3:x-amz-content-sha256", "StringEquals", "UNSIGNED-PAYLOAD", header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), header("X-Amz-Content-Sha256", "00"), false},
		{"s3:signatureversion", "StringEquals", "AWS4-HMAC-SHA256", signed(s3.Signature{Version: 4}), signed(s3.Signature{Version: 2}), false},
		{"s3:signatureversion", "StringEquals", "AWS", signed(s3.Signature{Version: 2}), signed(s3.Signature{Version: 4}), false},
		{"s3:signatureAge", "NumericLessThan", "60000", signed(s3.Signature{Version: 4, Time: now.Add(-59 * time.Second)}), signed(s3.Signature{Version: 4, Time: now.Add(-61 * time.Second)}), false},
		{"s3:signatureAge", "NumericLessThan", "60000", signed(s3.Signature{Version: 4, Time: now.Add(time.Minute)}), signed(s3.Signature{Version: 2, Presigned: true, Time: now}), false},
		{"s3:authType", "StringEquals", "REST-HEADER", signed(s3.Signature{Version: 4}), signed(s3.Signature{Version: 4, Presigned: true}), false},
		{"s3:authType", "StringEquals", "REST-QUERY-STRING", signed(s3.Signature{Version: 2, Presigned: true}), signed(s3.Signature{Version: 2}), false},
		{"s3:authType", "StringEquals", "POST", func(c *call) { signed(s3.Signature{Version: 4})(c); c.form = &postForm{} }, signed(s3.Signature{Version: 4}), false},
		{"s3:x-amz-website-redirect-location", "StringEquals", "/a", header("X-Amz-Website-Redirect-Location", "/a"), header("X-Amz-Website-Redirect-Location", "/b"), false},
		{"s3:object-lock-mode", "StringEquals", "GOVERNANCE", header("X-Amz-Object-Lock-Mode", "GOVERNANCE"), header("X-Amz-Object-Lock-Mode", "COMPLIANCE"), false},
		{"s3:object-lock-retain-until-date", "DateLessThan", "2027-01-01", header("X-Amz-Object-Lock-Retain-Until-Date", "2026-12-31T00:00:00Z"), header("X-Amz-Object-Lock-Retain-Until-Date", "2027-12-31T00:00:00Z"), false},
		{"s3:object-lock-legal-hold", "StringEquals", "ON", header("X-Amz-Object-Lock-Legal-Hold", "ON"), header("X-Amz-Object-Lock-Legal-Hold", "OFF"), false},
		{"s3:object-lock-remaining-retention-days", "NumericLessThanEquals", "10", header("X-Amz-Object-Lock-Retain-Until-Date", "2026-05-16T07:08:09Z"), header("X-Amz-Object-Lock-Retain-Until-Date", "2026-05-16T07:08:10Z"), false},
		{"s3:prefix", "StringEquals", "a b", query("prefix=a+b"), query("prefix=c"), false},
		{"s3:prefix", "StringEquals", "", query("prefix="), query("prefix=c"), false},
		{"s3:delimiter", "StringEquals", "/", query("delimiter=%2F"), query("delimiter=-"), false},
		{"s3:max-keys", "NumericLessThan", "10", query("max-keys=9"), query("max-keys=10"), false},
		{"s3:versionid", "StringEquals", "null", versionQuery("versionId=null"), versionQuery("versionId=1"), false},
		{"s3:locationconstraint", "StringEquals", "mars", func(c *call) { c.bkt = &cluster.Bucket{Location: "mars"} }, func(c *call) { c.bkt = &cluster.Bucket{} }, false},
		{"s3:x-amz-metadata-directive", "StringEquals", "COPY", header("X-Amz-Metadata-Directive", "COPY"), header("X-Amz-Metadata-Directive", "REPLACE"), false},
		{"s3:x-amz-object-ownership", "StringEquals", "ObjectWriter", header("X-Amz-Object-Ownership", "ObjectWriter"), header("X-Amz-Object-Ownership", "x"), false},
		{"s3:if-match", "StringEquals", "a", header("If-Match", "a"), header("If-Match", "b"), false},
		{"s3:if-none-match", "StringEquals", "*", header("If-None-Match", "*"), header("If-None-Match", "b"), false},
		{"s3:RequestObjectTag/Team", "StringEquals", "red", header("X-Amz-Tagging", "team=red&a=b"), header("X-Amz-Tagging", "team=blue"), false},
		{"s3:RequestObjectTagKeys", "StringEquals", "team", header("X-Amz-Tagging", "a=b&team=red"), header("X-Amz-Tagging", "a=team"), false},
		{"aws:SourceIp", "IpAddress", "10.0.0.0/8", from("10.1.2.3:99"), from("192.0.2.1:99"), true},
		{"aws:SourceIp", "IpAddress", "10.0.0.0/8", from("[::ffff:10.1.2.3]:99"), func(c *call) {
			from("192.0.2.1:99")(c)
			for _, h := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Client-Ip", "True-Client-Ip"} {
				c.r.Header.Set(h, "10.1.2.3")
			}
		}, true},
		{"aws:SourceIp", "IpAddress", "fe80::/16", from("[fe80::1%eth0]:99"), from("[2001::1]:99"), true},
		{"aws:SecureTransport", "Bool", "true", secure(tls.VersionTLS13), nothing, true},
		{"aws:UserAgent", "StringLike", "curl*", header("User-Agent", "curl/8"), header("User-Agent", "wget"), false},
		{"aws:Referer", "StringLike", "https://a/*", header("Referer", "https://a/b"), header("Referer", "https://b/"), false},
		{"aws:CurrentTime", "DateLessThan", "2027-01-01", nothing, nil, true},
		{"aws:EpochTime", "NumericEquals", "1778051289", nothing, nil, true},
		{"aws:userid", "StringEquals", "0000000000000b0b", signed(s3.Signature{Version: 4}), func(c *call) { signed(s3.Signature{})(c); c.who.user = 1 }, false},
		{"aws:username", "StringEquals", "bob@example.com", signed(s3.Signature{Version: 4}), func(c *call) { signed(s3.Signature{})(c); c.who.name = "eve" }, false},
		{"aws:PrincipalArn", "ArnEquals", "arn:aws:iam::0000000000000b0b:root", signed(s3.Signature{Version: 4}), func(c *call) { signed(s3.Signature{})(c); c.who.user = 1 }, false},
		{"aws:PrincipalType", "StringEquals", "Account", signed(s3.Signature{Version: 4}), nothing, true},
	} {
		ask := func(b build) bool {
			c := &call{g: s.gateway, r: httptest.NewRequest(http.MethodGet, "/box/key", nil), who: principal{anonymous: true}}
			c.bucket, c.key = "box", "key"
			b(c)
			return condition(t, c, tc.operator, tc.key, tc.value)
		}
		if !ask(tc.yes) {
			t.Errorf("%s %s %q: not true", tc.key, tc.operator, tc.value)
		}
		if tc.no != nil && ask(tc.no) {
			t.Errorf("%s %s %q: not false", tc.key, tc.operator, tc.value)
		}
		if !tc.always && ask(nothing) {
			t.Errorf("%s %s %q: true of a request without it", tc.key, tc.operator, tc.value)
		}
	}
}

// TestSourceFacts keeps what a copy's headers say of the new object out of the question whether the source may be read.
func TestSourceFacts(t *testing.T) {
	t.Parallel()
	c := &call{g: newSite(t, 1).gateway, r: httptest.NewRequest(http.MethodPut, "/box/key", nil)}
	c.r.Header.Set("X-Amz-Acl", "private")
	c.r.Header.Set("X-Amz-Tagging", "a=b")
	f := &facts{c: c, source: true, version: "7", versioned: true, key: "k"}
	for key, want := range map[string][]string{"s3:x-amz-acl": nil, "s3:requestobjecttag/a": nil, "s3:versionid": {"7"}} {
		if got := f.values(key); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// TestDamagedRules lets nobody in, not even the owner, when the record of the bucket cannot be understood.
func TestDamagedRules(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	for name, attr := range map[string]cluster.Attribute{
		"list": {ID: cluster.AttrACL, Value: []byte{9}}, "policy": {ID: cluster.AttrPolicy, Value: []byte("{}")},
		"ownership": {ID: cluster.AttrOwnership, Value: []byte{1, 3}}, "ownership of version 2": {ID: cluster.AttrOwnership, Value: []byte{2, 0}}, "short ownership": {ID: cluster.AttrOwnership, Value: []byte{1}},
		"payer": {ID: cluster.AttrPayer, Value: []byte{1, 0}}, "short payer": {ID: cluster.AttrPayer, Value: []byte{1}}, "payer of version 2": {ID: cluster.AttrPayer, Value: []byte{2, 1}},
		"block": {ID: cluster.AttrPublic, Value: []byte{1, byte(publicBlockEnd)}}, "block of version 0": {ID: cluster.AttrPublic, Value: []byte{0, 1}}, "long block": {ID: cluster.AttrPublic, Value: []byte{1, 1, 1}},
	} {
		b := &cluster.Bucket{Name: "box", ID: 1, Owner: 2, Epoch: 1, Attrs: []cluster.Attribute{attr}}
		if _, err := s.gateway.rulesOf(b); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := &cluster.Entry{Owner: 7, Attrs: []cluster.Attribute{{ID: cluster.AttrACL, Value: []byte{9}}}}
	if err := checkEntry(byObject, &noRules, principal{user: 8}, acl.Read, e); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("an object's list: %v", err)
	}
}

// TestSettingBytes pins the bytes of FORMAT.md.
func TestSettingBytes(t *testing.T) {
	t.Parallel()
	b := &cluster.Bucket{Name: "box", ID: 1, Epoch: 1, Attrs: []cluster.Attribute{{ID: 7, Value: []byte{1, 2}}, {ID: 8, Value: []byte{1, 0b1010}}}}
	r, err := decodeRules(b)
	if err != nil || r.ownership != bucketOwnerEnforced || r.block != ignorePublicACLs|restrictPublicBuckets {
		t.Fatalf("got %+v, %v", r, err)
	}
	if got := r.ownership.encode(); !slices.Equal(got, b.Attrs[0].Value) {
		t.Errorf("the ownership is encoded as %x", got)
	}
	if got := r.block.encode(); !slices.Equal(got, b.Attrs[1].Value) {
		t.Errorf("the block is encoded as %x", got)
	}
}

// TestRulesCache gives the rules of the record that is asked about: another epoch is another answer.
func TestRulesCache(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	b := &cluster.Bucket{Name: "box", ID: 1, Owner: 2, Epoch: 1, Attrs: []cluster.Attribute{{ID: cluster.AttrOwnership, Value: bucketOwnerPreferred.encode()}}}
	s.gateway.buckets.put(b, s.gateway.clock())
	first, err := s.gateway.rulesOf(b)
	if err != nil || first.ownership != bucketOwnerPreferred {
		t.Fatalf("got %v, %v", first, err)
	}
	if again, err := s.gateway.rulesOf(b); err != nil || again != first {
		t.Errorf("decoded again: %v", err)
	}
	changed := *b
	changed.Epoch, changed.Attrs = 2, []cluster.Attribute{{ID: cluster.AttrOwnership, Value: bucketOwnerEnforced.encode()}}
	if r, err := s.gateway.rulesOf(&changed); err != nil || r.ownership != bucketOwnerEnforced {
		t.Errorf("after a change: %v, %v", r, err)
	}
	changed.Attrs = nil
	if r, err := s.gateway.rulesOf(&changed); err != nil || r != &noRules {
		t.Errorf("without attributes: %v, %v", r, err)
	}
}

// TestAbsentOperations answers NotImplemented to those who may, and AccessDenied to the rest.
func TestAbsentOperations(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	for target, methods := range map[string]string{"/box?website": "GET PUT DELETE", "/box?lifecycle": "GET PUT", "/box?logging": "GET", "/box?replication": "GET", "/box/key?restore": "POST"} {
		for _, m := range strings.Fields(methods) {
			s.want(501, "NotImplemented", ask{method: m, target: target})
			s.want(403, "AccessDenied", ask{method: m, target: target, key: bob})
			s.want(403, "AccessDenied", ask{method: m, target: target, key: "-"})
		}
	}
}
