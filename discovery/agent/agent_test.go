package agent

import (
	"errors"
	"slices"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend/faultfs"
	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestShareOut begins a fresh volume: every service runs once, evenly shared, and stays where it is.
func TestShareOut(t *testing.T) {
	inCluster(t, 3, 3, 3, func(s *simulation) {
		took := s.await("begin", anywhere)
		t.Logf("all serve after %.1fN", float64(took)/float64(unit))
		first := map[cluster.ServiceID]*simProcess{}
		for _, id := range s.ids {
			first[id] = s.owner(id)
		}
		time.Sleep(100 * unit)
		for _, id := range s.ids {
			if s.owner(id) != first[id] {
				t.Errorf("service %s moved without a reason", id)
			}
		}
		for h, n := range s.spread() {
			if n != 2 {
				t.Errorf("host %s has %d of 6 services", h, n)
			}
		}
		for id, h := range s.hosts {
			if st := h.agent.Load().Stats(); st.Suspicions != 0 || st.Takeovers != 0 || st.Restarts != 0 || st.LateNames != 0 || st.Hosts != 3 || st.Services != 2 {
				t.Errorf("host %s: %+v", id, st)
			}
		}
	})
}

// TestHostIsLost loses a host in each way. The others take its services over after the wait; when it comes back, it fights for nothing and gets its share again.
func TestHostIsLost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		lose     func(h *simHost)
		atLeast  float64 // N until everything serves elsewhere
		atMost   float64
		comeBack func(h *simHost)
	}{
		{"killed", (*simHost).kill, 9.4 + 2, 9.4 + 5.5, (*simHost).up},
		{"frozen", (*simHost).freeze, 9.4 + 2, 9.4 + 5.5, (*simHost).heal},
		{"partitioned, and its agent answers pings", func(h *simHost) { h.fs.Add(faultfs.Rule{}) }, 9.4 + 2, 9.4 + 5.5, (*simHost).heal},
		{"stopped cleanly", (*simHost).down, 0, 2.5, (*simHost).up},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inCluster(t, 3, 3, 3, func(s *simulation) {
				s.await("begin", anywhere)
				time.Sleep(10 * unit)
				h := s.hosts[2]
				tc.lose(h)
				took := float64(s.await("takeover", notOn(h))) / float64(unit)
				if took < tc.atLeast || took > tc.atMost {
					t.Errorf("taken over after %.1fN, want %.1f to %.1f", took, tc.atLeast, tc.atMost)
				}
				t.Logf("taken over after %.1fN", took)
				time.Sleep(15 * unit)
				tc.comeBack(h)
				time.Sleep(60 * unit)
				s.await("all goes on", anywhere)
				for id, n := range s.spread() {
					if n != 2 {
						t.Errorf("in the end host %s has %d of 6 services: %v", id, n, s.spread())
					}
				}
			})
		})
	}
}

// TestLateHeartbeats lets the mount of one host be too slow for heartbeats while its agent answers: nobody is suspected.
func TestLateHeartbeats(t *testing.T) {
	inCluster(t, 3, 1, 2, func(s *simulation) {
		s.await("begin", anywhere)
		for _, h := range s.hosts { // nobody sees heartbeats of others; claims still show
			h.blind.Store(true)
		}
		time.Sleep(40 * unit)
		for id, h := range s.hosts {
			if st := h.agent.Load().Stats(); st.Suspicions != 0 || st.Takeovers != 0 || st.LateNames == 0 {
				t.Errorf("host %s: %+v, want no suspicion, but a complaint about the mount", id, st)
			}
		}
		// Without the answers it would have been noticed.
		for _, h := range s.hosts {
			h.deaf.Store(true)
		}
		time.Sleep(10 * unit)
		if st := s.hosts[1].agent.Load().Stats(); st.Suspicions == 0 {
			t.Error("silence on the mount and no answer to pings: no suspicion")
		}
		for _, h := range s.hosts {
			h.deaf.Store(false)
		}
	})
}

// TestFalseSuspicion lets one agent be deaf: it takes the others for dead and claims what they have. Ownership holds, and in the end everything serves.
func TestFalseSuspicion(t *testing.T) {
	inCluster(t, 3, 2, 2, func(s *simulation) {
		s.await("begin", anywhere)
		deaf := s.hosts[3]
		for _, h := range s.hosts {
			h.deaf.Store(true)
		}
		deaf.blind.Store(true)
		time.Sleep(30 * unit)
		st := deaf.agent.Load().Stats()
		if st.Suspicions != 2 || st.Takeovers == 0 {
			t.Errorf("the deaf agent: %+v, want two suspicions and takeovers", st)
		}
		s.await("under a false suspicion", anywhere)
		deaf.blind.Store(false)
		for _, h := range s.hosts {
			h.deaf.Store(false)
		}
		time.Sleep(60 * unit)
		s.await("after it", anywhere)
	})
}

// TestFlapping lets a host freeze and wake up again and again.
func TestFlapping(t *testing.T) {
	inCluster(t, 3, 2, 3, func(s *simulation) {
		s.await("begin", anywhere)
		h := s.hosts[1]
		for range 8 {
			h.freeze()
			time.Sleep(7 * unit)
			h.heal()
			time.Sleep(5 * unit)
		}
		s.await("after the flapping", anywhere)
		time.Sleep(80 * unit)
		s.await("later", anywhere)
		for _, h := range s.hosts {
			if h.agent.Load().Stats().Services == 0 {
				t.Errorf("host %s got nothing back: %v", h.id, s.spread())
			}
		}
	})
}

// TestTwoClaim lets two agents want the same service at the same time: both think that the other and the owner are dead. One wins, the other gives up quietly.
func TestTwoClaim(t *testing.T) {
	inCluster(t, 3, 1, 1, func(s *simulation) {
		s.await("begin", anywhere)
		owner := s.owner(s.ids[0]).host
		for _, h := range s.hosts {
			h.deaf.Store(true)
			h.blind.Store(true) // each believes to be alone
		}
		owner.kill()
		time.Sleep(30 * unit)
		for _, h := range s.hosts {
			h.blind.Store(false)
			h.deaf.Store(false)
		}
		s.await("after both claimed", notOn(owner))
		starts, yields := int64(0), int64(0)
		for _, h := range s.hosts {
			if h != owner {
				st := h.agent.Load().Stats()
				starts, yields = starts+st.Takeovers, yields+st.Yields
			}
		}
		if starts < 2 || yields < 1 {
			t.Errorf("%d takeovers begun, %d given up: want both hosts to claim and one to give up", starts, yields)
		}
	})
}

// TestProcessFails has a service that ends: it is started again with growing pauses; one that never serves is given up, and another host takes it.
func TestProcessFails(t *testing.T) {
	inCluster(t, 2, 1, 1, func(s *simulation) {
		s.await("begin", anywhere)
		time.Sleep(10 * unit)
		p := s.owner(s.ids[0])
		h := p.host
		p.Kill()
		time.Sleep(unit / 10)
		if took := s.await("restart", anywhere); took > 2*unit {
			t.Errorf("restarted after %v", took)
		}
		if s.owner(s.ids[0]).host != h || h.agent.Load().Stats().Restarts != 1 {
			t.Errorf("the service moved, or restarts are %d", h.agent.Load().Stats().Restarts)
		}
		h.mu.Lock()
		h.fails[s.ids[0]] = 1000
		h.mu.Unlock()
		s.owner(s.ids[0]).Kill()
		time.Sleep(unit / 10)
		took := s.await("another host takes it", notOn(h))
		h.mu.Lock()
		tried := 1000 - h.fails[s.ids[0]]
		h.fails[s.ids[0]] = 0
		h.mu.Unlock()
		if tried < 2 || tried > givenUpAfter {
			t.Errorf("started %d times, then given up", tried)
		}
		t.Logf("another host has it after %.1fN and %d tries", float64(took)/float64(unit), tried)
	})
}

// TestFrozenProcess has a service that does not answer while its host is well: it is killed and started again, long before its lease would tell.
func TestFrozenProcess(t *testing.T) {
	inCluster(t, 2, 1, 1, func(s *simulation) {
		s.await("begin", anywhere)
		p := s.owner(s.ids[1])
		p.frozen.Store(true)
		time.Sleep(7 * unit)
		q := s.owner(s.ids[1])
		if q == nil || q == p || q.host != p.host || p.host.agent.Load().Stats().Kills != 1 {
			t.Errorf("killed %d times", p.host.agent.Load().Stats().Kills)
		}
	})
}

// TestAnswer gives no sign of life when the mount has gone.
func TestAnswer(t *testing.T) {
	inCluster(t, 1, 1, 1, func(s *simulation) {
		s.await("begin", anywhere)
		h := s.hosts[1]
		if b, err := h.agent.Load().Answer(); err != nil || b.Host != 1 || b.Seq == 0 {
			t.Errorf("got %+v, %v", b, err)
		}
		h.fs.Add(faultfs.Rule{})
		time.Sleep(4 * unit)
		if _, err := h.agent.Load().Answer(); !errors.Is(err, fault.Unavailable) {
			t.Errorf("without the mount: got %v", err)
		}
	})
}

// TestSequenceGoesOn restarts an agent: its heartbeats go on counting, so that others take them for new.
func TestSequenceGoesOn(t *testing.T) {
	inCluster(t, 2, 1, 1, func(s *simulation) {
		s.await("begin", anywhere)
		before, err := discovery.LastHeartbeat(s.fs, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.hosts[1].down()
		s.hosts[1].up()
		time.Sleep(4 * unit)
		if after, err := discovery.LastHeartbeat(s.fs, 1); err != nil || after <= before {
			t.Errorf("number %d after %d, %v", after, before, err)
		}
		if st := s.hosts[2].agent.Load().Stats(); st.Hosts != 2 {
			t.Errorf("the other host sees %d", st.Hosts)
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	fsys := memfs.New()
	if err := fsys.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	for _, f := range Probe(fsys, "d", "probe") {
		if f.Err != nil {
			t.Errorf("%s: %v", f.What, f.Err)
		}
	}
	if names, err := fsys.List("d"); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	for op, want := range map[faultfs.Op]string{
		faultfs.OpLock: "file locks", faultfs.OpPunch: "punching holes", faultfs.OpAllocate: "preallocation (fallocate)", faultfs.OpDatasync: "fdatasync and fsync of directories",
		faultfs.OpSyncDir: "fdatasync and fsync of directories", faultfs.OpList: "visible new names", faultfs.OpRename: "renames",
	} {
		var bad []string
		for _, f := range Probe(faultfs.New(fsys, 1, faultfs.Rule{Ops: op}), "d", "probe") {
			if f.Err != nil {
				bad = append(bad, f.What)
			}
		}
		if !slices.Equal(bad, []string{want}) {
			t.Errorf("without %v it lacks %v, want %s", op, bad, want)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{FS: memfs.New(), Host: 1}); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}
