// Package agent runs the services of one host, and takes over those of hosts that are gone. There is one agent per host.
//
// # What an agent does
//
// It publishes a heartbeat every 2N ([discovery.Heartbeat]: a new name on the mount, and the report of what runs here), and looks every N/2 at the heartbeats of the others and at the
// newest claim of every service. N is the unit of the lease's profile. A host is suspected when nothing newer was heard of it for 4N: neither a new heartbeat on the mount nor, when those
// are late, one in the answer to a ping. (An agent answers a ping with its last durable heartbeat, so an agent that has lost the mount is suspected although it answers. The mount must show that heartbeat by then: agents ask each
// host once at least, and complain of a mount that shows new names late, because ownership rests on them.) A host whose
// last heartbeat says that it is leaving is gone at once.
//
// A service is free when it was never claimed, when it was released, when the host of its newest claim is suspected, or when that host lives but has not listed it for 4N. Who takes a
// free service is decided by every agent for itself, by the same rule: of the living hosts that have no more than their share of the services of that type, the one with the highest
// rendezvous hash. They mostly agree. Where they do not, the claim decides (package lease): O_EXCL has one winner, and an agent names the generation that it means to follow, so who
// comes late claims nothing and gives up quietly. A suspicion that was wrong costs a takeover, never data: ownership is proven by claim and wait, not by this package.
//
// A service whose chosen host does not take it within 8N is offered to the next one. When the hosts have lived together for 16N without a change and one has more services of a type than
// its share, it hands one over, cleanly, at most every 8N.
//
// # Processes
//
// A [Runner] starts a service as a process of its own. One that ends is started again after a pause that doubles from N/4 to 16N; when it has ended five times in a row without
// serving for 8N, the agent gives it up for 40N and says so in its heartbeat, so that another host takes it. A process that lost its ownership is started again only while the newest claim is
// still this host's: when somebody else has claimed, it is theirs. A process that does not answer four pings in a row, one every N, is killed: its lease could not be renewed by it either.
//
// Gateways are run too. They belong to their host, are never given up and are not counted.
//
// # Invariants
//
//  1. While the own heartbeats do not reach the mount, or looks at it do not end (4N), nothing is taken: the fault is here. What runs goes on; its lease ends it if need be.
//  2. A service has at most one process of this agent. The next one starts after the last one has ended.
//  3. Nothing here waits for the mount while it holds the lock, nor in the loop that supervises: a mount that hangs stops heartbeats and looks only.
//
// # Goroutines
//
// Agent.Run: one that beats, one that looks, one per late host that pings, one per process that waits for its end. Run waits for all of them, but for at most 2N for those that hang in
// the mount. Agent.mu is the only lock.
package agent
