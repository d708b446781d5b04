package nameserver

import (
	"testing"
	"time"

	"ostor/fsbackend/memfs"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// TestObjectLock: retentions and legal holds keep versions from removal and replacement until they end or are bypassed; a retention is not weakened.
func TestObjectLock(t *testing.T) {
	t.Parallel()
	s := newSite(memfs.New())
	srv := s.mustOpen(t, false)
	ctx := t.Context()
	now := s.clock.Now()
	day := 24 * time.Hour
	create := func(v cluster.Versioning, attrs ...cluster.Attribute) (cluster.Entry, error) {
		return srv.CreateEntry(ctx, cluster.CreateEntryRequest{Bucket: 1, Versioning: v, Entry: cluster.Entry{Key: "k", Modified: now, ETag: "d41d8cd98f00b204e9800998ecf8427e", Attrs: attrs}})
	}
	retention := func(compliance bool, d time.Duration) cluster.Attribute {
		return cluster.Attribute{ID: cluster.AttrRetention, Value: cluster.Retention{Compliance: compliance, Until: s.clock.Now().Add(d)}.Encode()}
	}
	hold := func(on bool) cluster.Attribute {
		return cluster.Attribute{ID: cluster.AttrLegalHold, Value: cluster.EncodeLegalHold(on)}
	}
	want := func(what string, err error, kind fault.Kind) {
		t.Helper()
		if kind == fault.Other && err != nil || kind != fault.Other && fault.KindOf(err) != kind {
			t.Errorf("%s: got %v, want kind %v", what, err, kind)
		}
	}
	const ok = fault.Other
	update := func(what string, e cluster.Entry, bypass bool, kind fault.Kind, set ...cluster.Attribute) {
		t.Helper()
		_, err := srv.UpdateEntry(ctx, cluster.UpdateEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k", Version: e.Version, Bypass: bypass}, Set: set})
		want(what, err, kind)
	}
	remove := func(what string, e cluster.Entry, bypass bool, kind fault.Kind) {
		t.Helper()
		_, err := srv.DeleteEntry(ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k", Version: e.Version, Bypass: bypass}, Versioning: cluster.VersioningEnabled, Modified: now})
		want(what, err, kind)
	}

	governed, err := create(cluster.VersioningEnabled, retention(false, day))
	want("create", err, ok)
	complied, err := create(cluster.VersioningEnabled, retention(true, day))
	want("create", err, ok)
	held, err := create(cluster.VersioningEnabled, hold(true))
	want("create", err, ok)
	remove("governance", governed, false, fault.Denied)
	remove("compliance", complied, true, fault.Denied)
	remove("legal hold", held, true, fault.Denied)

	// Without a version a delete marker hides everything, and may go again.
	d, err := srv.DeleteEntry(ctx, cluster.DeleteEntryRequest{LookupRequest: cluster.LookupRequest{Bucket: 1, Key: "k"}, Versioning: cluster.VersioningEnabled, Modified: now})
	want("hide", err, ok)
	remove("marker", cluster.Entry{Version: d.Version}, false, ok)

	update("governance, later", governed, false, ok, retention(false, 2*day))
	update("governance, sooner", governed, false, fault.Denied, retention(false, day))
	update("governance to compliance", governed, false, fault.Denied, retention(true, 2*day))
	update("governance, none", governed, false, fault.Denied, cluster.Attribute{ID: cluster.AttrRetention})
	update("governance, bypassed", governed, true, ok, retention(false, day))
	update("compliance, later", complied, false, ok, retention(true, 2*day))
	update("compliance, sooner", complied, true, fault.Denied, retention(true, day))
	update("compliance to governance", complied, true, fault.Denied, retention(false, 3*day))
	update("compliance, none", complied, true, fault.Denied, cluster.Attribute{ID: cluster.AttrRetention})
	update("malformed", held, true, fault.Invalid, cluster.Attribute{ID: cluster.AttrRetention, Value: []byte("x")})
	update("tags of a locked version", complied, false, ok, cluster.Attribute{ID: cluster.AttrTags, Value: []byte("x")})
	update("hold off", held, false, ok, hold(false))
	remove("held no more", held, false, ok)
	remove("bypassed", governed, true, ok)
	s.clock.Advance(2 * day)
	update("ended", complied, false, ok, cluster.Attribute{ID: cluster.AttrRetention})
	remove("ended", complied, false, ok)

	// A null version is replaced only when it may be removed, wherever it is.
	null, err := create(cluster.VersioningSuspended, hold(true))
	want("create null", err, ok)
	_, err = create(cluster.VersioningSuspended)
	want("replace the current null version", err, fault.Denied)
	_, err = create(cluster.VersioningEnabled)
	want("cover it", err, ok)
	_, err = create(cluster.VersioningSuspended)
	want("replace the null version below", err, fault.Denied)
	update("hold off", null, false, ok, hold(false))
	_, err = create(cluster.VersioningSuspended)
	want("replace it", err, ok)
}
