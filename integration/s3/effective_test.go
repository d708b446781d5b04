package s3

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/internal/cluster"
)

// another returns the same site behind a gateway of another host, with caches of its own and a clock that the test sets.
func (s *site) another(w *watch) *site {
	s.t.Helper()
	other := *s
	var err error
	other.accounts, err = account.New(account.Options{Topology: s.topology, Key: make([]byte, account.KeyBytes), Now: w.read})
	s.must(err)
	other.gateway, err = gateway.New(gateway.Options{Topology: s.topology, Accounts: other.accounts, Clock: w.read, ServiceID: cluster.NewServiceID(cluster.TypeGateway, 2)})
	s.must(err)
	other.server = httptest.NewServer(other.gateway)
	s.t.Cleanup(other.server.Close)
	return &other
}

// TestChangesAreEffective: what one gateway changes about rights, every other one knows within five seconds of its own clock, and at once itself. Until then it may answer as before, from its caches.
func TestChangesAreEffective(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	ctx := t.Context()
	allow := func(b, who string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}`, who, b)
	}
	bobs := func() string { return fmt.Sprintf(`{"AWS":"arn:aws:iam::%s:root"}`, s.bob.ID) }
	dave := func() *account.User { // a user to lose
		u, err := s.accounts.Create(ctx, account.CreateOptions{Email: fmt.Sprintf("dave-%d@example.com", time.Now().UnixNano())})
		s.must(err)
		return &u
	}
	for i, tc := range []struct {
		name   string
		before func(b string) // so that the request is allowed
		who    *account.User  // nil = anonymous
		change func(b string, who *account.User)
	}{
		{"a policy is removed", func(b string) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: allow(b, bobs())})
		}, &s.bob,
			func(b string, _ *account.User) { s.want(204, "", ask{method: "DELETE", target: "/" + b + "?policy"}) }},
		{"a policy denies", func(b string) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: allow(b, `"*"`)})
		}, nil, func(b string, _ *account.User) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::%s/*"}]}`, b)})
		}},
		{"an object's list is made private", func(b string) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "/key?acl", header: []string{"X-Amz-Acl: public-read"}})
		}, nil, func(b string, _ *account.User) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "/key?acl", header: []string{"X-Amz-Acl: private"}})
		}},
		{"public lists are ignored", func(b string) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "/key?acl", header: []string{"X-Amz-Acl: public-read"}})
		}, nil, func(b string, _ *account.User) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "?publicAccessBlock", body: "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"})
		}},
		{"public buckets are restricted", func(b string) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: allow(b, `"*"`)})
		}, nil, func(b string, _ *account.User) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "?publicAccessBlock", body: "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"})
		}},
		{"lists lose their meaning", func(b string) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "/key?acl", header: []string{"X-Amz-Acl: public-read"}})
		}, nil, func(b string, _ *account.User) {
			s.want(200, "", ask{method: "PUT", target: "/" + b + "?ownershipControls", body: "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"})
		}},
		{"a key is revoked", func(b string) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: allow(b, `"*"`)})
		}, dave(), func(_ string, u *account.User) {
			s.must(s.accounts.RevokeKey(ctx, u.ID, u.Keys[0].AccessKey))
		}},
		{"a user is disabled", func(b string) {
			s.want(204, "", ask{method: "PUT", target: "/" + b + "?policy", body: allow(b, `"*"`)})
		}, dave(), func(_ string, u *account.User) {
			s.must(s.accounts.SetDisabled(ctx, u.ID, true))
		}},
	} {
		bucket := fmt.Sprintf("effect-%d", i)
		s.want(200, "", ask{method: "PUT", target: "/" + bucket})
		s.want(200, "", ask{method: "PUT", target: "/" + bucket + "/key", body: "body"})
		tc.before(bucket)
		w := &watch{now: time.Now()}
		other := s.another(w)
		get := ask{method: "GET", target: "/" + bucket + "/key", who: tc.who, anonymous: tc.who == nil}
		if got := other.do(get); got.status != 200 {
			t.Errorf("%s: before it: %d %s", tc.name, got.status, got.body)
		}
		tc.change(bucket, tc.who)
		if got := s.do(get); got.status != 403 {
			t.Errorf("%s: at the gateway that changed it: %d", tc.name, got.status)
		}
		other.do(get) // perhaps from its caches
		w.add(account.MaxTTL)
		if got := other.do(get); got.status != 403 {
			t.Errorf("%s: at another gateway %v later: %d", tc.name, account.MaxTTL, got.status)
		}
	}
}
