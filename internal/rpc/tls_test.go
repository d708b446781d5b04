package rpc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"ostor/internal/fault"
)

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// config returns that of a service whose certificate a made and that trusts a.
func (a *authority) config(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs: a.pool, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	f := newFixture(t, "tcp", ServerOptions{TLS: ours.config(t)})
	c := f.client(t, func(o *ClientOptions) { o.TLS = ours.config(t) })
	data := bytes.Repeat([]byte("tls"), 400_000)
	if got, err := c.Upload(t.Context(), opSum, nil, bytes.NewReader(data), int64(len(data)), nil); err != nil || string(got) != fmt.Sprintf("%d %x", len(data), sha256.Sum256(data)) {
		t.Errorf("upload: got %q, %v", got, err)
	}
	var n counter
	if _, err := c.Download(t.Context(), opSend, []byte("3000000 1048576"), &n, nil); err != nil || n != 3000000 {
		t.Errorf("download: got %d, %v", n, err)
	}
	if _, err := c.Upload(t.Context(), opEarly, nil, zeroReader{}, -1, nil); !errors.Is(err, fault.NoSpace) {
		t.Errorf("early answer: got %v", err)
	}
	before := f.srv.Stats().Calls
	none := ours.config(t)
	none.Certificates = nil
	wrong := others.config(t)
	wrong.RootCAs = ours.pool // it trusts us, we do not trust it
	for name, cfg := range map[string]*tls.Config{"no TLS": nil, "no certificate": none, "certificate of another CA": wrong, "does not trust the server": others.config(t)} {
		c := f.client(t, func(o *ClientOptions) { o.TLS = cfg })
		if _, err := c.Call(t.Context(), opEcho, nil, nil); !errors.Is(err, fault.Unavailable) || !notExecuted(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := f.srv.Stats().Calls - before; n != 0 {
		t.Errorf("%d calls of strangers were handled", n)
	}
}
