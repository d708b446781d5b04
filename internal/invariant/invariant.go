// Package invariant checks our own reasoning. A failed assertion is a bug in this program and panics; input, disk bytes and
// the network never reach it. Costly checks run only when [Enabled]: under -race or -tags invariants.
package invariant

import "fmt"

// Assert panics with the formatted message unless ok.
func Assert(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}
