// Package rpc carries calls between processes: framing, connections, deadlines, TLS. It knows no message: requests and replies are bytes (package wire makes
// them), operations are numbers, services are 64-bit ids with a generation. PROTOCOL.md has the bytes.
//
// A connection carries one call at a time: a request, data up, data down, one reply or error. Calls at the same time use several connections of a bounded pool, so a stream
// never waits behind another one, and cutting one off disturbs nobody else. A connection is bound at its beginning to one generation of one service; every request repeats the generation,
// and a server of another one refuses with fault.Stale.
//
// # Guarantees
//
// Errors keep their fault kind, their text, and the place of a corruption. An error whose chain has NotExecuted() true means that no handler saw the call. After any other
// error of kind fault.Unavailable the call may have taken effect. The deadline of the client's context ends the handler's context, and so does a client that goes away
// (noticed after 10 ms at the earliest). A body ends with io.EOF at the server only if it did so at the client. A frame that is too long, truncated, damaged or
// unknown ends that connection only. Peers that do not read or write for long are cut off. Memory is bounded by the number of connections.
//
// # Goroutines
//
// Server: one per Serve for accepting, one per connection; Close waits for all. Client: none.
// Locks: Server.mu, Client.mu and serverConn.watch.mu are leaves: nothing else is locked and no I/O is done under them.
package rpc
