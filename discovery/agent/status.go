package agent

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// silentFor is how old the newest heartbeat of a host that lives can be, by the clocks of its host and ours. It informs people only.
const silentFor = time.Minute

// Statuses of a Row.
const (
	StatusActive   = "ACTIVE"   // it serves
	StatusStarting = "STARTING" // its process starts, waits for a former owner, or is about to be started again
	StatusFailed   = "FAILED"   // its host has given it up for a while
	StatusSilent   = "SILENT"   // its host was last heard of a minute ago or more
	StatusMoving   = "MOVING"   // claimed, but its host does not speak of it
	StatusStopped  = "STOPPED"  // released, or never started
)

// Row is a service in the report of a cluster.
type Row struct {
	Service  cluster.ServiceID
	Status   string
	Uptime   time.Duration  // since it serves; 0 unless active
	Host     cluster.HostID // 0: none
	Hostname string
	Address  string // "" = not known
	Restarts uint64
}

// Status reports every service of all volumes, and the gateways of hosts that are heard of, highest id first, from what the mount shows now.
func Status(fsys fsbackend.FS, now time.Time) ([]Row, error) {
	hosts, err := discovery.Hosts(fsys)
	if err != nil {
		return nil, err
	}
	rows := map[cluster.ServiceID]Row{}
	beats := map[cluster.HostID]discovery.Heartbeat{}
	for _, h := range hosts {
		b, err := newestHeartbeat(fsys, h)
		if err != nil || b.Seq == 0 || b.Leaving {
			continue // unreadable: as good as silent
		}
		beats[h] = b
		for _, r := range b.Running {
			if r.Service.Type() == cluster.TypeGateway {
				rows[r.Service] = rowOf(&b, r, now)
			}
		}
	}
	l := newLooker(fsys)
	services, err := l.services()
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		rows[s.id] = serviceRow(s, beats, now)
	}
	list := make([]Row, 0, len(rows))
	for _, r := range rows {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Row) int { return cmp.Compare(b.Service, a.Service) })
	return list, nil
}

// newestHeartbeat returns the newest readable heartbeat of a host, with Seq 0 when there is none.
func newestHeartbeat(fsys fsbackend.FS, h cluster.HostID) (discovery.Heartbeat, error) {
	seq, err := discovery.LastHeartbeat(fsys, h)
	if err != nil || seq == 0 {
		return discovery.Heartbeat{}, err
	}
	b, err := discovery.ReadHeartbeat(fsys, h, seq)
	if errors.Is(err, fault.Unavailable) && seq > 1 { // just being written
		return discovery.ReadHeartbeat(fsys, h, seq-1)
	}
	return b, err
}

// serviceRow describes a service by its newest claim, and by what the claimer says of it.
func serviceRow(s standing, beats map[cluster.HostID]discovery.Heartbeat, now time.Time) Row {
	row := Row{Service: s.id, Status: StatusMoving, Host: s.host}
	if s.generation == 0 || s.released {
		row.Status = StatusStopped
	}
	b, ok := beats[s.host]
	if !ok {
		return row
	}
	row.Hostname = b.Hostname
	for _, r := range b.Running {
		if r.Service == s.id && !s.released {
			return rowOf(&b, r, now)
		}
	}
	return row
}

func rowOf(b *discovery.Heartbeat, r discovery.Running, now time.Time) Row {
	row := Row{Service: r.Service, Uptime: r.Uptime, Host: b.Host, Hostname: b.Hostname, Address: r.Address, Restarts: r.Restarts}
	switch {
	case now.Sub(b.Wall) >= silentFor:
		row.Status = StatusSilent
	case r.Condition == discovery.Active:
		row.Status = StatusActive
		row.Uptime += max(now.Sub(b.Wall), 0).Truncate(time.Second)
	case r.Condition == discovery.Failed:
		row.Status = StatusFailed
	default:
		row.Status = StatusStarting
	}
	return row
}
