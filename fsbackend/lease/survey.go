package lease

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/fault"
	"ostor/internal/logkey"
)

const (
	claimSuffix   = ".claim"
	releaseSuffix = ".release"

	forgetClaims = 64 // bounds the work of forget
)

// generationOf returns the generation that a name in gen/ speaks of: a claim, a note or a directory. Any of them shows that the number is taken. Names in another
// spelling are not ours.
func generationOf(name string) (g uint64, ok bool) {
	digits, _, _ := strings.Cut(name, ".")
	g, err := strconv.ParseUint(digits, 10, 64)
	return g, err == nil && g > 0 && fsbackend.GenerationName(g) == digits
}

// former is what is known of a generation below the own one.
type former struct {
	generation uint64
	claim      record
	readable   bool // claim holds the claim's content
}

// survey is the state of gen/ at one time.
type survey struct {
	highest  uint64
	manifest uint64   // newest generation with a manifest, 0 for none
	old      []former // ascending: every number from manifest (or 1) up to highest, with a claim or not
}

// look reads gen/.
func (o *Options) look() (survey, error) {
	names, err := o.FS.List(o.gen())
	if err != nil {
		return survey{}, err
	}
	var s survey
	var taken []uint64
	for _, name := range names {
		if g, ok := generationOf(name); ok {
			taken = append(taken, g)
			s.highest = max(s.highest, g)
		}
	}
	slices.Sort(taken)
	for _, g := range slices.Backward(slices.Compact(taken)) {
		ok, err := o.settleManifest(g)
		if err != nil {
			return survey{}, err
		}
		if ok {
			s.manifest = g
			break
		}
	}
	for g := max(s.manifest, 1); g <= s.highest; g++ {
		f := former{generation: g}
		f.claim, err = readRecord(o.FS, o.claimName(g), kindClaim, serviceID(o.Dir), g)
		switch {
		case err == nil:
			f.readable = true
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fault.Corrupt):
			o.Logger.Warn("claim is missing or unreadable: it counts as taken", logkey.Generation, g, logkey.Error, err)
		default:
			return survey{}, err
		}
		s.old = append(s.old, f)
	}
	return s, nil
}

// settleManifest reports whether generation g has a manifest, after making durable what there is of it. Who writes one has waited for all older owners before.
func (o *Options) settleManifest(g uint64) (bool, error) {
	dir := fsbackend.GenerationDir(o.Dir, g)
	h, err := o.FS.OpenRead(dir + "/" + fsbackend.ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = errors.Join(h.Sync(), h.Close(), o.FS.SyncDir(dir), o.FS.SyncDir(o.gen()))
	return err == nil, err
}

// proof says how the end of a former owner is known.
type proof uint8

const (
	unproven proof = iota
	heldHere       // the opposite: its process runs on this host
	released
	exited
	rebooted
)

func (p proof) String() string {
	return [...]string{"none", "held on this host", "release", "seen exit", "later boot"}[p]
}

// prove looks for a note of the end of f. A release is asked for first: it tells most.
func (o *Options) prove(f former) (proof, error) {
	if !f.readable {
		return unproven, nil
	}
	if o.wasReleased(f) {
		return released, nil
	}
	if f.claim.host == o.Host {
		held, known, err := o.tryLock(lockName(f.claim.nonce))
		switch {
		case err != nil:
			return unproven, err
		case held:
			return heldHere, nil
		case known:
			return exited, nil
		case o.Boot > f.claim.boot:
			return rebooted, nil
		}
		return unproven, nil
	}
	if newestBoot(o.FS, o.Hosts, f.claim.host) > f.claim.boot {
		return rebooted, nil
	}
	return unproven, nil
}

// wasReleased reports whether the owner of f left a clean release that speaks of f's claim.
func (o *Options) wasReleased(f former) bool {
	r, err := readRecord(o.FS, o.releaseName(f.generation), kindRelease, serviceID(o.Dir), f.generation)
	return err == nil && f.readable && r.nonce == f.claim.nonce
}

// lockName returns the name of the host-local file that is locked while the process that made a claim with the nonce lives.
func lockName(n nonce) string { return localDir + "/" + hex.EncodeToString(n[:]) + ".lock" }

// tryLock reports whether the lock of a host-local file is held, and whether there is such a file.
func (o *Options) tryLock(name string) (held, known bool, err error) {
	h, err := o.Local.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	err = h.Lock()
	_ = h.Close()
	if errors.Is(err, fault.Exists) {
		return true, true, nil
	}
	return false, err == nil, err
}

// forget removes the host-local lock files of own claims older than the newest manifest: no proof is asked for them any more. It goes back until it meets one that
// is forgotten already, at most forgetClaims claims.
func (o *Options) forget(s survey) {
	for g, n := s.manifest, 0; g > 1 && n < forgetClaims; n++ {
		g--
		c, err := readRecord(o.FS, o.claimName(g), kindClaim, serviceID(o.Dir), g)
		if err != nil || c.host != o.Host {
			continue
		}
		held, known, err := o.tryLock(lockName(c.nonce))
		if err != nil || held || !known {
			return
		}
		_ = o.Local.Remove(lockName(c.nonce)) // left over, it only takes a name
	}
}

// holder describes the owner of a claim, for messages.
func (f former) holder() string {
	if !f.readable {
		return fmt.Sprintf("an unknown owner (its claim of generation %d is unreadable)", f.generation)
	}
	info := f.claim.info
	if info == "" {
		info = "a process"
	}
	return fmt.Sprintf("%s (host %016x, generation %d, since %s)", info, f.claim.host, f.generation, f.claim.wall.Format("2006-01-02 15:04:05 MST"))
}
