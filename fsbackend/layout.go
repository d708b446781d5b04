package fsbackend

import "fmt"

// Names below a service directory. A generation is a number that a claim made; see package lease.
const (
	GenDir       = "gen"      // <service>/gen
	ManifestName = "manifest" // <service>/gen/<g>/manifest: what generation g starts from; written once, by package store
	OwnerName    = "owner"    // <service>/gen/<g>/owner: where generation g answers; written once, by package discovery
)

// GenerationName returns the name of a generation's directory below gen/: ten digits at least, so that names sort as numbers do.
func GenerationName(g uint64) string { return fmt.Sprintf("%010d", g) }

// GenerationDir returns the directory that holds every file written by generation g of the service in dir.
func GenerationDir(dir string, g uint64) string { return dir + "/" + GenDir + "/" + GenerationName(g) }
