// Package daemon puts servers together for the commands and the integration tests: it reads the configuration, finds out which host this is, takes a
// service's lease, opens its server, serves it over RPC, publishes where it answers, and collects metrics. It holds no logic of its own: everything it
// starts is a package that can be used alone.
//
// Goroutines: each [Service] owns those of its lease, server and RPC listener and ends them in Stop, in the order: replies stop, the server drains and
// checkpoints, the lease is released, the host-local lock is dropped. The metrics listener belongs to [Metrics].
package daemon
