package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"ostor/gateway/s3"
	"ostor/gateway/sigv2"
	"ostor/gateway/sigv4"
	"ostor/internal/cluster"
)

// postForm is a form on its way to an object.
type postForm struct {
	*s3.Form
	policy *s3.PostPolicy // nil of an anonymous form without one
}

// openForm reads the fields of a POST Object request, verifies the signature of its policy and checks the fields by it. It is the form's part of authenticate: afterwards the
// request is like a PUT of the key, with the fields as its headers and the file as its body. Headers and query of the request itself say nothing about the object, and may
// not be signed: one mechanism only.
func (c *call) openForm() error {
	r := c.r
	if len(r.Header["Authorization"]) > 0 || sigv4.InQuery(r) || sigv2.InQuery(r) {
		return invalidArgument("Only one auth mechanism allowed; a form is signed by its fields.")
	}
	form, err := s3.OpenForm(c.header("Content-Type"), r.ContentLength, r.Body, smallBodyBytes)
	if err != nil {
		return err
	}
	if form.Size > cluster.MaxPutBytes {
		return s3.TooLarge(form.Size, cluster.MaxPutBytes)
	}
	c.form = &postForm{Form: form}
	for i := range form.Fields { // before anything is compared with the policy: "All variables within the form are expanded prior to validating"
		switch f := &form.Fields[i]; f.Name {
		case "policy", "signature", "x-amz-signature":
		default:
			f.Value = strings.ReplaceAll(f.Value, "${filename}", form.FileName)
		}
	}
	if c.key = form.Get("key"); c.key == "" {
		return missingField("key")
	}
	if err := c.authenticateForm(); err != nil {
		c.sig, c.who = nil, principal{}
		return err
	}
	return c.formHeaders()
}

func missingField(name string) error {
	return badArgument(name, "", "Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.")
}

// The fields of a signed form by version, in the order in which S3 misses them.
var (
	formFieldsV4 = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "Policy"}
	formFieldsV2 = []string{"AWSAccessKeyId", "Signature", "Policy"}
)

// signed reports whether a form has one of the fields of a signature, the policy aside: nobody has signed a policy that stands alone. It returns an error when it has one but not all.
func (f *postForm) signed(fields []string) (bool, error) {
	var missing error
	any := false
	for _, name := range fields {
		switch {
		case f.Get(strings.ToLower(name)) == "":
			if missing == nil {
				missing = missingField(name)
			}
		case name != "Policy":
			any = true
		}
	}
	if !any {
		return false, nil
	}
	return true, missing
}

// verifyForm checks the signature of the form and returns nil for one that nobody signed.
func (c *call) verifyForm(now time.Time) (*s3.Signature, error) {
	v4, err4 := c.form.signed(formFieldsV4)
	v2, err2 := c.form.signed(formFieldsV2)
	switch {
	case v2 && v4:
		return nil, invalidArgument("Only one auth mechanism allowed.")
	case err4 != nil:
		return nil, err4
	case err2 != nil:
		return nil, err2
	case v2 && !c.g.sigV2():
		return nil, errNoSigV2
	case v4:
		return c.g.verifier.VerifyForm(c.r.Context(), c.form.Form, now, c.g.lookup)
	case v2:
		return sigv2.VerifyForm(c.r.Context(), c.form.Form, now, c.g.lookup)
	}
	return nil, nil
}

// authenticateForm finds out who signed the form's policy, and whether the policy allows its fields.
func (c *call) authenticateForm() error {
	form, now := c.form, c.g.clock()
	var err error
	if c.sig, err = c.verifyForm(now); err != nil {
		return err
	}
	if c.sig == nil {
		c.who.anonymous = true
		return nil
	}
	cred := &c.sig.Credential
	c.who = principal{user: cluster.UserID(cred.UserID), name: cred.Email}
	if form.policy, err = s3.ParsePostPolicy(form.Get("policy"), cluster.MaxPutBytes); err != nil {
		return err
	}
	fields := make([]s3.FormField, 0, len(form.Fields)+1)
	for _, f := range form.Fields {
		if f.Name != "bucket" {
			fields = append(fields, f)
		}
	}
	if err := form.policy.Check(append(fields, s3.FormField{Name: "bucket", Value: c.bucket}), now); err != nil {
		return err
	}
	if form.Size >= 0 {
		return form.policy.CheckSize(form.Size)
	}
	return nil
}

// formHeaders puts the fields that describe the object where those of a PUT are, in place of the headers of the request.
func (c *call) formHeaders() error {
	h := make(http.Header, len(c.form.Fields))
	for _, name := range []string{"Origin", "X-Amz-Expected-Bucket-Owner"} { // of the request, and for crossOrigin and authorize
		if v := c.r.Header[name]; v != nil {
			h[name] = v
		}
	}
	for _, f := range c.form.Fields {
		switch f.Name {
		case "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "content-md5", "expires":
		case "acl":
			f.Name = "x-amz-acl"
		case "tagging":
			tags, err := formTags(f.Value)
			if err != nil {
				return err
			}
			f.Name, f.Value = "x-amz-tagging", tags
		case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token", "x-amz-content-sha256", "x-amz-trailer":
			continue
		default:
			if !strings.HasPrefix(f.Name, "x-amz-") {
				continue
			}
		}
		if strings.ContainsFunc(f.Name+f.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return invalidArgument("The field " + f.Name + " has control characters.")
		}
		h[textproto.CanonicalMIMEHeaderKey(f.Name)] = []string{strings.TrimSpace(f.Value)}
	}
	c.r.Header = h
	return nil
}

// formTags turns the document of the field "tagging" into what x-amz-tagging holds.
func formTags(doc string) (string, error) {
	var t s3.Tagging
	if err := s3.DecodeXML(strings.NewReader(doc), maxSmallXML, &t); err != nil {
		return "", err
	}
	if t.TagSet == nil {
		return "", s3.ErrMalformedXML
	}
	if err := s3.CheckTags(t.TagSet.Tags, s3.MaxObjectTags); err != nil {
		return "", err
	}
	var b strings.Builder
	for i, tag := range t.TagSet.Tags {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(tag.Key) + "=" + url.QueryEscape(tag.Value))
	}
	return b.String(), nil
}

// postObject answers POST Object: the file becomes an object as by PutObject. The reply is what success_action_redirect or success_action_status asks for.
func (g *Gateway) postObject(c *call) error {
	if c.opened == nil {
		if err := c.formBody(); err != nil {
			return err
		}
	}
	e, err := g.createObject(c)
	if err != nil {
		return err
	}
	c.set("ETag", s3.QuoteETag(e.ETag))
	c.checksumHeaders(e.Checksum, 0)
	c.writtenVersion(&e)
	redirect := c.form.Get("success_action_redirect")
	if redirect == "" {
		redirect = c.form.Get("redirect")
	}
	// A value that is no URL counts as none.
	if u, err := url.Parse(redirect); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += "bucket=" + url.QueryEscape(c.bucket) + "&key=" + url.QueryEscape(c.key) + "&etag=" + url.QueryEscape(s3.QuoteETag(e.ETag))
		c.set("Location", u.String())
		return c.replyEmpty(http.StatusSeeOther)
	}
	location := c.location()
	c.set("Location", location)
	switch c.form.Get("success_action_status") {
	case "200":
		return c.replyEmpty(http.StatusOK)
	case "201":
		result := s3.PostResponse{Location: location, Bucket: c.bucket, Key: c.key, ETag: e.ETag}
		return c.replyXMLStatus(http.StatusCreated, result.Write)
	}
	return c.replyEmpty(http.StatusNoContent)
}

// formBody makes the file the body of the request.
func (c *call) formBody() error {
	size, file := c.form.Size, c.form.File()
	if size < 0 {
		b, err := c.form.ReadFile()
		if err != nil {
			return err
		}
		size, file = int64(len(b)), bytes.NewReader(b)
		if c.form.policy != nil {
			if err := c.form.policy.CheckSize(size); err != nil {
				return err
			}
		}
	}
	c.r.Body, c.r.ContentLength, c.r.TransferEncoding = io.NopCloser(file), size, nil
	return nil
}
