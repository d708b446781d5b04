package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Services on TCP with certificates of one CA serve a process that has one, and nobody else.
func TestServicesOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs := newCA(t, filepath.Join(dir, "ca"))
	c := Config{Local: filepath.Join(dir, "local"), Run: filepath.Join(dir, "run"), Profile: "safe", Names: 1, Objects: 1, RPC: "127.0.0.1:0",
		TLSCA: certs.ca, Cache: 4, Memtable: 2, LogBytes: 16}
	c.TLSCert, c.TLSKey = certs.issue(t, "service")
	path := filepath.Join(dir, "s3")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	e, _, err := OpenEnv(c, path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v, err := InitVolume(e.FS, c)
	if err != nil {
		t.Fatal(err)
	}
	var running []*Service
	t.Cleanup(func() {
		if err := StopAll(context.Background(), running); err != nil {
			t.Error(err)
		}
	})
	osrv, err := StartObject(t.Context(), e, v.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	running = append(running, osrv)
	way := func(c Config) cluster.Topology {
		t.Helper()
		top, err := (&Env{Config: c, FS: e.FS, Log: e.Log}).Topology(v)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = top.Close() })
		return top
	}
	top := way(c)
	nsrv, err := StartName(t.Context(), e, v.Names[0], top)
	if err != nil {
		t.Fatal(err)
	}
	running = append(running, nsrv)

	put := func(ctx context.Context, top cluster.Topology) error {
		o, err := top.ObjectServer(v.Objects()[0])
		if err != nil {
			return err
		}
		_, err = o.CreateObject(ctx, cluster.NewObjectID(), 5, bytes.NewReader([]byte("hello")))
		return err
	}
	if err := put(t.Context(), top); err != nil {
		t.Errorf("with a certificate of the CA: %v", err)
	}
	ns, err := top.NameServerOfBucket("b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ns.GetBucket(t.Context(), "b"); !errors.Is(err, fault.NoBucket) {
		t.Errorf("the name server answers %v over TLS, want that there is no bucket", err)
	}
	stranger := newCA(t, filepath.Join(dir, "other"))
	foreign := c
	foreign.TLSCert, foreign.TLSKey = stranger.issue(t, "stranger")
	plain := c
	plain.TLSCert, plain.TLSKey, plain.TLSCA = "", "", ""
	for name, c := range map[string]Config{"a certificate of another CA": foreign, "no TLS": plain} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := put(ctx, way(c)); err == nil {
			t.Errorf("%s: the object server took a request", name)
		}
		cancel()
	}
}

// An address that others can reach is refused without TLS.
func TestOpenAddressNeedsTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := Config{Local: filepath.Join(dir, "local"), Run: filepath.Join(dir, "run"), Profile: "safe", Names: 1, Objects: 1, RPC: "0.0.0.0:0"}
	e, _, err := OpenEnv(c, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v, err := InitVolume(e.FS, c)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := StartObject(t.Context(), e, v.Objects()[0]); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, %v; want a refusal", s, err)
	}
	// The refusal gave everything back: the same service starts on loopback.
	e.Config.RPC = "127.0.0.1:0"
	s, err := StartObject(t.Context(), e, v.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// ca issues certificates for 127.0.0.1.
type ca struct {
	dir, ca string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

func newCA(t *testing.T, dir string) *ca {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := &ca{dir: dir, cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}}
	var der []byte
	der, a.key = a.sign(t, a.cert)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.ca = a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *ca) sign(t *testing.T, cert *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func (a *ca) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	der, k := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return a.write(t, name+".pem", "CERTIFICATE", der), a.write(t, name+".key", "EC PRIVATE KEY", kder)
}

func (a *ca) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
