// Package cluster is the vocabulary: identities, the records that services exchange, and the contracts [NameServer] and [ObjectServer].
//
// A server package implements one of the contracts; an rpc package serves any implementation to another process and is one itself at the
// other end; cmd and integration join them. So the same gateway runs over servers in its own process, over a socket, or over a simulated cluster.
//
// # How an object is stored
//
// Create: the gateway picks an [ObjectID] and an object server, then sends NameServer.Guard at the same time as ObjectServer.Create; when both
// answered, NameServer.Create names the object and drops the guard in one atomic batch. A guard that expires puts its link on the garbage queue.
// Read: NameServer.Lookup gives the [Entry] with its link, ObjectServer.Read the bytes. Delete: NameServer.Delete removes the name and queues the
// link for garbage collection in one batch; the object server's space is freed some time later.
//
// # Guarantees of every implementation
//
// A call that returned nil is durable. A reply, also an error, reflects only durable state. Calls are linearizable per key. A call that
// returned an error of kind fault.Unavailable, or whose context ended, may or may not have taken effect. Requests are not kept after a call returned,
// and byte slices and Entry values in replies belong to the caller.
package cluster
