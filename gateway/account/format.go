package account

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// The layout of FORMAT.md.
const (
	recordMagic     = 0x5253554F
	recordVersion   = 1
	recordHeadBytes = 28
	recordKeyBytes  = 80
	recordSumBytes  = 4

	flagSystem   = 1 << 0
	flagDisabled = 1 << 1

	suffixBytes = 4
	secretBytes = 40
	nonceBytes  = 12
	sealedBytes = nonceBytes + secretBytes + 16

	maxEmailBytes = 254 // RFC 5321, 4.5.3.1.3
	maxKeys       = 2
)

const _ = uint(recordKeyBytes - (suffixBytes + 8 + sealedBytes))
const _ = uint(suffixBytes + 8 + sealedBytes - recordKeyBytes)

// userRecord is a user as it is stored.
type userRecord struct {
	id       cluster.UserID
	email    string
	system   bool
	disabled bool
	created  time.Time // UTC, milliseconds
	keys     []keyRecord
}

// keyRecord is an access key pair as it is stored.
type keyRecord struct {
	suffix  [suffixBytes]byte
	created time.Time
	sealed  [sealedBytes]byte
}

func (u *userRecord) accessKey(k *keyRecord) string { return u.id.String() + string(k.suffix[:]) }

func (u *userRecord) encode() []byte {
	b := make([]byte, recordHeadBytes, recordHeadBytes+len(u.email)+len(u.keys)*recordKeyBytes+recordSumBytes)
	var flags uint16
	if u.system {
		flags |= flagSystem
	}
	if u.disabled {
		flags |= flagDisabled
	}
	binary.LittleEndian.PutUint32(b[0:], recordMagic)
	binary.LittleEndian.PutUint16(b[4:], recordVersion)
	binary.LittleEndian.PutUint16(b[6:], flags)
	binary.LittleEndian.PutUint64(b[8:], uint64(u.id))
	binary.LittleEndian.PutUint64(b[16:], uint64(u.created.UnixMilli()))
	binary.LittleEndian.PutUint16(b[24:], uint16(len(u.email)))
	b[26] = byte(len(u.keys))
	b = append(b, u.email...)
	for i := range u.keys {
		k := &u.keys[i]
		b = append(b, k.suffix[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(k.created.UnixMilli()))
		b = append(b, k.sealed[:]...)
	}
	return binary.LittleEndian.AppendUint32(b, checksum.CRC32C(b))
}

// decodeUser reads a record that was found under name. It returns fault.Corrupt for anything that encode does not make.
func decodeUser(name string, b []byte) (*userRecord, error) {
	bad := func(what string) (*userRecord, error) {
		return nil, fault.New(fault.Corrupt, "account: user record %s: %s", name, what)
	}
	if len(b) < recordHeadBytes+recordSumBytes || binary.LittleEndian.Uint32(b) != recordMagic {
		return bad("it is too short or no user record")
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != recordVersion {
		return bad("it has a version that this program does not know")
	}
	body := b[:len(b)-recordSumBytes]
	if binary.LittleEndian.Uint32(b[len(body):]) != checksum.CRC32C(body) {
		return bad("its checksum does not match")
	}
	flags := binary.LittleEndian.Uint16(b[6:])
	n, keys := int(binary.LittleEndian.Uint16(b[24:])), int(b[26])
	if flags&^(flagSystem|flagDisabled) != 0 || b[27] != 0 || keys > maxKeys || len(body) != recordHeadBytes+n+keys*recordKeyBytes {
		return bad("its flags or lengths are impossible")
	}
	u := &userRecord{
		id:       cluster.UserID(binary.LittleEndian.Uint64(b[8:])),
		system:   flags&flagSystem != 0,
		disabled: flags&flagDisabled != 0,
		created:  time.UnixMilli(int64(binary.LittleEndian.Uint64(b[16:]))).UTC(),
		email:    string(b[recordHeadBytes : recordHeadBytes+n]),
	}
	if name != userName(u.id) || u.id == 0 {
		return bad("it belongs to user " + u.id.String())
	}
	if checkEmail(u.email) != nil {
		return bad("its e-mail address is impossible")
	}
	for p := body[recordHeadBytes+n:]; len(p) > 0; p = p[recordKeyBytes:] {
		k := keyRecord{suffix: [suffixBytes]byte(p), created: time.UnixMilli(int64(binary.LittleEndian.Uint64(p[4:]))).UTC(), sealed: [sealedBytes]byte(p[12:])}
		for _, c := range k.suffix {
			if strings.IndexByte(suffixAlphabet, c) < 0 {
				return bad("it has an impossible access key")
			}
		}
		u.keys = append(u.keys, k)
	}
	return u, nil
}

// Names of records.
const (
	directory  = "/u/"
	userPrefix = directory + "id-"
	mailPrefix = directory + "mail-"
)

func userName(id cluster.UserID) string { return userPrefix + id.String() }

// mailName returns the name of the record that reserves an address.
func mailName(email string) string {
	const upperHex = "0123456789ABCDEF"
	b := []byte(mailPrefix)
	for i := 0; i < len(email); i++ {
		c := email[i]
		switch {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~@+", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// checkEmail refuses what would break a table or a record: the address is a name for people, it is not mailed to.
func checkEmail(s string) error {
	if s == "" || len(s) > maxEmailBytes || !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "an e-mail address has 1 to %d bytes of UTF-8", maxEmailBytes)
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa1 {
			return fault.New(fault.Invalid, "e-mail address %q has a space or control character", s)
		}
	}
	return nil
}
