// Package namerpc carries cluster.NameServer over internal/rpc: [Handler] serves any implementation, [Client] is one at the other end.
package namerpc
