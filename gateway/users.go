package gateway

import (
	"context"
	"sync"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// userNameTTL is how long a changed or deleted address may still be shown.
const userNameTTL = time.Minute

// userNames remembers display names for userNameTTL. It is bounded, and begun anew when it is full.
type userNames struct {
	mu sync.Mutex
	m  map[cluster.UserID]cachedName
}

type cachedName struct {
	name  string // "" = there is no such user
	until time.Time
}

const maxUserNames = 10000

// displayName returns the e-mail address of a user, "" when there is no such user (any more) or it cannot be found out now.
func (g *Gateway) displayName(ctx context.Context, id cluster.UserID) string {
	now := g.clock()
	g.names.mu.Lock()
	e, ok := g.names.m[id]
	g.names.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.name
	}
	name, err := g.accounts.Email(ctx, id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return ""
	}
	g.names.mu.Lock()
	defer g.names.mu.Unlock()
	if g.names.m == nil || len(g.names.m) >= maxUserNames {
		g.names.m = make(map[cluster.UserID]cachedName)
	}
	g.names.m[id] = cachedName{name, now.Add(userNameTTL)}
	return name
}

// knownUser returns the id that a request gives as a user, and whether there is such a user.
func (g *Gateway) knownUser(ctx context.Context, text string) (cluster.UserID, bool, error) {
	id, err := cluster.ParseID(text)
	if err != nil || len(text) != 16 {
		return 0, false, nil //nolint:nilerr // what is no id is nobody's
	}
	_, err = g.accounts.Email(ctx, cluster.UserID(id))
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	return cluster.UserID(id), true, nil
}

// userByEmail returns the user with an e-mail address.
func (g *Gateway) userByEmail(ctx context.Context, email string) (cluster.UserID, error) {
	id, err := g.accounts.FindEmailID(ctx, email)
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Invalid {
		return 0, s3.ErrUnresolvableGrantByEmailAddress
	}
	return id, err
}
