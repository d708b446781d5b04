// Package clustertest holds the conformance suites of the contracts in package cluster: what their comments say in words, as tests. Every implementation passes them: the
// servers themselves and the rpc clients that stand for them.
package clustertest
