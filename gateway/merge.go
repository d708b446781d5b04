package gateway

import (
	"context"

	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// A listing asks every name server for a page at a time and merges the streams in byte order. Memory is the page asked for, once per name server, however
// large the bucket. Invariants:
//
//  1. A stream whose buffer is empty and that has more is filled before the next item is chosen: so the chosen item is the least of all.
//  2. An item equal to the last one given out is dropped: the same common prefix comes from every server that has keys below it.

// listed is a page of merged results in order, entries and prefixes apart. Entries point into the pages of the name servers.
type listed struct {
	entries  []*cluster.Entry
	prefixes []string
	more     bool
	last     string // the last entry or prefix given out

	lastVersion cluster.VersionID // of a listing of versions: that of the last entry, zero when a prefix is last
}

// stream is one name server's part of a listing.
type stream struct {
	ns      cluster.NameServer
	page    cluster.ListPage
	e, p    int // next of page.Entries, page.Prefixes
	started bool
	err     error
}

func (s *stream) empty() bool { return s.e == len(s.page.Entries) && s.p == len(s.page.Prefixes) }

// head returns the next name of the stream and whether it is a prefix; the stream must not be empty.
func (s *stream) head() (name string, prefix bool) {
	switch {
	case s.p == len(s.page.Prefixes):
		return s.page.Entries[s.e].Key, false
	case s.e == len(s.page.Entries) || s.page.Prefixes[s.p] < s.page.Entries[s.e].Key:
		return s.page.Prefixes[s.p], true
	}
	return s.page.Entries[s.e].Key, false
}

// fill asks for the next page: at most limit items after r.After and after everything that the stream or the merge has given out.
func (s *stream) fill(ctx context.Context, r cluster.ListRequest, last string, limit int) {
	if s.started {
		r.After = max(r.After, s.page.Next)
	}
	r.After = max(r.After, last)
	r.Limit = limit
	s.started, s.e, s.p = true, 0, 0
	s.page, s.err = s.ns.List(ctx, r)
	if s.err == nil && s.empty() && s.page.More && s.page.Next <= r.After {
		s.err = fault.New(fault.Internal, "a name server lists nothing after %q and says that there is more", r.After)
	}
}

// ready drops what was given out already and fills the buffer, until the stream has a head or is at its end.
func (s *stream) ready(ctx context.Context, r cluster.ListRequest, last string, limit int) error {
	for {
		for last != "" && !s.empty() {
			head, prefix := s.head()
			if head != last {
				break
			}
			if prefix {
				s.p++
			} else {
				s.e++
			}
		}
		if !s.empty() || !s.page.More {
			return nil
		}
		if s.fill(ctx, r, last, limit); s.err != nil {
			return s.err
		}
	}
}

// list returns the first r.Limit >= 1 names of a bucket over all name servers.
func (g *Gateway) list(ctx context.Context, r cluster.ListRequest) (listed, error) {
	servers, err := g.topology.NameServers()
	if err != nil {
		return listed{}, err
	}
	out := listed{entries: make([]*cluster.Entry, 0, min(r.Limit, 1000))}
	if len(servers) == 1 { // the page as it comes
		page, err := servers[0].List(ctx, r)
		if err != nil {
			return listed{}, err
		}
		for i := range page.Entries {
			out.entries = append(out.entries, &page.Entries[i])
		}
		out.prefixes, out.more, out.last = page.Prefixes, page.More, page.Next
		return out, nil
	}

	streams := make([]stream, len(servers))
	for i := range streams {
		streams[i].ns = servers[i]
	}
	// A directory lies on one server, so a flat bucket comes from one stream and a deep one from all: ask each for its share and some, and for more when needed.
	if err := fillAll(ctx, streams, r, r.Limit/len(streams)+16); err != nil {
		return listed{}, err
	}
	for n := 0; ; n++ {
		least := -1
		var name string
		var prefix bool
		for i := range streams {
			s := &streams[i]
			if err := s.ready(ctx, r, out.last, (r.Limit-n)/2+16); err != nil {
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
		if n == r.Limit {
			out.more = true
			return out, nil
		}
		s := &streams[least]
		if prefix {
			out.prefixes = append(out.prefixes, name)
			s.p++
		} else {
			out.entries = append(out.entries, &s.page.Entries[s.e])
			s.e++
		}
		out.last = name
	}
}

// fillAll asks all streams at the same time.
func fillAll(ctx context.Context, streams []stream, r cluster.ListRequest, limit int) error {
	done := make(chan struct{}, len(streams))
	for i := range streams[1:] {
		go func() {
			streams[i+1].fill(ctx, r, "", limit)
			done <- struct{}{}
		}()
	}
	streams[0].fill(ctx, r, "", limit)
	for range streams[1:] {
		<-done
	}
	for i := range streams {
		if streams[i].err != nil {
			return streams[i].err
		}
	}
	return nil
}
