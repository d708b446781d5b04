package gateway

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"ostor/internal/logkey"
)

// The id that the client is told is the one that travels to the servers.
func TestRequestIDTravels(t *testing.T) {
	t.Parallel()
	g := &Gateway{serviceID: 0x80000000000000ff}
	number, text := g.newRequestID()
	if want := "80000000000000ff"; len(text) != 32 || text[:16] != want {
		t.Errorf("request id %q, want 32 digits beginning with %s", text, want)
	}
	if low, err := strconv.ParseUint(text[16:], 16, 64); err != nil || low != number {
		t.Errorf("request id %q ends with another number than %016x", text, number)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if got := logkey.RequestIDOf(r.WithContext(logkey.WithRequestID(r.Context(), number)).Context()); got != number {
		t.Errorf("the context carries %x, want %x", got, number)
	}
}
