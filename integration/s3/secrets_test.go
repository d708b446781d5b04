package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/gateway"
	"ostor/gateway/account"
)

// lockedBuffer is a log that is read while the server still writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// TestSecretsStayInside makes every request of the samples by every way, good, bent and odd, with all logging on: no secret, no signature and no content gets into the logs or metrics.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 1)
	var logs lockedBuffer
	all := slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.metrics = prometheus.NewRegistry()
	gw, err := gateway.New(gateway.Options{Topology: s.topology, Accounts: s.accounts, Domains: []string{domain}, Logger: all, AccessLog: all, Metrics: s.metrics})
	s.must(err)
	s.server.Close()
	s.server = httptest.NewServer(gw)
	t.Cleanup(s.server.Close)
	samples := s.samples()
	var signatures []string
	for i := range samples {
		for _, w := range ways {
			for _, change := range []func(*site, way, *http.Request){nil, bendSignature, addCopySource} {
				if samples[i].method == "DELETE" && change == nil {
					continue // the others still need it
				}
				req := w.sign(s, samples[i].ask, &s.alice, time.Now())
				if change != nil {
					change(s, w, req)
				}
				q := req.URL.Query()
				for _, v := range []string{q.Get("X-Amz-Signature"), q.Get("Signature"), req.Header.Get("Authorization")} {
					if i := strings.LastIndexAny(strings.TrimRight(v, "="), "=:"); len(v) > 20 {
						signatures = append(signatures, v[i+1:])
					}
				}
				s.send(req)
			}
		}
	}
	s.do(s.goodForm("V4", &s.alice).ask("/box"))
	families, err := s.metrics.Gather()
	s.must(err)
	var text bytes.Buffer
	for _, f := range families {
		text.WriteString(f.String())
	}
	logs.mu.Lock()
	text.Write(logs.b.Bytes())
	logs.mu.Unlock()
	out := text.String()
	if strings.Count(out, `"msg":"request"`) < len(samples)*len(ways) {
		t.Fatalf("only %d requests were logged", strings.Count(out, `"msg":"request"`))
	}
	clusterKey := make([]byte, account.KeyBytes)
	secrets := append(signatures, s.alice.Keys[0].Secret, s.bob.Keys[0].Secret, "c0ntent", "s3cr3t", "alice@example.com", hex.EncodeToString(clusterKey), base64.StdEncoding.EncodeToString(clusterKey))
	for _, secret := range secrets {
		if i := strings.Index(out, secret); i >= 0 {
			t.Errorf("%q is in %q", secret, out[max(0, i-100):i+len(secret)])
		}
	}
	t.Logf("%d values looked for in %d bytes", len(secrets), len(out))
}

func addCopySource(_ *site, _ way, r *http.Request) { r.Header.Add("X-Amz-Copy-Source", "bobs/secret") }

// TestRevokedKeys: what was signed with a key that was revoked, or of a user who was disabled, is refused by the gateway that made the change at once; by others within
// account.MaxTTL (5 s), which is how long they may remember a key (gateway/account, TestRevokedWithin5s).
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	ctx := t.Context()
	second, err := s.accounts.GenerateKey(ctx, s.bob.ID)
	s.must(err)
	with := s.bob
	with.Keys = []account.KeyPair{second}
	list := func(status int, code string, u *account.User) {
		t.Helper()
		for _, w := range ways {
			if got := s.send(w.sign(s, ask{method: "GET", target: "/"}, u, time.Now())); got.status != status || got.code() != code {
				t.Errorf("%s: %d %s, want %d %s", w.name, got.status, got.code(), status, code)
			}
		}
	}
	list(200, "", &s.bob)
	list(200, "", &with)
	s.must(s.accounts.RevokeKey(ctx, s.bob.ID, s.bob.Keys[0].AccessKey))
	list(403, "InvalidAccessKeyId", &s.bob)
	list(200, "", &with)
	s.must(s.accounts.SetDisabled(ctx, s.bob.ID, true))
	list(403, "InvalidAccessKeyId", &with)
	s.must(s.accounts.SetDisabled(ctx, s.bob.ID, false))
	list(200, "", &with)
	list(200, "", &s.alice)
}

// TestUnknownKeyLooksLikeBadSignature: but for the code, one cannot be told from the other: the same headers, the same elements.
func TestUnknownKeyLooksLikeBadSignature(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, 1)
	shape := func(got answer) string {
		elements := slices.Sorted(maps.Keys(got.header))
		for part := range strings.SplitSeq(got.body, "<") {
			name, _, _ := strings.Cut(part, ">")
			elements = append(elements, name)
		}
		return http.StatusText(got.status) + strings.Join(elements, "<")
	}
	for _, w := range ways {
		var shapes []string
		for _, change := range []func(*site, way, *http.Request){bendSignature, func(s *site, _ way, r *http.Request) { replaceKey(s, r, "00000000000000ffZZZZ") }, func(s *site, _ way, r *http.Request) { replaceKey(s, r, "nonsense") }} {
			req := w.sign(s, ask{method: "GET", target: "/"}, &s.alice, time.Now())
			change(s, w, req)
			shapes = append(shapes, shape(s.send(req)))
		}
		if shapes[0] != shapes[1] || shapes[0] != shapes[2] {
			t.Errorf("%s: %q", w.name, shapes)
		}
	}
}
