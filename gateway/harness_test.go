package gateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
)

// site is a gateway over a fake cluster behind a real HTTP server.
type site struct {
	t       *testing.T
	cluster *fakeCluster
	gateway *Gateway
	url     string
	metrics *prometheus.Registry
}

const (
	alice = "AKALICE"
	bob   = "AKBOB"
)

func newSite(t *testing.T, names int) *site {
	t.Helper()
	s := &site{t: t, cluster: newFake(names), metrics: prometheus.NewRegistry()}
	users := fakeAccounts{
		alice: {AccessKey: alice, Secret: "alice's secret", UserID: 0xa11ce},
		bob:   {AccessKey: bob, Secret: "bob's secret", UserID: 0xb0b},
	}
	var err error
	s.gateway, err = New(Options{Topology: s.cluster, Accounts: users, Domains: []string{"s3.example.com"}, Metrics: s.metrics, ServiceID: cluster.NewServiceID(cluster.TypeGateway, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.gateway)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// ask is a request of a test. target is the escaped path and query.
type ask struct {
	method, target string
	host           string // "" = the server's
	key            string // access key; "" = alice, "-" = anonymous
	header         []string
	body           string
}

// answer is the reply.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	var e struct{ Code string }
	_ = xml.Unmarshal([]byte(a.body), &e) // "" when it is no error document
	return e.Code
}

// do signs and sends a request with the path exactly as given.
func (s *site) do(a ask) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), a.method, s.url, bytes.NewReader([]byte(a.body)))
	if err != nil {
		s.t.Fatal(err)
	}
	path, query, _ := strings.Cut(a.target, "?")
	req.URL.Opaque = path // sent as it is
	req.URL.RawQuery = query
	if a.host != "" {
		req.Host = a.host
	}
	for _, h := range a.header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	if a.key != "-" {
		if a.key == "" {
			a.key = alice
		}
		cred, _ := s.gateway.lookup(s.t.Context(), a.key)
		sign(req, path, query, a.key, cred, a.body)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", a.method, a.target, err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end or to its error
	if err != nil {
		return answer{resp.StatusCode, resp.Header, "cut off: " + err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// want sends a request and checks status and, for errors, the code.
func (s *site) want(status int, code string, a ask) answer {
	s.t.Helper()
	got := s.do(a)
	if got.status != status || got.code() != code {
		s.t.Errorf("%s %s: got %d %s, want %d %s\n%s", a.method, a.target, got.status, got.code(), status, code, got.body)
	}
	return got
}

// sign is an independent, plain SigV4 signer.
func sign(r *http.Request, path, query, key string, cred s3.Credential, body string) {
	now := time.Now().UTC()
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	lines := map[string]string{"host": host}
	for name, v := range r.Header {
		lines[strings.ToLower(name)] = strings.Join(v, ",")
	}
	names := make([]string, 0, len(lines))
	for n := range lines {
		names = append(names, n)
	}
	slices.Sort(names)
	var canonical strings.Builder
	decoded, _ := url.PathUnescape(path)
	canonical.WriteString(r.Method + "\n" + escapeSigned(decoded, true) + "\n" + canonicalQuery(query) + "\n")
	for _, n := range names {
		canonical.WriteString(n + ":" + strings.TrimSpace(lines[n]) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + hex.EncodeToString(sum[:]))
	scope := now.Format("20060102") + "/us-east-1/s3/aws4_request"
	hashed := sha256.Sum256([]byte(canonical.String()))
	text := "AWS4-HMAC-SHA256\n" + now.Format("20060102T150405Z") + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	mac := []byte("AWS4" + cred.Secret)
	for _, part := range append(strings.Split(scope, "/"), text) {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(mac))
}

func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		name, value, _ := strings.Cut(p, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		parts[i] = escapeSigned(name, false) + "=" + escapeSigned(value, false)
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

func escapeSigned(s string, slash bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 || slash && c == '/' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
