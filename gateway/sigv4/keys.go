package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// hmacSHA256 puts the HMAC of msg into out.
func hmacSHA256(out *[sha256.Size]byte, key, msg []byte) {
	h := hmac.New(sha256.New, key)
	h.Write(msg)
	h.Sum(out[:0])
}

// signingKey derives the key that signs for a day, region and service "s3".
func signingKey(secret, date, region string) (key [sha256.Size]byte) {
	hmacSHA256(&key, []byte("AWS4"+secret), []byte(date))
	hmacSHA256(&key, key[:], []byte(region))
	hmacSHA256(&key, key[:], []byte("s3"))
	hmacSHA256(&key, key[:], []byte(terminator))
	return key
}

// keyCache keeps signing keys, so that a request costs one HMAC and not five. It holds at most two generations of maxKeys: when the young one is full it
// becomes the old one, and what is used moves up again.
type keyCache struct {
	mu         sync.RWMutex
	young, old map[keyID]cachedKey
}

const maxKeys = 4096

type keyID struct{ accessKey, date, region string }

type cachedKey struct {
	secret string // the key is another one when it changed
	key    [sha256.Size]byte
}

// get returns the signing key, from the cache when it is there.
func (k *keyCache) get(accessKey, secret, date, region string) [sha256.Size]byte {
	id := keyID{accessKey, date, region}
	k.mu.RLock()
	c, ok := k.young[id]
	k.mu.RUnlock()
	if ok && c.secret == secret {
		return c.key
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok = k.old[id]; !ok || c.secret != secret {
		c = cachedKey{secret, signingKey(secret, date, region)}
	}
	if k.young == nil || len(k.young) >= maxKeys {
		k.young, k.old = make(map[keyID]cachedKey), k.young
	}
	// Copies: the strings of a request would keep all of its header alive.
	k.young[keyID{string([]byte(accessKey)), string([]byte(date)), string([]byte(region))}] = c
	return c.key
}
