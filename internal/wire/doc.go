// Package wire is the bytes of each request and reply of cluster.NameServer and cluster.ObjectServer, and the operation codes. WIRE.md has the tables.
//
// Append functions add a message to a slice, Decode functions read one. A decoder accepts exactly what the encoder makes: one encoding per value, no trailing bytes. It trusts
// nothing, never panics, and allocates no more than a small multiple of its input. What it returns does not share memory with the input. All
// its errors are of kind fault.Invalid. What the values mean is checked by the servers.
package wire
