package daemon

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ostor/discovery"
	"ostor/fsbackend"
	"ostor/internal/cluster"
)

// TestGatewayFollowsSettings switches signature version 2 off and on for the cluster while a gateway serves.
func TestGatewayFollowsSettings(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "s3")
	c := Config{Local: filepath.Join(tmp, "local"), Run: filepath.Join(tmp, "run"), Profile: "safe", Names: 1, Objects: 1, Cache: 4, Memtable: 2, LogBytes: 16,
		Listen: "127.0.0.1:0", SigV2: true, CORS: true}
	cl, err := Serve(t.Context(), c, dir, slog.New(slog.DiscardHandler), func(_ cluster.ServiceID, err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cl.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	fsys, err := fsbackend.NewOS(dir)
	if err != nil {
		t.Fatal(err)
	}
	refused := func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cl.Endpoint+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "AWS "+cl.AccessKey+":AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		switch text := string(body); {
		case strings.Contains(text, "<Code>InvalidRequest</Code>"):
			return true
		case !strings.Contains(text, "<Code>SignatureDoesNotMatch</Code>"):
			t.Fatalf("%s: %s", reply.Status, text)
		}
		return false
	}
	if refused() {
		t.Fatal("refused before it was switched off")
	}
	for _, value := range []string{"0", "1", "0"} {
		if _, err := discovery.PutSettings(fsys, discovery.Setting{Key: discovery.SettingSigV2, Value: value}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for refused() != (value == "0") {
			if time.Since(begin) > time.Minute {
				t.Fatalf("the gateway does not follow %s=%s", discovery.SettingSigV2, value)
			}
			<-time.After(20 * time.Millisecond)
		}
		t.Logf("%s=%s holds after %v", discovery.SettingSigV2, value, time.Since(begin).Round(time.Millisecond))
	}
}
