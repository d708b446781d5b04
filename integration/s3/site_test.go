package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/prometheus/client_golang/prometheus"

	"ostor/discovery"
	"ostor/fsbackend/memfs"
	"ostor/fsbackend/store"
	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/nameserver"
	"ostor/objserver"
)

// site is a cluster on a file system in memory, with a gateway behind a real HTTP server and three users.
type site struct {
	t                 testing.TB
	fs                *memfs.FS
	names             []*nameserver.Server
	objects           []*objserver.Server
	topology          *discovery.Topology
	accounts          *account.Accounts
	gateway           *gateway.Gateway
	server            *httptest.Server
	metrics           *prometheus.Registry
	alice, bob, carol account.User
}

// owner is a right to write that lasts.
type owner struct{ t testing.TB }

func (owner) Generation() uint64       { return 1 }
func (owner) Inherits() (uint64, bool) { return 0, false }
func (owner) Check() error             { return nil }
func (o owner) Fail(err error)         { o.t.Errorf("a service lost its right to write: %v", err) }

const domain = "s3.example.com"

func newSite(t testing.TB, names, objects int) *site {
	t.Helper()
	return newOwnedSite(t, names, objects, func(*site, string) store.Owner { return owner{t} })
}

// newOwnedSite asks own for the right to each service's directory.
func newOwnedSite(t testing.TB, names, objects int, own func(s *site, dir string) store.Owner) *site {
	t.Helper()
	s := &site{t: t, fs: memfs.New(), metrics: prometheus.NewRegistry()}
	ctx := t.Context()
	log := slog.New(slog.NewTextHandler(testLog{}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	v, err := discovery.CreateVolume(s.fs, discovery.VolumeSpec{Names: names, Objects: objects})
	s.must(err)
	s.topology, err = discovery.New(discovery.Options{FS: s.fs, Volume: v.ID})
	s.must(err)
	// Run last: after the HTTP server has ended.
	t.Cleanup(s.close)
	for _, id := range v.Objects() {
		s.mkdirs(discovery.ServiceDir(id))
		o, err := objserver.Open(ctx, objserver.Options{FS: s.fs, Dir: discovery.ServiceDir(id), Owner: own(s, discovery.ServiceDir(id)), ID: id, Logger: log})
		s.must(err)
		s.objects = append(s.objects, o)
		s.topology.SetLocalObject(id, o)
	}
	for _, id := range v.Names {
		s.mkdirs(discovery.ServiceDir(id))
		n, err := nameserver.Open(ctx, nameserver.Options{FS: s.fs, Dir: discovery.ServiceDir(id), Owner: own(s, discovery.ServiceDir(id)), Objects: s.topology, GarbageDelay: -1, Logger: log})
		s.must(err)
		s.names = append(s.names, n)
		s.topology.SetLocalName(id, n)
	}
	s.accounts, err = account.New(account.Options{Topology: s.topology, Key: make([]byte, account.KeyBytes)})
	s.must(err)
	for _, u := range []struct {
		user  *account.User
		email string
	}{{&s.alice, "alice@example.com"}, {&s.bob, "bob@example.com"}, {&s.carol, "carol@example.com"}} {
		*u.user, err = s.accounts.Create(ctx, account.CreateOptions{Email: u.email})
		s.must(err)
	}
	gw, err := gateway.New(gateway.Options{Topology: s.topology, Accounts: s.accounts, Domains: []string{domain}, Logger: log, Metrics: s.metrics, ServiceID: cluster.NewServiceID(cluster.TypeGateway, 1)})
	s.must(err)
	s.gateway = gw
	s.server = httptest.NewServer(gw)
	t.Cleanup(s.server.Close)
	return s
}

// mkdirs makes a service's directory with gen/1 in it, durably enough for a test that does not cut the power.
func (s *site) mkdirs(dir string) {
	s.t.Helper()
	s.must(s.fs.MkdirAll(dir + "/gen/1"))
}

// close checks every invariant of the servers and ends them.
func (s *site) close() {
	ctx := context.Background()
	for _, n := range s.names {
		if err := n.Check(ctx); err != nil {
			s.t.Errorf("a name server's check: %v", err)
		}
	}
	for _, o := range s.objects {
		if err := o.Check(ctx); err != nil {
			s.t.Errorf("an object server's check: %v", err)
		}
	}
	for _, n := range s.names {
		if err := n.Close(ctx); err != nil {
			s.t.Errorf("close a name server: %v", err)
		}
	}
	for _, o := range s.objects {
		if err := o.Close(ctx); err != nil {
			s.t.Errorf("close an object server: %v", err)
		}
	}
	if err := s.topology.Close(); err != nil {
		s.t.Errorf("close the topology: %v", err)
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// testLog shows warnings of the servers when a test fails, or with -v.
type testLog struct{}

func (testLog) Write(p []byte) (int, error) {
	if os.Getenv("OSTOR_TEST_LOG") != "" {
		return os.Stderr.Write(p)
	}
	return len(p), nil
}

// ask is one request. Target is the escaped path and query, sent as it is.
type ask struct {
	method, target string
	body           string
	header         []string      // "Name: value"
	host           string        // "" = the server's
	who            *account.User // nil = alice
	anonymous      bool
}

// answer is the reply.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the code of an error document.
func (a answer) code() string {
	var e struct {
		XMLName xml.Name
		Code    string
	}
	if xml.Unmarshal([]byte(a.body), &e) != nil || e.XMLName.Local != "Error" {
		return ""
	}
	return e.Code
}

// between returns what stands between the first element of a name and its end in the reply.
func (a answer) between(element string) string {
	_, rest, ok := strings.Cut(a.body, "<"+element+">")
	if !ok {
		return ""
	}
	v, _, _ := strings.Cut(rest, "</"+element+">")
	return v
}

func (s *site) request(a ask) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), a.method, s.server.URL, bytes.NewReader([]byte(a.body)))
	s.must(err)
	path, query, _ := strings.Cut(a.target, "?")
	host := strings.TrimPrefix(s.server.URL, "http://")
	req.URL.Opaque = "//" + host + path // what the signer takes; sent without the host
	req.URL.RawQuery = query
	if a.host != "" {
		req.Host = a.host
	}
	for _, h := range a.header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	return req
}

// do signs a request with the signer of the AWS SDK and sends it.
func (s *site) do(a ask) answer {
	s.t.Helper()
	if a.anonymous {
		return s.send(s.request(a))
	}
	return s.send(s.signed(a))
}

func (s *site) signed(a ask) *http.Request {
	s.t.Helper()
	req := s.request(a)
	who := a.who
	if who == nil {
		who = &s.alice
	}
	hash := hashOf(a.body)
	req.Header.Set("X-Amz-Content-Sha256", hash)
	s.must(signer().SignHTTP(s.t.Context(), credentials(who), req, hash, "s3", "us-east-1", time.Now()))
	return req
}

// hashOf is the SHA-256 of a body as x-amz-content-sha256 has it.
func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

func credentials(u *account.User) aws.Credentials {
	return aws.Credentials{AccessKeyID: u.Keys[0].AccessKey, SecretAccessKey: u.Keys[0].Secret}
}

// transport shows replies as they are sent.
var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}

func (s *site) send(req *http.Request) answer {
	s.t.Helper()
	if rest, ok := strings.CutPrefix(req.URL.Opaque, "//"); ok { // the request line has the path only
		req.URL.Opaque = rest[strings.IndexByte(rest, '/'):]
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end or to its error
	if err != nil {
		return answer{resp.StatusCode, resp.Header, "cut off: " + err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// want sends a request and checks the status and the code of an error ("" = none).
func (s *site) want(status int, code string, a ask) answer {
	s.t.Helper()
	got := s.do(a)
	if got.status != status || got.code() != code {
		s.t.Errorf("%s %s: got %d %s, want %d %s\n%s", a.method, a.target, got.status, got.code(), status, code, got.body)
	}
	return got
}

// used returns the bytes that are live in the object servers once garbage has been collected.
func (s *site) collect() {
	s.t.Helper()
	for _, n := range s.names {
		s.must(n.CollectNow(s.t.Context()))
	}
}
