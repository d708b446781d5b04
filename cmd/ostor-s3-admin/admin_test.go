package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"ostor/gateway/account"
	"ostor/internal/cluster"
	"ostor/internal/daemon"
	"ostor/internal/fault"
)

// volume is the users' part of a volume, in memory: one administrator at a time.
type volume struct {
	cluster.NameServer
	cluster.Topology
	records map[string]cluster.Record
	buckets []cluster.Bucket
	closed  int
}

func (v *volume) NameServerOfRecord(string) (cluster.NameServer, error) { return v, nil }
func (v *volume) NameServers() ([]cluster.NameServer, error) {
	return []cluster.NameServer{v}, nil
}

func (v *volume) ListBuckets(context.Context, cluster.ListBucketsRequest) (cluster.BucketPage, error) {
	return cluster.BucketPage{Buckets: v.buckets}, nil
}

func (v *volume) GetRecord(_ context.Context, name string) (cluster.Record, error) {
	r, ok := v.records[name]
	if !ok {
		return r, fault.New(fault.NotFound, "no record %s", name)
	}
	return r, nil
}

func (v *volume) ListRecords(_ context.Context, prefix, after string, _ int) (page []cluster.Record, more bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(v.records)) {
		if strings.HasPrefix(name, prefix) && name > after {
			page = append(page, v.records[name])
		}
	}
	return page, false, nil
}

func (v *volume) ApplyRecords(_ context.Context, changes []cluster.RecordChange) error {
	for _, c := range changes {
		if c.Expect != cluster.AnyEpoch && v.records[c.Name].Epoch != c.Expect {
			return fault.Precondition
		}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(v.records, c.Name)
		} else {
			v.records[c.Name] = cluster.Record{Name: c.Name, Value: c.Value, Epoch: v.records[c.Name].Epoch + 1}
		}
	}
	return nil
}

// run runs the command and returns what it prints.
func (v *volume) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	open := func(_ context.Context, c daemon.Config, mount string) (*account.Accounts, func() error, error) {
		if c.Volume != "0100000000000002" || mount != "/mnt" {
			t.Errorf("opened volume %q of %q", c.Volume, mount)
		}
		a, err := account.New(account.Options{Topology: v, Key: make([]byte, account.KeyBytes)})
		return a, func() error { v.closed++; return nil }, err
	}
	root := rootCommand(open)
	root.SilenceErrors, root.SilenceUsage = true, true
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append(args, "-V", "0100000000000002", "--mount", "/mnt"))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func newVolume() *volume { return &volume{records: map[string]cluster.Record{}} }

// expect checks output against a form, and returns its groups.
func expect(t *testing.T, what, got string, err error, form string) []string {
	t.Helper()
	m := regexp.MustCompile("^" + form + "$").FindStringSubmatch(got)
	if err != nil || m == nil {
		t.Fatalf("%s printed %q, %v; want the form %q", what, got, err, form)
	}
	return m
}

func TestCommands(t *testing.T) {
	t.Parallel()
	v := newVolume()
	out, err := v.run(t, "create-user", "-e", "user@email.com")
	m := expect(t, "create-user", out, err,
		`UserEmail:user@email\.com\nUserId:([0-9a-f]{16})\nKeyPair\[0\]:S3AccessKeyId:([0-9a-f]{16}[A-Z0-9]{4})\nKeyPair\[0\]:S3SecretAccessKey:([A-Za-z0-9]{40})\nFlags:none\n`)
	id, key, secret := m[1], m[2], m[3]

	out, err = v.run(t, "gen-access-key", "-i", strings.TrimLeft(id, "0"))
	m = expect(t, "gen-access-key", out, err, `Generate access key: user id=`+id+`, access key id=(`+id+`[A-Z0-9]{4}),\nsecret access key=([A-Za-z0-9]{40})\n`)
	key2, secret2 := m[1], m[2]

	out, err = v.run(t, "query-user-info", "-e", "user@email.com")
	expect(t, "query-user-info", out, err, `Query user: user id=`+id+`, user email=user@email\.com\nKey pair\[0\]: access key id=`+key+`,\nsecret access key=`+secret+
		`\nKey pair\[1\]: access key id=`+key2+`,\nsecret access key=`+secret2+`\n`)

	out, err = v.run(t, "query-users")
	expect(t, "query-users", out, err, id+`  `+key+` {31}\*\*\*  user@email\.com\n {18}`+key2+` {31}\*\*\*\n`)
	out, err = v.run(t, "query-users", "-a")
	expect(t, "query-users -a", out, err, id+`  `+key+`  `+secret+`  user@email\.com\n {18}`+key2+`  `+secret2+`\n`)

	if _, err := v.run(t, "gen-access-key", "-i", id); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a third pair: %v", err)
	}
	out, err = v.run(t, "revoke-access-key", "-e", "user@email.com", "-k", key)
	expect(t, "revoke-access-key", out, err, `Revoke access key: user id=`+id+`, access key id=`+key+`\n`)
	for _, name := range []string{"disable-user", "enable-user"} {
		out, err = v.run(t, name, "-e", "user@email.com")
		expect(t, name, out, err, ``)
	}
	out, err = v.run(t, "disable-user", "-i", id, "--json")
	expect(t, "disable-user --json", out, err, `\{"UserId":"`+id+`","State":"disabled"\}\n`)
	out, err = v.run(t, "gen-access-key", "-i", id, "--json")
	expect(t, "gen-access-key --json", out, err, `\{"UserId":"`+id+`","AWSAccessKeyId":"`+id+`[A-Z0-9]{4}","AWSSecretAccessKey":"[A-Za-z0-9]{40}"\}\n`)
	out, err = v.run(t, "revoke-access-key", "-i", id, "-k", key2, "--json")
	expect(t, "revoke-access-key --json", out, err, `\{"UserId":"`+id+`","AWSAccessKeyId":"`+key2+`","State":"revoked"\}\n`)
	out, err = v.run(t, "query-users", "--json")
	expect(t, "query-users --json", out, err,
		`\{"Users":\[\{"UserEmail":"user@email.com","UserId":"`+id+`","State":"disabled","OwnerId":"0{16}","Flags":\[\],"AWSAccessKeys":\[\{"AWSAccessKeyId":"[0-9A-Za-z]{20}"\}\]\}\]\}\n`)
	out, err = v.run(t, "create-user", "-e", "root", "-S", "--json")
	if err != nil || !json.Valid([]byte(out)) || !strings.Contains(out, `"Flags":["system"]`) || !strings.Contains(out, "AWSSecretAccessKey") {
		t.Errorf("create-user -S --json printed %q, %v", out, err)
	}
	if v.closed == 0 {
		t.Error("connections were not closed")
	}
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVolume()
		out, err := v.run(t, "create-user", "-e", "user@email.com")
		if err != nil {
			t.Fatal(err)
		}
		id := out[strings.Index(out, "UserId:")+7:][:16]
		v.buckets = []cluster.Bucket{{Name: "b"}}
		if out, err := v.run(t, "delete-user", "-i", id); !errors.Is(err, fault.NotEmpty) || out != "" {
			t.Errorf("an owner of a bucket: %q, %v", out, err)
		}
		v.buckets = nil
		out, err = v.run(t, "delete-user", "-i", id)
		expect(t, "delete-user", out, err, `Deleted user: user id=`+id+`\n`)
		if out, err := v.run(t, "query-users"); err != nil || out != "" {
			t.Errorf("query-users printed %q, %v", out, err)
		}
		if out, err := v.run(t, "query-users", "-X"); err != nil || out != `<?xml version="1.0" encoding="UTF-8"?><QueryUsersResult><Users></Users></QueryUsersResult>`+"\n" {
			t.Errorf("query-users -X printed %q, %v", out, err)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"create-user"}, {"query-user-info"}, {"query-user-info", "-e", "a", "-i", "1"}, {"delete-user"}, {"revoke-access-key", "-e", "a"}, {"query-users", "-X", "--json"}, {"query-users", "extra"},
		{"disable-user", "-i", "xyz"}, {"disable-user", "-i", "0"}, {"disable-user", "-i", "12345678123456781"}, {"disable-user", "-e", "nobody@example.com"}, {"create-user", "-e", "a b"}, {"no-such-command"},
	} {
		if out, err := newVolume().run(t, args...); err == nil || out != "" {
			t.Errorf("%q printed %q and did not fail", args, out)
		}
	}
}

// TestPublishedSamples prints the users of the administrator guide's samples.
func TestPublishedSamples(t *testing.T) {
	t.Parallel()
	user := func(id cluster.UserID, email string, pairs ...string) account.User {
		u := account.User{ID: id, Email: email}
		for i := 0; i < len(pairs); i += 2 {
			u.Keys = append(u.Keys, account.KeyPair{AccessKey: pairs[i], Secret: pairs[i+1]})
		}
		return u
	}
	var b bytes.Buffer
	if err := writeUsers(&b, []account.User{user(0xbf0b3b15eb7c9019, "user2@abc.com", "bf0b3b15eb7c9019I36Y", "x"), user(0xd866d9d114cc3d20, "user1@abc.com", "d866d9d114cc3d20G456", "x", "d866d9d114cc3d20D8EW", "x"),
		user(0xe86d1c19e616455a, "user3@abc.com")}, false); err != nil {
		t.Fatal(err)
	}
	want := `bf0b3b15eb7c9019  bf0b3b15eb7c9019I36Y                               ***  user2@abc.com
d866d9d114cc3d20  d866d9d114cc3d20G456                               ***  user1@abc.com
                  d866d9d114cc3d20D8EW                               ***
e86d1c19e616455a                     -                                 -  user3@abc.com
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	users := []account.User{user(0xa49e12a226bd760f, "user@email.com", "a49e12a226bd760fGHQ7", "HSDu2DA00JNGjnRcAhLKfhrvlymzOVdLPsCK2dcq"),
		user(0xd7c53fc1f931661f, "user@email.com", "d7c53fc1f931661fZLIV", "JL7gt1OH873zR0Fzv8Oh9ZuA6JtCVnkgV7lET6ET")}
	if err := writeUsersXML(&b, users, true); err != nil {
		t.Fatal(err)
	}
	want = `<?xml version="1.0" encoding="UTF-8"?><QueryUsersResult><Users><User><Id>a49e12a226bd760f</Id><Email>user@email.com</Email><Keys><OwnerId>0000000000000000</OwnerId><KeyPair><S3AccessKeyId>a49e12a226bd760fGHQ7</S3AccessKeyId><S3SecretAccessKey>HSDu2DA00JNGjnRcAhLKfhrvlymzOVdLPsCK2dcq</S3SecretAccessKey></KeyPair></Keys></User><User><Id>d7c53fc1f931661f</Id><Email>user@email.com</Email><Keys><OwnerId>0000000000000000</OwnerId><KeyPair><S3AccessKeyId>d7c53fc1f931661fZLIV</S3AccessKeyId><S3SecretAccessKey>JL7gt1OH873zR0Fzv8Oh9ZuA6JtCVnkgV7lET6ET</S3SecretAccessKey></KeyPair></Keys></User></Users></QueryUsersResult>
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	if err := writeUsersXML(&b, []account.User{user(1, `<&">@example.com`, "k", "secret")}, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "secret<") || xml.Unmarshal(b.Bytes(), new(usersXML)) != nil {
		t.Errorf("got %s", b.String())
	}
}
