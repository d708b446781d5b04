// Package discovery says who answers for what: it reads and writes the directories of hex ids on the mount, and resolves keys to servers.
//
// # Directories
//
// Below the root of the mount's [fsbackend.FS] (byte layouts: FORMAT.md):
//
//	volumes/<16hex>/<epoch>         volume descriptor: slot table and object servers; the newest valid epoch counts
//	services/<16hex>/volume         id of the volume that the service belongs to; made exclusively, so it reserves the id
//	services/<16hex>/host           id of the host that runs the service: plain text, for people and tools; nothing is decided by it
//	services/<16hex>/gen/<g>.claim  proof of ownership, made by package lease; only the names matter here
//	control/hosts/<16hex>/<seq>     heartbeats of a host's agent: new names, old ones removed
//	services/<16hex>/gen/<g>/owner  where generation g answers; written once
//
// A service answers where the owner file of its highest claim says. Without that file the service is between two owners: unavailable, never the one before.
// Nothing is overwritten that another host must see; symbolic links inside these directories are refused.
//
// # Resolver
//
// A [Topology] implements cluster.Topology over a volume. Servers of this process are returned as they are. A remote server is wrapped: the wrapper finds its
// owner, dials it, and when the server refuses (stale generation), cannot be reached or dies, reads the owner again and repeats the call, but only a call that was
// certainly not executed (the error says so, see [NotExecuted]) or one that only reads. So a service that restarted with a new generation at a new address is found without
// a restart here. The directories are polled, since inotify does not see what other hosts do.
//
// Object servers that failed lately are skipped when new objects are placed, so one that is down does not stop writes.
//
// # Goroutines
//
// Topology.poll runs until Close; at most one goroutine per remote server resolves and dials, and one pings during a poll. Close waits for all of them.
// Locks: Topology.mu, then remote.mu; no I/O under either.
package discovery
