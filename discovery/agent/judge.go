package agent

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"ostor/discovery"
	"ostor/internal/cluster"
)

// Patience, in units of N.
const (
	suspectAfter = 4  // silence of a host; a living host that does not list its service; a process that does not answer
	settleFirst  = 2  // an agent that just began: see the others before sharing out what nobody has
	nextAfter    = 8  // a free service is offered to the next host
	steadyFor    = 16 // hosts without change, before services are handed over for balance
	handEvery    = 8  // between two handovers
)

// standing is what the mount says of a service.
type standing struct {
	id         cluster.ServiceID
	generation cluster.Generation // of the newest claim; 0 = never claimed
	host       cluster.HostID     // that made it; 0 = unknown
	released   bool
}

// judge knows who was heard of when, and decides what this host should do. It does no I/O and has no clock: times are those of its caller, since any fixed moment.
type judge struct {
	self  cluster.HostID
	unit  time.Duration // N
	began time.Duration
	hosts map[cluster.HostID]*sight
	free  map[cluster.ServiceID]*vacancy
	gave  time.Duration // when a service was last handed over
	calm  time.Duration // since when the set of living hosts is unchanged

	suspicions uint64
}

// sight is what is known of a host.
type sight struct {
	beat  discovery.Heartbeat // the newest
	heard time.Duration       // when it was learned of
	live  bool                // at the last decision
	asked bool                // it has answered a ping
}

// vacancy is a service that nobody seems to have.
type vacancy struct {
	generation cluster.Generation
	since      time.Duration // first seen without its host, or host without it
	open       time.Duration // first seen free; 0 = not yet
}

func newJudge(self cluster.HostID, unit, now time.Duration) *judge {
	return &judge{self: self, unit: unit, began: now, calm: now, hosts: map[cluster.HostID]*sight{}, free: map[cluster.ServiceID]*vacancy{}}
}

func (j *judge) units(n int) time.Duration { return time.Duration(n) * j.unit }

// hear notes a heartbeat. An older one than known says nothing.
func (j *judge) hear(now time.Duration, b discovery.Heartbeat) {
	s := j.hosts[b.Host]
	if s == nil {
		s = &sight{}
		j.hosts[b.Host] = s
	}
	if b.Seq > s.beat.Seq {
		s.beat, s.heard = b, now
	}
}

// known returns the number of the newest heartbeat of a host.
func (j *judge) known(h cluster.HostID) uint64 {
	if s := j.hosts[h]; s != nil {
		return s.beat.Seq
	}
	return 0
}

// worthPing returns the hosts whose next heartbeat should have come, and those that were never asked.
func (j *judge) worthPing(now time.Duration) (list []discovery.Heartbeat) {
	for id, s := range j.hosts {
		if id == j.self || s.beat.Leaving || len(s.beat.Addresses) == 0 {
			continue
		}
		if silence := now - s.heard; (!s.asked || silence > j.units(2)+j.unit/2) && silence < j.units(2*suspectAfter) {
			list = append(list, s.beat)
		}
	}
	return list
}

// alive reports whether a host counted as living at a time.
func (s *sight) alive(now, patience time.Duration) bool {
	return s != nil && !s.beat.Leaving && now-s.heard < patience
}

// decision is what to do now.
type decision struct {
	take      []standing        // start these
	give      cluster.ServiceID // stop this one, for another host; 0 = none
	suspected []cluster.HostID  // newly
}

// decide looks at all services, ascending by id, as they were when the last look that succeeded began: looked. held says which of them this agent has, in whatever condition, and which it
// has given up for a while (failed).
func (j *judge) decide(now, looked time.Duration, services []standing, held func(cluster.ServiceID) discovery.Condition) (d decision) {
	d.suspected = j.review(looked)
	if !j.hosts[j.self].alive(now, j.units(suspectAfter)) || now-looked >= j.units(suspectAfter) {
		return d // invariant 1
	}
	loads := j.shares(services, held)
	var open []standing
	for _, s := range services {
		if c := held(s.id); c == discovery.Starting || c == discovery.Active {
			delete(j.free, s.id)
			continue
		}
		if s.host == j.self && !s.released && held(s.id) == "" { // left by a former agent of this host
			d.take = append(d.take, s)
			loads.add(s.id, j.self)
			continue
		}
		if j.isFree(now, s) {
			open = append(open, s)
		}
	}
	for _, s := range open {
		host := j.chosen(now, s, loads, held)
		loads.add(s.id, host)
		if host == j.self {
			d.take = append(d.take, s)
		}
	}
	if len(open) == 0 && len(d.take) == 0 {
		d.give = j.surplus(now, services, loads, held)
	}
	return d
}

// review finds out who lives, and who has fallen silent. Silence counts up to the last look only: while this host cannot look, nobody else has become silent.
func (j *judge) review(looked time.Duration) (suspected []cluster.HostID) {
	for id, s := range j.hosts {
		live := s.alive(looked, j.units(suspectAfter))
		if live == s.live {
			continue
		}
		s.live, j.calm = live, looked
		if !live && !s.beat.Leaving && id != j.self {
			j.suspicions++
			suspected = append(suspected, id)
		}
	}
	slices.Sort(suspected)
	return suspected
}

func (j *judge) living() (hosts []cluster.HostID) {
	for id, s := range j.hosts {
		if s.live {
			hosts = append(hosts, id)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// isFree reports whether a service that this agent does not have may be taken.
func (j *judge) isFree(now time.Duration, s standing) bool {
	h := j.hosts[s.host]
	if h != nil && h.live && h.beat.Lists(s.id) && s.host != j.self {
		delete(j.free, s.id)
		return false
	}
	v := j.free[s.id]
	if v == nil || v.generation != s.generation { // a claim that came meanwhile begins anew
		v = &vacancy{generation: s.generation, since: now}
		j.free[s.id] = v
	}
	var patience time.Duration
	switch {
	case s.generation == 0 || s.released:
		if now < j.began+j.units(settleFirst) {
			return false
		}
	case h == nil || h.live: // unknown hosts, and living ones that do not speak of it
		patience = j.units(suspectAfter)
	}
	if now-v.since < patience {
		return false
	}
	if v.open == 0 {
		v.open = max(now, 1)
	}
	return true
}

// loads counts the services of each host by type.
type loads struct {
	count map[cluster.HostID]map[cluster.ServiceType]int
	share map[cluster.ServiceType]int
}

func (l loads) add(id cluster.ServiceID, h cluster.HostID) {
	if l.count[h] == nil {
		l.count[h] = map[cluster.ServiceType]int{}
	}
	l.count[h][id.Type()]++
}

func (l loads) of(h cluster.HostID, t cluster.ServiceType) int { return l.count[h][t] }

// shares counts what each living host has, and what its fair share is.
func (j *judge) shares(services []standing, held func(cluster.ServiceID) discovery.Condition) loads {
	l := loads{map[cluster.HostID]map[cluster.ServiceType]int{}, map[cluster.ServiceType]int{}}
	total := map[cluster.ServiceType]int{}
	for _, s := range services {
		total[s.id.Type()]++
		switch c := held(s.id); {
		case c == discovery.Starting || c == discovery.Active:
			l.add(s.id, j.self)
		case s.host != j.self && j.hosts[s.host] != nil && j.hosts[s.host].live && j.hosts[s.host].beat.Lists(s.id):
			l.add(s.id, s.host)
		}
	}
	n := len(j.living())
	for t, k := range total {
		l.share[t] = (k + n - 1) / n
	}
	return l
}

// chosen returns the host that should take a free service: the highest rank among those that live, have room and have not given it up; the next one each time nobody took it for long.
func (j *judge) chosen(now time.Duration, s standing, l loads, held func(cluster.ServiceID) discovery.Condition) cluster.HostID {
	var willing, all []cluster.HostID
	for _, h := range j.living() {
		all = append(all, h)
		failed := j.hosts[h].beat.Condition(s.id) == discovery.Failed
		if h == j.self {
			failed = held(s.id) == discovery.Failed
		}
		if !failed && l.of(h, s.id.Type()) < l.share[s.id.Type()] {
			willing = append(willing, h)
		}
	}
	turn := int((now - j.free[s.id].open) / j.units(nextAfter))
	if len(willing) == 0 || turn > 0 { // who should have taken it did not: anybody
		willing = all
	}
	slices.SortFunc(willing, func(a, b cluster.HostID) int { return cmp.Compare(hostRank(s.id, b), hostRank(s.id, a)) })
	return willing[turn%len(willing)]
}

// hostRank is the rendezvous hash of a service and a host: XXH64 of both ids, little endian. Agents of one cluster must agree on it; nothing on disk depends on it.
func hostRank(s cluster.ServiceID, h cluster.HostID) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s))
	binary.LittleEndian.PutUint64(b[8:], uint64(h))
	return xxhash.Sum64(b[:])
}

// surplus returns a service of this host that another one should have, 0 for none.
func (j *judge) surplus(now time.Duration, services []standing, l loads, held func(cluster.ServiceID) discovery.Condition) cluster.ServiceID {
	hosts := j.living()
	if now-j.calm < j.units(steadyFor) || now-j.gave < j.units(handEvery) || len(hosts) < 2 {
		return 0
	}
	var give cluster.ServiceID
	for _, s := range services {
		t := s.id.Type()
		room := slices.ContainsFunc(hosts, func(h cluster.HostID) bool { return l.of(h, t) < l.of(j.self, t)-1 })
		if held(s.id) != discovery.Active || l.of(j.self, t) <= l.share[t] || !room {
			continue
		}
		if give == 0 || hostRank(s.id, j.self) < hostRank(give, j.self) {
			give = s.id
		}
	}
	if give != 0 {
		j.gave = now
	}
	return give
}
