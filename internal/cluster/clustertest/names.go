package clustertest

import (
	"slices"
	"strings"

	"ostor/internal/cluster"
)

// Names is the simple model that name servers are compared with: the versions of each key, newest first. The zero Names is empty.
type Names struct {
	keys map[string][]cluster.Entry
}

// Clone returns a copy that shares no versions lists.
func (n *Names) Clone() *Names {
	c := &Names{keys: make(map[string][]cluster.Entry, len(n.keys))}
	for k, v := range n.keys {
		c.keys[k] = slices.Clone(v)
	}
	return c
}

// Keys returns the keys that have versions, sorted.
func (n *Names) Keys() (keys []string) {
	for k := range n.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Find returns a version; with neither version nor null the current one.
func (n *Names) Find(key string, v cluster.VersionID, null bool) (cluster.Entry, bool) {
	for i, e := range n.keys[key] {
		if null && e.Null || !null && (v == e.Version || v.IsZero() && i == 0) {
			return e, true
		}
	}
	return cluster.Entry{}, false
}

// Add makes e, which has its version, the current version of its key, and returns the null version that it replaces, if any.
func (n *Names) Add(e cluster.Entry) (replaced *cluster.Entry) {
	if n.keys == nil {
		n.keys = make(map[string][]cluster.Entry)
	}
	vs := n.keys[e.Key]
	if e.Null {
		if i := slices.IndexFunc(vs, func(v cluster.Entry) bool { return v.Null }); i >= 0 {
			old := vs[i]
			replaced, vs = &old, slices.Delete(slices.Clone(vs), i, i+1)
		}
	}
	for i := range vs {
		vs[i].Latest = false
	}
	e.Latest = true
	n.keys[e.Key] = slices.Insert(vs, 0, e)
	return replaced
}

// Remove takes a version away and returns it.
func (n *Names) Remove(key string, v cluster.VersionID) (removed cluster.Entry, ok bool) {
	vs := slices.Clone(n.keys[key])
	i := slices.IndexFunc(vs, func(e cluster.Entry) bool { return e.Version == v })
	if i < 0 {
		return removed, false
	}
	removed = vs[i]
	vs = slices.Delete(vs, i, i+1)
	if len(vs) == 0 {
		delete(n.keys, key)
		return removed, true
	}
	vs[0].Latest = true
	n.keys[key] = vs
	return removed, true
}

// Replace puts e in the place of the version with its id.
func (n *Names) Replace(e cluster.Entry) {
	vs := slices.Clone(n.keys[e.Key])
	for i := range vs {
		if vs[i].Version == e.Version {
			vs[i] = e
		}
	}
	n.keys[e.Key] = vs
}

// Delete does what DeleteEntry is to do, but for conditions. marker is the version of the delete marker if one is made. It returns what was removed for good.
func (n *Names) Delete(r cluster.DeleteEntryRequest, marker cluster.VersionID) (d cluster.Deleted, removed *cluster.Entry) {
	cur, found := n.Find(r.Key, r.Version, r.Null)
	byVersion := !r.Version.IsZero() || r.Null
	if byVersion || r.Versioning == cluster.Unversioned && (!found || cur.Null) {
		if !found {
			return d, nil
		}
		n.Remove(r.Key, cur.Version)
		return cluster.Deleted{Found: true, DeleteMarker: cur.DeleteMarker, Version: cur.Version, Null: cur.Null}, &cur
	}
	null := r.Versioning != cluster.VersioningEnabled
	removed = n.Add(cluster.Entry{Key: r.Key, Version: marker, Null: null, DeleteMarker: true, Modified: r.Modified, Owner: r.Owner})
	return cluster.Deleted{Found: found && !cur.DeleteMarker, DeleteMarker: true, Version: marker, Null: null}, removed
}

// item is a line of a listing.
type item struct {
	name   string
	prefix bool
	entry  cluster.Entry
}

// commonPrefix returns what name is rolled up to, or "".
func commonPrefix(name, prefix, delimiter string) string {
	if delimiter == "" || !strings.HasPrefix(name, prefix) {
		return ""
	}
	if i := strings.Index(name[len(prefix):], delimiter); i >= 0 {
		return name[:len(prefix)+i+len(delimiter)]
	}
	return ""
}

// page cuts a page of items: entries and prefixes together.
func page(items []item, limit int) (p cluster.ListPage) {
	if limit == 0 {
		limit = 1000
	}
	if len(items) > limit {
		p.More = true
		items = items[:limit]
	}
	for _, it := range items {
		if it.prefix {
			p.Prefixes = append(p.Prefixes, it.name)
		} else {
			p.Entries = append(p.Entries, it.entry)
		}
	}
	if p.More {
		last := items[len(items)-1]
		p.Next, p.NextVersion = last.name, last.entry.Version
	}
	return p
}

// List does what NameServer.List is to do, the slow way.
func (n *Names) List(r cluster.ListRequest) cluster.ListPage {
	var items []item
	for _, k := range n.Keys() {
		e := n.keys[k][0]
		if e.DeleteMarker || !strings.HasPrefix(k, r.Prefix) {
			continue
		}
		cp := commonPrefix(k, r.Prefix, r.Delimiter)
		switch {
		case cp == "" && k > r.After:
			items = append(items, item{name: k, entry: e})
		case cp != "" && cp > r.After && !strings.HasPrefix(r.After, cp) && (len(items) == 0 || items[len(items)-1].name != cp):
			items = append(items, item{name: cp, prefix: true})
		}
	}
	p := page(items, r.Limit)
	p.NextVersion = cluster.VersionID{}
	return p
}

// ListVersions does what NameServer.ListVersions is to do, the slow way.
func (n *Names) ListVersions(r cluster.ListVersionsRequest) cluster.ListPage {
	var items []item
	for _, k := range n.Keys() {
		if !strings.HasPrefix(k, r.Prefix) {
			continue
		}
		if cp := commonPrefix(k, r.Prefix, r.Delimiter); cp != "" {
			if cp > r.KeyMarker && !strings.HasPrefix(r.KeyMarker, cp) && (len(items) == 0 || items[len(items)-1].name != cp) {
				items = append(items, item{name: cp, prefix: true})
			}
			continue
		}
		for _, e := range n.keys[k] {
			if k > r.KeyMarker || k == r.KeyMarker && !r.VersionMarker.IsZero() && e.Version.Compare(r.VersionMarker) < 0 {
				items = append(items, item{name: k, entry: e})
			}
		}
	}
	return page(items, r.Limit)
}
