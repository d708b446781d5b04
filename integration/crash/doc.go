// Package crash holds tests that take a whole cluster through power cuts and I/O errors: object servers, name servers and a gateway in one process on one memfs
// tree, driven by signed S3 requests.
//
// A history records what clients were told. Wherever the run is cut, the recovered cluster must show, through a new gateway, all that was acknowledged and, of
// what was not, either state; its checks must be clean, nothing may be left over once garbage has been collected, and it must work on.
//
// The default run samples by a seed, which is printed on failure and replayed with SEED=n. OSTOR_CRASH=long enumerates everything.
package crash
