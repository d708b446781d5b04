package gateway

import (
	"fmt"
	"testing"

	"ostor/internal/cluster"
)

// TestListFetches counts what a page makes the name servers send: less than twice the page, in few rounds, whether a page lies in one directory or in hundreds.
func TestListFetches(t *testing.T) {
	t.Parallel()
	const total, limit, servers = 2500, 500, 4
	for _, perDir := range []int{1, 30, 600, total} {
		s := newSite(t, servers)
		for i := range total {
			k := fmt.Sprintf("d%05d/%05d", i/perDir, i%perDir)
			ns, _ := s.cluster.NameServerFor(7, k)
			n := ns.(*fakeNames)
			if n.entries[7] == nil {
				n.entries[7] = map[string]cluster.Entry{}
			}
			n.entries[7][k] = cluster.Entry{Key: k}
		}
		pages, names := 0, 0
		for r := (cluster.ListRequest{Bucket: 7, Limit: limit}); ; pages++ {
			page, err := s.gateway.list(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			names += len(page.entries)
			if r.After = page.last; !page.more {
				break
			}
		}
		if names != total {
			t.Fatalf("%d names to a directory: %d are listed, want %d", perDir, names, total)
		}
		if most := 2*total + 8*32*servers; s.cluster.listed > most {
			t.Errorf("%d names to a directory: name servers sent %d names for %d, want at most %d", perDir, s.cluster.listed, total, most)
		}
		if most := (pages + 1) * (servers + 8); s.cluster.pages > most {
			t.Errorf("%d names to a directory: %d pages of %d took %d requests, want at most %d", perDir, pages+1, limit, s.cluster.pages, most)
		}
	}
}
