package agent

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/internal/cluster"
)

const (
	unit = 100 * time.Millisecond
	ns0  = cluster.ServiceID(0x0800000000000000)
	os0  = cluster.ServiceID(0x1000000000000000)
)

// bench is a judge of host 1 with a clock.
type bench struct {
	*judge
	now  time.Duration
	seq  uint64
	held map[cluster.ServiceID]discovery.Condition
}

func newBench() *bench {
	return &bench{judge: newJudge(1, unit, 1), now: 1, held: map[cluster.ServiceID]discovery.Condition{}}
}

// beats lets hosts be heard of now, each with what it runs.
func (b *bench) beats(hosts map[cluster.HostID][]cluster.ServiceID) {
	b.seq++
	for h, ids := range hosts {
		beat := discovery.Heartbeat{Host: h, Boot: 1, Seq: b.seq}
		for _, id := range ids {
			beat.Running = append(beat.Running, discovery.Running{Service: id, Condition: discovery.Active})
		}
		b.hear(b.now, beat)
	}
}

// alive lets n units pass with heartbeats in each.
func (b *bench) alive(n int, hosts map[cluster.HostID][]cluster.ServiceID, services ...standing) (d decision) {
	for range n {
		b.now += unit
		b.beats(hosts)
		d = b.ask(services...)
	}
	return d
}

func (b *bench) ask(services ...standing) decision {
	return b.decide(b.now, b.now, services, func(id cluster.ServiceID) discovery.Condition { return b.held[id] })
}

func (d decision) taken() (ids []cluster.ServiceID) {
	for _, s := range d.take {
		ids = append(ids, s.id)
	}
	return ids
}

// mine returns a service id of a type for which host 1 has the highest rank among hosts, or has not.
func ranked(from cluster.ServiceID, mine bool, hosts ...cluster.HostID) cluster.ServiceID {
	for id := from; ; id++ {
		first := true
		for _, h := range hosts {
			first = first && hostRank(id, 1) > hostRank(id, h)
		}
		if first == mine {
			return id
		}
	}
}

type running = map[cluster.HostID][]cluster.ServiceID

func TestDecide(t *testing.T) {
	t.Parallel()
	mine, other := ranked(ns0, true, 2, 3), ranked(ns0, false, 2, 3)
	all := running{1: nil, 2: nil, 3: nil}
	for _, tc := range []struct {
		name string
		run  func(b *bench) decision
		want []cluster.ServiceID
	}{
		{"never claimed, mine by rank", func(b *bench) decision { return b.alive(3, all, standing{id: mine}) }, []cluster.ServiceID{mine}},
		{"never claimed, another's by rank", func(b *bench) decision { return b.alive(3, all, standing{id: other}) }, nil},
		{"never claimed, but the others may not have begun yet", func(b *bench) decision { return b.alive(1, all, standing{id: mine}) }, nil},
		{"left by a former agent of this host", func(b *bench) decision { return b.alive(1, all, standing{id: other, generation: 4, host: 1}) }, []cluster.ServiceID{other}},
		{"of a host that lives and lists it", func(b *bench) decision {
			return b.alive(50, running{1: nil, 2: {mine}, 3: nil}, standing{id: mine, generation: 4, host: 2})
		}, nil},
		{"of a host silent for less than 4N", func(b *bench) decision {
			b.alive(1, running{1: nil, 2: {mine}, 3: nil}, standing{id: mine, generation: 4, host: 2})
			return b.alive(3, running{1: nil, 3: nil}, standing{id: mine, generation: 4, host: 2})
		}, nil},
		{"of a host silent for 4N", func(b *bench) decision {
			b.alive(1, running{1: nil, 2: {mine}, 3: nil}, standing{id: mine, generation: 4, host: 2})
			return b.alive(4, running{1: nil, 3: nil}, standing{id: mine, generation: 4, host: 2})
		}, []cluster.ServiceID{mine}},
		{"of a host that leaves", func(b *bench) decision {
			b.alive(3, running{1: nil, 2: {mine}, 3: nil}, standing{id: mine, generation: 4, host: 2})
			b.hear(b.now, discovery.Heartbeat{Host: 2, Boot: 1, Seq: b.seq + 1, Leaving: true})
			return b.ask(standing{id: mine, generation: 4, host: 2, released: true})
		}, []cluster.ServiceID{mine}},
		{"released by a living host that lists it no more", func(b *bench) decision {
			return b.alive(3, all, standing{id: mine, generation: 4, host: 2, released: true})
		}, []cluster.ServiceID{mine}},
		{"a living host does not list it, for 3N", func(b *bench) decision { return b.alive(4, all, standing{id: mine, generation: 4, host: 2}) }, nil},
		{"a living host does not list it, for 4N", func(b *bench) decision { return b.alive(5, all, standing{id: mine, generation: 4, host: 2}) }, []cluster.ServiceID{mine}},
		{"of a host that nobody knows, for 4N", func(b *bench) decision { return b.alive(5, all, standing{id: mine, generation: 4, host: 9}) }, []cluster.ServiceID{mine}},
		{"an unreadable claim counts as somebody's", func(b *bench) decision { return b.alive(4, all, standing{id: mine, generation: 4}) }, nil},
		{"a claim that came meanwhile begins anew", func(b *bench) decision {
			b.alive(4, all, standing{id: mine, generation: 4, host: 2})
			return b.alive(4, all, standing{id: mine, generation: 5, host: 3})
		}, nil},
		{"the own heartbeats do not reach the mount", func(b *bench) decision {
			b.alive(1, all, standing{id: mine})
			return b.alive(5, running{2: nil, 3: nil}, standing{id: mine})
		}, nil},
		{"the last look is old", func(b *bench) decision {
			b.alive(3, all)
			looked := b.now
			b.now += 4 * unit
			b.beats(all)
			return b.decide(b.now, looked, []standing{{id: mine}}, func(cluster.ServiceID) discovery.Condition { return "" })
		}, nil},
		{"silence counts up to the last look", func(b *bench) decision {
			b.alive(3, running{1: nil, 2: {mine}, 3: nil}, standing{id: mine, generation: 4, host: 2})
			looked := b.now
			b.now += 3 * unit
			b.beats(running{1: nil})
			return b.decide(b.now, looked, []standing{{id: mine, generation: 4, host: 2}}, func(cluster.ServiceID) discovery.Condition { return "" })
		}, nil},
		{"given up here: another host's turn", func(b *bench) decision {
			b.held[mine] = discovery.Failed
			return b.alive(6, all, standing{id: mine, generation: 4, host: 1})
		}, nil},
		{"another host gave it up: the next by rank, and so on", func(b *bench) decision {
			b.held[other] = ""
			var d decision
			for range 40 { // 8N for each host that does not take it
				if d = b.alive(1, all, standing{id: other, generation: 4, host: 9}); len(d.take) > 0 {
					break
				}
			}
			return d
		}, []cluster.ServiceID{other}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.run(newBench()).taken(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("takes %v, want %v", got, tc.want)
			}
		})
	}
}

// TestShares sees that hosts which decide each for itself share a fresh volume out evenly and without overlap, and that the services of one that is lost go to all others.
func TestShares(t *testing.T) {
	t.Parallel()
	for hosts := 1; hosts <= 7; hosts++ {
		for total := 1; total <= 12; total++ {
			var services []standing
			for i := range total {
				services = append(services, standing{id: ns0 + cluster.ServiceID(i)})
			}
			for i := range total {
				services = append(services, standing{id: os0 + cluster.ServiceID(i)})
			}
			owner := map[cluster.ServiceID]cluster.HostID{}
			all := running{}
			for h := range hosts {
				all[cluster.HostID(h+1)] = nil
			}
			for h := range all {
				b := newBench()
				b.self = h
				for _, s := range b.alive(3, all, services...).take {
					if had := owner[s.id]; had != 0 {
						t.Fatalf("%d services on %d hosts: %s taken by %s and %s", total, hosts, s.id, had, h)
					}
					owner[s.id] = h
				}
			}
			most := (total + hosts - 1) / hosts
			count := map[string]int{}
			for id, h := range owner {
				count[fmt.Sprint(id.Type(), h)]++
			}
			for who, n := range count {
				if n > most {
					t.Errorf("%d services on %d hosts: %s has %d", total, hosts, who, n)
				}
			}
			if len(owner) != 2*total {
				t.Errorf("%d services on %d hosts: %d taken", 2*total, hosts, len(owner))
			}
		}
	}
}

// TestBalance sees when a service is handed over, and when not.
func TestBalance(t *testing.T) {
	t.Parallel()
	three := []standing{{id: os0, generation: 1, host: 1}, {id: os0 + 1, generation: 1, host: 1}, {id: os0 + 2, generation: 1, host: 2}}
	has := func(b *bench) {
		b.held[os0], b.held[os0+1] = discovery.Active, discovery.Active
	}
	hosts := running{1: {os0, os0 + 1}, 2: {os0 + 2}, 3: nil}
	b := newBench()
	has(b)
	gave := cluster.ServiceID(0)
	for n := range 40 {
		if d := b.alive(1, hosts, three...); d.give != 0 {
			if n < steadyFor-1 {
				t.Errorf("handed %s over after %dN", d.give, n+1)
			}
			if gave = d.give; b.alive(1, hosts, three...).give != 0 {
				t.Error("handed a second one over at once")
			}
			break
		}
	}
	if gave != os0 && gave != os0+1 {
		t.Errorf("gave %v", gave)
	}
	// A host that comes and goes is given nothing.
	b = newBench()
	has(b)
	for range 20 {
		for _, n := range []int{6, 6} {
			if d := b.alive(n, hosts, three...); d.give != 0 {
				t.Fatalf("gave %s to a host that flaps", d.give)
			}
			delete(hosts, 3)
		}
		hosts[3] = nil
	}
	// Two services on three hosts, one each: nothing to gain.
	b = newBench()
	b.held[os0] = discovery.Active
	if d := b.alive(60, running{1: {os0}, 2: {os0 + 1}, 3: nil}, three[0], standing{id: os0 + 1, generation: 1, host: 2}); d.give != 0 || len(d.take) != 0 {
		t.Errorf("decided %+v", d)
	}
}

// TestSuspicions counts them once per silence, and sees a host come back.
func TestSuspicions(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.alive(3, running{1: nil, 2: nil})
	silent := 0
	for range 10 {
		silent += len(b.alive(1, running{1: nil}).suspected)
	}
	if silent != 1 || b.suspicions != 1 {
		t.Errorf("suspected %d times, counted %d", silent, b.suspicions)
	}
	b.alive(1, running{1: nil, 2: nil})
	if got := b.living(); !reflect.DeepEqual(got, []cluster.HostID{1, 2}) {
		t.Errorf("living: %v", got)
	}
	b.hear(b.now, discovery.Heartbeat{Host: 2, Boot: 1, Seq: 1}) // an old one, from a stale view of the mount
	b.alive(6, running{1: nil})
	if b.suspicions != 2 {
		t.Errorf("%d suspicions, want 2", b.suspicions)
	}
}
