package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"ostor/gateway/account"
)

// What the commands print is an interface: scripts of administrators read it. JSON uses the names of the management API.

const hidden = "***" // in place of a secret key

// writeCreated prints what create-user made.
func writeCreated(w io.Writer, u account.User) error {
	var b strings.Builder
	fmt.Fprintf(&b, "UserEmail:%s\nUserId:%s\n", u.Email, u.ID)
	for i, k := range u.Keys {
		fmt.Fprintf(&b, "KeyPair[%d]:S3AccessKeyId:%s\nKeyPair[%d]:S3SecretAccessKey:%s\n", i, k.AccessKey, i, k.Secret)
	}
	flags := "none"
	if u.System {
		flags = "system"
	}
	fmt.Fprintf(&b, "Flags:%s\n", flags)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeUser prints query-user-info.
func writeUser(w io.Writer, u account.User) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Query user: user id=%s, user email=%s\n", u.ID, u.Email)
	for i, k := range u.Keys {
		fmt.Fprintf(&b, "Key pair[%d]: access key id=%s,\nsecret access key=%s\n", i, k.AccessKey, k.Secret)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeUsers prints the table of query-users: id, access key, secret key and e-mail address. Further keys have rows with only the key columns.
func writeUsers(w io.Writer, users []account.User, secrets bool) error {
	width := 32
	if secrets {
		width = 40
	}
	var b strings.Builder
	for _, u := range users {
		if len(u.Keys) == 0 {
			fmt.Fprintf(&b, "%-16s  %20s  %*s  %s\n", u.ID, "-", width, "-", u.Email)
		}
		for i, k := range u.Keys {
			secret := hidden
			if secrets {
				secret = k.Secret
			}
			if i == 0 {
				fmt.Fprintf(&b, "%-16s  %20s  %*s  %s\n", u.ID, k.AccessKey, width, secret, u.Email)
			} else {
				fmt.Fprintf(&b, "%-16s  %20s  %*s\n", "", k.AccessKey, width, secret)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The document of query-users -X.
type usersXML struct {
	XMLName xml.Name  `xml:"QueryUsersResult"`
	Users   []userXML `xml:"Users>User"`
}

type userXML struct {
	ID    string `xml:"Id"`
	Email string
	Keys  struct {
		OwnerID string `xml:"OwnerId"`
		KeyPair []keyPairXML
	}
}

type keyPairXML struct {
	S3AccessKeyID     string `xml:"S3AccessKeyId"`
	S3SecretAccessKey string
}

// noOwner is the owner of a user: users are not owned by other users.
const noOwner = "0000000000000000"

func writeUsersXML(w io.Writer, users []account.User, secrets bool) error {
	var doc usersXML
	for _, u := range users {
		x := userXML{ID: u.ID.String(), Email: u.Email}
		x.Keys.OwnerID = noOwner
		for _, k := range u.Keys {
			pair := keyPairXML{k.AccessKey, hidden}
			if secrets {
				pair.S3SecretAccessKey = k.Secret
			}
			x.Keys.KeyPair = append(x.Keys.KeyPair, pair)
		}
		doc.Users = append(doc.Users, x)
	}
	out, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		out = []byte("<QueryUsersResult><Users></Users></QueryUsersResult>")
	}
	_, err = fmt.Fprintf(w, "%s%s\n", `<?xml version="1.0" encoding="UTF-8"?>`, out)
	return err
}

// userJSON is a user as the management API shows it.
type userJSON struct {
	UserEmail     string
	UserID        string `json:"UserId"`
	State         string
	OwnerID       string `json:"OwnerId"`
	Flags         []string
	AWSAccessKeys []keyJSON
}

type keyJSON struct {
	AWSAccessKeyID     string `json:"AWSAccessKeyId"`
	AWSSecretAccessKey string `json:",omitempty"` // left out when hidden
}

// stateJSON and changedKeyJSON say what became of a user or key.
type stateJSON struct {
	UserID string `json:"UserId"`
	State  string
}

type changedKeyJSON struct {
	UserID string `json:"UserId"`
	keyJSON
	State string `json:",omitempty"`
}

func jsonUser(u account.User, secrets bool) userJSON {
	j := userJSON{UserEmail: u.Email, UserID: u.ID.String(), State: stateName(u.Disabled), OwnerID: noOwner, Flags: []string{}, AWSAccessKeys: []keyJSON{}}
	if u.System {
		j.Flags = append(j.Flags, "system")
	}
	for _, k := range u.Keys {
		key := keyJSON{AWSAccessKeyID: k.AccessKey}
		if secrets {
			key.AWSSecretAccessKey = k.Secret
		}
		j.AWSAccessKeys = append(j.AWSAccessKeys, key)
	}
	return j
}

func stateName(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

// writeJSON prints one line.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
