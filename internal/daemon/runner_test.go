package daemon

import (
	"slices"
	"testing"

	"ostor/discovery/agent"
	"ostor/internal/cluster"
)

// TestGatewayOfAgent: what a gateway is forbidden and where it logs are given to the agent, in whatever way, and reach the gateway.
func TestGatewayOfAgent(t *testing.T) {
	t.Parallel()
	id := cluster.NewServiceID(cluster.TypeGateway, 1)
	r := &runner{env: &Env{Path: "/mnt", Config: Config{SigV2: false, CORS: true, AccessLog: "/var/log/s3"}}, gateways: map[cluster.ServiceID]string{id: "127.0.0.1:0"}, metrics: &childMetrics{}}
	args, err := r.args(agent.Start{Service: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--sigv2=false", "--default-cors=true"} {
		if !slices.Contains(args, want) {
			t.Errorf("%q lacks %s", args, want)
		}
	}
	if i := slices.Index(args, "--access-log"); i < 0 || args[i+1] != "/var/log/s3" {
		t.Errorf("%q lacks the access log", args)
	}
}
