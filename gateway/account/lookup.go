package account

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

const accessKeyBytes = 16 + suffixBytes

// Lookup returns the credential of an access key; it is an s3.Lookup. It returns s3.ErrInvalidAccessKeyID when there is no such key, and when its user is disabled: a client
// cannot tell them apart. Any other error says that the name server could not be asked. What it returns is at most [MaxTTL] old; from memory it costs no allocation.
func (a *Accounts) Lookup(ctx context.Context, accessKey string) (s3.Credential, error) {
	if c, ok, err := a.cache.get(accessKey, a.now()); ok {
		return c, err
	}
	if len(accessKey) != accessKeyBytes {
		return s3.Credential{}, s3.ErrInvalidAccessKeyID
	}
	id, err := cluster.ParseID(accessKey[:16])
	if err != nil || strings.ToLower(accessKey[:16]) != accessKey[:16] {
		return s3.Credential{}, s3.ErrInvalidAccessKeyID
	}
	// The first caller's client may hang up: the read goes on for the others.
	key := strings.Clone(accessKey)
	era := a.cache.era()
	done := a.cache.flight.DoChan(key+strconv.FormatUint(era, 36), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		return a.lookup(ctx, key, cluster.UserID(id), era)
	})
	select {
	case r := <-done:
		c, _ := r.Val.(s3.Credential)
		return c, r.Err
	case <-ctx.Done():
		return s3.Credential{}, fault.Wrap(fault.Unavailable, ctx.Err(), "account: look up access key")
	}
}

// lookupTimeout is the longest that a lookup may take.
const lookupTimeout = 10 * time.Second

func (a *Accounts) lookup(ctx context.Context, key string, id cluster.UserID, era uint64) (s3.Credential, error) {
	until := a.now().Add(a.ttl) // from before the read: what it finds may be as old as its beginning
	c, err := a.fetch(ctx, key, id)
	if err == nil || errors.Is(err, s3.ErrInvalidAccessKeyID) {
		a.cache.put(era, key, cached{credential: c, err: err, until: until})
	}
	return c, err
}

func (a *Accounts) fetch(ctx context.Context, key string, id cluster.UserID) (s3.Credential, error) {
	u, _, err := a.read(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return s3.Credential{}, s3.ErrInvalidAccessKeyID
	}
	if err != nil {
		return s3.Credential{}, err
	}
	for i := range u.keys {
		if k := &u.keys[i]; string(k.suffix[:]) == key[16:] {
			if u.disabled {
				return s3.Credential{}, s3.ErrInvalidAccessKeyID
			}
			secret, err := a.sealer.open(&k.sealed, userName(id), key)
			if err != nil {
				return s3.Credential{}, err
			}
			return s3.Credential{AccessKey: key, Secret: secret, UserID: uint64(id), Email: u.email, System: u.system}, nil
		}
	}
	return s3.Credential{}, s3.ErrInvalidAccessKeyID
}

// lookupCache keeps answers for a short time. Good and bad ones have tables of their own, so that made-up keys cannot push real ones out. A table that is full is
// begun anew: what is still used comes back with one read each.
type lookupCache struct {
	flight singleflight.Group

	mu        sync.RWMutex
	good, bad map[string]cached
	changes   uint64 // made through these Accounts; what was read before the last one is not put
}

type cached struct {
	credential s3.Credential
	err        error // nil or s3.ErrInvalidAccessKeyID
	until      time.Time
}

const maxCached = 8192 // per table

func (c *lookupCache) get(key string, now time.Time) (s3.Credential, bool, error) {
	c.mu.RLock()
	e, ok := c.good[key]
	if !ok {
		e, ok = c.bad[key]
	}
	c.mu.RUnlock()
	if !ok || !now.Before(e.until) {
		return s3.Credential{}, false, nil
	}
	return e.credential, true, e.err
}

func (c *lookupCache) era() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.changes
}

func (c *lookupCache) put(era uint64, key string, e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.changes {
		return
	}
	table, other := &c.good, c.bad
	if e.err != nil {
		table, other = &c.bad, c.good
	}
	delete(other, key)
	if *table == nil || len(*table) >= maxCached {
		*table = make(map[string]cached)
	}
	(*table)[key] = e
}

// forget drops everything: a change made here shows here at once.
func (c *lookupCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good, c.bad = nil, nil
	c.changes++
}
