package gateway

import (
	"testing"
)

// TestNoSigV2: where version 2 is switched off it is refused before a key is looked up, in every place that it can be in.
func TestNoSigV2(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.want(200, "", ask{method: "PUT", target: "/box"})
	form := "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"AWSAccessKeyId\"\r\n\r\n" + alice +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\ne30=\r\n--b\r\nContent-Disposition: form-data; name=\"signature\"\r\n\r\nAAAA\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbody\r\n--b--\r\n"
	asks := []ask{
		{method: "GET", target: "/box/key", key: "-", header: []string{"Authorization: AWS " + alice + ":c2lnbmF0dXJl", "Date: Tue, 27 Mar 2007 19:36:42 +0000"}},
		{method: "GET", target: "/box/key?AWSAccessKeyId=" + alice + "&Expires=9999999999&Signature=c2lnbmF0dXJl", key: "-"},
		{method: "POST", target: "/box", key: "-", body: form, header: []string{"Content-Type: multipart/form-data; boundary=b"}},
	}
	for _, a := range asks {
		if got := s.do(a); got.status != 403 && got.status != 400 || got.code() == "InvalidRequest" {
			t.Errorf("switched on, %s %s: %d %s %s", a.method, a.target, got.status, got.code(), got.body)
		}
	}
	s.gateway.sigV2 = func() bool { return false }
	for _, a := range asks {
		s.want(400, "InvalidRequest", a)
	}
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: "version 4 goes on"})
}
