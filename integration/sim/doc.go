// Package sim drives the real packages lease, store and what lies below them over a simulated mount, clock and cluster, and breaks both by seed.
//
// One run is a bubble of testing/synctest: hours of several hosts take a second. The hosts share one memfs; each sees it through a mount of its own on which
// I/O takes time, gets stuck, lands after its process died, is lost in a power cut unless it was synced, and on which overwrites by others are seen late. New names are
// seen at once. Hosts freeze, crash, lose the mount or each other, and have clocks of different rates.
//
// What is checked: the history of every key is linearizable (porcupine; every value is unique, a delete counts as a write); there are never two valid owners of
// a service; no valid owner meets damage; when the faults stop, every service has exactly one owner and goes on.
//
// The mutants (mutant_test.go) each switch one rule off, and the run must notice. They are made at the edges of the real code - its clock, its mount, its
// Owner - so that no production code knows of them.
//
// A seed fixes the faults and the workload. The order of goroutines within one instant is the scheduler's, so a seed repeats a run closely, not to the letter.
package sim
