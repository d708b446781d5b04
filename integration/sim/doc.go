// Package sim runs the real packages over a simulated mount, network, clock and hosts, and breaks those by seed.
//
// One run is a bubble of testing/synctest: hours of several hosts take a second. The hosts share one memfs; each process sees it through a mount of its own on which
// I/O takes time, gets stuck, fails, lands after its process died, is lost in a power cut unless it was synced, meets a full disk, and on which overwrites by others are seen late. New
// names are seen at once. Hosts freeze, crash, lose the mount or each other, and have clocks of different rates. Connections break before or after what was sent has arrived.
//
// There are two kinds of runs in this world:
//
//   - ownership (ownership_test.go): lease, store, object server and pools of one or two services. What is checked: the history of every key is linearizable; there are never two
//     valid owners of a service; no valid owner meets damage; when the faults stop, every service has exactly one owner and goes on;
//   - the cluster (cluster_test.go): two name servers, three object servers and a gateway on each of three hosts, joined by discovery, leases and RPC, under signed S3 requests from many
//     clients: puts, conditional writes, deletes, copies, uploads whose completion races with aborts, lists, versions. What is checked: the model of s3history_test.go, per key, for which each page of a
//     listing is a look at every key that it covers: so no lost write, no resurrected delete, no ghost in a list; every byte that is read; and in the end, when the faults have stopped, that each
//     service has one owner, that requests are answered with 2xx and 4xx only, that garbage is gone to the last object, and that fsck finds nothing.
//
// The mutants (mutant_test.go, clustermutant_test.go) each switch one rule off, and the runs must notice. They are made at the edges of the real code - its clock, its mount, its
// Owner, its NameServer - so that no production code knows of them. A run may have a hint: some fault or request is more frequent. Mutants are tried with the hint that meets them; the real rules
// with every hint.
//
// A seed fixes what is drawn for faults and workload. The order of goroutines within one instant, and so who draws which number, is the scheduler's: a seed repeats a run closely, not to the letter.
package sim
