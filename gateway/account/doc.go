// Package account keeps the users of S3 and their access keys: records below "/u/" of the service bucket, on one name server (FORMAT.md).
//
// A user has an id, an e-mail address that no other user has, flags, and at most two access key pairs. An access key begins with the id of its user, so a request's key leads to the
// user's record without an index. Secrets are sealed with AES-256-GCM under the cluster key, bound to the user and the access key: a copy of the name server's files
// does not give them away, and a sealed secret that is moved to another key does not open.
//
// # Guarantees
//
// Every change is one atomic batch with the epoch that was read: of two administrators at once none loses a change. A change is durable when its method returned nil;
// after an error of kind fault.Unavailable it may or may not have happened. A key that was revoked, and a user who was disabled or deleted, is refused by every gateway after at most
// [MaxTTL]. A user who owns a bucket is never deleted.
//
// # Concurrency
//
// [Accounts] is safe for concurrent use. Lookups of one key that miss the cache share one read, in a goroutine that ends with it, after lookupTimeout at
// the latest. Two locks, never held together nor over I/O: that of the cache and that of singleflight.
package account
