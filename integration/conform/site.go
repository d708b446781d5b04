package conform

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Site is a running endpoint and three users.
type Site struct {
	Endpoint         string // http://host:port
	Main, Alt, Other User

	mu    sync.Mutex
	tried map[string]int // requests by operation
}

// User is an account of the site.
type User struct{ ID, Email, AccessKey, SecretKey string }

// section is the cases of one file.
type section struct {
	name  string
	cases []testCase
}

// testCase is a story of requests in a bucket of its own.
type testCase struct {
	name  string
	steps []step
}

// Run runs every table on the site and logs how many requests each operation was tried with.
func (s *Site) Run(t *testing.T) {
	t.Run("tables", func(t *testing.T) {
		for _, sec := range []section{serviceCases(), bucketCases(), objectCases(), readCases(), listCases(), versionListCases(), versionCases(), deleteCases(), conditionCases(), copyCases(),
			multipartCases(), uploadListCases(), checksumCases(), headerCases(),
			aclCases(), accessCases(), ownershipCases(), publicCases(), policyCases(), actionCases(), conditionKeyCases(), formCases(), corsCases(), tagCases(), lockCases(), presignedCases(), paymentCases()} {
			t.Run(sec.name, func(t *testing.T) {
				t.Parallel()
				for _, c := range sec.cases {
					t.Run(c.name, func(t *testing.T) { s.runCase(t, c) })
				}
			})
		}
		t.Run("wire", func(t *testing.T) {
			t.Parallel()
			s.runWire(t)
		})
	})
	t.Log(s.report())
}

func (s *Site) runCase(t *testing.T, c testCase) {
	vars := map[string]string{"b": bucketName(), "c": bucketName(), "main": s.Main.ID, "alt": s.Alt.ID, "other": s.Other.ID,
		"mainmail": s.Main.Email, "altmail": s.Alt.Email, "othermail": s.Other.Email}
	put("/{b}", "").run(t, s, vars)
	for _, st := range c.steps {
		st.header = slices.Clone(st.header)
		st.run(t, s, vars)
		if t.Failed() {
			return // what follows would fail because of it
		}
	}
}

func bucketName() string { return "conform-" + strings.ToLower(rand.Text()[:12]) }

// transport shows replies as they are sent.
var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}

func (s *Site) user(w who) *User {
	switch w {
	case alt:
		return &s.Alt
	case other:
		return &s.Other
	}
	return &s.Main
}

// do signs and sends a request, the path exactly as given.
func (s *Site) do(t *testing.T, st *step) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), st.method, s.Endpoint, strings.NewReader(st.content))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(st.target, "?")
	host := strings.TrimPrefix(s.Endpoint, "http://")
	req.URL.Opaque, req.URL.RawQuery = "//"+host+path, query // what the signer takes
	unsized := false
	for _, h := range st.header {
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimPrefix(value, " ")
		if unsized = unsized || name == "Transfer-Encoding"; name != "Transfer-Encoding" {
			req.Header.Add(name, value)
		}
	}
	if unsized {
		req.ContentLength, req.Body, req.GetBody = -1, io.NopCloser(struct{ io.Reader }{strings.NewReader(st.content)}), nil
	}
	s.sign(t, req, st, path)
	req.URL.Opaque = path // what is sent
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", st.method, st.target, err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end or to its error
	if err != nil {
		t.Errorf("%s %s: the reply was cut off: %v", st.method, st.target, err)
	}
	s.count(st)
	return &reply{resp.StatusCode, resp.Header, string(b)}
}

func (s *Site) sign(t *testing.T, req *http.Request, st *step, path string) {
	t.Helper()
	u := s.user(st.user)
	switch {
	case st.user == nobody:
	case st.v2:
		signV2(req, u, path)
	default:
		hash := req.Header.Get("X-Amz-Content-Sha256")
		if hash == "" {
			sum := sha256.Sum256([]byte(st.content))
			hash = hex.EncodeToString(sum[:])
			req.Header.Set("X-Amz-Content-Sha256", hash)
		}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		cred := aws.Credentials{AccessKeyID: u.AccessKey, SecretAccessKey: u.SecretKey}
		if err := signer.SignHTTP(t.Context(), cred, req, hash, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// signV2 signs a request without sub-resources by version 2. A date that the request has stays.
func signV2(req *http.Request, u *User, path string) {
	if req.Header["X-Amz-Date"] == nil {
		req.Header.Set("X-Amz-Date", time.Now().UTC().Format(http.TimeFormat))
	}
	var amz []string
	for name, v := range req.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			amz = append(amz, name+":"+strings.TrimSpace(strings.Join(v, ","))+"\n")
		}
	}
	slices.Sort(amz)
	text := req.Method + "\n" + req.Header.Get("Content-Md5") + "\n" + req.Header.Get("Content-Type") + "\n\n" + strings.Join(amz, "") + path
	mac := hmac.New(sha1.New, []byte(u.SecretKey))
	mac.Write([]byte(text))
	req.Header.Set("Authorization", "AWS "+u.AccessKey+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
