package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAccessLogHoldsNoSecret sends signatures, tokens and keys in every place that a request has for them, good ones and bad ones. What is as good as a password must not be in any log.
func TestAccessLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	var logged bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.gateway.accessLog, s.gateway.log = log, log
	s.want(200, "", ask{method: "PUT", target: "/box"})
	const leak = "5ec7e7"
	sig := strings.Repeat(leak, 10)
	now := time.Now().UTC()
	v4 := url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {alice + "/" + now.Format("20060102") + "/us-east-1/s3/aws4_request"}, "X-Amz-Date": {now.Format("20060102T150405Z")},
		"X-Amz-Expires": {"600"}, "X-Amz-SignedHeaders": {"host"}, "X-Amz-Signature": {sig + "5ec7"}, "X-Amz-Security-Token": {leak + "token"}}.Encode()
	v2 := url.Values{"AWSAccessKeyId": {alice}, "Expires": {"9999999999"}, "Signature": {base64.StdEncoding.EncodeToString([]byte(leak + leak + leak + "xx"))}}.Encode()
	for _, target := range []string{"/box/key?" + v4, "/box/key?" + v2, "/box/key?" + v4 + "&" + v2, "/box/" + strings.Repeat("k", 2000) + "?" + v4} {
		for _, header := range [][]string{nil, {"Authorization: AWS " + alice + ":" + sig}, {"Authorization: AWS4-HMAC-SHA256 Credential=" + alice + ", Signature=" + sig}, {"X-Amz-Security-Token: " + leak}, {"Cookie: " + leak}, {"Referer: http://x/?sig=" + leak},
			{"User-Agent: " + strings.Repeat("agent", 100)}} {
			s.do(ask{method: "GET", target: target, key: "-", header: header})
			s.do(ask{method: "PUT", target: target, key: "-", header: header, body: leak})
		}
	}
	s.want(200, "", ask{method: "PUT", target: "/box/key", body: leak, header: []string{"X-Amz-Meta-Secret: " + leak}})
	text := regexp.MustCompile(`"request_id":"[0-9a-f]{32}"`).ReplaceAllString(logged.String(), `"request_id":""`) // random: it may hold the same six digits
	for _, secret := range []string{leak, base64.StdEncoding.EncodeToString([]byte(leak + leak + leak))[:20], "alice's secret", "Signature="} {
		if strings.Contains(text, secret) {
			i := strings.Index(text, secret)
			t.Errorf("%q is in the log: ...%s...", secret, text[max(0, i-200):min(len(text), i+100)])
		}
	}
	records := 0
	for line := range strings.SplitSeq(strings.TrimSpace(logged.String()), "\n") {
		var r struct {
			Msg, Code, Key, Operation string
			RequestID                 string `json:"request_id"`
			UserAgent                 string `json:"user_agent"`
			Status                    int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Msg != "request" {
			continue
		}
		records++
		if len(r.RequestID) != 32 || r.Status == 0 || (r.Status >= 400) != (r.Code != "") || len(r.UserAgent) > maxAgent || len(r.Key) > maxLogged {
			t.Errorf("record %s", line)
		}
	}
	if records != 1+4*7*2+1 {
		t.Errorf("%d records of %d requests", records, 1+4*7*2+1)
	}
}
