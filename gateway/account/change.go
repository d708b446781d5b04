package account

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// CreateOptions say what user to create.
type CreateOptions struct {
	Email  string
	System bool
}

// maxTries bounds how often a change is made again because another one came between.
const maxTries = 20

// Create makes a user with one key pair. It returns fault.Invalid for an impossible e-mail address and fault.Exists for one that is in use.
func (a *Accounts) Create(ctx context.Context, o CreateOptions) (User, error) {
	if err := checkEmail(o.Email); err != nil {
		return User{}, err
	}
	for range maxTries {
		u := &userRecord{id: cluster.UserID(cluster.RandomID()), email: o.Email, system: o.System, created: a.milliseconds()}
		a.addKey(u)
		mail := mailName(o.Email)
		err := a.apply(ctx, []cluster.RecordChange{
			{Name: mail, Value: encodeMail(u.id), Expect: 0},
			{Name: userName(u.id), Value: u.encode(), Expect: 0},
		})
		if err == nil {
			return a.show(u)
		}
		if !errors.Is(err, fault.Precondition) {
			return User{}, fmt.Errorf("account: create user %s: %w", o.Email, err)
		}
		switch _, err := a.FindEmail(ctx, o.Email); {
		case err == nil:
			return User{}, fault.New(fault.Exists, "account: there is a user with e-mail address %s already", o.Email)
		case !errors.Is(err, fault.NotFound):
			return User{}, err
		}
		// The id was taken, or the user with this address has just been deleted: another try.
	}
	return User{}, fault.New(fault.Unavailable, "account: create user %s: other changes came between %d times", o.Email, maxTries)
}

// GenerateKey adds a key pair to a user and returns it. It returns fault.TooLarge when the user has two.
func (a *Accounts) GenerateKey(ctx context.Context, id cluster.UserID) (KeyPair, error) {
	var made KeyPair
	_, err := a.change(ctx, id, func(u *userRecord) error {
		if len(u.keys) >= maxKeys {
			return fault.New(fault.TooLarge, "account: user %s has %d access key pairs, the maximum: revoke one first", id, maxKeys)
		}
		made = a.addKey(u)
		return nil
	})
	if err != nil {
		return KeyPair{}, err
	}
	return made, nil
}

// RevokeKey removes a key pair of a user. It returns fault.NotFound when the user does not have it.
func (a *Accounts) RevokeKey(ctx context.Context, id cluster.UserID, accessKey string) error {
	_, err := a.change(ctx, id, func(u *userRecord) error {
		for i := range u.keys {
			if u.accessKey(&u.keys[i]) == accessKey {
				u.keys = append(u.keys[:i:i], u.keys[i+1:]...)
				return nil
			}
		}
		return fault.New(fault.NotFound, "account: user %s has no access key %q", id, accessKey)
	})
	return err
}

// SetDisabled disables or enables a user; it is no error when that was done before.
func (a *Accounts) SetDisabled(ctx context.Context, id cluster.UserID, disabled bool) error {
	_, err := a.change(ctx, id, func(u *userRecord) error {
		u.disabled = disabled
		return nil
	})
	return err
}

// Delete removes a user who owns no bucket; otherwise it returns fault.NotEmpty and the user stays. The user is disabled first, and Delete then waits until every gateway knows, [MaxTTL], so that
// no bucket can be created between the check and the removal. When ctx ends on the way the user stays, perhaps disabled.
func (a *Accounts) Delete(ctx context.Context, id cluster.UserID) error {
	if err := a.checkNoBuckets(ctx, id); err != nil {
		return err
	}
	before := false
	if _, err := a.change(ctx, id, func(u *userRecord) error {
		before = u.disabled
		u.disabled = true
		return nil
	}); err != nil {
		return err
	}
	wait := time.NewTimer(MaxTTL)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "account: delete user %s: the user is disabled and not deleted", id)
	}
	if err := a.checkNoBuckets(ctx, id); err != nil {
		if !before && errors.Is(err, fault.NotEmpty) {
			err = errors.Join(err, a.SetDisabled(ctx, id, false))
		}
		return err
	}
	for range maxTries {
		u, epoch, err := a.read(ctx, id)
		if err != nil {
			return err
		}
		if !u.disabled {
			return fault.New(fault.Precondition, "account: delete user %s: the user was enabled meanwhile", id)
		}
		err = a.apply(ctx, []cluster.RecordChange{
			{Name: mailName(u.email), Expect: cluster.AnyEpoch},
			{Name: userName(id), Expect: epoch},
		})
		if err == nil {
			a.cache.forget()
			return nil
		}
		if !errors.Is(err, fault.Precondition) {
			return fmt.Errorf("account: delete user %s: %w", id, err)
		}
	}
	return fault.New(fault.Unavailable, "account: delete user %s: other changes came between %d times", id, maxTries)
}

// checkNoBuckets asks every name server.
func (a *Accounts) checkNoBuckets(ctx context.Context, id cluster.UserID) error {
	all, err := a.topology.NameServers()
	if err != nil {
		return fmt.Errorf("account: buckets of user %s: %w", id, err)
	}
	for _, ns := range all {
		page, err := ns.ListBuckets(ctx, cluster.ListBucketsRequest{Owner: id, Limit: 1})
		if err != nil {
			return fmt.Errorf("account: buckets of user %s: %w", id, err)
		}
		if len(page.Buckets) > 0 {
			return fault.New(fault.NotEmpty, "account: user %s owns buckets, among them %q: delete them first", id, page.Buckets[0].Name)
		}
	}
	return nil
}

// change applies f to a user's record, again when another change came between. An error of f ends it.
func (a *Accounts) change(ctx context.Context, id cluster.UserID, f func(*userRecord) error) (*userRecord, error) {
	for range maxTries {
		u, epoch, err := a.read(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := f(u); err != nil {
			return nil, err
		}
		err = a.apply(ctx, []cluster.RecordChange{{Name: userName(id), Value: u.encode(), Expect: epoch}})
		if err == nil {
			a.cache.forget()
			return u, nil
		}
		if !errors.Is(err, fault.Precondition) {
			return nil, fmt.Errorf("account: change user %s: %w", id, err)
		}
	}
	return nil, fault.New(fault.Unavailable, "account: change user %s: other changes came between %d times", id, maxTries)
}

func (a *Accounts) apply(ctx context.Context, changes []cluster.RecordChange) error {
	ns, err := a.topology.NameServerOfRecord(directory)
	if err != nil {
		return err
	}
	return ns.ApplyRecords(ctx, changes)
}

// addKey gives a user a new key pair.
func (a *Accounts) addKey(u *userRecord) KeyPair {
	k := keyRecord{created: a.milliseconds()}
	for taken := true; taken; {
		randomText(k.suffix[:], suffixAlphabet)
		taken = false
		for i := range u.keys {
			taken = taken || u.keys[i].suffix == k.suffix
		}
	}
	var secret [secretBytes]byte
	randomText(secret[:], secretAlphabet)
	pair := KeyPair{AccessKey: u.accessKey(&k), Secret: string(secret[:]), Created: k.created}
	a.sealer.seal(&k.sealed, pair.Secret, userName(u.id), pair.AccessKey)
	u.keys = append(u.keys, k)
	return pair
}

func (a *Accounts) milliseconds() time.Time { return a.now().UTC().Truncate(time.Millisecond) }

func encodeMail(id cluster.UserID) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(id))
}

func decodeMail(name string, b []byte) (cluster.UserID, error) {
	if len(b) != 8 {
		return 0, fault.New(fault.Corrupt, "account: record %s has %d bytes, want 8", name, len(b))
	}
	return cluster.UserID(binary.LittleEndian.Uint64(b)), nil
}
