// Package nameserver keeps names: buckets, the versions of keys, multipart uploads, guards of running writes, the garbage queue, and small records of the service
// bucket, all in one [store.Store] (FORMAT.md). [Server] is a [cluster.NameServer].
//
// # How a name is kept
//
// The current version of a key is one value, its metadata inline, so a lookup is one get and a listing reads one value per name however many old
// versions there are. Noncurrent versions are beside it, newest first; the head says which of them is the null version. The parts of a
// completed multipart object are in chunks ordered by offset. Everything about a key is addressed by bucket and key, so that one life of a bucket cannot see another.
//
// # Guarantees
//
// Those of [cluster.NameServer]. Every request is one atomic batch of the store; conditions are evaluated in it. Reads see durable state only. A version's id
// is (generation of the owner, count in it), given while the batch is made: order is commit order, whatever clocks say. Bytes of an object are given
// to the object server for deletion only after the removal of their name is durable, GarbageDelay has passed, and nothing that may refer to them was found
// to do so. A link is on the queue until the object server confirmed.
//
// No input makes it panic: every field of a request is checked first, as it may come from another process.
//
// # Goroutines
//
// expire (guard.go) moves guards past their deadline to the queue; collect (collect.go) works through the queue. Close stops and awaits both, then closes the store.
//
// # Locks
//
// The store's write lock (inside Update) comes first, then the leaf mutexes of guardIndex, sealIndex, doubts and backoff, which never nest and are held for no I/O. What
// the indexes and backoff hold in memory are hints: the store decides. What doubts holds is refused, for some minutes.
package nameserver
