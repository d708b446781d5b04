package s3

import (
	"context"
	"net"
	"testing"

	"ostor/gateway"
	"ostor/gateway/account"
	"ostor/integration/conform"
)

// TestConformance runs the tables of package conform on a cluster in this process.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, 3)
	user := func(u *account.User) conform.User {
		return conform.User{ID: u.ID.String(), Email: u.Email, AccessKey: u.Keys[0].AccessKey, SecretKey: u.Keys[0].Secret}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	server := gateway.Serve(l, s.gateway) // as the commands do
	t.Cleanup(func() { s.must(server.Shutdown(context.Background())) })
	(&conform.Site{Endpoint: "http://" + l.Addr().String(), Main: user(&s.alice), Alt: user(&s.bob), Other: user(&s.carol)}).Run(t)
}
