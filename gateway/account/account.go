package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// User is a user of S3.
type User struct {
	ID       cluster.UserID
	Email    string
	System   bool // may use the management API
	Disabled bool
	Created  time.Time // UTC
	Keys     []KeyPair // at most 2, in the order of creation
}

// KeyPair is an access key with its secret.
type KeyPair struct {
	AccessKey string // 16 hex digits of the user id, 4 upper-case letters or digits
	Secret    string // 40 letters or digits; never logged
	Created   time.Time
}

// Options configure [Accounts].
type Options struct {
	Topology cluster.Topology
	Key      []byte           // the cluster key: KeyBytes
	TTL      time.Duration    // how long a lookup may be answered from memory; 0 or more than MaxTTL = MaxTTL
	Now      func() time.Time // nil = time.Now
}

// MaxTTL is the time after which every gateway knows that a key was revoked.
const MaxTTL = 5 * time.Second

// Accounts is the database of users.
type Accounts struct {
	topology cluster.Topology
	sealer   *sealer
	ttl      time.Duration
	now      func() time.Time
	cache    lookupCache
}

// New returns the database in a volume's service bucket. Nothing is read yet. It returns fault.Invalid for a key of a wrong length.
func New(o Options) (*Accounts, error) {
	s, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	a := &Accounts{topology: o.Topology, sealer: s, ttl: o.TTL, now: o.Now}
	if a.ttl <= 0 || a.ttl > MaxTTL {
		a.ttl = MaxTTL
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a, nil
}

// List returns all users by id, with their secrets. A record that is damaged is an error.
func (a *Accounts) List(ctx context.Context) ([]User, error) {
	ns, err := a.topology.NameServerOfRecord(directory)
	if err != nil {
		return nil, fmt.Errorf("account: list users: %w", err)
	}
	var users []User
	for after, more := "", true; more; {
		var page []cluster.Record
		if page, more, err = ns.ListRecords(ctx, userPrefix, after, 0); err != nil {
			return nil, fmt.Errorf("account: list users: %w", err)
		}
		for _, r := range page {
			u, err := decodeUser(r.Name, r.Value)
			if err != nil {
				return nil, err
			}
			shown, err := a.show(u)
			if err != nil {
				return nil, err
			}
			users = append(users, shown)
			after = r.Name
		}
		more = more && len(page) > 0
	}
	return users, nil
}

// Get returns a user by id, or fault.NotFound.
func (a *Accounts) Get(ctx context.Context, id cluster.UserID) (User, error) {
	u, _, err := a.read(ctx, id)
	if err != nil {
		return User{}, err
	}
	return a.show(u)
}

// Email returns the address of a user, or fault.NotFound. No secret is opened.
func (a *Accounts) Email(ctx context.Context, id cluster.UserID) (string, error) {
	u, _, err := a.read(ctx, id)
	if err != nil {
		return "", err
	}
	return u.email, nil
}

// FindEmail returns the user with an e-mail address, whatever the case of its ASCII letters, or fault.NotFound.
func (a *Accounts) FindEmail(ctx context.Context, email string) (User, error) {
	id, err := a.FindEmailID(ctx, email)
	if err != nil {
		return User{}, err
	}
	return a.Get(ctx, id)
}

// FindEmailID returns the id of the user whom FindEmail finds.
func (a *Accounts) FindEmailID(ctx context.Context, email string) (cluster.UserID, error) {
	if err := checkEmail(email); err != nil {
		return 0, err
	}
	name := mailName(email)
	ns, err := a.topology.NameServerOfRecord(name)
	if err != nil {
		return 0, fmt.Errorf("account: find %s: %w", email, err)
	}
	r, err := ns.GetRecord(ctx, name)
	if errors.Is(err, fault.NotFound) {
		return 0, fault.New(fault.NotFound, "account: there is no user with e-mail address %s", email)
	}
	if err != nil {
		return 0, fmt.Errorf("account: find %s: %w", email, err)
	}
	return decodeMail(name, r.Value)
}

// show opens the secrets of a user.
func (a *Accounts) show(u *userRecord) (User, error) {
	s := User{ID: u.id, Email: u.email, System: u.system, Disabled: u.disabled, Created: u.created}
	for i := range u.keys {
		k := &u.keys[i]
		pair := KeyPair{AccessKey: u.accessKey(k), Created: k.created}
		var err error
		if pair.Secret, err = a.sealer.open(&k.sealed, userName(u.id), pair.AccessKey); err != nil {
			return User{}, err
		}
		s.Keys = append(s.Keys, pair)
	}
	return s, nil
}

// read returns a user's record and its epoch. It returns fault.NotFound when there is none.
func (a *Accounts) read(ctx context.Context, id cluster.UserID) (*userRecord, cluster.Epoch, error) {
	name := userName(id)
	ns, err := a.topology.NameServerOfRecord(name)
	if err != nil {
		return nil, 0, fmt.Errorf("account: read user %s: %w", id, err)
	}
	r, err := ns.GetRecord(ctx, name)
	if errors.Is(err, fault.NotFound) {
		return nil, 0, fault.New(fault.NotFound, "account: there is no user %s", id)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("account: read user %s: %w", id, err)
	}
	u, err := decodeUser(name, r.Value)
	return u, r.Epoch, err
}
