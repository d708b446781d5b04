package policy

import "strings"

// keys are the condition keys that a policy may name, in lower case: those of Appendix D of the product's guide, those of the operations that came later, and the global ones
// that a request here can have.
var keys = func() map[string]bool {
	m := make(map[string]bool)
	for _, k := range []string{
		"s3:x-amz-storage-class", "s3:x-amz-acl", "s3:x-amz-grant-full-control", "s3:x-amz-grant-read", "s3:x-amz-grant-read-acp", "s3:x-amz-grant-write", "s3:x-amz-grant-write-acp",
		"s3:x-amz-copy-source", "s3:TlsVersion", "s3:x-amz-content-sha256", "s3:signatureversion", "s3:signatureAge", "s3:authType", "s3:x-amz-website-redirect-location",
		"s3:object-lock-mode", "s3:object-lock-retain-until-date", "s3:object-lock-legal-hold", "s3:object-lock-remaining-retention-days", "s3:prefix", "s3:versionid",
		"s3:max-keys", "s3:locationconstraint", "aws:SourceIp",

		"s3:delimiter", "s3:x-amz-metadata-directive", "s3:x-amz-server-side-encryption", "s3:ResourceAccount", "aws:ResourceAccount", "aws:PrincipalAccount", "s3:if-match", "s3:if-none-match", "s3:x-amz-object-ownership", "s3:RequestObjectTagKeys",
		"aws:CurrentTime", "aws:EpochTime", "aws:PrincipalArn", "aws:PrincipalType", "aws:Referer", "aws:SecureTransport", "aws:UserAgent", "aws:userid", "aws:username",
	} {
		m[strings.ToLower(k)] = true
	}
	return m
}()

// Keys with a name of the user's behind a slash: tags.
var keyFamilies = []string{"s3:existingobjecttag/", "s3:requestobjecttag/"}

func keyKnown(lower string) bool {
	if keys[lower] {
		return true
	}
	for _, f := range keyFamilies {
		if strings.HasPrefix(lower, f) && len(lower) > len(f) {
			return true
		}
	}
	return false
}

// NeedsObjectTags reports whether a decision by the policy can depend on the tags that the object has (s3:ExistingObjectTag/...).
func (p *Policy) NeedsObjectTags() bool { return p.uses("s3:existingobjecttag/") }

// NeedsRequestTags reports whether a decision by the policy can depend on tags that come with the request.
func (p *Policy) NeedsRequestTags() bool { return p.uses("s3:requestobjecttag") }

func (p *Policy) uses(prefix string) bool {
	uses := func(pat pattern) bool {
		for _, v := range pat.parts {
			if v.kind == partVariable && strings.HasPrefix(v.text, prefix) {
				return true
			}
		}
		return false
	}
	for i := range p.statements {
		s := &p.statements[i]
		for _, r := range s.resources {
			if uses(r) {
				return true
			}
		}
		for j := range s.conditions {
			c := &s.conditions[j]
			if strings.HasPrefix(c.key, prefix) {
				return true
			}
			for k := range c.operands {
				if o := &c.operands[k]; uses(o.pat) || o.yes && strings.Contains(strings.ToLower(o.bytes), prefix) {
					return true
				}
			}
		}
	}
	return false
}
