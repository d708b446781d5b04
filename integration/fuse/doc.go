// Package fuse runs real processes on the mounts of three simulated hosts (ostor-fuse) and takes one host away from under a name server or an object server: killed,
// frozen, cut off or without power. Another host takes the service over with --takeover. The tests measure how long clients could not write and check that every
// acknowledged write reads back, also after what the lost host had issued has landed late, and that the old owner ended by itself.
package fuse
