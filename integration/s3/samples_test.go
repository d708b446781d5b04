package s3

import (
	"fmt"
	"strings"
	"time"

	"ostor/gateway/account"
)

// sample is a request of an operation that alice may make in a furnished site. An operation of the gateway without a sample fails TestAttacks: a new one needs a row here.
type sample struct {
	op string // as metrics name it
	ask
	status    int  // of the good request
	everybody bool // every user may do it, to what is his own
	unsigned  bool // it is never signed in header or query
}

// samples in the order in which alice makes them at last: what takes something away comes behind those who need it.
func (s *site) samples() []sample {
	f := s.furnish()
	get := func(op, target string) sample {
		return sample{op: op, ask: ask{method: "GET", target: target}, status: 200}
	}
	put := func(op, target, body string, header ...string) sample {
		return sample{op: op, ask: ask{method: "PUT", target: target, body: body, header: header}, status: 200}
	}
	del := func(op, target string) sample {
		return sample{op: op, ask: ask{method: "DELETE", target: target}, status: 204}
	}
	post := func(op, target, body string, header ...string) sample {
		return sample{op: op, ask: ask{method: "POST", target: target, body: body, header: header}, status: 200}
	}
	deletes := "<Delete><Object><Key>old</Key></Object></Delete>"
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	list := []sample{
		get("ListBuckets", "/"),
		put("CreateBucket", "/new", ""),
		{op: "HeadBucket", ask: ask{method: "HEAD", target: "/box"}, status: 200},
		get("GetBucketLocation", "/box?location"),
		get("GetBucketVersioning", "/box?versioning"),
		get("GetBucketAcl", "/box?acl"),
		put("PutBucketAcl", "/box?acl", "", "X-Amz-Acl: private"),
		get("ListObjects", "/box"),
		get("ListObjectsV2", "/box?list-type=2"),
		get("ListObjectVersions", "/box?versions"),
		get("ListMultipartUploads", "/box?uploads"),
		get("GetBucketRequestPayment", "/box?requestPayment"),
		put("PutBucketRequestPayment", "/box?requestPayment", "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"),

		{op: "HeadObject", ask: ask{method: "HEAD", target: "/box/key"}, status: 200},
		get("GetObject", "/box/key"),
		get("GetObjectAcl", "/box/key?acl"),
		put("PutObjectAcl", "/box/key?acl", "", "X-Amz-Acl: private"),
		{op: "GetObjectAttributes", ask: ask{method: "GET", target: "/box/key?attributes", header: []string{"X-Amz-Object-Attributes: ETag"}}, status: 200},
		get("GetObjectTagging", "/box/key?tagging"),
		put("PutObjectTagging", "/box/key?tagging", tagXML("a", "c")),
		del("DeleteObjectTagging", "/box/key?tagging"),
		put("PutObject", "/box/put", "c0ntent"),
		put("CopyObject", "/box/copy", "", "X-Amz-Copy-Source: box/key"),
		post("DeleteObjects", "/box?delete", deletes, md5Header(deletes)),
		del("DeleteObject", "/box/older"),

		post("CreateMultipartUpload", "/box/begun?uploads", ""),
		get("ListParts", "/box/parts?uploadId="+f.upload),
		put("UploadPart", "/box/parts?partNumber=2&uploadId="+f.upload, "c0ntent"),
		put("UploadPartCopy", "/box/parts?partNumber=3&uploadId="+f.upload, "", "X-Amz-Copy-Source: box/key"),
		post("CompleteMultipartUpload", "/box/parts?uploadId="+f.upload, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+f.etag+"</ETag></Part></CompleteMultipartUpload>"),
		del("AbortMultipartUpload", "/box/aborted?uploadId="+f.aborted),

		get("GetBucketTagging", "/ruled?tagging"),
		put("PutBucketTagging", "/ruled?tagging", tagXML("a", "c")),
		get("GetBucketCors", "/ruled?cors"),
		put("PutBucketCors", "/ruled?cors", corsOfAny),
		get("GetBucketPolicy", "/ruled?policy"),
		get("GetBucketPolicyStatus", "/ruled?policyStatus"),
		put("PutBucketPolicy", "/ruled?policy", f.policy),
		get("GetBucketOwnershipControls", "/ruled?ownershipControls"),
		put("PutBucketOwnershipControls", "/ruled?ownershipControls", ownershipXML),
		get("GetPublicAccessBlock", "/ruled?publicAccessBlock"),
		put("PutPublicAccessBlock", "/ruled?publicAccessBlock", blockXML),
		del("DeleteBucketTagging", "/ruled?tagging"),
		del("DeleteBucketCors", "/ruled?cors"),
		del("DeleteBucketPolicy", "/ruled?policy"),
		del("DeleteBucketOwnershipControls", "/ruled?ownershipControls"),
		del("DeletePublicAccessBlock", "/ruled?publicAccessBlock"),

		get("GetObjectLockConfiguration", "/vault?object-lock"),
		put("PutObjectLockConfiguration", "/vault?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"),
		get("GetObjectRetention", "/vault/key?retention"),
		put("PutObjectRetention", "/vault/key?retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>"+until+"</RetainUntilDate></Retention>", "X-Amz-Bypass-Governance-Retention: true"),
		get("GetObjectTorrent", "/box/key?torrent"),
		get("GetObjectLegalHold", "/vault/key?legal-hold"),
		put("PutObjectLegalHold", "/vault/key?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"),

		put("PutBucketVersioning", "/box?versioning", versioningXML("Enabled")),
		del("DeleteBucket", "/empty"),
		get("NotImplemented", "/box?website"),
	}
	for i := range list {
		switch list[i].op {
		case "ListBuckets", "CreateBucket":
			list[i].everybody = true
		case "NotImplemented":
			list[i].status = 501
		case "GetObjectTorrent":
			list[i].status = 404
		case "PutBucketTagging", "PutBucketPolicy":
			list[i].status = 204
		}
	}
	return append(list,
		sample{op: "OptionsObject", ask: ask{method: "OPTIONS", target: "/box/key", header: []string{"Origin: https://page.example", "Access-Control-Request-Method: GET"}}, status: 200, unsigned: true},
		sample{op: "PostObject", ask: s.goodForm("V4", &s.alice).ask("/box"), status: 204, unsigned: true}) // TestFormAttacks
}

const (
	corsOfAny    = "<CORSConfiguration><CORSRule><AllowedOrigin>https://page.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
	ownershipXML = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>"
	blockXML     = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
)

// furniture is what the samples need to know of what furnish made.
type furniture struct{ upload, aborted, etag, policy string }

// furnish makes what the samples are about: buckets of alice, one of bob, objects with content that nobody else may see, uploads.
func (s *site) furnish() furniture {
	for _, name := range []string{"box", "empty", "ruled"} {
		s.bucket(name)
	}
	s.want(200, "", ask{method: "PUT", target: "/vault", header: []string{"X-Amz-Bucket-Object-Lock-Enabled: true"}})
	s.want(200, "", ask{method: "PUT", target: "/bobs", who: &s.bob})
	s.want(200, "", ask{method: "PUT", target: "/bobs/secret", who: &s.bob, body: "s3cr3t"})
	for _, key := range []string{"box/key", "box/old", "box/older", "vault/key"} {
		s.want(200, "", ask{method: "PUT", target: "/" + key, body: "c0ntent"})
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	s.want(200, "", ask{method: "PUT", target: "/vault/key?retention", body: "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"})
	s.want(200, "", ask{method: "PUT", target: "/vault/key?legal-hold", body: "<LegalHold><Status>OFF</Status></LegalHold>"})
	s.want(200, "", ask{method: "PUT", target: "/box/key?tagging", body: tagXML("a", "b")})
	f := furniture{policy: fmt.Sprintf(`{"Statement":[{"Effect":"Deny","Principal":{"CanonicalUser":%q},"Action":"s3:GetObject","Resource":"arn:aws:s3:::ruled/forbidden"}]}`, s.bob.ID)}
	for sub, body := range map[string]string{"tagging": tagXML("a", "b"), "cors": corsOfAny, "ownershipControls": ownershipXML, "publicAccessBlock": blockXML, "policy": f.policy} {
		if got := s.do(ask{method: "PUT", target: "/ruled?" + sub, body: body}); got.status/100 != 2 {
			s.t.Fatalf("put %s of a bucket: %d %s", sub, got.status, got.body)
		}
	}
	f.upload = s.want(200, "", ask{method: "POST", target: "/box/parts?uploads"}).between("UploadId")
	f.aborted = s.want(200, "", ask{method: "POST", target: "/box/aborted?uploads"}).between("UploadId")
	f.etag = strings.Trim(s.want(200, "", ask{method: "PUT", target: "/box/parts?partNumber=1&uploadId=" + f.upload, body: "c0ntent"}).header.Get("Etag"), `"`)
	return f
}

// goodForm is a form that stores box/form.
func (s *site) goodForm(version string, who *account.User) form {
	if version == "V2" {
		return form{fields: append(signV2(who, policy(time.Hour, inBox, anyKey)), "key", "form"), file: "c0ntent"}
	}
	fields, conditions := v4Fields(who)
	return form{fields: append(signV4(who, fields, policy(time.Hour, append(conditions, inBox, anyKey)...)), "key", "form"), file: "c0ntent"}
}
