package fusesim

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"ostor/internal/fault"
)

// The control socket: a unix socket that carries lines of JSON, one request and one reply each. PROTOCOL.md describes it.

// ProtocolVersion is the number that each request carries.
const ProtocolVersion = 1

// maxRequestBytes bounds a line.
const maxRequestBytes = 64 << 10

// Request is one line from a client. Do says what to do; the other fields are its arguments.
type Request struct {
	V     int    `json:"v"`
	Do    string `json:"do"`
	Host  int    `json:"host"`            // AllHosts = every host
	Keep  Keep   `json:"keep,omitempty"`  // power
	Seed  uint64 `json:"seed,omitempty"`  // power, flip
	Errno string `json:"errno,omitempty"` // partition; default EIO
	Locks string `json:"locks,omitempty"` // partition, freeze: "drop" ends the host's locks
	Drop  bool   `json:"drop,omitempty"`  // release: forget instead of land
	Bytes int64  `json:"bytes,omitempty"` // budget; < 0 = no limit
	Rule  *Rule  `json:"rule,omitempty"`  // fail
	Name  string `json:"name,omitempty"`  // flip: path below the source
	Store int    `json:"store,omitempty"` // flip, lose, mend: number of the store
	Bits  int    `json:"bits,omitempty"`  // flip
	Off   int64  `json:"off,omitempty"`   // flip: the bits lie in [Off, Off+Len)
	Len   int64  `json:"len,omitempty"`   // flip: 0 = to the end of the file
}

// Reply is one line back.
type Reply struct {
	OK     bool            `json:"ok"`
	Error  string          `json:"error,omitempty"`
	Kind   string          `json:"kind,omitempty"` // of the error, as in package fault
	Result json.RawMessage `json:"result,omitempty"`
}

// Status is the result of "status".
type Status struct {
	Hosts        []HostStatus  `json:"hosts"`
	Rules        []RuleStatus  `json:"rules"`
	Stores       []StoreStatus `json:"stores,omitempty"`
	JournalBytes int64         `json:"journalBytes"` // held back for power cuts
	Unsynced     int           `json:"unsynced"`     // files with changes that are not durable
	UnsyncedOps  int           `json:"unsyncedNames"`
}

// HostStatus is one host of a Status.
type HostStatus struct {
	Host      int    `json:"host"`
	Mount     string `json:"mount"`
	Power     bool   `json:"power"`
	Frozen    bool   `json:"frozen"`
	Partition string `json:"partition,omitempty"` // the error that it gets
	Stuck     int    `json:"stuck"`               // operations that were issued and have not landed
	Waiting   int    `json:"waiting"`             // callers that wait for the end of a freeze or of a hang
	Budget    int64  `json:"budget"`              // bytes left; -1 = no limit
	Boots     uint64 `json:"boots"`               // power cuts so far
}

// RuleStatus is one rule of a Status.
type RuleStatus struct {
	ID    int   `json:"id"`
	Fired int64 `json:"fired"`
	Rule  Rule  `json:"rule"`
}

// Control serves the control socket until it is closed.
type Control struct {
	c    *Cluster
	l    net.Listener
	name string

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// Control begins to serve a unix socket at name, which this user alone can reach. A socket left over by a process that died is replaced.
func (c *Cluster) Control(name string) (*Control, error) {
	if conn, err := net.Dial("unix", name); err == nil {
		_ = conn.Close()
		return nil, fault.New(fault.Exists, "fusesim: %s is served by another process", name)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "fusesim: control socket")
	}
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	t := &Control{c: c, l: l, name: name, conns: make(map[net.Conn]struct{})}
	t.wg.Go(t.accept)
	return t, nil
}

// Close ends the socket and its connections, and waits for what they do.
func (t *Control) Close() error {
	err := t.l.Close()
	t.mu.Lock()
	for conn := range t.conns {
		_ = conn.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return err
}

func (t *Control) accept() {
	for {
		conn, err := t.l.Accept()
		if err != nil {
			return // closed
		}
		t.mu.Lock()
		t.conns[conn] = struct{}{}
		t.mu.Unlock()
		t.wg.Go(func() {
			t.serve(conn)
			_ = conn.Close()
			t.mu.Lock()
			delete(t.conns, conn)
			t.mu.Unlock()
		})
	}
}

func (t *Control) serve(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxRequestBytes)
	enc := json.NewEncoder(conn)
	for lines.Scan() {
		if enc.Encode(t.c.answer(lines.Bytes())) != nil {
			return
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		_ = enc.Encode(refusal(fault.New(fault.Invalid, "the request is longer than %d bytes", maxRequestBytes)))
	}
}

func refusal(err error) Reply {
	return Reply{Error: err.Error(), Kind: fault.KindOf(err).Error()}
}

// answer does what one line asks for.
func (c *Cluster) answer(line []byte) Reply {
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		return refusal(fault.Wrap(fault.Invalid, err, "the request is not JSON as expected"))
	}
	if q.V != ProtocolVersion {
		return refusal(fault.New(fault.NotSupported, "version %d of the protocol is not spoken here: want %d", q.V, ProtocolVersion))
	}
	result, err := c.Do(q)
	if err != nil {
		return refusal(err)
	}
	r := Reply{OK: true}
	if result != nil {
		if r.Result, err = json.Marshal(result); err != nil {
			return refusal(err)
		}
	}
	return r
}

// Do does what a request asks for and returns its result, as PROTOCOL.md says.
func (c *Cluster) Do(q Request) (any, error) {
	switch q.Do {
	case "status":
		return c.Status(), nil
	case "power":
		if q.Keep == "" {
			q.Keep = KeepNothing
		}
		return c.Power(q.Host, q.Keep, q.Seed)
	case "boot":
		return nil, c.Boot(q.Host)
	case "partition", "freeze":
		return nil, c.isolate(q)
	case "heal":
		return c.each(q.Host, func(h *simHost) int { return h.heal() })
	case "release":
		return c.each(q.Host, func(h *simHost) int { return h.release(q.Drop) })
	case "fail":
		return c.fail(q.Rule)
	case "clear":
		return nil, c.clear(q.Host)
	case "budget":
		return nil, c.budget(q.Host, q.Bytes)
	case "flip":
		return c.flip(q)
	case "lose":
		return nil, c.Lose(q.Store)
	case "mend":
		return c.Mend(q.Store)
	}
	return nil, fault.New(fault.Invalid, "fusesim: there is no request %q", q.Do)
}

// landed is the result of "heal" and "release".
type landed struct {
	Landed int `json:"landed"` // operations that were stuck
}

func (c *Cluster) each(host int, do func(*simHost) int) (landed, error) {
	hosts, err := c.pick(host)
	var n landed
	for _, h := range hosts {
		n.Landed += do(h)
	}
	c.sim.settleCalm()
	return n, err
}

// isolate cuts a host off, with an error or by waiting.
func (c *Cluster) isolate(q Request) error {
	hosts, err := c.pick(q.Host)
	if err != nil {
		return err
	}
	errno := syscall.EIO
	if q.Errno != "" {
		if errno, err = errnoOf(q.Errno); err != nil {
			return err
		}
	}
	if q.Locks != "" && q.Locks != "drop" {
		return fault.New(fault.Invalid, "fusesim: locks %q: want drop, or nothing", q.Locks)
	}
	for _, h := range hosts {
		h.mu.Lock()
		if q.Do == "partition" {
			h.cut = errno
		} else if h.frozen == nil {
			h.frozen = make(chan struct{})
		}
		h.mu.Unlock()
		if q.Locks == "drop" {
			h.dropLocks()
		}
	}
	c.sim.calm.Store(false)
	return nil
}

// fail adds a rule and returns its number.
func (c *Cluster) fail(r *Rule) (any, error) {
	if r == nil {
		return nil, fault.New(fault.Invalid, "fusesim: which rule?")
	}
	a, err := r.compile(len(c.sim.hosts))
	if err != nil {
		return nil, err
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	c.sim.lastID++
	a.id = c.sim.lastID
	c.sim.rules = append(c.sim.rules, a)
	c.sim.calm.Store(false)
	return struct {
		ID int `json:"id"`
	}{a.id}, nil
}

// clear removes the rules of a host, or all rules with AllHosts, and budgets. What is stuck stays so.
func (c *Cluster) clear(host int) error {
	hosts, err := c.pick(host)
	if err != nil {
		return err
	}
	c.sim.mu.Lock()
	rest := []*active{}
	for _, r := range c.sim.rules {
		if host != AllHosts && r.Host != host {
			rest = append(rest, r)
		}
	}
	c.sim.rules = rest
	c.sim.mu.Unlock()
	for _, h := range hosts {
		h.mu.Lock()
		h.budget = nil
		h.mu.Unlock()
	}
	c.sim.settleCalm()
	return nil
}

// budget makes a host's disk full after so many more bytes, or the cluster's with AllHosts.
func (c *Cluster) budget(host int, bytes int64) error {
	hosts, err := c.pick(host)
	var b *budget
	if bytes >= 0 {
		b = &budget{left: bytes}
	}
	for _, h := range hosts {
		h.mu.Lock()
		h.budget = b
		h.mu.Unlock()
	}
	return err
}

// Status returns what is set and what waits.
func (c *Cluster) Status() Status {
	s := c.sim
	st := Status{JournalBytes: s.journal.Load(), Rules: []RuleStatus{}, Stores: s.storeStatus()}
	for i, h := range s.hosts {
		h.mu.Lock()
		one := HostStatus{Host: i, Power: !h.off.Load(), Frozen: h.frozen != nil, Stuck: len(h.held), Waiting: int(h.waiting.Load()), Budget: -1, Boots: h.boot.Load()}
		if i < len(c.points) {
			one.Mount = c.points[i]
		}
		if h.cut != 0 {
			one.Partition = h.cut.Error()
		}
		if b := h.budget; b != nil {
			b.mu.Lock()
			one.Budget = b.left
			b.mu.Unlock()
		}
		h.mu.Unlock()
		st.Hosts = append(st.Hosts, one)
	}
	s.mu.Lock()
	for _, r := range s.rules {
		st.Rules = append(st.Rules, RuleStatus{r.id, r.fired, r.Rule})
	}
	s.mu.Unlock()
	for _, in := range s.all() {
		in.mu.Lock()
		if len(in.entries) > 0 {
			st.Unsynced++
		}
		in.mu.Unlock()
		in.drop()
	}
	if s.names != nil {
		s.names.mu.Lock()
		st.UnsyncedOps = len(s.names.ops)
		s.names.mu.Unlock()
	}
	return st
}

// Client speaks to a control socket. Not safe for concurrent use.
type Client struct {
	conn net.Conn
	dec  *json.Decoder
}

// DialControl connects to the socket of a running simulator.
func DialControl(name string) (*Client, error) {
	conn, err := net.Dial("unix", name)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "fusesim: is ostor-fuse running with --control?")
	}
	return &Client{conn: conn, dec: json.NewDecoder(conn)}, nil
}

// Do sends a request and decodes its result into result, unless that is nil.
func (c *Client) Do(q Request, result any) error {
	q.V = ProtocolVersion
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return err
	}
	var r Reply
	if err := c.dec.Decode(&r); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if !r.OK {
		return kindError(r)
	}
	if result == nil || len(r.Result) == 0 {
		return nil
	}
	return json.Unmarshal(r.Result, result)
}

func kindError(r Reply) error {
	for _, k := range []fault.Kind{fault.Invalid, fault.NotFound, fault.Exists, fault.NotSupported, fault.Unavailable, fault.NoSpace} {
		if k.Error() == r.Kind {
			return fault.New(k, "%s", r.Error)
		}
	}
	return errors.New(r.Error)
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
