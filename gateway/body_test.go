package gateway

import (
	"net/http"
	"testing"
)

// TestBodyTakenAway sends the signed creation of a bucket without the configuration that was signed with it.
func TestBodyTakenAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/box", nil)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := s.gateway.lookup(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	sign(req, "/box", "", alice, cred, "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // nothing of it is wanted
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	s.want(404, "NoSuchBucket", ask{method: "GET", target: "/box"})
	s.want(400, "BadDigest", ask{method: "PUT", target: "/box", header: []string{"Content-MD5: N7UdGUp1E+RbVvZSTy1R8g=="}})
}
