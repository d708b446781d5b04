package clustertest

import (
	"context"
	"io"
	"sync"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Links stands for all object servers of a volume in tests of name servers: it knows which objects there are, but not their bytes. Safe for concurrent use.
type Links struct {
	mu     sync.Mutex
	there  map[cluster.Link]bool
	failed map[cluster.ServiceID]bool
	calls  int
}

// NewLinks returns object servers without objects.
func NewLinks() *Links {
	return &Links{there: make(map[cluster.Link]bool), failed: make(map[cluster.ServiceID]bool)}
}

// Make adds an object and returns its link.
func (ls *Links) Make(server uint64) cluster.Link {
	l := cluster.Link{Server: cluster.NewServiceID(cluster.TypeObject, server), Object: cluster.NewObjectID()}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.there[l] = true
	return l
}

// Has reports whether an object was made and not deleted.
func (ls *Links) Has(l cluster.Link) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.there[l]
}

// Len returns the number of objects.
func (ls *Links) Len() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.there)
}

// Calls returns how often objects were deleted.
func (ls *Links) Calls() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.calls
}

// Fail makes an object server unavailable, or available again.
func (ls *Links) Fail(server uint64, fail bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.failed[cluster.NewServiceID(cluster.TypeObject, server)] = fail
}

// ObjectServer implements [cluster.ObjectServers].
func (ls *Links) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.failed[id] {
		return nil, fault.New(fault.Unavailable, "object server %s is down", id)
	}
	return linkServer{ls, id}, nil
}

type linkServer struct {
	ls *Links
	id cluster.ServiceID
}

func (s linkServer) CreateObject(context.Context, cluster.ObjectID, int64, io.Reader) (cluster.ObjectInfo, error) {
	return cluster.ObjectInfo{}, fault.New(fault.NotSupported, "Links keeps no bytes")
}

func (s linkServer) ReadObject(context.Context, cluster.ObjectID, int64, int64, io.Writer) error {
	return fault.New(fault.NotSupported, "Links keeps no bytes")
}

func (s linkServer) StatObject(context.Context, cluster.ObjectID) (cluster.ObjectInfo, error) {
	return cluster.ObjectInfo{}, fault.New(fault.NotSupported, "Links keeps no bytes")
}

func (s linkServer) DeleteObjects(_ context.Context, ids []cluster.ObjectID) error {
	s.ls.mu.Lock()
	defer s.ls.mu.Unlock()
	s.ls.calls++
	for _, id := range ids {
		delete(s.ls.there, cluster.Link{Server: s.id, Object: id})
	}
	return nil
}

// Clone returns object servers with the same objects, all available.
func (ls *Links) Clone() *Links {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	c := NewLinks()
	for l := range ls.there {
		c.there[l] = true
	}
	return c
}
