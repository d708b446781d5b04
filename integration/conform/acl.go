package conform

import "strings"

// The groups of access control lists.
const (
	allUsers      = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticated = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	logDelivery   = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

const denied = "AccessDenied"

// refused is a request that its user may not make.
func (s step) refused() step {
	s.has, s.saved, s.replies = nil, nil, nil
	return s.fails(403, denied)
}

// grantDocument is a grant of a document of a list: who is an id, an address with an "@", or a URI.
func grantDocument(who, permission string) string {
	kind, element := "CanonicalUser", "ID"
	switch {
	case strings.Contains(who, "://"):
		kind, element = "Group", "URI"
	case strings.Contains(who, "@") || strings.HasSuffix(who, "mail}"):
		kind, element = "AmazonCustomerByEmail", "EmailAddress"
	}
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `"><` + element + ">" + who + "</" + element + "></Grantee><Permission>" + permission + "</Permission></Grant>"
}

// listDocument is the document of PutBucketAcl and PutObjectAcl.
func listDocument(owner string, grants ...string) string {
	return `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>` + owner + "</ID></Owner><AccessControlList>" + strings.Join(grants, "") + "</AccessControlList></AccessControlPolicy>"
}

// shownGrant is a grant as a reply shows it.
func shownGrant(who, permission string) string {
	start := `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="`
	end := "</Grantee><Permission>" + permission + "</Permission></Grant>"
	if strings.Contains(who, "://") {
		return start + `Group"><URI>` + who + "</URI>" + end
	}
	return start + `CanonicalUser"><ID>{` + who + "}</ID><DisplayName>{" + who + "mail}</DisplayName>" + end
}

// shownList is a whole list: pairs of grantee and permission.
func shownList(owner string, pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Owner><ID>{" + owner + "}</ID><DisplayName>{" + owner + "mail}</DisplayName></Owner><AccessControlList>")
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString(shownGrant(pairs[i], pairs[i+1]))
	}
	return b.String() + "</AccessControlList></AccessControlPolicy>"
}

// canned are the canned lists of a thing of main, and what they grant besides FULL_CONTROL of the owner; groups are shown first.
var canned = map[string][]string{
	"private":            nil,
	"public-read":        {allUsers, "READ"},
	"public-read-write":  {allUsers, "READ", allUsers, "WRITE"},
	"authenticated-read": {authenticated, "READ"},
	"log-delivery-write": {logDelivery, "WRITE", logDelivery, "READ_ACP"},
}

// allGrants gives alt each permission by a header.
var allGrants = []string{"x-amz-grant-read: id={alt}", "x-amz-grant-write: id={alt}", "x-amz-grant-read-acp: id={alt}", "x-amz-grant-write-acp: id={alt}", "x-amz-grant-full-control: id={alt}"}

var allGranted = shownList("main", "alt", "READ", "alt", "WRITE", "alt", "READ_ACP", "alt", "WRITE_ACP", "alt", "FULL_CONTROL")

func aclCases() section {
	cases := []testCase{
		{"default", []step{
			get("/{b}?acl").shows(shownList("main", "main", "FULL_CONTROL")),
			put("/{b}/k", "x"), get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL")),
			get("/{b}/none?acl").fails(404, "NoSuchKey"), put("/{b}/none?acl", "").with("x-amz-acl: private").fails(404, "NoSuchKey"),
			get("/{c}?acl").fails(404, "NoSuchBucket"), put("/{c}?acl", "").with("x-amz-acl: private").fails(404, "NoSuchBucket"),
		}},
		{"grants by header", []step{
			put("/{c}", "").with(allGrants...), get("/{c}?acl").by(alt).shows(allGranted),
			put("/{c}/k", "x").by(alt), put("/{c}?acl", "").by(alt).with("x-amz-acl: private"), put("/{c}/k", "x").by(alt).fails(403, denied),
			put("/{b}/k", "x").with(allGrants...), get("/{b}/k?acl").by(alt).shows(allGranted), get("/{b}/k").by(alt).shows("x"),
			put("/{b}/k?acl", "").with(`x-amz-grant-read: uri="` + allUsers + `", id="{other}" , emailAddress={altmail}`),
			get("/{b}/k?acl").shows(shownList("main", allUsers, "READ", "other", "READ", "alt", "READ")), get("/{b}/k").by(nobody).shows("x"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: id=_foo").fails(400, "InvalidArgument"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: id=0123456789abcdef").fails(400, "InvalidArgument"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: emailAddress=nobody@example.invalid").fails(400, "UnresolvableGrantByEmailAddress"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: uri=http://acs.amazonaws.com/groups/global/Everybody").fails(400, "InvalidArgument"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: {alt}").fails(400, "InvalidArgument"),
			put("/{b}/k?acl", "").with("x-amz-grant-read: id={alt}", "x-amz-acl: private").fails(400, "InvalidRequest"),
			put("/{b}/k?acl", "").with("x-amz-acl: public-ready").fails(400, "InvalidArgument"), put("/{b}?acl", "").with("x-amz-acl: public-ready").fails(400, "InvalidArgument"),
			put("/{b}/k", "y").with("x-amz-acl: public-ready").fails(400, "InvalidArgument").shows("<ArgumentName>x-amz-acl</ArgumentName><ArgumentValue>public-ready</ArgumentValue>"), put("/{c}x", "").with("x-amz-acl: public-ready").fails(400, "InvalidArgument"),
			put("/{b}?acl", "").fails(400, "MissingSecurityHeader"), put("/{b}/k?acl", "").fails(400, "MissingSecurityHeader"),
		}},
		{"documents", []step{
			put("/{b}/k", "x"),
			put("/{b}?acl", listDocument("{main}", grantDocument("{main}", "FULL_CONTROL"), grantDocument(allUsers, "READ"))),
			get("/{b}?acl").shows(shownList("main", allUsers, "READ", "main", "FULL_CONTROL")), get("/{b}").by(nobody).shows("<Key>k</Key>"),
			put("/{b}?acl", listDocument("{main}", grantDocument("{altmail}", "FULL_CONTROL"), grantDocument("{main}", "FULL_CONTROL"))),
			get("/{b}?acl").shows(shownList("main", "alt", "FULL_CONTROL", "main", "FULL_CONTROL")),
			put("/{b}?acl", listDocument("{main}")), get("/{b}?acl").shows(shownList("main")),
			get("/{b}/k").shows("x"), put("/{b}/l", "x").fails(403, denied), get("/{b}").fails(403, denied), put("/{b}?acl", "").with("x-amz-acl: private"), put("/{b}/l", "x"),
			put("/{b}/k?acl", listDocument("{main}")), get("/{b}/k").fails(403, denied), get("/{b}/k?acl").shows(shownList("main")), put("/{b}/k?acl", "").with("x-amz-acl: private"), get("/{b}/k").shows("x"),
		}},
		{"bad documents", []step{
			put("/{b}/k", "x"),
			put("/{b}?acl", listDocument("{main}", grantDocument("_foo", "FULL_CONTROL"))).fails(400, "InvalidArgument"),
			put("/{b}?acl", listDocument("{main}", grantDocument("nobody@example.invalid", "FULL_CONTROL"))).fails(400, "UnresolvableGrantByEmailAddress"),
			put("/{b}?acl", listDocument("{main}", grantDocument(allUsers+"x", "READ"))).fails(400, "InvalidArgument"),
			put("/{b}?acl", listDocument("{main}", grantDocument("{alt}", "LIST"))).fails(400, "MalformedACLError"),
			put("/{b}?acl", listDocument("{main}", grantDocument("{alt}", ""))).fails(400, "MalformedACLError"),
			put("/{b}?acl", listDocument("{main}", grantDocument("", "READ"))).fails(400, "MalformedACLError"),
			put("/{b}?acl", listDocument("{main}", strings.Repeat(grantDocument("{alt}", "READ"), 101))).fails(400, "MalformedACLError"),
			put("/{b}?acl", listDocument("{alt}", grantDocument("{alt}", "READ"))).fails(403, denied),
			put("/{b}?acl", "<AccessControlPolicy>").fails(400, "MalformedACLError"), put("/{b}?acl", "<AccessControlPolicy/>").fails(400, "MalformedACLError"),
			put("/{b}?acl", "<AccessControlList/>").fails(400, "MalformedACLError"), put("/{b}?acl", "no xml").fails(400, "MalformedACLError"),
			put("/{b}/k?acl", "<AccessControlPolicy>").fails(400, "MalformedACLError"), put("/{b}/k?acl", listDocument("{alt}", grantDocument("{alt}", "READ"))).fails(403, denied),
			put("/{b}?acl", listDocument("{main}")).with("x-amz-acl: private").fails(400, "UnexpectedContent"),
			get("/{b}?acl").shows(shownList("main", "main", "FULL_CONTROL")), get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL")),
		}},
		{"full control does not change the owner", []step{
			put("/{b}/k", "x").with("Content-Type: text/plain", "x-amz-foo: bar", "x-amz-meta-a: b").save("date=@Date"),
			put("/{b}/k?acl", listDocument("{main}", grantDocument("{alt}", "FULL_CONTROL"))),
			put("/{b}/k?acl", listDocument("{main}", grantDocument("{alt}", "READ_ACP"))).by(alt),
			get("/{b}/k?acl").by(alt).shows(shownList("main", "alt", "READ_ACP")), put("/{b}/k?acl", "").by(alt).with("x-amz-acl: private").fails(403, denied),
			head("/{b}/k").fails(403, ""), put("/{b}/k?acl", "").with("x-amz-acl: private"), head("/{b}/k").replyHeader("Content-Type: text/plain", "x-amz-meta-a: b"),
		}},
		{"objects of others", []step{
			put("/{b}?acl", "").with("x-amz-acl: public-read-write"),
			put("/{b}/k", "x").by(alt).with("x-amz-acl: bucket-owner-read"), get("/{b}/k?acl").by(alt).shows(shownList("alt", "alt", "FULL_CONTROL", "main", "READ")),
			get("/{b}/k").shows("x"), get("/{b}/k?acl").fails(403, denied),
			put("/{b}/k", "x").by(alt).with("x-amz-acl: bucket-owner-full-control"), get("/{b}/k?acl").shows(shownList("alt", "alt", "FULL_CONTROL", "main", "FULL_CONTROL")),
			put("/{b}/k", "x").by(alt), get("/{b}/k").fails(403, denied), get("/{b}/k?acl").by(alt).shows(shownList("alt", "alt", "FULL_CONTROL")), del("/{b}/k"),
			put("/{b}/k", "x").by(nobody), get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL")),
			put("/{b}/own", "x").with("x-amz-acl: bucket-owner-full-control"), get("/{b}/own?acl").shows(shownList("main", "main", "FULL_CONTROL")),
		}},
		{"copies", []step{
			put("/{b}/k", "x").with("x-amz-acl: public-read"),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k"), get("/{b}/l?acl").shows(shownList("main", "main", "FULL_CONTROL")), get("/{b}/l").by(alt).fails(403, denied),
			put("/{b}/l", "").with("x-amz-copy-source: {b}/k", "x-amz-acl: public-read"), get("/{b}/l").by(alt).shows("x"),
			put("/{b}/m", "").with("x-amz-copy-source: {b}/l", "x-amz-acl: public-read", "x-amz-metadata-directive: REPLACE", "x-amz-meta-a: b"), get("/{b}/m").by(nobody).shows("x").replyHeader("x-amz-meta-a: b"),
			put("/{c}", "").by(alt), put("/{c}/k", "").by(alt).with("x-amz-copy-source: {b}/k"), put("/{b}/p", "x"), put("/{c}/p", "").by(alt).with("x-amz-copy-source: {b}/p").fails(403, denied),
			put("/{b}/p?acl", listDocument("{main}", grantDocument("{alt}", "READ"))), put("/{c}/p", "").by(alt).with("x-amz-copy-source: {b}/p"), get("/{c}/p?acl").by(alt).shows(shownList("alt", "alt", "FULL_CONTROL")),
		}},
		{"versions", []step{
			put("/{b}?versioning", versioning("Enabled")),
			put("/{b}/k", "1").save("v1=@x-amz-version-id"), put("/{b}/k", "2").save("v2=@x-amz-version-id"),
			put("/{b}/k?acl&versionId={v1}", "").with("x-amz-acl: public-read").replyHeader("x-amz-version-id: {v1}"),
			get("/{b}/k?acl&versionId={v1}").shows(shownList("main", allUsers, "READ", "main", "FULL_CONTROL")).replyHeader("x-amz-version-id: {v1}"),
			get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL")).replyHeader("x-amz-version-id: {v2}"),
			get("/{b}/k?versionId={v1}").by(nobody).shows("1"), get("/{b}/k").by(nobody).fails(403, denied),
			put("/{b}/k?acl", "").with("x-amz-acl: public-read").replyHeader("x-amz-version-id: {v2}"), get("/{b}/k").by(nobody).shows("2"),
			get("/{b}?versions").shows("<VersionId>{v1}</VersionId>", "<VersionId>{v2}</VersionId>"),
			put("/{b}/k?acl&versionId=none", "").with("x-amz-acl: private").fails(400, "InvalidArgument"),
			del("/{b}/k"), get("/{b}/k?acl").fails(404, "NoSuchKey"), put("/{b}/k?acl", "").with("x-amz-acl: private").fails(404, "NoSuchKey"),
		}},
	}
	for name, grants := range canned {
		list := shownList("main", append(append([]string{}, grants...), "main", "FULL_CONTROL")...)
		steps := []step{
			put("/{c}", "").with("x-amz-acl: " + name), get("/{c}?acl").shows(list),
			put("/{b}?acl", "").with("x-amz-acl: " + name), get("/{b}?acl").shows(list), put("/{b}?acl", "").with("x-amz-acl: " + name),
			put("/{b}?acl", "").with("x-amz-acl: private"), get("/{b}?acl").shows(shownList("main", "main", "FULL_CONTROL")),
		}
		if name != "log-delivery-write" {
			steps = append(steps, put("/{b}/k", "x").with("x-amz-acl: "+name), get("/{b}/k?acl").shows(list),
				put("/{b}/k?acl", "").with("x-amz-acl: private"), get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL")),
				put("/{b}/k?acl", "").with("x-amz-acl: "+name), get("/{b}/k?acl").shows(list))
		} else {
			steps = append(steps, put("/{b}/k", "x").with("x-amz-acl: "+name).fails(400, "InvalidArgument"))
		}
		cases = append(cases, testCase{"canned " + name, steps})
	}
	for _, p := range []string{"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"} {
		cases = append(cases, permissionCase(p))
	}
	return section{"acl", cases}
}

// permissionCase gives alt one permission on a bucket and on an object, and tries what it lets do and what not.
func permissionCase(p string) testCase {
	may := func(st step, with ...string) step {
		for _, w := range append(with, "FULL_CONTROL") {
			if w == p {
				return st.by(alt)
			}
		}
		return st.by(alt).refused()
	}
	grants := listDocument("{main}", grantDocument("{main}", "FULL_CONTROL"), grantDocument("{alt}", p))
	steps := []step{
		put("/{b}/k", "x"), put("/{b}?acl", grants), get("/{b}?acl").shows(shownList("main", "main", "FULL_CONTROL", "alt", p)),
		may(head("/{b}"), "READ"), may(get("/{b}"), "READ"), may(get("/{b}?list-type=2"), "READ"), may(get("/{b}?versions"), "READ"), may(get("/{b}?uploads"), "READ"),
		may(put("/{b}/new", "y"), "WRITE"), may(del("/{b}/new"), "WRITE"), may(get("/{b}?acl"), "READ_ACP"),
		may(put("/{b}?acl", grants), "WRITE_ACP"),
		get("/{b}/k").by(alt).fails(403, denied), get("/{b}?policy").by(alt).fails(403, denied), do("DELETE", "/{b}").by(alt).fails(403, denied), get("/{b}").by(other).fails(403, denied), get("/{b}").by(nobody).fails(403, denied),
		put("/{b}?acl", "").with("x-amz-acl: private"),
		put("/{b}/k?acl", grants), get("/{b}/k?acl").shows(shownList("main", "main", "FULL_CONTROL", "alt", p)),
		may(get("/{b}/k"), "READ"), may(head("/{b}/k"), "READ"), may(get("/{b}/k?attributes").with("x-amz-object-attributes: ETag"), "READ"),
		may(get("/{b}/k?acl"), "READ_ACP"), may(put("/{b}/k?acl", grants), "WRITE_ACP"),
		put("/{b}/k", "y").by(alt).fails(403, denied), do("DELETE", "/{b}/k").by(alt).fails(403, denied), get("/{b}/k?tagging").by(alt).fails(403, denied), get("/{b}/k").by(nobody).fails(403, denied),
	}
	return testCase{"permission " + p, steps}
}

// accessCases are every canned list of a bucket with every one of an object: who reads, lists and writes.
func accessCases() section {
	var cases []testCase
	for _, bucket := range []string{"private", "public-read", "public-read-write", "authenticated-read"} {
		for _, object := range []string{"private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-read", "bucket-owner-full-control"} {
			steps := []step{put("/{b}?acl", "").with("x-amz-acl: " + bucket), put("/{b}/listed", "foocontent"), put("/{b}/listed?acl", "").with("x-amz-acl: " + object), put("/{b}/plain", "barcontent")}
			for _, w := range []who{main, alt, nobody} {
				may := func(st step, yes bool) step {
					if w == main || yes {
						return st.by(w)
					}
					return st.by(w).refused()
				}
				reads := strings.HasPrefix(object, "public") || object == "authenticated-read" && w == alt
				lists := strings.HasPrefix(bucket, "public") || bucket == "authenticated-read" && w == alt
				writes := bucket == "public-read-write"
				missing := get("/{b}/none").by(w).fails(403, denied)
				if w == main || lists {
					missing = missing.fails(404, "NoSuchKey")
				}
				steps = append(steps, may(get("/{b}/listed").shows("foocontent"), reads), may(head("/{b}/listed"), reads), may(get("/{b}/plain").shows("barcontent"), false), missing,
					may(get("/{b}").shows("<Key>listed</Key>", "<Key>plain</Key>"), lists), may(get("/{b}?list-type=2"), lists), may(get("/{b}?versions"), lists), may(get("/{b}?uploads"), lists), may(head("/{b}"), lists),
					may(put("/{b}/new", "newcontent"), writes), may(del("/{b}/new"), writes), may(post("/{b}/new?uploads", ""), writes),
					may(get("/{b}?acl"), false), may(get("/{b}/listed?acl"), false), may(get("/{b}/plain?acl"), false))
				if w != main {
					steps = append(steps, put("/{b}?acl", "").by(w).with("x-amz-acl: private").fails(403, denied), put("/{b}/listed?acl", "").by(w).with("x-amz-acl: private").fails(403, denied))
				}
			}
			// Last: an object that another one writes over is his.
			over := put("/{b}/listed", "overwritten").by(alt)
			if bucket == "public-read-write" {
				steps = append(steps, over, get("/{b}/listed").by(alt).shows("overwritten"), get("/{b}/listed").fails(403, denied), put("/{b}/plain", "overwritten").by(nobody), get("/{b}/plain").shows("overwritten"), del("/{b}/listed").by(nobody))
			} else {
				steps = append(steps, over.fails(403, denied), put("/{b}/plain", "overwritten").by(nobody).fails(403, denied), do("DELETE", "/{b}/listed").by(alt).fails(403, denied), do("DELETE", "/{b}/plain").by(nobody).fails(403, denied))
			}
			cases = append(cases, testCase{bucket + " and " + object, steps})
		}
	}
	cases = append(cases, testCase{"gone", []step{
		put("/{c}", "").with("x-amz-acl: public-read"), put("/{c}/k", "x").with("x-amz-acl: public-read"), get("/{c}/k").by(nobody).shows("x"), del("/{c}/k"),
		get("/{c}/k").by(nobody).fails(404, "NoSuchKey"), get("/{c}/k").fails(404, "NoSuchKey"), del("/{c}"),
		get("/{c}/k").by(nobody).fails(404, "NoSuchBucket"), get("/{c}/k").fails(404, "NoSuchBucket"), do("DELETE", "/{c}/k").by(nobody).fails(404, "NoSuchBucket"),
	}})
	return section{"access", cases}
}
