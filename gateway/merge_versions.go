package gateway

import (
	"context"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// A listing of versions is merged as one of objects (merge.go), with one difference: all versions of a key come from one server, one behind the other, so equal keys follow each
// other in one stream and must not be dropped. Only common prefixes come from several.

// versionStream is one name server's part of a listing of versions.
type versionStream struct {
	stream
}

// fill asks for the next page of at most limit items. prefix is the last common prefix given out, everything below which is done.
func (s *versionStream) fill(ctx context.Context, r cluster.ListVersionsRequest, prefix string, limit int) {
	if s.started {
		r.KeyMarker, r.VersionMarker = s.page.Next, s.page.NextVersion
	}
	if prefix > r.KeyMarker {
		r.KeyMarker, r.VersionMarker = prefix, cluster.VersionID{}
	}
	r.Limit = limit
	s.started, s.e, s.p = true, 0, 0
	s.page, s.err = s.ns.ListVersions(ctx, r)
	if s.err == nil && s.empty() && s.page.More && s.page.Next <= r.KeyMarker {
		s.err = fault.New(fault.Internal, "a name server lists nothing after %q and says that there is more", r.KeyMarker)
	}
}

// ready fills the buffer until the stream has a head or is at its end, without the common prefix given out last.
func (s *versionStream) ready(ctx context.Context, r cluster.ListVersionsRequest, prefix string, limit int) error {
	for {
		for prefix != "" && s.p < len(s.page.Prefixes) && s.page.Prefixes[s.p] <= prefix {
			s.p++
		}
		if !s.empty() || s.started && !s.page.More {
			return nil
		}
		if s.fill(ctx, r, prefix, limit); s.err != nil {
			return s.err
		}
	}
}

// listVersions returns the first r.Limit >= 1 versions and prefixes of a bucket over all name servers.
func (g *Gateway) listVersions(ctx context.Context, r cluster.ListVersionsRequest) (listed, error) {
	servers, err := g.topology.NameServers()
	if err != nil {
		return listed{}, err
	}
	streams := make([]versionStream, len(servers))
	for i := range streams {
		streams[i].ns = servers[i]
	}
	limit := r.Limit
	out := listed{entries: make([]*cluster.Entry, 0, min(limit, maxListKeys))}
	var passed string // the last common prefix given out
	for n := 0; ; n++ {
		least := -1
		var name string
		var prefix bool
		for i := range streams {
			s := &streams[i]
			// One more than wanted, so that a page that is just full knows whether there is more.
			if err := s.ready(ctx, r, passed, min((limit-n)/len(streams)+17, maxListKeys)); err != nil {
				return listed{}, err
			}
			if s.empty() {
				continue
			}
			if head, isPrefix := s.head(); least < 0 || head < name {
				least, name, prefix = i, head, isPrefix
			}
		}
		if least < 0 {
			return out, nil
		}
		if n == limit {
			out.more = true
			return out, nil
		}
		s := &streams[least]
		out.last = name
		if prefix {
			out.prefixes, passed, out.lastVersion = append(out.prefixes, name), name, cluster.VersionID{}
			s.p++
			continue
		}
		e := &s.page.Entries[s.e]
		out.entries, out.lastVersion = append(out.entries, e), e.Version
		s.e++
	}
}
