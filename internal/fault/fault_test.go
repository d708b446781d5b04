package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestKinds(t *testing.T) {
	wrapped := fmt.Errorf("ns: create: %w", New(Precondition, "ETag is %s", "x"))
	tests := []struct {
		name string
		err  error
		want Kind
	}{
		{"nil", nil, Other},
		{"plain", errors.New("x"), Other},
		{"sentinel", fmt.Errorf("a: %w", NotFound), NotFound},
		{"wrapped", wrapped, Precondition},
		{"outermost wins", Wrap(Unavailable, wrapped, "retry"), Unavailable},
		{"corruption", fmt.Errorf("a: %w", &Corruption{File: "f"}), Corrupt},
		{"deadline", fmt.Errorf("a: %w", context.DeadlineExceeded), Unavailable},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := KindOf(tc.err); got != tc.want {
				t.Errorf("KindOf(%v) = %v, want %v", tc.err, got, tc.want)
			}
			if tc.want != Other && tc.name != "deadline" && !errors.Is(tc.err, tc.want) {
				t.Errorf("errors.Is(%v, %v) = false", tc.err, tc.want)
			}
		})
	}
	if Wrap(NoSpace, nil, "x") != nil {
		t.Error("Wrap of nil is not nil")
	}
	if got, want := wrapped.Error(), "ns: create: ETag is x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
