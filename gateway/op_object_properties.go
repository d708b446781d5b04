package gateway

import (
	"ostor/internal/cluster"
)

// lookupVersion returns the version of the key that the request names by its versionId, or the current one; never a delete marker.
func (c *call) lookupVersion() (cluster.Entry, error) {
	r := cluster.LookupRequest{Bucket: c.bkt.ID, Key: c.key}
	versioned := c.query.has("versionId")
	if versioned {
		if err := parseVersion(c.query.get("versionId"), &r); err != nil {
			return cluster.Entry{}, err
		}
	}
	ns, err := c.names()
	if err != nil {
		return cluster.Entry{}, err
	}
	e, err := ns.Lookup(c.r.Context(), r)
	if err != nil {
		return e, c.hidden(missingKey(err, versioned))
	}
	if e.DeleteMarker {
		return e, c.hidden(c.deleteMarker(&e, versioned))
	}
	return e, c.checkEntry(&e)
}
