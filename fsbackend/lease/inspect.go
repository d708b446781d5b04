package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"ostor/fsbackend"
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

// Standing is whom a service belongs to by its newest claim. It is a look, not a proof: what an agent decides by it is safe because Acquire proves.
type Standing struct {
	Generation uint64 // of the newest claim; 0 = never claimed
	Host       uint64 // that claimed it; 0 = the claim cannot be read
	Released   bool   // it was released
}

// Look returns the standing of the service in dir; known, if not zero, is an earlier result, which spares reading a claim again. It returns fault.NotFound when there is no such directory.
func Look(fsys fsbackend.FS, dir string, known Standing) (Standing, error) {
	if _, err := fsys.Stat(dir); err != nil {
		return Standing{}, fault.Wrap(fault.NotFound, err, "lease: look at %s", dir)
	}
	o := Options{FS: fsys, Dir: dir}
	names, err := fsys.List(o.gen())
	if errors.Is(err, fs.ErrNotExist) {
		return Standing{}, nil
	}
	if err != nil {
		return Standing{}, fmt.Errorf("lease: look at %s: %w", dir, err)
	}
	var s Standing
	noted := false
	for _, name := range names {
		g, ok := generationOf(name)
		if !ok || g < s.Generation {
			continue
		}
		if g > s.Generation {
			s.Generation, noted = g, false
		}
		noted = noted || name == path.Base(o.releaseName(g))
	}
	if s.Generation == 0 {
		return s, nil
	}
	if known.Host != 0 && known.Generation == s.Generation && known.Released == noted {
		return known, nil
	}
	claim, err := readRecord(fsys, o.claimName(s.Generation), kindClaim, serviceID(dir), s.Generation)
	if err == nil {
		s.Host = claim.host
		s.Released = noted && o.wasReleased(former{generation: s.Generation, claim: claim, readable: true})
	}
	return s, nil
}
