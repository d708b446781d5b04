package s3

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ostor/gateway/account"
)

// by returns the request as another user sends it; nil is anonymous.
func by(u *account.User, a ask) ask {
	a.who, a.anonymous = u, u == nil
	return a
}

// may asserts what three callers get: "" is success with the status, anything else the code of a refusal (403, 404).
func (s *site) may(a ask, status int, alice, bob, anonymous string) {
	s.t.Helper()
	for _, c := range []struct {
		name string
		who  *account.User
		want string
	}{{"alice", &s.alice, alice}, {"bob", &s.bob, bob}, {"anonymous", nil, anonymous}} {
		want := status
		switch c.want {
		case "":
		case "NoSuchKey", "NoSuchVersion":
			want = 404
		default:
			want = 403
		}
		got := s.do(by(c.who, a))
		if got.status != want || a.method != "HEAD" && got.code() != c.want {
			s.t.Errorf("%s: %s %s: got %d %s, want %d %s\n%s", c.name, a.method, a.target, got.status, got.code(), want, c.want, got.body)
		}
	}
}

const (
	no        = "AccessDenied"
	yes       = ""
	nobodyKey = "NoSuchKey"
)

// TestBucketACL has every canned list and permission on a bucket, for the owner, another user and nobody.
func TestBucketACL(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x"})
	list := ask{method: "GET", target: "/box?list-type=2"}
	write := ask{method: "PUT", target: "/box/new", body: "y"}
	drop := ask{method: "DELETE", target: "/box/new"}
	readACP := ask{method: "GET", target: "/box?acl"}
	for _, tc := range []struct {
		set                        []string
		listBob, listAnon          string
		writeBob, writeAnon        string
		acpBob, acpAnon            string
		grants                     int
		missingBob, missingAnonymy string
	}{
		{[]string{"X-Amz-Acl: private"}, no, no, no, no, no, no, 1, no, no},
		{[]string{"X-Amz-Acl: public-read"}, yes, yes, no, no, no, no, 2, nobodyKey, nobodyKey},
		{[]string{"X-Amz-Acl: public-read-write"}, yes, yes, yes, yes, no, no, 3, nobodyKey, nobodyKey},
		{[]string{"X-Amz-Acl: authenticated-read"}, yes, no, no, no, no, no, 2, nobodyKey, no},
		{[]string{"X-Amz-Acl: log-delivery-write"}, no, no, no, no, no, no, 3, no, no},
		{[]string{"X-Amz-Grant-Read: id=" + s.bob.ID.String()}, yes, no, no, no, no, no, 1, nobodyKey, no},
		{[]string{`X-Amz-Grant-Write: emailAddress="bob@example.com"`}, no, no, yes, no, no, no, 1, no, no},
		{[]string{`X-Amz-Grant-Read-Acp: uri="http://acs.amazonaws.com/groups/global/AllUsers"`, "X-Amz-Grant-Write: id=" + s.bob.ID.String()}, no, no, yes, no, yes, yes, 2, no, no},
		{[]string{`X-Amz-Grant-Full-Control: id="` + s.bob.ID.String() + `"`}, yes, no, yes, no, yes, no, 1, nobodyKey, no},
		{[]string{`X-Amz-Grant-Full-Control: id="` + s.carol.ID.String() + `"`}, no, no, no, no, no, no, 1, no, no},
	} {
		s.want(200, "", ask{method: "PUT", target: "/box?acl", header: tc.set})
		s.may(list, 200, yes, tc.listBob, tc.listAnon)
		s.may(ask{method: "HEAD", target: "/box"}, 200, yes, tc.listBob, tc.listAnon)
		s.may(ask{method: "GET", target: "/box?versions"}, 200, yes, tc.listBob, tc.listAnon)
		s.may(ask{method: "GET", target: "/box?uploads"}, 200, yes, tc.listBob, tc.listAnon)
		s.may(write, 200, yes, tc.writeBob, tc.writeAnon)
		s.may(drop, 204, yes, tc.writeBob, tc.writeAnon)
		s.may(readACP, 200, yes, tc.acpBob, tc.acpAnon)
		s.may(ask{method: "GET", target: "/box/missing"}, 200, nobodyKey, tc.missingBob, tc.missingAnonymy)
		s.may(ask{method: "GET", target: "/box/key"}, 200, yes, no, no) // an object has a list of its own
		for _, target := range []string{"/box?location", "/box?versioning", "/box?policy", "/box?ownershipControls", "/box?publicAccessBlock", "/box?policyStatus", "/box?tagging", "/box/key?tagging", "/box/key?acl"} {
			s.want(403, no, ask{method: "GET", target: target, who: &s.bob})
			s.want(403, no, ask{method: "GET", target: target, anonymous: true})
		}
		if got := s.do(readACP); strings.Count(got.body, "<Grant>") != tc.grants || !strings.Contains(got.body, "<Owner><ID>"+s.alice.ID.String()+"</ID><DisplayName>alice@example.com</DisplayName></Owner>") {
			t.Errorf("%v: %s", tc.set, got.body)
		}
	}
	// WRITE_ACP lets bob give himself the rest, whatever else he has.
	s.want(403, no, ask{method: "PUT", target: "/box?acl", who: &s.bob, header: []string{"X-Amz-Acl: public-read"}})
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Grant-Write-Acp: id=" + s.bob.ID.String()}})
	s.want(403, no, ask{method: "GET", target: "/box?acl", who: &s.bob})
	s.want(200, "", ask{method: "PUT", target: "/box?acl", who: &s.bob, header: []string{"X-Amz-Grant-Read: id=" + s.bob.ID.String()}})
	s.may(list, 200, yes, yes, no)
	// Created with a list.
	s.want(200, "", ask{method: "PUT", target: "/open", header: []string{"X-Amz-Acl: public-read-write"}})
	s.want(200, "", ask{method: "PUT", target: "/open/a", anonymous: true, body: "x"})
	if got := s.want(200, "", ask{method: "GET", target: "/open/a?acl"}); !strings.Contains(got.body, s.alice.ID.String()) {
		t.Errorf("an anonymous object belongs to %s", got.body)
	}
}

// TestAnonymousWrites lets nobody write into a bucket that says so: versions, delete markers and uploads have an owner all the same.
func TestAnonymousWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.want(200, "", ask{method: "PUT", target: "/open", header: []string{"X-Amz-Acl: public-read-write"}})
	s.want(200, "", ask{method: "PUT", target: "/open?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"})
	v := s.want(200, "", ask{method: "PUT", target: "/open/a", anonymous: true, body: "x"}).header.Get("x-amz-version-id")
	s.want(204, "", ask{method: "DELETE", target: "/open/a", anonymous: true})
	s.want(403, no, ask{method: "DELETE", target: "/open/a?versionId=" + v, anonymous: true}) // WRITE hides objects, it does not destroy versions
	s.want(200, "", ask{method: "GET", target: "/open/a?versionId=" + v})
	s.want(200, "", ask{method: "GET", target: "/open?versions", anonymous: true})
	id := s.want(200, "", ask{method: "POST", target: "/open/m?uploads", anonymous: true}).between("UploadId")
	s.want(200, "", ask{method: "PUT", target: "/open/m?partNumber=1&uploadId=" + id, anonymous: true, body: "x"})
	s.want(403, no, ask{method: "GET", target: "/open/m?uploadId=" + id, anonymous: true})
	s.want(200, "", ask{method: "GET", target: "/open?uploads", anonymous: true})
	s.want(403, no, ask{method: "PUT", target: "/open/b", header: []string{"X-Amz-Copy-Source: open/a?versionId=" + v, "X-Amz-Source-Expected-Bucket-Owner: " + s.bob.ID.String()}})
	s.want(204, "", ask{method: "DELETE", target: "/open/m?uploadId=" + id})
}

func aclDoc(owner string, grants ...string) string {
	return `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>` + owner + `</ID></Owner><AccessControlList>` + strings.Join(grants, "") + `</AccessControlList></AccessControlPolicy>`
}

func grantDoc(kind, element, value, permission string) string {
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `"><` + element + `>` + value + `</` + element + `></Grantee><Permission>` + permission + `</Permission></Grant>`
}

// TestObjectACL puts lists on objects by header and document, and refuses what is none.
func TestObjectACL(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	alice, bob := s.alice.ID.String(), s.bob.ID.String()
	const all = "http://acs.amazonaws.com/groups/global/AllUsers"
	own := grantDoc("CanonicalUser", "ID", alice, "FULL_CONTROL")
	get, acp := ask{method: "GET", target: "/box/key"}, ask{method: "GET", target: "/box/key?acl"}
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Acl: public-read"}})
	s.may(get, 200, yes, yes, yes)
	s.may(acp, 200, yes, no, no)
	s.may(ask{method: "HEAD", target: "/box/key"}, 200, yes, yes, yes)
	s.may(ask{method: "PUT", target: "/box/key", body: "x"}, 200, yes, no, no) // replaces it, and its list
	s.may(get, 200, yes, no, no)
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl", body: aclDoc(alice, own, grantDoc("AmazonCustomerByEmail", "EmailAddress", "bob@example.com", "READ"))})
	s.may(get, 200, yes, yes, no)
	if got := s.want(200, "", acp); !strings.Contains(got.body, `xsi:type="CanonicalUser"><ID>`+bob+`</ID><DisplayName>bob@example.com</DisplayName></Grantee><Permission>READ</Permission>`) {
		t.Errorf("the list is %s", got.body)
	}
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl", body: aclDoc(alice, own, grantDoc("Group", "URI", all, "READ_ACP"))})
	s.may(get, 200, yes, no, no)
	s.may(acp, 200, yes, yes, yes)
	// An owner without any grant can still take it back.
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl", body: aclDoc(alice)})
	s.may(get, 200, no, no, no)
	s.may(acp, 200, yes, no, no)
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl", header: []string{"X-Amz-Acl: authenticated-read"}})
	s.may(get, 200, yes, yes, no)
	for _, tc := range []struct {
		status int
		code   string
		ask
	}{
		{400, "MalformedACLError", ask{body: "<AccessControlPolicy/>"}},
		{400, "MalformedACLError", ask{body: "junk"}},
		{400, "MalformedACLError", ask{body: aclDoc(alice, grantDoc("CanonicalUser", "ID", bob, "EAT"))}},
		{400, "MalformedACLError", ask{body: aclDoc(alice, grantDoc("Group", "ID", bob, "READ"))}},
		{400, "MalformedACLError", ask{body: aclDoc(alice, strings.Repeat(own, 101))}},
		{400, "InvalidArgument", ask{body: aclDoc(alice, grantDoc("CanonicalUser", "ID", "0000000000000001", "READ"))}},
		{400, "InvalidArgument", ask{body: aclDoc(alice, grantDoc("Group", "URI", "http://x/", "READ"))}},
		{400, "UnresolvableGrantByEmailAddress", ask{body: aclDoc(alice, grantDoc("AmazonCustomerByEmail", "EmailAddress", "eve@example.com", "READ"))}},
		{403, "AccessDenied", ask{body: aclDoc(bob, own)}},
		{400, "MissingSecurityHeader", ask{}},
		{400, "UnexpectedContent", ask{body: aclDoc(alice, own), header: []string{"X-Amz-Acl: private"}}},
		{400, "InvalidArgument", ask{header: []string{"X-Amz-Acl: open"}}},
		{400, "InvalidArgument", ask{header: []string{"X-Amz-Grant-Read: bob"}}},
		{400, "InvalidRequest", ask{header: []string{"X-Amz-Grant-Read: id=" + bob, "X-Amz-Acl: private"}}},
		{501, "NotImplemented", ask{header: []string{"X-Amz-Acl: aws-exec-read"}}},
	} {
		for _, target := range []string{"/box?acl", "/box/key?acl"} {
			a := tc.ask
			a.method, a.target = "PUT", target
			s.want(tc.status, tc.code, a)
		}
	}
	s.may(get, 200, yes, yes, no) // none of them changed anything

	// Objects of others in one's bucket: theirs, until ownership says otherwise.
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Grant-Write: id=" + bob}})
	s.want(200, "", ask{method: "PUT", target: "/box/bobs", who: &s.bob, body: "b"})
	s.may(ask{method: "GET", target: "/box/bobs"}, 200, no, yes, no)
	s.want(200, "", ask{method: "PUT", target: "/box/bobs", who: &s.bob, body: "b", header: []string{"X-Amz-Acl: bucket-owner-read"}})
	s.may(ask{method: "GET", target: "/box/bobs"}, 200, yes, yes, no)
	s.may(ask{method: "GET", target: "/box/bobs?acl"}, 200, no, yes, no)
	s.want(204, "", ask{method: "DELETE", target: "/box/bobs"})

	// Lists travel through multipart uploads and copies, and belong to versions.
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Acl: public-read"}})
	s.want(200, "", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: /box/key"}})
	s.may(ask{method: "GET", target: "/box/copy"}, 200, yes, no, no)
	s.want(200, "", ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: /box/key", "X-Amz-Acl: public-read"}})
	s.may(ask{method: "GET", target: "/box/copy"}, 200, yes, yes, yes)
	id := s.want(200, "", ask{method: "POST", target: "/box/parts?uploads", header: []string{"X-Amz-Acl: public-read"}}).between("UploadId")
	etag := s.want(200, "", ask{method: "PUT", target: "/box/parts?partNumber=1&uploadId=" + id, body: "part"}).header.Get("ETag")
	s.want(403, no, ask{method: "GET", target: "/box/parts?uploadId=" + id, who: &s.carol})
	s.want(403, no, ask{method: "GET", target: "/box/parts?uploadId=" + id, who: &s.bob})
	s.want(403, no, ask{method: "DELETE", target: "/box/parts?uploadId=" + id, who: &s.bob})
	s.want(200, "", ask{method: "POST", target: "/box/parts?uploadId=" + id, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag></Part></CompleteMultipartUpload>"})
	s.may(ask{method: "GET", target: "/box/parts"}, 200, yes, yes, yes)
	id = s.want(200, "", ask{method: "POST", target: "/box/bparts?uploads", who: &s.bob}).between("UploadId")
	s.want(200, "", ask{method: "GET", target: "/box/bparts?uploadId=" + id, who: &s.bob}) // he began it
	s.want(204, "", ask{method: "DELETE", target: "/box/bparts?uploadId=" + id})           // the bucket's owner may
	s.want(200, "", ask{method: "PUT", target: "/box?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"})
	v1 := s.want(200, "", ask{method: "PUT", target: "/box/v", body: "1"}).header.Get("x-amz-version-id")
	s.want(200, "", ask{method: "PUT", target: "/box/v", body: "2"})
	s.want(200, "", ask{method: "PUT", target: "/box/v?acl&versionId=" + v1, header: []string{"X-Amz-Acl: public-read"}})
	s.may(ask{method: "GET", target: "/box/v?versionId=" + v1}, 200, yes, yes, yes)
	s.may(ask{method: "GET", target: "/box/v"}, 200, yes, no, no)
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl&versionId=null", header: []string{"X-Amz-Acl: private"}})
	s.may(ask{method: "GET", target: "/box/key?versionId=null"}, 200, yes, no, no)
	s.want(204, "", ask{method: "DELETE", target: "/box/v"})
	s.may(ask{method: "GET", target: "/box/v"}, 200, nobodyKey, no, no)
	if got := s.do(ask{method: "GET", target: "/box/v", anonymous: true}); got.header.Get("x-amz-delete-marker") != "" {
		t.Error("a stranger is told of a delete marker")
	}
	s.want(404, "NoSuchKey", ask{method: "PUT", target: "/box/none?acl", header: []string{"X-Amz-Acl: private"}})
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	bob := s.bob.ID.String()
	rule := func(o string) string {
		return "<OwnershipControls><Rule><ObjectOwnership>" + o + "</ObjectOwnership></Rule></OwnershipControls>"
	}
	s.run([]step{
		{ask: ask{method: "PUT", target: "/box"}, status: 200},
		{ask: ask{method: "GET", target: "/box?ownershipControls"}, status: 404, code: "OwnershipControlsNotFoundError"},
		{ask: ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Grant-Write: id=" + bob}}, status: 200},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", body: rule("BucketOwnerEnforced")}, status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", body: rule("Mine")}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", body: "<OwnershipControls/>"}, status: 400, code: "MalformedXML"},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", who: &s.bob, body: rule("ObjectWriter")}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", body: rule("BucketOwnerPreferred")}, status: 200},
		{ask: ask{method: "GET", target: "/box?ownershipControls"}, status: 200, has: []string{rule("BucketOwnerPreferred")[len("<OwnershipControls>"):]}},
		{ask: ask{method: "PUT", target: "/box/a", who: &s.bob, body: "x", header: []string{"X-Amz-Acl: bucket-owner-full-control"}}, status: 200},
		{ask: ask{method: "GET", target: "/box/a?acl"}, status: 200, has: []string{"<Owner><ID>" + s.alice.ID.String()}, hasNot: []string{bob}},
		{ask: ask{method: "PUT", target: "/box/b", who: &s.bob, body: "x"}, status: 200},
		{ask: ask{method: "GET", target: "/box/b"}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: private"}}, status: 200},
		{ask: ask{method: "PUT", target: "/box?ownershipControls", body: rule("BucketOwnerEnforced")}, status: 200},
		{ask: ask{method: "GET", target: "/box/b"}, status: 200},
		{ask: ask{method: "GET", target: "/box/b?acl"}, status: 200, has: []string{"<Owner><ID>" + s.alice.ID.String()}, hasNot: []string{bob}},
		{ask: ask{method: "GET", target: "/box/b", who: &s.bob}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read"}}, status: 400, code: "AccessControlListNotSupported"},
		{ask: ask{method: "PUT", target: "/box/b?acl", header: []string{"X-Amz-Acl: public-read"}}, status: 400, code: "AccessControlListNotSupported"},
		{ask: ask{method: "PUT", target: "/box/c", body: "x", header: []string{"X-Amz-Acl: public-read"}}, status: 400, code: "AccessControlListNotSupported"},
		{ask: ask{method: "PUT", target: "/box/c", body: "x", header: []string{"X-Amz-Acl: bucket-owner-full-control"}}, status: 200},
		{ask: ask{method: "DELETE", target: "/box?ownershipControls"}, status: 204},
		{ask: ask{method: "GET", target: "/box/b"}, status: 403, code: "AccessDenied"},
		{ask: ask{method: "PUT", target: "/both", header: []string{"X-Amz-Acl: public-read", "X-Amz-Object-Ownership: BucketOwnerEnforced"}}, status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{ask: ask{method: "PUT", target: "/both", header: []string{"X-Amz-Object-Ownership: Mine"}}, status: 400, code: "InvalidArgument"},
		{ask: ask{method: "PUT", target: "/both", header: []string{"X-Amz-Object-Ownership: BucketOwnerEnforced"}}, status: 200},
		{ask: ask{method: "GET", target: "/both?ownershipControls"}, status: 200, has: []string{"BucketOwnerEnforced"}},
	})
}

func TestPublicAccessBlock(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.bucket("box")
	block := func(on ...string) string {
		b := "<PublicAccessBlockConfiguration>"
		for _, o := range on {
			b += "<" + o + ">true</" + o + ">"
		}
		return b + "</PublicAccessBlockConfiguration>"
	}
	set := func(on ...string) {
		t.Helper()
		s.want(200, "", ask{method: "PUT", target: "/box?publicAccessBlock", body: block(on...)})
		got := s.want(200, "", ask{method: "GET", target: "/box?publicAccessBlock"})
		for _, name := range []string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
			want := fmt.Sprintf("<%s>%v</%s>", name, strings.Contains(strings.Join(on, " "), name), name)
			if !strings.Contains(got.body, want) {
				t.Errorf("%v: no %s in %s", on, want, got.body)
			}
		}
	}
	status := func(want bool) {
		t.Helper()
		if got := s.want(200, "", ask{method: "GET", target: "/box?policyStatus"}); !strings.Contains(got.body, fmt.Sprintf("<IsPublic>%v</IsPublic>", want)) {
			t.Errorf("public is not %v: %s", want, got.body)
		}
	}
	s.want(404, "NoSuchPublicAccessBlockConfiguration", ask{method: "GET", target: "/box?publicAccessBlock"})
	s.want(400, "MalformedXML", ask{method: "PUT", target: "/box?publicAccessBlock", body: "<PublicAccessBlockConfiguration><BlockPublicAcls>maybe</BlockPublicAcls></PublicAccessBlockConfiguration>"})
	status(false)
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read"}})
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x", header: []string{"X-Amz-Acl: public-read"}})
	status(true)
	set("BlockPublicAcls")
	s.may(ask{method: "GET", target: "/box/key"}, 200, yes, yes, yes)
	s.want(403, no, ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read"}})
	s.want(403, no, ask{method: "PUT", target: "/box/key?acl", header: []string{"X-Amz-Acl: authenticated-read"}})
	s.want(403, no, ask{method: "PUT", target: "/box/other", body: "x", header: []string{"X-Amz-Acl: public-read"}})
	set("IgnorePublicAcls")
	s.may(ask{method: "GET", target: "/box/key"}, 200, yes, no, no)
	s.may(ask{method: "GET", target: "/box"}, 200, yes, no, no)
	status(false)
	public := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}}`
	set("BlockPublicPolicy")
	s.want(403, no, ask{method: "PUT", target: "/box?policy", body: public})
	s.want(204, "", ask{method: "DELETE", target: "/box?publicAccessBlock"})
	s.want(200, "", ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: private"}})
	s.want(200, "", ask{method: "PUT", target: "/box/key?acl", header: []string{"X-Amz-Acl: private"}})
	status(false)
	s.want(204, "", ask{method: "PUT", target: "/box?policy", body: public})
	status(true)
	s.may(ask{method: "GET", target: "/box/key"}, 200, yes, yes, yes)
	set("RestrictPublicBuckets")
	status(false)
	s.may(ask{method: "GET", target: "/box/key"}, 200, yes, no, no)
}

// TestBucketPolicy lets a policy decide over three users: allow, deny, per-key decisions, copies, and who may change it.
func TestBucketPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 2)
	s.bucket("box")
	bob, carol := s.bob.ID.String(), s.carol.ID.String()
	for _, key := range []string{"public/a", "public/b", "secret/a", "keep/a"} {
		s.want(200, "", ask{method: "PUT", target: "/box/" + key, body: key})
	}
	s.want(404, "NoSuchBucketPolicy", ask{method: "GET", target: "/box?policy"})
	s.want(204, "", ask{method: "DELETE", target: "/box?policy"})
	policy := `{"Version":"2012-10-17","Statement":[
		{"Sid":"read","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/public/*"},
		{"Sid":"bob","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + bob + `:root"},"Action":["s3:PutObject","s3:DeleteObject","s3:ListBucket"],"Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]},
		{"Sid":"keep","Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::box/keep/*"},
		{"Sid":"home","Effect":"Allow","Principal":{"CanonicalUser":"` + carol + `"},"Action":"s3:*","Resource":"arn:aws:s3:::box/home/${aws:userid}/*"}]}`
	s.want(403, no, ask{method: "PUT", target: "/box?policy", who: &s.bob, body: policy})
	s.want(204, "", ask{method: "PUT", target: "/box?policy", body: policy})
	if got := s.want(200, "", ask{method: "GET", target: "/box?policy"}); got.body != policy || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("the policy is %q", got.body)
	}
	s.may(ask{method: "GET", target: "/box/public/a"}, 200, yes, yes, yes)
	s.may(ask{method: "GET", target: "/box/secret/a"}, 200, yes, no, no)
	s.may(ask{method: "GET", target: "/box/public/none"}, 200, nobodyKey, nobodyKey, no) // who may not list is not told
	s.may(ask{method: "GET", target: "/box"}, 200, yes, yes, no)
	s.may(ask{method: "GET", target: "/box/public/a?versionId=null"}, 200, yes, no, no) // another action
	s.may(ask{method: "DELETE", target: "/box/keep/a"}, 204, no, no, no)                // Deny holds for the owner too
	s.want(200, "", ask{method: "PUT", target: "/box/home/" + carol + "/x", who: &s.carol, body: "c"})
	s.want(403, no, ask{method: "PUT", target: "/box/home/" + bob + "/x", who: &s.carol, body: "c"})
	// Each key of DeleteObjects by itself.
	doc := "<Delete><Object><Key>public/b</Key></Object><Object><Key>keep/a</Key></Object></Delete>"
	got := s.want(200, "", ask{method: "POST", target: "/box?delete", who: &s.bob, body: doc, header: []string{md5Header(doc)}})
	if !strings.Contains(got.body, "<Deleted><Key>public/b</Key>") || !strings.Contains(got.body, "<Error><Key>keep/a</Key><Code>AccessDenied</Code>") && !strings.Contains(got.body, "<Code>AccessDenied</Code>") {
		t.Errorf("bob deletes: %s", got.body)
	}
	got = s.want(200, "", ask{method: "POST", target: "/box?delete", anonymous: true, body: doc, header: []string{md5Header(doc)}})
	if strings.Count(got.body, "<Code>AccessDenied</Code>") != 2 {
		t.Errorf("nobody deletes: %s", got.body)
	}
	s.want(404, "NoSuchKey", ask{method: "GET", target: "/box/public/b"})
	s.want(200, "", ask{method: "GET", target: "/box/keep/a"})
	// The source of a copy is read by the copier.
	s.want(200, "", ask{method: "PUT", target: "/bobs", who: &s.bob})
	s.want(200, "", ask{method: "PUT", target: "/bobs/a", who: &s.bob, header: []string{"X-Amz-Copy-Source: /box/public/a"}})
	for _, src := range []string{"/box/secret/a", "box/secret/a", "box%2Fsecret%2Fa", "/box/public/a?versionId=null"} {
		s.want(403, no, ask{method: "PUT", target: "/bobs/b", who: &s.bob, header: []string{"X-Amz-Copy-Source: " + src}})
	}
	id := s.want(200, "", ask{method: "POST", target: "/bobs/m?uploads", who: &s.bob}).between("UploadId")
	s.want(403, no, ask{method: "PUT", target: "/bobs/m?partNumber=1&uploadId=" + id, who: &s.bob, header: []string{"X-Amz-Copy-Source: /box/secret/a"}})
	s.want(200, "", ask{method: "PUT", target: "/bobs/m?partNumber=1&uploadId=" + id, who: &s.bob, header: []string{"X-Amz-Copy-Source: /box/public/a"}})
	// What is no policy changes nothing; the owner cannot lock himself out.
	for _, bad := range []string{`{`, `{}`, strings.Replace(policy, bob, "0000000000000001", 1), strings.ReplaceAll(policy, "box", "other"), strings.Repeat(" ", 20<<10) + policy, strings.Repeat("[", 30000)} {
		s.want(400, "MalformedPolicy", ask{method: "PUT", target: "/box?policy", body: bad})
	}
	s.want(400, "MissingRequestBodyError", ask{method: "PUT", target: "/box?policy"})
	s.want(204, "", ask{method: "PUT", target: "/box?policy", body: `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`})
	s.may(ask{method: "GET", target: "/box"}, 200, no, no, no)
	s.want(200, "", ask{method: "GET", target: "/box?policy"})
	s.want(204, "", ask{method: "DELETE", target: "/box?policy"})
	s.may(ask{method: "GET", target: "/box"}, 200, yes, no, no)
}

// TestPolicyConditions makes the keys of requests that only a server sees true and false.
func TestPolicyConditions(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 2)
	s.bucket("box")
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "x"})
	set := func(effect, action, resource, condition string) {
		t.Helper()
		s.want(204, "", ask{method: "PUT", target: "/box?policy", body: fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":%q,"Principal":"*","Action":%q,"Resource":"arn:aws:s3:::%s","Condition":{%s}}}`, effect, action, resource, condition)})
	}
	get := ask{method: "GET", target: "/box/key", who: &s.bob}
	set("Allow", "s3:GetObject", "box/*", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`)
	s.want(200, "", get)
	set("Allow", "s3:GetObject", "box/*", `"IpAddress":{"aws:SourceIp":"203.0.113.7"}`)
	for _, forged := range []string{"X-Forwarded-For: 203.0.113.7", "X-Real-Ip: 203.0.113.7", "Forwarded: for=203.0.113.7", "X-Amz-Source-Ip: 203.0.113.7"} {
		a := get
		a.header = []string{forged}
		s.want(403, no, a)
	}
	set("Allow", "s3:ListBucket", "box", `"StringEquals":{"s3:prefix":"a/"},"NumericLessThanEquals":{"s3:max-keys":10}`)
	for target, status := range map[string]int{"/box?prefix=a/&max-keys=10": 200, "/box?prefix=a/": 403, "/box?prefix=a/&max-keys=11": 403, "/box?max-keys=1": 403, "/box?prefix=a%2F&max-keys=0": 200} {
		if got := s.do(ask{method: "GET", target: target, who: &s.bob}); got.status != status {
			t.Errorf("%s: %d, want %d", target, got.status, status)
		}
	}
	set("Deny", "s3:PutObject", "box/*", `"StringLike":{"s3:x-amz-acl":"public-*"}`)
	s.want(403, no, ask{method: "PUT", target: "/box/x", body: "x", header: []string{"X-Amz-Acl: public-read"}})
	s.want(200, "", ask{method: "PUT", target: "/box/x", body: "x", header: []string{"X-Amz-Acl: private"}})
	set("Deny", "s3:PutObject", "box/*", `"StringNotLike":{"s3:x-amz-copy-source":"box/k*"},"Null":{"s3:x-amz-copy-source":false}`)
	s.want(200, "", ask{method: "PUT", target: "/box/x", header: []string{"X-Amz-Copy-Source: /box/%6bey"}})
	s.want(403, no, ask{method: "PUT", target: "/box/y", header: []string{"X-Amz-Copy-Source: /box/x"}})
	set("Deny", "s3:PutObjectAcl", "box/*", `"Null":{"s3:x-amz-grant-read":false}`) // a list in a PutObject does what PutObjectAcl does
	s.want(403, no, ask{method: "PUT", target: "/box/x", body: "x", header: []string{"X-Amz-Grant-Read: id=" + s.bob.ID.String()}})
	set("Deny", "s3:*", "box/*", `"StringNotEquals":{"s3:authType":"REST-HEADER"}`)
	s.want(403, no, ask{method: "GET", target: "/box/key", anonymous: true})
	s.want(200, "", ask{method: "GET", target: "/box/key"})
	set("Deny", "s3:*", "box/*", `"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}`)
	s.want(403, no, ask{method: "GET", target: "/box/key"})
	set("Deny", "s3:*", "box/*", `"Bool":{"aws:SecureTransport":"false"}`)
	s.want(403, no, ask{method: "GET", target: "/box/key"})
	set("Allow", "s3:GetObject", "box/*", `"StringEquals":{"s3:ExistingObjectTag/team":"red"}`)
	s.want(403, no, get)
	s.want(200, "", ask{method: "PUT", target: "/box/key?tagging", body: "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>"})
	s.want(200, "", get)
	set("Allow", "s3:PutObject", "box/*", `"StringEquals":{"s3:RequestObjectTag/team":"red"}`)
	s.want(403, no, ask{method: "PUT", target: "/box/t", who: &s.bob, body: "x"})
	s.want(403, no, ask{method: "PUT", target: "/box/t", who: &s.bob, body: "x", header: []string{"X-Amz-Tagging: team=blue"}})
	s.want(200, "", ask{method: "PUT", target: "/box/t", who: &s.bob, body: "x", header: []string{"X-Amz-Tagging: team=red"}})
	set("Allow", "s3:GetObjectVersion", "box/*", `"StringEquals":{"s3:versionid":"null"}`)
	s.want(200, "", ask{method: "GET", target: "/box/key?versionId=null", who: &s.bob})
	s.want(403, no, get)
}

// TestServiceBucketHasNoName asks for the records of users and uploads by every spelling that could mean them: none is a bucket.
func TestServiceBucketHasNoName(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	user := "id-" + s.alice.ID.String()
	for _, name := range []string{"/u/" + user, "//u/" + user, "/%2Fu%2F" + user, "/.service/u/" + user, "/service/u/" + user, "/%00/u/" + user, "/0000000000000000/u/" + user, "/u", "/m", "/tmp/x", "/..%2Fu/" + user, "/%2e%2e/u/" + user, "/box/..%2F..%2Fu%2F" + user, "/box//u/" + user} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			got := s.do(ask{method: method, target: name})
			if got.status >= 500 || strings.Contains(got.body, "alice@") {
				t.Errorf("%s %s: %d %s", method, name, got.status, got.body)
			}
			if got.status == http.StatusOK && method != "PUT" && !strings.HasPrefix(name, "/box/") && got.body != "" && !strings.Contains(got.body, "ListBucketResult") {
				t.Errorf("%s %s shows %s", method, name, got.body)
			}
		}
		s.do(ask{method: "GET", target: "/", host: strings.Trim(strings.ReplaceAll(name, "/", "."), ".") + "." + domain})
		if got := s.do(ask{method: "PUT", target: "/box/copy", header: []string{"X-Amz-Copy-Source: " + name}}); got.status < 400 && !strings.HasPrefix(name, "/box/") || got.status >= 500 {
			t.Errorf("copy of %s: %d %s", name, got.status, got.body)
		}
	}
	for _, resource := range []string{"/u/*", "u/*", ".service/*", "box/../u/*", "../u/*"} { // of a policy: only this bucket is its to speak of
		doc := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::` + resource + `"}]}`
		if got := s.do(ask{method: "PUT", target: "/box?policy", body: doc}); got.status == 204 && resource != "box/../u/*" || got.status >= 500 {
			t.Errorf("a policy of %s: %d %s", resource, got.status, got.body)
		}
	}
	for _, target := range []string{"/u", "/m", "/.service", "/%2Fu", "/u%2F"} {
		for _, a := range []ask{s.goodForm("V4", &s.alice).ask(target), {method: "POST", target: target + "?delete", body: "<Delete/>", header: []string{md5Header("<Delete/>")}}, {method: "PUT", target: target}, {method: "GET", target: target + "?uploads"}} {
			if got := s.do(a); got.status < 400 || got.status >= 500 {
				t.Errorf("%s %s: %d %s", a.method, a.target, got.status, got.body)
			}
		}
	}
	if u, err := s.accounts.Get(t.Context(), s.alice.ID); err != nil || u.Email != "alice@example.com" {
		t.Errorf("alice is now %v, %v", u, err)
	}
}

// TestManyListsAtOnce has fifty clients set the list of one bucket at once: a change of the record that starts over because of another one must not be given up.
func TestManyListsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	s.bucket("box")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got := s.do(ask{method: "PUT", target: "/box?acl", header: []string{"X-Amz-Acl: public-read"}}); got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
}

// TestAnonymousLearnsNoAddress reads everything that names users as nobody: ids are shown, e-mail addresses are not.
func TestAnonymousLearnsNoAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	public := []string{"X-Amz-Grant-Read: uri=http://acs.amazonaws.com/groups/global/AllUsers", "X-Amz-Grant-Read-Acp: uri=http://acs.amazonaws.com/groups/global/AllUsers", "X-Amz-Grant-Write-Acp: id=" + s.bob.ID.String()}
	s.want(200, "", ask{method: "PUT", target: "/shown", header: public})
	s.want(200, "", ask{method: "PUT", target: "/shown/key", header: public, body: "x"})
	s.want(200, "", ask{method: "POST", target: "/shown/large?uploads"})
	for _, target := range []string{"/shown", "/shown?list-type=2&fetch-owner=true", "/shown?versions", "/shown?uploads", "/shown?acl", "/shown/key?acl"} {
		named := s.want(200, "", ask{method: "GET", target: target}).body
		nobody := s.want(200, "", ask{method: "GET", target: target, anonymous: true}).body
		if !strings.Contains(named, "alice@example.com") {
			t.Errorf("%s does not name its owner to her: %s", target, named)
		}
		if strings.Contains(nobody, "@") || !strings.Contains(nobody, "<ID>"+s.alice.ID.String()+"</ID><DisplayName>"+s.alice.ID.String()+"</DisplayName>") {
			t.Errorf("%s to nobody: %s", target, nobody)
		}
	}
}
