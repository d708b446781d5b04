package discovery

import (
	"fmt"
	"strconv"
	"strings"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Limits of an owner record.
const (
	MaxAddresses    = 8
	MaxAddressBytes = 256
)

const ownerMagic = "ostor-owner 1"

// Owner says which process answers for a service.
type Owner struct {
	Service    cluster.ServiceID
	Host       cluster.HostID
	Generation cluster.Generation
	Addresses  []string // "unix:/path" or "tcp:host:port", the preferred one first; 1 to MaxAddresses, each printable ASCII without spaces
}

// PublishOwner writes the owner record of a generation, once: after it is durable, others send their requests there. dir is the service's directory; o.Generation
// must hold the claim. It returns fault.Exists when that generation has published before.
func PublishOwner(fsys fsbackend.FS, dir string, o Owner) error {
	if err := o.validate(); err != nil {
		return err
	}
	gen := fsbackend.GenerationDir(dir, uint64(o.Generation))
	if err := makeDir(fsys, gen); err != nil {
		return fmt.Errorf("discovery: publish owner: %w", err)
	}
	if err := createFile(fsys, gen+"/"+fsbackend.OwnerName, o.Append(nil)); err != nil {
		return fmt.Errorf("discovery: publish owner: %w", existing(err))
	}
	return nil
}

// ReadOwner returns the present owner of the service in dir: that of the highest claim. It returns fault.NotFound when the service was never claimed, fault.Unavailable
// when the highest claim has published nothing yet (the service starts, or is being taken over), fault.Corrupt for a record that is damaged or of another service.
func ReadOwner(fsys fsbackend.FS, dir string) (Owner, error) {
	g, err := highestClaim(fsys, dir)
	if err != nil {
		return Owner{}, err
	}
	return readOwnerOf(fsys, dir, g)
}

// highestClaim returns the highest generation that was claimed.
func highestClaim(fsys fsbackend.FS, dir string) (cluster.Generation, error) {
	names, err := fsys.List(dir + "/" + fsbackend.GenDir)
	if err != nil {
		return 0, fmt.Errorf("discovery: claims of %s: %w", dir, kinded(err))
	}
	_, g := numbers(names, claimSuffix)
	if g == 0 {
		return 0, fault.New(fault.NotFound, "discovery: %s was never claimed", dir)
	}
	return cluster.Generation(g), nil
}

func readOwnerOf(fsys fsbackend.FS, dir string, g cluster.Generation) (Owner, error) {
	name := fsbackend.GenerationDir(dir, uint64(g)) + "/" + fsbackend.OwnerName
	b, err := readFile(fsys, name)
	if fault.KindOf(err) == fault.NotFound || err == nil && len(b) == 0 { // an empty one is being written
		return Owner{}, fault.New(fault.Unavailable, "discovery: generation %s of %s does not answer yet", g, dir)
	}
	if err != nil {
		return Owner{}, fmt.Errorf("discovery: owner of %s: %w", dir, err)
	}
	o, err := DecodeOwner(b)
	if err != nil {
		return Owner{}, fmt.Errorf("discovery: owner of %s: %w", dir, &fault.Corruption{File: name, What: "owner record", Want: "a valid record", Got: err.Error()})
	}
	if o.Generation != g || !strings.HasSuffix(dir, o.Service.String()) {
		return Owner{}, &fault.Corruption{File: name, What: "owner record", Want: fmt.Sprintf("generation %s of %s", g, dir),
			Got: fmt.Sprintf("generation %s of %s", o.Generation, o.Service)}
	}
	return o, nil
}

// Append adds the record's bytes (FORMAT.md, "Owner") to b.
func (o Owner) Append(b []byte) []byte {
	start := len(b)
	b = fmt.Appendf(b, "%s\nservice %s\nhost %s\ngeneration %s\n", ownerMagic, o.Service, o.Host, o.Generation)
	for _, a := range o.Addresses {
		b = fmt.Appendf(b, "address %s\n", a)
	}
	return fmt.Appendf(b, "crc32c %08x\n", checksum.CRC32C(b[start:]))
}

// DecodeOwner reads what Append wrote, and nothing else. It returns fault.Corrupt for other bytes.
func DecodeOwner(b []byte) (Owner, error) {
	bad := func(what string) (Owner, error) { return Owner{}, fault.New(fault.Corrupt, "owner record: %s", what) }
	lines, wrong := checkedLines(b, ownerMagic)
	if wrong != "" {
		return bad(wrong)
	}
	if len(lines) < 3 {
		return bad("lines are missing")
	}
	var ids [2]uint64
	for i, field := range [...]string{"service ", "host "} {
		v, err := cluster.ParseID(strings.TrimPrefix(lines[i], field))
		if err != nil {
			return bad("no " + field)
		}
		ids[i] = v
	}
	g, err := strconv.ParseUint(strings.TrimPrefix(lines[2], "generation "), 10, 64)
	if err != nil {
		return bad("no generation")
	}
	o := Owner{Service: cluster.ServiceID(ids[0]), Host: cluster.HostID(ids[1]), Generation: cluster.Generation(g)}
	for _, l := range lines[3:] {
		o.Addresses = append(o.Addresses, strings.TrimPrefix(l, "address "))
	}
	if err := o.validate(); err != nil {
		return Owner{}, err
	}
	// One record has one encoding; this also catches every prefix that was missing above.
	if string(o.Append(nil)) != string(b) {
		return bad("not in canonical form")
	}
	return o, nil
}

func (o Owner) validate() error {
	if o.Generation == 0 || o.Service == 0 {
		return fault.New(fault.Invalid, "owner record: service %s, generation %s", o.Service, o.Generation)
	}
	if len(o.Addresses) == 0 || len(o.Addresses) > MaxAddresses {
		return fault.New(fault.Invalid, "owner record: %d addresses, want 1 to %d", len(o.Addresses), MaxAddresses)
	}
	for _, a := range o.Addresses {
		if !validAddress(a) {
			return fault.New(fault.Invalid, "owner record: bad address %q", a)
		}
	}
	return nil
}
