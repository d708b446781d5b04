package account

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

var (
	accessKeyForm = regexp.MustCompile(`^[0-9a-f]{16}[A-Z0-9]{4}$`)
	secretForm    = regexp.MustCompile(`^[A-Za-z0-9]{40}$`)
)

func TestUsers(t *testing.T) {
	t.Parallel()
	f := newFake()
	a := open(t, f)
	u := create(t, a, "User@Example.com")
	if len(u.Keys) != 1 || !accessKeyForm.MatchString(u.Keys[0].AccessKey) || !secretForm.MatchString(u.Keys[0].Secret) || u.Keys[0].AccessKey[:16] != u.ID.String() || u.System || u.Disabled {
		t.Fatalf("created %+v", u)
	}
	for name, r := range f.users.records {
		if bytes.Contains(r.Value, []byte(u.Keys[0].Secret)) {
			t.Errorf("record %s holds the secret as it is", name)
		}
	}
	for _, email := range []string{"User@Example.com", "user@example.COM"} {
		if got, err := a.FindEmail(t.Context(), email); err != nil || got.ID != u.ID || got.Email != "User@Example.com" {
			t.Errorf("FindEmail(%s): %+v, %v", email, got, err)
		}
		if _, err := a.Create(t.Context(), CreateOptions{Email: email}); !errors.Is(err, fault.Exists) {
			t.Errorf("a second user with %s: %v", email, err)
		}
	}
	for _, email := range []string{"", "a b", "a\nb", "a\u00a0b", "\xff", strings.Repeat("x", 255)} {
		if _, err := a.Create(t.Context(), CreateOptions{Email: email}); !errors.Is(err, fault.Invalid) {
			t.Errorf("e-mail %q: %v", email, err)
		}
	}
	// Addresses may hold what names of records may not.
	slash := create(t, a, "dept/user%2F@example.com")
	if got, err := a.FindEmail(t.Context(), slash.Email); err != nil || got.ID != slash.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	ids := []cluster.UserID{u.ID, slash.ID}
	for i := range 10 {
		ids = append(ids, create(t, a, fmt.Sprintf("user%d@example.com", i)).ID)
	}
	slices.Sort(ids)
	all, err := a.List(t.Context())
	if err != nil || len(all) != len(ids) {
		t.Fatalf("List: %d users, %v", len(all), err)
	}
	for i := range all {
		if all[i].ID != ids[i] {
			t.Errorf("user %d is %v, want %v", i, all[i].ID, ids[i])
		}
	}
	if _, err := a.Get(t.Context(), 1); !errors.Is(err, fault.NotFound) {
		t.Errorf("unknown user: %v", err)
	}
	if _, err := a.FindEmail(t.Context(), "nobody@example.com"); !errors.Is(err, fault.NotFound) {
		t.Errorf("unknown address: %v", err)
	}
	sys, err := a.Create(t.Context(), CreateOptions{Email: "root", System: true})
	if err != nil || !sys.System {
		t.Fatalf("system user: %+v, %v", sys, err)
	}
	if c, err := a.Lookup(t.Context(), sys.Keys[0].AccessKey); err != nil || !c.System || c.Email != "root" {
		t.Errorf("its credential: %+v, %v", c, err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	a := open(t, newFake())
	u := create(t, a, "u@example.com")
	second, err := a.GenerateKey(t.Context(), u.ID)
	if err != nil || !accessKeyForm.MatchString(second.AccessKey) || !secretForm.MatchString(second.Secret) || second.AccessKey == u.Keys[0].AccessKey {
		t.Fatalf("got %+v, %v", second, err)
	}
	if _, err := a.GenerateKey(t.Context(), u.ID); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a third pair: %v", err)
	}
	for _, k := range []KeyPair{u.Keys[0], second} {
		if c, err := a.Lookup(t.Context(), k.AccessKey); err != nil || c.Secret != k.Secret || c.UserID != uint64(u.ID) || c.AccessKey != k.AccessKey {
			t.Errorf("Lookup(%s): %+v, %v", k.AccessKey, c, err)
		}
	}
	if err := a.RevokeKey(t.Context(), u.ID, u.Keys[0].AccessKey); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lookup(t.Context(), u.Keys[0].AccessKey); !errors.Is(err, s3.ErrInvalidAccessKeyID) {
		t.Errorf("the revoked key: %v", err)
	}
	if got, err := a.Get(t.Context(), u.ID); err != nil || len(got.Keys) != 1 || got.Keys[0].Secret != second.Secret {
		t.Errorf("what is left: %+v, %v", got, err)
	}
	if err := a.RevokeKey(t.Context(), u.ID, u.Keys[0].AccessKey); !errors.Is(err, fault.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if err := a.RevokeKey(t.Context(), u.ID, second.AccessKey); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(t.Context(), u.ID); err != nil || len(got.Keys) != 0 {
		t.Errorf("without keys: %+v, %v", got, err)
	}
	if err := a.SetDisabled(t.Context(), 99, true); !errors.Is(err, fault.NotFound) {
		t.Errorf("disable nobody: %v", err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 20), strings.ToUpper(second.AccessKey), second.AccessKey + "X", "+" + second.AccessKey[1:], strings.Repeat("/", 20), second.AccessKey[:16] + "\x00\x00\x00\x00"} {
		if _, err := a.Lookup(t.Context(), bad); !errors.Is(err, s3.ErrInvalidAccessKeyID) {
			t.Errorf("Lookup(%q): %v", bad, err)
		}
	}
}

// TestConcurrentChanges: two administrators at once lose nothing; a change that comes between read and write is seen.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	f := newFake()
	a, b := open(t, f), open(t, f)
	u := create(t, a, "u@example.com")
	f.users.before = func() {
		if err := b.SetDisabled(context.Background(), u.ID, true); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.GenerateKey(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	got, err := a.Get(t.Context(), u.ID)
	if err != nil || !got.Disabled || len(got.Keys) != 2 {
		t.Errorf("got %+v, %v: a change was lost", got, err)
	}
	// The maximum holds for both together.
	v := create(t, a, "v@example.com")
	f.users.before = func() {
		if _, err := b.GenerateKey(context.Background(), v.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.GenerateKey(t.Context(), v.ID); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a third key by a race: %v", err)
	}
	// One address, many at once: one wins.
	var wg sync.WaitGroup
	results := make([]error, 16)
	for i := range results {
		wg.Go(func() { _, results[i] = a.Create(context.Background(), CreateOptions{Email: "w@example.com"}) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, fault.Exists) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d users with one address", won)
	}
}

// TestRevokedWithin5s: another gateway refuses a revoked key and a disabled user after 5 s, and not one read was made meanwhile.
func TestRevokedWithin5s(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		admin, gw := open(t, f), open(t, f)
		u := create(t, admin, "u@example.com")
		key := u.Keys[0].AccessKey
		if _, err := gw.Lookup(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		reads := f.users.readCount()
		if err := admin.SetDisabled(t.Context(), u.ID, true); err != nil {
			t.Fatal(err)
		}
		reads++ // the administrator's
		time.Sleep(MaxTTL - time.Millisecond)
		if _, err := gw.Lookup(t.Context(), key); err != nil || f.users.readCount() != reads {
			t.Errorf("from memory: %v, %d reads, want %d", err, f.users.readCount(), reads)
		}
		time.Sleep(time.Millisecond)
		if _, err := gw.Lookup(t.Context(), key); !errors.Is(err, s3.ErrInvalidAccessKeyID) {
			t.Errorf("5 s after the user was disabled: %v", err)
		}
		if err := admin.SetDisabled(t.Context(), u.ID, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(MaxTTL)
		if _, err := gw.Lookup(t.Context(), key); err != nil {
			t.Errorf("5 s after the user was enabled: %v", err)
		}
	})
}

// TestLookupSharesReads: many requests with one key make one read; made-up keys cost one each and do not push it out.
func TestLookupSharesReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		a := open(t, f)
		key := create(t, a, "u@example.com").Keys[0].AccessKey
		before := f.users.readCount()
		f.users.gate = make(chan struct{})
		gone, hangUp := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := a.Lookup(gone, key)
			first <- err
		}()
		synctest.Wait()
		errs := make(chan error, 20)
		for range cap(errs) {
			go func() {
				_, err := a.Lookup(t.Context(), key)
				errs <- err
			}()
		}
		synctest.Wait()
		hangUp()
		if err := <-first; !errors.Is(err, fault.Unavailable) {
			t.Errorf("whoever hung up got %v", err)
		}
		close(f.users.gate)
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("a request that shared the read: %v", err)
			}
		}
		if n := f.users.readCount() - before; n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
		for i := range 3 * maxCached {
			if _, err := a.Lookup(t.Context(), fmt.Sprintf("%016xAAAA", i+1)); !errors.Is(err, s3.ErrInvalidAccessKeyID) {
				t.Fatal(err)
			}
		}
		if n := len(a.cache.good) + len(a.cache.bad); n > 2*maxCached {
			t.Errorf("%d keys are kept", n)
		}
		n := f.users.readCount()
		if _, err := a.Lookup(t.Context(), key); err != nil || f.users.readCount() != n {
			t.Errorf("made-up keys pushed the real one out: %v", err)
		}
	})
}

// TestLookupErrors: a name server that does not answer is not an unknown key, and is asked again.
func TestLookupErrors(t *testing.T) {
	t.Parallel()
	f := newFake()
	a := open(t, f)
	key := create(t, a, "u@example.com").Keys[0].AccessKey
	f.users.set(func() { f.users.down = fault.New(fault.Unavailable, "down") })
	if _, err := a.Lookup(t.Context(), key); !errors.Is(err, fault.Unavailable) || errors.Is(err, s3.ErrInvalidAccessKeyID) {
		t.Errorf("got %v", err)
	}
	f.users.set(func() { f.users.down = nil })
	if _, err := a.Lookup(t.Context(), key); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		a := open(t, f)
		u := create(t, a, "u@example.com")
		f.other.buckets = []cluster.Bucket{{Name: "mine", Owner: u.ID}}
		if err := a.Delete(t.Context(), u.ID); !errors.Is(err, fault.NotEmpty) || !strings.Contains(err.Error(), "mine") {
			t.Errorf("an owner of a bucket: %v", err)
		}
		if got, err := a.Get(t.Context(), u.ID); err != nil || got.Disabled {
			t.Errorf("after the refusal: %+v, %v", got, err)
		}
		// A bucket that a gateway makes in the five seconds in which it may not know yet.
		f.other.set(func() { f.other.buckets = nil })
		time.AfterFunc(time.Second, func() {
			f.other.set(func() { f.other.buckets = []cluster.Bucket{{Name: "late", Owner: u.ID}} })
		})
		if err := a.Delete(t.Context(), u.ID); !errors.Is(err, fault.NotEmpty) {
			t.Errorf("a bucket made meanwhile: %v", err)
		}
		if got, err := a.Get(t.Context(), u.ID); err != nil || got.Disabled {
			t.Errorf("after the second refusal: %+v, %v", got, err)
		}
		f.other.set(func() { f.other.buckets = nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Delete(ctx, u.ID); !errors.Is(err, fault.Unavailable) {
			t.Errorf("interrupted: %v", err)
		}
		start := time.Now()
		if err := a.Delete(t.Context(), u.ID); err != nil || time.Since(start) < MaxTTL {
			t.Errorf("deleted after %v: %v", time.Since(start), err)
		}
		if len(f.users.records) != 0 {
			t.Errorf("records are left: %v", f.users.records)
		}
		if err := a.Delete(t.Context(), u.ID); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		create(t, a, "u@example.com") // the address is free again
	})
}

// TestSeal: a secret does not open under another cluster key, nor when it is moved to another user or key.
func TestSeal(t *testing.T) {
	t.Parallel()
	f := newFake()
	a := open(t, f)
	u, v := create(t, a, "u@example.com"), create(t, a, "v@example.com")
	other, err := New(Options{Topology: f, Key: bytes.Repeat([]byte{1}, KeyBytes)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(t.Context(), u.ID); !errors.Is(err, fault.Corrupt) {
		t.Errorf("another cluster key: %v", err)
	}
	if _, err := other.Lookup(t.Context(), u.Keys[0].AccessKey); !errors.Is(err, fault.Corrupt) {
		t.Errorf("another cluster key, lookup: %v", err)
	}
	ur, _, err := a.read(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	vr, epoch, err := a.read(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	vr.keys[0].sealed = ur.keys[0].sealed
	if err := a.apply(t.Context(), []cluster.RecordChange{{Name: userName(v.ID), Value: vr.encode(), Expect: epoch}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(t.Context(), v.ID); !errors.Is(err, fault.Corrupt) {
		t.Errorf("a secret moved to another user: %v", err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := New(Options{Key: make([]byte, n)}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write the golden files of the current format")

// goldenUser is the user in testdata/golden/v1.
func goldenUser() *userRecord {
	u := &userRecord{id: 0xd866d9d114cc3d20, email: "user@email.com", system: true, disabled: true, created: time.UnixMilli(1767323045678).UTC()}
	for i, suffix := range []string{"G456", "D8EW"} {
		k := keyRecord{suffix: [suffixBytes]byte([]byte(suffix)), created: u.created.Add(time.Duration(i) * time.Hour)}
		for j := range k.sealed {
			k.sealed[j] = byte(i*100 + j)
		}
		u.keys = append(u.keys, k)
	}
	return u
}

func TestGolden(t *testing.T) {
	t.Parallel()
	u := goldenUser()
	name := filepath.Join("testdata", "golden", "v1", "user")
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, u.encode(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(u.encode(), want) {
		t.Errorf("the current format is not that of %s", name)
	}
	got, err := decodeUser(userName(u.id), want)
	if err != nil || got.email != u.email || !got.system || !got.disabled || !got.created.Equal(u.created) || len(got.keys) != 2 || got.keys[1] != u.keys[1] {
		t.Errorf("got %+v, %v", got, err)
	}
	// Any change of any byte is damage; so is a record under another name.
	for i := range want {
		bent := bytes.Clone(want)
		bent[i] ^= 1
		if _, err := decodeUser(userName(u.id), bent); !errors.Is(err, fault.Corrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := decodeUser(userName(u.id), want[:i]); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, err := decodeUser(userName(1), want); !errors.Is(err, fault.Corrupt) {
		t.Errorf("under another name: %v", err)
	}
}

func FuzzDecodeUser(f *testing.F) {
	f.Add(goldenUser().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUser(userName(goldenUser().id), b)
		if err != nil {
			if !errors.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(u.encode(), b) {
			t.Errorf("%x is read as %+v, which is another record", b, u)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	a := open(b, newFake())
	u, err := a.Create(context.Background(), CreateOptions{Email: "u@example.com"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, key := context.Background(), u.Keys[0].AccessKey
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Lookup(ctx, key); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLookupAllocates nothing when the answer is in memory.
func TestLookupAllocates(t *testing.T) {
	a := open(t, newFake())
	key := create(t, a, "u@example.com").Keys[0].AccessKey
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Lookup(ctx, key); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
