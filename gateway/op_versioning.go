package gateway

import (
	"net/http"

	"ostor/gateway/s3"
	"ostor/internal/cluster"
	"ostor/internal/fault"
)

// putBucketVersioning answers PutBucketVersioning. A bucket that had versioning once is enabled or suspended for ever. Other gateways see the change within bucketTTL;
// S3 asks its users for fifteen minutes.
func (g *Gateway) putBucketVersioning(c *call) error {
	if c.header("X-Amz-Mfa") != "" {
		return notImplemented("MFA delete")
	}
	var doc s3.VersioningConfiguration
	if err := c.readDocument(maxSmallXML, &doc); err != nil {
		return err
	}
	if doc.MFADelete == "Enabled" {
		return notImplemented("MFA delete")
	}
	state := cluster.VersioningEnabled
	switch {
	case doc.MFADelete != "" && doc.MFADelete != "Disabled", doc.Status != "" && doc.Status != "Enabled" && doc.Status != "Suspended":
		return s3.ErrMalformedXML
	case doc.Status == "":
		return s3.ErrIllegalVersioningConfiguration
	case doc.Status == "Suspended":
		state = cluster.VersioningSuspended
	}
	err := g.updateBucket(c, func(b *cluster.Bucket) error {
		if state != cluster.VersioningEnabled && attr(b.Attrs, cluster.AttrLock) != nil {
			return s3.ErrInvalidBucketState.With("An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
		}
		b.Versioning = state
		return nil
	})
	if err != nil {
		return err
	}
	return c.replyEmpty(http.StatusOK)
}

// listObjectVersions answers ListObjectVersions: versions and delete markers in one order, by key and then newest first. A next-version-id-marker is the position of
// the last version also when that is the null version, so that a listing goes on where it was when that version is replaced in between; "null" is understood too.
func (g *Gateway) listObjectVersions(c *call) error {
	q := c.query
	r := cluster.ListVersionsRequest{Bucket: c.bkt.ID, Prefix: q.get("prefix"), Delimiter: q.get("delimiter"), KeyMarker: q.get("key-marker")}
	head := s3.VersionsHead{Bucket: c.bucket, Prefix: r.Prefix, Delimiter: r.Delimiter, KeyMarker: r.KeyMarker, VersionMarker: q.get("version-id-marker")}
	var err error
	if head.URLEncode, err = q.encodingURL(); err != nil {
		return err
	}
	if head.MaxKeys, err = q.count("max-keys", maxListKeys, maxListKeys); err != nil {
		return err
	}
	if v := c.header("X-Amz-Optional-Object-Attributes"); v != "" && v != "RestoreStatus" {
		return badArgument("x-amz-optional-object-attributes", v, "The only optional attribute is RestoreStatus.")
	}
	if q.has("version-id-marker") {
		if r.VersionMarker, err = g.versionMarker(c, r.KeyMarker, head.VersionMarker); err != nil {
			return err
		}
	}
	var page listed
	if r.Limit = head.MaxKeys; r.Limit > 0 {
		if page, err = g.listVersions(c.r.Context(), r); err != nil {
			return err
		}
	}
	if head.Truncated = page.more; page.more {
		head.NextKeyMarker = page.last
		if !page.lastVersion.IsZero() {
			head.NextVersionMarker = page.lastVersion.String()
		}
	}
	return c.replyXML(func(x *s3.XML) {
		head.Begin(x)
		var owner s3.Owner
		var ownerID cluster.UserID
		for _, e := range page.entries {
			if owner.ID == "" || ownerID != e.Owner {
				ownerID, owner = e.Owner, c.owner(e.Owner)
			}
			v := s3.ListedVersion{
				ListedObject: s3.ListedObject{Key: e.Key, Modified: e.Modified, ETag: e.ETag, Size: e.Size, StorageClass: storageClass(e.StorageClass), Owner: &owner},
				VersionID:    versionID(e), Latest: e.Latest, DeleteMarker: e.DeleteMarker,
			}
			if e.Checksum.Algorithm != cluster.ChecksumNone {
				v.Checksum, v.ChecksumType = algorithmName(e.Checksum.Algorithm), checksumType(e.Checksum)
			}
			x.Version(&v, head.URLEncode)
		}
		for _, p := range page.prefixes {
			x.CommonPrefix(p, head.URLEncode)
		}
		x.Close("ListVersionsResult")
	})
}

// versionMarker reads version-id-marker. A null version that is gone leaves the place unknown: the page begins with all of its key's versions, some of them again.
func (g *Gateway) versionMarker(c *call, key, marker string) (cluster.VersionID, error) {
	switch {
	case key == "":
		return cluster.VersionID{}, badArgument("version-id-marker", marker, "A version-id marker cannot be specified without a key marker.")
	case marker == "":
		return cluster.VersionID{}, badArgument("version-id-marker", marker, "A version-id marker cannot be empty.")
	}
	r := cluster.LookupRequest{Bucket: c.bkt.ID, Key: key}
	if parseVersion(marker, &r) != nil {
		return cluster.VersionID{}, badArgument("version-id-marker", marker, "Invalid version id specified")
	}
	if !r.Null {
		return r.Version, nil
	}
	if err := s3.CheckKey(key); err != nil {
		return cluster.VersionID{}, err
	}
	ns, err := g.topology.NameServerFor(c.bkt.ID, key)
	if err != nil {
		return cluster.VersionID{}, err
	}
	e, err := ns.Lookup(c.r.Context(), r)
	if fault.KindOf(err) == fault.NotFound {
		return cluster.VersionID{Generation: 1<<64 - 1, Sequence: 1<<64 - 1}, nil
	}
	return e.Version, err
}
