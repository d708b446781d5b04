package sim

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// Mutants of the whole path, made between the parts.
const (
	replyBeforeDurable   = "n:the name server's log is not synced before the reply"
	dropWithoutLooking   = "o:a dropped guard's bytes are deleted without a look at what refers to them"
	guardMadeAgain       = "p:a guard that is gone is made again, unasked"
	abortFreesFirst      = "q:an abort frees the parts before it knows that it has won"
	deleteFreesFirst     = "r:a delete frees the bytes before the name is gone"
	conditionChecked     = "s:a condition is checked before, not with, the write"
	lostGenerationServed = "t:a name server replies without looking at its deadline"
)

// mutantNames is a name server with a rule switched off.
type mutantNames struct {
	cluster.NameServer
	p *process
}

// mutateNameServer is what gateways meet of a name server.
func (p *process) mutateNameServer(ns cluster.NameServer) cluster.NameServer {
	switch p.w.mutant {
	case dropWithoutLooking, guardMadeAgain, abortFreesFirst, deleteFreesFirst, conditionChecked:
		return &mutantNames{ns, p}
	}
	return ns
}

// free deletes bytes at once.
func (m *mutantNames) free(ctx context.Context, links ...cluster.Link) {
	for _, l := range links {
		if l.IsZero() {
			continue
		}
		if os, err := m.p.topo.ObjectServer(l.Server); err == nil {
			_ = os.DeleteObjects(ctx, []cluster.ObjectID{l.Object})
		}
	}
}

func (m *mutantNames) DropGuard(ctx context.Context, links []cluster.Link) error {
	if m.p.w.is(dropWithoutLooking) {
		m.free(ctx, links...)
	}
	return m.NameServer.DropGuard(ctx, links)
}

func (m *mutantNames) CreateEntry(ctx context.Context, r cluster.CreateEntryRequest) (cluster.Entry, error) {
	if m.p.w.is(conditionChecked) && (r.Condition.IfMatch != "" || r.Condition.IfNoneMatch != "") {
		e, err := m.Lookup(ctx, cluster.LookupRequest{Bucket: r.Bucket, Key: r.Entry.Key})
		there := err == nil && !e.DeleteMarker
		if r.Condition.IfMatch != "" && (!there || e.ETag != r.Condition.IfMatch) || r.Condition.IfNoneMatch == "*" && there {
			return cluster.Entry{}, fault.Precondition
		}
		r.Condition = cluster.Condition{}
	}
	e, err := m.NameServer.CreateEntry(ctx, r)
	if m.p.w.is(guardMadeAgain) && fault.KindOf(err) == fault.GuardGone {
		if err := m.Guard(ctx, cluster.Guard{Bucket: r.Bucket, Key: r.Entry.Key, Content: r.Entry.Content, Timeout: time.Hour}); err != nil {
			return e, err
		}
		return m.NameServer.CreateEntry(ctx, r)
	}
	return e, err
}

func (m *mutantNames) AbortUpload(ctx context.Context, bucket cluster.BucketID, key string, id cluster.UploadID) error {
	if m.p.w.is(abortFreesFirst) {
		parts, _, _ := m.ListParts(ctx, bucket, key, id, 0, 0)
		for i := range parts {
			m.free(ctx, parts[i].Content)
		}
	}
	return m.NameServer.AbortUpload(ctx, bucket, key, id)
}

func (m *mutantNames) DeleteEntry(ctx context.Context, r cluster.DeleteEntryRequest) (cluster.Deleted, error) {
	if m.p.w.is(deleteFreesFirst) && r.Versioning == cluster.Unversioned {
		if e, err := m.Lookup(ctx, cluster.LookupRequest{Bucket: r.Bucket, Key: r.Key}); err == nil {
			m.free(ctx, e.Content)
		}
	}
	return m.NameServer.DeleteEntry(ctx, r)
}

// clusterMutants with what makes them show, the seed of the first run, and how many runs are enough (0 = seen too rarely to insist).
var clusterMutants = []struct {
	name  string
	hint  hint
	seed  uint64
	runs  int
	quick bool
}{
	{replyBeforeDurable, hintWrites, 1, 20, false},
	{dropWithoutLooking, hintBreaks, 1, 20, false},
	{guardMadeAgain, hintLate, 1, 20, false},
	{abortFreesFirst, hintUploads, 1, 10, false},
	{deleteFreesFirst, hintDeletes, 1, 20, false},
	{conditionChecked, hintConditions, 1, 10, true},
	{lostGenerationServed, hintSleeps, 1, 60, false},
}

// TestClusterMutants: a rule of the whole path that is switched off is noticed. Ordinary runs try one of them; OSTOR_CRASH=long all.
func TestClusterMutants(t *testing.T) {
	if *seedFlag+*clusterFlag != 0 {
		t.Skip("replaying one seed")
	}
	for _, m := range clusterMutants {
		if !m.quick && !long() || *mutantFlag != "" && !strings.HasPrefix(m.name, *mutantFlag) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			c := &campaign{simulate: simulateCluster, first: m.seed, limit: 10 * time.Minute, most: cmp.Or(m.runs, 60), units: clusterUnits, mutant: m.name, hint: m.hint}
			c.run(t)
			if m.runs == 0 && len(c.bad) == 0 {
				t.Logf("%s: not noticed in %d runs", m.name, c.runs)
				return
			}
			c.wantNoticed(t)
		})
	}
}
