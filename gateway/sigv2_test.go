package gateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"ostor/gateway/sigv2"
)

// TestVersion2SignsSubresources: version 2 signs only the parameters on a list, so every sub-resource that makes another operation of a request has to be on it. Otherwise the URL
// of a download could be made one of the policy by whoever got it.
func TestVersion2SignsSubresources(t *testing.T) {
	t.Parallel()
	now := time.Unix(1175139000, 0)
	lookup := fakeAccounts{alice: {AccessKey: alice, Secret: "alice's secret", UserID: 1}}.Lookup
	verify := func(method, target, query string) error {
		mac := hmac.New(sha1.New, []byte("alice's secret"))
		mac.Write([]byte(method + "\n\n\n1175139620\n" + target))
		r := httptest.NewRequest(method, target+"?AWSAccessKeyId="+alice+"&Expires=1175139620&Signature="+url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))+query, http.NoBody)
		_, err := sigv2.Verify(r, now, "", lookup)
		return err
	}
	for target, table := range map[string]map[string]verbs{"/box": bucketVerbs, "/box/key": objectVerbs} {
		for name, v := range table {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				op := v.of(method)
				if name == "" || op == opNone || op == opNotImplemented {
					continue
				}
				if err := verify(method, target, ""); err != nil {
					t.Fatalf("as signed: %v", err)
				}
				if err := verify(method, target, "&"+name); err == nil {
					t.Errorf("%s %s becomes %s by adding %s", method, target, op, name)
				}
			}
		}
	}
	for _, o := range overrides {
		if verify("GET", "/box/key", "&"+o.param+"=x") == nil {
			t.Errorf("%s can be added", o.param)
		}
	}
	for _, name := range []string{"versionId", "partNumber"} {
		if verify("GET", "/box/key", "&"+name+"=1") == nil {
			t.Errorf("%s can be added", name)
		}
	}
}
