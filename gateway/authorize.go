package gateway

import (
	"context"
	"errors"

	"ostor/gateway/acl"
	"ostor/gateway/policy"
	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// access decides what an operation needs before it runs: which bucket record, and who may.
type access uint8

const (
	accessBucket  access = iota // the bucket must exist, and the caller must be allowed to do the operation there
	accessAccount               // the operation is on the account itself: any user, never anonymous
)

func (o operation) access() access {
	switch o {
	case opListBuckets, opCreateBucket:
		return accessAccount
	}
	return accessBucket
}

// fromCache reports whether an operation may begin with a bucket record of the cache. Those that read a body that cannot be read again may not: for them there is no second attempt.
// HeadBucket and what shows the record itself must not.
func (c *call) fromCache() bool {
	switch c.op {
	case opGetObject, opHeadObject, opDeleteObject, opListObjects, opListObjectsV2, opGetObjectACL, opGetObjectTagging, opListParts, opAbortMultipartUpload:
		return true
	case opPutObject, opUploadPart:
		return c.r.ContentLength >= 0 && c.r.ContentLength <= smallBodyBytes
	}
	return false
}

// enter finds the bucket and authorises the operation.
func (c *call) enter(ctx context.Context) error {
	if c.op.access() == accessAccount {
		if c.who.anonymous {
			return s3.ErrAccessDenied
		}
		return nil
	}
	if err := s3.CheckBucketName(c.bucket); err != nil {
		return err
	}
	if c.key != "" {
		if err := s3.CheckKey(c.key); err != nil {
			return err
		}
	}
	var err error
	if c.fromCache() {
		c.bkt, err = c.g.bucket(ctx, c.bucket)
	} else {
		c.bkt, err = c.g.freshBucket(ctx, c.bucket)
		c.fresh = true
	}
	if err != nil {
		return err
	}
	return c.authorize()
}

// verdict is what can be said of a request before its object is looked at.
type verdict uint8

const (
	denied   verdict = iota
	allowed          //
	byObject         // the object's owner and list decide: call.checkEntry
	byUpload         // whoever began the upload may: call.checkUpload
)

// authorize decides whether the caller may do the request's operation in its bucket. DeleteObjects is decided key by key (authorizeKey).
func (c *call) authorize() error {
	if expected := c.header("X-Amz-Expected-Bucket-Owner"); expected != "" && expected != c.bkt.Owner.String() {
		return s3.ErrAccessDenied
	}
	var err error
	if c.rules, err = c.g.rulesOf(c.bkt); err != nil {
		return err
	}
	if err := c.confirmPayer(c.rules, c.bkt); err != nil {
		return err
	}
	if c.op == opDeleteObjects {
		return c.authorizeDeletes()
	}
	a := c.action()
	version, versioned := c.query.lookup("versionId")
	if c.key == "" {
		versioned = false
	}
	f := facts{c: c, version: version, versioned: versioned, bucket: c.bkt.ID, key: c.key}
	c.verdict, err = c.judge(c.rules, c.bkt, a, f)
	if err != nil {
		return err
	}
	if c.verdict == denied {
		return s3.ErrAccessDenied
	}
	if a.always && c.who.user != c.bkt.Owner {
		return s3.ErrMethodNotAllowed // who may, but is not the owner (PutBucketPolicy)
	}
	return c.besides(f)
}

// confirmPayer asks of everybody but the owner of a bucket with Requester Pays the word that he pays, whatever else he may ("Using Requester Pays general purpose buckets"). Nobody is
// billed here: the setting keeps those out who do not know what they ask for.
func (c *call) confirmPayer(r *rules, b *cluster.Bucket) error {
	if !r.requester || !c.who.anonymous && c.who.user == b.Owner {
		return nil
	}
	if c.who.anonymous || c.header("X-Amz-Request-Payer") != "requester" {
		return s3.ErrAccessDenied
	}
	c.set("x-amz-request-charged", "requester")
	return nil
}

// judge decides about one action: an explicit Deny, then an Allow of the policy, then ownership, then the bucket's list. It returns an error when the facts could not be found.
func (c *call) judge(r *rules, b *cluster.Bucket, a action, f facts) (verdict, error) {
	owner := !c.who.anonymous && c.who.user == b.Owner
	if r.policy != nil && a.name != "" && !(owner && a.always) {
		if c.op == opPutObjectTagging && r.policy.NeedsRequestTags() {
			if _, err := c.requestedTags(); err != nil {
				return denied, err
			}
		}
		d, err := r.decide(c.who, b, a.of(f.versioned), f)
		switch {
		case err != nil:
			return denied, err
		case d == policy.Deny:
			return denied, nil
		case d == policy.Allow && (owner || !r.public || !r.has(restrictPublicBuckets)):
			return allowed, nil
		}
	}
	lists := r.ownership != bucketOwnerEnforced
	if owner && lists && r.revoked() && (a.bucket == acl.Read || a.bucket == acl.Write) {
		return denied, nil
	}
	switch {
	case owner && (a.object == 0 || !lists):
		return allowed, nil
	case lists && a.bucket != 0 && !(a.of(f.versioned) == "s3:DeleteObjectVersion") && r.listOf(b).Allows(r.caller(c.who), a.bucket):
		return allowed, nil
	case lists && a.object != 0:
		return byObject, nil
	case a.initiator && !c.who.anonymous:
		return byUpload, nil
	}
	return denied, nil
}

// decide asks the bucket's policy.
func (r *rules) decide(who principal, b *cluster.Bucket, name string, given facts) (policy.Decision, error) {
	f := new(facts) // here, so that a bucket without a policy costs no allocation
	*f = given
	f.owner = b.Owner
	q := policy.Request{Action: name, Resource: b.Name, Condition: f.values}
	if f.key != "" {
		q.Resource = b.Name + "/" + f.key
	}
	if !who.anonymous {
		q.User = who.user.String()
	}
	d := r.policy.Decide(&q)
	return d, f.err
}

// besides asks for what the request does besides its operation: a Deny of the action that would do it alone holds here too. A lock needs an Allow as well: who may only write
// into somebody's bucket could fill it with what nobody can delete for a hundred years.
func (c *call) besides(f facts) error {
	if c.key == "" {
		return nil
	}
	h := c.r.Header
	for _, also := range []struct {
		asked, needed bool
		name          string
	}{
		{c.givesACL(), false, "s3:PutObjectAcl"},
		{h["X-Amz-Tagging"] != nil, false, "s3:PutObjectTagging"},
		{h["X-Amz-Object-Lock-Mode"] != nil || h["X-Amz-Object-Lock-Retain-Until-Date"] != nil, true, "s3:PutObjectRetention"},
		{h["X-Amz-Object-Lock-Legal-Hold"] != nil, true, "s3:PutObjectLegalHold"},
	} {
		var refused bool
		var err error
		switch {
		case !also.asked:
		case also.needed:
			var v verdict
			v, err = c.judge(c.rules, c.bkt, action{name: also.name}, f)
			refused = v != allowed
		case c.rules.policy != nil:
			var d policy.Decision
			d, err = c.rules.decide(c.who, c.bkt, also.name, f)
			refused = d == policy.Deny
		}
		if err != nil {
			return err
		}
		if refused {
			return s3.ErrAccessDenied
		}
	}
	return nil
}

// mayAsWell reports whether the caller may do another operation on the object of the request: what it would show can be left out of the reply. It is for operations that no list gives.
func (c *call) mayAsWell(o operation) (bool, error) {
	version, versioned := c.query.lookup("versionId")
	v, err := c.judge(c.rules, c.bkt, actions[o], facts{c: c, version: version, versioned: versioned, bucket: c.bkt.ID, key: c.key})
	return v == allowed, err
}

// authorizeDeletes refuses a DeleteObjects of somebody who cannot have a right to any key: without a policy, the bucket's list is the same for all of them.
func (c *call) authorizeDeletes() error {
	if c.rules.policy != nil {
		return nil
	}
	return c.authorizeKey("", "")
}

// authorizeKey decides about one key of DeleteObjects, which it does as DeleteObject would. It may run beside others.
func (c *call) authorizeKey(key, version string) error {
	f := facts{c: c, version: version, versioned: version != "", bucket: c.bkt.ID, key: key}
	v, err := c.judge(c.rules, c.bkt, actions[opDeleteObject], f)
	if err == nil && v != allowed {
		err = s3.ErrAccessDenied
	}
	return err
}

// authorizeSource reads the record of a copy's source bucket and decides whether the caller may read the source.
func (c *call) authorizeSource(src *copySource, version string) error {
	if src.bucket == c.bucket {
		src.record = c.bkt
	} else {
		// Always read anew: a copy costs far more, and a deleted bucket needs no second attempt.
		b, err := c.g.freshBucket(c.r.Context(), src.bucket)
		if err != nil {
			return sourceError(err)
		}
		src.record = b
	}
	if expected := c.header("X-Amz-Source-Expected-Bucket-Owner"); expected != "" && expected != src.record.Owner.String() {
		return s3.ErrAccessDenied
	}
	src.request.Bucket = src.record.ID
	var err error
	if src.rules, err = c.g.rulesOf(src.record); err != nil {
		return err
	}
	if err := c.confirmPayer(src.rules, src.record); err != nil {
		return err
	}
	src.facts = facts{c: c, version: version, versioned: src.versioned, source: true, bucket: src.record.ID, key: src.key}
	src.verdict, err = c.judge(src.rules, src.record, actions[opGetObject], src.facts)
	if err == nil && src.verdict == denied {
		err = s3.ErrAccessDenied
	}
	return err
}

// authorizeTags decides whether a copy may take the tags of its source along: they are read there, which s3:GetObject does not give, and written here.
func (c *call) authorizeTags(src *copySource) error {
	v, err := c.judge(src.rules, src.record, actions[opGetObjectTagging], src.facts)
	if err == nil && v == allowed && c.rules.policy != nil {
		var d policy.Decision
		if d, err = c.rules.decide(c.who, c.bkt, actions[opPutObjectTagging].name, facts{c: c, bucket: c.bkt.ID, key: c.key}); d == policy.Deny {
			v = denied
		}
	}
	if err == nil && v != allowed {
		err = s3.ErrAccessDenied
	}
	return err
}

// checkEntry decides what the request's verdict left to the object that was found.
func (c *call) checkEntry(e *cluster.Entry) error {
	return checkEntry(c.verdict, c.rules, c.who, c.action().object, e)
}

func checkEntry(v verdict, r *rules, who principal, p acl.Permission, e *cluster.Entry) error {
	if v != byObject {
		return nil
	}
	if !who.anonymous && who.user == e.Owner && (p == acl.ReadACP || p == acl.WriteACP || attr(e.Attrs, cluster.AttrACL) == nil) {
		return nil // an owner cannot shut himself out
	}
	list, err := objectList(e)
	if err == nil && !list.Allows(r.caller(who), p) {
		err = s3.ErrAccessDenied
	}
	return err
}

// checkUpload decides what the verdict left to the upload.
func (c *call) checkUpload(ctx context.Context, ns cluster.NameServer, id cluster.UploadID) error {
	if c.verdict != byUpload {
		return nil
	}
	u, err := ns.GetUpload(ctx, c.bkt.ID, c.key, id)
	if fault.KindOf(err) == fault.NoUpload || err == nil && u.Owner != c.who.user {
		return s3.ErrAccessDenied // which uploads there are is not everybody's to know
	}
	return err
}

// hidden makes of the error of a missing key what the caller may know: who may not list the bucket is not told what is not in it.
func (c *call) hidden(err error) error {
	return c.hiddenIn(c.rules, c.bkt, c.key, err)
}

func (c *call) hiddenIn(r *rules, b *cluster.Bucket, key string, err error) error {
	if !errors.Is(err, s3.ErrNoSuchKey) && !errors.Is(err, s3.ErrNoSuchVersion) && !errors.Is(err, s3.ErrMethodNotAllowed) {
		return err
	}
	v, jerr := c.judge(r, b, actions[opListObjects], facts{c: c, bucket: b.ID, listed: key})
	if jerr != nil {
		return jerr
	}
	if v != allowed {
		c.errorHeaders = nil // of a delete marker
		return s3.ErrAccessDenied
	}
	return err
}
