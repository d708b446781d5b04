package discovery

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"ostor/fsbackend"
	"ostor/internal/checksum"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// HostsDir holds a directory of each host: its boots (package lease) and its heartbeats.
const HostsDir = "control/hosts"

// Limits of a heartbeat.
const (
	MaxRunning      = 4096
	MaxHostBytes    = 255 // of a host's name
	keptHeartbeats  = 3   // old ones that stay, for who has listed them and is about to read
	heartbeatMagic  = "ostor-heartbeat 1"
	absent          = "-" // for an empty field
	heartbeatFields = 6   // lines before the addresses, without the magic
)

// Condition is how a service does on its host.
type Condition string

// The conditions.
const (
	Starting Condition = "starting" // its process runs, or is about to be started again, and does not serve yet
	Active   Condition = "active"   // it serves
	Failed   Condition = "failed"   // the host has given it up for a while: another one should have it
)

// Heartbeat is one sign of life of a host's agent, and its report. It is a hint: nothing about ownership is decided by it.
type Heartbeat struct {
	Host      cluster.HostID
	Boot      uint64    // number of the host's boot
	Seq       uint64    // counts up over the life of the host; the file's name
	Wall      time.Time // of the host's clock, millisecond precision; for people
	Leaving   bool      // the agent has stopped its services and ends
	Hostname  string    // printable ASCII without spaces; "" = unknown
	Addresses []string  // where the agent answers pings, as in Owner; up to MaxAddresses
	Running   []Running // ascending by Service, unique, up to MaxRunning
}

// Running is a service in a heartbeat.
type Running struct {
	Service   cluster.ServiceID
	Condition Condition
	Uptime    time.Duration // whole seconds since it serves; 0 unless active
	Restarts  uint64        // since the agent has it
	Address   string        // "" = not known
}

// Lists reports whether the host runs the service, or tries to.
func (h *Heartbeat) Lists(id cluster.ServiceID) bool {
	c := h.Condition(id)
	return c == Starting || c == Active
}

// Condition returns the condition of a service, "" when the host does not have it.
func (h *Heartbeat) Condition(id cluster.ServiceID) Condition {
	for i := range h.Running {
		if h.Running[i].Service == id {
			return h.Running[i].Condition
		}
	}
	return ""
}

func heartbeatDir(h cluster.HostID) string { return HostsDir + "/" + h.String() }

// Hosts returns the ids of all hosts that ever were here, ascending.
func Hosts(fsys fsbackend.FS) ([]cluster.HostID, error) {
	ids, err := listIDs(fsys, HostsDir)
	hosts := make([]cluster.HostID, len(ids))
	for i, id := range ids {
		hosts[i] = cluster.HostID(id)
	}
	return hosts, err
}

// LastHeartbeat returns the number of the newest heartbeat of a host, 0 when it has none.
func LastHeartbeat(fsys fsbackend.FS, h cluster.HostID) (uint64, error) {
	names, err := fsys.List(heartbeatDir(h))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("discovery: heartbeats of host %s: %w", h, err)
	}
	_, last := numbers(names, "")
	return last, nil
}

// PublishHeartbeat writes a heartbeat under a new name, durably, and removes old ones. It returns fault.Exists when the number is taken.
func PublishHeartbeat(fsys fsbackend.FS, h Heartbeat) error {
	if err := h.validate(); err != nil {
		return err
	}
	dir := heartbeatDir(h.Host)
	if err := createFile(fsys, dir+"/"+fsbackend.GenerationName(h.Seq), h.Append(nil)); err != nil {
		return fmt.Errorf("discovery: heartbeat %d of host %s: %w", h.Seq, h.Host, existing(err))
	}
	names, _ := fsys.List(dir) // what is not removed now will be next time
	all, _ := numbers(names, "")
	for _, n := range all {
		if n+keptHeartbeats <= h.Seq {
			_ = fsys.Remove(dir + "/" + fsbackend.GenerationName(n))
		}
	}
	return nil
}

// ReadHeartbeat returns heartbeat number seq of a host. It returns fault.NotFound when there is none (any more), fault.Unavailable for one that is being written, fault.Corrupt for
// other bytes.
func ReadHeartbeat(fsys fsbackend.FS, host cluster.HostID, seq uint64) (Heartbeat, error) {
	name := heartbeatDir(host) + "/" + fsbackend.GenerationName(seq)
	b, err := readFile(fsys, name)
	if err != nil {
		return Heartbeat{}, fmt.Errorf("discovery: heartbeat: %w", err)
	}
	if len(b) == 0 {
		return Heartbeat{}, fault.New(fault.Unavailable, "discovery: heartbeat %s is being written", name)
	}
	h, err := DecodeHeartbeat(b)
	if err == nil && (h.Host != host || h.Seq != seq) {
		err = fault.New(fault.Corrupt, "it is number %d of host %s", h.Seq, h.Host)
	}
	if err != nil {
		return Heartbeat{}, fmt.Errorf("discovery: %w", &fault.Corruption{File: name, What: "heartbeat", Want: "a valid heartbeat", Got: err.Error()})
	}
	return h, nil
}

// Append adds the heartbeat's bytes (FORMAT.md, "Heartbeat") to b.
func (h *Heartbeat) Append(b []byte) []byte {
	start := len(b)
	state := "live"
	if h.Leaving {
		state = "leaving"
	}
	b = fmt.Appendf(b, "%s\nhost %s\nboot %d\nseq %d\nwall %d\nstate %s\nname %s\n", heartbeatMagic, h.Host, h.Boot, h.Seq, h.Wall.UnixMilli(), state, orAbsent(h.Hostname))
	for _, a := range h.Addresses {
		b = fmt.Appendf(b, "address %s\n", a)
	}
	for i := range h.Running {
		r := &h.Running[i]
		b = fmt.Appendf(b, "service %s %s %d %d %s\n", r.Service, r.Condition, int64(r.Uptime/time.Second), r.Restarts, orAbsent(r.Address))
	}
	return fmt.Appendf(b, "crc32c %08x\n", checksum.CRC32C(b[start:]))
}

func orAbsent(s string) string {
	if s == "" {
		return absent
	}
	return s
}

// DecodeHeartbeat reads what Append wrote, and nothing else. It returns fault.Corrupt for other bytes.
func DecodeHeartbeat(b []byte) (Heartbeat, error) {
	bad := func(what string) (Heartbeat, error) {
		return Heartbeat{}, fault.New(fault.Corrupt, "heartbeat: %s", what)
	}
	lines, what := checkedLines(b, heartbeatMagic)
	if what != "" {
		return bad(what)
	}
	if len(lines) < heartbeatFields {
		return bad("lines are missing")
	}
	var h Heartbeat
	host, err := cluster.ParseID(strings.TrimPrefix(lines[0], "host "))
	if err != nil {
		return bad("no host")
	}
	h.Host = cluster.HostID(host)
	var wall int64
	var state string
	for i, field := range []struct {
		name string
		into any
	}{{"boot ", &h.Boot}, {"seq ", &h.Seq}, {"wall ", &wall}, {"state ", &state}, {"name ", &h.Hostname}} {
		if err := parseField(strings.TrimPrefix(lines[1+i], field.name), field.into); err != nil {
			return bad("no " + field.name)
		}
	}
	h.Wall, h.Leaving = time.UnixMilli(wall).UTC(), state == "leaving"
	for _, l := range lines[heartbeatFields:] {
		if a, ok := strings.CutPrefix(l, "address "); ok {
			h.Addresses = append(h.Addresses, a)
			continue
		}
		r, err := parseRunning(l)
		if err != nil {
			return bad("a bad service")
		}
		h.Running = append(h.Running, r)
	}
	if err := h.validate(); err != nil {
		return Heartbeat{}, fault.Wrap(fault.Corrupt, err, "")
	}
	// One heartbeat has one encoding; this also catches every prefix that was missing above.
	if string(h.Append(nil)) != string(b) {
		return bad("not in canonical form")
	}
	return h, nil
}

// parseRunning reads a line "service <id> <condition> <uptime> <restarts> <address>".
func parseRunning(line string) (r Running, err error) {
	f := strings.Split(line, " ")
	if len(f) != 6 || f[0] != "service" {
		return r, fault.New(fault.Corrupt, "%d fields", len(f))
	}
	id, err := cluster.ParseID(f[1])
	var uptime int64
	err = errors.Join(err, parseField(f[3], &uptime), parseField(f[4], &r.Restarts), parseField(f[5], &r.Address))
	if uptime < 0 || uptime > 1<<32 {
		return r, fault.New(fault.Corrupt, "uptime %d", uptime)
	}
	r.Service, r.Condition, r.Uptime = cluster.ServiceID(id), Condition(f[2]), time.Duration(uptime)*time.Second
	return r, err
}

func parseField(text string, into any) (err error) {
	switch p := into.(type) {
	case *uint64:
		*p, err = strconv.ParseUint(text, 10, 64)
	case *int64:
		*p, err = strconv.ParseInt(text, 10, 64)
	case *string:
		if *p = text; text == absent {
			*p = ""
		}
	}
	return err
}

func (h *Heartbeat) validate() error {
	bad := func(what string) error { return fault.New(fault.Invalid, "heartbeat: %s", what) }
	switch {
	case h.Host == 0 || h.Boot == 0 || h.Seq == 0:
		return bad("no host, boot or number")
	case len(h.Addresses) > MaxAddresses || len(h.Running) > MaxRunning:
		return bad("too many addresses or services")
	case len(h.Hostname) > MaxHostBytes || !plain(h.Hostname) || h.Hostname == absent:
		return bad("bad host name")
	}
	for _, a := range h.Addresses {
		if !validAddress(a) {
			return bad("bad address")
		}
	}
	for i, r := range h.Running {
		switch {
		case r.Service == 0 || i > 0 && h.Running[i-1].Service >= r.Service:
			return bad("services out of order")
		case r.Condition != Starting && r.Condition != Active && r.Condition != Failed:
			return bad("unknown condition")
		case r.Address != "" && (!validAddress(r.Address) || r.Address == absent):
			return bad("bad address of a service")
		}
	}
	return nil
}

// plain reports whether s is printable ASCII without spaces.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func validAddress(a string) bool { return len(a) > 0 && len(a) <= MaxAddressBytes && plain(a) }

// checkedLines returns the lines between the magic and the checksum of a text record, or what is wrong with it.
func checkedLines(b []byte, magic string) (lines []string, wrong string) {
	const trailer = len("crc32c 00000000\n")
	if len(b) < trailer || len(b) > maxFileBytes {
		return nil, "wrong length"
	}
	head, tail := b[:len(b)-trailer], b[len(b)-trailer:]
	if string(tail) != fmt.Sprintf("crc32c %08x\n", checksum.CRC32C(head)) {
		return nil, "wrong checksum"
	}
	lines = strings.Split(strings.TrimSuffix(string(head), "\n"), "\n")
	if lines[0] != magic {
		return nil, "unknown version"
	}
	return lines[1:], ""
}
