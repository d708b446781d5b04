// Package fuse runs real processes on the mounts of three simulated hosts (ostor-fuse) and takes one host away: killed, frozen, cut off or without power.
//
// TestAgents has an agent on each host (ostor-agentd), which must notice and go on by themselves; TestLossOfAHost takes one service's host away and starts the service elsewhere by hand, with
// --takeover. Both measure how long clients could not write and check that every acknowledged write reads back, also after what the lost host had issued has landed late, that the old
// owner ended by itself, and that clients saw 2xx or 503. The tests of frozen processes need no mount; TestThreeCopies loses the disks of two hosts.
package fuse
