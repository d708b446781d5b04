// Package objrpc carries cluster.ObjectServer over internal/rpc: [Handler] serves any implementation, [Client] is one at the other end.
//
// The bytes of an object travel as rpc data, up and down, in pieces of at most 256 KiB, and are never gathered. What the contract says of bodies, ranges and errors holds on both sides:
// a body that fails or ends early at the client fails at the server, so nothing is stored.
package objrpc
