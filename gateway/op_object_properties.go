package gateway

import (
	"ostor/gateway/s3"
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

// getObjectTorrent answers GetObjectTorrent: objects have no torrents, which clients of S3 expect to hear as of a key that is not there.
func (g *Gateway) getObjectTorrent(c *call) error {
	if _, err := c.lookupVersion(); err != nil {
		return err
	}
	return s3.ErrNoSuchKey.With("The object has no torrent.")
}
