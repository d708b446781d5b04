package lease

import (
	"encoding/hex"
	"time"

	"ostor/internal/fault"
)

// Note is the content of a claim or release, for people and tools; nothing is decided by it.
type Note struct {
	Kind       string // "claim" or "release"
	Service    uint64 // 0 when the directory's name was no id
	Generation uint64
	Host       uint64
	Boot       uint64
	Nonce      string // 32 hex digits
	N          time.Duration
	Wall       time.Time // of the claimer's clock
	Info       string
}

// DecodeNote reads a claim or release. It returns fault.Corrupt for anything else, and for a version that this program does not know.
func DecodeNote(b []byte) (Note, error) {
	r, err := decode(b)
	if err != nil {
		return Note{}, fault.Wrap(fault.Corrupt, err, "lease record")
	}
	kind := "claim"
	if r.kind == kindRelease {
		kind = "release"
	}
	return Note{kind, r.service, r.generation, r.host, r.boot, hex.EncodeToString(r.nonce[:]), r.n, r.wall, r.info}, nil
}
