package conform

import (
	"strings"
	"time"
)

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":["arn:aws:s3:::{b}","arn:aws:s3:::{b}/*"]}]}`

func ownership(value string) string {
	return `<OwnershipControls xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ObjectOwnership>` + value + "</ObjectOwnership></Rule></OwnershipControls>"
}

// ownedCase writes objects as alt, whom a policy lets do everything, and looks whose they are.
func ownedCase(controls string) testCase {
	steps := []step{put("/{b}?ownershipControls", ownership(controls)), get("/{b}?ownershipControls").shows("<Rule><ObjectOwnership>" + controls + "</ObjectOwnership></Rule>"), put("/{b}?policy", everything).gives(204)}
	owner := func(key, who string) step {
		return get("/{b}/" + key + "?acl").by(alt).shows("<Owner><ID>{" + who + "}</ID>")
	}
	writer, preferred := "alt", "alt"
	switch controls {
	case "BucketOwnerEnforced":
		writer, preferred = "main", "main"
	case "BucketOwnerPreferred":
		preferred = "main"
	}
	steps = append(steps, put("/{b}/plain", "x").by(alt), owner("plain", writer), put("/{b}/full", "x").by(alt).with("x-amz-acl: bucket-owner-full-control"), owner("full", preferred),
		post("/{b}/parts?uploads", "").by(alt).save("id=UploadId"), get("/{b}/parts?uploadId={id}").by(alt).shows("<Initiator><ID>{alt}</ID>", "<Owner><ID>{"+writer+"}</ID>"))
	private := []step{put("/{b}/private", "x").by(alt).with("x-amz-acl: private"), post("/{b}/m?uploads", "").by(alt).with("x-amz-acl: private"), put("/{b}/copy", "").by(alt).with("x-amz-copy-source: {b}/plain", "x-amz-acl: private"),
		put("/{b}/public", "x").by(alt).with("x-amz-acl: public-read"), put("/{b}/granted", "x").by(alt).with("x-amz-grant-read: id={other}"), put("/{b}/plain?acl", "").by(alt).with("x-amz-acl: public-read")}
	for _, st := range private {
		if controls == "BucketOwnerEnforced" {
			st = st.fails(400, "AccessControlListNotSupported")
		}
		steps = append(steps, st)
	}
	if controls == "BucketOwnerEnforced" {
		steps = append(steps, get("/{b}/plain").shows("x"), put("/{b}?acl", "").with("x-amz-acl: public-read").fails(400, "AccessControlListNotSupported"), get("/{b}?acl").shows(shownList("main", "main", "FULL_CONTROL")))
	} else {
		steps = append(steps, owner("private", "alt"))
	}
	return testCase{controls, steps}
}

func ownershipCases() section {
	return section{"ownership", []testCase{
		ownedCase("BucketOwnerEnforced"), ownedCase("BucketOwnerPreferred"), ownedCase("ObjectWriter"),
		{"controls", []step{
			get("/{b}?ownershipControls").fails(404, "OwnershipControlsNotFoundError"), del("/{b}?ownershipControls"),
			put("/{b}?ownershipControls", ownership("Mine")).fails(400, "MalformedXML"), put("/{b}?ownershipControls", "<OwnershipControls/>").fails(400, "MalformedXML"),
			put("/{b}?ownershipControls", strings.Replace(ownership("ObjectWriter"), "</Rule>", "</Rule><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>", 1)).fails(400, "MalformedXML"),
			put("/{b}?ownershipControls", ownership("ObjectWriter")).by(alt).fails(403, denied), get("/{b}?ownershipControls").by(alt).fails(403, denied), do("DELETE", "/{b}?ownershipControls").by(nobody).fails(403, denied),
			put("/{b}?acl", "").with("x-amz-acl: public-read"), put("/{b}?ownershipControls", ownership("BucketOwnerEnforced")).fails(400, "InvalidBucketAclWithObjectOwnership"),
			put("/{b}?acl", "").with("x-amz-acl: private"), put("/{b}?ownershipControls", ownership("BucketOwnerEnforced")), get("/{b}?ownershipControls").shows("BucketOwnerEnforced"),
			del("/{b}?ownershipControls"), get("/{b}?ownershipControls").fails(404, "OwnershipControlsNotFoundError"), del("/{b}?ownershipControls"),
			put("/{c}", "").with("x-amz-object-ownership: BucketOwnerPreferred"), get("/{c}?ownershipControls").shows("BucketOwnerPreferred"),
			put("/{c}1", "").with("x-amz-object-ownership: Mine").fails(400, "InvalidArgument"),
			put("/{c}2", "").with("x-amz-object-ownership: BucketOwnerEnforced", "x-amz-acl: public-read").fails(400, "InvalidBucketAclWithObjectOwnership"),
		}},
	}}
}

// blocked is the document of PutPublicAccessBlock: the settings in order.
func blocked(on ...string) string {
	b := `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for _, name := range []string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
		v := "false"
		if strings.Contains(strings.Join(on, " "), name) {
			v = "true"
		}
		b += "<" + name + ">" + v + "</" + name + ">"
	}
	return b + "</PublicAccessBlockConfiguration>"
}

func status(public string) step {
	return get("/{b}?policyStatus").shows("<IsPublic>" + public + "</IsPublic>")
}

// allow is a policy of one statement for everybody.
func allow(action, resource, condition string) string {
	return statement("Allow", `{"AWS":"*"}`, action, resource, condition)
}

func statement(effect, principal, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":{` + condition + "}"
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action + `","Resource":["arn:aws:s3:::` + resource + `"]` + condition + `}]}`
}

func publicCases() section {
	foreign := statement("Allow", `{"AWS":"arn:aws:iam::s3tenant1:root"}`, "s3:GetObject", "{b}/*", "")
	statuses := []step{status("false"), get("/{b}?policyStatus").by(alt).fails(403, denied)}
	for _, tc := range []struct{ policy, public string }{
		{allow("s3:ListBucket", "{b}", ""), "true"}, {statement("Allow", `"*"`, "s3:ListBucket", "{b}", ""), "true"},
		{statement("Allow", `{"AWS":"{alt}"}`, "s3:ListBucket", "{b}", ""), "false"}, {foreign, "false"}, {statement("Deny", `"*"`, "s3:ListBucket", "{b}", ""), "false"},
		{allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}`), "false"}, {allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"11.0.0.0/8"}`), "false"},
		{allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"10.0.0.0/7"}`), "true"}, {allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`), "true"},
		{allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/1"]}`), "true"}, {allow("s3:ListBucket", "{b}", `"NotIpAddress":{"aws:SourceIp":"10.0.0.0/32"}`), "true"},
		{allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`), "false"}, {allow("s3:ListBucket", "{b}", `"IpAddress":{"aws:SourceIp":"2001::/31"}`), "true"},
		{allow("s3:ListBucket", "{b}", `"StringEquals":{"aws:userid":"{alt}"}`), "false"}, {allow("s3:ListBucket", "{b}", `"StringLike":{"aws:userid":"{alt}*"}`), "true"},
		{allow("s3:ListBucket", "{b}", `"StringEquals":{"aws:userid":"${aws:userid}"}`), "true"}, {allow("s3:ListBucket", "{b}", `"StringEquals":{"s3:prefix":"a"}`), "true"},
	} {
		statuses = append(statuses, put("/{b}?policy", tc.policy).gives(204), status(tc.public))
	}
	statuses = append(statuses, del("/{b}?policy"), status("false"), put("/{b}?acl", "").with("x-amz-acl: public-read"), status("true"), put("/{b}?acl", "").with("x-amz-acl: authenticated-read"), status("true"),
		put("/{b}?acl", "").with("x-amz-acl: log-delivery-write"), status("false"))
	return section{"public", []testCase{
		{"status", statuses},
		{"block", []step{
			get("/{b}?publicAccessBlock").fails(404, "NoSuchPublicAccessBlockConfiguration"), del("/{b}?publicAccessBlock"),
			put("/{b}?publicAccessBlock", blocked("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")), get("/{b}?publicAccessBlock").shows(blocked("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")),
			get("/{b}?publicAccessBlock").by(alt).fails(403, denied), put("/{b}?publicAccessBlock", blocked()).by(nobody).fails(403, denied),
			put("/{b}?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>maybe</BlockPublicAcls></PublicAccessBlockConfiguration>").fails(400, "MalformedXML"),
			put("/{b}?policy", statement("Deny", `"*"`, "s3:GetBucketPublicAccessBlock", "{b}", "")).gives(204), get("/{b}?publicAccessBlock").fails(403, denied), del("/{b}?policy"),
			del("/{b}?publicAccessBlock"), get("/{b}?publicAccessBlock").fails(404, "NoSuchPublicAccessBlockConfiguration"),
		}},
		{"block lists", []step{
			put("/{b}/k", "x"), put("/{b}?publicAccessBlock", blocked("BlockPublicAcls")),
			put("/{b}?acl", "").with("x-amz-acl: public-read").fails(403, denied), put("/{b}?acl", "").with("x-amz-acl: public-read-write").fails(403, denied), put("/{b}?acl", "").with("x-amz-acl: authenticated-read").fails(403, denied),
			put("/{b}?acl", listDocument("{main}", grantDocument(allUsers, "READ"))).fails(403, denied), put("/{b}?acl", "").with("x-amz-acl: private"), put("/{b}?acl", "").with("x-amz-grant-read: id={alt}"),
			put("/{b}/foo1", "").with("x-amz-acl: public-read").fails(403, denied), put("/{b}/foo2", "").with("x-amz-acl: public-read-write").fails(403, denied), put("/{b}/foo3", "").with("x-amz-acl: authenticated-read").fails(403, denied),
			put("/{b}/foo4", "").with("x-amz-acl: private"), put("/{b}/k?acl", "").with("x-amz-acl: public-read").fails(403, denied), post("/{b}/m?uploads", "").with("x-amz-acl: public-read").fails(403, denied),
			put("/{b}/copy", "").with("x-amz-copy-source: {b}/k", "x-amz-acl: public-read").fails(403, denied),
		}},
		{"ignore lists", []step{
			put("/{b}?acl", "").with("x-amz-acl: public-read"), put("/{b}/k", "abcde").with("x-amz-acl: public-read"), get("/{b}").by(alt), get("/{b}/k").by(alt).shows("abcde"),
			put("/{b}?publicAccessBlock", blocked("IgnorePublicAcls")), put("/{b}?acl", "").with("x-amz-acl: public-read"), status("false"),
			get("/{b}").by(alt).fails(403, denied), get("/{b}/k").by(alt).fails(403, denied), get("/{b}/k").by(nobody).fails(403, denied), get("/{b}/k").shows("abcde"),
			del("/{b}?publicAccessBlock"), get("/{b}/k").by(nobody).shows("abcde"),
		}},
		{"block policies", []step{
			put("/{b}?publicAccessBlock", blocked("BlockPublicPolicy")), put("/{b}?policy", allow("s3:GetObject", "{b}/*", "")).fails(403, denied), get("/{b}?policy").fails(404, "NoSuchBucketPolicy"),
			put("/{b}?policy", foreign).gives(204), put("/{b}?policy", statement("Allow", `{"AWS":"{alt}"}`, "s3:GetObject", "{b}/*", "")).gives(204),
		}},
		{"restrict", []step{
			put("/{b}/foo", "bar"), put("/{b}?policy", allow("s3:GetObject", "{b}/*", "")).gives(204), get("/{b}/foo").by(nobody).shows("bar"), status("true"),
			put("/{b}?publicAccessBlock", blocked("RestrictPublicBuckets")), get("/{b}/foo").by(nobody).fails(403, denied), get("/{b}/foo").by(alt).fails(403, denied), get("/{b}/foo").shows("bar"), status("false"),
		}},
	}}
}

func paymentCases() section {
	doc := func(payer string) string {
		return `<RequestPaymentConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Payer>` + payer + "</Payer></RequestPaymentConfiguration>"
	}
	const pays = "x-amz-request-payer: requester"
	return section{"payment", []testCase{{"requester", []step{
		put("/{b}/k", "x").with("x-amz-acl: public-read"), put("/{b}?acl", "").with("x-amz-acl: public-read-write"), put("/{b}?requestPayment", doc("Requester")), get("/{b}?requestPayment").shows("<Payer>Requester</Payer>"),
		get("/{b}/k").shows("x").replyHeader("x-amz-request-charged:"), get("/{b}/k").by(alt).fails(403, denied).replyHeader("x-amz-request-charged:"), get("/{b}/k").by(nobody).fails(403, denied), get("/{b}/k").by(nobody).with(pays).fails(403, denied),
		get("/{b}/k").by(alt).with("x-amz-request-payer: owner").fails(403, denied), get("/{b}/k").by(alt).with(pays).shows("x").replyHeader("x-amz-request-charged: requester"), head("/{b}/k").by(alt).with(pays).replyHeader("x-amz-request-charged: requester"),
		get("/{b}").by(alt).fails(403, denied), get("/{b}").by(alt).with(pays).shows("<Key>k</Key>").replyHeader("x-amz-request-charged: requester"), put("/{b}/l", "y").by(alt).fails(403, denied), put("/{b}/l", "y").by(alt).with(pays).replyHeader("x-amz-request-charged: requester"),
		put("/{c}", "").by(alt), put("/{c}/k", "").by(alt).with("x-amz-copy-source: {b}/k").fails(403, denied), put("/{c}/k", "").by(alt).with("x-amz-copy-source: {b}/k", pays), post("/{b}?delete", "<Delete><Object><Key>l</Key></Object></Delete>").withMD5().by(alt).fails(403, denied),
		get("/{b}/k?x-amz-request-payer=requester").by(alt).presigned(0, time.Hour).shows("x").replyHeader("x-amz-request-charged: requester"), get("/{b}/none").by(alt).with(pays).fails(404, "NoSuchKey"),
		put("/{b}?requestPayment", doc("BucketOwner")), get("/{b}?requestPayment").shows("<Payer>BucketOwner</Payer>"), get("/{b}/k").by(nobody).shows("x"),
	}}, {"payer", []step{
		get("/{b}?requestPayment").shows("<Payer>BucketOwner</Payer>"), put("/{b}?requestPayment", doc("BucketOwner")), get("/{b}?requestPayment").shows("<Payer>BucketOwner</Payer>"),
		put("/{b}?requestPayment", doc("Nobody")).fails(400, "MalformedXML"), put("/{b}?requestPayment", "<a").fails(400, "MalformedXML"),
		get("/{b}?requestPayment").by(alt).fails(403, denied), put("/{b}?requestPayment", doc("BucketOwner")).by(nobody).fails(403, denied), get("/{c}?requestPayment").fails(404, "NoSuchBucket"),
	}}}}
}
