package s3

import (
	"context"
	"io"
	"sync"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// steps is the cluster as one gateway sees it, with a hand on every call that it makes of a name server or object server: the steps of its operations.
type steps struct {
	cluster.Topology
	mu     sync.Mutex
	n      int
	before func(n int) error // before step n, from 1; an error is the answer instead
	after  func(n int) error // after step n was carried out; an error is the answer instead
}

// killed returns a view in which a gateway dies at step n: with after once it was carried out, otherwise before. From then on it gets no answer, and nothing that it asks for is done.
func killed(t cluster.Topology, n int, after bool) *steps {
	s := &steps{Topology: t}
	dead := func(last int) func(int) error {
		return func(step int) error {
			if step > last {
				return fault.New(fault.Unavailable, "this gateway is dead")
			}
			return nil
		}
	}
	if s.before, s.after = dead(n-1), dead(n-1); after {
		s.before = dead(n)
	}
	return s
}

// taken returns how many steps there were.
func (s *steps) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func stepped[T any](s *steps, do func() (T, error)) (T, error) {
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	var none T
	if s.before != nil {
		if err := s.before(n); err != nil {
			return none, err
		}
	}
	v, err := do()
	if s.after != nil {
		if err := s.after(n); err != nil {
			return none, err
		}
	}
	return v, err
}

func stepOnly(s *steps, do func() error) error {
	_, err := stepped(s, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (s *steps) names(ns cluster.NameServer, err error) (cluster.NameServer, error) {
	return &stepNames{ns, s}, err
}

func (s *steps) NameServerFor(b cluster.BucketID, key string) (cluster.NameServer, error) {
	return s.names(s.Topology.NameServerFor(b, key))
}

func (s *steps) NameServerOfBucket(name string) (cluster.NameServer, error) {
	return s.names(s.Topology.NameServerOfBucket(name))
}

func (s *steps) NameServerOfRecord(name string) (cluster.NameServer, error) {
	return s.names(s.Topology.NameServerOfRecord(name))
}

func (s *steps) NameServers() ([]cluster.NameServer, error) {
	all, err := s.Topology.NameServers()
	out := make([]cluster.NameServer, len(all))
	for i := range all {
		out[i] = &stepNames{all[i], s}
	}
	return out, err
}

func (s *steps) ObjectServer(id cluster.ServiceID) (cluster.ObjectServer, error) {
	o, err := s.Topology.ObjectServer(id)
	return &stepObjects{o, s}, err
}

// stepNames is a name server of steps; what the tests do not use goes past it.
type stepNames struct {
	cluster.NameServer
	s *steps
}

func (n *stepNames) CreateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	return stepped(n.s, func() (cluster.Bucket, error) { return n.NameServer.CreateBucket(ctx, b) })
}

func (n *stepNames) GetBucket(ctx context.Context, name string) (cluster.Bucket, error) {
	return stepped(n.s, func() (cluster.Bucket, error) { return n.NameServer.GetBucket(ctx, name) })
}

func (n *stepNames) UpdateBucket(ctx context.Context, b cluster.Bucket) (cluster.Bucket, error) {
	return stepped(n.s, func() (cluster.Bucket, error) { return n.NameServer.UpdateBucket(ctx, b) })
}

func (n *stepNames) DeleteBucket(ctx context.Context, name string, id cluster.BucketID, epoch cluster.Epoch) error {
	return stepOnly(n.s, func() error { return n.NameServer.DeleteBucket(ctx, name, id, epoch) })
}

func (n *stepNames) SealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch, force bool) error {
	return stepOnly(n.s, func() error { return n.NameServer.SealBucket(ctx, id, epoch, force) })
}

func (n *stepNames) UnsealBucket(ctx context.Context, id cluster.BucketID, epoch cluster.Epoch) error {
	return stepOnly(n.s, func() error { return n.NameServer.UnsealBucket(ctx, id, epoch) })
}

func (n *stepNames) Guard(ctx context.Context, g cluster.Guard) error {
	return stepOnly(n.s, func() error { return n.NameServer.Guard(ctx, g) })
}

func (n *stepNames) DropGuard(ctx context.Context, links []cluster.Link) error {
	return stepOnly(n.s, func() error { return n.NameServer.DropGuard(ctx, links) })
}

func (n *stepNames) CreateEntry(ctx context.Context, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	return stepped(n.s, func() (cluster.Entry, error) { return n.NameServer.CreateEntry(ctx, r) })
}

func (n *stepNames) Lookup(ctx context.Context, r cluster.LookupRequest) (cluster.Entry, error) {
	return stepped(n.s, func() (cluster.Entry, error) { return n.NameServer.Lookup(ctx, r) })
}

func (n *stepNames) UpdateEntry(ctx context.Context, r cluster.UpdateEntryRequest) (cluster.Entry, error) {
	return stepped(n.s, func() (cluster.Entry, error) { return n.NameServer.UpdateEntry(ctx, r) })
}

func (n *stepNames) DeleteEntry(ctx context.Context, r cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	return stepped(n.s, func() (cluster.Deleted, error) { return n.NameServer.DeleteEntry(ctx, r) })
}

func (n *stepNames) CreateUpload(ctx context.Context, b cluster.BucketID, u cluster.Upload) error {
	return stepOnly(n.s, func() error { return n.NameServer.CreateUpload(ctx, b, u) })
}

func (n *stepNames) GetUpload(ctx context.Context, b cluster.BucketID, key string, id cluster.UploadID) (cluster.Upload, error) {
	return stepped(n.s, func() (cluster.Upload, error) { return n.NameServer.GetUpload(ctx, b, key, id) })
}

func (n *stepNames) PutPart(ctx context.Context, b cluster.BucketID, key string, id cluster.UploadID, p cluster.Part) error {
	return stepOnly(n.s, func() error { return n.NameServer.PutPart(ctx, b, key, id, p) })
}

func (n *stepNames) CompleteUpload(ctx context.Context, r cluster.CompleteUploadRequest) (cluster.Entry, error) {
	return stepped(n.s, func() (cluster.Entry, error) { return n.NameServer.CompleteUpload(ctx, r) })
}

func (n *stepNames) AbortUpload(ctx context.Context, b cluster.BucketID, key string, id cluster.UploadID) error {
	return stepOnly(n.s, func() error { return n.NameServer.AbortUpload(ctx, b, key, id) })
}

func (n *stepNames) GetRecord(ctx context.Context, name string) (cluster.Record, error) {
	return stepped(n.s, func() (cluster.Record, error) { return n.NameServer.GetRecord(ctx, name) })
}

func (n *stepNames) ApplyRecords(ctx context.Context, changes []cluster.RecordChange) error {
	return stepOnly(n.s, func() error { return n.NameServer.ApplyRecords(ctx, changes) })
}

// stepObjects is an object server of steps.
type stepObjects struct {
	cluster.ObjectServer
	s *steps
}

func (o *stepObjects) CreateObject(ctx context.Context, id cluster.ObjectID, size int64, body io.Reader) (cluster.ObjectInfo, error) {
	return stepped(o.s, func() (cluster.ObjectInfo, error) { return o.ObjectServer.CreateObject(ctx, id, size, body) })
}

func (o *stepObjects) ReadObject(ctx context.Context, id cluster.ObjectID, offset, length int64, w io.Writer) error {
	return stepOnly(o.s, func() error { return o.ObjectServer.ReadObject(ctx, id, offset, length, w) })
}
