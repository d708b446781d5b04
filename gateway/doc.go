// Package gateway is the S3 request: it authenticates and authorises, finds name and object servers through a [cluster.Topology], and moves the data between them and the client.
//
// A request reads from top to bottom: [Gateway.ServeHTTP], serve (gateway.go), addressOf, operationOf, authenticate, enter, then one handler per operation (op_*.go), and the
// reply. An error at any step becomes an error document through one table (errors.go).
//
// # Guarantees
//
//   - A 2xx for a write goes out after the object server said that the bytes are durable and the name server that the name is.
//   - A write that fails leaves nothing that garbage collection does not free: its guard is dropped, or expires.
//   - A body counts as received only when its length and every digest and signature that came with it hold.
//   - Nothing of an object is sent before its first bytes were read and verified. A reply that cannot be completed is cut, never padded or ended early as if whole.
//   - Memory per request is bounded whatever the size of object or bucket: bodies stream, listings hold one page per name server.
//   - What is not implemented answers NotImplemented (docs/s3.md); it is never taken silently for something else.
//
// A key is opaque bytes. It is taken from the escaped path, never cleaned, and is never a file name.
//
// # State, goroutines and locks
//
// A gateway keeps a cache of bucket records and of what their policies and lists mean (a second; then their epoch is asked about), one of display names (a minute), one of signing keys, and counters; any number of gateways may serve the same cluster. A request runs on its
// connection's goroutine. It starts others for a guard that travels beside the bytes, the reading half of a copy, the first pages of a listing and the keys of
// DeleteObjects; all of them end before the request does. The locks are those of the caches, and nothing is called while one is held.
package gateway
