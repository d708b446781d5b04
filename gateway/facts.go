package gateway

import (
	"crypto/tls"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// facts are the condition keys of one question to a policy: those of the request, and those in which one of its parts (a copy's source, a key of DeleteObjects) differs.
type facts struct {
	c         *call
	version   string // of the object in question
	versioned bool   // version is given
	source    bool   // it is about the source of a copy: headers that speak of the new object do not belong to it
	bucket    cluster.BucketID
	owner     cluster.UserID // of the bucket
	key       string         // of the object in question, "" for the bucket
	listed    string         // the question is whether a listing may show this key: it is the prefix then

	looked   bool // existing is filled
	existing []s3.Tag
	err      error // of looking tags up: nobody gets in
}

// headerKeys are condition keys that are the value of a header of the request.
var headerKeys = map[string]string{
	"s3:x-amz-storage-class":             "X-Amz-Storage-Class",
	"s3:x-amz-acl":                       "X-Amz-Acl",
	"s3:x-amz-grant-full-control":        "X-Amz-Grant-Full-Control",
	"s3:x-amz-grant-read":                "X-Amz-Grant-Read",
	"s3:x-amz-grant-read-acp":            "X-Amz-Grant-Read-Acp",
	"s3:x-amz-grant-write":               "X-Amz-Grant-Write",
	"s3:x-amz-grant-write-acp":           "X-Amz-Grant-Write-Acp",
	"s3:x-amz-website-redirect-location": "X-Amz-Website-Redirect-Location",
	"s3:x-amz-metadata-directive":        "X-Amz-Metadata-Directive",
	"s3:x-amz-object-ownership":          "X-Amz-Object-Ownership",
	"s3:object-lock-mode":                "X-Amz-Object-Lock-Mode",
	"s3:object-lock-retain-until-date":   "X-Amz-Object-Lock-Retain-Until-Date",
	"s3:object-lock-legal-hold":          "X-Amz-Object-Lock-Legal-Hold",
	"s3:x-amz-server-side-encryption":    "X-Amz-Server-Side-Encryption",
	"s3:if-match":                        "If-Match",
	"s3:if-none-match":                   "If-None-Match",
}

// values returns the values of a condition key, nil when the request does not have it. It is a policy.Request's Condition.
func (f *facts) values(key string) []string {
	c := f.c
	if name, ok := headerKeys[key]; ok {
		if f.source {
			return nil
		}
		return one(c.header(name))
	}
	if name, ok := strings.CutPrefix(key, "s3:existingobjecttag/"); ok {
		if f.key == "" {
			return nil
		}
		return f.existingTag(name)
	}
	if strings.HasPrefix(key, "s3:requestobjecttag") {
		return f.requestTag(key)
	}
	switch key {
	case "s3:x-amz-copy-source":
		return c.copySourceFacts()
	case "s3:x-amz-content-sha256":
		return one(c.header("X-Amz-Content-Sha256"))
	case "s3:prefix", "s3:delimiter", "s3:max-keys":
		if f.listed != "" && key == "s3:prefix" {
			return []string{f.listed}
		}
		if c.key != "" {
			return nil
		}
		return given(c.query.lookup(key[len("s3:"):]))
	case "s3:versionid":
		return given(f.version, f.versioned)
	case "s3:locationconstraint":
		if c.bkt == nil {
			return nil
		}
		return one(c.g.locationOf(c.bkt))
	case "s3:resourceaccount", "aws:resourceaccount":
		return f.resourceAccount()
	case "s3:object-lock-remaining-retention-days":
		return c.retentionDays()
	case "s3:tlsversion":
		return c.tlsVersion()
	case "aws:securetransport":
		return []string{strconv.FormatBool(c.r.TLS != nil)}
	case "aws:sourceip":
		return c.sourceIP()
	case "aws:useragent":
		return one(c.header("User-Agent"))
	case "aws:referer":
		return one(c.header("Referer"))
	case "aws:currenttime":
		return []string{c.g.clock().UTC().Format(time.RFC3339)}
	case "aws:epochtime":
		return []string{strconv.FormatInt(c.g.clock().Unix(), 10)}
	}
	return c.signatureFacts(key)
}

// resourceAccount is the owner of the bucket in question.
func (f *facts) resourceAccount() []string {
	if f.owner == 0 {
		return nil
	}
	return []string{f.owner.String()}
}

func one(v string) []string { return given(v, v != "") }

func given(v string, ok bool) []string {
	if !ok {
		return nil
	}
	return []string{v}
}

// signatureFacts returns what the signature says: how the request was signed, when, and by whom.
func (c *call) signatureFacts(key string) []string {
	if c.sig == nil {
		switch key {
		case "aws:principaltype":
			return []string{"Anonymous"}
		case "aws:userid":
			return []string{"anonymous"}
		}
		return nil
	}
	switch key {
	case "s3:authtype":
		if c.form != nil {
			return []string{"POST"}
		}
		if c.sig.Presigned {
			return []string{"REST-QUERY-STRING"}
		}
		return []string{"REST-HEADER"}
	case "s3:signatureversion":
		if c.sig.Version == 2 {
			return []string{"AWS"}
		}
		return []string{"AWS4-HMAC-SHA256"}
	case "s3:signatureage":
		// Version 2 does not say when a URL or a form was signed, only until when it is good: it has the age that no policy with a limit means to let in.
		if c.sig.Version == 2 && (c.sig.Presigned || c.form != nil) {
			return []string{"9223372036854775807"}
		}
		return []string{strconv.FormatInt(max(c.g.clock().Sub(c.sig.Time).Milliseconds(), 0), 10)}
	case "aws:userid", "aws:principalaccount":
		return []string{c.who.user.String()}
	case "aws:username":
		return one(c.who.name)
	case "aws:principalarn":
		return []string{"arn:aws:iam::" + c.who.user.String() + ":root"}
	case "aws:principaltype":
		return []string{"Account"}
	}
	return nil
}

// sourceIP is the address of the connection. Headers that claim another one (X-Forwarded-For) are anybody's to write.
func (c *call) sourceIP() []string {
	if a, err := netip.ParseAddrPort(c.r.RemoteAddr); err == nil {
		return []string{a.Addr().Unmap().WithZone("").String()}
	}
	return nil
}

func (c *call) tlsVersion() []string {
	if c.r.TLS == nil {
		return nil
	}
	switch c.r.TLS.Version {
	case tls.VersionTLS10:
		return []string{"1.0"}
	case tls.VersionTLS11:
		return []string{"1.1"}
	case tls.VersionTLS12:
		return []string{"1.2"}
	case tls.VersionTLS13:
		return []string{"1.3"}
	}
	return nil
}

// copySourceFacts is x-amz-copy-source as it is understood, decoded, without version: so that another spelling is no way around a policy. It is there with and without the first
// slash, for policies are written both ways.
func (c *call) copySourceFacts() []string {
	v := c.header("X-Amz-Copy-Source")
	if v == "" {
		return nil
	}
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "/"), "?versionId=")
	if path, err := url.PathUnescape(v); err == nil {
		v = path
	}
	return []string{v, "/" + v}
}

// retentionDays is how many whole days, rounded up, an object written by the request stays locked.
func (c *call) retentionDays() []string {
	t, err := time.Parse(time.RFC3339, c.header("X-Amz-Object-Lock-Retain-Until-Date"))
	if err != nil {
		return nil
	}
	const day = 24 * time.Hour
	return []string{strconv.FormatInt(int64(max(t.Sub(c.g.clock())+day-1, 0)/day), 10)}
}

// existingTag returns the tag of the object in question. The object is looked up when a policy asks for the first time.
func (f *facts) existingTag(name string) []string {
	if !f.looked {
		f.looked = true
		r := cluster.LookupRequest{Bucket: f.bucket, Key: f.key}
		if f.versioned && parseVersion(f.version, &r) != nil {
			return nil
		}
		ns, err := f.c.g.topology.NameServerFor(f.bucket, f.key)
		if err != nil {
			f.err = err
			return nil
		}
		e, err := ns.Lookup(f.c.r.Context(), r)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			f.err = err
			return nil
		}
		f.existing, f.err = decodeTags(attr(e.Attrs, cluster.AttrTags))
	}
	for _, t := range f.existing {
		if strings.EqualFold(t.Key, name) {
			return []string{t.Value}
		}
	}
	return nil
}

// requestTag returns what a tag key of the request says: of x-amz-tagging, or of the document of PutObjectTagging.
func (f *facts) requestTag(key string) []string {
	tags, err := f.c.givenTags, error(nil)
	if f.c.op != opPutObjectTagging {
		tags, err = s3.ParseTagging(f.c.header("X-Amz-Tagging"))
	}
	if err != nil || f.source {
		return nil // the operation will refuse it
	}
	var out []string
	for _, t := range tags {
		if key == "s3:requestobjecttagkeys" {
			out = append(out, t.Key)
		} else if strings.EqualFold(t.Key, strings.TrimPrefix(key, "s3:requestobjecttag/")) {
			return []string{t.Value}
		}
	}
	return out
}
