package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"ostor/internal/fault"
)

// KeyBytes is the length of a cluster key.
const KeyBytes = 32

// sealer seals secrets under the cluster key. A random nonce per seal is safe for 2^32 seals (NIST SP 800-38D, 8.3); a cluster makes some thousands.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != KeyBytes {
		return nil, fault.New(fault.Invalid, "account: the cluster key has %d bytes, want %d", len(key), KeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(out *[sealedBytes]byte, secret, name, accessKey string) {
	rand.Read(out[:nonceBytes]) // never fails: crypto/rand, Go 1.24
	s.aead.Seal(out[nonceBytes:nonceBytes], out[:nonceBytes], []byte(secret), []byte(name+accessKey))
}

// open returns the secret. It returns fault.Corrupt when it was sealed under another cluster key or for another access key, or was changed.
func (s *sealer) open(sealed *[sealedBytes]byte, name, accessKey string) (string, error) {
	b, err := s.aead.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], []byte(name+accessKey))
	if err != nil {
		return "", fault.New(fault.Corrupt, "account: the secret of access key %s does not open: damaged, or the cluster key is another one", accessKey)
	}
	return string(b), nil
}

const (
	suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// randomText fills b with characters of an alphabet, each equally likely.
func randomText(b []byte, alphabet string) {
	limit := 256 - 256%len(alphabet) // bytes at or above it would favour the first characters
	var r [64]byte
	for n := 0; n < len(b); {
		rand.Read(r[:])
		for _, c := range r {
			if int(c) < limit && n < len(b) {
				b[n] = alphabet[int(c)%len(alphabet)]
				n++
			}
		}
	}
}
